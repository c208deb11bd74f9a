//! A replica in the host that production has, alone: its disk is memory, its service a history, its network and clock are
//! the replay's.

use crate::divergence::{Difference, Kind};
use crate::panics::guarded;
use crate::refinement::action::Delivery;
use crate::refinement::service::{self, History};
use crate::refinement::timers::TimerWatch;
use crate::refinement::vocabulary::Vocabulary;
use crate::subject::disk::{Disk, DiskError, Open, State};
use crate::subject::{Observation, Restarted, Subject, audit};
use pbft_core::message::Message;
use pbft_core::types::{ClientId, Principal};
use pbft_core::{Durable, Effect, Footprint, Input, Rejection, Replica, Summary, Timer};
use pbft_host::{Ended, Host, HostError, Outgoing, Parts, Said, Service, Watcher};
use pbft_model as model;
use std::fmt::Debug;
use std::sync::Arc;

type Histories = Disk<Vec<model::Value>>;

impl State for Vec<model::Value> {
    fn chunks(&self) -> Vec<Arc<[u8]>> {
        service::chunks(self).into_iter().map(Arc::from).collect()
    }

    fn from_chunks(chunks: &[Arc<[u8]>]) -> Option<Self> {
        Some(chunks.first().map(|chunk| service::history(chunk)).unwrap_or_default())
    }
}

impl Service<Histories> for History {
    fn execute(
        &self,
        history: &mut Open<'_, Vec<model::Value>>,
        _: ClientId,
        operation: &[u8],
    ) -> Vec<u8> {
        let position = history.state.len();
        history.state.push(service::value(operation));
        service::result(position).to_vec()
    }
}

/// A replica in its host.
#[derive(Clone)]
pub struct CoreHost {
    host: Host<Histories, History>,
    timer: TimerWatch,
}

impl CoreHost {
    /// A replica at its very first start.
    pub fn new(vocabulary: &Vocabulary, replica: model::ReplicaId) -> Self {
        match Self::from_disk(vocabulary, replica, Durable::default()) {
            Ok(host) => host,
            Err(difference) => unreachable!("a first start: {}", difference.what),
        }
    }

    /// A replica whose records say this, and whose service has nothing.
    pub fn from_disk(
        vocabulary: &Vocabulary,
        replica: model::ReplicaId,
        durable: Durable,
    ) -> Result<Self, Difference> {
        Self::open(vocabulary, replica, Disk::new(durable)).map(|(host, _)| host)
    }

    /// A replica that starts with what is on this disk, and what it says at once.
    fn open(
        vocabulary: &Vocabulary,
        replica: model::ReplicaId,
        disk: Histories,
    ) -> Result<(Self, Observation), Difference> {
        let params = Arc::clone(vocabulary.params(replica));
        let signer = vocabulary.keys.signer(Principal::Replica(params.replica));
        let parts = Parts { params, signer, disk, service: History };
        let host = Host::open(parts).map_err(harness)?;
        let mut host = Self { host, timer: TimerWatch::default() };
        let seen = host.resume()?;
        Ok((host, seen))
    }

    /// Crashes the replica and starts it again; what it says at once.
    pub fn restart(&mut self) -> Result<Observation, Difference> {
        self.host.restart().map_err(harness)?;
        self.resume()
    }

    /// What a replica repeats when it starts is no step.
    fn resume(&mut self) -> Result<Observation, Difference> {
        let resumed = self.group(Host::resume)?.map_err(harness);
        self.timer.restarted();
        resumed
    }

    /// All that it is: the replica, its disk, and what its timer depends on.
    pub fn whole(&self) -> impl Debug + '_ {
        (self.host.replica(), self.host.disk(), &self.timer)
    }

    /// The replica as it is now.
    pub fn replica(&self) -> &Replica {
        self.host.replica()
    }

    /// One input with the completions that it leads to, as a group of its own.
    fn group(
        &mut self,
        step: impl FnOnce(
            &mut Host<Histories, History>,
            &mut dyn Watcher<Histories>,
        ) -> Result<(), HostError<DiskError>>,
    ) -> Result<Result<Observation, Rejection>, Difference> {
        let (mut seen, timer) = (Observation::default(), &mut self.timer);
        let mut noted = Noted { seen: &mut seen, timer, rejected: None };
        let stepped = step(&mut self.host, &mut noted);
        let rejected = noted.rejected;
        let Ended { early, must_commit, .. } = self.host.end_group(false);
        if must_commit {
            self.host.commit().map_err(harness)?;
        }
        for Outgoing { said, .. } in early.into_iter().chain(self.host.release()) {
            match said {
                Said::All(message) => seen.broadcasts.push(message),
                Said::To(to, message) => seen.sends.push((to, message)),
                // Refusals are the node's to show.
                Said::Client(client, frame) => drop(seen.told(client, frame)?),
            }
        }
        self.host.take_timers();
        match stepped {
            Ok(()) => Ok(rejected.map_or(Ok(seen), Err)),
            Err(HostError::Completion(rejection)) => Ok(Err(rejection)),
            Err(HostError::Disk(error)) => {
                seen.halted = Some(error.to_string());
                Ok(Ok(seen))
            }
            Err(error) => Err(harness(error)),
        }
    }
}

fn harness(error: impl std::fmt::Display) -> Difference {
    Difference::new(Kind::Harness, error.to_string())
}

/// Notes what a replica asks its host for, in the order in which it does.
struct Noted<'a> {
    seen: &'a mut Observation,
    timer: &'a mut TimerWatch,
    /// Why the input was refused.
    rejected: Option<Rejection>,
}

impl Watcher<Histories> for Noted<'_> {
    fn before_step(&mut self, _: &Input, _: &Replica, _: &Histories) {}

    fn after_step(&mut self, outcome: &Result<Vec<Effect>, Rejection>, _: &Replica) {
        if let Err(rejection) = outcome {
            self.rejected = Some(rejection.clone());
        }
    }

    fn on_effect(&mut self, effect: &Effect, disk: &Histories) {
        self.timer.note(effect);
        let seen = &mut *self.seen;
        match effect {
            Effect::Persist(_) => seen.records += 1,
            Effect::Broadcast(message) => {
                if !is_durable(pbft_host::Disk::durable(disk), message) {
                    seen.undurable = Some(message.clone());
                }
            }
            Effect::Execute { seq, requests, .. } => {
                let applied =
                    requests.iter().map(|request| service::value(&request.body.operation));
                seen.executed.push((*seq, applied.collect()));
            }
            Effect::StoreCheckpoint { .. } => seen.stored += 1,
            Effect::Install { manifest } => seen.installed = Some(manifest.seq),
            Effect::SetTimer { .. } => seen.timers_set += 1,
            Effect::CancelTimer(_) => seen.timers_cancelled += 1,
            Effect::Halt(reason) => seen.halted = Some(reason.to_string()),
            // What leaves is looked at when it does.
            Effect::Send { .. }
            | Effect::Reply(_)
            | Effect::ServeState { .. }
            | Effect::StageChunk { .. }
            | Effect::RetainStaged { .. } => {}
        }
    }
}

impl Subject for CoreHost {
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
        let stepped = guarded(|| self.group(|host, watcher| host.step(input, watcher)))?;
        if let Ok(Ok(seen)) = &stepped {
            self.timer.delivered(delivery);
            audit::check(vocabulary, self.replica().params().replica, seen)?;
            audit::check_disk(pbft_host::Disk::durable(self.host.disk()))?;
        }
        stepped
    }

    fn summary(&self) -> Summary {
        self.replica().summary()
    }

    fn footprint(&self) -> Footprint {
        self.replica().footprint()
    }

    fn history(&self) -> Vec<model::Value> {
        self.host.disk().state().clone()
    }

    fn after_restart(&mut self, vocabulary: &Vocabulary) -> Result<Option<Restarted>, Difference> {
        let own = model::ReplicaId(self.replica().params().replica.0 as u8);
        let (again, seen) = Self::open(vocabulary, own, self.host.disk().clone())?;
        let sends = seen.sends.into_iter().map(|(_, message)| message);
        let said = seen.broadcasts.into_iter().chain(sends).collect();
        let (summary, footprint) = (again.summary(), again.footprint());
        Ok(Some(Restarted { summary, footprint, said }))
    }

    fn is_timer_running(&self) -> bool {
        self.replica().is_view_timer_running()
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

/// Whether the records written so far bind the replica to this message.
fn is_durable(durable: &Durable, message: &Message) -> bool {
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
        Message::Commit(vote) => durable.prepared.get(&vote.body.seq).is_some_and(|certificate| {
            let body = &certificate.pre_prepare.body;
            (body.view, body.digest) == (vote.body.view, vote.body.digest)
        }),
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
