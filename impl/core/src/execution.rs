//! §4.1, §4.2: execution in sequence order, each request exactly once, and the replies.

use crate::budget::Help;
use crate::effect::Effect;
use crate::log::Log;
use crate::manifest::ChunkId;
use crate::message::{Batch, Reply, Request, Signed};
use crate::pending::RequestId;
use crate::rejection::Rejection;
use crate::replica::{Outcome, Replica};
use crate::replies::{LastReply, ReplyChunks, ReplyTable};
use crate::size;
use crate::types::{ClientId, Lane, ReplicaId, SeqNum, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A batch that the service is executing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Executing {
    seq: SeqNum,
    /// All requests of the batch.
    batch: Vec<RequestId>,
    /// The requests that the service was asked to apply.
    applied: Vec<Arc<Signed<Request>>>,
}

/// What was executed: one batch after the other, and one at a time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Execution {
    last_executed: SeqNum,
    /// The batch that the service is executing, the next one.
    executing: Option<Executing>,
    pub(crate) replies: ReplyTable,
    /// Its chunks, as far as they are known.
    reply_chunks: ReplyChunks,
}

impl Execution {
    /// The service's state is the one after `last_executed`, with these replies.
    pub(crate) fn new(last_executed: SeqNum, replies: ReplyTable) -> Self {
        let reply_chunks = ReplyChunks::new(&replies);
        Self { last_executed, executing: None, replies, reply_chunks }
    }

    pub(crate) fn last_executed(&self) -> SeqNum {
        self.last_executed
    }

    /// Whether the service is executing a batch.
    pub(crate) fn is_under_way(&self) -> bool {
        self.executing.is_some()
    }

    /// The next batch, at `seq`, is executed. Returns the requests that the service is to apply.
    fn begin(&mut self, seq: SeqNum, batch: &Batch) -> Vec<Arc<Signed<Request>>> {
        let applied = self.not_yet_executed(&batch.requests);
        let batch = batch.requests.iter().map(|request| request.body.id()).collect();
        self.executing = Some(Executing { seq, batch, applied: applied.clone() });
        applied
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

    /// The service has executed a batch, with so many results, and has told its chunks if that is a checkpoint.
    fn finish(
        &mut self,
        seq: SeqNum,
        results: usize,
        has_what_is_due: bool,
    ) -> Result<Executing, Rejection> {
        let expected = self.executing.as_ref().map(|executing| executing.seq);
        let executing = self.executing.take_if(|executing| {
            executing.seq == seq && executing.applied.len() == results && has_what_is_due
        });
        let executing = executing.ok_or(Rejection::UnexpectedCompletion { expected, got: seq })?;
        // All checks passed; nothing has changed yet (but for what was taken).
        assert_eq!(seq, self.last_executed.next(), "batches are executed in order");
        self.last_executed = seq;
        Ok(executing)
    }

    fn record(&mut self, id: RequestId, reply: LastReply) {
        self.replies.record(id.client, id.lane, reply);
        self.reply_chunks.changed(id.client, id.lane);
    }

    /// The chunks of the reply table in order, and the bytes of those that changed since they were last asked for.
    pub(crate) fn reply_chunks(&mut self) -> (Vec<ChunkId>, Vec<Arc<[u8]>>) {
        self.reply_chunks.refresh(&self.replies)
    }

    /// §4.1: the last request of a lane is answered again; an earlier one never, nor another one with its timestamp.
    fn last_reply(&self, request: &Request) -> Result<&LastReply, Rejection> {
        let id = request.id();
        match self.replies.last(id.client, id.lane) {
            Some(last) if last.timestamp == id.timestamp => {
                let (timestamp, executed, got) = (id.timestamp, last.request, request.digest());
                match executed == got {
                    true => Ok(last),
                    false => Err(Rejection::UsedForAnother { timestamp, executed, got }),
                }
            }
            Some(last) => Err(Rejection::OldTimestamp { last: last.timestamp, got: id.timestamp }),
            None => Err(Rejection::Duplicate),
        }
    }

    pub(crate) fn check_invariants(&self, log: &Log) {
        assert!(log.low() <= self.last_executed, "h is stable, so executed");
        assert!(self.last_executed <= log.high(), "nothing above H is executed");
        debug_assert!(
            (log.low().0 + 1..=self.last_executed.0)
                .all(|seq| log.slot(SeqNum(seq)).is_some_and(|slot| slot.committed.is_some())),
            "what was executed above h can be proved"
        );
    }
}

impl Replica {
    /// §4.2: the next batch is executed when it is committed and all before it are executed.
    pub(crate) fn execute_next(&mut self, effects: &mut Vec<Effect>) {
        if self.execution.is_under_way() || self.halted.is_some() {
            return;
        }
        let seq = self.execution.last_executed.next();
        let Some(slot) = self.log.slot(seq) else { return };
        let Some(certificate) = slot.committed.clone() else { return };
        effects.push(Effect::Persist(slot.record_of(&certificate)));
        let requests = self.execution.begin(seq, &certificate.batch);
        effects.push(Effect::Execute { seq, requests, checkpoint: self.params.is_checkpoint(seq) });
    }

    pub(crate) fn on_executed(
        &mut self,
        seq: SeqNum,
        results: Vec<Arc<[u8]>>,
        chunks: Option<Vec<ChunkId>>,
    ) -> Outcome {
        let has_what_is_due = chunks.is_some() || !self.params.is_checkpoint(seq);
        let executing = self.execution.finish(seq, results.len(), has_what_is_due)?;
        let mut effects = Vec::new();
        if !executing.applied.is_empty() && seq > self.view.carried_over() {
            self.timer.on_served();
        }
        for (request, result) in executing.applied.iter().zip(results) {
            let id = request.body.id();
            let reply = LastReply::to(&request.body, result);
            effects.push(self.reply(id, &reply));
            self.execution.record(id, reply);
        }
        let executed = executing.batch.len();
        self.timer.on_executed(&executing.batch);
        for id in executing.batch {
            self.pending.settle(id.client, id.lane, &self.execution.replies);
        }
        self.pending.expect(executed);
        if let Some(chunks) = chunks.filter(|_| self.params.is_checkpoint(seq)) {
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

    /// The reply to the last request of a lane is sent again; for a peer that has relayed the request as often as the
    /// peer's budget allows.
    pub(crate) fn reply_again(
        &mut self,
        request: &Request,
        relayed_by: Option<ReplicaId>,
    ) -> Outcome {
        let last = self.execution.last_reply(request)?;
        if let Some(peer) = relayed_by {
            let bytes = size::REPLY + last.result.len();
            self.peers.budget.give(peer, Some(Help::Reply), bytes)?;
        }
        Ok(vec![self.reply(request.id(), last)])
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
}
