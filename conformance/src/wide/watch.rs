//! What is seen of one driver: what it hands to the network, and when; and its steps, at its trace point.

use bytes::Bytes;
use pbft_core::types::{ClientId, ReplicaId, View};
use pbft_core::{Effect, Input, Rejection, RejectionKind, Replica};
use pbft_node::driver::Observer;
use pbft_node::inbox::Inbox;
use pbft_node::network::{Network, Outgoing};
use pbft_node::store::MemoryDisk;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Something left a driver.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// When, since the story began.
    pub at: Duration,
    /// How often the disk had been synced by then.
    pub syncs: u64,
    /// The view that the replica had published by then.
    pub published: View,
    /// What.
    pub outgoing: Outgoing,
    /// The disk as it would be if the power failed then, if somebody wants to know.
    pub disk: Option<MemoryDisk>,
}

/// The network under a driver: it keeps what leaves until somebody takes it.
#[derive(Clone, Debug)]
pub(super) struct Tap {
    disk: MemoryDisk,
    began: Instant,
    keeps_disks: bool,
    inbox: Arc<OnceLock<Inbox>>,
    sent: Arc<Mutex<Vec<Sent>>>,
    flushes: Arc<Mutex<usize>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tap {
    pub(super) fn new(disk: MemoryDisk, began: Instant, keeps_disks: bool) -> Self {
        let (inbox, sent, flushes) = (Arc::default(), Arc::default(), Arc::default());
        Self { disk, began, keeps_disks, inbox, sent, flushes }
    }

    /// Whose network it is.
    pub(super) fn belongs_to(&self, inbox: &Inbox) {
        self.inbox.get_or_init(|| inbox.clone());
    }

    /// The disk that it looks at.
    pub(super) fn disk(&self) -> &MemoryDisk {
        &self.disk
    }

    /// What left since the last time. All of it was flushed: what leaves together goes together.
    pub(super) fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut lock(&self.sent))
    }

    /// How much left that nobody flushed.
    pub(super) fn unflushed(&self) -> usize {
        *lock(&self.flushes)
    }

    fn note(&self, outgoing: Outgoing) {
        let disk = self.keeps_disks.then(|| self.disk.after_power_cut());
        let (at, syncs) = (Instant::now() - self.began, self.disk.syncs());
        let published = self.inbox.get().map(|inbox| inbox.position().view).unwrap_or_default();
        lock(&self.sent).push(Sent { at, syncs, published, outgoing, disk });
        *lock(&self.flushes) += 1;
    }
}

impl Network for Tap {
    fn send(&mut self, to: ReplicaId, frame: Bytes) {
        self.note(Outgoing::Send { to, frame });
    }

    fn broadcast(&mut self, frame: Bytes) {
        self.note(Outgoing::Broadcast(frame));
    }

    fn reply(&mut self, client: ClientId, frame: Bytes) {
        self.note(Outgoing::Reply { client, frame });
    }

    fn flush(&mut self) {
        *lock(&self.flushes) = 0;
    }
}

/// What a driver did, at its trace point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Start,
    /// A step, and what kind of input it took.
    Step(&'static str),
    Refused(RejectionKind),
    Commit,
    Release,
    Stop,
}

fn kind(input: &Input) -> &'static str {
    match input {
        Input::Request(_) => "client",
        Input::Message { .. } => "peer",
        Input::Timer(_) => "timer",
        Input::Suspect => "operator",
        Input::Executed { .. } | Input::Installed { .. } => "service",
    }
}

/// Watches a driver's steps.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<(Vec<Mark>, Option<Replica>)>>);

impl Log {
    fn note(&self, mark: Mark) {
        lock(&self.0).0.push(mark);
    }

    /// What was done since the last time.
    pub(super) fn take(&self) -> Vec<Mark> {
        std::mem::take(&mut lock(&self.0).0)
    }

    /// The replica as it was after its last step.
    pub(super) fn replica(&self) -> Option<Replica> {
        lock(&self.0).1.clone()
    }
}

impl Observer for Log {
    fn on_start(&mut self, replica: &Replica) {
        self.note(Mark::Start);
        lock(&self.0).1 = Some(replica.clone());
    }

    fn on_step(
        &mut self,
        input: &Input,
        outcome: &Result<Vec<Effect>, Rejection>,
        replica: &Replica,
    ) {
        self.note(match outcome {
            Ok(_) => Mark::Step(kind(input)),
            Err(rejection) => Mark::Refused(rejection.kind()),
        });
        lock(&self.0).1 = Some(replica.clone());
    }

    fn on_commit(&mut self) {
        self.note(Mark::Commit);
    }

    fn on_release(&mut self) {
        self.note(Mark::Release);
    }

    fn on_stop(&mut self) {
        self.note(Mark::Stop);
    }
}
