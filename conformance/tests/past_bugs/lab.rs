//! Replicas of the production core whose every message is in the scenario's hands.

use pbft_conformance::refinement::action::Delivery;
use pbft_conformance::refinement::byzantine::Source;
use pbft_conformance::refinement::keys::SealKeys;
use pbft_conformance::refinement::network::Network;
use pbft_conformance::refinement::vocabulary::Vocabulary;
use pbft_conformance::subject::host::CoreHost;
use pbft_conformance::subject::{Observation, Subject};
use pbft_core::message::{
    Message, NewView, PreparedCertificate, Signed, StableCertificate, Status, ViewChange,
};
use pbft_core::types::{ReplicaId, SeqNum, View};
use pbft_core::{Rejection, Timer};
use pbft_model as model;
use std::sync::Arc;

/// The first value, and another one for the same slot.
pub(crate) const FIRST: model::Value = model::Value::request(1);
pub(crate) const OTHER: model::Value = model::Value::request(2);
pub(crate) const SLOT: model::Slot = model::Slot(1);
pub(crate) const VIEW: model::View = model::View(0);

/// What a scenario says: nothing, or what went wrong.
pub(crate) type Verdict = Result<(), String>;

/// Four replicas; replica 0 leads view 0, replica 1 view 1.
pub(crate) struct Lab {
    vocabulary: Vocabulary,
    network: Network,
    hosts: Vec<CoreHost>,
}

pub(crate) fn replica(id: u8) -> model::ReplicaId {
    model::ReplicaId(id)
}

fn core(id: u8) -> ReplicaId {
    ReplicaId(u32::from(id))
}

impl Lab {
    pub(crate) fn new() -> Self {
        let config: model::Config = "n4-b0-v2-s2-d2-k1".parse().expect("a valid name");
        let vocabulary = Vocabulary::new(config, Arc::new(SealKeys));
        let hosts = (0..4).map(|id| CoreHost::new(&vocabulary, replica(id))).collect();
        Self { vocabulary, network: Network::new(4), hosts }
    }

    pub(crate) fn source(&self) -> Source<'_> {
        Source { vocabulary: &self.vocabulary, network: &self.network }
    }

    pub(crate) fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    pub(crate) fn host(&self, id: u8) -> &CoreHost {
        &self.hosts[usize::from(id)]
    }

    fn give(&mut self, to: u8, delivery: &Delivery) -> Result<Observation, Rejection> {
        let host = &mut self.hosts[usize::from(to)];
        match host.deliver(&self.vocabulary, delivery) {
            Ok(outcome) => outcome,
            Err(difference) => panic!("{}", difference.what),
        }
    }

    /// A message on a replica's channel.
    pub(crate) fn deliver(
        &mut self,
        to: u8,
        from: u8,
        message: Message,
    ) -> Result<Observation, Rejection> {
        self.give(to, &Delivery::Message { from: core(from), message })
    }

    pub(crate) fn request(&mut self, to: u8, value: model::Value) -> Observation {
        let request = Arc::clone(self.vocabulary.request(value).expect("a client's"));
        self.give(to, &Delivery::Client(Message::Request(request))).expect("a new request")
    }

    /// The replica suspects its primary.
    pub(crate) fn suspect(&mut self, id: u8) -> Observation {
        self.give(id, &Delivery::Suspect).expect("always possible")
    }

    /// The replica's status timer runs out.
    pub(crate) fn tick(&mut self, id: u8) -> Observation {
        self.give(id, &Delivery::Timer(Timer::Status)).expect("always running")
    }

    /// Crashes the replica and starts it again; what it says at once.
    pub(crate) fn restart(&mut self, id: u8) -> Observation {
        match self.hosts[usize::from(id)].restart() {
            Ok(seen) => seen,
            Err(difference) => panic!("{}", difference.what),
        }
    }

    /// The PRE-PREPARE of view 0 for slot 1 reaches a backup.
    pub(crate) fn propose(
        &mut self,
        to: u8,
        value: model::Value,
    ) -> Result<Observation, Rejection> {
        let proposal = self.source().make_proposal(replica(0), VIEW, SLOT, value);
        self.deliver(to, 0, Message::PrePrepare(proposal))
    }

    /// A backup accepts the first value and prepares it with the PREPARE of another backup.
    pub(crate) fn prepare(&mut self, id: u8) {
        self.propose(id, FIRST).expect("the first proposal");
        let other = if id == 1 { 2 } else { 1 };
        let vote = self.source().make_prepare(replica(other), VIEW, SLOT, FIRST);
        let seen = self.deliver(id, other, Message::Prepare(vote)).expect("a backup's PREPARE");
        assert!(says(&seen, "commit"), "two PREPAREs of backups prepare");
    }

    /// A commit certificate for slot 1 with these votes.
    pub(crate) fn certificate(&self, votes: &[(u8, model::Value)]) -> Message {
        let vote = |(voter, value): &(u8, _)| {
            self.source().make_commit(replica(*voter), VIEW, SLOT, *value)
        };
        let commits = votes.iter().map(vote).collect();
        let batch = self.vocabulary.batch(FIRST);
        let certificate = pbft_core::message::CommitCertificate { commits, batch };
        Message::Committed(Arc::new(certificate))
    }

    /// A prepared certificate of view 0 for slot 1 with the PREPAREs of these backups.
    pub(crate) fn prepared(&self, value: model::Value, backups: &[u8]) -> PreparedCertificate {
        let source = self.source();
        let vote = |backup: &u8| source.make_prepare(replica(*backup), VIEW, SLOT, value);
        let pre_prepare = source.pre_prepare(replica(0), VIEW, SLOT, value);
        PreparedCertificate { pre_prepare, prepares: backups.iter().map(vote).collect() }
    }

    pub(crate) fn view_change(
        &self,
        sender: u8,
        view: u64,
        prepared: Vec<PreparedCertificate>,
    ) -> Arc<Signed<ViewChange>> {
        let body = ViewChange {
            view: View(view),
            low_water_mark: SeqNum(0),
            stable: StableCertificate::default(),
            prepared,
            replica: core(sender),
        };
        Arc::new(self.vocabulary.sign_as(replica(sender), body))
    }

    /// A NEW-VIEW for view 1 whose V has empty VIEW-CHANGEs of these senders, and whose O orders these slots.
    pub(crate) fn new_view(&self, signer: u8, senders: &[u8], order: &[model::Slot]) -> Message {
        let view = model::View(1);
        let pre_prepare =
            |slot: &model::Slot| self.source().pre_prepare(replica(signer), view, *slot, FIRST);
        let body = NewView {
            view: View(1),
            view_changes: senders.iter().map(|id| self.view_change(*id, 1, Vec::new())).collect(),
            pre_prepares: order.iter().map(pre_prepare).collect(),
            replica: core(signer),
        };
        Message::NewView(Arc::new(self.vocabulary.sign_as(replica(signer), body)))
    }

    /// What a peer is sent that says it is in this view and has executed nothing.
    pub(crate) fn answers(&mut self, to: u8, peer: u8, view: u64, active: bool) -> Vec<Message> {
        let body = Status {
            replica: core(peer),
            view: View(view),
            active,
            low_water_mark: SeqNum(0),
            last_executed: SeqNum(0),
        };
        let status = Message::Status(self.vocabulary.sign_as(replica(peer), body));
        let seen = self.deliver(to, peer, status).expect("the first STATUS");
        seen.sends.into_iter().map(|(_, message)| message).collect()
    }
}

/// Whether a message of this kind was broadcast.
pub(crate) fn says(seen: &Observation, kind: &str) -> bool {
    seen.broadcasts.iter().any(|message| message.kind() == kind)
}

/// Nothing of this kind may follow from an input, taken or refused.
pub(crate) fn never_says(outcome: &Result<Observation, Rejection>, kind: &str) -> Verdict {
    match outcome {
        Ok(seen) if says(seen, kind) => Err(format!("{kind} was sent")),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The condition holds, or this went wrong.
pub(crate) fn ensure(condition: bool, wrong: &str) -> Verdict {
    if condition { Ok(()) } else { Err(wrong.to_owned()) }
}
