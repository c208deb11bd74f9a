//! §4.1, §4.2: execution in sequence order, each request exactly once, and the replies.

use crate::budget::Help;
use crate::effect::Effect;
use crate::manifest::ChunkId;
use crate::message::{Reply, Request, Signed};
use crate::pending::RequestId;
use crate::rejection::Rejection;
use crate::replica::{Outcome, Replica};
use crate::replies::LastReply;
use crate::size;
use crate::types::{ClientId, Lane, ReplicaId, SeqNum, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A batch that the service is executing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Executing {
    pub(crate) seq: SeqNum,
    /// All requests of the batch.
    batch: Vec<RequestId>,
    /// The requests that the service was asked to apply.
    applied: Vec<Arc<Signed<Request>>>,
}

impl Replica {
    /// §4.2: the next batch is executed when it is committed and all before it are executed.
    pub(crate) fn execute_next(&mut self, effects: &mut Vec<Effect>) {
        if self.executing.is_some() || self.halted.is_some() {
            return;
        }
        let seq = self.last_executed.next();
        let Some(slot) = self.log.slot(seq) else { return };
        let Some(certificate) = slot.committed.clone() else { return };
        effects.push(Effect::Persist(slot.record_of(&certificate)));
        let requests = self.not_yet_executed(&certificate.batch.requests);
        let batch = certificate.batch.requests.iter().map(|request| request.body.id()).collect();
        self.executing = Some(Executing { seq, batch, applied: requests.clone() });
        effects.push(Effect::Execute { seq, requests, checkpoint: self.is_checkpoint(seq) });
    }

    /// §4.1: exactly-once. A request counts only if its timestamp is above its lane's last, whatever a faulty
    /// primary put into the batch.
    fn not_yet_executed(&self, batch: &[Signed<Request>]) -> Vec<Arc<Signed<Request>>> {
        let mut last: BTreeMap<(ClientId, Lane), Timestamp> = BTreeMap::new();
        let mut fresh = Vec::new();
        for request in batch {
            let RequestId { client, lane, timestamp } = request.body.id();
            let seen = last.get(&(client, lane)).is_some_and(|last| timestamp <= *last);
            if seen || self.replies.is_executed(client, lane, timestamp) {
                continue;
            }
            last.insert((client, lane), timestamp);
            fresh.push(Arc::new(request.clone()));
        }
        fresh
    }

    pub(crate) fn on_executed(
        &mut self,
        seq: SeqNum,
        results: Vec<Arc<[u8]>>,
        chunks: Option<Vec<ChunkId>>,
    ) -> Outcome {
        let expected = self.executing.as_ref().map(|executing| executing.seq);
        let unexpected = Rejection::UnexpectedCompletion { expected, got: seq };
        let Some(executing) = self.executing.take_if(|executing| {
            executing.seq == seq
                && executing.applied.len() == results.len()
                && (chunks.is_some() || !seq.0.is_multiple_of(self.params.checkpoint_interval))
        }) else {
            return Err(unexpected);
        };
        // All checks passed; nothing has changed yet (but for what was taken).
        assert_eq!(seq, self.last_executed.next(), "batches are executed in order");
        let mut effects = Vec::new();
        self.last_executed = seq;
        if !executing.applied.is_empty() && seq > self.view.carried_over() {
            self.timer.on_served();
        }
        for (request, result) in executing.applied.iter().zip(results) {
            let id = request.body.id();
            let reply = LastReply::to(&request.body, result);
            effects.push(self.reply(id, &reply));
            self.replies.record(id.client, id.lane, reply);
            self.reply_chunks.changed(id.client, id.lane);
        }
        let executed = executing.batch.len();
        self.timer.on_executed(&executing.batch);
        for id in executing.batch {
            self.pending.settle(id.client, id.lane, &self.replies);
        }
        self.pending.expect(executed);
        if let Some(chunks) = chunks.filter(|_| self.is_checkpoint(seq)) {
            self.take_checkpoint(seq, chunks, &mut effects);
            self.settle_transfer(&mut effects);
        }
        if self.view.is_active() {
            self.refresh_timer(&mut effects);
        }
        self.propose(&mut effects);
        self.execute_next(&mut effects);
        // A NEW-VIEW may have waited for this state.
        self.try_awaited(&mut effects);
        self.try_new_view(&mut effects);
        Ok(effects)
    }

    /// §4.1: the last request of a lane is answered again; an earlier one never, nor another one with its timestamp.
    pub(crate) fn reply_again(&self, request: &Request) -> Outcome {
        let id = request.id();
        match self.replies.last(id.client, id.lane) {
            Some(last) if last.timestamp == id.timestamp => {
                let (timestamp, executed, got) = (id.timestamp, last.request, request.digest());
                match executed == got {
                    true => Ok(vec![self.reply(id, last)]),
                    false => Err(Rejection::UsedForAnother { timestamp, executed, got }),
                }
            }
            Some(last) => Err(Rejection::OldTimestamp { last: last.timestamp, got: id.timestamp }),
            None => Err(Rejection::Duplicate),
        }
    }

    /// The same for a request that a peer has relayed: as often as the peer's budget allows.
    pub(crate) fn reply_again_for(&mut self, peer: ReplicaId, request: &Request) -> Outcome {
        let effects = self.reply_again(request)?;
        let results = effects.iter().map(|effect| match effect {
            Effect::Reply(reply) => size::REPLY + reply.body.result.len(),
            _ => 0,
        });
        self.peers.budget.give(peer, Some(Help::Reply), results.sum())?;
        Ok(effects)
    }

    fn reply(&self, id: RequestId, reply: &LastReply) -> Effect {
        Effect::Reply(self.signed(Reply {
            view: self.view.number(),
            client: id.client,
            lane: id.lane,
            timestamp: reply.timestamp,
            request: reply.request,
            replica: self.params.replica,
            result: Arc::clone(&reply.result),
        }))
    }

    /// §4.3: whether a checkpoint is taken after executing `seq`.
    fn is_checkpoint(&self, seq: SeqNum) -> bool {
        seq.0.is_multiple_of(self.params.checkpoint_interval)
    }
}
