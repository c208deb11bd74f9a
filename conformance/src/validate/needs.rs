//! What must have been said elsewhere before a replica can hear it: the edges along which logs are merged.

use pbft_node::trace::ShortDigest;
use pbft_node::trace::format::{
    Body, Input, NewView, PreparedProof, StableProof, Step, ViewChange,
};
use std::fmt;

/// A kind of message that a replica signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
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

impl fmt::Display for Kind {
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
pub struct Place {
    /// Who signs.
    pub signer: u32,
    /// What kind.
    pub kind: Kind,
    /// The view; 0 for CHECKPOINT.
    pub view: u64,
    /// The sequence number; 0 for VIEW-CHANGE and NEW-VIEW.
    pub seq: u64,
}

impl Place {
    pub(crate) fn of_view_change(change: &ViewChange) -> Self {
        Self { signer: change.replica, kind: Kind::ViewChange, view: change.view, seq: 0 }
    }

    pub(crate) fn of_new_view(new_view: &NewView) -> Self {
        Self { signer: new_view.replica, kind: Kind::NewView, view: new_view.view, seq: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signer, kind, view, seq } = self;
        match kind {
            Kind::Checkpoint => write!(f, "{kind} for #{seq} of replica {signer}"),
            Kind::ViewChange | Kind::NewView => write!(f, "{kind} for v{view} of replica {signer}"),
            Kind::PrePrepare | Kind::Prepare | Kind::Commit => {
                write!(f, "{kind} for #{seq} in v{view} of replica {signer}")
            }
        }
    }
}

/// Something that a replica heard: a statement's place, and the digest that it names, if it names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Where.
    pub place: Place,
    /// What.
    pub digest: Option<ShortDigest>,
}

fn need(signer: u32, kind: Kind, view: u64, seq: u64, digest: ShortDigest) -> Need {
    Need { place: Place { signer, kind, view, seq }, digest: Some(digest) }
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
        Body::PrePrepare(p) => each(need(p.replica, Kind::PrePrepare, p.view, p.seq, p.digest)),
        Body::Prepare(v) => each(need(v.replica, Kind::Prepare, v.view, v.seq, v.digest)),
        Body::Commit(v) => each(need(v.replica, Kind::Commit, v.view, v.seq, v.digest)),
        Body::Checkpoint(v) => each(need(v.replica, Kind::Checkpoint, 0, v.seq, v.digest)),
        Body::ViewChange(change) => of_view_change(change, replicas, is_recorded, each),
        Body::NewView(new_view) => match is_recorded(new_view.replica) {
            true => each(Need { place: Place::of_new_view(new_view), digest: None }),
            false => {
                let changes = new_view.view_changes.iter();
                changes.for_each(|vc| of_view_change(vc, replicas, is_recorded, each));
            }
        },
        Body::Committed(c) => {
            let votes = c.signers.iter();
            votes.for_each(|signer| each(need(*signer, Kind::Commit, c.view, c.seq, c.digest)));
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
        return each(Need { place: Place::of_view_change(change), digest: None });
    }
    change.stable.iter().for_each(|proof| of_stable(proof, each));
    change.prepared.iter().for_each(|proof| of_prepared(proof, replicas, each));
}

fn of_stable(proof: &StableProof, each: &mut impl FnMut(Need)) {
    let StableProof { seq, digest, signers } = proof;
    signers.iter().for_each(|signer| each(need(*signer, Kind::Checkpoint, 0, *seq, *digest)));
}

fn of_prepared(proof: &PreparedProof, replicas: u32, each: &mut impl FnMut(Need)) {
    let PreparedProof { view, seq, digest, signers } = proof;
    let primary = (view % u64::from(replicas)) as u32;
    each(need(primary, Kind::PrePrepare, *view, *seq, *digest));
    signers.iter().for_each(|signer| each(need(*signer, Kind::Prepare, *view, *seq, *digest)));
}
