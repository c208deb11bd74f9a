//! Measures what operators ask for, on real processes: how long an outage of the primary lasts, how long a large state
//! takes to transfer, what a replica costs, what a large state costs, what attacks cost, what a hostile client costs an
//! honest one, and what narrow links cost. `--help` says what can be measured.
//!
//! ```text
//! cargo run --release -p pbft-tests --example measure -- WHAT
//! ```

mod attack;
mod fairness;
mod hostile;
mod links;
mod state;

use pbft_core::types::ReplicaId;
use pbft_ledger::{Account, Entry, Record};
use pbft_node::client::Client;
use pbft_node::store::{Identity, Store};
use pbft_tests::cluster::{ProcessCluster, Shape, in_agreement, primary, wait_for};
use pbft_tests::process::processor_time;
use pbft_tests::workload::bank;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often a measurement is repeated.
const REPETITIONS: usize = 5;

/// The state to be transferred.
const STATE_BYTES: usize = 100 * MIB;

const MIB: usize = 1 << 20;

const HELP: &str = "\
measure WHAT, on real processes of the `pbft` command (PBFT_BINARY names another build of it):
  outage               from the kill of the primary to the next result
  transfer             a replica without state joins three that have 100 MiB of it
  idle                 processor time of a replica when nobody asks for anything
  memory [ROUNDS]      memory with 128 operations outstanding, every five seconds
  state [MIB]          memory, stores, pauses and a start with a large state [default: 256 MiB]
  attack [WHICH]       operations beside attackers from outside
  fairness [WORD]      operations of a client beside hostile ones whose names have the word
  fairness-macs [WORD] the same with authenticators in the place of signatures
  narrow-links         a state over links that let 600 kB a second through
  overtaken            a state with round trips of 30 ms under load";

/// The size that was asked for.
fn mebibytes(argument: Option<String>) -> Result<usize, String> {
    let Some(text) = argument else { return Ok(256) };
    text.parse().map_err(|_| format!("{text} is no number of MiB"))
}

#[tokio::main]
async fn main() -> Result<(), String> {
    match std::env::args().nth(1).as_deref() {
        Some("outage") => outage().await,
        Some("transfer") => transfer().await,
        Some("idle") => idle().await,
        Some("memory") => memory().await,
        Some("attack") => attack::attacks(std::env::args().nth(2).as_deref()).await,
        Some("fairness") => fairness::fairness(std::env::args().nth(2).as_deref(), false).await,
        Some("fairness-macs") => fairness::fairness(std::env::args().nth(2).as_deref(), true).await,
        Some("narrow-links") => links::narrow().await,
        Some("overtaken") => links::overtaken().await,
        Some("state") => state::state(mebibytes(std::env::args().nth(2))? << 20).await,
        Some("serve") => {
            let directory = std::env::args_os().nth(2).ok_or("say which directory to serve")?;
            state::serve(Path::new(&directory)).await
        }
        Some("-h" | "--help") => {
            pbft_output::outln!("{HELP}");
            Ok(())
        }
        _ => Err(format!("say what to measure\n\n{HELP}")),
    }
}

/// Deposits one after the other until told to stop; `count` is how many were acknowledged.
fn keep_busy(client: Arc<Client>, stop: Arc<AtomicBool>, count: Arc<AtomicU64>, account: String) {
    tokio::spawn(async move {
        while !stop.load(Ordering::Relaxed) {
            if bank(&client, &format!("deposit {account} 1")).await.is_ok() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
}

/// From SIGKILL of the primary to the next acknowledged operation.
async fn outage() -> Result<(), String> {
    let shape = Shape { checkpoint_interval: 64, ..Shape::default() };
    let timeout = shape.view_timeout;
    let mut cluster = ProcessCluster::start(shape).await;
    let (client, observer) = (cluster.client(0), cluster.client(1));
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    for worker in 0..4 {
        let account = format!("worker-{worker}");
        keep_busy(Arc::clone(&client), Arc::clone(&stop), Arc::clone(&count), account);
    }
    println!("view timeout {timeout:?}; from the kill of the primary to the next operation:");
    for _ in 0..REPETITIONS {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let victim = primary(&observer).await;
        cluster.kill_replica(victim.0);
        let began = Instant::now();
        // What was under way when it died may still be answered.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let before = count.load(Ordering::Relaxed);
        while count.load(Ordering::Relaxed) == before {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        println!("{:>8.1} ms", began.elapsed().as_secs_f64() * 1000.0);
        cluster.start_replica(victim.0);
        wait_for(&observer, "all are back", |all| all.len() == 4 && all.iter().all(|r| r.active))
            .await;
    }
    stop.store(true, Ordering::Relaxed);
    Ok(())
}

/// Fills a store with a ledger of so many bytes, the same at every replica.
fn fill(cluster: &ProcessCluster, id: u32, size: usize) -> Result<usize, String> {
    let identity = Identity::new(cluster.cluster.id(), ReplicaId(id));
    let directory = cluster.replica_directory(id);
    let mut store = Store::open(&directory, identity).map_err(|e| e.to_string())?;
    let mut transaction = store.begin();
    let filled = transaction.with_state(|state| {
        let (mut bytes, mut number) = (0, 0u64);
        while bytes < size {
            let account = Account::new(&format!("account-{number:09}")).expect("a name");
            let entries = (0..16).map(|i| Entry::Deposit(number + i)).collect();
            let record = Record { balance: 16 * number, count: 16, entries };
            let (key, value) = (Record::key(&account), record.encode());
            state.put(&key, &value).expect("small");
            bytes += key.len() + value.len();
            number += 1;
        }
        number as usize
    });
    let accounts = filled.map_err(|e| e.to_string())?;
    transaction.commit().map_err(|e| e.to_string())?;
    Ok(accounts)
}

/// A replica without the state joins three that have it.
async fn transfer() -> Result<(), String> {
    let mut cluster = ProcessCluster::create(Shape::default());
    for id in 0..3 {
        let accounts = fill(&cluster, id, STATE_BYTES)?;
        eprintln!("replica {id}: {accounts} accounts");
    }
    let client = cluster.client(0);
    (0..3).for_each(|id| cluster.start_replica(id));
    wait_for(&client, "three answer", |all| all.len() == 3).await;
    // More than a window, so that the last one cannot execute its way to the end.
    let began = Instant::now();
    for _ in 0..40 {
        bank(&client, "deposit alice 1").await?;
    }
    eprintln!("40 operations with checkpoints every 8 took {:.2?}", began.elapsed());
    // What is queued for the fourth would let it execute from the beginning, which it has not.
    for id in 0..3 {
        cluster.kill_replica(id);
        cluster.start_replica(id);
    }
    wait_for(&client, "three are back", |all| all.len() == 3).await;
    let began = Instant::now();
    cluster.start_replica(3);
    wait_for(&client, "the fourth has the state", |all| in_agreement(all, 4)).await;
    println!(
        "{} MiB of ledger, from the start of the empty replica to the same digest: {:.2} s",
        STATE_BYTES >> 20,
        began.elapsed().as_secs_f64()
    );
    let resident: Vec<u64> = (0..4).map(|id| cluster.process(id).resident_bytes() >> 20).collect();
    println!("memory of the replicas afterwards, MiB: {resident:?}");
    Ok(())
}

/// What a replica costs when nobody asks for anything.
async fn idle() -> Result<(), String> {
    let mut cluster =
        ProcessCluster::start(Shape { checkpoint_interval: 64, ..Shape::default() }).await;
    bank(&cluster.client(0), "deposit alice 1").await?;
    let seconds = 20;
    let before: Vec<Duration> = (0..4).map(|id| processor_time(cluster.process(id).id())).collect();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    for (id, before) in (0..4).zip(before) {
        let used = processor_time(cluster.process(id).id()) - before;
        let part = 100.0 * used.as_secs_f64() / seconds as f64;
        println!("replica {id}: {part:.2} % of a core over {seconds} s, idle");
    }
    Ok(())
}

/// Memory with 128 operations outstanding, every few seconds.
async fn memory() -> Result<(), String> {
    let mut cluster =
        ProcessCluster::start(Shape { checkpoint_interval: 64, ..Shape::default() }).await;
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients = [cluster.client(0), cluster.client(1), cluster.client(2), cluster.client(3)];
    for worker in 0..128 {
        let client = Arc::clone(&clients[worker % clients.len()]);
        keep_busy(client, Arc::clone(&stop), Arc::clone(&count), format!("worker-{worker}"));
    }
    let rounds: u64 = std::env::args().nth(2).and_then(|n| n.parse().ok()).unwrap_or(12);
    for round in 1..=rounds {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let resident: Vec<u64> =
            (0..4).map(|id| cluster.process(id).resident_bytes() >> 10).collect();
        println!(
            "{:>4} s, {:>8} operations, KiB: {resident:?}",
            5 * round,
            count.load(Ordering::Relaxed)
        );
    }
    stop.store(true, Ordering::Relaxed);
    Ok(())
}
