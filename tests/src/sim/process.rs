//! What goes into a process and what comes out of it.

use super::disk::DiskError;
use core::time::Duration;
use pbft_core::message::{Message, Reply, Signed};
use pbft_core::types::{ClientId, ReplicaId};
use pbft_core::{HaltReason, Rejection, Timer};
use pbft_node::frame::{FrameError, ReplicaFrame};

/// Why a process does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Down {
    /// It was ended from outside.
    Crashed,
    /// It ended itself, or refused to start, because of its disk.
    Disk(DiskError),
    /// The core stopped it.
    Halted(HaltReason),
}

/// What leaves a process.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// To all other replicas.
    All(Message),
    /// To one.
    To(ReplicaId, Message),
    /// To the client that it names.
    Reply(Signed<Reply>),
    /// To a client whose request is not worked on.
    Refused(ClientId, ReplicaFrame),
}

/// What a process did with an event.
#[derive(Debug, Default)]
pub struct Done {
    /// What left it, in order.
    pub said: Vec<Said>,
    /// Timers that were set, or stopped.
    pub timers: Vec<(Timer, Option<Duration>)>,
    /// The most frames that may leave before the process ends.
    pub cut: Option<u8>,
}

/// Why a frame does not become an input.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Unread {
    /// It is no frame of its kind; the node closes such a connection.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// It does not verify.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// It will not be worked on, and its client is told.
    #[error("refused")]
    Refused(Box<ReplicaFrame>),
    /// It asks for something else than an execution.
    #[error("no request")]
    NoRequest,
}
