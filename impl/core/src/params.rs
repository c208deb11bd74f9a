//! What a replica is told once, at its start.

use crate::membership::Membership;
use crate::replies::{BUCKET_ENTRIES, REPLY_ENTRY_BYTES};
use crate::types::{Digest, ReplicaId, SeqNum};
use core::time::Duration;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The largest log window, L: bounds the log, and the size of VIEW-CHANGE and NEW-VIEW.
pub const WINDOW_MAX: u64 = 4096;

/// The default of [`Params::slow_primary_percent`]: four times faster than what the timer alone enforces, and still well
/// above what a batch takes where the timeout is as long as it should be.
pub const SLOW_PRIMARY_PERCENT: u32 = 25;

/// The default of [`Params::help_bytes_max`]: 16 MiB a second at the default status interval. With it a replica that is
/// a whole window of 128 of the largest batches behind has them after 19 ticks, and a source of state gives a link of
/// 100 Mbit/s as much as it takes.
pub const HELP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How clients and replicas prove to each other who they are, in REQUEST and REPLY. All else is always signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuthentication {
    /// Every request and every reply is signed.
    #[default]
    Signatures,
    /// A request carries one message authentication code for each replica, a reply one for its client (§5.2). Much
    /// cheaper, but nobody can hand on what it proves; see D24 in docs/deviations.md for what that costs.
    Macs,
}

/// What becomes of an operation on which the service panics. The same everywhere, as results are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnPanic {
    /// It is refused: it changes nothing, and its result says so.
    #[default]
    Refuse,
    /// The replica stops before it, and again at each start, until it is started with a service that does not panic.
    Stop,
}

/// A replica's parameters. All but `replica` are the same everywhere in a cluster, and are covered by the
/// cluster id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Params {
    /// This replica.
    pub replica: ReplicaId,
    /// The replicas and their quorums.
    pub membership: Membership,
    /// The digest of the cluster's genesis configuration: keeps signatures of different clusters apart.
    pub cluster: Digest,
    /// A checkpoint is taken every so many sequence numbers, K (§4.3).
    #[doc(alias = "K")]
    pub checkpoint_interval: u64,
    /// The size of the log, L = H − h (§4.3); a multiple of K, at least 2K, so that ordering need not wait for
    /// a checkpoint to become stable.
    #[doc(alias = "L")]
    pub window: u64,
    /// The primary proposes while fewer than so many batches are ordered but not executed.
    pub pipeline: u64,
    /// The most requests in a batch.
    pub batch_requests_max: usize,
    /// How long the primary may let requests wait for others that are about to come, so that they share a batch.
    pub batch_delay: Duration,
    /// The most bytes of an operation.
    pub operation_bytes_max: usize,
    /// The most lanes of a client; bounds the reply table and the waiting requests.
    pub lanes_max: u16,
    /// The most reply bytes that the reply table keeps of one request.
    pub result_bytes_max: usize,
    /// How requests and replies are authenticated.
    pub client_authentication: ClientAuthentication,
    /// What becomes of an operation on which the service panics.
    pub on_service_panic: OnPanic,
    /// How long a request may wait before its primary is suspected, T (§4.4); doubles from view to view.
    pub view_timeout: Duration,
    /// The bound of the doubling.
    pub view_timeout_max: Duration,
    /// How often a replica says what it has.
    pub status_interval: Duration,
    /// A primary under which requests typically wait for more than this part of the patience is left:
    /// `pace.rs`. 0 is never to leave one for that.
    pub slow_primary_percent: u32,
    /// The most bytes that a replica gives one peer between two ticks because the peer asked: `budget.rs`. One message of
    /// each kind is given in any case.
    pub help_bytes_max: usize,
}

/// Parameters that contradict the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParamsError {
    /// The replica's id is not below n.
    #[error("replica {replica} is not one of the {n} replicas 0..={}", n - 1)]
    NotAMember {
        /// The id.
        replica: ReplicaId,
        /// The size of the cluster.
        n: usize,
    },
    /// K is zero.
    #[error("checkpoint_interval is 0; it must be at least 1")]
    NoInterval,
    /// L is not a multiple of K in 2K..=[`WINDOW_MAX`].
    #[error(
        "window {window} must be a multiple of checkpoint_interval {interval}, from {} to {WINDOW_MAX}",
        2 * interval
    )]
    Window {
        /// L.
        window: u64,
        /// K.
        interval: u64,
    },
    /// A part of something is more than all of it.
    #[error(
        "slow_primary_percent is {got}; it must be at most 100, or 0 to leave no primary for being slow"
    )]
    Percent {
        /// The parameter.
        got: u32,
    },
    /// A size or duration that must be positive is zero.
    #[error("{field} is 0; it must be at least 1")]
    Zero {
        /// The parameter's name.
        field: &'static str,
    },
}

impl Params {
    /// Parameters of `replica`, with defaults for everything that the cluster file may leave out.
    pub fn new(replica: ReplicaId, membership: Membership, cluster: Digest) -> Self {
        Self {
            replica,
            membership,
            cluster,
            checkpoint_interval: 64,
            window: 128,
            pipeline: 32,
            batch_requests_max: 400,
            batch_delay: Duration::ZERO,
            operation_bytes_max: 64 * 1024,
            lanes_max: 128,
            result_bytes_max: 32 * 1024,
            client_authentication: ClientAuthentication::Signatures,
            on_service_panic: OnPanic::default(),
            view_timeout: Duration::from_secs(2),
            view_timeout_max: Duration::from_secs(60),
            status_interval: Duration::from_millis(250),
            slow_primary_percent: SLOW_PRIMARY_PERCENT,
            help_bytes_max: HELP_BYTES_MAX,
        }
    }

    /// Checks what the types cannot.
    pub fn validate(&self) -> Result<(), ParamsError> {
        let (window, interval) = (self.window, self.checkpoint_interval);
        if !self.membership.contains(self.replica) {
            return Err(ParamsError::NotAMember { replica: self.replica, n: self.membership.n() });
        }
        if interval == 0 {
            return Err(ParamsError::NoInterval);
        }
        if window > WINDOW_MAX || window % interval != 0 || window / interval < 2 {
            return Err(ParamsError::Window { window, interval });
        }
        if self.slow_primary_percent > 100 {
            return Err(ParamsError::Percent { got: self.slow_primary_percent });
        }
        let positive = [
            ("pipeline", self.pipeline != 0),
            ("batch_requests_max", self.batch_requests_max != 0),
            ("operation_bytes_max", self.operation_bytes_max != 0),
            ("lanes_max", self.lanes_max != 0),
            ("result_bytes_max", self.result_bytes_max != 0),
            ("view_timeout", !self.view_timeout.is_zero()),
            ("view_timeout_max", self.view_timeout_max >= self.view_timeout),
            ("status_interval", !self.status_interval.is_zero()),
            ("help_bytes_max", self.help_bytes_max != 0),
        ];
        match positive.into_iter().find(|(_, ok)| !ok) {
            Some((field, _)) => Err(ParamsError::Zero { field }),
            None => Ok(()),
        }
    }

    /// Whether the state of checkpoint `seq` is served no more once `later` is stable: see
    /// [`crate::manifest::oldest_kept`].
    pub(crate) fn is_forgotten(&self, seq: SeqNum, later: SeqNum) -> bool {
        later.0.saturating_sub(seq.0) / 2 >= self.checkpoint_interval
    }

    /// §4.3: whether a checkpoint is taken after executing `seq`.
    pub(crate) fn is_checkpoint(&self, seq: SeqNum) -> bool {
        seq.0.is_multiple_of(self.checkpoint_interval)
    }

    /// The window as a length.
    pub fn window_len(&self) -> usize {
        self.window as usize
    }

    /// The most bytes of one chunk of the reply table.
    pub fn reply_chunk_bytes_max(&self) -> usize {
        self.result_bytes_max.saturating_add(REPLY_ENTRY_BYTES).saturating_mul(BUCKET_ENTRIES)
    }

    /// The most bytes of the reply table with so many clients: what a replica holds of replies.
    pub fn reply_table_bytes_max(&self, clients: usize) -> usize {
        let entry = self.result_bytes_max.saturating_add(REPLY_ENTRY_BYTES);
        clients.saturating_mul(usize::from(self.lanes_max)).saturating_mul(entry)
    }

    /// The most operation bytes in a batch: a batch is closed when the next operation would pass it.
    pub fn batch_bytes_max(&self) -> usize {
        self.operation_bytes_max.saturating_mul(8)
    }
}
