//! Leaving a view, §4.4 and §4.5.2: VIEW-CHANGE and the join rule.
//!
//! Time is not modelled. A replica may leave its view at any moment, as if its timer had expired or it had
//! reason to suspect the primary: safety must not depend on when.

use crate::Pbft;
use crate::action::Action;
use crate::ids::{MAX_SLOTS, ReplicaId, Slot, View};
use crate::mutant::Mutant;
use crate::rules;
use crate::state::{Certificate, ReplicaState, State, ViewChange};
use crate::value::Value;

impl Pbft {
    /// To the next view at any time; further by the join rule: f+1 others have asked for views above mine, and
    /// I join the smallest of theirs (§4.5.2).
    pub(crate) fn view_changes(&self, state: &State, id: ReplicaId, actions: &mut Vec<Action>) {
        let view = state.replica(id).view;
        if self.breaks(Mutant::NoTimerInViewChange) && !state.replica(id).active {
            return;
        }
        for to in (view.0 + 1..=self.config.max_view().0).map(View) {
            let own_timer = to == view.next();
            // A replica that does not stop voting (a mutant) has sent this one before.
            let sent = state.replica(id).sent.view_changes[to.index()].is_some();
            let can_join = || self.can_join(state, id, to);
            if rules::leave(to > view, sent, own_timer, can_join).is_ok() {
                actions.push(Action::StartViewChange { replica: id, to });
            }
        }
    }

    /// Whether some f+1 VIEW-CHANGEs of distinct other replicas have `to` as their smallest view. A sender's
    /// earlier VIEW-CHANGEs count too, since messages may be late.
    pub(crate) fn can_join(&self, state: &State, id: ReplicaId, to: View) -> bool {
        if self.breaks(Mutant::NoJoin) {
            return false;
        }
        let any_above = self.breaks(Mutant::JoinTakesHighest);
        let lowest = if any_above { state.replica(id).view.next() } else { to };
        let mut enough = self.byzantine_votes();
        let mut exactly = enough > 0;
        for other in self.honest().filter(|&other| other != id) {
            let sent = &state.sent(other).view_changes;
            if self.is_silent() {
                let repeated = state.replica(other).view;
                let heard = self.repeats_view_change(state, other, repeated)
                    && sent[repeated.index()].is_some();
                enough += u8::from(heard && repeated >= lowest);
                exactly |= heard && repeated == to;
                continue;
            }
            enough += u8::from(sent[lowest.index()..].iter().any(Option::is_some));
            exactly |= sent[to.index()].is_some();
        }
        let needed = if self.breaks(Mutant::JoinOnOne) { 1 } else { self.quorums().weak };
        rules::join(enough, needed, exactly)
    }

    /// Stops taking part in the old view and sends VIEW-CHANGE with P, the prepared certificates above h.
    pub(crate) fn start_view_change(
        &self,
        replica: &mut ReplicaState,
        id: ReplicaId,
        to: View,
        proven: Slot,
    ) {
        let low_water_mark =
            if self.breaks(Mutant::ViewChangeOmitsH) { Slot::GENESIS } else { proven };
        let view_change = ViewChange { low_water_mark, prepared: self.prepared_set(replica) };
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
        let mut prepared = replica.certificates.map(|certificate| {
            certificate.filter(|certificate| !last_view_only || certificate.view == replica.view)
        });
        if self.breaks(Mutant::POnlyForCommitted) {
            let executed = Slot::GENESIS.until(replica.last_executed).count();
            prepared[executed..].fill(None);
        }
        prepared
    }
}
