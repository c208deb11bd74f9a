//! Real replicas of the core in one thread, each recorded, with a network that loses, repeats and reorders, and crashes
//! before and after what was decided is durable.
#![allow(dead_code, unreachable_pub, reason = "the benchmark uses a part of it")]

use core::time::Duration;
use pbft_conformance::refinement::keys::{Keys, SealKeys};
use pbft_conformance::subject::disk::{self, Open};
use pbft_core::crypto::{sign, verify};
use pbft_core::message::{Message, Request};
use pbft_core::types::{ClientId, Digest, Lane, Principal, ReplicaId, Session, Timestamp};
use pbft_core::{Durable, Effect, Input, Membership, Params, Rejection, Replica, Timer};
use pbft_host::{Alarm, Host, HostError, Outgoing, Parts, Said, Service, Watcher};
use pbft_node::driver::Observer as _;
use pbft_node::trace::Recorder;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Write;
use std::sync::{Arc, Mutex};

/// A file in memory.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().expect("one thread").clone()
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("one thread").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A message on its way.
type Sent = (ReplicaId, ReplicaId, Message);

/// A service's state: a hash over everything that was applied.
#[derive(Clone, Default)]
struct Applied(u64);

impl disk::State for Applied {
    fn chunks(&self) -> Vec<Arc<[u8]>> {
        vec![self.0.to_le_bytes().into()]
    }

    fn from_chunks(chunks: &[Arc<[u8]>]) -> Option<Self> {
        Some(Self(u64::from_le_bytes(chunks.first()?[..].try_into().ok()?)))
    }
}

type Disk = disk::Disk<Applied>;

/// Applies operations, each of which is another one: it has the number of its request.
struct Applies;

impl Service<Disk> for Applies {
    fn execute(&self, applied: &mut Open<'_, Applied>, _: ClientId, operation: &[u8]) -> Vec<u8> {
        let id = u64::from_le_bytes(operation.try_into().expect("eight bytes"));
        let Applied(hash) = applied.state;
        *hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(id + 1);
        hash.to_le_bytes().to_vec()
    }
}

struct Node {
    params: Arc<Params>,
    /// None while it is down.
    host: Option<Host<Disk, Applies>>,
    /// Its disk while it is down.
    disk: Disk,
    recorder: Recorder<Memory>,
    timers: BTreeSet<Timer>,
}

/// Records each step.
struct Recording<'a> {
    recorder: &'a mut Recorder<Memory>,
    input: Option<Input>,
}

impl Watcher<Disk> for Recording<'_> {
    fn before_step(&mut self, input: &Input, _: &Replica, _: &Disk) {
        self.input = Some(input.clone());
    }

    fn after_step(&mut self, outcome: &Result<Vec<Effect>, Rejection>, replica: &Replica) {
        let input = self.input.take().expect("a step has begun");
        self.recorder.on_step(&input, outcome, replica);
    }
}

/// The cluster.
pub struct Cluster {
    nodes: Vec<Node>,
    pub files: Vec<Memory>,
    queue: VecDeque<Sent>,
    seed: u64,
    /// The next timestamp on each lane.
    timestamps: BTreeMap<(u32, u16), u64>,
    pub crashes: u64,
}

const CLUSTER: Digest = Digest([9; 32]);

impl Cluster {
    /// n replicas with K = 2 and L = 8, or larger.
    pub fn new(n: u32, seed: u64, interval: u64) -> Self {
        let membership = Membership::new(n).expect("a size");
        let node = |id| {
            let mut params = Params::new(ReplicaId(id), membership, CLUSTER);
            (params.checkpoint_interval, params.window, params.pipeline) =
                (interval, 4 * interval, 4);
            (params.batch_requests_max, params.lanes_max) = (3, 4);
            params.view_timeout = Duration::from_secs(1);
            params.validate().expect("consistent");
            params
        };
        let files: Vec<Memory> = (0..n).map(|_| Memory::default()).collect();
        let nodes = (0..n).zip(&files).map(|(id, file)| Node {
            params: Arc::new(node(id)),
            host: None,
            disk: Disk::new(Durable::default()),
            recorder: Recorder::new(file.clone()),
            timers: BTreeSet::new(),
        });
        let (nodes, queue) = (nodes.collect(), VecDeque::new());
        let timestamps = BTreeMap::new();
        let mut cluster = Self { nodes, files: files.clone(), queue, seed, timestamps, crashes: 0 };
        (0..n).for_each(|id| cluster.start(id));
        cluster
    }

    /// The next number of the run's chance.
    pub fn chance(&mut self, below: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) as usize % below
    }

    pub fn is_up(&self, id: u32) -> bool {
        self.nodes[id as usize].host.is_some()
    }

    pub fn start(&mut self, id: u32) {
        let node = &mut self.nodes[id as usize];
        let signer = SealKeys.signer(Principal::Replica(ReplicaId(id)));
        let (params, disk) = (Arc::clone(&node.params), node.disk.clone());
        let parts = Parts { params, signer, disk, service: Applies };
        let host = Host::open(parts).expect("a disk in memory");
        node.recorder.on_start(host.replica());
        node.host = Some(host);
        self.group(id, false, |host, watcher| host.resume(watcher));
    }

    /// The replica is gone, without a word in its file.
    pub fn kill(&mut self, id: u32) {
        let node = &mut self.nodes[id as usize];
        node.disk = node.host.take().expect("it is up").into_disk();
        node.timers.clear();
        self.crashes += 1;
    }

    /// All stop in order.
    pub fn stop(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| node.host.is_some()) {
            node.recorder.on_stop();
        }
    }

    /// One input with what follows from it, as one group. It may crash before the group is durable.
    fn input(&mut self, id: u32, input: Input, crash: bool) {
        self.group(id, crash, |host, watcher| host.step(input, watcher));
        self.nodes[id as usize].recorder.on_commit();
    }

    fn group(
        &mut self,
        id: u32,
        crash: bool,
        step: impl FnOnce(
            &mut Host<Disk, Applies>,
            &mut dyn Watcher<Disk>,
        ) -> Result<(), HostError<disk::DiskError>>,
    ) {
        let Node { host, recorder, timers, .. } = &mut self.nodes[id as usize];
        let Some(host) = host else { return };
        let before = crash.then(|| host.disk().clone());
        step(host, &mut Recording { recorder, input: None }).expect("nothing is lacking");
        assert_eq!(host.halt(), None, "replica {id} halts");
        for (alarm, after) in host.take_timers() {
            match (alarm, after) {
                (Alarm::Replica(timer), Some(_)) => drop(timers.insert(timer)),
                (Alarm::Replica(timer), None) => drop(timers.remove(&timer)),
                (Alarm::PutOff, _) => unreachable!("the disk is never behind"),
            }
        }
        let said: Vec<_> = host.end_group(false).early.into_iter().chain(host.release()).collect();
        match before {
            Some(disk) => {
                self.kill(id);
                self.nodes[id as usize].disk = disk;
            }
            None => said.into_iter().for_each(|outgoing| self.send(id, outgoing)),
        }
    }

    fn send(&mut self, id: u32, Outgoing { said, .. }: Outgoing) {
        let from = ReplicaId(id);
        match said {
            Said::To(to, message) => self.queue.push_back((from, to, message)),
            Said::All(message) => {
                let others = (0..self.nodes.len() as u32).map(ReplicaId).filter(|to| *to != from);
                self.queue.extend(others.map(|to| (from, to, message.clone())));
            }
            Said::Client(..) => {}
        }
    }

    /// A client's next request, at all replicas that are up.
    pub fn request(&mut self, client: u32, lane: u16) {
        let timestamp = self.timestamps.entry((client, lane)).or_default();
        *timestamp += 1;
        let id = u64::from(client) << 40 | u64::from(lane) << 32 | *timestamp;
        let operation = id.to_le_bytes().to_vec();
        let (client, lane, timestamp) = (ClientId(client), Lane(lane), Timestamp(*timestamp));
        let body = Request { client, lane, timestamp, session: Session::default(), operation };
        let signer = SealKeys.signer(Principal::Client(client));
        let request = Message::Request(Arc::new(sign(&*signer, CLUSTER, body)));
        for id in 0..self.nodes.len() as u32 {
            let message = self.verified(id, request.clone());
            self.input(id, Input::Request(message), false);
        }
    }

    fn verified(&self, id: u32, message: Message) -> pbft_core::crypto::Verified<Message> {
        let params = &self.nodes[id as usize].params;
        verify(params, &*SealKeys.verifier(), message).expect("signed here")
    }

    /// A message for one replica.
    pub fn deliver(&mut self, from: ReplicaId, to: ReplicaId, message: Message, crash: bool) {
        if self.is_up(to.0) {
            let message = self.verified(to.0, message);
            self.input(to.0, Input::Message { from, message }, crash);
        }
    }

    /// The message that is under way longest arrives.
    pub fn deliver_next(&mut self) {
        if let Some((from, to, message)) = self.queue.pop_front() {
            self.deliver(from, to, message, false);
        }
    }

    /// Everything under way arrives, in order.
    pub fn settle(&mut self) {
        self.settle_where(|_, _, _| true);
    }

    /// What may arrive does, and what is sent then; the rest is lost.
    pub fn settle_where(&mut self, may: impl Fn(u32, u32, &Message) -> bool) {
        while let Some((from, to, message)) = self.queue.pop_front() {
            if may(from.0, to.0, &message) {
                self.deliver(from, to, message, false);
            }
        }
    }

    /// A timer of one replica runs out, if it is set.
    pub fn fire(&mut self, id: u32, timer: Timer) {
        if self.nodes[id as usize].timers.remove(&timer) {
            self.input(id, Input::Timer(timer), false);
        }
    }

    /// The status timers run out, and everything arrives; so often that all have what the others have.
    pub fn heal(&mut self, rounds: usize) {
        for _ in 0..rounds {
            (0..self.nodes.len() as u32).for_each(|id| self.fire(id, Timer::Status));
            self.settle();
        }
    }

    /// One thing by chance: a request, a message in any order, lost or twice, a timer, a crash, a start.
    pub fn disorder(&mut self) {
        let id = self.chance(self.nodes.len()) as u32;
        match self.chance(100) {
            0..8 => {
                let (client, lane) = (self.chance(3) as u32, self.chance(4) as u16);
                self.request(client, lane);
            }
            8..12 => self.fire(id, Timer::Status),
            12..13 => self.fire(id, Timer::ViewChange),
            13..14 if (0..self.nodes.len() as u32).all(|id| self.is_up(id)) => self.kill(id),
            14..24 if !self.is_up(id) => self.start(id),
            _ => {
                let Some(last) = self.queue.len().checked_sub(1) else { return };
                let at = self.chance(last.min(30) + 1);
                let Some((from, to, message)) = self.queue.remove(at) else { return };
                if self.chance(20) == 0 {
                    self.queue.push_back((from, to, message.clone()));
                }
                let crash =
                    self.chance(400) == 0 && (0..self.nodes.len() as u32).all(|id| self.is_up(id));
                if self.chance(20) > 0 {
                    self.deliver(from, to, message, crash);
                }
            }
        }
        if self.queue.len() > 2000 {
            self.queue.drain(..1000);
        }
    }
}

/// A run without any disorder: `rounds` rounds of requests.
pub fn orderly(n: u32, rounds: u64) -> Cluster {
    let mut cluster = Cluster::new(n, 1, 8);
    for round in 0..rounds {
        cluster.request((round % 3) as u32, (round / 3 % 4) as u16);
        cluster.settle();
    }
    cluster.stop();
    cluster
}

/// A run with all disorder that chance brings.
pub fn disorderly(n: u32, seed: u64, steps: usize) -> Cluster {
    let mut cluster = Cluster::new(n, seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1, 2);
    (0..steps).for_each(|_| cluster.disorder());
    for id in 0..n {
        if !cluster.is_up(id) {
            cluster.start(id);
        }
    }
    cluster.heal(10);
    cluster.stop();
    cluster
}
