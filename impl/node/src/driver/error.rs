//! Why a driver ends.

use crate::codec::CodecError;
use crate::store::StoreError;
use crate::supervise::Crash;
use pbft_core::types::{Digest, SeqNum};
use pbft_core::{HaltReason, Rejection};
use pbft_host::{HostError, ServicePanic};
use thiserror::Error;

/// Why a driver ended by itself. The process must not go on.
#[derive(Debug, Error)]
pub enum DriverError {
    /// The store failed; what is on the disk is not known.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The protocol says that this replica must not go on.
    #[error(
        "this replica has halted: {0}. It stays so, also after a restart: compare it with the others (`pbft hash`), find \
         out why, then let it fetch their state with `pbft recover`"
    )]
    Halted(HaltReason),
    /// It must not go on, and the disk does not take that: if it is started again it does not know.
    #[error(
        "this replica has halted: {reason}. That cannot be recorded ({error}), so that it would not know after a restart. \
         Do not start it again: compare it with the others (`pbft hash`), find out why, mend its disk, then let it fetch \
         their state with `pbft recover`"
    )]
    HaltedUnrecorded {
        /// Why it must not go on.
        reason: HaltReason,
        /// Why that cannot be recorded.
        error: Box<StoreError>,
    },
    /// The service panicked on an operation, and the cluster's configuration says to stop then.
    #[error(
        "the service panicked on request {request} of batch {seq}: {message}. Nothing of the batch was executed; with \
         `on_service_panic = \"stop\"` the replica goes on when it is started with a service that does not panic on it"
    )]
    ServicePanicked {
        /// The batch.
        seq: SeqNum,
        /// The digest of the request.
        request: Digest,
        /// What the service said.
        message: String,
    },
    /// The replica did not accept the answer to its own request.
    #[error("the replica refused its service's answer: {0}; this is a bug, please report it")]
    Completion(Rejection),
    /// A message cannot be written.
    #[error("a message cannot be encoded: {0}; this is a bug, please report it")]
    Codec(#[from] CodecError),
    /// There is no thread for it.
    #[error("cannot start the driver's thread: {0}; check ulimit -u")]
    Thread(std::io::Error),
    /// A task of the replica has panicked.
    #[error(transparent)]
    Crashed(#[from] Crash),
    /// The parameters' messages would not fit into frames.
    #[error("messages could be larger than any frame; lower `window` or `operation_bytes_max`")]
    FramesTooLarge,
}

impl From<HostError<StoreError>> for DriverError {
    fn from(error: HostError<StoreError>) -> Self {
        match error {
            HostError::Disk(error) => Self::Store(error),
            HostError::HaltedUnrecorded { reason, error } => {
                Self::HaltedUnrecorded { reason, error }
            }
            HostError::ServicePanicked(ServicePanic { seq, request, message, .. }) => {
                Self::ServicePanicked { seq, request, message }
            }
            HostError::Completion(rejection) => Self::Completion(rejection),
            HostError::Codec(error) => Self::Codec(error),
        }
    }
}
