//! Everything that can happen to a replica.

use crate::crypto::Verified;
use crate::manifest::{ChunkId, Manifest};
use crate::message::Message;
use crate::replies::ReplyTable;
use crate::types::{Digest, ReplicaId, SeqNum};
use std::sync::Arc;

/// One event at one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A replica's message, with all its signatures checked.
    Message {
        /// The replica on whose authenticated channel it came.
        from: ReplicaId,
        /// The message.
        message: Verified<Message>,
    },
    /// A client's request ([`Message::Request`]), straight from the client.
    Request(Verified<Message>),
    /// A timer that [`crate::Effect::SetTimer`] set ran out.
    Timer(Timer),
    /// Something outside the protocol suspects the primary: an operator, or a detector of slow primaries. The
    /// replica starts a view change, as it would when its timer runs out; safety never depends on why.
    Suspect,
    /// The service executed what [`crate::Effect::Execute`] asked for.
    Executed {
        /// The sequence number of the effect.
        seq: SeqNum,
        /// One result a request of the effect, in its order.
        results: Vec<Arc<[u8]>>,
        /// The service state's chunks, if the effect asked for a checkpoint.
        chunks: Option<Vec<ChunkId>>,
    },
    /// The state that [`crate::Effect::Install`] asked for is the service's state now.
    Installed {
        /// The checkpoint's sequence number.
        seq: SeqNum,
        /// Its reply table.
        replies: ReplyTable,
    },
}

/// The timers of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Protects the oldest waiting request, or the start of a new view (§4.4).
    ViewChange,
    /// Tells the peers what this replica has; always running.
    Status,
    /// Bounds how long the primary waits for a batch to fill ([`crate::Params::batch_delay`]).
    Batch,
}

/// What the service's store knows when a replica restarts.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ServiceState {
    /// The last batch executed.
    pub last_executed: SeqNum,
    /// The reply table after it.
    pub replies: ReplyTable,
    /// The stored checkpoints, for serving state.
    pub manifests: Vec<Manifest>,
    /// The chunks that are staged for a transfer that a crash has ended: they need not be fetched again.
    pub staged: Vec<Digest>,
}
