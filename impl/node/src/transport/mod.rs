//! The network: TCP, TLS 1.3 in both directions of trust, length-delimited frames.
//!
//! A replica dials every other replica and speaks on the connection that it dialed; on those that others dialed it
//! listens. So each direction between two replicas is one connection, and who dials whom is never negotiated. A
//! client dials every replica and gets its replies on the same connection. One listener takes both: the key that the other
//! end proves in the handshake says who it is, and an unknown key gets no further.
//!
//! Nothing here waits for a peer: each has a bounded queue that forgets its oldest frame, and status messages
//! repair what is forgotten.

mod clients;
mod complaints;
mod dialer;
mod handshake;
mod listener;
mod queue;
mod quota;
mod repeats;
mod tls;

pub(crate) use handshake::greet;
pub use handshake::{Connection, FrameCodec, HandshakeError, REFUSALS, connect, read_hello};
pub(crate) use listener::PEER_IDLE;
pub use listener::serve;
pub use queue::FrameQueue;
use queue::Held;
pub use tls::{TlsIdentity, client_config, server_config};

use crate::metrics::Metrics;
use crate::network::Network;
use bytes::Bytes;
use clients::ClientTable;
use pbft_core::Params;
use pbft_core::types::{ClientId, ReplicaId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The driver's network over TCP.
#[derive(Clone, Debug)]
pub struct TcpNetwork {
    peers: Arc<BTreeMap<ReplicaId, Arc<FrameQueue>>>,
    clients: Arc<ClientTable>,
    metrics: Arc<Metrics>,
    /// The queues whose readers are still to be told of frames.
    untold: Vec<Arc<FrameQueue>>,
}

impl TcpNetwork {
    /// A network to the other replicas, with nobody connected yet: see [`serve`].
    pub fn new(params: &Params, metrics: Arc<Metrics>) -> Self {
        let others = params.membership.others(params.replica);
        let peers = others.map(|id| (id, Arc::new(FrameQueue::for_peer()))).collect();
        Self { peers: Arc::new(peers), clients: Arc::default(), metrics, untold: Vec::new() }
    }

    fn count_dropped(&self, whose: &'static str, dropped: u64) {
        if dropped > 0 {
            self.metrics.frames_dropped.add_many(whose, dropped);
        }
    }

    /// What waits for a replica.
    pub fn queue(&self, to: ReplicaId) -> Option<&Arc<FrameQueue>> {
        self.peers.get(&to)
    }
}

impl Network for TcpNetwork {
    fn send(&mut self, to: ReplicaId, frame: Bytes) {
        let Some(queue) = self.peers.get(&to) else { return };
        let dropped = hold(&mut self.untold, queue, frame);
        self.count_dropped("peer", dropped);
    }

    fn broadcast(&mut self, frame: Bytes) {
        let untold = &mut self.untold;
        let dropped = self.peers.values().map(|queue| hold(untold, queue, frame.clone())).sum();
        self.count_dropped("peer", dropped);
    }

    fn reply(&mut self, client: ClientId, frame: Bytes) {
        let mut dropped = 0;
        let untold = &mut self.untold;
        self.clients.each(client, |queue| dropped += hold(untold, queue, frame.clone()));
        self.count_dropped("client", dropped);
    }

    fn flush(&mut self) {
        self.untold.drain(..).for_each(|queue| queue.wake());
    }
}

/// Adds a frame to a queue, and notes if somebody is to be told; returns how many frames were dropped.
fn hold(untold: &mut Vec<Arc<FrameQueue>>, queue: &Arc<FrameQueue>, frame: Bytes) -> u64 {
    let Held { dropped, is_first } = queue.hold(frame);
    if is_first {
        untold.push(Arc::clone(queue));
    }
    dropped
}
