//! §4.3: checkpoints, their stability, and what may be forgotten then.

use crate::durable::{Durable, Record};
use crate::effect::{Effect, HaltReason};
use crate::log::Log;
use crate::manifest::{ChunkId, Manifest, oldest_kept};
use crate::message::{Checkpoint, Message, Signed, StableCertificate};
use crate::normal_case::check_first_vote;
use crate::rejection::{Rejection, refuse_if};
use crate::replica::{Outcome, Replica, check_vote_origin};
use crate::types::{Digest, ReplicaId, SeqNum};
use std::collections::BTreeMap;
use std::sync::Arc;

impl StableCertificate {
    /// What it proves: the sequence number, and the digest of the state.
    pub(crate) fn proves(&self) -> Option<(SeqNum, Digest)> {
        self.checkpoints.first().map(|first| (first.body.seq, first.body.digest))
    }
}

/// What is known of checkpoints. Of CHECKPOINTs one a replica and sequence number in the window, and the highest above
/// the window of each replica, so that a replica that is far behind notices; nothing else is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoints {
    own: ReplicaId,
    /// Votes in (h, H], the own ones included.
    votes: BTreeMap<SeqNum, BTreeMap<ReplicaId, Signed<Checkpoint>>>,
    /// The highest vote above H of each other replica.
    beyond: BTreeMap<ReplicaId, Signed<Checkpoint>>,
    /// The proof of h.
    stable: Arc<StableCertificate>,
    /// The checkpoints whose state this replica can serve.
    pub(crate) manifests: BTreeMap<SeqNum, Manifest>,
}

impl Checkpoints {
    /// What the records have of the checkpoints, and the states that are here.
    pub(crate) fn restored(
        own: ReplicaId,
        durable: &Durable,
        kept: Vec<Manifest>,
        log: &Log,
    ) -> Self {
        let votes = durable.checkpoints.values().filter(|vote| log.contains(vote.body.seq));
        let votes = votes.map(|vote| (vote.body.seq, BTreeMap::from([(own, vote.clone())])));
        Self {
            own,
            votes: votes.collect(),
            beyond: BTreeMap::new(),
            stable: Arc::clone(&durable.stable),
            manifests: kept.into_iter().map(|manifest| (manifest.seq, manifest)).collect(),
        }
    }

    /// The proof of h.
    pub(crate) fn stable(&self) -> &Arc<StableCertificate> {
        &self.stable
    }

    /// The own votes above h, in order.
    pub(crate) fn own_votes(&self) -> impl Iterator<Item = &Signed<Checkpoint>> {
        self.votes.values().filter_map(|votes| votes.get(&self.own))
    }

    pub(crate) fn vote(&self, seq: SeqNum, replica: ReplicaId) -> Option<&Signed<Checkpoint>> {
        self.votes.get(&seq)?.get(&replica)
    }

    /// How many votes there are.
    pub(crate) fn len(&self) -> usize {
        self.votes.values().map(BTreeMap::len).sum::<usize>() + self.beyond.len()
    }

    fn insert(&mut self, checkpoint: Signed<Checkpoint>, log: &Log) {
        let Checkpoint { seq, replica, .. } = checkpoint.body;
        let place = match log.contains(seq) {
            true => self.votes.entry(seq).or_default(),
            false => &mut self.beyond,
        };
        place.insert(replica, checkpoint);
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

    /// Why this replica must stop, if its own checkpoint is not the one that a quorum has.
    fn divergence(&self, certificate: &StableCertificate) -> Option<HaltReason> {
        let (seq, theirs) = certificate.proves()?;
        let ours = self.vote(seq, self.own)?.body.digest;
        (ours != theirs).then_some(HaltReason::StateDiverged { seq, ours, theirs })
    }

    /// Forgets what is at or below the new low water mark, which this proves, and takes in what is now inside the window.
    fn truncate(&mut self, log: &Log, proof: Arc<StableCertificate>) {
        self.stable = proof;
        let oldest = oldest_kept(self.manifests.keys().copied(), log.low());
        self.manifests = self.manifests.split_off(&oldest);
        self.votes = self.votes.split_off(&log.low().next());
        let reached = self.beyond.extract_if(.., |_, vote| vote.body.seq <= log.high());
        let votes: Vec<_> = reached.map(|(_, vote)| vote).collect();
        let inside = votes.into_iter().filter(|vote| log.contains(vote.body.seq));
        inside.for_each(|vote| self.insert(vote, log));
    }

    pub(crate) fn check_invariants(&self, log: &Log) {
        debug_assert!(self.votes.keys().all(|seq| log.contains(*seq)), "votes in the window");
        debug_assert!(self.beyond.values().all(|vote| vote.body.seq > log.high()), "and above it");
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
        let (chunks, replies) = self.execution.reply_chunks();
        let manifest = Manifest::new(seq, chunks, service);
        let digest = manifest.digest();
        self.checkpoints.manifests.insert(seq, manifest.clone());
        effects.push(Effect::StoreCheckpoint { manifest, replies });
        if self.view.abstains().is_some() {
            return;
        }
        let checkpoint = self.signed(Checkpoint { seq, digest, replica: self.params.replica });
        self.checkpoints.insert(checkpoint.clone(), &self.log);
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
        check_vote_origin(from, replica)?;
        if seq <= self.log.low() {
            self.log.check_window(seq)?;
        }
        let known = self.checkpoints.vote(seq, from).map(|known| known.body.digest);
        check_first_vote(replica, self.view.number(), seq, known, digest)?;
        let beyond = self.checkpoints.beyond.get(&from).filter(|_| !self.log.contains(seq));
        let is_late = beyond.is_some_and(|known| known.body.seq >= seq);
        refuse_if(is_late, Rejection::Duplicate)?;
        // All checks passed; nothing has changed yet.
        let mut effects = Vec::new();
        self.checkpoints.insert(checkpoint, &self.log);
        self.try_stabilise(seq, &mut effects);
        Ok(effects)
    }

    /// A stable checkpoint's proof, from a replica that saw this one fall behind.
    pub(crate) fn on_stable(&mut self, certificate: Arc<StableCertificate>) -> Outcome {
        let (seq, _) = certificate.proves().ok_or(Rejection::MixedCertificate)?;
        if seq <= self.log.low() {
            self.log.check_window(seq)?;
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
        let Some((seq, _)) = certificate.proves() else { return };
        if seq > self.execution.last_executed() {
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
        let reason = self.checkpoints.divergence(certificate);
        let diverged = reason.is_some();
        reason.into_iter().for_each(|reason| self.halt(reason, effects));
        diverged
    }

    /// §4.3: h moves to the stable checkpoint; everything at or below it is forgotten.
    pub(crate) fn stabilise(
        &mut self,
        seq: SeqNum,
        certificate: Arc<StableCertificate>,
        effects: &mut Vec<Effect>,
    ) {
        assert!(seq <= self.execution.last_executed(), "the state of a stable checkpoint is here");
        if seq <= self.log.low() {
            return;
        }
        effects.push(Effect::Persist(Record::Stable(Arc::clone(&certificate))));
        self.log.truncate(seq);
        self.checkpoints.truncate(&self.log, certificate);
        if self.view.stop_abstaining(seq) {
            self.refresh_timer(effects);
        }
        self.transfer.on_stable(seq, &self.checkpoints.manifests, effects);
    }
}
