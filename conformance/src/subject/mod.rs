//! What is replayed on: replicas in the host that production has, alone or inside a production node. Each reports what left
//! it.

pub mod audit;
pub mod disk;
pub mod host;
pub mod node;
pub mod tally;
pub mod world;

use crate::divergence::{Difference, Kind};
use crate::refinement::action::Delivery;
use crate::refinement::timers::TimerWatch;
use crate::refinement::vocabulary::Vocabulary;
use crate::signpost::Fact;
use crate::signpost::deeds::Deed;
use crate::statement;
use crate::subject::tally::Tally;
use pbft_core::message::{Message, Reply, Signed};
use pbft_core::types::{ClientId, ReplicaId, SeqNum};
use pbft_core::{Footprint, Rejection, Summary};
use pbft_host::frame::ReplicaFrame;
use pbft_model as model;
use std::collections::BTreeSet;

/// A replica that can be replayed on: alone, or inside a production node.
pub trait Subject {
    /// Gives it a delivery, and waits until everything that follows from it has happened.
    fn deliver(
        &mut self,
        vocabulary: &Vocabulary,
        delivery: &Delivery,
    ) -> Result<Result<Observation, Rejection>, Difference>;

    /// Its protocol state.
    fn summary(&self) -> Summary;

    /// How much it holds.
    fn footprint(&self) -> Footprint;

    /// The operations that its service applied.
    fn history(&self) -> Vec<model::Value>;

    /// What comes back after a crash; `None` if this is not the moment to try.
    fn after_restart(&mut self, vocabulary: &Vocabulary) -> Result<Option<Restarted>, Difference>;

    /// Whether its view-change timer runs.
    fn is_timer_running(&self) -> bool;

    /// What that depends on, and what its clock was told.
    fn timer(&self) -> TimerWatch;
}

/// A subject whose answers are counted.
pub struct Counted<'a> {
    /// The subject.
    pub subject: &'a mut dyn Subject,
    /// The counts.
    pub tally: &'a mut Tally,
}

impl Subject for Counted<'_> {
    fn deliver(
        &mut self,
        vocabulary: &Vocabulary,
        delivery: &Delivery,
    ) -> Result<Result<Observation, Rejection>, Difference> {
        let outcome = self.subject.deliver(vocabulary, delivery)?;
        self.tally.outcome(&outcome);
        Ok(outcome)
    }

    fn summary(&self) -> Summary {
        self.subject.summary()
    }

    fn footprint(&self) -> Footprint {
        self.subject.footprint()
    }

    fn history(&self) -> Vec<model::Value> {
        self.subject.history()
    }

    fn after_restart(&mut self, vocabulary: &Vocabulary) -> Result<Option<Restarted>, Difference> {
        self.subject.after_restart(vocabulary)
    }

    fn is_timer_running(&self) -> bool {
        self.subject.is_timer_running()
    }

    fn timer(&self) -> TimerWatch {
        self.subject.timer()
    }
}

/// A replica that was started again.
#[derive(Clone, Debug)]
pub struct Restarted {
    /// Its protocol state.
    pub summary: Summary,
    /// How much it holds.
    pub footprint: Footprint,
    /// What it says when it starts.
    pub said: Vec<Message>,
}

/// What one input made a replica do that others can see, or that survives a crash.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// Messages to all.
    pub broadcasts: Vec<Message>,
    /// Messages to one.
    pub sends: Vec<(ReplicaId, Message)>,
    /// Batches executed, with the operations that were applied.
    pub executed: Vec<(SeqNum, Vec<model::Value>)>,
    /// Replies to clients.
    pub replies: Vec<Signed<Reply>>,
    /// Number of records written.
    pub records: usize,
    /// Number of checkpoints kept to be served.
    pub stored: usize,
    /// How often a timer was started.
    pub timers_set: usize,
    /// How often a timer was stopped.
    pub timers_cancelled: usize,
    /// A checkpoint whose state was installed.
    pub installed: Option<SeqNum>,
    /// A message that left before what it depends on was durable.
    pub undurable: Option<Message>,
    /// Why the replica stopped.
    pub halted: Option<String>,
}

impl Observation {
    /// Adds what happened next.
    pub fn extend(&mut self, more: Self) {
        let Self { broadcasts, sends, executed, replies, records, .. } = more;
        let Self { stored, timers_set, timers_cancelled, installed, undurable, halted, .. } = more;
        self.broadcasts.extend(broadcasts);
        self.sends.extend(sends);
        self.executed.extend(executed);
        self.replies.extend(replies);
        self.records += records;
        self.stored += stored;
        self.timers_set += timers_set;
        self.timers_cancelled += timers_cancelled;
        self.installed = self.installed.or(installed);
        self.undurable = self.undurable.take().or(undurable);
        self.halted = self.halted.take().or(halted);
    }

    /// A client was told something; a frame that is no reply is handed back.
    pub(crate) fn told(
        &mut self,
        client: ClientId,
        frame: ReplicaFrame,
    ) -> Result<Option<ReplicaFrame>, Difference> {
        match frame {
            ReplicaFrame::Reply(reply) if reply.body.client == client => {
                self.replies.push(reply);
                Ok(None)
            }
            ReplicaFrame::Reply(reply) => {
                let of = reply.body.client.0;
                let what = format!("client {of}'s reply goes to client {}", client.0);
                Err(Difference::new(Kind::Execution, what).with(Fact::Misdirected))
            }
            other => Ok(Some(other)),
        }
    }

    /// What was done that binds the replica, or that others see.
    pub fn deeds(&self) -> BTreeSet<Deed> {
        let sends = self.sends.iter().map(|(_, message)| message);
        let said = self.broadcasts.iter().chain(sends).filter_map(Deed::of_message);
        let executed = self.executed.iter().map(|_| Deed::Execute);
        said.chain(executed).chain(self.replies.iter().map(|_| Deed::Reply)).collect()
    }

    /// Whether nothing happened that the model would call a step.
    pub fn is_silent(&self) -> bool {
        let Self { broadcasts, sends, executed, replies, records, stored, .. } = self;
        let Self { installed, undurable, halted, .. } = self;
        *records == 0
            && *stored == 0
            && executed.is_empty()
            && replies.is_empty()
            && installed.is_none()
            && undurable.is_none()
            && halted.is_none()
            && broadcasts.iter().all(statement::is_retransmission)
            && sends.iter().all(|(_, message)| statement::is_retransmission(message))
    }
}
