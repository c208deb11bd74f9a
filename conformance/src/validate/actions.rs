//! §4.2 and §4.3: ordering, accepting, committing, executing; checkpoints.

use super::cluster::{Cluster, Decided, Due};
use super::facts::Replica;
use super::refusal::{Property, Refusal};
use crate::refinement::kind::ActionKind;
use crate::statement::{Statement, StatementKind};
use pbft_model::rules::{self, Unmet};
use pbft_node::trace::ShortDigest;
use pbft_node::trace::format::{
    Body, CheckpointVote, Committed, Input, Proposal, RequestId, StableProof, Vote,
};

/// Whether `signers` are distinct and each among `voters`.
fn all_among(signers: &[u32], voters: &[u32]) -> bool {
    signers
        .iter()
        .enumerate()
        .all(|(position, signer)| voters.contains(signer) && !signers[..position].contains(signer))
}

impl Cluster {
    /// Votes are for the replica's current view.
    fn check_view(&self, replica: &Replica, step: &str, view: u64) -> Result<(), Box<Refusal>> {
        if view == replica.view {
            return Ok(());
        }
        let detail = format!("it is in v{}, and votes in v{view}", replica.view);
        Err(Box::new(Refusal::property(step, Property::VotesInItsView, detail)))
    }

    fn where_it_is(&self, replica: &Replica) -> String {
        let window = replica.window(self.window);
        let active = if replica.active { "" } else { ", not active" };
        let Replica { view, executed, .. } = replica;
        format!("v{view}{active}, window ({}, {}], #{executed} executed", window.low, window.high)
    }

    /// §4.2: the primary gives a batch the next number.
    pub(super) fn order(&mut self, proposal: &Proposal) -> Result<(), Box<Refusal>> {
        let Proposal { view, seq, digest, replica: id, batch } = proposal;
        let step = format!("sends PRE-PREPARE for #{seq} in v{view}");
        let replica = self.replica(*id)?;
        self.check_view(replica, &step, *view)?;
        let (next, window) = (replica.next_to_order(), replica.window(self.window));
        let refuse = |unmet| {
            let detail = format!("next is #{next}; {}", self.where_it_is(replica));
            Box::new(Refusal::guard(step.clone(), unmet, detail))
        };
        rules::order(replica.role(self.replicas), *seq, next, window).map_err(refuse)?;
        if batch.is_empty() || *digest == self.null {
            return Err(refuse(Unmet::Null));
        }
        for (position, request) in batch.iter().enumerate() {
            let answered = self.is_answered(*request, replica.executed);
            let ordered = replica.ordered.contains(request) || batch[..position].contains(request);
            rules::orderable(answered, ordered).map_err(|unmet| {
                Box::new(Refusal::guard(step.clone(), unmet, format!("request {request}")))
            })?;
        }
        self.count(*id, ActionKind::PrePrepare);
        self.name_batch(*id, *seq, *digest, batch)?;
        let replica = self.replica_mut(*id)?;
        replica.accepted.insert(*seq, *digest);
        replica.ordered.extend(batch);
        self.note(
            Statement { signer: *id, kind: StatementKind::PrePrepare, view: *view, seq: *seq },
            *digest,
        )
    }

    /// §4.2: a backup accepts the PRE-PREPARE that has reached it; or one of O, which is due.
    pub(super) fn accept(
        &mut self,
        vote: &Vote,
        input: &Input,
        due: &mut Due,
    ) -> Result<(), Box<Refusal>> {
        let Vote { view, seq, digest, replica: id } = *vote;
        let step = format!("sends PREPARE for #{seq} in v{view}");
        let replica = self.replica(id)?;
        self.check_view(replica, &step, view)?;
        if let Some((expected, of_o)) = due.prepares.pop_front() {
            if (expected, of_o) != (seq, digest) {
                let detail = format!("O has {of_o} at #{expected} next");
                return Err(Box::new(Refusal::guard(step, Unmet::WrongOrder, detail)));
            }
        } else {
            let window = replica.window(self.window);
            let taken = replica.accepted.contains_key(&seq);
            let pre_prepared = match input {
                Input::Message { body: Body::PrePrepare(proposal), .. } => {
                    (proposal.view, proposal.seq, proposal.digest) == (view, seq, digest)
                        && proposal.replica == self.primary(view)
                }
                _ => false,
            };
            let role = replica.role(self.replicas);
            let null = digest == self.null;
            rules::accept(role, seq, window, taken, pre_prepared, null).map_err(|unmet| {
                Box::new(Refusal::guard(step, unmet, self.where_it_is(replica)))
            })?;
            self.count(id, ActionKind::Prepare);
        }
        let replica = self.replica_mut(id)?;
        replica.accepted.insert(seq, digest);
        replica.heard.prepare(vote);
        self.note(Statement { signer: id, kind: StatementKind::Prepare, view, seq }, digest)
    }

    /// The backups whose PREPAREs a replica has heard.
    pub(super) fn prepares_heard(
        &self,
        replica: &Replica,
        view: u64,
        seq: u64,
        digest: ShortDigest,
    ) -> Vec<u32> {
        let primary = self.primary(view);
        let mut voters = replica.heard.prepared_by(view, seq, digest);
        voters.retain(|voter| *voter != primary);
        voters
    }

    /// §4.2: COMMIT, for what was accepted and has prepared.
    pub(super) fn commit(&mut self, vote: &Vote, due: &mut Due) -> Result<(), Box<Refusal>> {
        let Vote { view, seq, digest, replica: id } = *vote;
        let step = format!("sends COMMIT for #{seq} in v{view}");
        let replica = self.replica(id)?;
        self.check_view(replica, &step, view)?;
        let accepted = replica.accepted.get(&seq) == Some(&digest);
        let prepared = replica.certificates.get(&seq).is_some_and(|proof| proof.view == view);
        let voters = self.prepares_heard(replica, view, seq, digest);
        let needed = self.quorums.prepares();
        let refuse = |unmet| {
            let detail = format!("PREPAREs of {voters:?} were heard, {needed} are needed");
            Box::new(Refusal::guard(step.clone(), unmet, detail))
        };
        let votes = || voters.len() as u8;
        rules::commit(replica.active, accepted, prepared, needed, votes).map_err(refuse)?;
        let proof = due.prepared.take();
        let proof = proof.filter(|p| (p.view, p.seq, p.digest) == (view, seq, digest));
        let proof = proof.filter(|p| p.signers.len() == usize::from(needed));
        let proof = proof.filter(|p| all_among(&p.signers, &voters));
        let proof = proof.ok_or_else(|| refuse(Unmet::PreparesMissing))?;
        self.count(id, ActionKind::Commit);
        let replica = self.replica_mut(id)?;
        replica.certificates.insert(seq, proof);
        replica.heard.commit(vote);
        self.note(Statement { signer: id, kind: StatementKind::Commit, view, seq }, digest)
    }

    /// §4.1: whether a request was answered once the batches up to `executed` were executed.
    fn is_answered(&self, request: RequestId, executed: u64) -> bool {
        let RequestId(client, lane, timestamp) = request;
        let history = self.answered.get(&(client, lane)).into_iter().flatten();
        let last = history.rev().find(|(seq, _)| *seq <= executed);
        last.is_some_and(|(_, answered)| timestamp <= *answered)
    }

    /// §4.2: the next batch is executed; the requests in it that were not answered are applied.
    pub(super) fn execute(&mut self, id: u32, seq: u64, due: &mut Due) -> Result<(), Box<Refusal>> {
        let step = format!("executes #{seq}");
        let executing = self.replica_mut(id)?.executing.take();
        let asked = executing.filter(|(committed, _)| committed.seq == seq);
        let Some((committed, applied)) = asked else {
            let detail = "the service was not asked for it".to_owned();
            return Err(Box::new(Refusal::effect(step, detail)));
        };
        let Committed { view, digest, signers, batch, .. } = &committed;
        let replica = self.replica(id)?;
        let voters = replica.heard.committed_by(*view, seq, *digest);
        let needed = usize::from(self.quorums.quorum);
        let proven = signers.len() == needed && all_among(signers, &voters);
        let (next, window) = (replica.executed.saturating_add(1), replica.window(self.window));
        rules::execute(seq, next, window, proven).map_err(|unmet| {
            let votes = format!("COMMITs in v{view} of {voters:?} were heard, {needed} are needed");
            let detail = format!("next is #{next}; {votes}");
            Box::new(Refusal::guard(step.clone(), unmet, detail))
        })?;
        self.agree(id, seq, *digest, batch, applied, &step)?;
        self.count(id, ActionKind::Execute);
        self.replica_mut(id)?.executed = seq;
        due.checkpoint = Some(seq).filter(|seq| seq.is_multiple_of(self.interval));
        Ok(())
    }

    /// Agreement and exactly-once: what is executed at a number is what everybody executes there, and of it is applied
    /// what was not answered.
    fn agree(
        &mut self,
        id: u32,
        seq: u64,
        digest: ShortDigest,
        batch: &[RequestId],
        applied: Vec<RequestId>,
        step: &str,
    ) -> Result<(), Box<Refusal>> {
        let decided = match self.decided.get(&seq) {
            Some(decided) => decided,
            None => {
                let mut fresh: Vec<RequestId> = Vec::new();
                for request in batch {
                    let RequestId(client, lane, timestamp) = *request;
                    let history = self.answered.entry((client, lane)).or_default();
                    if history.back().is_none_or(|(_, answered)| timestamp > *answered) {
                        history.push_back((seq, timestamp));
                        fresh.push(*request);
                    }
                    while history.get(1).is_some_and(|(at, _)| *at <= self.floor) {
                        history.pop_front();
                    }
                }
                self.head = self.head.max(seq);
                self.coverage.executed(seq, fresh.len(), batch.len());
                self.decided.entry(seq).or_insert(Decided { digest, applied: fresh, by: id })
            }
        };
        if decided.digest != digest {
            let Decided { digest: other, by, .. } = decided;
            let detail = format!("it executes {digest}, replica {by} executed {other}");
            return Err(Box::new(Refusal::property(step, Property::Agreement, detail)));
        }
        if decided.applied != applied {
            let detail =
                format!("applied are {applied:?}, not answered before are {:?}", decided.applied);
            return Err(Box::new(Refusal::property(step, Property::ExactlyOnce, detail)));
        }
        Ok(())
    }

    /// §4.3: the checkpoint that execution has made due.
    pub(super) fn take_checkpoint(
        &mut self,
        vote: &CheckpointVote,
        due: &mut Due,
    ) -> Result<(), Box<Refusal>> {
        let CheckpointVote { seq, digest, replica: id } = *vote;
        let step = format!("sends CHECKPOINT for #{seq}");
        if due.checkpoint.take() != Some(seq) {
            let detail = "it has not just executed that number, or it is no multiple of K";
            return Err(Box::new(Refusal::guard(step, Unmet::NotACheckpoint, detail)));
        }
        let (known, by) = *self.checkpoints.entry(seq).or_insert((digest, id));
        if known != digest {
            let detail = format!("its state is {digest}, that of replica {by} is {known}");
            return Err(Box::new(Refusal::property(step, Property::CheckpointAgreement, detail)));
        }
        let replica = self.replica_mut(id)?;
        replica.checkpoints.insert(seq, digest);
        replica.heard.checkpoint(vote);
        self.note(Statement { signer: id, kind: StatementKind::Checkpoint, view: 0, seq }, digest)
    }

    /// Whether a replica has heard the CHECKPOINTs of a proof, q of them.
    fn is_proven(&self, replica: &Replica, proof: &StableProof) -> bool {
        let voters = replica.heard.checkpointed_by(proof.seq, proof.digest);
        proof.signers.len() == usize::from(self.quorums.quorum)
            && all_among(&proof.signers, &voters)
    }

    /// §4.3: a checkpoint that the replica took becomes stable.
    pub(super) fn stabilise(&mut self, id: u32, proof: &StableProof) -> Result<(), Box<Refusal>> {
        let seq = proof.seq;
        let step = format!("takes checkpoint #{seq} for stable");
        let replica = self.replica(id)?;
        let checkpoint = seq.is_multiple_of(self.interval);
        let own = replica.checkpoints.get(&seq) == Some(&proof.digest);
        let proven = || self.is_proven(replica, proof);
        let allowed = rules::stabilise(seq, replica.low, replica.executed, checkpoint, own, proven);
        allowed
            .map_err(|unmet| Box::new(Refusal::guard(step, unmet, self.where_it_is(replica))))?;
        self.count(id, ActionKind::Stabilise);
        self.replica_mut(id)?.collect_garbage(seq);
        self.forget();
        Ok(())
    }

    /// §4.3: a replica that is behind adopts the state of a stable checkpoint.
    pub(super) fn transfer(&mut self, id: u32, proof: &StableProof) -> Result<(), Box<Refusal>> {
        let seq = proof.seq;
        let step = format!("adopts the state of checkpoint #{seq}");
        let replica = self.replica(id)?;
        let checkpoint = seq.is_multiple_of(self.interval);
        let proven = self.is_proven(replica, proof);
        rules::transfer(seq, replica.executed, checkpoint, proven).map_err(|unmet| {
            Box::new(Refusal::guard(step.clone(), unmet, self.where_it_is(replica)))
        })?;
        if let Some((known, by)) = self.checkpoints.get(&seq)
            && *known != proof.digest
        {
            let detail = format!("the state is {}, that of replica {by} is {known}", proof.digest);
            return Err(Box::new(Refusal::property(step, Property::CheckpointAgreement, detail)));
        }
        self.count(id, ActionKind::StateTransfer);
        let replica = self.replica_mut(id)?;
        replica.executed = seq;
        replica.executing = None;
        replica.collect_garbage(seq);
        self.forget();
        Ok(())
    }
}
