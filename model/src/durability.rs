//! Crashes: what a replica has decided, what it has on disk, and what it has sent (§2: the paper assumes replicas that
//! never forget).
//!
//! Votes are durable before they are sent. In a configuration with restarts a step changes the replica's memory only;
//! [`Action::Flush`] is the write that makes everything up to here durable and then releases the messages; and
//! [`Action::Restart`] is a crash, after which memory is what the disk says. Several steps may share one write (group
//! commit), and a crash loses those since the last. Nobody has seen them, so to the others it is as if the replica had
//! been slow.
//!
//! Where there are no restarts in the configuration a step is durable at once, and nothing of this happens.

use crate::Pbft;
use crate::action::Action;
use crate::ids::{MAX_SLOTS, MAX_VIEWS, ReplicaId, Slot, View};
use crate::mutant::Mutant;
use crate::state::{ReplicaState, Sent, State};
use crate::value::{Value, ValueSet};

impl Pbft {
    /// The write to the disk, where there is something to write.
    pub(crate) fn flushes(&self, state: &State, id: ReplicaId, actions: &mut Vec<Action>) {
        if state.disks.get(id.index()).is_some_and(|disk| disk != state.replica(id)) {
            actions.push(Action::Flush { replica: id });
        }
    }

    /// Everything decided is durable, then everything to say is sent.
    pub(crate) fn flush(&self, state: &mut State, id: ReplicaId) {
        let replica = state.replicas[id.index()];
        if let (Some(disk), Some(wire)) =
            (state.disks.get_mut(id.index()), state.wire.get_mut(id.index()))
        {
            *disk = replica;
            wire.add(&replica.sent);
        }
    }

    /// Crashes that change something. Where every step is durable at once that takes a mutant that forgets.
    pub(crate) fn restarts(&self, state: &State, id: ReplicaId, actions: &mut Vec<Action>) {
        if self.is_silent() || (state.disks.is_empty() && !self.forgets()) {
            return;
        }
        if self.restarted(state, id) != *state.replica(id) {
            actions.push(Action::Restart { replica: id });
        }
    }

    /// Whether a restart loses something that was durable.
    const fn forgets(&self) -> bool {
        matches!(
            self.mutant(),
            Some(
                Mutant::RestartForgetsAccepted
                    | Mutant::RestartForgetsCertificate
                    | Mutant::RestartForgetsViewChange
                    | Mutant::RestartForgetsReplies
                    | Mutant::RestartForgetsCommitCertificates
            )
        )
    }

    /// What a replica is after a restart: what it has on disk.
    pub(crate) fn restarted(&self, state: &State, id: ReplicaId) -> ReplicaState {
        let mut replica = *state.disks.get(id.index()).unwrap_or_else(|| state.replica(id));
        if self.breaks(Mutant::RestartForgetsAccepted) {
            replica.accepted = [Value::NONE; MAX_SLOTS];
        }
        if self.breaks(Mutant::RestartForgetsCertificate) {
            replica.certificates = [None; MAX_SLOTS];
        }
        if self.breaks(Mutant::RestartForgetsReplies) {
            replica.served = ValueSet::EMPTY;
        }
        if self.breaks(Mutant::RestartForgetsCommitCertificates) {
            // What it executed without a certificate at hand is what it would be after a state transfer.
            replica.executed = [Value::NONE; MAX_SLOTS];
        }
        if self.breaks(Mutant::RestartForgetsViewChange) && !replica.active {
            replica.forget_view_change(self.primary(replica.view) == id);
        }
        replica
    }

    /// Whether some messages leave before what they say is durable.
    const fn sends_early(&self) -> bool {
        matches!(
            self.mutant(),
            Some(
                Mutant::PrePrepareSentBeforeDurable
                    | Mutant::PrepareSentBeforeDurable
                    | Mutant::CommitSentBeforeDurable
                    | Mutant::CheckpointSentBeforeDurable
                    | Mutant::ViewChangeSentBeforeDurable
                    | Mutant::NewViewSentBeforeDurable
            )
        )
    }

    /// Under a mutant, messages that leave with the step instead of after the write.
    pub(crate) fn send_early(&self, state: &mut State, id: ReplicaId) {
        // The copy below is a tenth of the time of a search, so only those mutants pay for it.
        if !self.sends_early() {
            return;
        }
        let Some(wire) = state.wire.get_mut(id.index()) else { return };
        let sent = &state.replicas[id.index()].sent;
        let mut early = Sent::default();
        for view in (0..MAX_VIEWS).map(|view| View(view as u8)) {
            let leads = self.primary(view) == id;
            let proposal = if leads {
                Mutant::PrePrepareSentBeforeDurable
            } else {
                Mutant::PrepareSentBeforeDurable
            };
            if self.breaks(proposal) {
                early.prepares[view.index()] = sent.prepares[view.index()];
            }
        }
        match self.mutant() {
            Some(Mutant::CommitSentBeforeDurable) => early.commits = sent.commits,
            Some(Mutant::CheckpointSentBeforeDurable) => early.checkpoints = sent.checkpoints,
            Some(Mutant::ViewChangeSentBeforeDurable) => early.view_changes = sent.view_changes,
            Some(Mutant::NewViewSentBeforeDurable) => {
                early.new_views = sent.new_views;
                // The PRE-PREPAREs of O travel in it.
                for (view, new_view) in early.new_views.iter().enumerate() {
                    if new_view.is_some() {
                        early.prepares[view] = sent.prepares[view];
                    }
                }
            }
            Some(_) | None => {}
        }
        wire.add(&early);
    }
}

impl ReplicaState {
    /// Returns to the view that was left, with what it had accepted there. Where it never took part in that view
    /// there is nothing to return to; neither is there for the next primary, which needs its own VIEW-CHANGE.
    fn forget_view_change(&mut self, is_next_primary: bool) {
        if is_next_primary || self.view == View(0) {
            return;
        }
        let left = View(self.view.0 - 1);
        let votes = self.sent.prepares[left.index()];
        if left != View(0) && votes.iter().all(|values| values.is_empty()) {
            return;
        }
        self.view = left;
        self.active = true;
        for slot in self.low_water_mark.until(Slot(MAX_SLOTS as u8)) {
            let accepted = votes[slot.index()].iter().next();
            self.accepted[slot.index()] = accepted.unwrap_or_default();
        }
    }
}
