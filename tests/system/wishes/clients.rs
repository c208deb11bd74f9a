//! Wishes about clients.

use crate::processes::{PATIENCE, shape, view_changes};
use pbft_ledger::Outcome;
use pbft_tests::cluster::{ProcessCluster, in_agreement, wait_for};
use pbft_tests::direct::Direct;
use pbft_tests::workload::bank;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i13_duplicate_and_asynchronous_calls_with_a_dead_replica_execute_once() {
    const CALLS: u64 = 64;
    let mut cluster = ProcessCluster::start(shape()).await;
    cluster.kill_replica(3);
    let client = cluster.client(0);
    // Many at a time, none waits for another.
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        let client = Arc::clone(&client);
        calls.spawn(async move { bank(&client, "deposit alice 1").await });
    }
    let outcomes = calls.join_all().await.into_iter();
    let balances: BTreeSet<u64> = outcomes
        .map(|outcome| match outcome {
            Ok(Outcome::Balance(balance)) => balance,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(balances, (1..=CALLS).collect(), "each took effect once");

    // One signed request, twice to the primary and once to a backup: one execution, and the same answer each time.
    let mut primary = Direct::dial(&cluster, 1, 0).await;
    let mut backup = Direct::dial(&cluster, 1, 1).await;
    primary.request(0, 7, "deposit bob 5").await;
    assert_eq!(primary.reply(PATIENCE).await, Ok(Outcome::Balance(5)));
    // The same frame at once would count as a flood.
    tokio::time::sleep(Duration::from_millis(300)).await;
    primary.request(0, 7, "deposit bob 5").await;
    backup.request(0, 7, "deposit bob 5").await;
    assert_eq!(primary.reply(PATIENCE).await, Ok(Outcome::Balance(5)));
    assert_eq!(backup.reply(PATIENCE).await, Ok(Outcome::Balance(5)));
    assert_eq!(bank(&client, "balance bob").await, Ok(Outcome::Balance(5)));

    let agreed = wait_for(&client, "three in one state", |all| in_agreement(all, 3)).await;
    assert!(agreed.iter().all(|report| report.active && report.view.0 == 0), "{agreed:?}");
    assert_eq!(view_changes(&cluster, [0, 1, 2]).await, [0; 3]);
    cluster.finish();
}
