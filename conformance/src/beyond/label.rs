//! Messages in a few words.

use pbft_core::message::Message;
use pbft_core::types::{ReplicaId, SeqNum, View};

/// A message in a few words: its kind, what it is about, `@` its view, and whose it is.
pub(crate) fn label(message: &Message) -> String {
    let vote = |kind: &str, seq: SeqNum, view: View, of: ReplicaId| {
        format!("{kind} {}@{} of {}", seq.0, view.0, of.0)
    };
    match message {
        Message::PrePrepare(known) => {
            let body = &known.pre_prepare.body;
            vote("PRE-PREPARE", body.seq, body.view, body.replica)
        }
        Message::Prepare(known) => {
            vote("PREPARE", known.body.seq, known.body.view, known.body.replica)
        }
        Message::Commit(known) => {
            vote("COMMIT", known.body.seq, known.body.view, known.body.replica)
        }
        Message::Checkpoint(known) => {
            format!("CHECKPOINT {} of {}", known.body.seq.0, known.body.replica.0)
        }
        Message::ViewChange(known) => {
            format!("VIEW-CHANGE @{} of {}", known.body.view.0, known.body.replica.0)
        }
        Message::NewView(known) => format!("NEW-VIEW @{}", known.body.view.0),
        Message::Committed(known) => {
            let first = known.commits.first().map(|vote| vote.body.seq.0);
            format!("COMMITTED {}", first.unwrap_or_default())
        }
        Message::Stable(known) => {
            let first = known.checkpoints.first().map(|vote| vote.body.seq.0);
            format!("STABLE {}", first.unwrap_or_default())
        }
        Message::Request(known) => {
            format!("REQUEST lane {} t{}", known.body.lane.0, known.body.timestamp.0)
        }
        Message::FetchState(fetch) => format!("FETCH-STATE {} {:?}", fetch.seq.0, fetch.part),
        other => other.kind().to_owned(),
    }
}

/// The sequence number that a message of the normal case or a CHECKPOINT is about.
pub(super) fn about(message: &Message) -> Option<u64> {
    match message {
        Message::PrePrepare(known) => Some(known.pre_prepare.body.seq.0),
        Message::Prepare(known) => Some(known.body.seq.0),
        Message::Commit(known) => Some(known.body.seq.0),
        Message::Checkpoint(known) => Some(known.body.seq.0),
        _ => None,
    }
}
