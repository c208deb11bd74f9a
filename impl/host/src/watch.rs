//! Who sees what a host does.

use crate::error::ServicePanic;
use pbft_core::evidence::Contradiction;
use pbft_core::message::StatePart;
use pbft_core::types::{ReplicaId, SeqNum};
use pbft_core::{Effect, Input, Rejection, Replica};

/// A part of a state that a peer asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// The peer.
    pub to: ReplicaId,
    /// The checkpoint.
    pub seq: SeqNum,
    /// The part.
    pub part: StatePart,
    /// Its length; `None` if it is not here any more.
    pub bytes: Option<usize>,
}

/// Sees every step of one replica, and what else is worth counting. Nothing of a step has left the host when it is seen.
pub trait Watcher<D> {
    /// `replica` is about to handle `input`. `disk` has what earlier effects changed, this group's included.
    fn before_step(&mut self, input: &Input, replica: &Replica, disk: &D);

    /// `replica` has handled it, with this outcome.
    fn after_step(&mut self, outcome: &Result<Vec<Effect>, Rejection>, replica: &Replica);

    /// An effect is about to be performed, of a step or of the recovery. `disk` has what the effects before it changed.
    fn on_effect(&mut self, _effect: &Effect, _disk: &D) {}

    /// A peer asked for a part of a state.
    fn on_serve(&mut self, _replica: &Replica, _served: Served) {}

    /// Evidence of a fault is kept.
    fn on_evidence(&mut self, _contradiction: &Contradiction) {}

    /// The service panicked, and what it did was undone.
    fn on_service_panic(&mut self, _panic: &ServicePanic) {}
}
