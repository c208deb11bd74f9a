//! What a replica signs and is held to: votes, promises and orders. Whoever follows the protocol makes at most one at each
//! place, and all that the model's network holds is of these.

use pbft_core::message::Message;
use std::fmt;

/// A kind of message that a replica signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatementKind {
    /// PRE-PREPARE, on its own or in O.
    PrePrepare,
    /// PREPARE.
    Prepare,
    /// COMMIT.
    Commit,
    /// CHECKPOINT.
    Checkpoint,
    /// VIEW-CHANGE.
    ViewChange,
    /// NEW-VIEW.
    NewView,
}

impl fmt::Display for StatementKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PrePrepare => "PRE-PREPARE",
            Self::Prepare => "PREPARE",
            Self::Commit => "COMMIT",
            Self::Checkpoint => "CHECKPOINT",
            Self::ViewChange => "VIEW-CHANGE",
            Self::NewView => "NEW-VIEW",
        })
    }
}

/// The place of a statement: whoever follows the protocol makes at most one there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Statement {
    /// Who signs.
    pub signer: u32,
    /// What kind.
    pub kind: StatementKind,
    /// The view; 0 for CHECKPOINT.
    pub view: u64,
    /// The sequence number; 0 for VIEW-CHANGE and NEW-VIEW.
    pub seq: u64,
}

impl Statement {
    /// The statement that a message makes; none for one that moves copies of others, asks for something, or answers.
    pub fn of_message(message: &Message) -> Option<Self> {
        let (replica, kind, view, seq) = match message {
            Message::PrePrepare(proposal) => {
                let body = &proposal.pre_prepare.body;
                (body.replica, StatementKind::PrePrepare, body.view.0, body.seq.0)
            }
            Message::Prepare(vote) => {
                (vote.body.replica, StatementKind::Prepare, vote.body.view.0, vote.body.seq.0)
            }
            Message::Commit(vote) => {
                (vote.body.replica, StatementKind::Commit, vote.body.view.0, vote.body.seq.0)
            }
            Message::Checkpoint(vote) => {
                (vote.body.replica, StatementKind::Checkpoint, 0, vote.body.seq.0)
            }
            Message::ViewChange(known) => {
                (known.body.replica, StatementKind::ViewChange, known.body.view.0, 0)
            }
            Message::NewView(known) => {
                (known.body.replica, StatementKind::NewView, known.body.view.0, 0)
            }
            Message::Request(_)
            | Message::Status(_)
            | Message::Committed(_)
            | Message::Stable(_)
            | Message::FetchBatch(_)
            | Message::Batch(_)
            | Message::FetchState(_)
            | Message::StateData(_) => return None,
        };
        Some(Self { signer: replica.0, kind, view, seq })
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signer, kind, view, seq } = self;
        match kind {
            StatementKind::Checkpoint => write!(f, "{kind} for #{seq} of replica {signer}"),
            StatementKind::ViewChange | StatementKind::NewView => {
                write!(f, "{kind} for v{view} of replica {signer}")
            }
            StatementKind::PrePrepare | StatementKind::Prepare | StatementKind::Commit => {
                write!(f, "{kind} for #{seq} in v{view} of replica {signer}")
            }
        }
    }
}

/// Messages that move copies of others, and are no step of the model.
pub fn is_retransmission(message: &Message) -> bool {
    Statement::of_message(message).is_none()
}
