//! A whole replica from its directory: cluster file, key, store, ledger, network.

use crate::config::{CLUSTER_FILE, Cluster, ConfigError};
use crate::driver::{Driver, DriverError, Observer, Parts};
use crate::inbox::Inbox;
use crate::keyring::VerifiedCache;
use crate::keys::{KeyError, SecretKey};
use crate::metrics::Metrics;
use crate::queries::Queries;
use crate::service::{Service, ServiceId};
use crate::store::{CACHE_BYTES, Identity, Store, StoreError};
use crate::supervise::{Crash, Tasks};
use crate::trace::{Recorder, TraceError};
use crate::transport::{self, TcpNetwork};
use pbft_core::types::{Principal, ReplicaId};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tracing::Instrument as _;

/// The name of a replica's key file in its directory.
pub const REPLICA_KEY_FILE: &str = "replica.key";

/// How long the driver may take to stop in order after another task has panicked.
const CRASH_PATIENCE: Duration = Duration::from_secs(5);

/// Why a replica does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The cluster file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The key file.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key is not one of the cluster's.
    #[error(
        "{key}: its public key {public} is no replica's in {cluster}; put the right key and cluster file \
         together"
    )]
    NotAReplica {
        /// The key file.
        key: PathBuf,
        /// The public key.
        public: String,
        /// The cluster file.
        cluster: PathBuf,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address has a name that is not known, or not known yet.
    #[error(
        "the name in {address} does not resolve: {source}; it may do so in a moment, once the network is up: try \
         again, or change `address` or --listen"
    )]
    Resolve {
        /// The address.
        address: String,
        /// What the resolver said.
        source: std::io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; free the port, or change `address` or --listen")]
    Listen {
        /// The address.
        address: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The cluster replicates another service than this program has.
    #[error(
        "{cluster}: the cluster replicates {expected}, this program has {found}; start the program that belongs to this \
         cluster, or give the right directory"
    )]
    OtherService {
        /// The cluster file.
        cluster: PathBuf,
        /// What it says.
        expected: ServiceId,
        /// What this program has.
        found: ServiceId,
    },
    /// The settings of TLS do not fit together.
    #[error("cannot use the key for TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The trace file.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The driver.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

/// What a replica is started from.
#[derive(Debug)]
pub struct Setup {
    /// The cluster.
    pub cluster: Cluster,
    /// The replica's key.
    pub key: SecretKey,
    /// Which replica it is.
    pub replica: ReplicaId,
    /// Its store.
    pub store: Store,
    /// The file in which its steps are recorded, if they are.
    pub trace: Option<PathBuf>,
}

impl Setup {
    /// Loads everything from a replica's directory, and refuses what does not belong together.
    pub fn load(directory: &Path) -> Result<Self, StartError> {
        Self::load_with(directory, CACHE_BYTES)
    }

    /// The same, with so many bytes of the store in memory.
    pub fn load_with(directory: &Path, cache_bytes: usize) -> Result<Self, StartError> {
        let (cluster, key, replica) = Self::owner(directory)?;
        let identity = Identity::new(cluster.id(), replica);
        let store = Store::open_with(directory, identity, cache_bytes)?;
        Ok(Self { cluster, key, replica, store, trace: None })
    }

    /// Whose directory it is: what [`Self::load`] reads besides the store.
    pub fn owner(directory: &Path) -> Result<(Cluster, SecretKey, ReplicaId), StartError> {
        let cluster = Cluster::load(&directory.join(CLUSTER_FILE))?;
        let key_path = directory.join(REPLICA_KEY_FILE);
        let key = SecretKey::load(&key_path)?;
        let Some(replica) = cluster.replica_with(key.public()) else {
            let (public, cluster) = (key.public().to_hex(), cluster.path().to_owned());
            return Err(StartError::NotAReplica { key: key_path, public, cluster });
        };
        Ok((cluster, key, replica))
    }
}

/// A running replica. Its connections end when it is dropped.
#[derive(Debug)]
pub struct Node {
    driver: Driver,
    inbox: Inbox,
    tasks: Tasks,
    address: SocketAddr,
}

impl Node {
    /// Starts a replica of this service, which must be the one that the cluster file names. It listens on `listen`, or on
    /// its address in the cluster file.
    pub async fn start(
        setup: Setup,
        service: Box<dyn Service>,
        listen: Option<&str>,
    ) -> Result<Self, StartError> {
        let Setup { cluster, key, replica, store, trace } = setup;
        if service.id() != *cluster.service() {
            let (expected, found) = (cluster.service().clone(), service.id());
            let cluster = cluster.path().to_owned();
            return Err(StartError::OtherService { cluster, expected, found });
        }
        let recorder = trace.as_deref().map(Recorder::open).transpose()?;
        let own = cluster.replicas().get(replica.0 as usize).map(|info| info.address.as_str());
        let address = listen.or(own).unwrap_or_default();
        let (listener, address) = listen_on(address).await?;
        let params = cluster.params(replica);
        let metrics = Arc::new(Metrics::default());
        let network = TcpNetwork::new(&params, Arc::clone(&metrics));
        let service: Arc<dyn Service> = service.into();
        let queries = Queries::new(Arc::clone(&service), store.reader(), params.result_bytes_max);
        let (signer, ring) = cluster.hand_and_ring(Principal::Replica(replica), key.clone());
        let (driver, inbox) = Driver::new(Parts {
            params: Arc::new(params),
            signer: Arc::new(signer),
            verifier: Arc::new(VerifiedCache::new(ring).counted_in(Arc::clone(&metrics))),
            store,
            service: Box::new(service),
            network: Box::new(network.clone()),
            observer: recorder.map(|recorder| Box::new(recorder) as Box<dyn Observer>),
            metrics,
        })?;
        let tasks = transport::serve(&cluster, &key, listener, inbox.clone(), queries, &network)?;
        Ok(Self { driver, inbox, tasks, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Which replica it is.
    pub fn replica(&self) -> ReplicaId {
        self.driver.replica().params().replica
    }

    /// What it counts.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(self.inbox.metrics())
    }

    /// Reaches the driver, for instance to stop it.
    pub fn inbox(&self) -> Inbox {
        self.inbox.clone()
    }

    /// Runs `work` beside the replica. It ends with the replica, and the replica ends, with an error that says so, if
    /// the work panics; `name` is for people.
    pub fn attend(&mut self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(name, work);
    }

    /// Runs until it is stopped, or must not go on. A panic in any of its tasks is an error, not the caller's panic.
    pub async fn run(self) -> Result<(), DriverError> {
        let Self { driver, inbox, mut tasks, .. } = self;
        let span = tracing::info_span!("replica", id = driver.replica().params().replica.0);
        let (ended, end) = oneshot::channel();
        // A thread of its own: writing to the disk blocks it, and a crowd of connections that verify signatures on
        // the other threads must not keep the protocol waiting.
        let thread = std::thread::Builder::new().name("driver".to_owned()).spawn(move || {
            let result = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .map_err(DriverError::Thread)
                .and_then(|runtime| runtime.block_on(driver.run().instrument(span)));
            // Nobody waits any more if the process is ending.
            let _ = ended.send(result);
        });
        let thread = thread.map_err(DriverError::Thread)?;
        tokio::pin!(end);
        let result = tokio::select! {
            result = &mut end => result,
            crash = tasks.crashed() => {
                inbox.stop();
                // It may be stuck, and the crash is to be told.
                let _ = tokio::time::timeout(CRASH_PATIENCE, end).await;
                return Err(crash.into());
            }
        };
        // Whoever starts it again wants its port.
        tasks.end().await;
        match result {
            Ok(result) => result,
            Err(_) => match thread.join() {
                Err(panic) => Err(Crash::new("the driver", &*panic).into()),
                Ok(()) => Ok(()),
            },
        }
    }
}

/// Listens on `address`, and says where that is.
async fn listen_on(address: &str) -> Result<(TcpListener, SocketAddr), StartError> {
    let named = || address.to_owned();
    let resolved = match tokio::net::lookup_host(address).await {
        Ok(resolved) => resolved.collect::<Vec<_>>(),
        Err(source) if source.kind() == std::io::ErrorKind::InvalidInput => {
            return Err(StartError::Listen { address: named(), source });
        }
        Err(source) => return Err(StartError::Resolve { address: named(), source }),
    };
    let refused = |source| StartError::Listen { address: named(), source };
    let listener = TcpListener::bind(&resolved[..]).await.map_err(refused)?;
    let own = listener.local_addr().map_err(refused)?;
    Ok((listener, own))
}
