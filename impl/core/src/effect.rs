//! Everything a replica can ask of its caller. The order of a step's effects is part of the contract.

use crate::durable::Record;
use crate::input::Timer;
use crate::manifest::Manifest;
use crate::message::{Message, Reply, Request, Signed, StatePart};
use crate::types::{Digest, ReplicaId, SeqNum};
use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use thiserror::Error;

/// One thing to do. A caller performs a step's effects in order, and lets nothing leave the machine (send,
/// broadcast, reply, serve) before every earlier [`Effect::Persist`], [`Effect::Execute`] and
/// [`Effect::Install`] is durable. Many steps may share one write to disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write `Record` to the durable log. The records of one step become durable together or not at all.
    Persist(Record),
    /// Send to one replica.
    Send {
        /// The recipient.
        to: ReplicaId,
        /// The message.
        message: Message,
    },
    /// Send to all other replicas.
    Broadcast(Message),
    /// Apply requests to the service, in order, then answer with [`crate::Input::Executed`] before any other
    /// input. The service state, the reply table and `seq` become durable together, and together with the
    /// records of the step that the answer causes.
    Execute {
        /// The sequence number of the batch.
        seq: SeqNum,
        /// What is left of the batch without the requests that were executed before; may be empty.
        requests: Vec<Arc<Signed<Request>>>,
        /// Whether the answer must hold the service's chunks.
        checkpoint: bool,
    },
    /// Keep the state as it is now, to serve it under this manifest until the second checkpoint after it is stable
    /// ([`crate::manifest::oldest_kept`]).
    StoreCheckpoint {
        /// Sequence number and chunks.
        manifest: Manifest,
        /// The chunks of the reply table that changed since the checkpoint before.
        replies: Vec<Arc<[u8]>>,
    },
    /// Send a reply to its client, if it is connected.
    Reply(Signed<Reply>),
    /// Start a timer, or start it again.
    SetTimer {
        /// Which.
        timer: Timer,
        /// When it runs out.
        after: Duration,
    },
    /// Stop a timer.
    CancelTimer(Timer),
    /// Send a part of a stored checkpoint to a replica, as [`Message::StateData`].
    ServeState {
        /// The recipient.
        to: ReplicaId,
        /// The checkpoint.
        seq: SeqNum,
        /// The part.
        part: StatePart,
    },
    /// Keep a fetched chunk, already checked, until [`Effect::Install`], also over a restart.
    StageChunk {
        /// The chunk's digest.
        digest: Digest,
        /// Its bytes.
        bytes: Arc<[u8]>,
    },
    /// Let go of the staged chunks, but for those that are named here.
    RetainStaged {
        /// The chunks of the state that is fetched now; none when nothing is.
        needed: BTreeSet<Digest>,
    },
    /// Replace the service state and the reply table by the chunks of `manifest`, in one transaction, then answer with
    /// [`crate::Input::Installed`] before any other input. Each chunk is staged, or of a checkpoint that is kept. The
    /// new state becomes durable together with the records of the step that the answer causes, among them the proof
    /// that the state rests on. Nothing is staged any more then, and the checkpoint is kept, to serve it.
    Install {
        /// Sequence number and chunks.
        manifest: Manifest,
    },
    /// Stop: this replica must not go on, nor after a restart: [`Record::Halted`] comes before. Nothing else follows.
    Halt(HaltReason),
}

/// Why a replica stops by itself. It is recorded, so that no restart makes it go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
pub enum HaltReason {
    /// A quorum agrees on another state: this replica's service is not deterministic, or its store was changed
    /// from outside.
    #[error(
        "checkpoint {seq}: this replica's state has digest {ours}, a quorum's has {theirs}; \
         the service is not deterministic here, or its store was changed from outside"
    )]
    StateDiverged {
        /// The checkpoint.
        seq: SeqNum,
        /// This replica's digest.
        ours: Digest,
        /// The quorum's.
        theirs: Digest,
    },
    /// Two quorums decided differently: more than f replicas are faulty.
    #[error(
        "batch {seq} was committed as {first} and as {second}: more than f replicas are faulty"
    )]
    ConflictingCertificates {
        /// The sequence number.
        seq: SeqNum,
        /// One digest.
        first: Digest,
        /// The other.
        second: Digest,
    },
}
