//! What a replica holds beyond what the model says of it, as far as the walks have given it: votes of others, certificates
//! ahead of execution, parts of a state. It decides how many of a step's messages are still needed, and which steps follow
//! from one another without a further message.

use crate::refinement::action::Delivery;
use crate::refinement::vocabulary::{Vocabulary, model_slot, model_view};
use pbft_core::message::{Checkpoint, CommitCertificate, Message, Signed};
use pbft_core::types::{Digest, ReplicaId};
use pbft_model as model;
use std::collections::{BTreeMap, BTreeSet};

/// A vote for a value: view, slot, value, voter.
type Vote = (model::View, model::Slot, model::Value, ReplicaId);

/// What one replica was given since it was last started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    prepares: BTreeSet<Vote>,
    commits: BTreeSet<Vote>,
    /// CHECKPOINTs by slot and digest.
    checkpoints: BTreeSet<(model::Slot, Digest, ReplicaId)>,
    /// Commit certificates that are here, or that the votes above make, of slots that are not executed.
    last: BTreeMap<model::Slot, model::Value>,
    /// A transfer that was begun: its checkpoint, and the parts that were asked for and are on their way.
    fetching: Option<(model::Slot, Vec<Delivery>)>,
}

impl Held {
    /// A delivery that the replica took.
    pub fn note(&mut self, vocabulary: &Vocabulary, delivery: &Delivery) {
        let Delivery::Message { message, .. } = delivery else { return };
        match message {
            Message::Prepare(vote) => {
                let body = &vote.body;
                let value = vocabulary.value(body.digest);
                let (view, slot) = (model_view(body.view), model_slot(body.seq));
                if let (Some(view), Some(slot), Some(value)) = (view, slot, value) {
                    self.prepares.insert((view, slot, value, body.replica));
                }
            }
            Message::Commit(vote) => {
                let body = &vote.body;
                let value = vocabulary.value(body.digest);
                let (view, slot) = (model_view(body.view), model_slot(body.seq));
                if let (Some(view), Some(slot), Some(value)) = (view, slot, value) {
                    self.commits.insert((view, slot, value, body.replica));
                }
            }
            Message::Checkpoint(vote) => self.note_checkpoint(vote),
            Message::Stable(certificate) => {
                certificate.checkpoints.iter().for_each(|vote| self.note_checkpoint(vote));
            }
            Message::Committed(certificate) => self.note_certificate(vocabulary, certificate),
            _ => {}
        }
    }

    fn note_checkpoint(&mut self, vote: &Signed<Checkpoint>) {
        if let Some(slot) = model_slot(vote.body.seq) {
            self.checkpoints.insert((slot, vote.body.digest, vote.body.replica));
        }
    }

    fn note_certificate(&mut self, vocabulary: &Vocabulary, certificate: &CommitCertificate) {
        let Some(first) = certificate.commits.first() else { return };
        let (slot, value) = (model_slot(first.body.seq), vocabulary.value(first.body.digest));
        if let (Some(slot), Some(value)) = (slot, value) {
            self.last.insert(slot, value);
        }
    }

    /// Takes note of what the votes have made final: q COMMITs, its own among them, for what has prepared here.
    pub fn settle(&mut self, vocabulary: &Vocabulary, replica: &model::ReplicaState) {
        if !replica.active {
            return;
        }
        for (index, certificate) in replica.certificates.iter().enumerate() {
            let (Some(own), slot) = (certificate, model::Slot::at(index)) else { continue };
            let votes = self.commits(replica.view, slot, own.value) + 1;
            if own.view == replica.view && votes >= vocabulary.quorum() {
                self.last.insert(slot, own.value);
            }
        }
    }

    /// How many PREPAREs of others are here.
    pub fn prepares(&self, view: model::View, slot: model::Slot, value: model::Value) -> usize {
        count(&self.prepares, view, slot, value)
    }

    /// How many COMMITs of others are here.
    pub fn commits(&self, view: model::View, slot: model::Slot, value: model::Value) -> usize {
        count(&self.commits, view, slot, value)
    }

    /// How many CHECKPOINTs of others are here.
    pub fn checkpoints(&self, slot: model::Slot, digest: Digest) -> usize {
        self.checkpoints.iter().filter(|(at, of, _)| (*at, *of) == (slot, digest)).count()
    }

    /// Whether a commit certificate for this value is here.
    pub fn is_final(&self, slot: model::Slot, value: model::Value) -> bool {
        self.last.get(&slot) == Some(&value)
    }

    /// Whether a vote is here.
    pub fn has(&self, vocabulary: &Vocabulary, delivery: &Delivery) -> bool {
        let mut with = self.clone();
        with.note(vocabulary, delivery);
        with == *self
    }

    /// The transfer that was begun: its checkpoint, and the parts that are on their way.
    pub fn fetching(&self) -> Option<(model::Slot, &[Delivery])> {
        self.fetching.as_ref().map(|(slot, parts)| (*slot, &parts[..]))
    }

    /// A transfer was begun, and these parts have not come yet.
    pub fn begin_fetching(&mut self, slot: model::Slot, on_their_way: Vec<Delivery>) {
        self.fetching = Some((slot, on_their_way));
    }

    /// The replica has come as far as this by itself or by a state.
    pub fn reached(&mut self, executed: model::Slot) {
        self.fetching.take_if(|(slot, _)| *slot <= executed);
        self.last.retain(|slot, _| *slot > executed);
    }
}

fn count(
    votes: &BTreeSet<Vote>,
    view: model::View,
    slot: model::Slot,
    value: model::Value,
) -> usize {
    votes.iter().filter(|(of, at, what, _)| (*of, *at, *what) == (view, slot, value)).count()
}
