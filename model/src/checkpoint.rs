//! Checkpoints, §4.3: stability, garbage collection, state transfer.

use crate::Pbft;
use crate::action::Action;
use crate::ids::{ReplicaId, Slot};
use crate::mutant::Mutant;
use crate::rules;
use crate::state::{ReplicaState, State, StateDigest};
use crate::value::{Applied, ValueSet};

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
            let mut digests = self.stable_digests(state, slot);
            if self.breaks(Mutant::StateTransferUnverified) && self.config.is_checkpoint(slot) {
                digests.extend(self.invented_states());
            }
            let checkpoint = self.config.is_checkpoint(slot);
            let allowed = rules::transfer(slot, replica.last_executed, checkpoint, true);
            for digest in digests.into_iter().filter(|_| allowed.is_ok()) {
                actions.push(Action::StateTransfer { replica: id, slot, digest });
            }
        }
    }

    /// States that a lying source may send to a replica that does not check them: any one request applied.
    pub(crate) fn invented_states(&self) -> Vec<StateDigest> {
        if self.byzantine_votes() == 0 {
            return Vec::new();
        }
        let one = |value| {
            let mut digest = StateDigest { applied: Applied::default(), served: ValueSet::EMPTY };
            digest.applied.push(value);
            digest.served.insert(value);
            digest
        };
        self.requests().map(one).collect()
    }

    /// The last checkpoint at or below h that q CHECKPOINTs prove. It is h itself in the correct protocol, where
    /// h moves on proof only.
    pub(crate) fn proven_checkpoint(&self, state: &State, replica: &ReplicaState) -> Slot {
        let proven = Slot::GENESIS
            .until(replica.low_water_mark)
            .rfind(|&slot| !self.stable_digests(state, slot).is_empty());
        proven.unwrap_or_default()
    }
}

impl ReplicaState {
    /// Adopts the state of a stable checkpoint. It executed none of the slots below, so it has nothing to say
    /// about them: history stays empty there and no CHECKPOINT is sent.
    pub(crate) fn transfer(&mut self, slot: Slot, digest: StateDigest, with_replies: bool) {
        self.last_executed = slot;
        self.applied = digest.applied;
        if with_replies {
            self.served = digest.served;
        }
        self.collect_garbage(slot);
    }
}
