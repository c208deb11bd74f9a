//! What travels in frames, and how large each kind may be.
//!
//! After the TLS handshake both ends send a [`Hello`]. A replica's connection to another then carries
//! [`Message`]s, one way. A client's connection carries [`ClientFrame`]s to the replica and [`ReplicaFrame`]s back.

use crate::codec::{self, CodecError, FRAME_BYTES_MAX};
use pbft_core::client::Spent;
use pbft_core::message::{Message, Reply, Request, Signed};
use pbft_core::size::{CHECKPOINT, ID, LIST, NUMBER, REPLY, REQUEST, SIGNATURE, STATUS, VOTE};
use pbft_core::types::{Digest, Lane, ReplicaId, SeqNum, Timestamp, View};
use pbft_core::{Params, Position, Rejection, Standing};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use thiserror::Error;

/// The version of everything on the wire; there is exactly one, and no negotiation.
pub const WIRE_VERSION: u16 = 3;

/// The largest part of a state that is transferred in one frame: a manifest, a reply table, or a chunk.
pub const STATE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The first frame in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`WIRE_VERSION`].
    pub version: u16,
    /// The cluster id, which covers the whole configuration that must be the same everywhere.
    pub cluster: Digest,
    /// How far the accepting replica has come, and whether it votes, for one that has lost its memory.
    /// The dialing end says nothing here.
    pub position: Position,
}

/// The most bytes of a [`Hello`].
pub const HELLO_BYTES: usize = 2 + 32 + 2 * NUMBER + STANDING;

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientFrame {
    /// An operation to order and execute.
    Request(Arc<Signed<Request>>),
    /// Asks how the replica is; nothing of the answer is ordered.
    StatusRequest,
    /// Asks the service about this replica's state; nothing of the answer is ordered.
    Query {
        /// Comes back with the answer.
        number: u64,
        /// What the service is asked.
        #[serde(with = "pbft_core::octets")]
        query: Vec<u8>,
    },
}

/// The answer to a query: the last batch executed in the state that it is about, and what the service says; or why
/// there is none.
pub type QueryAnswer = Result<(SeqNum, Vec<u8>), RefusalReason>;

/// What a client receives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplicaFrame {
    /// The result of an operation.
    Reply(Signed<Reply>),
    /// The replica will not work on a request. One replica's refusal proves nothing; f+1 do.
    Refused {
        /// The request's lane.
        lane: Lane,
        /// The request's timestamp.
        timestamp: Timestamp,
        /// The request's digest: all connections of a client hear of it, and some may be another process's.
        request: Digest,
        /// Why.
        reason: RefusalReason,
    },
    /// How the replica is.
    Status(StatusReport),
    /// The answer to a query.
    Answer {
        /// The query's number.
        number: u64,
        /// What the service says.
        answer: QueryAnswer,
    },
}

impl ReplicaFrame {
    /// Says that `request` is refused.
    pub fn refusal(request: &Request, reason: RefusalReason) -> Self {
        let Request { lane, timestamp, .. } = *request;
        Self::Refused { lane, timestamp, request: request.digest(), reason }
    }
}

/// Why a replica refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Error)]
pub enum RefusalReason {
    /// Too much waits already.
    #[error("the replica is overloaded; try again later")]
    Overloaded,
    /// The operation is larger than `operation_bytes_max`.
    #[error("the operation is larger than the cluster allows")]
    OperationTooLarge,
    /// The lane is not below `lanes_max`.
    #[error("the lane is higher than the cluster allows")]
    LaneTooHigh,
    /// The lane is at a later timestamp already.
    #[error("the timestamp is not above the lane's last, {last}")]
    OldTimestamp {
        /// The lane's.
        last: Timestamp,
    },
    /// Another request with this timestamp was executed.
    #[error("this timestamp was used for another operation: is this key used elsewhere?")]
    UsedForAnother,
    /// The timestamp is above [`Timestamp::MAX`].
    #[error("the timestamp is above {}, the highest possible", Timestamp::MAX)]
    TimestampTooHigh,
    /// The request is not signed by the client whose connection this is.
    #[error("the request is not signed by this connection's client")]
    NotYours,
    /// The replica does not take this client's message authentication codes now; with a signature it does.
    #[error("the replica asks for a signature in the place of message authentication codes")]
    NotSigned,
    /// A query failed at this replica; see its log.
    #[error("the replica cannot answer the query; see its log")]
    Unanswered,
}

impl RefusalReason {
    /// What a client is told of the rejection of its request; nothing, if it can do nothing about it.
    pub fn of(rejection: &Rejection) -> Option<Self> {
        match rejection {
            Rejection::OperationTooLarge { .. } => Some(Self::OperationTooLarge),
            Rejection::LaneTooHigh { .. } => Some(Self::LaneTooHigh),
            Rejection::OldTimestamp { last, .. } => Some(Self::OldTimestamp { last: *last }),
            Rejection::UsedForAnother { .. } => Some(Self::UsedForAnother),
            Rejection::TimestampTooHigh { .. } => Some(Self::TimestampTooHigh),
            Rejection::NotSigned { .. } => Some(Self::NotSigned),
            _ => None,
        }
    }

    /// What the client's machine has to know of it.
    pub fn spent(self) -> Option<Spent> {
        match self {
            Self::OldTimestamp { last } => Some(Spent::Old { last }),
            Self::UsedForAnother => Some(Spent::ForAnother),
            Self::Overloaded
            | Self::NotSigned
            | Self::OperationTooLarge
            | Self::LaneTooHigh
            | Self::TimestampTooHigh
            | Self::NotYours
            | Self::Unanswered => None,
        }
    }

    /// The variant's name, for metrics.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::OperationTooLarge => "operation-too-large",
            Self::LaneTooHigh => "lane-too-high",
            Self::OldTimestamp { .. } => "old-timestamp",
            Self::UsedForAnother => "used-for-another",
            Self::TimestampTooHigh => "timestamp-too-high",
            Self::NotYours => "not-yours",
            Self::NotSigned => "not-signed",
            Self::Unanswered => "unanswered",
        }
    }
}

/// How a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The replica.
    pub replica: ReplicaId,
    /// Its view.
    pub view: View,
    /// Whether it takes part in the view.
    pub active: bool,
    /// Its last stable checkpoint.
    pub low_water_mark: SeqNum,
    /// The digest of that checkpoint; `None` for the initial state.
    pub checkpoint: Option<Digest>,
    /// The last batch that it executed.
    pub last_executed: SeqNum,
    /// The digest of the service's state after it; `None` while the state cannot be read, since the disk is full.
    pub state: Option<Digest>,
    /// Whether it votes.
    pub standing: Standing,
    /// How often its store was opened.
    pub incarnation: u64,
    /// The replicas against whom it keeps evidence, a bit for each.
    pub accused: u128,
}

impl StatusReport {
    /// The replicas against whom it keeps evidence.
    pub fn accused(&self) -> impl Iterator<Item = ReplicaId> {
        let accused = self.accused;
        (0..u128::BITS).filter(move |id| (accused >> id) & 1 == 1).map(ReplicaId)
    }
}

/// A frame that is larger than its kind can be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// It is larger than its kind can be.
    #[error("a {kind} of {len} bytes, at most {max} are possible")]
    TooLarge {
        /// The kind of message.
        kind: &'static str,
        /// The frame's length.
        len: usize,
        /// The bound.
        max: usize,
    },
    /// It cannot be read.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

const TAG: usize = 4;
const STANDING: usize = TAG + 2 * NUMBER;

/// The most bytes of each kind of frame, computed from the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    request: usize,
    batch: usize,
    committed: usize,
    stable: usize,
    view_change: usize,
    new_view: usize,
    reply: usize,
}

impl FrameLimits {
    /// The limits of a cluster with these parameters.
    pub fn new(params: &Params) -> Self {
        let (quorum, window) = (params.membership.quorum(), params.window_len());
        let batch = LIST
            .saturating_add(params.batch_requests_max.saturating_mul(REQUEST))
            .saturating_add(params.batch_bytes_max());
        let stable = LIST + quorum * CHECKPOINT;
        let certificate = VOTE + LIST + params.membership.prepares() * VOTE;
        let view_change =
            2 * NUMBER + stable + LIST + window.saturating_mul(certificate) + ID + SIGNATURE;
        let new_view = NUMBER
            + LIST
            + quorum.saturating_mul(view_change)
            + LIST
            + window.saturating_mul(VOTE)
            + ID
            + SIGNATURE;
        Self {
            request: REQUEST.saturating_add(params.operation_bytes_max),
            batch,
            committed: batch.saturating_add(LIST + quorum * VOTE),
            stable,
            view_change,
            new_view,
            reply: REPLY.saturating_add(params.result_bytes_max),
        }
    }

    /// The kinds of frames between replicas that may be the largest, their most bytes without the tag, and the parameters
    /// that these follow from.
    fn between_replicas(&self) -> [(&'static str, usize, &'static str); 6] {
        let certificates = "the number of replicas, window";
        let batches = "batch_requests_max, operation_bytes_max";
        [
            ("state-data", 2 * NUMBER + LIST + STATE_BYTES_MAX, ""),
            ("request", self.request, "operation_bytes_max"),
            ("pre-prepare", self.batch.saturating_add(VOTE), batches),
            ("committed", self.committed, batches),
            ("view-change", self.view_change, certificates),
            ("new-view", self.new_view, certificates),
        ]
    }

    /// The largest frame between replicas.
    pub fn peer_frame(&self) -> usize {
        let sizes = self.between_replicas().map(|(_, bytes, _)| bytes);
        sizes.into_iter().fold(0, usize::max).saturating_add(TAG)
    }

    /// The largest frame from a client.
    pub fn client_frame(&self) -> usize {
        self.request.saturating_add(TAG)
    }

    /// The largest frame to a client.
    pub fn replica_frame(&self) -> usize {
        self.reply.max(256).saturating_add(TAG)
    }

    /// The largest frame of all: its kind, its most bytes, and the parameters that these follow from.
    pub fn largest(&self) -> (&'static str, usize, &'static str) {
        let reply = ("reply", self.reply, "result_bytes_max");
        let kinds = [reply].into_iter().chain(self.between_replicas());
        let largest = kinds.max_by_key(|(_, bytes, _)| *bytes).unwrap_or_default();
        (largest.0, largest.1.saturating_add(TAG), largest.2)
    }

    /// Whether every frame fits into what the codec allows.
    pub fn are_possible(&self) -> bool {
        self.largest().1 <= FRAME_BYTES_MAX
    }

    /// The most bytes of a message of the kind with this tag, and the kind's name.
    fn of_tag(&self, tag: u32) -> Option<(&'static str, usize)> {
        let (kind, len) = match tag {
            0 => ("request", self.request),
            1 => ("pre-prepare", VOTE.saturating_add(self.batch)),
            2 => ("prepare", VOTE),
            3 => ("commit", VOTE),
            4 => ("checkpoint", CHECKPOINT),
            5 => ("view-change", self.view_change),
            6 => ("new-view", self.new_view),
            7 => ("status", STATUS),
            8 => ("committed", self.committed),
            9 => ("stable", self.stable),
            10 => ("fetch-batch", 32),
            11 => ("batch", self.batch),
            12 => ("fetch-state", 2 * NUMBER),
            13 => ("state-data", 2 * NUMBER + LIST + STATE_BYTES_MAX),
            _ => return None,
        };
        Some((kind, len.saturating_add(TAG)))
    }

    /// Reads a client's frame if it is a query.
    pub fn decode_query(&self, frame: &[u8]) -> Option<(u64, Vec<u8>)> {
        const TAG_OF_QUERY: [u8; 4] = 2u32.to_le_bytes();
        if frame.len() > self.client_frame() || !frame.starts_with(&TAG_OF_QUERY) {
            return None;
        }
        match codec::decode(frame) {
            Ok(ClientFrame::Query { number, query }) => Some((number, query)),
            Ok(ClientFrame::Request(_) | ClientFrame::StatusRequest) | Err(_) => None,
        }
    }

    /// Reads a replica's message, after its length was compared with what its kind can have.
    pub fn decode_message(&self, frame: &[u8]) -> Result<Message, FrameError> {
        let tag = frame.first_chunk::<4>().map(|tag| u32::from_le_bytes(*tag));
        if let Some((kind, max)) = tag.and_then(|tag| self.of_tag(tag)) {
            let len = frame.len();
            if len > max {
                return Err(FrameError::TooLarge { kind, len, max });
            }
        }
        Ok(codec::decode(frame)?)
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
