//! Production drivers with their inboxes, stores and keys, in one process; a letter arrives when the story says so.

use super::pages::Pages;
use super::story::{Outcome, Story, demand, harness};
use super::watch::{Log, Mark, Sent, Tap};
use crate::beyond::label;
use crate::divergence::{Difference, Kind};
use crate::refinement::layout;
use crate::subject::node::keys::secret;
use bytes::Bytes;
use pbft_core::message::{Message, Request, Signed};
use pbft_core::params::ClientAuthentication;
use pbft_core::types::{
    ClientId, Digest, Lane, Principal, ReplicaId, Session, Signature, Timestamp,
};
use pbft_core::{Membership, Params, Replica};
use pbft_node::codec;
use pbft_node::driver::{Driver, DriverError, Parts};
use pbft_node::frame::{ClientFrame, ReplicaFrame, StatusReport};
use pbft_node::inbox::{Inbox, InboxError, Unread};
use pbft_node::keyring::{KeyRing, KeySigner, VerifiedCache};
use pbft_node::mac::MacKeys;
use pbft_node::metrics::Metrics;
use pbft_node::network::Outgoing;
use pbft_node::queries::Queries;
use pbft_node::store::{Identity, MemoryDisk, Store};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// The cluster's id.
pub(super) const CLUSTER: Digest = Digest([7; 32]);

/// The clients are 1, 2 and 3.
const CLIENTS: u32 = 3;

/// Longer than any story: for timers that are to stand still.
pub(super) const NEVER: Duration = Duration::from_secs(1 << 30);

/// What a cluster is like.
#[derive(Clone, Copy)]
pub(super) struct Spec {
    pub replicas: u32,
    pub bounds: fn(&mut Params),
}

/// Something on its way from one replica to another.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub from: u32,
    pub to: u32,
    pub frame: Bytes,
    pub message: Message,
}

/// One running driver.
pub(super) struct Node {
    pub inbox: Inbox,
    pub disk: MemoryDisk,
    pub metrics: Arc<Metrics>,
    pub queries: Queries,
    pub log: Log,
    tap: Tap,
    task: JoinHandle<Result<(), DriverError>>,
}

/// The cluster.
pub(super) struct Cluster<'s> {
    pub story: &'s Story,
    spec: Spec,
    nodes: Vec<Option<Node>>,
    transit: VecDeque<Letter>,
    /// What each replica has sent to others and to clients, since it was last asked.
    sent: Vec<Vec<Sent>>,
    /// What clients were told, by which replica.
    pub told: Vec<(u32, ClientId, ReplicaFrame)>,
    /// Whether each frame is kept with the disk as it was then.
    pub keeps_disks: bool,
}

pub(super) fn replica(id: u32) -> Principal {
    Principal::Replica(ReplicaId(id))
}

pub(super) fn client(id: u32) -> Principal {
    Principal::Client(ClientId(id))
}

/// A frame of a client.
pub(super) fn framed(frame: &ClientFrame) -> Outcome<Vec<u8>> {
    codec::encode(frame).map_err(harness)
}

/// What a client asks for, signed.
pub(super) fn request(
    client_id: u32,
    lane: u16,
    timestamp: u64,
    operation: &str,
) -> Signed<Request> {
    let body = Request {
        client: ClientId(client_id),
        lane: Lane(lane),
        timestamp: Timestamp(timestamp),
        session: Session::default(),
        operation: operation.as_bytes().to_vec(),
    };
    sealed(body)
}

/// A statement with its signer's signature.
pub(super) fn sealed<B: layout::Signable>(body: B) -> Signed<B> {
    let bytes = layout::statement(CLUSTER, &body);
    let signature = Signature::from_bytes(&secret(body.signer()).sign(&bytes));
    Signed { body, signature }
}

/// A client's request as a frame.
pub(super) fn asking(request: &Signed<Request>) -> Outcome<Vec<u8>> {
    framed(&ClientFrame::Request(Arc::new(request.clone())))
}

impl Spec {
    /// The parameters of a replica.
    pub(super) fn params(&self, id: u32) -> Outcome<Params> {
        let membership = Membership::new(self.replicas).map_err(harness)?;
        let mut params = Params::new(ReplicaId(id), membership, CLUSTER);
        (params.view_timeout, params.view_timeout_max) = (NEVER, NEVER);
        params.status_interval = NEVER;
        (self.bounds)(&mut params);
        params.validate().map_err(harness)?;
        Ok(params)
    }

    /// The keys of everybody, as one of them has them.
    pub(super) fn ring(&self, own: Principal) -> Outcome<(KeyRing, KeySigner)> {
        let public = |principal| secret(principal).public();
        let clients = (1..=CLIENTS).map(|id| (ClientId(id), public(client(id))));
        let ring = KeyRing::new((0..self.replicas).map(|id| public(replica(id))), clients);
        let has_macs = self.params(0)?.client_authentication == ClientAuthentication::Macs;
        let keys = || Arc::new(MacKeys::new(own, &secret(own), CLUSTER, &ring));
        let macs = has_macs.then(keys);
        let signer = KeySigner::new(secret(own)).with_macs(macs.clone());
        Ok((ring.with_macs(macs), signer))
    }
}

impl Node {
    fn start(story: &Story, spec: Spec, id: u32, store: Store, tap: Tap) -> Outcome<Self> {
        let params = Arc::new(spec.params(id)?);
        let metrics = Arc::new(Metrics::default());
        let (ring, signer) = spec.ring(replica(id))?;
        let verifier = VerifiedCache::new(ring).counted_in(Arc::clone(&metrics));
        let queries = Queries::new(Arc::new(Pages), store.reader(), params.result_bytes_max);
        let log = Log::default();
        let (disk, network) = (tap.disk().clone(), Box::new(tap.clone()));
        let (driver, inbox) = Driver::new(Parts {
            params,
            signer: Arc::new(signer),
            verifier: Arc::new(verifier),
            store,
            service: Box::new(Pages),
            network,
            observer: Some(Box::new(log.clone())),
            metrics: Arc::clone(&metrics),
        })
        .map_err(|error| Difference::new(Kind::Restart, error.to_string()))?;
        tap.belongs_to(&inbox);
        let task = story.spawn(driver.run());
        Ok(Self { inbox, disk, metrics, queries, log, tap, task })
    }
}

impl<'s> Cluster<'s> {
    /// Replicas that have never run.
    pub(super) fn start(story: &'s Story, spec: Spec) -> Outcome<Self> {
        let mut cluster = Self::empty(story, spec);
        (0..spec.replicas).try_for_each(|id| cluster.start_one(id, &MemoryDisk::default()))?;
        cluster.settle()?;
        Ok(cluster)
    }

    /// No replica runs.
    pub(super) fn empty(story: &'s Story, spec: Spec) -> Self {
        let nodes = (0..spec.replicas).map(|_| None).collect();
        let sent = (0..spec.replicas).map(|_| Vec::new()).collect();
        let (transit, told) = (VecDeque::new(), Vec::new());
        Self { story, spec, nodes, transit, sent, told, keeps_disks: false }
    }

    /// One replica alone.
    pub(super) fn only(story: &'s Story, spec: Spec, id: u32) -> Outcome<Self> {
        let mut cluster = Self::empty(story, spec);
        cluster.start_one(id, &MemoryDisk::default())?;
        cluster.settle()?;
        Ok(cluster)
    }

    /// Starts a replica from a disk.
    pub(super) fn start_one(&mut self, id: u32, disk: &MemoryDisk) -> Outcome {
        let identity = Identity::new(CLUSTER, ReplicaId(id));
        let opened = Store::in_memory(disk, identity);
        let store = opened.map_err(|error| Difference::new(Kind::Restart, error.to_string()))?;
        self.start_from(id, store, disk)
    }

    /// Starts a replica from a store. The disk tells when it was synced, if it is the store's.
    pub(super) fn start_from(&mut self, id: u32, store: Store, disk: &MemoryDisk) -> Outcome {
        self.story.look_at(id);
        let tap = Tap::new(disk.clone(), self.story.began(), self.keeps_disks);
        let node = Node::start(self.story, self.spec, id, store, tap)?;
        self.nodes[id as usize] = Some(node);
        Ok(())
    }

    /// A running replica.
    pub(super) fn node(&self, at: u32) -> Outcome<&Node> {
        self.story.look_at(at);
        self.nodes[at as usize].as_ref().ok_or_else(|| harness("the replica is down"))
    }

    /// Its state after its last step.
    pub(super) fn replica(&self, at: u32) -> Outcome<Replica> {
        self.node(at)?.log.replica().ok_or_else(|| harness("it never started"))
    }

    /// What it did at its trace point since the last time.
    pub(super) fn marks(&self, at: u32) -> Outcome<Vec<Mark>> {
        Ok(self.node(at)?.log.take())
    }

    fn running(&self) -> Vec<u32> {
        (0..self.spec.replicas).filter(|id| self.nodes[*id as usize].is_some()).collect()
    }

    /// The power fails at a replica; what is on its disk then.
    pub(super) fn kill(&mut self, at: u32) -> Outcome<MemoryDisk> {
        self.story.note(format!("replica {at}: the power fails"));
        self.collect(at)?;
        let node = self.take(at)?;
        let disk = node.disk.after_power_cut();
        node.task.abort();
        // Awaited, so that the store is closed; a task that was ended is no news.
        let _ = self.story.wait(node.task);
        Ok(disk)
    }

    /// Stops a replica in order; how it ended, and the disk if the power fails right then.
    pub(super) fn stop(&mut self, at: u32) -> Outcome<(Result<(), DriverError>, MemoryDisk)> {
        self.story.note(format!("replica {at}: is stopped"));
        self.node(at)?.inbox.stop();
        self.ended(at)
    }

    /// How a replica ended that ends by itself, and the disk if the power fails right then.
    pub(super) fn ended(&mut self, at: u32) -> Outcome<(Result<(), DriverError>, MemoryDisk)> {
        let node = self.take(at)?;
        let (tap, disk) = (node.tap.clone(), node.disk.clone());
        let ended = self
            .story
            .wait(async { tokio::time::timeout(Duration::from_secs(60), node.task).await });
        let ended = ended.map_err(|_| Difference::new(Kind::Reaction, "it does not end"))?;
        self.receive(at, tap.take())?;
        let ended = ended.map_err(|panic| Difference::new(Kind::Panicked, panic.to_string()))?;
        Ok((ended, disk.after_power_cut()))
    }

    fn take(&mut self, at: u32) -> Outcome<Node> {
        self.story.look_at(at);
        self.nodes[at as usize].take().ok_or_else(|| harness("the replica is down"))
    }

    /// Waits until everybody has done what was asked, and collects what was said.
    pub(super) fn settle(&mut self) -> Outcome {
        self.running().into_iter().try_for_each(|at| self.settle_one(at))
    }

    /// The same of one replica.
    pub(super) fn settle_one(&mut self, at: u32) -> Outcome {
        let inbox = self.node(at)?.inbox.clone();
        // A disk that is found full takes with it whoever waits for a write; whoever asks again is answered.
        let settled =
            self.story.wait(inbox.settled()).or_else(|_| self.story.wait(inbox.settled()));
        if settled.is_err() {
            let (ended, _) = self.ended(at)?;
            let why = ended.err().map_or("in order".to_owned(), |error| error.to_string());
            return Err(Difference::new(Kind::Reaction, format!("replica {at} has ended: {why}")));
        }
        self.collect(at)
    }

    /// Collects what a replica has said.
    pub(super) fn collect(&mut self, at: u32) -> Outcome {
        let (sent, unflushed) = {
            let node = self.node(at)?;
            (node.tap.take(), node.tap.unflushed())
        };
        demand(Kind::Messages, "what left was not flushed", unflushed == 0)?;
        self.receive(at, sent)
    }

    fn receive(&mut self, at: u32, sent: Vec<Sent>) -> Outcome {
        for one in &sent {
            is_published(one)?;
            match &one.outgoing {
                Outgoing::Send { to, frame } => self.post(at, to.0, frame)?,
                Outgoing::Broadcast(frame) => {
                    let others = (0..self.spec.replicas).filter(|to| *to != at);
                    others.into_iter().try_for_each(|to| self.post(at, to, frame))?;
                }
                Outgoing::Reply { client, frame } => {
                    let frame = codec::decode(frame).map_err(harness)?;
                    self.told.push((at, *client, frame));
                }
            }
        }
        self.sent[at as usize].extend(sent);
        Ok(())
    }

    fn post(&mut self, from: u32, to: u32, frame: &Bytes) -> Outcome {
        let message = codec::decode(frame).map_err(harness)?;
        self.transit.push_back(Letter { from, to, frame: frame.clone(), message });
        Ok(())
    }

    /// What a replica has sent since the last time.
    pub(super) fn sent(&mut self, at: u32) -> Vec<Sent> {
        self.story.look_at(at);
        std::mem::take(&mut self.sent[at as usize])
    }

    /// What a replica has said to replicas since the last time, in words.
    pub(super) fn said(&mut self, at: u32) -> Outcome<Vec<String>> {
        let sent = self.sent(at);
        let words = sent.iter().filter_map(|one| in_words(&one.outgoing).transpose());
        words.collect()
    }

    /// The same, with the milliseconds since the story began at which each was said.
    pub(super) fn said_when(&mut self, at: u32) -> Outcome<Vec<(u128, String)>> {
        let sent = self.sent(at);
        let words = sent
            .iter()
            .filter_map(|one| Some((one.at.as_micros(), in_words(&one.outgoing).transpose()?)));
        words.map(|(at, said)| Ok((at / 1000, said?))).collect()
    }

    /// A client's frame reaches a replica.
    pub(super) fn give(&self, at: u32, from: u32, frame: &[u8]) -> Outcome<Result<(), InboxError>> {
        Ok(self.node(at)?.inbox.client_frame(ClientId(from), frame))
    }

    /// A client asks a replica, which must take it.
    pub(super) fn ask(&self, at: u32, request: &Signed<Request>) -> Outcome {
        let body = &request.body;
        let words = format!("{} lane {} t{}", body.client, body.lane.0, body.timestamp.0);
        self.story.note(format!("replica {at}: request of {words}"));
        let taken = self.give(at, request.body.client.0, &asking(request)?)?;
        taken.map_err(|error| Difference::new(Kind::Refused, format!("{words}: {error}")))
    }

    /// A frame reaches a replica from another; a correct one's, which may come too late.
    pub(super) fn deliver(&self, letter: &Letter) -> Outcome {
        if self.nodes[letter.to as usize].is_none() {
            return Ok(());
        }
        let words = format!("{} from {}", label::label(&letter.message), letter.from);
        self.story.note(format!("replica {}: {words}", letter.to));
        match self.frame(letter.to, letter.from, &letter.frame)? {
            Ok(()) | Err(InboxError::Unread(Unread::NotVerified(_))) => Ok(()),
            Err(error) => Err(Difference::new(Kind::Refused, format!("{words}: {error}"))),
        }
    }

    /// A frame reaches a replica on another one's connection.
    pub(super) fn frame(
        &self,
        at: u32,
        from: u32,
        frame: &[u8],
    ) -> Outcome<Result<(), InboxError>> {
        let inbox = self.node(at)?.inbox.clone();
        Ok(self.story.wait(inbox.peer_frame(ReplicaId(from), frame)))
    }

    /// Delivers everything, and all that follows; what must not arrive is handed back.
    pub(super) fn run(&mut self, arrives: impl Fn(&Letter) -> bool) -> Outcome<Vec<Letter>> {
        let mut lost = Vec::new();
        loop {
            self.settle()?;
            let under_way = std::mem::take(&mut self.transit);
            if under_way.is_empty() {
                return Ok(lost);
            }
            for letter in under_way {
                match arrives(&letter) {
                    true => self.deliver(&letter)?,
                    false => lost.push(letter),
                }
            }
        }
    }

    /// Hands back what is on its way.
    pub(super) fn lose_all(&mut self) -> Vec<Letter> {
        std::mem::take(&mut self.transit).into()
    }

    /// The results that a replica has told of, by client, lane and timestamp.
    pub(super) fn results(&self, at: u32) -> Vec<(u32, u16, u64, Vec<u8>)> {
        let replies = self.told.iter().filter_map(|(from, client, frame)| match frame {
            ReplicaFrame::Reply(reply) if *from == at => {
                let body = &reply.body;
                Some((client.0, body.lane.0, body.timestamp.0, body.result.to_vec()))
            }
            _ => None,
        });
        replies.collect()
    }

    /// How a replica says that it is.
    pub(super) fn report(&mut self, at: u32) -> Outcome<StatusReport> {
        let inbox = self.node(at)?.inbox.clone();
        let report = self.story.wait(inbox.report());
        self.collect(at)?;
        report.map_err(|error| Difference::new(Kind::Reaction, error.to_string()))
    }
}

/// Whoever asks a replica hears of a view before anything that it says there: docs/deviations.md, on lost memories.
fn is_published(sent: &Sent) -> Outcome {
    let (Outgoing::Broadcast(frame) | Outgoing::Send { frame, .. }) = &sent.outgoing else {
        return Ok(());
    };
    let message: Message = codec::decode(frame).map_err(harness)?;
    let view = match &message {
        Message::ViewChange(known) => known.body.view,
        Message::NewView(known) => known.body.view,
        Message::Prepare(vote) => vote.body.view,
        Message::Commit(vote) => vote.body.view,
        _ => return Ok(()),
    };
    let what = format!("{} left before its view was published", label::label(&message));
    demand(Kind::Messages, &what, view <= sent.published)
}

/// Something said to replicas, and to whom if not to all; nothing for a client's answer.
fn in_words(outgoing: &Outgoing) -> Outcome<Option<String>> {
    let decode = |frame: &Bytes| codec::decode::<Message>(frame).map_err(harness);
    Ok(match outgoing {
        Outgoing::Broadcast(frame) => Some(label::label(&decode(frame)?)),
        Outgoing::Send { to, frame } => {
            Some(format!("{} to {}", label::label(&decode(frame)?), to.0))
        }
        Outgoing::Reply { .. } => None,
    })
}
