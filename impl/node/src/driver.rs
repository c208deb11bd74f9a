//! One task owns one replica: take verified inputs, step, perform the effects, commit, release.
//!
//! The driver drains what has arrived, up to a bound, and makes the effects of all those steps durable with one
//! write to disk (group commit). Only then do their messages leave.

mod error;
mod evidence;
mod report;
mod space;

pub use error::DriverError;

use crate::blocking::blocking;
use crate::codec::{self, CodecError};
use crate::events::Cause;
use crate::frame::{FrameLimits, RefusalReason, ReplicaFrame, StatusReport};
use crate::inbox::{Event, Inbox, Queues, Suspected};
use crate::lanes::Lanes;
use crate::meter::Meter;
use crate::metrics::Metrics;
use crate::network::{Network, Outgoing};
use crate::perform::{Group, Performer, Writes};
use crate::service::Service;
use crate::shared::{AtDisk, SharedSurplus};
use crate::store::Store;
use crate::timers::Timers;
use bytes::Bytes;
use evidence::Evidence;
use pbft_core::crypto::{Signer, Verifier};
use pbft_core::evidence::SignedVote;
use pbft_core::message::{Message, Request, Signed};
use pbft_core::types::{ClientId, Digest, SeqNum};
use pbft_core::{Effect, HaltReason, Input, Params, Rejection, Replica, Standing};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The most steps that share one write: bounds how long the first of them waits.
const GROUP_STEPS_MAX: usize = 256;

/// How long what execution wrote waits for a commit that votes ask for, to share it.
const PUT_OFF_MAX: Duration = Duration::from_millis(5);

/// Sees every step of a replica: the one place where the protocol can be watched.
pub trait Observer: Send {
    /// `replica` begins, with what its disk says.
    fn on_start(&mut self, _replica: &Replica) {}

    /// `replica` has just handled `input`, with this outcome. Nothing of it has left the machine.
    fn on_step(
        &mut self,
        input: &Input,
        outcome: &Result<Vec<Effect>, Rejection>,
        replica: &Replica,
    );

    /// All steps so far are about to become durable; nothing that they say has left the machine.
    fn on_commit(&mut self) {}

    /// All steps so far are durable, and what they say was handed to the network.
    fn on_release(&mut self) {}

    /// The replica has stopped in order: there are no more steps.
    fn on_stop(&mut self) {}
}

/// What a driver is made of.
pub struct Parts {
    /// The replica's parameters.
    pub params: Arc<Params>,
    /// Signs in the replica's name.
    pub signer: Arc<dyn Signer>,
    /// Knows everybody's public keys.
    pub verifier: Arc<dyn Verifier>,
    /// The replica's disk.
    pub store: Store,
    /// What is replicated.
    pub service: Box<dyn Service>,
    /// Where messages go.
    pub network: Box<dyn Network>,
    /// Who watches.
    pub observer: Option<Box<dyn Observer>>,
    /// Where everything is counted.
    pub metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("params", &self.params).finish_non_exhaustive()
    }
}

/// Drives one replica.
pub struct Driver {
    replica: Replica,
    store: Store,
    performer: Performer,
    network: Box<dyn Network>,
    observer: Option<Box<dyn Observer>>,
    meter: Meter,
    signer: Arc<dyn Signer>,
    queues: Queues,
    /// What recovery asked for; performed first.
    recovered: Vec<Effect>,
    /// When what was put off is committed at the latest.
    put_off_until: Option<tokio::time::Instant>,
    /// The last computed digest of the service's state, and the batch that it is of.
    state_digest: Option<(SeqNum, Digest)>,
    evidence: Evidence,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("replica", &self.replica).finish_non_exhaustive()
    }
}

/// Who waits for the end of a group.
#[derive(Default)]
struct Waiting {
    status: Vec<ClientId>,
    reports: Vec<oneshot::Sender<StatusReport>>,
    suspicions: Vec<(oneshot::Sender<Suspected>, Suspected)>,
    barriers: Vec<oneshot::Sender<()>>,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        let Self { status, reports, suspicions, barriers } = self;
        let asked = status.is_empty() && reports.is_empty() && suspicions.is_empty();
        asked && barriers.is_empty()
    }
}

impl Driver {
    /// A driver for the replica that the store remembers, and the way to reach it.
    pub fn new(parts: Parts) -> Result<(Self, Inbox), DriverError> {
        let Parts { params, signer, verifier, store, service, network, mut observer, metrics } =
            parts;
        if !FrameLimits::new(&params).are_possible() {
            return Err(DriverError::FramesTooLarge);
        }
        let (durable, service_state) = (store.durable().clone(), store.service_state()?);
        let (timers, lanes) = (Timers::default(), Lanes::new(params.lanes_max));
        let performer =
            Performer { service, timers, params: Arc::clone(&params), lanes: lanes.clone() };
        let (replica, recovered) =
            Replica::recover(Arc::clone(&params), Arc::clone(&signer), durable, service_state);
        if let Some(reason) = replica.halted() {
            return Err(DriverError::Halted(reason.clone()));
        }
        let (inbox, queues) = Inbox::new(params, verifier, Arc::clone(&metrics), &replica, lanes);
        let meter = Meter::new(metrics, &performer.params, &replica);
        meter.metrics().store_openings.set(store.incarnation());
        queues.position.set(replica.position());
        if let Some(observer) = &mut observer {
            observer.on_start(&replica);
        }
        let (state_digest, evidence) = (None, Evidence::load(&store, meter.metrics())?);
        let driver = Self {
            replica,
            store,
            performer,
            network,
            observer,
            meter,
            signer,
            queues,
            recovered,
            put_off_until: None,
            state_digest,
            evidence,
        };
        Ok((driver, inbox))
    }

    /// The replica as it is now.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Runs until [`Inbox::stop`], or until something makes going on wrong.
    pub async fn run(mut self) -> Result<(), DriverError> {
        let result = loop {
            match self.run_to_the_end().await {
                Err(DriverError::Store(error)) if error.is_full() => {
                    match self.wait_for_space(&error).await {
                        Ok(true) => {}
                        Ok(false) => break Ok(()),
                        Err(error) => break Err(error),
                    }
                }
                result => break result,
            }
        };
        if let Ok(()) = &result {
            self.store.catch_up()?;
            self.store.sync_seal()?;
        }
        if let (Ok(()) | Err(DriverError::Halted(_)), Some(observer)) =
            (&result, &mut self.observer)
        {
            observer.on_stop();
        }
        result
    }

    async fn run_to_the_end(&mut self) -> Result<(), DriverError> {
        self.group(None)?;
        loop {
            let first = tokio::select! {
                biased;
                _ = self.queues.stop.wait_for(|stop| *stop) => return Ok(()),
                () = self.performer.timers.wait() => None,
                () = until(self.put_off_until) => None,
                Some(event) = self.queues.peers.recv() => Some(event),
                Some(event) = self.queues.clients.recv() => Some(event),
            };
            self.group(first)?;
            tokio::task::yield_now().await;
        }
    }

    /// Handles `first` and what else has arrived; commits; releases.
    fn group(&mut self, first: Option<Event>) -> Result<(), DriverError> {
        let mut waiting = Waiting::default();
        let Self {
            replica, store, performer, observer, meter, queues, recovered, evidence, ..
        } = self;
        meter.metrics().peer_queue.set(queues.peers.len() as u64);
        meter.metrics().client_queue.set(queues.clients.len() as u64);
        let mut group = Group::new(store);
        let surplus = queues.surplus.clone();
        let surplus = &surplus;
        let mut steps = Steps { replica, performer, observer, meter, surplus, evidence, count: 0 };
        steps.perform(std::mem::take(recovered), &mut group)?;
        let mut next = first.or_else(|| queues.next(0));
        for turn in 1..=GROUP_STEPS_MAX {
            while let Some(timer) = steps.performer.timers.take_due() {
                steps.step(Input::Timer(timer), &mut group)?;
            }
            match next.take() {
                Some(Event::Input(input)) => steps.step(*input, &mut group)?,
                Some(Event::Status(client)) => waiting.status.push(client),
                Some(Event::Report(sender)) => waiting.reports.push(sender),
                Some(Event::Suspect(asked)) => {
                    waiting.suspicions.push((asked, steps.suspect(&mut group)?));
                }
                Some(Event::Barrier(done)) => waiting.barriers.push(done),
                // Whoever asked may have stopped waiting.
                Some(Event::Ping(alive)) => drop(alive.send(())),
                None => break,
            }
            if group.halt.is_some() {
                break;
            }
            if turn < GROUP_STEPS_MAX {
                next = queues.next(turn);
            }
        }
        let count = steps.count;
        let early = group.take_early();
        let due = self.put_off_until.is_some_and(|until| until <= tokio::time::Instant::now());
        let must_commit = due || group.must_commit() || !waiting.is_empty();
        let Group { writes, outbox, halt, .. } = group;
        self.meter.metrics().group_steps.observe(count);
        if let Some(observer) = &mut self.observer {
            observer.on_commit();
        }
        early.into_iter().for_each(|outgoing| outgoing.release(&mut *self.network));
        self.network.flush();
        match must_commit {
            true => commit(writes, &self.queues.at_disk, self.meter.metrics(), halt.as_ref())?,
            false => writes.put_off(),
        }
        self.put_off_until = match self.store.is_behind() {
            true => self.put_off_until.or(Some(tokio::time::Instant::now() + PUT_OFF_MAX)),
            false => None,
        };
        self.meter.on_group(&self.replica);
        self.queues.position.set(self.replica.position());
        self.release(outbox, waiting)?;
        match halt {
            Some(reason) => Err(DriverError::Halted(reason)),
            None => Ok(()),
        }
    }

    fn release(&mut self, outbox: Vec<Outgoing>, waiting: Waiting) -> Result<(), DriverError> {
        outbox.into_iter().for_each(|outgoing| outgoing.release(&mut *self.network));
        if !waiting.status.is_empty() || !waiting.reports.is_empty() {
            let report = self.report()?;
            for sender in waiting.reports {
                // Whoever asked may have stopped waiting.
                let _ = sender.send(report);
            }
            let report = ReplicaFrame::Status(report);
            let frame = Bytes::from(codec::encode(&report)?);
            for client in waiting.status {
                self.network.reply(client, frame.clone());
            }
        }
        self.network.flush();
        if let Some(observer) = &mut self.observer {
            observer.on_release();
        }
        for (sender, suspected) in waiting.suspicions {
            // Whoever asked may have stopped waiting.
            let _ = sender.send(suspected);
        }
        for done in waiting.barriers {
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
        }
        Ok(())
    }
}

/// Returns at a moment; never, if there is none.
async fn until(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Makes a group's writes durable, if there are any. A replica that halts does so even if that cannot be written.
fn commit(
    writes: Writes<'_>,
    at_disk: &AtDisk,
    metrics: &Metrics,
    halt: Option<&HaltReason>,
) -> Result<(), DriverError> {
    if writes.is_idle() {
        return Ok(());
    }
    let began = Instant::now();
    match (at_disk.during(|| blocking(|| writes.commit())), halt) {
        (Ok(()), _) => {}
        (Err(error), None) => return Err(error.into()),
        (Err(error), Some(reason)) => {
            return Err(DriverError::HaltedUnrecorded {
                reason: reason.clone(),
                error: Box::new(error),
            });
        }
    }
    metrics.commits.increment();
    metrics.commit_micros_disk.observe_duration(began.elapsed());
    Ok(())
}

impl Queues {
    /// The next event, from replicas and clients in turns, so that neither can starve the other.
    fn next(&mut self, turn: usize) -> Option<Event> {
        let Self { peers, clients, .. } = self;
        match turn.is_multiple_of(2) {
            true => peers.try_recv().ok().or_else(|| clients.try_recv()),
            false => clients.try_recv().or_else(|| peers.try_recv().ok()),
        }
    }
}

/// Steps the replica, and performs what it asks for.
struct Steps<'d> {
    replica: &'d mut Replica,
    performer: &'d mut Performer,
    observer: &'d mut Option<Box<dyn Observer>>,
    meter: &'d mut Meter,
    surplus: &'d SharedSurplus,
    evidence: &'d mut Evidence,
    /// How many steps there were.
    count: u64,
}

impl Steps<'_> {
    /// One input from outside, and the completions that follow from it.
    fn step(&mut self, input: Input, group: &mut Group<'_>) -> Result<(), DriverError> {
        let (refusable, vote) = (refusable(&input), SignedVote::in_input(&input));
        let broken = vote.as_ref().and_then(|vote| self.replica.broken_promise(vote));
        if let Some(contradiction) = broken {
            self.evidence.keep_broken_promise(&contradiction, self.meter.metrics(), group)?;
        }
        match self.observed(input) {
            Ok(effects) => self.perform(effects, group),
            Err(rejection) => {
                if let (Rejection::Equivocation { .. }, Some(vote)) = (&rejection, vote)
                    && let Some(contradiction) = self.replica.contradiction(vote)
                {
                    self.evidence.keep(&contradiction, self.meter.metrics(), group)?;
                }
                if let (Some(request), Some(reason)) = (refusable, RefusalReason::of(&rejection)) {
                    group.outbox.push(refused(&request.body, reason)?);
                }
                Ok(())
            }
        }
    }

    /// An operator suspects the primary. Only a replica that votes may leave its view: one that has left it already would
    /// go further ahead than a recovered replica allows for.
    fn suspect(&mut self, group: &mut Group<'_>) -> Result<Suspected, DriverError> {
        match self.replica.standing() {
            Standing::Votes => {
                self.step(Input::Suspect, group)?;
                Ok(Ok(self.replica.position().view))
            }
            standing => Ok(Err(standing)),
        }
    }

    /// Performs a step's effects, and feeds back what they bring about before anything else happens.
    fn perform(&mut self, effects: Vec<Effect>, group: &mut Group<'_>) -> Result<(), DriverError> {
        for effect in effects {
            self.performer.perform(effect, group)?;
        }
        while let Some(completion) = group.completions.pop_front() {
            let effects = self.observed(completion).map_err(DriverError::Completion)?;
            for effect in effects {
                self.performer.perform(effect, group)?;
            }
        }
        Ok(())
    }

    /// The trace point: every step of every replica passes here and nowhere else.
    fn observed(&mut self, input: Input) -> Result<Vec<Effect>, Rejection> {
        self.count += 1;
        let cause = Cause::from(&input);
        let view = self.replica.status().view.0;
        let _step = tracing::debug_span!("step", view, %cause).entered();
        let outcome = match self.observer {
            None => self.replica.step(input),
            Some(observer) => {
                let seen = input.clone();
                let outcome = self.replica.step(input);
                observer.on_step(&seen, &outcome, self.replica);
                outcome
            }
        };
        self.meter.on_step(cause, &outcome, self.replica);
        if let Ok(effects) = &outcome {
            self.surplus.lock().on_step(effects, self.replica);
        }
        outcome
    }
}

/// A client's own request: the one kind of input whose rejection somebody waits for.
fn refusable(input: &Input) -> Option<Arc<Signed<Request>>> {
    let Input::Request(message) = input else { return None };
    match message.get() {
        Message::Request(request) => Some(Arc::clone(request)),
        _ => None,
    }
}

/// Tells a client that its request is refused.
fn refused(request: &Request, reason: RefusalReason) -> Result<Outgoing, CodecError> {
    let frame = codec::encode(&ReplicaFrame::refusal(request, reason))?;
    Ok(Outgoing::Reply { client: request.client, frame: Bytes::from(frame) })
}
