//! Services of one's own: the example of the guide, and one that is not deterministic.

use crate::harness::TcpCluster;
use pbft_core::HaltReason;
use pbft_core::types::ClientId;
use pbft_node::client::Client;
use pbft_node::driver::DriverError;
use pbft_node::service::Service;
use pbft_node::state::State;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
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
    crate::harness::agreement(&client).await;
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
    fn execute(&self, state: &mut State<'_>, _: ClientId, _: &[u8]) -> Vec<u8> {
        let count = self.0.fetch_add(1, Ordering::Relaxed);
        state.put(b"count", &count.to_le_bytes()).expect("small");
        b"done".to_vec()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_service_that_is_not_deterministic_halts_at_the_next_checkpoint() {
    let odd = |id| Box::new(Counting(AtomicU64::new(if id == 2 { 1000 } else { 0 })));
    let mut cluster = TcpCluster::start_with(4, |id| odd(id) as Box<dyn Service>).await;
    let client = cluster.client(0);
    // The harness takes a checkpoint every four batches.
    for _ in 0..6 {
        assert_eq!(text(&client, "count").await, "done", "the others go on");
    }
    let end = cluster.end_of_replica(2).await;
    let Err(error @ DriverError::Halted(HaltReason::StateDiverged { .. })) = end else {
        panic!("{end:?}")
    };
    let message = error.to_string();
    assert!(
        message.contains("checkpoint #4") && message.contains("not deterministic"),
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
    while !cluster.running[2].as_ref().expect("started").task.is_finished() {
        sum += 1;
        assert_eq!(text(&client, "+").await, sum.to_string(), "what the others say");
        assert!(sum < 400, "98 checkpoints later it still runs");
        // It may have to catch up first.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let end = cluster.end_of_replica(2).await;
    assert!(matches!(end, Err(DriverError::Halted(HaltReason::StateDiverged { .. }))), "{end:?}");
    assert_eq!(text(&client, "+").await, (sum + 1).to_string(), "without it");
}
