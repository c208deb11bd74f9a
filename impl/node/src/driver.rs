//! One task owns one replica: take verified inputs, step, perform the effects, commit, release.
//!
//! The driver drains what has arrived, up to a bound, and makes the effects of all those steps durable with one
//! write to disk (group commit). Only then do their messages leave.

mod error;
mod report;
mod space;

pub use error::DriverError;

use crate::blocking::blocking;
use crate::codec;
use crate::frame::{FrameLimits, ReplicaFrame, StatusReport};
use crate::inbox::{Event, Inbox, Queues, Suspected};
use crate::lanes::Lanes;
use crate::meter::Meter;
use crate::metrics::Metrics;
use crate::network::{Network, release};
use crate::service::Service;
use crate::store::{Store, StoreError};
use crate::timers::Timers;
use crate::watch::Watch;
use bytes::Bytes;
use pbft_core::crypto::{Signer, Verifier};
use pbft_core::evidence::Contradiction;
use pbft_core::types::{ClientId, Digest, SeqNum};
use pbft_core::{Effect, Input, Params, Rejection, Replica};
use pbft_host::{Door, Ended, GROUP_STEPS_MAX, Host, HostError, Outgoing};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

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
    host: Host<Store, Box<dyn Service>>,
    watch: Watch,
    params: Arc<Params>,
    network: Box<dyn Network>,
    timers: Timers,
    queues: Queues,
    /// The last computed digest of the service's state, and the batch that it is of.
    state_digest: Option<(SeqNum, Digest)>,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("replica", self.host.replica()).finish_non_exhaustive()
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
        let parts = pbft_host::Parts { params: Arc::clone(&params), signer, disk: store, service };
        let host = Host::open(parts)?;
        if let Some(reason) = host.halt() {
            return Err(DriverError::Halted(reason.clone()));
        }
        let lanes = Lanes::new(params.lanes_max);
        let door = Door::new(Arc::clone(&params), verifier, host.surplus());
        let (inbox, queues) =
            Inbox::new(Arc::clone(&params), door, Arc::clone(&metrics), lanes.clone());
        let meter = Meter::new(metrics, &params, host.replica());
        queues.position.set(host.replica().position());
        if let Some(observer) = &mut observer {
            observer.on_start(host.replica());
        }
        let (watch, timers) = (Watch::new(observer, meter, lanes), Timers::default());
        let state_digest = None;
        let driver = Self { host, watch, params, network, timers, queues, state_digest };
        driver.count_what_the_store_keeps()?;
        Ok((driver, inbox))
    }

    /// The metrics say what the store says, from now on.
    fn count_what_the_store_keeps(&self) -> Result<(), DriverError> {
        let (store, metrics) = (self.host.disk(), self.watch.meter.metrics());
        metrics.store_openings.set(store.incarnation());
        metrics.evidence.restart(store.evidence()?.iter().map(Contradiction::kind));
        Ok(())
    }

    /// The replica as it is now.
    pub fn replica(&self) -> &Replica {
        self.host.replica()
    }

    /// Runs until [`Inbox::stop`], or until something makes going on wrong.
    pub async fn run(mut self) -> Result<(), DriverError> {
        let result = loop {
            let ended = match self.run_to_the_end().await {
                Ok(()) => self.host.disk_mut().settle().map_err(DriverError::from),
                stopped => stopped,
            };
            match ended {
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
        if let (Ok(()) | Err(DriverError::Halted(_)), Some(observer)) =
            (&result, &mut self.watch.observer)
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
                () = self.timers.wait() => None,
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
        let metrics = self.watch.meter.metrics();
        metrics.peer_queue.set(self.queues.peers.len() as u64);
        metrics.client_queue.set(self.queues.clients.len() as u64);
        self.host.resume(&mut self.watch)?;
        let mut next = first.or_else(|| self.queues.next(0));
        for turn in 1..=GROUP_STEPS_MAX {
            self.ring()?;
            let Some(event) = next.take() else { break };
            self.handle(event, &mut waiting)?;
            if self.host.halt().is_some() {
                break;
            }
            if turn < GROUP_STEPS_MAX {
                next = self.queues.next(turn);
            }
        }
        let Ended { early, must_commit, steps } = self.host.end_group(!waiting.is_empty());
        self.set_timers();
        self.watch.meter.metrics().group_steps.observe(steps);
        if let Some(observer) = &mut self.watch.observer {
            observer.on_commit();
        }
        early.into_iter().for_each(|outgoing| release(outgoing, &mut *self.network));
        self.network.flush();
        if must_commit {
            self.commit()?;
        }
        self.watch.meter.on_group(self.host.replica());
        self.queues.position.set(self.host.replica().position());
        let outbox = self.host.release();
        self.release(outbox, waiting)?;
        match self.host.halt() {
            Some(reason) => Err(DriverError::Halted(reason.clone())),
            None => Ok(()),
        }
    }

    /// Handles one event.
    fn handle(&mut self, event: Event, waiting: &mut Waiting) -> Result<(), DriverError> {
        match event {
            Event::Input(input) => self.host.step(*input, &mut self.watch)?,
            Event::Status(client) => waiting.status.push(client),
            Event::Report(sender) => waiting.reports.push(sender),
            Event::Suspect(asked) => {
                waiting.suspicions.push((asked, self.host.suspect(&mut self.watch)?));
            }
            Event::Barrier(done) => waiting.barriers.push(done),
            // Whoever asked may have stopped waiting.
            Event::Ping(alive) => drop(alive.send(())),
        }
        Ok(())
    }

    fn set_timers(&mut self) {
        for (alarm, after) in self.host.take_timers() {
            self.timers.set(alarm, after);
        }
    }

    /// Tells the host of the timers that ran out.
    fn ring(&mut self) -> Result<(), HostError<StoreError>> {
        self.set_timers();
        while let Some(alarm) = self.timers.take_due() {
            self.host.alarm(alarm, &mut self.watch)?;
            self.set_timers();
        }
        Ok(())
    }

    /// Makes the group durable.
    fn commit(&mut self) -> Result<(), DriverError> {
        let Self { host, queues, .. } = self;
        let began = Instant::now();
        queues.at_disk.during(|| blocking(|| host.commit()))?;
        self.set_timers();
        let metrics = self.watch.meter.metrics();
        metrics.commits.increment();
        metrics.disk_commit.observe(began.elapsed());
        Ok(())
    }

    fn release(&mut self, outbox: Vec<Outgoing>, waiting: Waiting) -> Result<(), DriverError> {
        outbox.into_iter().for_each(|outgoing| release(outgoing, &mut *self.network));
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
        if let Some(observer) = &mut self.watch.observer {
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
