//! Services of one's own: the example of the guide, and one that is not deterministic.

use crate::harness::{CHECKPOINT_INTERVAL, TcpCluster, agreement, cluster_file, parsed};
use pbft_core::HaltReason;
use pbft_core::params::OnPanic;
use pbft_core::types::ClientId;
use pbft_ledger::Ledger;
use pbft_node::client::Client;
use pbft_node::driver::DriverError;
use pbft_node::node::StartError;
use pbft_node::service::{PANICKED, Service, ServiceId};
use pbft_node::state::{State, StateView};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[path = "../../examples/key_value/service.rs"]
#[allow(unreachable_pub)]
mod key_value;

async fn text(client: &Client, operation: &str) -> String {
    let result = client.submit(operation.as_bytes().to_vec()).await.expect("executed");
    String::from_utf8(result).expect("text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_key_value_example_works_and_catches_up() {
    let mut cluster = TcpCluster::start_with(4, |_| Box::new(key_value::KeyValue)).await;
    let client = cluster.client(0);
    assert_eq!(text(&client, "put colour light red").await, "ok");
    assert_eq!(text(&client, "get colour").await, "light red");
    assert_eq!(text(&client, "get shape").await, "none");
    assert!(text(&client, "take colour").await.starts_with("refused"));
    cluster.stop_replica(3).await;
    // Enough that the replica has to fetch the state.
    for number in 0..20 {
        assert_eq!(text(&client, &format!("put key-{number:02} v")).await, "ok");
    }
    assert_eq!(text(&client, "delete colour").await, "ok");
    cluster.start_replica_with(3, Box::new(key_value::KeyValue)).await;
    agreement(&client).await;
    let answers = client.query_all(b"list key-", Duration::from_secs(10)).await;
    let listed: Vec<_> = answers.iter().filter_map(|said| said.answer.as_ref().ok()).collect();
    assert_eq!(listed.len(), 4, "{answers:?}");
    let first = String::from_utf8(listed[0].1.clone()).expect("text");
    assert!(first.starts_with("key-00 key-01") && first.ends_with("key-19"), "{first}");
    assert!(listed.iter().all(|answer| *answer == listed[0]), "{listed:?}");
    assert_eq!(client.query(b"get colour").await.expect("f+1 agree"), b"none");
}

/// Counts its executions outside of the state, and keeps the count in it: a replica that starts from another number
/// has another state.
struct Counting(AtomicU64);

impl Service for Counting {
    fn id(&self) -> ServiceId {
        ServiceId::new("counting", 1)
    }

    fn execute(&self, state: &mut State<'_>, _: ClientId, _: &[u8]) -> Vec<u8> {
        let count = self.0.fetch_add(1, Ordering::Relaxed);
        state.put(b"count", &count.to_le_bytes()).expect("small");
        b"done".to_vec()
    }
}

/// After so many, a replica whose state is another one must have noticed.
const CHECKPOINTS_MAX: u64 = 100;

/// The service of a replica; that of replica 2 has counted otherwise.
fn counting(id: u32) -> Box<dyn Service> {
    Box::new(Counting(AtomicU64::new(if id == 2 { 1000 } else { 0 })))
}

/// A cluster whose replica 2 has another state than the others, and why it has halted; and a client.
async fn with_one_that_counts_otherwise() -> (TcpCluster, Client, HaltReason) {
    let mut cluster = TcpCluster::start_with(4, counting).await;
    let client = cluster.client(0);
    // It halts at a checkpoint that it came to by itself, and may have to fetch earlier ones.
    for _ in 0..CHECKPOINTS_MAX * CHECKPOINT_INTERVAL {
        assert_eq!(text(&client, "count").await, "done", "the others go on");
        if cluster.has_ended(2) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    match cluster.end_of_replica(2).await {
        Err(DriverError::Halted(reason)) => (cluster, client, reason),
        end => panic!("{end:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_service_that_is_not_deterministic_halts_at_the_next_checkpoint() {
    let (_cluster, client, reason) = with_one_that_counts_otherwise().await;
    let HaltReason::StateDiverged { seq, .. } = reason else { panic!("{reason:?}") };
    assert!(seq.0 > 0 && seq.0 % CHECKPOINT_INTERVAL == 0, "at a checkpoint: {seq}");
    let message = DriverError::Halted(reason).to_string();
    assert!(
        message.contains(&format!("checkpoint {seq}")) && message.contains("not deterministic"),
        "{message}"
    );
    for _ in 0..6 {
        assert_eq!(text(&client, "count").await, "done", "without it");
    }
}

/// Keeps its sum outside of the state, as an application with a database of its own would: nothing of it is in a
/// checkpoint, and a replica that starts again, or catches up, does not have it.
#[derive(Default)]
struct Outside(Mutex<u64>);

impl Service for Outside {
    fn id(&self) -> ServiceId {
        ServiceId::new("outside", 1)
    }

    fn execute(&self, _: &mut State<'_>, _: ClientId, operation: &[u8]) -> Vec<u8> {
        let mut sum = self.0.lock().expect("nobody panics");
        *sum += operation.len() as u64;
        sum.to_string().into_bytes()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_state_outside_of_the_checkpoints_is_noticed() {
    let outside = || Box::new(Outside::default()) as Box<dyn Service>;
    let mut cluster = TcpCluster::start_with(4, |_| outside()).await;
    let client = cluster.client(0);
    for sum in 1..=6 {
        assert_eq!(text(&client, "+").await, sum.to_string());
    }
    cluster.stop_replica(2).await;
    for sum in 7..=8 {
        assert_eq!(text(&client, "+").await, sum.to_string(), "three are a quorum");
    }
    // It returns with everything that the protocol keeps: log, replies, checkpoints. The service begins again.
    cluster.start_replica_with(2, outside()).await;
    // From its first execution on, its replies are other ones; and replies are in the checkpoint.
    let mut sum = 8;
    while !cluster.has_ended(2) {
        sum += 1;
        assert_eq!(text(&client, "+").await, sum.to_string(), "what the others say");
        assert!(sum < CHECKPOINTS_MAX * CHECKPOINT_INTERVAL, "it still runs");
        // It may have to catch up first.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let end = cluster.end_of_replica(2).await;
    assert!(matches!(end, Err(DriverError::Halted(HaltReason::StateDiverged { .. }))), "{end:?}");
    assert_eq!(text(&client, "+").await, (sum + 1).to_string(), "without it");
}

/// Outside fault F7: A halted replica runs again after a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replica_that_has_halted_does_not_start_again() {
    let (cluster, client, reason) = with_one_that_counts_otherwise().await;
    for _ in 0..2 {
        let again = cluster.node(2, counting(2)).await;
        let Err(error @ StartError::Driver(DriverError::Halted(_))) = again else {
            panic!("{again:?}")
        };
        let message = error.to_string();
        assert!(
            message.contains(&reason.to_string()) && message.contains("pbft recover"),
            "{message}"
        );
    }
    assert_eq!(text(&client, "count").await, "done", "without it");
}

/// Keeps words, and changes three of them before it panics. `heal` has it stop panicking.
struct Fragile {
    is_healed: bool,
}

impl Service for Fragile {
    fn id(&self) -> ServiceId {
        ServiceId::new("fragile", 1)
    }

    fn execute(&self, state: &mut State<'_>, _: ClientId, operation: &[u8]) -> Vec<u8> {
        if operation == b"boom" {
            state.put(b"kept", b"overwritten").expect("small");
            state.put(b"kept", b"twice").expect("small");
            state.put(b"new", b"half of it").expect("small");
            assert!(state.delete(b"other"));
            assert!(self.is_healed, "the test's panic");
            return b"healed".to_vec();
        }
        if let Some((key, value)) = std::str::from_utf8(operation).expect("text").split_once('=') {
            state.put(key.as_bytes(), value.as_bytes()).expect("small");
        }
        let all = state.range(b"", None, 100);
        let text = |bytes| String::from_utf8(bytes).expect("text");
        let all = all.into_iter().map(|(key, value)| format!("{}={}", text(key), text(value)));
        all.collect::<Vec<_>>().join(" ").into_bytes()
    }

    fn query(&self, state: &mut StateView, _: ClientId, query: &[u8]) -> Vec<u8> {
        assert_ne!(query, b"boom", "the test's panic");
        state.get(query).unwrap_or_default()
    }
}

fn fragile(is_healed: bool) -> Box<dyn Service> {
    Box::new(Fragile { is_healed })
}

/// Outside fault F7: A service that panics on an operation ends all replicas, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_operation_on_which_the_service_panics_is_refused_and_changes_nothing() {
    let mut cluster = TcpCluster::start_with(4, |_| fragile(false)).await;
    let client = Arc::new(cluster.client(0));
    assert_eq!(text(&client, "kept=1").await, "kept=1");
    assert_eq!(text(&client, "other=2").await, "kept=1 other=2");
    let panicked = String::from_utf8(PANICKED.to_vec()).expect("text");
    // Also in one batch with others, and at checkpoints: every fourth batch has one.
    let clients: Vec<_> = (0..12)
        .map(|number| {
            let client = Arc::clone(&client);
            let operation = if number % 2 == 0 { "boom" } else { "third=3" };
            tokio::spawn(async move { (operation, text(&client, operation).await) })
        })
        .collect();
    for asked in clients {
        match asked.await.expect("no panic") {
            ("boom", result) => assert_eq!(result, panicked),
            (_, result) => assert_eq!(result, "kept=1 other=2 third=3"),
        }
    }
    cluster.stop_replica(3).await;
    for _ in 0..9 {
        assert_eq!(text(&client, "boom").await, panicked);
    }
    assert_eq!(text(&client, "").await, "kept=1 other=2 third=3", "nothing is left of it");
    cluster.start_replica_with(3, fragile(false)).await;
    agreement(&client).await;
    // A query that panics ends nothing, either.
    let asked = client.query_all(b"boom", Duration::from_secs(10)).await;
    assert!(asked.iter().all(|said| said.answer.is_err()), "{asked:?}");
    assert_eq!(client.query(b"other").await.expect("f+1 agree"), b"2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cluster_that_is_to_stop_at_a_panic_goes_on_with_a_repaired_service() {
    let mut file = cluster_file(4, '0');
    file.cluster.service = Some("fragile/1".into());
    file.cluster.on_service_panic = Some(OnPanic::Stop);
    let mut cluster = TcpCluster::start_from(|| parsed(&file), |_| fragile(false)).await;
    let client = Arc::new(cluster.client(0));
    assert_eq!(text(&client, "other=2").await, "other=2");
    let asking = Arc::clone(&client);
    let asking = tokio::spawn(async move { text(&asking, "boom").await });
    while !(0..4).any(|id| cluster.has_ended(id)) {
        assert!(!asking.is_finished(), "answered by a service that panics");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Whoever executed it has ended. The others may lack the votes of those, and would wait for them.
    let mut panicked = 0;
    for id in 0..4 {
        match cluster.stopped_replica(id).await {
            Ok(()) => {}
            Err(DriverError::ServicePanicked { message, .. }) => {
                assert!(message.contains("the test's panic"), "{message}");
                panicked += 1;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(panicked > 0);
    for id in 0..4 {
        cluster.start_replica_with(id, fragile(true)).await;
    }
    assert_eq!(asking.await.expect("no panic"), "healed", "the client has waited");
    assert_eq!(text(&client, "").await, "kept=twice new=half of it");
}

/// Outside fault F10: A replica with another service is accepted, and halts at the first checkpoint.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replica_with_another_service_is_refused() {
    let mut cluster = TcpCluster::start_with(4, |_| Box::new(key_value::KeyValue)).await;
    cluster.stop_replica(2).await;
    let refused = cluster.node(2, Box::new(Ledger)).await;
    let Err(error @ StartError::OtherService { .. }) = refused else { panic!("{refused:?}") };
    let message = error.to_string();
    assert!(
        message.contains("replicates key-value/1") && message.contains("has ledger/1"),
        "{message}"
    );
    cluster.start_replica_with(2, Box::new(key_value::KeyValue)).await;
    agreement(&cluster.client(0)).await;
}
