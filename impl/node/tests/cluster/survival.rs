//! Clusters lose replicas, the primary among them, and get them back.

use crate::harness::{TcpCluster, agreement, bank};
use pbft_ledger::{Outcome, Refusal};
use pbft_node::client::Client;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Eight deposits at the same time.
async fn deposit_from_both(clients: &[Arc<Client>; 2], account: &str) {
    let mut tasks = JoinSet::new();
    for number in 0..8 {
        let client = Arc::clone(&clients[number % 2]);
        let operation = format!("deposit {account} 10");
        tasks.spawn(async move { bank(&client, &operation).await });
    }
    while let Some(outcome) = tasks.join_next().await {
        assert!(matches!(outcome.expect("no panic"), Outcome::Balance(_)));
    }
}

/// Everything that a cluster of `n` must survive: f replicas gone, the primary among them; and their return.
async fn works_with(n: u32) {
    let mut cluster = TcpCluster::start(n).await;
    let clients = [Arc::new(cluster.client(0)), Arc::new(cluster.client(1))];
    deposit_from_both(&clients, "alice").await;
    assert_eq!(bank(&clients[0], "balance alice").await, Outcome::Balance(80));
    assert_eq!(bank(&clients[1], "open bob").await, Outcome::Balance(0));
    let transferred = bank(&clients[1], "transfer alice bob 30").await;
    assert_eq!(transferred, Outcome::Transferred { from: 50, to: 30 });
    let refused = bank(&clients[1], "withdraw bob 31").await;
    assert!(matches!(refused, Outcome::Refused(Refusal::Overdraft { balance: 30, .. })));
    agreement(&clients[0]).await;

    let faults = clients[0].membership().faults() as u32;
    for id in 0..faults {
        cluster.stop_replica(id).await;
    }
    deposit_from_both(&clients, "carol").await;
    assert_eq!(bank(&clients[0], "balance carol").await, Outcome::Balance(80));
    for id in 0..faults {
        cluster.start_replica(id).await;
    }
    deposit_from_both(&clients, "carol").await;
    assert_eq!(bank(&clients[1], "balance carol").await, Outcome::Balance(160));
    for status in agreement(&clients[0]).await {
        let report = status.report.expect("reachable");
        let returned = status.replica.0 < faults;
        assert_eq!(report.incarnation, if returned { 2 } else { 1 });
        assert!(report.view.0 >= 1, "the primary of view 0 was gone");
        assert!(report.low_water_mark.0 >= 4, "checkpoints become stable");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_replicas_survive_one() {
    works_with(4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn five_replicas_survive_one() {
    works_with(5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn seven_replicas_survive_two() {
    works_with(7).await;
}
