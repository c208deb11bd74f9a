//! Batches: a digest is of no use without what it stands for.
//!
//! A PRE-PREPARE travels with its batch; everything else names the batch by its digest: PREPAREs, certificates, COMMITs,
//! the PRE-PREPAREs of O. Whoever sees only the digest must get the batch from somebody who keeps it.
//!
//! *Who keeps it*: a replica that has proposed, accepted or executed a batch, whatever views it leaves and also across a
//! crash, until a stable checkpoint covers the slot. So it follows from what the replica has said, and takes no state. A
//! certificate has q−f honest signers at least, and each of them keeps the batch.
//!
//! *In the steps of the model* a batch is there if it was ever sent: an answer that was asked for earlier may arrive late,
//! and a Byzantine replica may serve whatever it has seen. So nothing is asked there. *In the schedule of
//! [`crate::progress`]* the Byzantine replicas serve nothing and nothing is under way: there a batch exists exactly where
//! an honest replica keeps it.

use crate::Pbft;
use crate::ids::Slot;
use crate::state::{NewView, ReplicaState, State};
use crate::value::{Value, ValueSet};

impl Pbft {
    /// Whether a replica has, or can get, every batch that O names above its h.
    pub(crate) fn has_batches(
        &self,
        state: &State,
        replica: &ReplicaState,
        outcome: &NewView,
    ) -> bool {
        let mut slots = replica.low_water_mark.max(outcome.min_s).until(outcome.max_s);
        slots.all(|slot| self.has_batch(state, slot, outcome.order[slot.index()]))
    }

    /// Whether a batch for the slot can be had by whoever knows its digest.
    pub(crate) fn has_batch(&self, state: &State, slot: Slot, value: Value) -> bool {
        !self.is_silent() || self.honest_states(state).any(|one| self.keeps(one, slot, value))
    }

    /// Whether a replica keeps a batch for a slot. Everybody has the null batch.
    pub(crate) fn keeps(&self, replica: &ReplicaState, slot: Slot, value: Value) -> bool {
        if value == Value::NULL {
            return true;
        }
        let at = slot.index();
        let of_view = replica.accepted[at] == value || replica.executed[at] == value;
        let prepared = replica.certificates[at].is_some_and(|one| one.value == value);
        let kept = of_view || prepared || replica.has_named(slot, value);
        kept && replica.low_water_mark < slot
    }
}

impl ReplicaState {
    /// Whether it has proposed or accepted the value in some view. If nobody reads its votes any more and a reduction has
    /// forgotten them, a certificate that it has shown says as much.
    fn has_named(&self, slot: Slot, value: Value) -> bool {
        let voted = self.sent.prepares.iter().map(|slots| slots[slot.index()]);
        let shown = self.sent.view_changes.iter().flatten();
        let mut shown = shown.filter_map(|one| one.prepared[slot.index()]);
        voted.fold(ValueSet::EMPTY, ValueSet::union).contains(value)
            || shown.any(|certificate| certificate.value == value)
    }
}
