//! A replica inside the production node: the real driver task, frames, signatures and store, under a paused clock
//! and a network in the replay's hands.

use crate::divergence::{Difference, Kind};
use crate::host::{Observation, Restarted, Subject};
use crate::refinement::action::Delivery;
use crate::refinement::vocabulary::{Vocabulary, replica_id};
use crate::service::{self, History};
use pbft_core::message::Message;
use pbft_core::types::{ClientId, Principal, SeqNum};
use pbft_core::{Effect, Input, Params, Rejection, Replica, Summary};
use pbft_model as model;
use pbft_node::codec;
use pbft_node::driver::{Driver, DriverError, Observer, Parts};
use pbft_node::frame::{ClientFrame, ReplicaFrame};
use pbft_node::inbox::{Inbox, InboxError};
use pbft_node::network::{ChannelNetwork, Outgoing};
use pbft_node::store::{Identity, MemoryDisk, Store};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

/// What the observer has seen since it was last asked.
#[derive(Default)]
struct Watched {
    replica: Option<Replica>,
    rejections: Vec<Rejection>,
    executed: Vec<(SeqNum, Vec<model::Value>)>,
    records: usize,
    installed: Option<SeqNum>,
    staged: Vec<Arc<[u8]>>,
    history: Vec<model::Value>,
}

/// Watches one driver.
#[derive(Clone, Default)]
struct Watch(Arc<Mutex<Watched>>);

impl Watch {
    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Watch {
    fn on_step(&mut self, _: &Input, outcome: &Result<Vec<Effect>, Rejection>, replica: &Replica) {
        let mut watched = self.lock();
        match outcome {
            Ok(effects) => effects.iter().for_each(|effect| watched.note(effect)),
            Err(rejection) => watched.rejections.push(rejection.clone()),
        }
        watched.replica = Some(replica.clone());
    }
}

impl Watched {
    fn note(&mut self, effect: &Effect) {
        match effect {
            Effect::Persist(_) => self.records += 1,
            Effect::Execute { seq, requests, .. } => {
                let applied =
                    requests.iter().map(|request| service::value(&request.body.operation));
                let applied: Vec<_> = applied.collect();
                self.history.extend(&applied);
                self.executed.push((*seq, applied));
            }
            Effect::StageChunk { bytes, .. } => self.staged.push(Arc::clone(bytes)),
            Effect::Install { manifest, .. } => {
                self.installed = Some(manifest.seq);
                let staged = std::mem::take(&mut self.staged);
                self.history =
                    staged.get(1).map(|chunk| service::history(chunk)).unwrap_or_default();
            }
            Effect::Send { .. }
            | Effect::Broadcast(_)
            | Effect::StoreCheckpoint { .. }
            | Effect::Reply(_)
            | Effect::SetTimer { .. }
            | Effect::CancelTimer(_)
            | Effect::ServeState { .. }
            | Effect::Halt(_) => {}
        }
    }
}

/// A running driver.
struct Running {
    inbox: Inbox,
    sent: UnboundedReceiver<Outgoing>,
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
    /// How many steps until the next crash.
    crash_in: u32,
    /// Number of crashes so far.
    pub crashes: u64,
}

/// A node crashes after every so many steps of its own.
const CRASH_EVERY: u32 = 4;

/// Timers run out when the replay says so, not when the clock does: a patience beyond any replay.
pub fn adjust(params: &mut Params) {
    params.view_timeout = Duration::from_secs(1 << 20);
    params.view_timeout_max = Duration::from_secs(1 << 30);
    params.status_interval = Duration::from_secs(1 << 30);
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
        let mut host =
            Self { runtime, replica, identity, disk, watch, running: None, crash_in, crashes: 0 };
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
            return Err(Difference::new(Kind::Restart, what).with_diff(diff));
        }
        let (network, sent) = ChannelNetwork::new();
        let (driver, inbox) = Driver::new(Parts {
            params: Arc::clone(params),
            signer: vocabulary.keys.signer(Principal::Replica(params.replica)),
            verifier: vocabulary.keys.verifier(),
            store,
            service: Box::new(History),
            network: Box::new(network),
            observer: Some(Box::new(self.watch.clone())),
        })
        .map_err(harness)?;
        self.watch.lock().replica = Some(driver.replica().clone());
        let task = self.runtime.spawn(driver.run());
        self.running = Some(Running { inbox, sent, task });
        // What a replica repeats when it starts is no step.
        self.settle()?;
        let seen = self.outgoing()?;
        let sends = seen.sends.into_iter().map(|(_, message)| message);
        Ok(seen.broadcasts.into_iter().chain(sends).collect())
    }

    fn crash(&mut self) {
        self.crashes += 1;
        if let Some(running) = self.running.take() {
            running.task.abort();
            // Awaited, so that the store is closed before it is opened again; a cancelled task is no news.
            let _ = self.runtime.block_on(running.task);
        }
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
            Err(panic) => Err(Difference::new(Kind::Panicked, panic.to_string())),
        }
    }

    /// What left the node since the last time.
    fn outgoing(&mut self) -> Result<Observation, Difference> {
        let mut seen = Observation::default();
        let Some(running) = &mut self.running else { return Ok(seen) };
        while let Ok(outgoing) = running.sent.try_recv() {
            match outgoing {
                Outgoing::Broadcast(frame) => seen.broadcasts.push(decode(&frame)?),
                Outgoing::Send { to, frame } => seen.sends.push((to, decode(&frame)?)),
                Outgoing::Reply { frame, .. } => {
                    if let ReplicaFrame::Reply(reply) = codec::decode(&frame).map_err(harness)? {
                        seen.replies.push(reply);
                    }
                }
            }
        }
        Ok(seen)
    }

    fn send(&mut self, delivery: &Delivery) -> Result<Result<(), Rejection>, Difference> {
        let runtime = self.runtime;
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
            Delivery::Timer(timer) => runtime.block_on(inbox.input(Input::Timer(*timer))),
            Delivery::Suspect => runtime.block_on(inbox.input(Input::Suspect)),
        };
        match outcome {
            Ok(()) => Ok(Ok(())),
            Err(InboxError::Rejected(rejection)) => Ok(Err(rejection)),
            Err(other) => Err(Difference::new(Kind::Refused, other.to_string())),
        }
    }
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
        _: &Vocabulary,
        delivery: &Delivery,
    ) -> Result<Result<Observation, Rejection>, Difference> {
        if let Err(rejection) = self.send(delivery)? {
            return Ok(Err(rejection));
        }
        let halted = self.settle()?;
        let mut seen = self.outgoing()?;
        seen.halted = halted;
        let mut watched = self.watch.lock();
        seen.executed = std::mem::take(&mut watched.executed);
        seen.records = std::mem::take(&mut watched.records);
        seen.installed = watched.installed.take();
        match std::mem::take(&mut watched.rejections).pop() {
            Some(rejection) => Ok(Err(rejection)),
            None => Ok(Ok(seen)),
        }
    }

    fn summary(&self) -> Summary {
        let watched = self.watch.lock();
        match &watched.replica {
            Some(replica) => replica.summary(),
            None => unreachable!("a node's replica is known from its start"),
        }
    }

    fn history(&self) -> Vec<model::Value> {
        self.watch.lock().history.clone()
    }

    /// Kills the driver's task and opens the same disk again, every few steps.
    fn after_restart(&mut self, vocabulary: &Vocabulary) -> Result<Option<Restarted>, Difference> {
        self.crash_in -= 1;
        if self.crash_in > 0 {
            return Ok(None);
        }
        self.crash_in = CRASH_EVERY;
        self.crash();
        let said = self.start(vocabulary)?;
        Ok(Some(Restarted { summary: self.summary(), said }))
    }

    fn is_timer_running(&self) -> bool {
        self.watch.lock().replica.as_ref().is_some_and(Replica::is_view_timer_running)
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
