//! Whole replicas in one process, over real connections on loopback.

use pbft_core::types::{ClientId, ReplicaId};
use pbft_ledger::{Ledger, Outcome};
use pbft_node::client::{Client, ClientOptions, ReplicaStatus, Timestamps};
use pbft_node::config::{ClientEntry, Cluster, ClusterFile, ClusterTable, ReplicaEntry};
use pbft_node::driver::DriverError;
use pbft_node::inbox::Inbox;
use pbft_node::keys::SecretKey;
use pbft_node::node::{Node, Setup, StartError};
use pbft_node::service::Service;
use pbft_node::store::{Identity, MemoryDisk, Store};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;

pub(crate) fn replica_key(id: u32) -> SecretKey {
    SecretKey::from_seed(&[id as u8 + 1; 32])
}

pub(crate) fn client_key(id: ClientId) -> SecretKey {
    SecretKey::from_seed(&[id.0 as u8 + 200; 32])
}

/// A cluster with free ports and two clients.
pub(crate) fn cluster(n: u32, nonce: char) -> Cluster {
    Cluster::parse(&cluster_text(n, nonce), Path::new("cluster.toml")).expect("good")
}

/// What a file says.
pub(crate) fn parsed(file: &ClusterFile) -> Cluster {
    let text = toml::to_string(file).expect("writable");
    Cluster::parse(&text, Path::new("cluster.toml")).expect("good")
}

/// Ports that nobody listens on, other ones each time. They are below those that operating systems give to outgoing
/// connections, so that no connection takes the port of a replica that is down.
fn free_ports() -> impl Iterator<Item = u16> {
    const FIRST: u16 = 27_000;
    const COUNT: u32 = 5000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let offset = std::process::id();
    let ports = (0..COUNT).map(move |_| {
        let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(offset) % COUNT;
        FIRST + number as u16
    });
    ports.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
}

/// Its file.
pub(crate) fn cluster_text(n: u32, nonce: char) -> String {
    toml::to_string(&cluster_file(n, nonce)).expect("writable")
}

/// The same, to be changed.
pub(crate) fn cluster_file(n: u32, nonce: char) -> ClusterFile {
    let replica = (0u32..).zip(free_ports().take(n as usize)).map(|(id, port)| ReplicaEntry {
        id,
        address: format!("127.0.0.1:{port}"),
        public_key: replica_key(id).public().to_hex(),
    });
    let client = (0..2).map(|id| ClientEntry {
        id,
        name: format!("client-{id}"),
        public_key: client_key(ClientId(id)).public().to_hex(),
    });
    let table = ClusterTable {
        name: "test".into(),
        nonce: nonce.to_string().repeat(32),
        checkpoint_interval: Some(CHECKPOINT_INTERVAL),
        window: Some(8),
        view_timeout_ms: Some(1500),
        ..ClusterTable::default()
    };
    ClusterFile { cluster: table, replica: replica.collect(), client: client.collect() }
}

/// Several clusters at a time would only wait for each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A turn for a cluster that is not a [`TcpCluster`].
pub(crate) struct OneAtATime;

impl OneAtATime {
    pub(crate) async fn lock() -> MutexGuard<'static, ()> {
        ONE_AT_A_TIME.lock().await
    }
}

/// Batches from one checkpoint to the next.
pub(crate) const CHECKPOINT_INTERVAL: u64 = 4;

/// How long a test waits before it fails: no measurement, only an end.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running replica.
pub(crate) struct Running {
    pub(crate) inbox: Inbox,
    pub(crate) task: JoinHandle<Result<(), DriverError>>,
}

pub(crate) struct TcpCluster {
    pub(crate) cluster: Cluster,
    disks: Vec<MemoryDisk>,
    pub(crate) running: Vec<Option<Running>>,
    _turn: MutexGuard<'static, ()>,
}

impl TcpCluster {
    pub(crate) async fn start(n: u32) -> Self {
        Self::start_with(n, |_| Box::new(Ledger)).await
    }

    /// A cluster whose replicas have these services.
    pub(crate) async fn start_with(n: u32, service: impl Fn(u32) -> Box<dyn Service>) -> Self {
        let mut file = cluster_file(n, '0');
        file.cluster.service = Some(service(0).id().to_string());
        Self::start_from(|| parsed(&file), service).await
    }

    /// A cluster of this configuration.
    pub(crate) async fn start_from(
        cluster: impl FnOnce() -> Cluster,
        service: impl Fn(u32) -> Box<dyn Service>,
    ) -> Self {
        let _turn = ONE_AT_A_TIME.lock().await;
        let cluster = cluster();
        let n = cluster.replicas().len() as u32;
        let disks = (0..n).map(|_| MemoryDisk::default()).collect();
        let running = (0..n).map(|_| None).collect();
        let mut cluster = Self { cluster, disks, running, _turn };
        for id in 0..n {
            cluster.start_replica_with(id, service(id)).await;
        }
        cluster
    }

    pub(crate) async fn start_replica(&mut self, id: u32) {
        self.start_replica_with(id, Box::new(Ledger)).await;
    }

    pub(crate) async fn start_replica_with(&mut self, id: u32, service: Box<dyn Service>) {
        let node = self.node(id, service).await.expect("started");
        let inbox = node.inbox();
        self.running[id as usize] = Some(Running { inbox, task: tokio::spawn(node.run()) });
    }

    /// A replica that begins from its disk, or the reason why it does not.
    pub(crate) async fn node(
        &self,
        id: u32,
        service: Box<dyn Service>,
    ) -> Result<Node, StartError> {
        let identity = Identity::new(self.cluster.id(), ReplicaId(id));
        let store = Store::in_memory(&self.disks[id as usize], identity).expect("opened");
        let setup = Setup {
            cluster: self.cluster.clone(),
            key: replica_key(id),
            replica: ReplicaId(id),
            store,
            trace: None,
        };
        Node::start(setup, service, None).await
    }

    pub(crate) async fn stop_replica(&mut self, id: u32) {
        self.stopped_replica(id).await.expect("no error");
    }

    /// Stops a replica, which may have ended by itself, and says how it ended.
    pub(crate) async fn stopped_replica(&mut self, id: u32) -> Result<(), DriverError> {
        self.running[id as usize].as_ref().expect("running").inbox.stop();
        self.end_of_replica(id).await
    }

    /// Waits until a replica ends by itself, and says how. Only for one that no longer needs the others to end: one
    /// that is behind and alone never does.
    pub(crate) async fn end_of_replica(&mut self, id: u32) -> Result<(), DriverError> {
        let running = self.running[id as usize].take().expect("running");
        let end = tokio::time::timeout(PATIENCE, running.task).await;
        end.unwrap_or_else(|_| panic!("replica {id} still runs")).expect("no panic")
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&self, id: u32) -> bool {
        self.running[id as usize].as_ref().expect("started").task.is_finished()
    }

    pub(crate) fn client(&self, id: u32) -> Client {
        let key = client_key(ClientId(id));
        // Generous: builds without optimisation verify slowly.
        let options = ClientOptions { deadline: PATIENCE, ..Default::default() };
        Client::connect(&self.cluster, key, Timestamps::in_memory(), options)
            .expect("on the allow-list")
    }
}

/// Submits a ledger operation.
pub(crate) async fn bank(client: &Client, operation: &str) -> Outcome {
    let result = client.submit(operation.as_bytes().to_vec()).await.expect("executed");
    Outcome::decode(&result).expect("a ledger's answer")
}

/// Waits until all replicas answer, with the same state.
pub(crate) async fn agreement(client: &Client) -> Vec<ReplicaStatus> {
    for _ in 0..200 {
        let replicas = client.status(Duration::from_secs(2)).await;
        let states: Vec<_> = replicas
            .iter()
            .filter_map(|replica| replica.report.as_ref().ok())
            .map(|report| (report.last_executed, report.state))
            .collect();
        if states.len() == replicas.len() && states.iter().all(|state| *state == states[0]) {
            return replicas;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no agreement: {:#?}", client.status(Duration::from_secs(2)).await)
}
