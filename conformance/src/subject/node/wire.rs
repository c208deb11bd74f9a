//! The network under a replayed node: the production node's own queues, watched at the moment of release.
//!
//! What leaves the driver goes into [`TcpNetwork`], as in production; only the sockets are missing. The watch sees
//! whether the disk was synced since the last step that wants something kept; afterwards the queues of all peers must
//! hold what was released, in order.

use crate::divergence::{Difference, Kind};
use crate::signpost::Fact;
use bytes::Bytes;
use pbft_core::Params;
use pbft_core::types::{ClientId, ReplicaId};
use pbft_node::network::{Network, Outgoing};
use pbft_node::store::MemoryDisk;
use pbft_node::transport::TcpNetwork;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;

/// What left, and whether it might.
#[derive(Debug, Default)]
struct Released {
    frames: Vec<Outgoing>,
    /// The disk's count of syncs at the last step that wants something kept, until a later sync was seen.
    wants_sync_after: Option<u64>,
    /// Frames that left between such a step and the sync.
    early: usize,
}

/// The driver's network.
#[derive(Clone, Debug)]
pub struct Wire {
    tcp: TcpNetwork,
    disk: MemoryDisk,
    own: ReplicaId,
    replicas: u32,
    released: Arc<Mutex<Released>>,
}

impl Wire {
    /// A network for a replica whose disk this is.
    pub fn new(params: &Params, disk: MemoryDisk) -> Self {
        let (own, replicas) = (params.replica, params.membership.n() as u32);
        Self {
            tcp: TcpNetwork::new(params, Arc::default()),
            disk,
            own,
            replicas,
            released: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Released> {
        self.released.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A step wants something to be kept before anything leaves.
    pub fn must_sync(&self) {
        self.lock().wants_sync_after = Some(self.disk.syncs());
    }

    fn note(&self, outgoing: Outgoing) {
        let mut released = self.lock();
        match released.wants_sync_after {
            Some(syncs) if self.disk.syncs() == syncs => released.early += 1,
            Some(_) => released.wants_sync_after = None,
            None => {}
        }
        released.frames.push(outgoing);
    }

    /// What left since the last time, and how much of it too early. Demands that the peers' queues hold just that.
    pub fn take(&self, runtime: &Runtime) -> Result<(Vec<Outgoing>, usize), Difference> {
        let (frames, early) = {
            let mut released = self.lock();
            (std::mem::take(&mut released.frames), std::mem::take(&mut released.early))
        };
        let others = (0..self.replicas).map(ReplicaId).filter(|id| *id != self.own);
        for peer in others {
            let to_peer = frames.iter().filter_map(|outgoing| match outgoing {
                Outgoing::Broadcast(frame) => Some(frame.clone()),
                Outgoing::Send { to, frame } => (*to == peer).then(|| frame.clone()),
                Outgoing::Reply { .. } => None,
            });
            let expected: VecDeque<Bytes> = to_peer.collect();
            let queued = self.queued(runtime, peer, expected.is_empty());
            if queued != expected {
                let what = format!("the queue of {peer} does not hold what was released to it");
                let diff = vec![
                    format!("- {} frames, in order", expected.len()),
                    format!("+ {} frames, in this order or another", queued.len()),
                ];
                return Err(Difference::new(Kind::Messages, what)
                    .with_diff(diff)
                    .with(Fact::Queued));
            }
        }
        Ok((frames, early))
    }

    fn queued(&self, runtime: &Runtime, peer: ReplicaId, empty: bool) -> VecDeque<Bytes> {
        let Some(queue) = self.tcp.queue(peer).filter(|_| !empty) else { return VecDeque::new() };
        // The clock is paused: a queue that stays empty costs no time.
        let taken = async { tokio::time::timeout(Duration::from_secs(1), queue.take()).await };
        runtime.block_on(taken).ok().flatten().unwrap_or_default()
    }
}

impl Network for Wire {
    fn send(&mut self, to: ReplicaId, frame: Bytes) {
        self.tcp.send(to, frame.clone());
        self.note(Outgoing::Send { to, frame });
    }

    fn broadcast(&mut self, frame: Bytes) {
        self.tcp.broadcast(frame.clone());
        self.note(Outgoing::Broadcast(frame));
    }

    fn reply(&mut self, client: ClientId, frame: Bytes) {
        self.tcp.reply(client, frame.clone());
        self.note(Outgoing::Reply { client, frame });
    }

    fn flush(&mut self) {
        self.tcp.flush();
    }
}
