//! What a replica binds itself to with a message, and whether its disk knows of it.

use super::disk::Image;
use super::rng::fingerprint;
use pbft_conformance::statement::StatementKind;
use pbft_core::crypto::Statement;
use pbft_core::message::Message;
use pbft_core::types::{Digest, ReplicaId, SeqNum, View};
use pbft_host::Said;

/// A statement with a number for its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spoken {
    pub(super) kind: StatementKind,
    pub(super) view: View,
    pub(super) seq: SeqNum,
    pub(super) content: u64,
}

/// The statement that a message makes in the name of `own`, if it makes one.
pub(super) fn spoken(own: ReplicaId, said: &Said) -> Option<Spoken> {
    let (Said::All(message) | Said::To(_, message)) = said else { return None };
    let vote = |kind, view, seq, digest: &Digest| {
        Some(Spoken { kind, view, seq, content: fingerprint(19, &digest.0) })
    };
    let whole = |kind, view, bytes: &[u8]| {
        Some(Spoken { kind, view, seq: SeqNum(0), content: fingerprint(19, bytes) })
    };
    match message {
        Message::PrePrepare(proposal) if proposal.pre_prepare.body.replica == own => {
            let body = &proposal.pre_prepare.body;
            vote(StatementKind::PrePrepare, body.view, body.seq, &body.digest)
        }
        Message::Prepare(one) => {
            vote(StatementKind::Prepare, one.body.view, one.body.seq, &one.body.digest)
        }
        Message::Commit(one) => {
            vote(StatementKind::Commit, one.body.view, one.body.seq, &one.body.digest)
        }
        Message::Checkpoint(one) => {
            vote(StatementKind::Checkpoint, View(0), one.body.seq, &one.body.digest)
        }
        Message::ViewChange(one) if one.body.replica == own => whole(
            StatementKind::ViewChange,
            one.body.view,
            &Statement::new(Digest::default(), &one.body).bytes(),
        ),
        Message::NewView(one) if one.body.replica == own => whole(
            StatementKind::NewView,
            one.body.view,
            &Statement::new(Digest::default(), &one.body).bytes(),
        ),
        _ => None,
    }
}

/// Whether the disk binds its replica to what it says.
pub(super) fn is_durable(said: &Said, image: &Image) -> bool {
    let (Said::All(message) | Said::To(_, message)) = said else { return true };
    let durable = &image.durable;
    // What lies at or below the low water mark is final and needs no record any more.
    let below = |seq: SeqNum| seq <= durable.low_water_mark;
    let accepted = |view, seq, digest| {
        let left = durable.view > view;
        let known = durable.accepted.get(&seq).map(|proposal| &proposal.pre_prepare.body);
        left || below(seq) || known.is_some_and(|body| (body.view, body.digest) == (view, digest))
    };
    match message {
        Message::PrePrepare(proposal) => {
            let body = &proposal.pre_prepare.body;
            accepted(body.view, body.seq, body.digest)
        }
        Message::Prepare(one) => accepted(one.body.view, one.body.seq, one.body.digest),
        Message::Commit(one) => {
            let known = durable.prepared.get(&one.body.seq).map(|known| &known.pre_prepare.body);
            below(one.body.seq)
                || known.is_some_and(|body| {
                    body.view > one.body.view
                        || (body.view, body.digest) == (one.body.view, one.body.digest)
                })
        }
        Message::Checkpoint(one) => {
            below(one.body.seq) || durable.checkpoints.contains_key(&one.body.seq)
        }
        Message::ViewChange(one) => durable.view >= one.body.view,
        Message::NewView(one) => {
            durable.view > one.body.view || (durable.view == one.body.view && !durable.changing)
        }
        _ => true,
    }
}
