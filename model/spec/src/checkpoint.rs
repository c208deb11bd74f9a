//! Checkpoints, §4.3: stability, garbage collection, state transfer.

use crate::Pbft;
use crate::action::Action;
use crate::ids::{ReplicaId, Slot};
use crate::rules;
use crate::state::{ReplicaState, State, StateDigest};

impl Pbft {
    /// A checkpoint is stable when q CHECKPOINTs match; a replica that has the state itself moves its low water
    /// mark there.
    pub(crate) fn stabilisations(&self, state: &State, id: ReplicaId, actions: &mut Vec<Action>) {
        let replica = state.replica(id);
        let (low, executed) = (replica.low_water_mark, replica.last_executed);
        for slot in low.until(executed) {
            let checkpoint = self.config.is_checkpoint(slot);
            let own = replica.sent.checkpoints[slot.index()];
            // Own CHECKPOINT counts only once it is sent, which is when the state is on disk.
            let votes = || own.map_or(0, |own| self.checkpoint_votes(state, slot, own));
            let proven = || votes() >= self.checkpoints_needed() || self.has_proof(state, slot);
            if rules::stabilise(slot, low, executed, checkpoint, own.is_some(), proven).is_ok() {
                actions.push(Action::Stabilise { replica: id, slot });
            }
        }
    }

    /// A replica that has not executed up to a stable checkpoint fetches the state with the digest that is proven.
    pub(crate) fn state_transfers(&self, state: &State, id: ReplicaId, actions: &mut Vec<Action>) {
        let replica = state.replica(id);
        for slot in replica.last_executed.until(self.config.last_slot()) {
            let checkpoint = self.config.is_checkpoint(slot);
            if rules::transfer(slot, replica.last_executed, checkpoint, true).is_err() {
                continue;
            }
            let digests = self.stable_digests(state, slot);
            let transfer = |digest| Action::StateTransfer { replica: id, slot, digest };
            actions.extend(digests.into_iter().map(transfer));
        }
    }
}

impl ReplicaState {
    /// Adopts the state of a stable checkpoint. It executed none of the slots below, so it has nothing to say
    /// about them: history stays empty there and no CHECKPOINT is sent.
    pub(crate) fn transfer(&mut self, slot: Slot, digest: StateDigest) {
        self.last_executed = slot;
        self.applied = digest.applied;
        self.served = digest.served;
        self.collect_garbage(slot);
    }
}
