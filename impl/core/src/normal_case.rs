//! §4.1 and §4.2: from a request to a committed batch.

use crate::durable::Record;
use crate::effect::{Effect, HaltReason};
use crate::log::Prepared;
use crate::message::{
    Batch, Commit, CommitCertificate, Message, PrePrepare, Prepare, PreparedCertificate, Proposal,
    Request, Signed,
};
use crate::rejection::{Rejection, refuse_if};
use crate::replica::{Outcome, Replica, check_vote_origin};
use crate::types::{Digest, ReplicaId, SeqNum, View};
use std::sync::Arc;

impl Replica {
    /// §4.1, §4.4: a request comes from its client, or from a backup that relays it. The primary orders it; a
    /// backup relays it and protects it with its timer. A request that was executed is answered again.
    pub(crate) fn on_request(
        &mut self,
        request: Arc<Signed<Request>>,
        relayed_by: Option<ReplicaId>,
    ) -> Outcome {
        let id = request.body.id();
        if self.execution.replies.is_executed(id.client, id.lane, id.timestamp) {
            return self.reply_again(&request.body, relayed_by);
        }
        let from_client = relayed_by.is_none();
        self.must_sign.check_proof(&request, from_client, &self.view)?;
        let relays = from_client && self.view.is_active_backup();
        if let Some(waiting) = self.pending.request(id.client, id.lane) {
            let last = waiting.timestamp;
            refuse_if(last > id.timestamp, Rejection::OldTimestamp { last, got: id.timestamp })?;
            if last == id.timestamp && *waiting != request.body {
                let (waiting, got) = (waiting.digest(), request.body.digest());
                return Err(Rejection::AnotherWaits { timestamp: last, waiting, got });
            }
            if last == id.timestamp {
                // The client sent it again: the relay may have been lost, or it has signed what was not signed before.
                let proven = self.pending.prove(&request);
                return match relays {
                    true => Ok(vec![self.relay(request)]),
                    false if proven => Ok(Vec::new()),
                    false => Err(Rejection::Duplicate),
                };
            }
        }
        // All checks passed; nothing has changed yet.
        let mut effects = Vec::new();
        self.pending.insert(Arc::clone(&request));
        if relays {
            effects.push(self.relay(request));
        }
        self.propose(&mut effects);
        if self.view.is_active() {
            self.refresh_timer(&mut effects);
        }
        Ok(effects)
    }

    pub(crate) fn relay(&self, request: Arc<Signed<Request>>) -> Effect {
        let to = self.view.primary();
        Effect::Send { to, message: Message::Request(request) }
    }

    /// §4.2: the primary gives waiting requests the next sequence numbers, while the window and the pipeline have
    /// room, and when enough of them wait or have waited long enough.
    pub(crate) fn propose(&mut self, effects: &mut Vec<Effect>) {
        while self.view.is_active_primary() {
            let seq = self.view.last_proposed.max(self.log.low()).next();
            let in_flight =
                self.view.last_proposed.0.saturating_sub(self.execution.last_executed().0);
            if !self.log.contains(seq) || in_flight >= self.params.pipeline {
                return;
            }
            if self.pending.waits_for_more(&self.params, effects) {
                return;
            }
            let (count, bytes) = (self.params.batch_requests_max, self.params.batch_bytes_max());
            let requests = self.pending.take_unordered(count, bytes);
            if requests.is_empty() {
                return;
            }
            let requests = requests.iter().map(|request| Signed::clone(request)).collect();
            let batch = Arc::new(Batch { requests });
            self.view.last_proposed = seq;
            let (view, digest, replica) = (self.view.number(), batch.digest(), self.params.replica);
            let pre_prepare = self.signed(PrePrepare { view, seq, digest, replica });
            let proposal = Arc::new(Proposal { pre_prepare, batch });
            self.log.slot_mut(seq).proposal = Some(Arc::clone(&proposal));
            effects.push(Effect::Persist(Record::Accepted(Arc::clone(&proposal))));
            effects.push(Effect::Broadcast(Message::PrePrepare(proposal)));
            self.advance(seq, effects);
        }
    }

    /// Requests have waited for others long enough.
    pub(crate) fn on_batch_timer(&mut self) -> Outcome {
        let mut effects = Vec::new();
        self.pending.stop_gathering();
        self.propose(&mut effects);
        Ok(effects)
    }

    /// §4.2: a backup accepts a pre-prepare if it is from the primary of its active view, in the window, matches
    /// its batch, and is the first for its view and sequence number.
    pub(crate) fn on_pre_prepare(&mut self, proposal: Arc<Proposal>) -> Outcome {
        self.check_pre_prepare(&proposal)?;
        // All checks passed; nothing has changed yet.
        let seq = proposal.pre_prepare.body.seq;
        let mut effects = vec![Effect::Persist(Record::Accepted(Arc::clone(&proposal)))];
        self.accept(proposal, &mut effects);
        self.advance(seq, &mut effects);
        Ok(effects)
    }

    fn check_pre_prepare(&self, proposal: &Proposal) -> Result<(), Rejection> {
        let body = &proposal.pre_prepare.body;
        refuse_if(body.replica == self.params.replica, Rejection::OwnMessage)?;
        self.view.check_active(body.view)?;
        self.log.check_window(body.seq)?;
        let known = self.log.slot(body.seq).and_then(|slot| slot.accepted());
        check_first_vote(body.replica, body.view, body.seq, known, body.digest)
    }

    /// Logs a pre-prepare and sends PREPARE for it.
    pub(crate) fn accept(&mut self, proposal: Arc<Proposal>, effects: &mut Vec<Effect>) {
        let PrePrepare { view, seq, digest, .. } = proposal.pre_prepare.body;
        let replica = self.params.replica;
        let prepare = self.signed(Prepare { view, seq, digest, replica });
        let slot = self.log.slot_mut(seq);
        slot.proposal = Some(proposal);
        slot.prepares.insert(replica, prepare.clone());
        effects.push(Effect::Broadcast(Message::Prepare(prepare)));
    }

    /// §4.2: PREPAREs of backups are logged; q−1 that match the accepted pre-prepare make it prepared.
    pub(crate) fn on_prepare(&mut self, from: ReplicaId, prepare: Signed<Prepare>) -> Outcome {
        let body = &prepare.body;
        check_vote_origin(from, body.replica)?;
        self.view.check_view(body.view)?;
        self.log.check_window(body.seq)?;
        let known = self.log.slot(body.seq).and_then(|slot| slot.prepares.get(&from));
        let known = known.map(|known| known.body.digest);
        check_first_vote(from, body.view, body.seq, known, body.digest)?;
        // All checks passed; nothing has changed yet.
        let seq = body.seq;
        let mut effects = Vec::new();
        self.log.slot_mut(seq).prepares.insert(from, prepare);
        self.advance(seq, &mut effects);
        Ok(effects)
    }

    /// §4.2: COMMITs are logged; q that match a prepared batch commit it.
    pub(crate) fn on_commit(&mut self, from: ReplicaId, commit: Signed<Commit>) -> Outcome {
        let body = &commit.body;
        check_vote_origin(from, body.replica)?;
        self.view.check_view(body.view)?;
        self.log.check_window(body.seq)?;
        let known = self.log.slot(body.seq).and_then(|slot| slot.commits.get(&from));
        let known = known.map(|known| known.body.digest);
        check_first_vote(from, body.view, body.seq, known, body.digest)?;
        // All checks passed; nothing has changed yet.
        let seq = body.seq;
        let mut effects = Vec::new();
        self.log.slot_mut(seq).commits.insert(from, commit);
        self.advance(seq, &mut effects);
        Ok(effects)
    }

    /// A commit certificate is final, in whichever view its COMMITs were sent and whichever view this replica is
    /// in: any correct replica can bring another up with it.
    pub(crate) fn on_committed(&mut self, certificate: Arc<CommitCertificate>) -> Outcome {
        let first = certificate.commits.first().ok_or(Rejection::MixedCertificate)?;
        let (seq, digest) = (first.body.seq, first.body.digest);
        self.log.check_window(seq)?;
        let known = self.log.slot(seq).and_then(|slot| slot.committed.as_ref());
        let is_here = known.is_some_and(|known| known.digest() == Some(digest));
        refuse_if(is_here || seq <= self.execution.last_executed(), Rejection::Duplicate)?;
        // All checks passed; nothing has changed yet.
        let mut effects = Vec::new();
        self.commit(seq, certificate, &mut effects);
        self.execute_next(&mut effects);
        Ok(effects)
    }

    /// Takes a slot as far as its votes carry it: prepared, then committed, then executed (§4.2).
    pub(crate) fn advance(&mut self, seq: SeqNum, effects: &mut Vec<Effect>) {
        if !self.view.is_active() {
            return;
        }
        let Some(slot) = self.log.slot(seq) else { return };
        let Some(proposal) = slot.proposal.clone() else { return };
        if !slot.is_prepared_in(self.view.number()) {
            let needed = self.params.membership.prepares();
            let mut prepares = slot.matching_prepares(&proposal.pre_prepare.body);
            if prepares.len() < needed {
                return;
            }
            prepares.truncate(needed);
            self.prepare(seq, &proposal, prepares, effects);
        }
        self.collect_commits(seq, &proposal, effects);
        self.execute_next(effects);
    }

    /// §4.2: the batch is prepared here; COMMIT says so.
    fn prepare(
        &mut self,
        seq: SeqNum,
        proposal: &Proposal,
        prepares: Vec<Signed<Prepare>>,
        effects: &mut Vec<Effect>,
    ) {
        let PrePrepare { view, digest, .. } = proposal.pre_prepare.body;
        let replica = self.params.replica;
        let pre_prepare = proposal.pre_prepare.clone();
        let certificate = Arc::new(PreparedCertificate { pre_prepare, prepares });
        let commit = self.signed(Commit { view, seq, digest, replica });
        let slot = self.log.slot_mut(seq);
        let batch = Arc::clone(&proposal.batch);
        slot.prepared = Some(Prepared { certificate: Arc::clone(&certificate), batch });
        slot.commits.insert(replica, commit.clone());
        effects.push(Effect::Persist(Record::Prepared(certificate)));
        effects.push(Effect::Broadcast(Message::Commit(commit)));
    }

    /// §4.2: committed-local is prepared, and q COMMITs that match the pre-prepare, the own one included.
    fn collect_commits(&mut self, seq: SeqNum, proposal: &Proposal, effects: &mut Vec<Effect>) {
        let body = &proposal.pre_prepare.body;
        let Some(slot) = self.log.slot(seq) else { return };
        let needed = self.params.membership.quorum();
        let mut commits = slot.matching_commits(body);
        let known = slot.committed.as_ref().and_then(|known| known.digest());
        if commits.len() < needed || known == Some(body.digest) {
            return;
        }
        commits.truncate(needed);
        let batch = Arc::clone(&proposal.batch);
        self.commit(seq, Arc::new(CommitCertificate { commits, batch }), effects);
    }

    /// The batch is final at `seq`. Two different certificates for one sequence number mean that more than f
    /// replicas are faulty: the replica stops.
    fn commit(
        &mut self,
        seq: SeqNum,
        certificate: Arc<CommitCertificate>,
        effects: &mut Vec<Effect>,
    ) {
        let slot = self.log.slot_mut(seq);
        let known = slot.committed.as_ref().and_then(|known| known.digest());
        match (known, certificate.digest()) {
            (Some(first), Some(second)) if first != second => {
                self.halt(HaltReason::ConflictingCertificates { seq, first, second }, effects);
            }
            (Some(_) | None, Some(_) | None) => slot.committed = Some(certificate),
        }
    }
}

/// The first vote of a replica is kept; a different second one is evidence of a fault.
pub(crate) fn check_first_vote(
    replica: ReplicaId,
    view: View,
    seq: SeqNum,
    known: Option<Digest>,
    second: Digest,
) -> Result<(), Rejection> {
    match known {
        None => Ok(()),
        Some(first) if first == second => Err(Rejection::Duplicate),
        Some(first) => Err(Rejection::Equivocation { replica, view, seq, first, second }),
    }
}
