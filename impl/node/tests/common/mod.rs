//! A cluster of production drivers in one process, whose network is in the test's hands.

use pbft_core::crypto::sign;
use pbft_core::message::{Message, Request, Signed};
use pbft_core::types::{ClientId, Digest, Lane, ReplicaId, Session, Timestamp};
use pbft_core::{Membership, Params};
use pbft_ledger::Ledger;
use pbft_node::codec;
use pbft_node::driver::{Driver, DriverError, Observer, Parts};
use pbft_node::frame::{ClientFrame, ReplicaFrame};
use pbft_node::inbox::{Inbox, InboxError, Unread};
use pbft_node::keyring::{KeyRing, KeySigner};
use pbft_node::keys::SecretKey;
use pbft_node::network::{ChannelNetwork, Outgoing};
use pbft_node::store::{Identity, MemoryDisk, Store};
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

/// The one client.
pub(crate) const CLIENT: ClientId = ClientId(0);

/// The cluster id.
pub(crate) const CLUSTER: Digest = Digest([5; 32]);

pub(crate) fn replica_key(id: u32) -> SecretKey {
    SecretKey::from_seed(&[id as u8 + 1; 32])
}

pub(crate) fn client_key() -> SecretKey {
    SecretKey::from_seed(&[200; 32])
}

pub(crate) fn params(id: u32, n: u32) -> Params {
    let membership = Membership::new(n).expect("valid size");
    let mut params = Params::new(ReplicaId(id), membership, CLUSTER);
    (params.checkpoint_interval, params.window) = (2, 4);
    params
}

pub(crate) fn key_ring(n: u32) -> KeyRing {
    KeyRing::new((0..n).map(|id| replica_key(id).public()), [(CLIENT, client_key().public())])
}

/// A signed request of the client, as a frame.
pub(crate) fn request(lane: u16, timestamp: u64, operation: &str) -> Vec<u8> {
    let body = Request {
        client: CLIENT,
        lane: Lane(lane),
        timestamp: Timestamp(timestamp),
        session: Session::default(),
        operation: operation.as_bytes().to_vec(),
    };
    let signed: Signed<Request> = sign(&KeySigner::new(client_key()), CLUSTER, body);
    codec::encode(&ClientFrame::Request(Arc::new(signed))).expect("encoded")
}

/// One running driver.
pub(crate) struct Node {
    pub(crate) id: u32,
    pub(crate) disk: MemoryDisk,
    pub(crate) inbox: Inbox,
    pub(crate) sent: UnboundedReceiver<Outgoing>,
    pub(crate) task: JoinHandle<Result<(), DriverError>>,
}

impl Node {
    pub(crate) fn start(
        id: u32,
        n: u32,
        disk: MemoryDisk,
        observer: Option<Box<dyn Observer>>,
    ) -> Self {
        let identity = Identity::new(CLUSTER, ReplicaId(id));
        let store = Store::in_memory(&disk, identity).expect("opened");
        let (network, sent) = ChannelNetwork::new();
        let (driver, inbox) = Driver::new(Parts {
            params: Arc::new(params(id, n)),
            signer: Arc::new(KeySigner::new(replica_key(id))),
            verifier: Arc::new(key_ring(n)),
            store,
            service: Box::new(Ledger),
            network: Box::new(network),
            observer,
            metrics: Arc::default(),
        })
        .expect("valid parameters");
        Self { id, disk, inbox, sent, task: tokio::spawn(driver.run()) }
    }

    /// Kills the driver, and gives back its disk.
    pub(crate) async fn kill(self) -> MemoryDisk {
        self.task.abort();
        let _ = self.task.await;
        self.disk
    }
}

pub(crate) struct Cluster {
    pub(crate) n: u32,
    pub(crate) nodes: Vec<Option<Node>>,
    /// What the client received: the replica, and the frame.
    pub(crate) replies: Vec<(u32, ReplicaFrame)>,
    /// A replica that receives no CHECKPOINT.
    pub(crate) without_checkpoints: Option<u32>,
}

impl Cluster {
    pub(crate) fn start(n: u32) -> Self {
        let node = |id| Some(Node::start(id, n, MemoryDisk::default(), None));
        Self {
            n,
            nodes: (0..n).map(node).collect(),
            replies: Vec::new(),
            without_checkpoints: None,
        }
    }

    pub(crate) fn node(&mut self, id: u32) -> &mut Node {
        self.nodes[id as usize].as_mut().expect("running")
    }

    async fn deliver(&mut self, from: u32, to: u32, frame: &[u8]) {
        let is_checkpoint = || matches!(codec::decode(frame), Ok(Message::Checkpoint(_)));
        if self.without_checkpoints == Some(to) && is_checkpoint() {
            return;
        }
        if let Some(node) = self.nodes[to as usize].as_ref().filter(|_| to != from) {
            let delivered = node.inbox.peer_frame(ReplicaId(from), frame).await;
            // A correct replica's frame may come too late.
            let is_read =
                matches!(delivered, Ok(()) | Err(InboxError::Unread(Unread::NotVerified(_))));
            assert!(is_read, "correct replicas' frames: {delivered:?}");
        }
    }

    /// Delivers everything to everybody who runs, until nobody says anything more.
    pub(crate) async fn run(&mut self) {
        loop {
            let mut outgoing = Vec::new();
            for node in self.nodes.iter_mut().flatten() {
                node.inbox.settled().await.expect("running");
                while let Ok(sent) = node.sent.try_recv() {
                    outgoing.push((node.id, sent));
                }
            }
            if outgoing.is_empty() {
                return;
            }
            for (from, sent) in outgoing {
                match sent {
                    Outgoing::Send { to, frame } => self.deliver(from, to.0, &frame).await,
                    Outgoing::Broadcast(frame) => {
                        for to in 0..self.n {
                            self.deliver(from, to, &frame).await;
                        }
                    }
                    Outgoing::Reply { frame, .. } => {
                        self.replies.push((from, codec::decode(&frame).expect("a frame")));
                    }
                }
            }
        }
    }

    /// The results that replicas sent for `timestamp`, as text.
    pub(crate) fn results(&self, timestamp: u64) -> Vec<String> {
        let result = |(_, frame): &(u32, ReplicaFrame)| match frame {
            ReplicaFrame::Reply(reply) if reply.body.timestamp.0 == timestamp => {
                Some(String::from_utf8(reply.body.result.to_vec()).expect("text"))
            }
            _ => None,
        };
        self.replies.iter().filter_map(result).collect()
    }
}
