//! How model and theorem can differ.

use pbft_proof::instance::NoStep;
use pbft_proof::theory::TheoryError;

use pbft_model::ids::{ReplicaId, Slot};
use pbft_model::value::Value;

/// Where model and theorem differ.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// Two batches are decided for one slot.
    #[error("{first} and {second} are decided at {slot}")]
    TwoDecisions {
        /// The slot.
        slot: Slot,
        /// A batch.
        first: Value,
        /// Another one.
        second: Value,
    },
    /// A replica's state includes a slot for which nothing is decided.
    #[error("{replica} is beyond {slot}, for which nothing is decided")]
    Undecided {
        /// The replica.
        replica: ReplicaId,
        /// The slot.
        slot: Slot,
    },
    /// A CHECKPOINT signs another state than the decided batches give.
    #[error("the CHECKPOINT of {replica} at {slot} is for another state than what is decided")]
    OtherState {
        /// The replica.
        replica: ReplicaId,
        /// The slot.
        slot: Slot,
    },
    /// Something that is no batch of the configuration.
    #[error("{value} is no batch")]
    NoBatch {
        /// What it is.
        value: Value,
    },
    /// Parts of the invariant that do not hold.
    #[error("the theorem's invariant does not hold: {}", .0.join(", "))]
    Broken(Vec<String>),
    /// A step that is none of the theorem's.
    #[error("{action} is no step of the theorem's system: {reason}")]
    Step {
        /// The model's step.
        action: String,
        /// What is missing.
        reason: NoStep,
    },
}

/// Why there is no theorem to compare with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TheoremError {
    /// The theory cannot be read.
    #[error("the theorem cannot be read: {0}")]
    Theory(#[from] TheoryError),
    /// It lacks a relation.
    #[error("the theorem has no relation `{0}`")]
    NoRelation(&'static str),
}
