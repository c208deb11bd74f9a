//! What a large state costs: memory, disk, pauses while it grows and afterwards, and a start with it.
//!
//! Four replicas, each in a process of its own, replicate pairs whose keys come in random order, so that every batch
//! changes the state all over. All but the last part of the state is put into the stores beforehand. Operations show a
//! pause of the primary, the questions for all replicas' status, which their drivers answer between two batches, one of
//! any replica.

use pbft_core::types::{ClientId, ReplicaId};
use pbft_node::client::{Client, ClientOptions, Timestamps};
use pbft_node::config::{CLUSTER_FILE, Cluster};
use pbft_node::keys::SecretKey;
use pbft_node::node::{Node, Setup};
use pbft_node::service::{Service, ServiceId};
use pbft_node::state::{State, StateView};
use pbft_node::store::{Identity, STORE_FILE, Store, StoreError};
use pbft_tests::cluster::{Turn, wait_for};
use pbft_tests::ports::free_ports;
use pbft_tests::process::{Process, program_in, run_pbft};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// The bytes of a value.
const VALUE_BYTES: usize = 2_000;

/// So much of the state comes by operations.
const GROWTH_BYTES: usize = 32 << 20;

/// So many pairs are put into a store at a time.
const AT_A_TIME: usize = 1_000;

/// Operations under way while the state grows, and afterwards.
const OUTSTANDING: usize = 64;

/// How long is measured once the state is there.
const STEADY: Duration = Duration::from_secs(30);

/// How often all replicas are asked how they are.
const STATUS_EVERY: Duration = Duration::from_millis(100);

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(120);

const VIEW_TIMEOUT: Duration = Duration::from_secs(2);

/// An operation is a key of eight bytes and its value.
struct Pairs;

impl Service for Pairs {
    fn id(&self) -> ServiceId {
        ServiceId::new("pairs", 1)
    }

    fn execute(&self, state: &mut State<'_>, _: ClientId, operation: &[u8]) -> Vec<u8> {
        let Some((key, value)) = operation.split_at_checked(8) else { return b"no key".to_vec() };
        match state.put(key, value) {
            Ok(()) => b"ok".to_vec(),
            Err(error) => error.to_string().into_bytes(),
        }
    }

    fn query(&self, _: &mut StateView, _: ClientId, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }
}

/// One replica of the measurement, until it is killed or its standard input ends.
pub(super) async fn serve(directory: &Path) -> Result<(), String> {
    let setup = Setup::load(directory).map_err(|e| e.to_string())?;
    let node = Node::start(setup, Box::new(Pairs), None).await.map_err(|e| e.to_string())?;
    let inbox = node.inbox();
    std::thread::spawn(move || {
        // Whoever holds the other end is gone, however it ended.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        inbox.stop();
    });
    node.run().await.map_err(|e| e.to_string())
}

fn start(directory: &Path, id: usize) -> Process {
    let own = std::env::current_exe().expect("a running program has a path");
    let data = format!("cluster/replica-{id}");
    let mut command = program_in(&own, directory, &["serve", &data]);
    Process::spawn(&mut command, &directory.join(format!("replica-{id}.log")))
}

fn client(cluster: &Cluster, directory: &Path, number: usize) -> Arc<Client> {
    let path = directory.join(format!("cluster/clients/client-{number}.key"));
    let key = SecretKey::load(&path).expect("what testnet wrote");
    let options = ClientOptions { deadline: PATIENCE, ..ClientOptions::default() };
    let client = Client::connect(cluster, key, Timestamps::in_memory(), options);
    Arc::new(client.expect("a client of the cluster"))
}

/// The same numbers in an order in which neighbours are far apart.
fn key(number: u64) -> [u8; 8] {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()
}

fn value(version: u64) -> Vec<u8> {
    version.to_be_bytes().repeat(VALUE_BYTES / 8)
}

/// Puts the first `keys` pairs into the store of replica `id`.
fn fill_store(cluster: &Cluster, directory: &Path, id: u32, keys: u64) -> Result<(), StoreError> {
    let identity = Identity::new(cluster.id(), ReplicaId(id));
    let mut store = Store::open(&directory.join(format!("cluster/replica-{id}")), identity)?;
    let mut sorted: Vec<[u8; 8]> = (0..keys).map(key).collect();
    sorted.sort_unstable();
    let mut transaction = store.begin();
    for keys in sorted.chunks(AT_A_TIME) {
        transaction.with_state(|state| {
            keys.iter().for_each(|key| state.put(key, &value(0)).expect("small"));
        })?;
    }
    transaction.commit()
}

/// The slowest so far.
#[derive(Default)]
struct Slowest(Mutex<Duration>);

impl Slowest {
    fn note(&self, began: Instant) {
        let mut slowest = self.0.lock().expect("nobody panics with it");
        *slowest = began.elapsed().max(*slowest);
    }

    fn take(&self) -> Duration {
        std::mem::take(&mut *self.0.lock().expect("nobody panics with it"))
    }
}

/// What is seen from outside.
#[derive(Default)]
struct Seen {
    done: AtomicU64,
    operation: Slowest,
    status: Slowest,
    stop: AtomicBool,
}

/// Asks all replicas again and again; one that is late makes the answer late.
async fn ask(observer: Arc<Client>, seen: Arc<Seen>) {
    while !seen.stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        observer.status(PATIENCE).await;
        seen.status.note(began);
        tokio::time::sleep(STATUS_EVERY).await;
    }
}

struct Cell {
    clients: Vec<Arc<Client>>,
    seen: Arc<Seen>,
}

impl Cell {
    /// Puts values under the keys `next` says, until it says none.
    async fn put(
        &self,
        outstanding: usize,
        next: impl Fn() -> Option<u64> + Clone + Send + 'static,
    ) {
        let mut workers = JoinSet::new();
        for worker in 0..outstanding {
            let (client, seen) = (Arc::clone(&self.clients[worker % 3]), Arc::clone(&self.seen));
            let next = next.clone();
            workers.spawn(async move {
                while let Some(number) = next() {
                    let version = seen.done.fetch_add(1, Ordering::Relaxed);
                    let mut operation = key(number).to_vec();
                    operation.extend(value(version));
                    let began = Instant::now();
                    if let Err(error) = client.submit(operation).await {
                        eprintln!("an operation is lost: {error}");
                    }
                    seen.operation.note(began);
                }
            });
        }
        while workers.join_next().await.is_some() {}
    }

    /// The slowest operation and status since the last time, after `operations` in this time.
    fn say(&self, what: &str, operations: u64, took: Duration) {
        let (operation, status) = (self.seen.operation.take(), self.seen.status.take());
        let ok = |slowest: Duration| if slowest <= VIEW_TIMEOUT / 4 { "" } else { " (above)" };
        println!(
            "{what:32} {:>6.0} operations/s, slowest operation {:>5} ms{}, status {:>5} ms{}",
            operations as f64 / took.as_secs_f64(),
            operation.as_millis(),
            ok(operation),
            status.as_millis(),
            ok(status),
        );
    }

    /// Adds the pairs from number `from` on.
    async fn grow(&self, from: u64, keys: u64) {
        let count = Arc::new(AtomicU64::new(from));
        for quarter in 1..=4 {
            let (count, until) = (Arc::clone(&count), from + quarter * (keys - from) / 4);
            let began = Instant::now();
            let before = count.load(Ordering::Relaxed);
            let next = move || {
                let number = count.fetch_add(1, Ordering::Relaxed);
                (number < until).then_some(number)
            };
            self.put(OUTSTANDING, next).await;
            let what = format!("growing, quarter {quarter}");
            self.say(&what, until - before.min(until), began.elapsed());
        }
    }

    async fn steady(&self, what: &str, outstanding: usize, keys: u64) {
        let (began, count) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&count);
        let next = move || {
            let number = counted.fetch_add(1, Ordering::Relaxed);
            (began.elapsed() < STEADY).then(|| number.wrapping_mul(0x2545_f491_4f6c_dd1d) % keys)
        };
        self.put(outstanding, next).await;
        self.say(what, count.load(Ordering::Relaxed), began.elapsed());
    }
}

/// Fills a cluster with `bytes` of state, and says what that costs.
pub(super) async fn state(bytes: usize) -> Result<(), String> {
    let _turn = Turn::take();
    let directory = tempfile::tempdir().map_err(|e| e.to_string())?;
    let directory = directory.path();
    let (base_port, timeout) = (free_ports(8).to_string(), VIEW_TIMEOUT.as_millis().to_string());
    let service = Pairs.id().to_string();
    let arguments = ["testnet", "--base-port", &base_port, "--service", &service];
    let output = run_pbft(directory, &[&arguments[..], &["--view-timeout-ms", &timeout]].concat());
    assert!(output.status.success(), "{output:?}");
    let cluster = Cluster::load(&directory.join("cluster").join(CLUSTER_FILE));
    let cluster = cluster.map_err(|e| e.to_string())?;
    let keys = (bytes / (VALUE_BYTES + 8)) as u64;
    let filled = (bytes.saturating_sub(GROWTH_BYTES) / (VALUE_BYTES + 8)) as u64;
    for id in 0..4 {
        fill_store(&cluster, directory, id, filled).map_err(|e| e.to_string())?;
    }
    let mut replicas: Vec<Process> = (0..4).map(|id| start(directory, id)).collect();
    let clients: Vec<_> = (0..3).map(|number| client(&cluster, directory, number)).collect();
    let observer = client(&cluster, directory, 3);
    wait_for(&observer, "all replicas answer", |all| all.len() == 4).await;

    println!("{} MiB of state; no pause is to be above {:?}:", bytes >> 20, VIEW_TIMEOUT / 4);
    let cell = Cell { clients, seen: Arc::default() };
    let asking = tokio::spawn(ask(Arc::clone(&observer), Arc::clone(&cell.seen)));
    cell.grow(filled, keys).await;
    cell.steady("then changes all over", OUTSTANDING, keys).await;
    cell.steady("then changes of one pair", 1, 1).await;
    cell.seen.stop.store(true, Ordering::Relaxed);
    asking.await.map_err(|e| e.to_string())?;
    let resident: Vec<u64> = replicas.iter().map(|one| one.resident_bytes() >> 20).collect();
    let peak: Vec<u64> = replicas.iter().map(|one| one.peak_resident_bytes() >> 20).collect();
    let store = |id| directory.join(format!("cluster/replica-{id}")).join(STORE_FILE);
    let stores: Vec<u64> =
        (0..4).map(|id| std::fs::metadata(store(id)).map_or(0, |file| file.len() >> 20)).collect();
    println!("memory of the replicas {resident:?} MiB, at most {peak:?}; stores {stores:?} MiB");

    // Not of the work of the others: the last one alone is started.
    replicas[3].kill();
    let began = Instant::now();
    replicas[3] = start(directory, 3);
    let last = |all: &[_]| all.len() == 4;
    wait_for(&observer, "the last one answers again", last).await;
    println!("from the start after a kill to the first status {:.1?}", began.elapsed());
    Ok(())
}
