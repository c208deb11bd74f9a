//! The cluster file's syntax.

use pbft_core::params::{ClientAuthentication, OnPanic};
use serde::{Deserialize, Serialize};

/// A whole file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterFile {
    /// What concerns all.
    pub cluster: ClusterTable,
    /// The replicas, numbered from 0.
    #[serde(default)]
    pub replica: Vec<ReplicaEntry>,
    /// The clients that are let in.
    #[serde(default)]
    pub client: Vec<ClientEntry>,
}

/// `[cluster]`. Everything but the name and the nonce has a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterTable {
    /// A name for people.
    pub name: String,
    /// 32 random hexadecimal digits: keep the signatures of two clusters apart, even with the same keys.
    pub nonce: String,
    /// The service that is replicated, `name/version`; the bundled ledger, if it is not said.
    pub service: Option<String>,
    /// What becomes of an operation on which the service panics.
    pub on_service_panic: Option<OnPanic>,
    /// A checkpoint every so many batches, K.
    pub checkpoint_interval: Option<u64>,
    /// The size of the log, L: a multiple of the interval, at least twice it.
    pub window: Option<u64>,
    /// The primary proposes while fewer than so many batches are not executed yet.
    pub pipeline: Option<u64>,
    /// The most requests in a batch.
    pub batch_requests_max: Option<usize>,
    /// How long requests may wait for others to share a batch with.
    pub batch_delay_us: Option<u64>,
    /// The most bytes of an operation.
    pub operation_bytes_max: Option<usize>,
    /// The most requests that a client has outstanding.
    pub lanes_max: Option<u16>,
    /// The most bytes of a result.
    pub result_bytes_max: Option<usize>,
    /// How requests and replies are authenticated.
    pub client_authentication: Option<ClientAuthentication>,
    /// How long a request may wait before the primary is suspected.
    pub view_timeout_ms: Option<u64>,
    /// The bound of that time's doubling.
    pub view_timeout_max_ms: Option<u64>,
    /// How often a replica says what it has.
    pub status_interval_ms: Option<u64>,
    /// Which part of the patience requests may typically wait under one primary.
    pub slow_primary_percent: Option<u32>,
    /// The most bytes that a replica gives a peer between two statuses because it asked.
    pub help_bytes_max: Option<usize>,
}

/// `[[replica]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaEntry {
    /// Its number.
    pub id: u32,
    /// Where it listens, `host:port`.
    pub address: String,
    /// Its public key, 64 hexadecimal digits.
    pub public_key: String,
}

/// `[[client]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientEntry {
    /// Its number.
    pub id: u32,
    /// A name for people.
    pub name: String,
    /// Its public key, 64 hexadecimal digits.
    pub public_key: String,
}
