//! The normal case, §4.2: PRE-PREPARE, PREPARE, COMMIT, execution.

use crate::Pbft;
use crate::action::Action;
use crate::ids::{ReplicaId, Slot, View};
use crate::rules::{self, Role, Window};
use crate::state::{Certificate, ReplicaState, State, Viewer};
use crate::value::{Value, ValueSet};

impl Pbft {
    /// The primary assigns the next slot to a request that it has neither executed nor assigned in this view,
    /// while the slot is at most h+L.
    pub(crate) fn pre_prepares(&self, state: &State, id: ReplicaId, actions: &mut Vec<Action>) {
        let replica = state.replica(id);
        let role = self.role(replica, id);
        if !role.primary {
            return;
        }
        let assigned = Slot::GENESIS
            .until(self.config.last_slot())
            .rfind(|slot| replica.accepted[slot.index()].is_some());
        let slot = assigned.unwrap_or_default().max(replica.low_water_mark).next();
        // It is the next by this numbering, so that clause of the rule is for recorded runs.
        if rules::order(role, slot, slot, self.window(replica)).is_err() {
            return;
        }
        for value in self.requests() {
            let answered = replica.served.contains(value);
            if rules::orderable(answered, replica.accepted.contains(&value)).is_ok() {
                actions.push(Action::PrePrepare { replica: id, slot, value });
            }
        }
    }

    /// The slots that a replica takes part in (§4.2, condition 4 of a PRE-PREPARE).
    fn window(&self, replica: &ReplicaState) -> Window<Slot> {
        let low = replica.low_water_mark;
        Window { low, high: self.config.high_water_mark(low) }
    }

    /// What a replica is in its view.
    pub(crate) fn role(&self, replica: &ReplicaState, id: ReplicaId) -> Role {
        Role { active: replica.active, primary: self.primary(replica.view) == id }
    }

    /// A backup accepts a PRE-PREPARE of the primary of its view (§4.2): it is active in the view, has accepted
    /// no other for the slot, the slot is in the window, and a client signed the request. Null batches are
    /// proposed by NEW-VIEW only, see [`crate::new_view`].
    pub(crate) fn prepares(&self, state: &State, id: ReplicaId, actions: &mut Vec<Action>) {
        let replica = state.replica(id);
        let role = self.role(replica, id);
        if !role.active || role.primary {
            return;
        }
        let window = self.window(replica);
        for slot in window.low.until(window.high) {
            let another = replica.accepted[slot.index()].is_some();
            if another {
                continue;
            }
            for value in self.pre_prepared(state, Viewer::Network, replica.view, slot).iter() {
                let null = value == Value::NULL;
                if rules::accept(role, slot, window, another, true, null).is_ok() {
                    actions.push(Action::Prepare { replica: id, slot, value });
                }
            }
        }
    }

    /// A replica sends COMMIT when what it accepted has prepared: q−1 PREPAREs from distinct backups match.
    pub(crate) fn commits(&self, state: &State, id: ReplicaId, actions: &mut Vec<Action>) {
        let replica = state.replica(id);
        if !replica.active {
            return;
        }
        for slot in replica.low_water_mark.until(self.config.last_slot()) {
            let value = replica.accepted[slot.index()];
            let certificate = Some(Certificate { view: replica.view, value });
            let prepared = replica.certificates[slot.index()] == certificate;
            let viewer = Viewer::Replica(id);
            let votes = || self.prepare_votes(state, viewer, replica.view, slot).votes(value);
            let needed = self.prepares_needed();
            if rules::commit(replica.active, value.is_some(), prepared, needed, votes).is_ok() {
                actions.push(Action::Commit { replica: id, slot });
            }
        }
    }

    /// A replica executes its next slot when q COMMITs match, of any one view: a commit certificate is final and
    /// can be passed on, so neither the replica's view nor whether it is active matters.
    pub(crate) fn executions(&self, state: &State, id: ReplicaId, actions: &mut Vec<Action>) {
        let replica = state.replica(id);
        let slot = replica.last_executed.next();
        // It is the next, so that clause of the rule is for recorded runs.
        if rules::execute(slot, slot, self.window(replica), true).is_err() {
            return;
        }
        let mut seen = ValueSet::EMPTY;
        for view in self.views_to_execute_in(state, id, slot).rev() {
            for value in self.committed_values(state, id, view, slot).iter() {
                if !seen.contains(value) && self.has_batch(state, slot, value) {
                    seen.insert(value);
                    actions.push(Action::Execute { replica: id, view, value });
                }
            }
        }
    }

    /// The views in which a replica may find something committed at the slot.
    fn views_to_execute_in(
        &self,
        state: &State,
        id: ReplicaId,
        slot: Slot,
    ) -> impl DoubleEndedIterator<Item = View> + use<> {
        let mut views = self.views_with_commits(state, Viewer::Replica(id), slot);
        // Certificates that others hold are found in view 0.
        views |= u8::from(self.is_silent());
        self.views().filter(move |view| views & (1 << view.0) != 0)
    }

    /// A bit for each view in which some honest replica has sent a COMMIT for the slot; mostly there are none.
    pub(crate) fn views_with_commits(&self, state: &State, viewer: Viewer, slot: Slot) -> u8 {
        self.honest().fold(0, |mut views, voter| {
            for (view, slots) in state.seen_by(viewer, voter).commits.iter().enumerate() {
                views |= u8::from(!slots[slot.index()].is_empty()) << view;
            }
            views
        })
    }

    /// The values that the replica takes for committed in (view, slot).
    pub(crate) fn committed_values(
        &self,
        state: &State,
        id: ReplicaId,
        view: View,
        slot: Slot,
    ) -> ValueSet {
        let mut committed = self.certified_values(state, Viewer::Replica(id), view, slot);
        // It matters only when the Byzantine replicas are silent, whose COMMIT may be part of the certificate.
        if self.is_silent() && view == View(0) {
            committed = committed.union(self.handed_on(state, slot));
        }
        committed
    }

    /// The values whose commit certificate for the slot somebody holds, and hands on: whoever executed it, until a stable
    /// checkpoint covers it.
    fn handed_on(&self, state: &State, slot: Slot) -> ValueSet {
        let mut held = ValueSet::EMPTY;
        let holders = self.honest_states(state).filter(|one| one.low_water_mark < slot);
        let executed = holders.map(|one| one.executed[slot.index()]);
        executed.filter(|value| value.is_some()).for_each(|value| held.insert(value));
        held
    }

    /// The values with a commit certificate in (view, slot): q COMMITs, the Byzantine ones' included.
    pub(crate) fn certified_values(
        &self,
        state: &State,
        viewer: Viewer,
        view: View,
        slot: Slot,
    ) -> ValueSet {
        let mut voted = ValueSet::EMPTY;
        let mut voters = self.byzantine_votes();
        for voter in self.honest().filter(|id| self.repeats_votes(state, *id, view)) {
            let votes = state.seen_by(viewer, voter).commits[view.index()][slot.index()];
            voters += u8::from(!votes.is_empty());
            voted = voted.union(votes);
        }
        // Mostly nobody has voted, or too few, whatever for.
        if voted.is_empty() || voters < self.commits_needed() {
            return ValueSet::EMPTY;
        }
        let votes = self.commit_votes(state, viewer, view, slot);
        votes.at_least(self.commits_needed()).intersection(voted)
    }

    /// Executes a slot: applies the value unless its client was answered (exactly once), and sends CHECKPOINT where one
    /// is due (§4.3).
    pub(crate) fn execute(&self, replica: &mut ReplicaState, slot: Slot, value: Value) {
        replica.last_executed = slot;
        replica.executed[slot.index()] = value;
        let answered = replica.served.contains(value);
        if value != Value::NULL && !answered {
            replica.applied.push(value);
            self.answer(replica, value);
        }
        if self.config.is_checkpoint(slot) {
            replica.sent.checkpoints[slot.index()] = Some(replica.digest());
        }
    }

    /// Enters an answer in the reply table: other requests of the client that are not later are obsolete (§4.1).
    fn answer(&self, replica: &mut ReplicaState, value: Value) {
        let timestamp = self.config.timestamp(value);
        for other in self.requests().filter(|other| other.client() == value.client()) {
            if self.config.timestamp(other) <= timestamp {
                replica.served.insert(other);
            }
        }
    }

    /// Equal replies that a client waits for (§4.1): f+1, so that one is of a correct replica.
    pub(crate) fn replies_needed(&self) -> u8 {
        self.quorums().weak
    }
}

impl ReplicaState {
    /// The primary proposes: its PRE-PREPARE stands for its PREPARE.
    pub(crate) fn pre_prepare(&mut self, slot: Slot, value: Value) {
        self.accepted[slot.index()] = value;
        self.sent.prepares[self.view.index()][slot.index()].insert(value);
    }

    /// A backup accepts a PRE-PREPARE and sends PREPARE.
    pub(crate) fn prepare(&mut self, slot: Slot, value: Value) {
        self.accepted[slot.index()] = value;
        self.sent.prepares[self.view.index()][slot.index()].insert(value);
    }

    /// A replica has prepared what it accepted, and sends COMMIT.
    pub(crate) fn commit(&mut self, slot: Slot) {
        let value = self.accepted[slot.index()];
        self.certificates[slot.index()] = Some(Certificate { view: self.view, value });
        self.sent.commits[self.view.index()][slot.index()].insert(value);
    }
}
