//! What must have been said elsewhere before a replica can hear it: the edges along which logs are merged.

use crate::statement::{Statement, StatementKind};
use pbft_node::trace::ShortDigest;
use pbft_node::trace::format::{
    Body, Input, NewView, PreparedProof, StableProof, Step, ViewChange,
};

/// The place of a VIEW-CHANGE.
pub(crate) fn place_of_view_change(change: &ViewChange) -> Statement {
    Statement { signer: change.replica, kind: StatementKind::ViewChange, view: change.view, seq: 0 }
}

/// The place of a NEW-VIEW.
pub(crate) fn place_of_new_view(new_view: &NewView) -> Statement {
    Statement {
        signer: new_view.replica,
        kind: StatementKind::NewView,
        view: new_view.view,
        seq: 0,
    }
}

/// Something that a replica heard: a statement's place, and the digest that it names, if it names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Where.
    pub place: Statement,
    /// What.
    pub digest: Option<ShortDigest>,
}

fn need(signer: u32, kind: StatementKind, view: u64, seq: u64, digest: ShortDigest) -> Need {
    Need { place: Statement { signer, kind, view, seq }, digest: Some(digest) }
}

/// The statement that a message makes, if it is a vote or an order: one that names a digest.
pub(crate) fn of_vote(body: &Body) -> Option<Need> {
    Some(match body {
        Body::PrePrepare(p) => need(p.replica, StatementKind::PrePrepare, p.view, p.seq, p.digest),
        Body::Prepare(v) => need(v.replica, StatementKind::Prepare, v.view, v.seq, v.digest),
        Body::Commit(v) => need(v.replica, StatementKind::Commit, v.view, v.seq, v.digest),
        Body::Checkpoint(v) => need(v.replica, StatementKind::Checkpoint, 0, v.seq, v.digest),
        Body::ViewChange(_)
        | Body::NewView(_)
        | Body::Committed(_)
        | Body::Stable(_)
        | Body::Other(_) => return None,
    })
}

/// Calls `each` for every statement that the step's input rests on. Of what a recorded replica has put together itself
/// (`is_recorded`) the parts are not asked for: it was asked for them when it did.
pub fn of_step(
    step: &Step,
    replicas: u32,
    is_recorded: &impl Fn(u32) -> bool,
    each: &mut impl FnMut(Need),
) {
    let Input::Message { body, .. } = &step.input else { return };
    if step.refused.is_some() {
        return;
    }
    match body {
        Body::PrePrepare(_) | Body::Prepare(_) | Body::Commit(_) | Body::Checkpoint(_) => {
            of_vote(body).into_iter().for_each(each);
        }
        Body::ViewChange(change) => of_view_change(change, replicas, is_recorded, each),
        Body::NewView(new_view) => match is_recorded(new_view.replica) {
            true => each(Need { place: place_of_new_view(new_view), digest: None }),
            false => {
                let changes = new_view.view_changes.iter();
                changes.for_each(|vc| of_view_change(vc, replicas, is_recorded, each));
            }
        },
        Body::Committed(c) => {
            let votes = c.signers.iter();
            votes.for_each(|signer| {
                each(need(*signer, StatementKind::Commit, c.view, c.seq, c.digest))
            });
        }
        Body::Stable(proof) => of_stable(proof, each),
        Body::Other(_) => {}
    }
}

fn of_view_change(
    change: &ViewChange,
    replicas: u32,
    is_recorded: &impl Fn(u32) -> bool,
    each: &mut impl FnMut(Need),
) {
    if is_recorded(change.replica) {
        return each(Need { place: place_of_view_change(change), digest: None });
    }
    change.stable.iter().for_each(|proof| of_stable(proof, each));
    change.prepared.iter().for_each(|proof| of_prepared(proof, replicas, each));
}

fn of_stable(proof: &StableProof, each: &mut impl FnMut(Need)) {
    let StableProof { seq, digest, signers } = proof;
    signers
        .iter()
        .for_each(|signer| each(need(*signer, StatementKind::Checkpoint, 0, *seq, *digest)));
}

fn of_prepared(proof: &PreparedProof, replicas: u32, each: &mut impl FnMut(Need)) {
    let PreparedProof { view, seq, digest, signers } = proof;
    let primary = (view % u64::from(replicas)) as u32;
    each(need(primary, StatementKind::PrePrepare, *view, *seq, *digest));
    signers
        .iter()
        .for_each(|signer| each(need(*signer, StatementKind::Prepare, *view, *seq, *digest)));
}
