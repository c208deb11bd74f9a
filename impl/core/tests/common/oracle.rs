//! What must be true of all replicas together, checked after every effect.

use pbft_core::message::{Message, Request, Signed};
use pbft_core::replies::ReplyTable;
use pbft_core::types::{ClientId, Digest, Lane, ReplicaId, SeqNum, Timestamp, View};
use pbft_core::{Durable, Summary};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::service::{Entries, Service};

/// (client, lane, timestamp, operation).
pub type Executed = (ClientId, Lane, Timestamp, Vec<u8>);

#[derive(Clone, Debug, Default)]
pub struct Oracle {
    /// What the first replica to execute each sequence number executed.
    pub history: BTreeMap<SeqNum, Vec<Executed>>,
    ids: BTreeSet<(ClientId, Lane, Timestamp)>,
    /// The state after each sequence number.
    states: BTreeMap<SeqNum, (Entries, ReplyTable)>,
    /// Every vote a correct replica ever sent, across restarts.
    votes: BTreeMap<(ReplicaId, &'static str, View, SeqNum), Digest>,
    /// The highest view that each replica promised to move to.
    promised: BTreeMap<ReplicaId, View>,
    last: BTreeMap<ReplicaId, (View, SeqNum, SeqNum)>,
}

impl Oracle {
    /// Agreement and exactly-once.
    pub fn on_execute(&mut self, seq: SeqNum, requests: &[Arc<Signed<Request>>]) {
        let name = |request: &Arc<Signed<Request>>| {
            let Request { client, lane, timestamp, operation, .. } = request.body.clone();
            (client, lane, timestamp, operation)
        };
        let executed: Vec<Executed> = requests.iter().map(name).collect();
        if let Some(first) = self.history.get(&seq) {
            assert_eq!(*first, executed, "agreement at {seq}");
            return;
        }
        for (client, lane, timestamp, _) in &executed {
            assert!(self.ids.insert((*client, *lane, *timestamp)), "executed once: {executed:?}");
        }
        self.history.insert(seq, executed);
    }

    /// Equal states at equal sequence numbers, whether executed or fetched.
    pub fn on_state(&mut self, service: &Service) {
        let seq = service.last_executed;
        let now = || (service.entries.clone(), service.replies.clone());
        let (entries, replies) = self.states.entry(seq).or_insert_with(now);
        assert_eq!(*entries, service.entries, "state at {seq}");
        assert_eq!(*replies, service.replies, "replies at {seq}");
    }

    /// Votes are durable before they are sent, never contradict one another, and keep the promise of VIEW-CHANGE.
    pub fn on_send(&mut self, own: ReplicaId, durable: &Durable, message: &Message) {
        let (kind, view, seq, digest) = match message {
            Message::PrePrepare(proposal) if proposal.pre_prepare.body.replica == own => {
                let body = &proposal.pre_prepare.body;
                let accepted = durable.accepted.get(&body.seq);
                assert_eq!(accepted, Some(proposal), "pre-prepare is durable");
                ("pre-prepare", body.view, body.seq, body.digest)
            }
            Message::Prepare(vote) => {
                let body = &vote.body;
                let accepted = &durable.accepted[&body.seq].pre_prepare.body;
                assert_eq!((accepted.view, accepted.digest), (body.view, body.digest));
                ("prepare", body.view, body.seq, body.digest)
            }
            Message::Commit(vote) => {
                let body = &vote.body;
                let prepared = &durable.prepared[&body.seq].pre_prepare.body;
                assert_eq!((prepared.view, prepared.digest), (body.view, body.digest));
                ("commit", body.view, body.seq, body.digest)
            }
            Message::Checkpoint(vote) => {
                assert_eq!(durable.checkpoints.get(&vote.body.seq), Some(vote));
                ("checkpoint", View(0), vote.body.seq, vote.body.digest)
            }
            Message::ViewChange(vote) if vote.body.replica == own => {
                assert_eq!(durable.view_change.as_ref(), Some(vote), "promise is durable");
                let promised = self.promised.entry(own).or_default();
                *promised = vote.body.view.max(*promised);
                return;
            }
            Message::NewView(new_view) if new_view.body.replica == own => {
                assert_eq!(durable.new_view.as_ref(), Some(new_view), "new view is durable");
                return;
            }
            _ => return,
        };
        if kind != "checkpoint" {
            let promised = self.promised.get(&own).copied().unwrap_or_default();
            assert!(view >= promised, "{own} voted in {view} after it left for {promised}");
        }
        let first = *self.votes.entry((own, kind, view, seq)).or_insert(digest);
        assert_eq!(first, digest, "{own} contradicted its {kind} for {view} {seq}");
    }

    /// Views and water marks never go back.
    pub fn on_summary(&mut self, summary: &Summary) {
        let now = (summary.view, summary.low_water_mark, summary.last_executed);
        let last = self.last.insert(summary.replica, now).unwrap_or_default();
        assert!(last.0 <= now.0 && last.1 <= now.1 && last.2 <= now.2, "{last:?} then {now:?}");
    }

    /// A replica has lost its memory, so it starts again from nothing. Its votes and promises count as before.
    pub fn on_amnesia(&mut self, replica: ReplicaId) {
        self.last.remove(&replica);
    }

    /// How many requests were executed.
    pub fn executed(&self) -> usize {
        self.ids.len()
    }
}
