//! A whole replica from its directory: cluster file, key, store, ledger, network.

use crate::config::{CLUSTER_FILE, Cluster, ConfigError};
use crate::driver::{Driver, DriverError, Observer, Parts};
use crate::inbox::Inbox;
use crate::keyring::VerifiedCache;
use crate::keys::{KeyError, SecretKey};
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::queries::Queries;
use crate::service::{Service, ServiceId};
use crate::store::{Identity, Store, StoreError};
use crate::trace::{Recorder, TraceError};
use crate::transport::{self, TcpNetwork};
use pbft_core::types::{Principal, ReplicaId};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// The name of a replica's key file in its directory.
pub const REPLICA_KEY_FILE: &str = "replica.key";

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
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; free the port, or change `address` or --listen")]
    Listen {
        /// The address.
        address: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The settings of TLS do not fit together.
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
        let (cluster, key, replica) = Self::owner(directory)?;
        let store = Store::open(directory, Identity::new(cluster.id(), replica))?;
        Ok(Self { cluster, key, replica, store, trace: None })
    }

    /// Whose directory it is: what [`Self::load`] reads besides the store.
    pub(crate) fn owner(directory: &Path) -> Result<(Cluster, SecretKey, ReplicaId), StartError> {
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
    network: JoinSet<()>,
    address: std::net::SocketAddr,
}

impl Node {
    /// Starts the replica of `directory` with the bank ledger; it listens on `listen`, or on its address in the
    /// cluster file.
    pub async fn start(directory: &Path, listen: Option<&str>) -> Result<Self, StartError> {
        Self::with_service(Setup::load(directory)?, Box::new(Ledger), listen).await
    }

    /// Starts a replica with another service, which must be the one that the cluster file names.
    pub async fn with_service(
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
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| StartError::Listen { address: address.to_owned(), source })?;
        let address = listener.local_addr().map_err(|source| {
            let address = address.to_owned();
            StartError::Listen { address, source }
        })?;
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
        let network = transport::serve(&cluster, &key, listener, inbox.clone(), queries, &network)?;
        Ok(Self { driver, inbox, network, address })
    }

    /// Where it listens.
    pub fn address(&self) -> std::net::SocketAddr {
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

    /// Runs until it is stopped, or must not go on.
    pub async fn run(self) -> Result<(), DriverError> {
        let Self { driver, network, .. } = self;
        let (ended, end) = oneshot::channel();
        // A thread of its own: writing to the disk blocks it, and a crowd of connections that verify signatures on
        // the other threads must not keep the protocol waiting.
        let thread = std::thread::Builder::new().name("driver".to_owned()).spawn(move || {
            let result = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .map_err(DriverError::Thread)
                .and_then(|runtime| runtime.block_on(driver.run()));
            // Nobody waits any more if the process is ending.
            let _ = ended.send(result);
        });
        let thread = thread.map_err(DriverError::Thread)?;
        let result = match end.await {
            Ok(result) => result,
            Err(_) => match thread.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => Ok(()),
            },
        };
        drop(network);
        result
    }
}
