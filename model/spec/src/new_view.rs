//! Entering a view, §4.4: V, O, NEW-VIEW.

use crate::Pbft;
use crate::action::Action;
use crate::ids::{MAX_SLOTS, MAX_VIEWS, ReplicaId, Slot, View, members};
use crate::rules::{self, Role};
use crate::state::{Certificate, NewView, ReplicaState, State, ViewChange, Viewer};
use crate::value::{Value, ValueSet};

/// One V for a NEW-VIEW, and what it gives. For a replay that has to build the messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The senders of the VIEW-CHANGEs in V, Byzantine ones included.
    pub senders: Vec<ReplicaId>,
    /// The VIEW-CHANGEs of the Byzantine replicas among the senders.
    pub claims: Vec<(ReplicaId, ViewChange)>,
    /// What V gives.
    pub outcome: NewView,
}

impl Witness {
    /// What a Byzantine sender claims; none for an honest one.
    #[must_use]
    pub fn claim_of(&self, sender: ReplicaId) -> Option<&ViewChange> {
        self.claims.iter().find(|(claimant, _)| *claimant == sender).map(|(_, claim)| claim)
    }
}

/// The VIEW-CHANGEs of V, merged: the highest checkpoint, and per slot what the certificates of the highest view name.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Merged {
    min_s: Slot,
    certificates: [Option<Highest>; MAX_SLOTS],
}

/// The certificates of the highest view for a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Highest {
    view: View,
    /// What they name: one value, since no two can prepare in one view. With more Byzantine replicas than are tolerated
    /// they can; then it depends on the order in V, which may be any.
    values: ValueSet,
}

/// A V without the VIEW-CHANGEs of Byzantine replicas in it.
struct HonestPart {
    /// A bit for each honest sender.
    senders: u8,
    merged: Merged,
    /// How many VIEW-CHANGEs of Byzantine replicas V needs.
    missing: u8,
}

/// The sets of which each replica is in this one, by a bit for each.
fn subsets(all: u8) -> impl Iterator<Item = u8> {
    (0..=all).filter(move |some| some & !all == 0)
}

impl Merged {
    /// The same with one more VIEW-CHANGE in V.
    fn with(mut self, view_change: &ViewChange) -> Self {
        self.min_s = self.min_s.max(view_change.low_water_mark);
        for (best, shown) in self.certificates.iter_mut().zip(view_change.prepared) {
            let Some(Certificate { view, value }) = shown else { continue };
            match best {
                Some(best) if rules::outranks(best.view, view) => {}
                Some(best) if best.view == view => best.values.insert(value),
                _ => *best = Some(Highest { view, values: ValueSet::of(value) }),
            }
        }
        self
    }

    /// O: from min-s to max-s the value of the certificate with the highest view, null for gaps.
    fn outcomes(&self, last_slot: Slot) -> Vec<NewView> {
        let min_s = self.min_s;
        let has_certificate = |slot: &Slot| self.certificates[slot.index()].is_some();
        let max_s = min_s.until(last_slot).rfind(has_certificate).unwrap_or(min_s);
        let mut outcomes = vec![NewView { min_s, max_s, order: [Value::NONE; MAX_SLOTS] }];
        for slot in min_s.until(max_s) {
            let gap = ValueSet::of(Value::NULL);
            let values = self.certificates[slot.index()].map_or(gap, |highest| highest.values);
            let with = |value| {
                outcomes.iter().map(move |outcome| {
                    let mut outcome = *outcome;
                    outcome.order[slot.index()] = value;
                    outcome
                })
            };
            outcomes = values.iter().flat_map(with).collect();
        }
        outcomes
    }
}

impl Pbft {
    /// What V merges to with `missing` VIEW-CHANGEs of Byzantine replicas in it, each of which may claim anything.
    fn with_claims(merged: Merged, missing: u8, claims: &[ViewChange]) -> Vec<Merged> {
        let mut results = vec![merged];
        for _ in 0..missing {
            let mut extended = Vec::new();
            for result in &results {
                for one in claims.iter().map(|claim| result.with(claim)) {
                    if !extended.contains(&one) {
                        extended.push(one);
                    }
                }
            }
            results = extended;
        }
        results
    }

    /// The VIEW-CHANGE of an honest replica that V may hold for `view`: the one for exactly that view.
    fn view_change_for<'a>(
        &self,
        state: &'a State,
        viewer: Viewer,
        sender: ReplicaId,
        view: View,
    ) -> Option<&'a ViewChange> {
        let sent = &state.seen_by(viewer, sender).view_changes;
        let repeated = self.repeats_view_change(state, sender, view);
        sent[view.index()].as_ref().filter(|_| repeated)
    }

    /// VIEW-CHANGEs that V holds.
    fn view_changes_needed(&self) -> u8 {
        self.quorums().quorum
    }

    /// Every V for `view` that its primary can form (q VIEW-CHANGEs of distinct replicas, an honest primary's own
    /// included), with the Byzantine replicas' share left open.
    fn honest_parts(&self, state: &State, view: View) -> Vec<HonestPart> {
        let primary = self.primary(view);
        let own_needed = !self.is_byzantine(primary);
        let viewer = if own_needed { Viewer::Replica(primary) } else { Viewer::Network };
        let sent = |id| self.view_change_for(state, viewer, id, view);
        let available = self.honest().filter(|id| sent(*id).is_some());
        let available = available.fold(0u8, |bits, id| bits | 1 << id.0);
        let needed = self.view_changes_needed();
        let byzantine = self.byzantine_votes();
        let mut parts = Vec::new();
        if available.count_ones() as u8 + byzantine < needed {
            return parts;
        }
        for senders in subsets(available) {
            let honest = senders.count_ones() as u8;
            let with_own = !own_needed || senders & (1 << primary.0) != 0;
            if honest <= needed && honest + byzantine >= needed && with_own {
                let view_changes = members(senders).filter_map(sent);
                let merged = view_changes.fold(Merged::default(), Merged::with);
                parts.push(HonestPart { senders, merged, missing: needed - honest });
            }
        }
        parts
    }

    /// Every NEW-VIEW that some V justifies for `view`, each once.
    #[must_use]
    pub fn new_view_outcomes(&self, state: &State, view: View) -> Vec<NewView> {
        let parts = self.honest_parts(state, view);
        let open = parts.iter().any(|part| part.missing > 0);
        let claims = if open { self.byzantine_view_changes(state, view) } else { Vec::new() };
        self.outcomes_of(parts, &claims)
    }

    /// Every NEW-VIEW that some V justifies for `view` if the Byzantine replicas have sent one of `claims` each, or
    /// nothing; each once.
    pub(crate) fn outcomes_with(
        &self,
        state: &State,
        view: View,
        claims: &[ViewChange],
    ) -> Vec<NewView> {
        self.outcomes_of(self.honest_parts(state, view), claims)
    }

    fn outcomes_of(&self, parts: Vec<HonestPart>, claims: &[ViewChange]) -> Vec<NewView> {
        let mut outcomes = Vec::new();
        for HonestPart { merged, missing, .. } in parts {
            for merged in Self::with_claims(merged, missing, claims) {
                for outcome in merged.outcomes(self.config.last_slot()) {
                    if !outcomes.contains(&outcome) {
                        outcomes.push(outcome);
                    }
                }
            }
        }
        outcomes
    }

    /// Every V for `view` with what it gives, so that a replay can build the messages of an outcome.
    #[must_use]
    pub fn new_view_witnesses(&self, state: &State, view: View) -> Vec<Witness> {
        let mut witnesses = Vec::new();
        let possible = self.byzantine_view_changes(state, view);
        let adversaries: Vec<_> = self.adversaries().collect();
        for part in self.honest_parts(state, view) {
            let HonestPart { senders, merged, missing } = part;
            let byzantine = || adversaries.iter().take(usize::from(missing));
            let mut open = vec![(merged, Vec::new())];
            for claimant in byzantine() {
                let mut extended = Vec::new();
                for (merged, claims) in &open {
                    for claim in &possible {
                        let mut claims: Vec<_> = claims.clone();
                        claims.push((*claimant, *claim));
                        extended.push((merged.with(claim), claims));
                    }
                }
                open = extended;
            }
            let mut senders: Vec<_> = members(senders).collect();
            senders.extend(byzantine());
            senders.sort_unstable();
            for (merged, claims) in open {
                for outcome in merged.outcomes(self.config.last_slot()) {
                    let (senders, claims) = (senders.clone(), claims.clone());
                    witnesses.push(Witness { senders, claims, outcome });
                }
            }
        }
        witnesses
    }

    /// The primary of the view that it is changing to sends NEW-VIEW, once it has executed up to min-s and has the batches
    /// that O names.
    pub(crate) fn new_views(&self, state: &State, id: ReplicaId, actions: &mut Vec<Action>) {
        if !self.may_begin(state, id) {
            return;
        }
        for outcome in self.new_view_outcomes(state, state.replica(id).view) {
            if self.has_everything(state, id, &outcome) {
                actions.push(Action::NewView { replica: id, outcome });
            }
        }
    }

    /// Whether a replica leads the view that it is changing to.
    pub(crate) fn may_begin(&self, state: &State, id: ReplicaId) -> bool {
        let replica = state.replica(id);
        let asked = replica.sent.view_changes[replica.view.index()].is_some();
        rules::begin(self.role(replica, id), asked).is_ok()
    }

    /// Whether a replica can enter a view: it has executed up to min-s (one that has not fetches that state first), and
    /// has the batches of O.
    pub(crate) fn has_everything(&self, state: &State, id: ReplicaId, outcome: &NewView) -> bool {
        let replica = state.replica(id);
        rules::has_state(replica.last_executed, outcome.min_s).is_ok()
            && self.has_batches(state, replica, outcome)
    }

    /// The NEW-VIEWs that a Byzantine primary may send, per view.
    pub(crate) fn byzantine_new_views(&self, state: &State) -> [Vec<NewView>; MAX_VIEWS] {
        let mut new_views: [Vec<NewView>; MAX_VIEWS] = Default::default();
        for view in (1..=self.config.max_view().0).map(View) {
            let leads = |id: ReplicaId| id == self.primary(view);
            // A view that is not open nobody would enter.
            if self.adversaries().any(leads) && self.is_open(state, view) {
                new_views[view.index()] = self.new_view_outcomes(state, view);
            }
        }
        new_views
    }

    /// A backup enters a later view, or the one it is changing to, by a NEW-VIEW that it has verified, once it
    /// has executed up to min-s.
    pub(crate) fn view_entries(
        &self,
        state: &State,
        id: ReplicaId,
        byzantine: &[Vec<NewView>; MAX_VIEWS],
        actions: &mut Vec<Action>,
    ) {
        let replica = state.replica(id);
        for view in (replica.view.0.max(1)..=self.config.max_view().0).map(View) {
            let primary = self.primary(view);
            let role = Role { active: replica.active, primary: primary == id };
            if rules::enter(view, replica.view, role).is_err() {
                continue;
            }
            let sent = if self.is_byzantine(primary) {
                &None
            } else {
                &state.sent(primary).new_views[view.index()]
            };
            let repeated = self.honest().any(|other| self.repeats_votes(state, other, view));
            for outcome in sent.iter().filter(|_| repeated).chain(&byzantine[view.index()]) {
                if self.has_everything(state, id, outcome) {
                    actions.push(Action::EnterView { replica: id, view, outcome: *outcome });
                }
            }
        }
    }
}

impl ReplicaState {
    /// A replica sends NEW-VIEW with O, whose PRE-PREPAREs are thereby sent, and enters the view.
    pub(crate) fn send_new_view(&mut self, outcome: NewView) {
        let view = self.view;
        self.adopt(view, &outcome);
        self.sent.new_views[view.index()] = Some(outcome);
        for slot in outcome.min_s.until(outcome.max_s) {
            self.propose(view, slot, outcome.order[slot.index()]);
        }
    }

    /// A backup enters the view and sends PREPARE for each slot of O that lies above h.
    pub(crate) fn enter_view(&mut self, view: View, outcome: NewView) {
        self.adopt(view, &outcome);
        for slot in self.low_water_mark.max(outcome.min_s).until(outcome.max_s) {
            self.propose(view, slot, outcome.order[slot.index()]);
        }
    }

    /// Takes over O in the view: adopts the checkpoint at min-s and accepts the PRE-PREPAREs above h.
    fn adopt(&mut self, view: View, outcome: &NewView) {
        self.view = view;
        self.active = true;
        self.accepted = [Value::NONE; MAX_SLOTS];
        self.collect_garbage(outcome.min_s);
        for slot in self.low_water_mark.max(outcome.min_s).until(outcome.max_s) {
            self.accepted[slot.index()] = outcome.order[slot.index()];
        }
    }

    /// Says that it takes a value for a slot of a view: PRE-PREPARE or PREPARE.
    fn propose(&mut self, view: View, slot: Slot, value: Value) {
        self.sent.prepares[view.index()][slot.index()].insert(value);
    }
}
