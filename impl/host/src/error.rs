//! Why a host cannot go on.

use crate::codec::CodecError;
use pbft_core::types::{ClientId, Digest, SeqNum};
use pbft_core::{HaltReason, Rejection};
use thiserror::Error;

/// The service panicked on an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePanic {
    /// The batch.
    pub seq: SeqNum,
    /// Whose operation it was.
    pub client: ClientId,
    /// The digest of the request.
    pub request: Digest,
    /// What the service said.
    pub message: String,
}

/// Why a host cannot go on. `E` is its disk's.
#[derive(Debug, Error)]
pub enum HostError<E: std::error::Error + 'static> {
    /// The disk failed; what is on it is not known.
    #[error(transparent)]
    Disk(E),
    /// It must not go on, and the disk does not take that: if it is started again it does not know.
    #[error("this replica has halted: {reason}; that cannot be recorded: {error}")]
    HaltedUnrecorded {
        /// Why it must not go on.
        reason: HaltReason,
        /// Why that cannot be recorded.
        error: Box<E>,
    },
    /// The service panicked on an operation, and the cluster's configuration says to stop then.
    #[error("the service panicked on request {} of batch {}: {}", .0.request, .0.seq, .0.message)]
    ServicePanicked(ServicePanic),
    /// The replica did not accept the answer to its own request.
    #[error("the replica refused its service's answer: {0}")]
    Completion(Rejection),
    /// A message cannot be written.
    #[error("a message cannot be encoded: {0}")]
    Codec(#[from] CodecError),
}
