//! The client library (§4.1): submits operations, and believes a result when f+1 replicas agree on it.
//!
//! A [`Client`] keeps a connection to every replica. It has many lanes, each with one operation outstanding, so
//! that many callers can [`Client::submit`] at the same time. An operation that is not answered in time is sent
//! to all replicas, again and again, with doubling pauses, and at once if the
//! connection to the primary is gone; it is executed at most once however often it is sent. What one lane learns
//! about the view, all lanes know. [`Client::query`] reads without ordering, and [`Client::query_all`] asks each replica
//! for itself.

mod lane;
mod link;
mod timestamps;

pub use timestamps::Timestamps;

use crate::config::Cluster;
use crate::frame::{QueryAnswer, RefusalReason, StatusReport};
use crate::keyring::{KeyRing, KeySigner};
use crate::keys::SecretKey;
use crate::supervise::guarded;
use crate::transport::{FrameQueue, TlsIdentity, client_config};
use lane::{Ended, Lanes, Routes};
use link::Link;
use pbft_core::client::{Fate, Patience};
use pbft_core::crypto::sign_for_everybody;
use pbft_core::message::{Request, Signed};
use pbft_core::types::{ClientId, Principal, ReplicaId, SeqNum, Session, Timestamp, View};
use pbft_core::{Membership, Params};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How a client behaves.
#[derive(Clone, Copy, Debug)]
pub struct ClientOptions {
    /// How long an operation may take before [`ClientError::Timeout`].
    pub deadline: Duration,
    /// When to send to all replicas, and how to go on.
    pub patience: Patience,
    /// The most operations at a time; no more than the cluster's `lanes_max`.
    pub lanes: u16,
}

impl Default for ClientOptions {
    fn default() -> Self {
        let patience = Patience { first: Duration::from_millis(500), max: Duration::from_secs(4) };
        Self { deadline: Duration::from_secs(30), patience, lanes: 128 }
    }
}

/// Why an operation has no result.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The key is no client's.
    #[error(
        "the public key {0} is no client's in the cluster file; add a [[client]] or use its key"
    )]
    NotAClient(String),
    /// No f+1 replicas agreed in time. The operation may still be executed later.
    #[error(
        "no {needed} replicas agreed within {after:?}; the operation may still be executed. \
         See `pbft status` for who is reachable"
    )]
    Timeout {
        /// How many had to agree.
        needed: usize,
        /// How long it waited.
        after: Duration,
    },
    /// f+1 replicas will not work on the operation.
    #[error("refused: {0}")]
    Refused(RefusalReason),
    /// f+1 replicas had too much to do, again and again until the deadline.
    #[error(
        "the cluster is overloaded; the operation may still be executed. Try again later, or with fewer operations \
         at a time"
    )]
    Overloaded,
    /// f+1 replicas are past the operation's timestamp: somebody else uses the key. Whether the operation was executed
    /// before, nobody remembers.
    #[error(
        "this client is past the operation's timestamp, at {last}: another process uses its key (a copy of its \
         directory?), or its clock file was lost. Whether the operation was executed is not known: look before you ask \
         for it again, and give each process a client of its own"
    )]
    Overtaken {
        /// The last timestamp that was used. The next operation's is a later one.
        last: Timestamp,
    },
    /// No timestamps are left.
    #[error(
        "no timestamp is left above {last}: the highest possible is {}. If the client's clock file holds a wrong number, \
         write the right one: above every timestamp used, such as microseconds since 1970; otherwise use another client",
        Timestamp::MAX
    )]
    NoTimestampLeft {
        /// The last timestamp that may have been used.
        last: Timestamp,
    },
    /// The operating system gives no random numbers.
    #[error("no random numbers: {0}")]
    Randomness(#[from] getrandom::Error),
    /// The operation is larger than the cluster allows.
    #[error("an operation of {len} bytes; the cluster allows at most {max}")]
    TooLarge {
        /// Its length.
        len: usize,
        /// The bound.
        max: usize,
    },
    /// Another process uses the same key.
    #[error(
        "{path}: another process is using this client's key; wait for it, or use another client"
    )]
    KeyInUse {
        /// The file of the key's timestamps.
        path: PathBuf,
    },
    /// The file of the key's timestamps.
    #[error(
        "{path}: {source}; timestamps must rise, so they are kept in this file: make it writable"
    )]
    Timestamps {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file of the key's timestamps holds something else.
    #[error(
        "{path}: is not a number; write a number above every timestamp used, such as microseconds since 1970"
    )]
    BadTimestamps {
        /// The file.
        path: PathBuf,
    },
    /// The settings of TLS do not fit together.
    #[error("cannot use the key for TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// What all parts of a client share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) params: Params,
    pub(crate) ring: KeyRing,
    pub(crate) id: ClientId,
    pub(crate) session: Session,
    pub(crate) signer: KeySigner,
    pub(crate) options: ClientOptions,
    pub(crate) queues: Vec<Arc<FrameQueue>>,
    pub(crate) routes: Routes,
    /// Until when requests are signed that could carry authenticators.
    pub(crate) signs_until: Mutex<Option<Instant>>,
    /// The latest status of each replica, and when it came.
    pub(crate) reports: Mutex<BTreeMap<ReplicaId, (Instant, StatusReport)>>,
    /// The latest answer of each replica to a query, with the query's number.
    pub(crate) answers: Mutex<BTreeMap<ReplicaId, (u64, QueryAnswer)>>,
    /// Told when a report or an answer arrives.
    pub(crate) news: Notify,
    /// The highest view that f+1 replicas agreed on in the replies to one request.
    pub(crate) view: AtomicU64,
    /// Changes when a connection ends.
    pub(crate) ended: watch::Sender<()>,
    /// What went wrong last with each replica's connection.
    pub(crate) troubles: Mutex<BTreeMap<ReplicaId, String>>,
}

/// How long a client signs its requests once its primary has asked for it. Then it tries again: a replica that wants more
/// says so.
const SIGNS_FOR: Duration = Duration::from_secs(60);

impl Shared {
    /// Whether requests are signed from the start, because the primary does not take this client's authenticators.
    pub(crate) fn signs(&self) -> bool {
        let until = *self.signs_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// The primary wants signatures.
    pub(crate) fn sign_from_now_on(&self) {
        let until = Instant::now() + SIGNS_FOR;
        *self.signs_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    /// A request that convinces everybody.
    pub(crate) fn signed(&self, body: Request) -> Signed<Request> {
        sign_for_everybody(&self.signer, self.params.cluster, body)
    }

    /// Whether there is no connection to `replica`, and the last attempt failed.
    pub(crate) fn is_cut_off(&self, replica: ReplicaId) -> bool {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&replica)
    }

    pub(crate) fn trouble(&self, replica: ReplicaId, trouble: Option<String>) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble {
            Some(trouble) => troubles.insert(replica, trouble),
            None => troubles.remove(&replica),
        };
    }
}

/// A connected client. Its connections end when it is dropped.
#[derive(Debug)]
pub struct Client {
    shared: Arc<Shared>,
    lanes: Lanes,
    timestamps: Mutex<Timestamps>,
    queries: AtomicU64,
    addresses: Vec<String>,
    _links: JoinSet<()>,
}

/// How one replica answered when asked how it is.
#[derive(Clone, Debug)]
pub struct ReplicaStatus {
    /// The replica.
    pub replica: ReplicaId,
    /// Its address.
    pub address: String,
    /// Its report, or why there is none.
    pub report: Result<StatusReport, String>,
}

/// How one replica answered a query.
#[derive(Clone, Debug)]
pub struct ReplicaAnswer {
    /// The replica.
    pub replica: ReplicaId,
    /// The last batch executed in the state that was asked, and what the service says; or why there is no answer.
    pub answer: Result<(SeqNum, Vec<u8>), String>,
}

impl Client {
    /// A client of `cluster` with this key. It returns at once; connections are made and kept in the background.
    pub fn connect(
        cluster: &Cluster,
        key: SecretKey,
        timestamps: Timestamps,
        options: ClientOptions,
    ) -> Result<Self, ClientError> {
        let Some(id) = cluster.client_with(key.public()) else {
            return Err(ClientError::NotAClient(key.public().to_hex()));
        };
        let identity = TlsIdentity::new(&key)?;
        let session = Session(getrandom::u64()?);
        let params = cluster.params(ReplicaId(0));
        let options = ClientOptions { lanes: options.lanes.clamp(1, params.lanes_max), ..options };
        let (signer, ring) = cluster.hand_and_ring(Principal::Client(id), key);
        let shared = Arc::new(Shared {
            ring,
            id,
            session,
            signer,
            options,
            queues: cluster.replicas().iter().map(|_| Arc::new(FrameQueue::for_client())).collect(),
            routes: Routes::new(options.lanes),
            signs_until: Mutex::default(),
            reports: Mutex::default(),
            answers: Mutex::default(),
            news: Notify::new(),
            view: AtomicU64::new(0),
            ended: watch::Sender::new(()),
            troubles: Mutex::default(),
            params,
        });
        let mut links = JoinSet::new();
        for (replica, (info, queue)) in
            (0..).map(ReplicaId).zip(cluster.replicas().iter().zip(&shared.queues))
        {
            let link = Link {
                replica,
                address: info.address.clone(),
                tls: Arc::new(client_config(&identity, info.key)?),
                queue: Arc::clone(queue),
                shared: Arc::clone(&shared),
            };
            let told = Arc::clone(&shared);
            links.spawn(async move {
                // Who waits for this replica is to see why it does not answer.
                if let Err(crash) = guarded("a connection", link.run()).await {
                    told.trouble(replica, Some(crash.to_string()));
                }
            });
        }
        let lanes = Lanes::new(&shared);
        let addresses = cluster.replicas().iter().map(|info| info.address.clone()).collect();
        let timestamps = Mutex::new(timestamps);
        let queries = AtomicU64::new(0);
        Ok(Self { shared, lanes, timestamps, queries, addresses, _links: links })
    }

    /// The cluster's size and quorums.
    pub fn membership(&self) -> Membership {
        self.shared.params.membership
    }

    /// Has an operation executed, and returns its result. May be called by many tasks at a time.
    pub async fn submit(&self, operation: Vec<u8>) -> Result<Vec<u8>, ClientError> {
        let (len, max) = (operation.len(), self.shared.params.operation_bytes_max);
        if len > max {
            return Err(ClientError::TooLarge { len, max });
        }
        let mut lane = self.lanes.take().await;
        let deadline = Instant::now() + self.shared.options.deadline;
        let mut operation = operation;
        loop {
            let timestamp = self.timestamps().take()?;
            match lane.submit(operation, timestamp, deadline).await? {
                Ended::Result(result) => return Ok(result),
                Ended::Spent { operation: again, fate, last } => {
                    self.timestamps().raise(last);
                    match fate {
                        Fate::NeverExecuted => operation = again,
                        Fate::Unknown => return Err(ClientError::Overtaken { last }),
                    }
                }
            }
        }
    }

    fn timestamps(&self) -> MutexGuard<'_, Timestamps> {
        self.timestamps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks every replica how it is, and waits up to `patience` for the answers.
    pub async fn status(&self, patience: Duration) -> Vec<ReplicaStatus> {
        let asked = Instant::now();
        let n = self.shared.params.membership.n();
        let frame = link::status_request();
        for queue in &self.shared.queues {
            queue.push(frame.clone());
        }
        self.wait(asked + patience, || self.fresh_reports(asked).len() >= n).await;
        let fresh = self.fresh_reports(asked);
        let troubles = self.shared.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let addresses = self.addresses.iter().cloned();
        (0..)
            .map(ReplicaId)
            .zip(addresses)
            .map(|(replica, address)| {
                let trouble = || troubles.get(&replica).cloned().unwrap_or("no answer".into());
                let report = fresh.get(&replica).copied().ok_or_else(trouble);
                ReplicaStatus { replica, address, report }
            })
            .collect()
    }

    /// Waits until what arrived satisfies a condition, or time is up.
    async fn wait(&self, until: Instant, enough: impl Fn() -> bool) {
        loop {
            let mut news = std::pin::pin!(self.shared.news.notified());
            // From here on no news is missed.
            news.as_mut().enable();
            if enough() || tokio::time::timeout_at(until, news).await.is_err() {
                return;
            }
        }
    }

    /// The view that the cluster was in when it answered last, as f+1 replicas told it.
    pub fn view(&self) -> View {
        View(self.shared.view.load(Ordering::Relaxed))
    }

    /// Asks every replica's service about its own state, and waits up to `patience` for the answers. Each answer is
    /// one replica's word.
    pub async fn query_all(&self, query: &[u8], patience: Duration) -> Vec<ReplicaAnswer> {
        let until = Instant::now() + patience;
        let number = self.queries.fetch_add(1, Ordering::Relaxed) + 1;
        let frame = link::query(number, query);
        self.shared.queues.iter().for_each(|queue| queue.push(frame.clone()));
        let n = self.shared.params.membership.n();
        self.wait(until, || self.answers_to(number).len() >= n).await;
        let answers = self.answers_to(number);
        let troubles = self.shared.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = |replica| match answers.get(&replica) {
            Some(Ok(answer)) => Ok(answer.clone()),
            Some(Err(reason)) => Err(reason.to_string()),
            None => Err(troubles.get(&replica).cloned().unwrap_or("no answer".into())),
        };
        let replicas = (0..).map(ReplicaId).take(n);
        replicas.map(|replica| ReplicaAnswer { replica, answer: answer(replica) }).collect()
    }

    fn answers_to(&self, number: u64) -> BTreeMap<ReplicaId, QueryAnswer> {
        let answers = self.shared.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let own = answers.iter().filter(|(_, (to, _))| *to == number);
        own.map(|(replica, (_, answer))| (*replica, answer.clone())).collect()
    }

    /// Asks the service, and believes what f+1 replicas say of the same state. Nothing is ordered: the answer was true
    /// once, but may be older than a result that this or another client has already (sequential consistency, not
    /// linearizability). For an answer that is up to date, [`Self::submit`] a reading operation.
    pub async fn query(&self, query: &[u8]) -> Result<Vec<u8>, ClientError> {
        let (len, max) = (query.len(), self.shared.params.operation_bytes_max);
        if len > max {
            return Err(ClientError::TooLarge { len, max });
        }
        let ClientOptions { deadline, patience, .. } = self.shared.options;
        let needed = self.shared.params.membership.weak();
        let until = Instant::now() + deadline;
        let mut wait = Duration::from_millis(5);
        while Instant::now() < until {
            // Replicas that execute at this moment answer of different states: they are asked again.
            let answers = self.query_all(query, patience.first).await;
            let said: Vec<_> = answers.into_iter().filter_map(|said| said.answer.ok()).collect();
            let agreed =
                said.iter().find(|one| said.iter().filter(|other| other == one).count() >= needed);
            if let Some((_, answer)) = agreed {
                return Ok(answer.clone());
            }
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2).min(patience.max);
        }
        Err(ClientError::Timeout { needed, after: deadline })
    }

    fn fresh_reports(&self, since: Instant) -> BTreeMap<ReplicaId, StatusReport> {
        let reports = self.shared.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = reports.iter().filter(|(_, (when, _))| *when >= since);
        fresh.map(|(replica, (_, report))| (*replica, *report)).collect()
    }
}
