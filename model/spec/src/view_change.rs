//! Leaving a view, §4.4 and §4.5.2: VIEW-CHANGE and the join rule.
//!
//! Time is not modelled. A replica may leave its view at any moment, as if its timer had expired or it had
//! reason to suspect the primary: safety must not depend on when.

use crate::Pbft;
use crate::action::Action;
use crate::ids::{MAX_SLOTS, ReplicaId, View};
use crate::rules;
use crate::state::{ReplicaState, State, ViewChange};
use crate::value::Value;

impl Pbft {
    /// To the next view at any time; further by the join rule: f+1 others have asked for views above mine, and
    /// I join the smallest of theirs (§4.5.2).
    pub(crate) fn view_changes(&self, state: &State, id: ReplicaId, actions: &mut Vec<Action>) {
        let view = state.replica(id).view;
        for to in (view.0 + 1..=self.config.max_view().0).map(View) {
            let own_timer = to == view.next();
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
        let mut enough = self.byzantine_votes();
        let mut exactly = enough > 0;
        for other in self.honest().filter(|&other| other != id) {
            let sent = &state.sent(other).view_changes;
            if self.is_silent() {
                let repeated = state.replica(other).view;
                let heard = self.repeats_view_change(state, other, repeated)
                    && sent[repeated.index()].is_some();
                enough += u8::from(heard && repeated >= to);
                exactly |= heard && repeated == to;
                continue;
            }
            enough += u8::from(sent[to.index()..].iter().any(Option::is_some));
            exactly |= sent[to.index()].is_some();
        }
        rules::join(enough, self.quorums().weak, exactly)
    }
}

impl ReplicaState {
    /// Stops taking part in the old view and sends VIEW-CHANGE with h and P: for each slot above h the prepared certificate
    /// with the highest view, whatever view that was.
    pub(crate) fn start_view_change(&mut self, to: View) {
        let (low_water_mark, prepared) = (self.low_water_mark, self.certificates);
        self.sent.view_changes[to.index()] = Some(ViewChange { low_water_mark, prepared });
        self.view = to;
        self.active = false;
        self.accepted = [Value::NONE; MAX_SLOTS];
    }
}
