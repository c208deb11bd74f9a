//! The message map: what a message of a core replica is in the model's network.

use super::vocabulary::{Vocabulary, model_slot, model_view};
use crate::statement::StatementKind;
use pbft_core::message as core;
use pbft_core::types::{Digest, SeqNum};
use pbft_model as model;
use std::fmt;
use std::sync::Arc;

/// A message of an honest replica, as the model's network holds it. Its sender is known where it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sent {
    /// PRE-PREPARE, alone or inside a NEW-VIEW.
    PrePrepare(model::View, model::Slot, model::Value),
    /// PREPARE.
    Prepare(model::View, model::Slot, model::Value),
    /// COMMIT.
    Commit(model::View, model::Slot, model::Value),
    /// CHECKPOINT.
    Checkpoint(model::Slot, model::StateDigest),
    /// VIEW-CHANGE.
    ViewChange(model::View, model::ViewChange),
    /// NEW-VIEW.
    NewView(model::View, model::NewView),
}

impl Sent {
    /// What kind of statement it is.
    pub const fn kind(&self) -> StatementKind {
        match self {
            Self::PrePrepare(..) => StatementKind::PrePrepare,
            Self::Prepare(..) => StatementKind::Prepare,
            Self::Commit(..) => StatementKind::Commit,
            Self::Checkpoint(..) => StatementKind::Checkpoint,
            Self::ViewChange(..) => StatementKind::ViewChange,
            Self::NewView(..) => StatementKind::NewView,
        }
    }
}

/// A message that the model's network cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoImage {
    /// A field beyond the bounds of the model.
    #[error("{what} is beyond the bounds of the model")]
    Bounds {
        /// The field and its value.
        what: String,
    },
    /// A digest of nothing that the model has.
    #[error("digest {0} is no value of the model")]
    Digest(Digest),
    /// A CHECKPOINT with the digest of another state than the sender's.
    #[error("checkpoint digest {got} at {seq} is not the sender's state's digest {expected}")]
    CheckpointDigest {
        /// The checkpoint.
        seq: SeqNum,
        /// The digest of the state that the sender has.
        expected: Digest,
        /// The digest in the message.
        got: Digest,
    },
}

/// All messages that the model says a replica has sent.
pub fn of_model(primary_of: impl Fn(model::View) -> bool, sent: &model::Sent) -> Vec<Sent> {
    let mut messages = Vec::new();
    for view in (0..model::MAX_VIEWS).map(|view| model::View(view as u8)) {
        for index in 0..model::MAX_SLOTS {
            let slot = model::Slot::at(index);
            let proposed = sent.prepares[view.index()][index].iter();
            messages.extend(proposed.map(|value| match primary_of(view) {
                true => Sent::PrePrepare(view, slot, value),
                false => Sent::Prepare(view, slot, value),
            }));
            let commits = sent.commits[view.index()][index].iter();
            messages.extend(commits.map(|value| Sent::Commit(view, slot, value)));
        }
        let view_change = sent.view_changes[view.index()];
        messages.extend(view_change.map(|body| Sent::ViewChange(view, body)));
        messages.extend(sent.new_views[view.index()].map(|body| Sent::NewView(view, body)));
    }
    let checkpoints = sent.checkpoints.iter().enumerate();
    messages.extend(checkpoints.filter_map(|(index, digest)| {
        digest.map(|digest| Sent::Checkpoint(model::Slot::at(index), digest))
    }));
    messages
}

/// The model's messages in one broadcast of a core replica whose state is `own`; none for messages that are not
/// part of the model: retransmission and fetching. A NEW-VIEW brings the PRE-PREPAREs of its O with it.
pub fn of_core(
    vocabulary: &Vocabulary,
    message: &core::Message,
    own: &model::StateDigest,
) -> Result<Vec<(Sent, core::Message)>, NoImage> {
    let map = Map { vocabulary };
    let keep = |sent| vec![(sent, message.clone())];
    Ok(match message {
        core::Message::PrePrepare(proposal) => {
            let body = &proposal.pre_prepare.body;
            let (view, slot) = (map.view(body.view)?, map.slot(body.seq)?);
            keep(Sent::PrePrepare(view, slot, map.value(body.digest)?))
        }
        core::Message::Prepare(signed) => {
            let body = &signed.body;
            let (view, slot) = (map.view(body.view)?, map.slot(body.seq)?);
            keep(Sent::Prepare(view, slot, map.value(body.digest)?))
        }
        core::Message::Commit(signed) => {
            let body = &signed.body;
            let (view, slot) = (map.view(body.view)?, map.slot(body.seq)?);
            keep(Sent::Commit(view, slot, map.value(body.digest)?))
        }
        core::Message::Checkpoint(signed) => {
            let slot = map.slot(signed.body.seq)?;
            let expected = vocabulary.state(slot, own).digest();
            if signed.body.digest != expected {
                let (seq, got) = (signed.body.seq, signed.body.digest);
                return Err(NoImage::CheckpointDigest { seq, expected, got });
            }
            keep(Sent::Checkpoint(slot, *own))
        }
        core::Message::ViewChange(signed) => {
            keep(Sent::ViewChange(map.view(signed.body.view)?, map.view_change(&signed.body)?))
        }
        core::Message::NewView(signed) => {
            let mut messages =
                keep(Sent::NewView(map.view(signed.body.view)?, map.new_view(&signed.body)?));
            for pre_prepare in &signed.body.pre_prepares {
                let body = &pre_prepare.body;
                let (view, slot) = (map.view(body.view)?, map.slot(body.seq)?);
                let value = map.value(body.digest)?;
                let batch = vocabulary.batch(value);
                let pre_prepare = pre_prepare.clone();
                let proposal = Arc::new(core::Proposal { pre_prepare, batch });
                messages.push((
                    Sent::PrePrepare(view, slot, value),
                    core::Message::PrePrepare(proposal),
                ));
            }
            messages
        }
        core::Message::Request(_)
        | core::Message::Status(_)
        | core::Message::Committed(_)
        | core::Message::Stable(_)
        | core::Message::FetchBatch(_)
        | core::Message::Batch(_)
        | core::Message::FetchState(_)
        | core::Message::StateData(_) => Vec::new(),
    })
}

struct Map<'a> {
    vocabulary: &'a Vocabulary,
}

impl Map<'_> {
    fn view(&self, view: pbft_core::types::View) -> Result<model::View, NoImage> {
        model_view(view).ok_or_else(|| NoImage::Bounds { what: format!("view {view}") })
    }

    fn slot(&self, seq: SeqNum) -> Result<model::Slot, NoImage> {
        let slot = model_slot(seq).filter(|slot| slot.0 > 0);
        slot.ok_or_else(|| NoImage::Bounds { what: format!("sequence number {seq}") })
    }

    fn value(&self, digest: Digest) -> Result<model::Value, NoImage> {
        self.vocabulary.value(digest).ok_or(NoImage::Digest(digest))
    }

    fn mark(&self, seq: SeqNum) -> Result<model::Slot, NoImage> {
        model_slot(seq).ok_or_else(|| NoImage::Bounds { what: format!("water mark {seq}") })
    }

    fn view_change(&self, body: &core::ViewChange) -> Result<model::ViewChange, NoImage> {
        let mut prepared = [None; model::MAX_SLOTS];
        for certificate in &body.prepared {
            let claim = &certificate.pre_prepare.body;
            let (view, value) = (self.view(claim.view)?, self.value(claim.digest)?);
            prepared[self.slot(claim.seq)?.index()] = Some(model::Certificate { view, value });
        }
        Ok(model::ViewChange { low_water_mark: self.mark(body.low_water_mark)?, prepared })
    }

    /// min-s is the highest low water mark in V, as the receiver computes it; O is what the message says.
    fn new_view(&self, body: &core::NewView) -> Result<model::NewView, NoImage> {
        let marks = body.view_changes.iter().map(|known| known.body.low_water_mark);
        let min_s = self.mark(marks.max().unwrap_or_default())?;
        let mut order = [model::Value::NONE; model::MAX_SLOTS];
        let mut max_s = min_s;
        for pre_prepare in &body.pre_prepares {
            let slot = self.slot(pre_prepare.body.seq)?;
            order[slot.index()] = self.value(pre_prepare.body.digest)?;
            max_s = max_s.max(slot);
        }
        Ok(model::NewView { min_s, max_s, order })
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PrePrepare(view, slot, value) => {
                write!(f, "PRE-PREPARE(v{}, {}, {value})", view.0, slot.0)
            }
            Self::Prepare(view, slot, value) => {
                write!(f, "PREPARE(v{}, {}, {value})", view.0, slot.0)
            }
            Self::Commit(view, slot, value) => {
                write!(f, "COMMIT(v{}, {}, {value})", view.0, slot.0)
            }
            Self::Checkpoint(slot, digest) => {
                write!(f, "CHECKPOINT({}, {})", slot.0, digest.applied)
            }
            Self::ViewChange(view, body) => {
                write!(f, "VIEW-CHANGE(v{}, h={}, P=[", view.0, body.low_water_mark.0)?;
                for (index, claim) in body.prepared.iter().enumerate() {
                    if let Some(claim) = claim {
                        write!(f, " {}:{}@v{}", index + 1, claim.value, claim.view.0)?;
                    }
                }
                write!(f, " ])")
            }
            Self::NewView(view, body) => write!(f, "NEW-VIEW(v{}, {body})", view.0),
        }
    }
}
