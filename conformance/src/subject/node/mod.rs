//! A replica inside the production node: the real driver task, frames, signatures and store, under a paused clock
//! and a network in the replay's hands.

pub mod keys;
mod watch;
pub mod wire;

use crate::divergence::{Difference, Kind};
use crate::panics::panicked;
use crate::refinement::action::Delivery;
use crate::refinement::service::{self, History};
use crate::refinement::timers::TimerWatch;
use crate::refinement::vocabulary::{Vocabulary, replica_id};
use crate::signpost::Fact;
use crate::signpost::given::Given;
use crate::subject::audit;
use crate::subject::node::watch::{Watch, Watcher};
use crate::subject::node::wire::Wire;
use crate::subject::{Observation, Restarted, Subject};
use pbft_core::message::Message;
use pbft_core::types::{ClientId, Principal, ReplicaId};
use pbft_core::{Footprint, Input, Params, Rejection, Replica, Summary, Timer};
use pbft_model as model;
use pbft_node::codec;
use pbft_node::driver::{Driver, DriverError, Parts};
use pbft_node::frame::{ClientFrame, RefusalReason, ReplicaFrame};
use pbft_node::inbox::{Inbox, InboxError, Unread};
use pbft_node::network::Outgoing;
use pbft_node::store::{Identity, MemoryDisk, Store};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// A running driver.
struct Running {
    inbox: Inbox,
    wire: Wire,
    task: JoinHandle<Result<(), DriverError>>,
}

/// A production node that is replayed on.
pub struct NodeHost<'r> {
    runtime: &'r Runtime,
    replica: model::ReplicaId,
    identity: Identity,
    disk: MemoryDisk,
    watch: Watch,
    running: Option<Running>,
    /// What clients were told beside replies.
    told: Vec<(ClientId, ReplicaFrame)>,
    /// Whether the clock may run: all nodes share it, so only while no other node's timer would run out with it.
    pub clock_may_run: bool,
    /// How many steps until the next crash.
    crash_in: u32,
    /// Number of crashes so far.
    pub crashes: u64,
}

/// A node crashes after every so many steps of its own.
const CRASH_EVERY: u32 = 4;

/// How long a view-change timer runs at first, and at most.
const PATIENCE: Duration = Duration::from_secs(1 << 20);
const PATIENCE_MAX: Duration = Duration::from_secs(1 << 26);

/// Timers run out when the replay says so, not when the clock does: a patience beyond any replay.
pub fn adjust(params: &mut Params) {
    params.view_timeout = PATIENCE;
    params.view_timeout_max = PATIENCE_MAX;
    params.status_interval = Duration::from_secs(1 << 34);
}

impl<'r> NodeHost<'r> {
    /// A node at its very first start.
    pub fn new(
        runtime: &'r Runtime,
        vocabulary: &Vocabulary,
        replica: model::ReplicaId,
    ) -> Result<Self, Difference> {
        let identity = Identity::new(vocabulary.cluster(), replica_id(replica));
        let crash_in = 1 + u32::from(replica.0) % CRASH_EVERY;
        let (disk, watch) = (MemoryDisk::default(), Watch::default());
        let (told, running, crashes) = (Vec::new(), None, 0);
        let clock_may_run = false;
        let mut host = Self {
            runtime,
            replica,
            identity,
            disk,
            watch,
            running,
            told,
            clock_may_run,
            crash_in,
            crashes,
        };
        host.start(vocabulary)?;
        Ok(host)
    }

    /// Starts the node from its disk; what it says at once.
    fn start(&mut self, vocabulary: &Vocabulary) -> Result<Vec<Message>, Difference> {
        let params = vocabulary.params(self.replica);
        let store = Store::in_memory(&self.disk, self.identity).map_err(harness)?;
        let pairs = store.pairs(&[], 2).map_err(harness)?;
        let stored = service::stored(&pairs);
        let known = self.watch.lock().history.clone();
        if stored != known {
            let diff = vec![format!("- {known:?}"), format!("+ {stored:?}")];
            let what = "the service state on disk is not the one before the crash";
            let difference = Difference::new(Kind::Restart, what).with_diff(diff);
            return Err(difference.with(Fact::ServiceLost).given(Given::Start));
        }
        self.check_evidence(&store)?;
        let wire = Wire::new(params, self.disk.clone());
        let watcher = Watcher { watch: self.watch.clone(), wire: wire.clone() };
        let (driver, inbox) = Driver::new(Parts {
            params: Arc::clone(params),
            signer: vocabulary.keys.signer(Principal::Replica(params.replica)),
            verifier: vocabulary.keys.verifier(),
            store,
            service: Box::new(History),
            network: Box::new(wire.clone()),
            observer: Some(Box::new(watcher)),
            metrics: Arc::default(),
        })
        .map_err(harness)?;
        {
            let mut watched = self.watch.lock();
            watched.replica = Some(driver.replica().clone());
            watched.timer.restarted();
            watched.accused.clear();
        }
        let task = self.runtime.spawn(driver.run());
        self.running = Some(Running { inbox, wire, task });
        // What a replica repeats when it starts is no step.
        self.settle()?;
        let seen = self.outgoing()?;
        let sends = seen.sends.into_iter().map(|(_, message)| message);
        Ok(seen.broadcasts.into_iter().chain(sends).collect())
    }

    /// Each equivocation that the replica noticed is on its disk.
    fn check_evidence(&self, store: &Store) -> Result<(), Difference> {
        let (kept, noticed) =
            (store.evidence().map_err(harness)?.len(), self.watch.lock().equivocations.len());
        match kept == noticed {
            true => Ok(()),
            false => {
                let what = "evidence of equivocation is not kept";
                let diff = vec![format!("- {noticed} noticed"), format!("+ {kept} kept")];
                let difference = Difference::new(Kind::Restart, what).with_diff(diff);
                Err(difference.with(Fact::EvidenceLost).given(Given::Start))
            }
        }
    }

    /// The power fails: what was not synced is gone.
    fn crash(&mut self) {
        self.crashes += 1;
        self.disk = self.disk.after_power_cut();
        if let Some(running) = self.running.take() {
            running.task.abort();
            // Awaited, so that the store is closed before it is opened again; a cancelled task is no news.
            let _ = self.runtime.block_on(running.task);
        }
    }

    /// The power fails, and the node is started again; what it says at once.
    pub fn restart(&mut self, vocabulary: &Vocabulary) -> Result<Vec<Message>, Difference> {
        self.crash();
        self.start(vocabulary)
    }

    fn running(&mut self) -> Result<&mut Running, Difference> {
        self.running.as_mut().ok_or_else(|| Difference::new(Kind::Harness, "the node is down"))
    }

    /// Waits until everything delivered so far is stepped, durable and released.
    fn settle(&mut self) -> Result<Option<String>, Difference> {
        let runtime = self.runtime;
        let running = self.running()?;
        if runtime.block_on(running.inbox.settled()).is_ok() {
            return Ok(None);
        }
        let Some(running) = self.running.take() else { return Ok(None) };
        match runtime.block_on(running.task) {
            Ok(Err(error)) => Ok(Some(error.to_string())),
            Ok(Ok(())) => Ok(Some("the driver ended".to_owned())),
            Err(panic) => Err(panicked(&panic.to_string())),
        }
    }

    /// What left the node since the last time.
    fn outgoing(&mut self) -> Result<Observation, Difference> {
        let mut seen = Observation::default();
        let Some(running) = &self.running else { return Ok(seen) };
        let (released, early) = running.wire.take(self.runtime)?;
        if early > 0 {
            let what = format!("{early} frames left before the disk was synced");
            return Err(Difference::new(Kind::NotDurable, what).with(Fact::Unsynced));
        }
        for outgoing in released {
            match outgoing {
                Outgoing::Broadcast(frame) => seen.broadcasts.push(decode(&frame)?),
                Outgoing::Send { to, frame } => seen.sends.push((to, decode(&frame)?)),
                Outgoing::Reply { client, frame } => {
                    let frame = codec::decode(&frame).map_err(harness)?;
                    self.told.extend(seen.told(client, frame)?.map(|other| (client, other)));
                }
            }
        }
        Ok(seen)
    }

    /// A frame on a replica's channel, and all that follows from it.
    pub fn peer_frame(
        &mut self,
        from: ReplicaId,
        frame: &[u8],
    ) -> Result<Result<(), InboxError>, Difference> {
        let runtime = self.runtime;
        let outcome = runtime.block_on(self.running()?.inbox.peer_frame(from, frame));
        self.finish_frame()?;
        Ok(outcome)
    }

    /// How many votes were not verified because nothing needed them.
    pub fn votes_not_verified(&mut self) -> Result<u64, Difference> {
        Ok(self.running()?.inbox.metrics().votes_surplus.get())
    }

    /// How many frames were not verified because the replica would have refused them anyway.
    pub fn frames_not_verified(&mut self) -> Result<u64, Difference> {
        let counts = self.running()?.inbox.metrics().frames_not_verified.counts();
        Ok(counts.iter().map(|(_, count)| count).sum())
    }

    /// How many votes are held beside the replica, not verified.
    pub fn votes_set_aside(&self) -> usize {
        self.running.as_ref().map_or(0, |running| running.inbox.votes_set_aside())
    }

    /// A frame on a client's connection, and all that follows from it.
    pub fn client_frame(
        &mut self,
        client: ClientId,
        frame: &[u8],
    ) -> Result<Result<(), InboxError>, Difference> {
        let outcome = self.running()?.inbox.client_frame(client, frame);
        self.finish_frame()?;
        Ok(outcome)
    }

    fn finish_frame(&mut self) -> Result<(), Difference> {
        if let Some(reason) = self.settle()? {
            return Err(Difference::new(Kind::Halted, reason));
        }
        self.outgoing()?;
        self.watch.lock().rejections.clear();
        Ok(())
    }

    /// What clients were told beside replies since the last time.
    pub fn take_told(&mut self) -> Vec<(ClientId, ReplicaFrame)> {
        std::mem::take(&mut self.told)
    }

    /// Whether the node crashes at the next opportunity: what was asked of it since its last step is forgotten then.
    pub fn is_about_to_crash(&mut self) -> bool {
        self.crash_in -= 1;
        self.crash_in == 0
    }

    /// The replica, as it was after its last step.
    pub fn replica(&self) -> Option<Replica> {
        self.watch.lock().replica.clone()
    }

    /// Lets the clock run until the view-change timer has run out.
    fn run_out(&mut self) -> Result<(), Difference> {
        let before = self.watch.lock().timeouts;
        let mut patience = PATIENCE;
        while patience <= PATIENCE_MAX {
            self.runtime.block_on(tokio::time::advance(patience));
            if self.settle()?.is_some() || self.watch.lock().timeouts > before {
                return Ok(());
            }
            patience *= 2;
        }
        let what = "a timer that is set never runs out";
        Err(Difference::new(Kind::Reaction, what).with(Fact::ClockStands))
    }

    fn send(
        &mut self,
        vocabulary: &Vocabulary,
        delivery: &Delivery,
    ) -> Result<Result<(), Rejection>, Difference> {
        let runtime = self.runtime;
        let clock_may_run = self.clock_may_run;
        let inbox = &self.running()?.inbox;
        let outcome = match delivery {
            Delivery::Client(Message::Request(request)) => {
                let client: ClientId = request.body.client;
                let frame = ClientFrame::Request(Arc::clone(request));
                inbox.client_frame(client, &codec::encode(&frame).map_err(harness)?)
            }
            Delivery::Client(other) => {
                let what = format!("clients send no {}", other.kind());
                return Err(Difference::new(Kind::Harness, what));
            }
            Delivery::Message { from, message } => {
                let frame = codec::encode(message).map_err(harness)?;
                runtime.block_on(inbox.peer_frame(*from, &frame))
            }
            Delivery::Timer(Timer::ViewChange) if clock_may_run => return self.run_out().map(Ok),
            Delivery::Timer(timer) => runtime.block_on(inbox.input(Input::Timer(*timer))),
            Delivery::Suspect => runtime.block_on(inbox.input(Input::Suspect)),
        };
        match outcome {
            Ok(()) => Ok(Ok(())),
            Err(InboxError::Unread(
                Unread::Rejected(rejection) | Unread::NotVerified(rejection),
            )) => Ok(Err(rejection)),
            Err(error) => match told_why(vocabulary, delivery, &error) {
                Some(rejection) => Ok(Err(rejection)),
                None => Err(Difference::new(Kind::Refused, error.to_string())),
            },
        }
    }
}

/// The rejection that a client's frame was refused for before it was an input, if it is what the client was told.
fn told_why(vocabulary: &Vocabulary, delivery: &Delivery, error: &InboxError) -> Option<Rejection> {
    let (InboxError::Unread(Unread::Refused { reason, .. }), Delivery::Client(message)) =
        (error, delivery)
    else {
        return None;
    };
    let rejection = vocabulary.verify(message.clone()).err()?;
    (RefusalReason::of(&rejection) == Some(*reason)).then_some(rejection)
}

fn decode(frame: &[u8]) -> Result<Message, Difference> {
    codec::decode(frame).map_err(harness)
}

fn harness(error: impl std::fmt::Display) -> Difference {
    Difference::new(Kind::Harness, error.to_string())
}

impl Subject for NodeHost<'_> {
    fn deliver(
        &mut self,
        vocabulary: &Vocabulary,
        delivery: &Delivery,
    ) -> Result<Result<Observation, Rejection>, Difference> {
        if let Err(rejection) = self.send(vocabulary, delivery)? {
            return Ok(Err(rejection));
        }
        let halted = self.settle()?;
        let mut seen = self.outgoing()?;
        seen.halted = halted;
        let mut watched = self.watch.lock();
        seen.executed = std::mem::take(&mut watched.executed);
        seen.records = std::mem::take(&mut watched.records);
        seen.installed = watched.installed.take();
        seen.stored = std::mem::take(&mut watched.stored);
        seen.timers_set = std::mem::take(&mut watched.timers_set);
        seen.timers_cancelled = std::mem::take(&mut watched.timers_cancelled);
        match std::mem::take(&mut watched.rejections).pop() {
            Some(rejection) => Ok(Err(rejection)),
            None => {
                watched.timer.delivered(delivery);
                audit::check(vocabulary, replica_id(self.replica), &seen)?;
                Ok(Ok(seen))
            }
        }
    }

    fn summary(&self) -> Summary {
        match &self.watch.lock().replica {
            Some(replica) => replica.summary(),
            None => unreachable!("a node's replica is known from its start"),
        }
    }

    fn footprint(&self) -> Footprint {
        self.watch.lock().replica.as_ref().map(Replica::footprint).unwrap_or_default()
    }

    fn history(&self) -> Vec<model::Value> {
        self.watch.lock().history.clone()
    }

    /// Kills the driver's task and opens the same disk again, every few steps.
    fn after_restart(&mut self, vocabulary: &Vocabulary) -> Result<Option<Restarted>, Difference> {
        if self.crash_in > 0 {
            return Ok(None);
        }
        self.crash_in = CRASH_EVERY;
        let said = self.restart(vocabulary)?;
        Ok(Some(Restarted { summary: self.summary(), footprint: self.footprint(), said }))
    }

    fn is_timer_running(&self) -> bool {
        self.watch.lock().replica.as_ref().is_some_and(Replica::is_view_timer_running)
    }

    fn timer(&self) -> TimerWatch {
        self.watch.lock().timer.clone()
    }
}

impl Drop for NodeHost<'_> {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.task.abort();
            let _ = self.runtime.block_on(running.task);
        }
    }
}
