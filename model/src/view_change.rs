//! Leaving a view, §4.4 and §4.5.2: VIEW-CHANGE and the join rule.
//!
//! Time is not modelled. A replica may leave its view at any moment, as if its timer had expired or it had
//! reason to suspect the primary: safety must not depend on when.

use crate::Pbft;
use crate::action::Action;
use crate::ids::{MAX_SLOTS, ReplicaId, Slot, View};
use crate::mutant::Mutant;
use crate::state::{Certificate, ReplicaState, State, ViewChange};
use crate::value::Value;

impl Pbft {
    /// To the next view at any time; further by the join rule: f+1 others have asked for views above mine, and
    /// I join the smallest of theirs (§4.5.2).
    pub(crate) fn view_changes(&self, state: &State, id: ReplicaId, actions: &mut Vec<Action>) {
        let view = state.replica(id).view;
        for to in (view.0 + 1..=self.config.max_view().0).map(View) {
            let own_timer = to == view.next();
            // A replica that does not stop voting (a mutant) has sent this one before.
            let sent = state.replica(id).sent.view_changes[to.index()].is_some();
            if !sent && (own_timer || self.can_join(state, id, to)) {
                actions.push(Action::StartViewChange { replica: id, to });
            }
        }
    }

    /// Whether some f+1 VIEW-CHANGEs of distinct other replicas have `to` as their smallest view. A sender's
    /// earlier VIEW-CHANGEs count too, since messages may be late.
    fn can_join(&self, state: &State, id: ReplicaId, to: View) -> bool {
        let others = self.honest().filter(|&other| other != id);
        let mut at_or_above = self.byzantine_vote();
        let mut exactly = self.config.byzantine().is_some();
        for other in others {
            let sent = &state.replica(other).sent.view_changes[to.index()..];
            at_or_above += u8::from(sent.iter().any(Option::is_some));
            exactly |= sent.first().is_some_and(Option::is_some);
        }
        exactly && at_or_above >= self.config.quorums().weak
    }

    /// Stops taking part in the old view and sends VIEW-CHANGE with P, the prepared certificates above h.
    pub(crate) fn start_view_change(
        &self,
        replica: &mut ReplicaState,
        id: ReplicaId,
        to: View,
        proven: Slot,
    ) {
        let view_change =
            ViewChange { low_water_mark: proven, prepared: self.prepared_set(replica) };
        replica.sent.view_changes[to.index()] = Some(view_change);
        if self.breaks(Mutant::VotesAfterViewChange) && self.primary(to) != id {
            return;
        }
        replica.view = to;
        replica.active = false;
        replica.accepted = [Value::NONE; MAX_SLOTS];
    }

    /// P: per slot the certificate with the highest view, whatever view that was.
    fn prepared_set(&self, replica: &ReplicaState) -> [Option<Certificate>; MAX_SLOTS] {
        if self.breaks(Mutant::POmitted) {
            return [None; MAX_SLOTS];
        }
        let last_view_only = self.breaks(Mutant::PFromLastViewOnly);
        replica.certificates.map(|certificate| {
            certificate.filter(|certificate| !last_view_only || certificate.view == replica.view)
        })
    }

    /// Restarts exist only under the mutants that forget something.
    pub(crate) fn restarts(&self, state: &State, id: ReplicaId, actions: &mut Vec<Action>) {
        let forgets = match self.mutant() {
            Some(
                Mutant::RestartForgetsAccepted
                | Mutant::RestartForgetsCertificate
                | Mutant::RestartForgetsViewChange,
            ) => true,
            Some(_) | None => false,
        };
        if forgets {
            let mut restarted = *state.replica(id);
            self.restart(&mut restarted, id);
            if restarted != *state.replica(id) {
                actions.push(Action::Restart { replica: id });
            }
        }
    }

    /// What is left of a replica after a restart under a mutant that forgets.
    pub(crate) fn restart(&self, replica: &mut ReplicaState, id: ReplicaId) {
        if self.breaks(Mutant::RestartForgetsAccepted) {
            replica.accepted = [Value::NONE; MAX_SLOTS];
        }
        if self.breaks(Mutant::RestartForgetsCertificate) {
            replica.certificates = [None; MAX_SLOTS];
        }
        if self.breaks(Mutant::RestartForgetsViewChange) && !replica.active {
            replica.forget_view_change(self.primary(replica.view) == id);
        }
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
