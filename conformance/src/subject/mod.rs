//! A core replica with the smallest possible world around it: a durable log, a history as its service. It does
//! what [`pbft_core::Effect`] asks, in order, and reports what left the machine.

pub mod audit;
pub mod node;
pub mod tally;
pub mod world;
use crate::divergence::Difference;
use crate::panics::guarded;
use crate::refinement::action::Delivery;
use crate::refinement::service;
use crate::refinement::timers::TimerWatch;
use crate::refinement::vocabulary::Vocabulary;
use crate::signpost::deeds::Deed;
use crate::subject::tally::Tally;
use pbft_core::durable::{Durable, Record};
use pbft_core::manifest::{ChunkId, KeptStates};
use pbft_core::message::{Message, Reply, Signed, StateData};
use pbft_core::replies::LastReply;
use pbft_core::types::{Principal, ReplicaId, SeqNum};
use pbft_core::{Effect, Input, Rejection, Replica, ServiceState, Summary, Timer};
use pbft_model as model;
use std::collections::BTreeSet;
use std::sync::Arc;

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
    /// What it says when it starts.
    pub said: Vec<Message>,
}

/// A replica and what a crash leaves of it.
#[derive(Clone)]
pub struct Host {
    /// The replica.
    pub replica: Replica,
    /// What its records say.
    pub durable: Durable,
    /// What its service's store says.
    pub service: ServiceState,
    /// The operations that its service applied, in order.
    pub history: Vec<model::Value>,
    timer: TimerWatch,
    /// The checkpoints that it can serve, and what it fetches.
    kept: KeptStates,
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
            && broadcasts.iter().all(is_retransmission)
            && sends.iter().all(|(_, message)| is_retransmission(message))
    }
}

/// Messages that move copies of others, and are no step of the model.
pub fn is_retransmission(message: &Message) -> bool {
    signer_of(message).is_none()
}

/// Who signed a message, if it is a vote, a promise or an order: what the model's network has.
pub fn signer_of(message: &Message) -> Option<ReplicaId> {
    match message {
        Message::PrePrepare(proposal) => Some(proposal.pre_prepare.body.replica),
        Message::Prepare(vote) => Some(vote.body.replica),
        Message::Commit(vote) => Some(vote.body.replica),
        Message::Checkpoint(vote) => Some(vote.body.replica),
        Message::ViewChange(known) => Some(known.body.replica),
        Message::NewView(known) => Some(known.body.replica),
        Message::Request(_)
        | Message::Status(_)
        | Message::Committed(_)
        | Message::Stable(_)
        | Message::FetchBatch(_)
        | Message::Batch(_)
        | Message::FetchState(_)
        | Message::StateData(_) => None,
    }
}

impl Subject for Host {
    fn deliver(
        &mut self,
        vocabulary: &Vocabulary,
        delivery: &Delivery,
    ) -> Result<Result<Observation, Rejection>, Difference> {
        let input = match input(vocabulary, delivery) {
            Ok(input) => input,
            Err(rejection) => return Ok(Err(rejection)),
        };
        if matches!(delivery, Delivery::Timer(Timer::ViewChange)) {
            self.timer.ran_out();
        }
        let stepped = guarded(|| self.step(input));
        if let Ok(Ok(seen)) = &stepped {
            self.timer.delivered(delivery);
            audit::check(vocabulary, self.replica.params().replica, seen)?;
        }
        stepped
    }

    fn summary(&self) -> Summary {
        self.replica.summary()
    }

    fn history(&self) -> Vec<model::Value> {
        self.history.clone()
    }

    fn after_restart(&mut self, vocabulary: &Vocabulary) -> Result<Option<Restarted>, Difference> {
        let (replica, effects) = self.restarted(vocabulary);
        let said = effects.into_iter().filter_map(|effect| match effect {
            Effect::Broadcast(message) | Effect::Send { message, .. } => Some(message),
            _ => None,
        });
        Ok(Some(Restarted { summary: replica.summary(), said: said.collect() }))
    }

    fn is_timer_running(&self) -> bool {
        self.replica.is_view_timer_running()
    }

    fn timer(&self) -> TimerWatch {
        self.timer.clone()
    }
}

/// A delivery as an input, its signatures checked as the node would.
fn input(vocabulary: &Vocabulary, delivery: &Delivery) -> Result<Input, Rejection> {
    Ok(match delivery {
        Delivery::Client(message) => Input::Request(vocabulary.verify(message.clone())?),
        Delivery::Message { from, message } => {
            Input::Message { from: *from, message: vocabulary.verify(message.clone())? }
        }
        Delivery::Timer(timer) => Input::Timer(*timer),
        Delivery::Suspect => Input::Suspect,
    })
}

impl Host {
    /// A replica at its very first start.
    pub fn new(vocabulary: &Vocabulary, replica: model::ReplicaId) -> Self {
        Self::from_disk(vocabulary, replica, Durable::default())
    }

    /// A replica whose records say this, and whose service has nothing.
    pub fn from_disk(vocabulary: &Vocabulary, replica: model::ReplicaId, durable: Durable) -> Self {
        let params = Arc::clone(vocabulary.params(replica));
        let signer = vocabulary.keys.signer(Principal::Replica(params.replica));
        let (replica, _) =
            Replica::recover(params, signer, durable.clone(), ServiceState::default());
        Self {
            replica,
            durable,
            service: ServiceState::default(),
            history: Vec::new(),
            timer: TimerWatch::default(),
            kept: KeptStates::default(),
        }
    }

    /// Crashes the replica and starts it again.
    pub fn restart(&mut self, vocabulary: &Vocabulary) {
        self.replica = self.restarted(vocabulary).0;
        self.timer.restarted();
    }

    /// The same replica after a crash and a restart, and what it does first.
    pub fn restarted(&self, vocabulary: &Vocabulary) -> (Replica, Vec<Effect>) {
        let own = self.replica.params();
        let params = Arc::clone(vocabulary.params(model::ReplicaId(own.replica.0 as u8)));
        let signer = vocabulary.keys.signer(Principal::Replica(own.replica));
        let service = ServiceState {
            manifests: self.kept.manifests().cloned().collect(),
            staged: self.kept.staged().collect(),
            ..self.service.clone()
        };
        Replica::recover(params, signer, self.durable.clone(), service)
    }

    /// Handles an input, and the completions that it leads to.
    pub fn step(&mut self, input: Input) -> Result<Observation, Rejection> {
        let mut seen = Observation::default();
        let mut next = Some(input);
        while let Some(input) = next.take() {
            for effect in self.replica.step(input)? {
                next = self.perform(effect, &mut seen).or(next);
            }
        }
        Ok(seen)
    }

    fn perform(&mut self, effect: Effect, seen: &mut Observation) -> Option<Input> {
        self.timer.note(&effect);
        match effect {
            Effect::Persist(record) => {
                seen.records += 1;
                self.durable.apply(&record);
                if let Record::Stable(_) = record {
                    let low = self.durable.low_water_mark;
                    self.kept.on_stable(low);
                }
            }
            Effect::Broadcast(message) => {
                if !self.is_durable(&message) {
                    seen.undurable = Some(message.clone());
                }
                seen.broadcasts.push(message);
            }
            Effect::Send { to, message } => seen.sends.push((to, message)),
            Effect::Execute { seq, requests, checkpoint } => {
                return Some(self.execute(seq, &requests, checkpoint, seen));
            }
            Effect::StoreCheckpoint { manifest, replies } => {
                seen.stored += 1;
                let history = service::chunks(&self.history).into_iter().map(Arc::from);
                if !self.kept.keep(&manifest, replies.into_iter().chain(history)) {
                    seen.halted =
                        Some(format!("a chunk of checkpoint {} is lacking", manifest.seq));
                }
            }
            Effect::Reply(reply) => seen.replies.push(reply),
            Effect::SetTimer { .. } => seen.timers_set += 1,
            Effect::CancelTimer(_) => seen.timers_cancelled += 1,
            Effect::ServeState { to, seq, part } => {
                let bytes = self.kept.part(seq, part);
                let data = bytes.map(|bytes| Arc::new(StateData { seq, part, bytes }));
                seen.sends.extend(data.map(|data| (to, Message::StateData(data))));
            }
            Effect::StageChunk { digest, bytes } => self.kept.stage(digest, bytes),
            Effect::RetainStaged { needed } => self.kept.retain_staged(&needed),
            Effect::Install { manifest } => {
                let seq = manifest.seq;
                let Some((replies, chunks)) = self.kept.install(&manifest) else {
                    seen.halted = Some(format!("a chunk of the state of {seq} is not here"));
                    return None;
                };
                let history = chunks.first().map(|chunk| service::history(chunk));
                self.history = history.unwrap_or_default();
                (self.service.last_executed, self.service.replies) = (seq, replies.clone());
                seen.installed = Some(seq);
                return Some(Input::Installed { seq, replies });
            }
            Effect::Halt(reason) => seen.halted = Some(reason.to_string()),
        }
        None
    }

    fn execute(
        &mut self,
        seq: SeqNum,
        requests: &[Arc<Signed<pbft_core::message::Request>>],
        checkpoint: bool,
        seen: &mut Observation,
    ) -> Input {
        let mut results = Vec::new();
        let mut applied = Vec::new();
        for request in requests {
            let value = service::value(&request.body.operation);
            let result = service::result(self.history.len());
            self.history.push(value);
            applied.push(value);
            let body = &request.body;
            let reply = LastReply::to(body, Arc::clone(&result));
            self.service.replies.record(body.client, body.lane, reply);
            results.push(result);
        }
        self.service.last_executed = seq;
        seen.executed.push((seq, applied));
        let ids = || service::chunks(&self.history).iter().map(|c| ChunkId::of(c)).collect();
        let chunks = checkpoint.then(ids);
        Input::Executed { seq, results, chunks }
    }

    /// Whether the records written so far bind the replica to this message.
    fn is_durable(&self, message: &Message) -> bool {
        let durable = &self.durable;
        let accepted = |seq, view, digest| {
            durable.accepted.get(&seq).is_some_and(|proposal| {
                let body = &proposal.pre_prepare.body;
                (body.view, body.digest) == (view, digest)
            })
        };
        match message {
            Message::PrePrepare(proposal) => {
                let body = &proposal.pre_prepare.body;
                accepted(body.seq, body.view, body.digest)
            }
            Message::Prepare(vote) => accepted(vote.body.seq, vote.body.view, vote.body.digest),
            Message::Commit(vote) => {
                durable.prepared.get(&vote.body.seq).is_some_and(|certificate| {
                    let body = &certificate.pre_prepare.body;
                    (body.view, body.digest) == (vote.body.view, vote.body.digest)
                })
            }
            Message::Checkpoint(vote) => durable.checkpoints.get(&vote.body.seq) == Some(vote),
            Message::ViewChange(own) => durable.view_change.as_ref() == Some(own),
            Message::NewView(own) => durable.new_view.as_ref() == Some(own),
            Message::Request(_)
            | Message::Status(_)
            | Message::Committed(_)
            | Message::Stable(_)
            | Message::FetchBatch(_)
            | Message::Batch(_)
            | Message::FetchState(_)
            | Message::StateData(_) => true,
        }
    }
}
