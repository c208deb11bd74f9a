//! The numbers that the rules are about.

use pbft_core::Params;
use pbft_core::types::{Digest, ReplicaId, View};

/// What a cluster's messages are judged by. How many votes are needed is the model's number; the code under test is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The cluster.
    pub cluster: Digest,
    /// How many replicas there are, n.
    pub replicas: u32,
    /// Any two sets of so many replicas share a correct one, q.
    pub quorum: usize,
    /// Checkpoints are taken at its multiples, K.
    pub interval: u64,
    /// So many numbers above h are in use, L.
    pub window: u64,
    /// The lanes of a client.
    pub lanes: u16,
    /// The bytes of an operation.
    pub operation_bytes_max: usize,
    /// The bytes of a batch's operations.
    pub batch_bytes_max: usize,
    /// The requests of a batch.
    pub batch_requests_max: usize,
}

impl Rules {
    /// The rules of a cluster of `replicas`, of which `quorum` are one, with these bounds.
    pub fn new(replicas: u32, quorum: usize, bounds: &Params) -> Self {
        Self {
            cluster: bounds.cluster,
            replicas,
            quorum,
            interval: bounds.checkpoint_interval,
            window: bounds.window,
            lanes: bounds.lanes_max,
            operation_bytes_max: bounds.operation_bytes_max,
            batch_bytes_max: 8 * bounds.operation_bytes_max,
            batch_requests_max: bounds.batch_requests_max,
        }
    }

    /// Who leads a view.
    pub fn primary(&self, view: View) -> ReplicaId {
        ReplicaId((view.0 % u64::from(self.replicas)) as u32)
    }
}
