//! §4.3: checkpoints, their stability, and what may be forgotten then.

use crate::durable::Record;
use crate::effect::{Effect, HaltReason};
use crate::log::Log;
use crate::manifest::{ChunkId, Manifest, oldest_kept};
use crate::message::{Checkpoint, Message, Signed, StableCertificate};
use crate::rejection::Rejection;
use crate::replica::{Outcome, Replica};
use crate::types::{ReplicaId, SeqNum};
use std::collections::BTreeMap;
use std::sync::Arc;

/// CHECKPOINT votes. One a replica and sequence number in the window, and the highest above the window of each
/// replica, so that a replica that is far behind notices; nothing else is kept.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Checkpoints {
    /// Votes in (h, H], the own ones included.
    pub(crate) votes: BTreeMap<SeqNum, BTreeMap<ReplicaId, Signed<Checkpoint>>>,
    /// The highest vote above H of each other replica.
    beyond: BTreeMap<ReplicaId, Signed<Checkpoint>>,
    /// The proof of h.
    pub(crate) stable: Arc<StableCertificate>,
}

impl Checkpoints {
    pub(crate) fn vote(&self, seq: SeqNum, replica: ReplicaId) -> Option<&Signed<Checkpoint>> {
        self.votes.get(&seq)?.get(&replica)
    }

    /// How many votes there are.
    pub(crate) fn len(&self) -> usize {
        self.votes.values().map(BTreeMap::len).sum::<usize>() + self.beyond.len()
    }

    pub(crate) fn insert(&mut self, checkpoint: Signed<Checkpoint>) {
        let Checkpoint { seq, replica, .. } = checkpoint.body;
        self.votes.entry(seq).or_default().insert(replica, checkpoint);
    }

    /// `needed` votes for one digest at `seq`, if there are so many.
    fn certificate(&self, seq: SeqNum, needed: usize) -> Option<StableCertificate> {
        let in_window = self.votes.get(&seq).into_iter().flat_map(BTreeMap::values);
        let beyond = self.beyond.values().filter(|vote| vote.body.seq == seq);
        let votes: Vec<_> = in_window.chain(beyond).collect();
        votes.iter().find_map(|candidate| {
            let same = votes.iter().filter(|vote| vote.body.digest == candidate.body.digest);
            let checkpoints: Vec<_> = same.take(needed).copied().cloned().collect();
            (checkpoints.len() == needed).then_some(StableCertificate { checkpoints })
        })
    }

    /// Forgets what is at or below the new low water mark, and takes in what is now inside the window.
    fn truncate(&mut self, log: &Log) {
        self.votes = self.votes.split_off(&log.low().next());
        let inside: Vec<_> = self.beyond.keys().copied().collect();
        for replica in inside {
            match self.beyond.get(&replica).map(|vote| vote.body.seq) {
                Some(seq) if seq > log.high() => {}
                Some(seq) => {
                    let vote = self.beyond.remove(&replica).filter(|_| log.contains(seq));
                    vote.into_iter().for_each(|vote| self.insert(vote));
                }
                None => {}
            }
        }
    }
}

impl Replica {
    /// §4.3: the state after `seq` is kept, and its digest told to all.
    pub(crate) fn take_checkpoint(
        &mut self,
        seq: SeqNum,
        service: Vec<ChunkId>,
        effects: &mut Vec<Effect>,
    ) {
        let (chunks, replies) = self.reply_chunks.refresh(&self.replies);
        let manifest = Manifest::new(seq, chunks, service);
        if self.view.abstains().is_some() {
            self.manifests.insert(seq, manifest.clone());
            effects.push(Effect::StoreCheckpoint { manifest, replies });
            return;
        }
        let digest = manifest.digest();
        let checkpoint = self.signed(Checkpoint { seq, digest, replica: self.params.replica });
        self.manifests.insert(seq, manifest.clone());
        self.checkpoints.insert(checkpoint.clone());
        effects.push(Effect::StoreCheckpoint { manifest, replies });
        effects.push(Effect::Persist(Record::Checkpoint(checkpoint.clone())));
        effects.push(Effect::Broadcast(Message::Checkpoint(checkpoint)));
        self.try_stabilise(seq, effects);
    }

    /// §4.3: q CHECKPOINTs with the same sequence number and digest are the proof of a stable checkpoint.
    pub(crate) fn on_checkpoint(
        &mut self,
        from: ReplicaId,
        checkpoint: Signed<Checkpoint>,
    ) -> Outcome {
        let Checkpoint { seq, digest, replica } = checkpoint.body;
        self.check_vote_origin(from, replica)?;
        if seq <= self.log.low() {
            self.check_window(seq)?;
        }
        let in_window = self.log.contains(seq);
        match self.checkpoints.vote(seq, from).map(|known| known.body.digest) {
            Some(first) if first == digest => return Err(Rejection::Duplicate),
            Some(first) => {
                let (view, second) = (self.view.number(), digest);
                return Err(Rejection::Equivocation { replica, view, seq, first, second });
            }
            None => {}
        }
        let beyond = self.checkpoints.beyond.get(&from);
        if !in_window && beyond.is_some_and(|known| known.body.seq >= seq) {
            return Err(Rejection::Duplicate);
        }
        // All checks passed; nothing has changed yet.
        let mut effects = Vec::new();
        match in_window {
            true => self.checkpoints.insert(checkpoint),
            false => {
                self.checkpoints.beyond.insert(from, checkpoint);
            }
        }
        self.try_stabilise(seq, &mut effects);
        Ok(effects)
    }

    /// A stable checkpoint's proof, from a replica that saw this one fall behind.
    pub(crate) fn on_stable(&mut self, certificate: Arc<StableCertificate>) -> Outcome {
        let Some(first) = certificate.checkpoints.first() else {
            return Err(Rejection::MixedCertificate);
        };
        let seq = first.body.seq;
        if seq <= self.log.low() {
            self.check_window(seq)?;
        }
        // All checks passed; nothing has changed yet.
        let mut effects = Vec::new();
        self.learn_stable(certificate, &mut effects);
        Ok(effects)
    }

    fn try_stabilise(&mut self, seq: SeqNum, effects: &mut Vec<Effect>) {
        let needed = self.params.membership.quorum();
        if let Some(certificate) = self.checkpoints.certificate(seq, needed) {
            self.learn_stable(Arc::new(certificate), effects);
        }
    }

    /// A checkpoint above h is stable. If its state is here, h moves to it; if not, it is to be fetched.
    pub(crate) fn learn_stable(
        &mut self,
        certificate: Arc<StableCertificate>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(first) = certificate.checkpoints.first() else { return };
        let seq = first.body.seq;
        if seq > self.last_executed {
            self.transfer.plan(certificate, &self.params, effects);
        } else if !self.halt_if_diverged(&certificate, effects) {
            if self.view.is_active() && seq > self.log.low() {
                self.timer.on_stable(&self.params);
            }
            self.stabilise(seq, certificate, effects);
            self.propose(effects);
        }
    }

    /// Stops for good if this replica's own checkpoint is not the one that a quorum has.
    pub(crate) fn halt_if_diverged(
        &mut self,
        certificate: &StableCertificate,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(first) = certificate.checkpoints.first() else { return false };
        let (seq, theirs) = (first.body.seq, first.body.digest);
        let own = self.checkpoints.vote(seq, self.params.replica).map(|own| own.body.digest);
        let diverged = own.filter(|ours| *ours != theirs);
        if let Some(ours) = diverged {
            self.halt(HaltReason::StateDiverged { seq, ours, theirs }, effects);
        }
        diverged.is_some()
    }

    /// §4.3: h moves to the stable checkpoint; everything at or below it is forgotten.
    pub(crate) fn stabilise(
        &mut self,
        seq: SeqNum,
        certificate: Arc<StableCertificate>,
        effects: &mut Vec<Effect>,
    ) {
        assert!(seq <= self.last_executed, "the state of a stable checkpoint is here");
        if seq <= self.log.low() {
            return;
        }
        effects.push(Effect::Persist(Record::Stable(Arc::clone(&certificate))));
        self.log.truncate(seq);
        self.checkpoints.truncate(&self.log);
        self.checkpoints.stable = certificate;
        let oldest = oldest_kept(self.manifests.keys().copied(), seq);
        self.manifests = self.manifests.split_off(&oldest);
        if self.view.stop_abstaining(seq) {
            self.refresh_timer(effects);
        }
        self.transfer.on_stable(seq, &self.manifests, effects);
    }
}
