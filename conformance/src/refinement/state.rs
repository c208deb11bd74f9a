//! The abstraction function α: what a core replica's state is in the model.
//!
//! | model `ReplicaState` | core |
//! |---|---|
//! | `view`, `active` | `Summary::view`, `Summary::active` |
//! | `low_water_mark` | `Summary::low_water_mark` |
//! | `last_executed` | `Summary::last_executed` |
//! | `accepted` | `Summary::accepted`, each digest translated |
//! | `certificates` | `Summary::prepared`, each digest translated |
//! | `executed` above h | `Summary::committed`, each digest translated: what proves it to others |
//! | `applied` | the service's history |
//! | `served` | the last timestamps in `Summary::replies`, and those below them |
//! | `sent.checkpoints` above h | `Summary::checkpoints` |
//! | the rest of `sent` | not in the replica: the network. Compared message by message, see [`super::message`] |
//! | `executed` up to h | a history that no rule reads: compared at each `Effect::Execute` |

use super::vocabulary::{Vocabulary, model_slot, model_view};
use crate::signpost::deeds::Field;
use pbft_core::Summary;
use pbft_core::types::{Digest, SeqNum};
use pbft_model as model;
use std::collections::BTreeMap;
use std::fmt::{Debug, Write};

/// The part of a replica's state that both sides have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    view: model::View,
    active: bool,
    low_water_mark: model::Slot,
    last_executed: model::Slot,
    accepted: [model::Value; model::MAX_SLOTS],
    certificates: [Option<model::Certificate>; model::MAX_SLOTS],
    committed: [model::Value; model::MAX_SLOTS],
    applied: model::Applied,
    served: model::ValueSet,
    checkpoints: BTreeMap<model::Slot, Digest>,
}

/// A core state that no state of the model stands for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoImage {
    /// A view beyond the bounds.
    #[error("{0} is beyond the model's views")]
    View(pbft_core::types::View),
    /// A sequence number beyond the bounds.
    #[error("{0} is beyond the model's slots")]
    Slot(SeqNum),
    /// A digest of nothing that the model has.
    #[error("digest {0} is no value of the model")]
    Digest(Digest),
    /// The replica halted.
    #[error("the replica halted")]
    Halted,
}

impl Local {
    /// What the model says.
    pub fn of_model(vocabulary: &Vocabulary, replica: &model::ReplicaState) -> Self {
        let above = |slot: &model::Slot| *slot > replica.low_water_mark;
        let checkpoints = replica.sent.checkpoints.iter().enumerate();
        let checkpoints = checkpoints
            .filter_map(|(index, digest)| Some((model::Slot::at(index), (*digest)?)))
            .filter(|(slot, _)| above(slot))
            .map(|(slot, digest)| (slot, vocabulary.state(slot, &digest).digest()))
            .collect();
        Self {
            view: replica.view,
            active: replica.active,
            low_water_mark: replica.low_water_mark,
            last_executed: replica.last_executed,
            accepted: replica.accepted,
            certificates: replica.certificates,
            committed: std::array::from_fn(|index| match above(&model::Slot::at(index)) {
                true => replica.executed[index],
                false => model::Value::NONE,
            }),
            applied: replica.applied,
            served: replica.served,
            checkpoints,
        }
    }

    /// α: what the core says, in the model's words.
    pub fn of_core(
        vocabulary: &Vocabulary,
        summary: &Summary,
        history: &[model::Value],
    ) -> Result<Self, NoImage> {
        if summary.halted {
            return Err(NoImage::Halted);
        }
        let view = |view| model_view(view).ok_or(NoImage::View(view));
        let value = |digest| vocabulary.value(digest).ok_or(NoImage::Digest(digest));
        let mut accepted = [model::Value::NONE; model::MAX_SLOTS];
        for (seq, digest) in &summary.accepted {
            accepted[slot(*seq)?.index()] = value(*digest)?;
        }
        let mut certificates = [None; model::MAX_SLOTS];
        for (seq, (prepared, digest)) in &summary.prepared {
            let certificate = model::Certificate { view: view(*prepared)?, value: value(*digest)? };
            certificates[slot(*seq)?.index()] = Some(certificate);
        }
        let mut committed = [model::Value::NONE; model::MAX_SLOTS];
        for (seq, digest) in &summary.committed {
            committed[slot(*seq)?.index()] = value(*digest)?;
        }
        let mut applied = model::Applied::default();
        history.iter().for_each(|value| applied.push(*value));
        let mut served = model::ValueSet::EMPTY;
        for (client, _, last) in summary.replies.iter() {
            for timestamp in 1..=last.timestamp.0.min(2) as u8 {
                served.insert(model::Value::numbered(client.0 as u8, timestamp));
            }
        }
        let checkpoints = summary.checkpoints.iter();
        Ok(Self {
            view: view(summary.view)?,
            active: summary.active,
            low_water_mark: slot_or_genesis(summary.low_water_mark)?,
            last_executed: slot_or_genesis(summary.last_executed)?,
            accepted,
            certificates,
            committed,
            applied,
            served,
            checkpoints: checkpoints
                .map(|(seq, digest)| Ok((slot(*seq)?, *digest)))
                .collect::<Result<_, NoImage>>()?,
        })
    }

    /// The fields that differ.
    pub fn differing(&self, core: &Self) -> Vec<Field> {
        let pairs = [
            (Field::View, (self.view, self.active) != (core.view, core.active)),
            (Field::LowWaterMark, self.low_water_mark != core.low_water_mark),
            (Field::LastExecuted, self.last_executed != core.last_executed),
            (Field::Accepted, self.accepted != core.accepted),
            (Field::Prepared, self.certificates != core.certificates),
            (Field::Committed, self.committed != core.committed),
            (Field::Applied, self.applied != core.applied),
            (Field::Replies, self.served != core.served),
            (Field::Checkpoints, self.checkpoints != core.checkpoints),
        ];
        pairs.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect()
    }

    /// The lines of a diff: `-` what the model says, `+` what the core says.
    pub fn diff(&self, core: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut field = |name: &str, model: &dyn Debug, core: &dyn Debug| {
            let (model, core) = (format!("{model:?}"), format!("{core:?}"));
            if model != core {
                lines.push(format!("- {name}: {model}"));
                lines.push(format!("+ {name}: {core}"));
            }
        };
        field("view", &self.view.0, &core.view.0);
        field("active", &self.active, &core.active);
        field("low water mark", &self.low_water_mark.0, &core.low_water_mark.0);
        field("last executed", &self.last_executed.0, &core.last_executed.0);
        field("accepted", &values(&self.accepted), &values(&core.accepted));
        field("certificates", &show(&self.certificates), &show(&core.certificates));
        field("commit certificates", &values(&self.committed), &values(&core.committed));
        field("applied", &self.applied.to_string(), &core.applied.to_string());
        field("reply table", &self.served.to_string(), &core.served.to_string());
        field("own checkpoints", &self.checkpoints, &core.checkpoints);
        lines
    }
}

fn slot(seq: SeqNum) -> Result<model::Slot, NoImage> {
    model_slot(seq).filter(|slot| slot.0 > 0).ok_or(NoImage::Slot(seq))
}

fn slot_or_genesis(seq: SeqNum) -> Result<model::Slot, NoImage> {
    model_slot(seq).ok_or(NoImage::Slot(seq))
}

fn values(values: &[model::Value]) -> String {
    values.iter().enumerate().fold(String::new(), |mut text, (index, value)| {
        if value.is_some() {
            let _ = write!(text, "{}:{value} ", index + 1);
        }
        text
    })
}

fn show(certificates: &[Option<model::Certificate>]) -> String {
    certificates.iter().enumerate().fold(String::new(), |mut text, (index, certificate)| {
        if let Some(model::Certificate { view, value }) = certificate {
            let _ = write!(text, "{}:{value}@v{} ", index + 1, view.0);
        }
        text
    })
}
