//! A replica that was away catches up, although nobody asks the cluster for anything.

use pbft_core::types::SeqNum;
use pbft_ledger::Outcome;
use pbft_node::client::Client;
use pbft_node::frame::StatusReport;
use pbft_tests::cluster::{ProcessCluster, Shape, agreement, in_agreement, reports, wait_for};
use pbft_tests::process::run_pbft;
use pbft_tests::workload::bank;

const LAGGARD: u32 = 3;

/// Deposits one after the other, so that each is a batch of its own.
async fn deposits(client: &Client, from: u64, to: u64) {
    for balance in from..=to {
        assert_eq!(bank(client, "deposit alice 1").await, Ok(Outcome::Balance(balance)));
    }
}

/// Waits until the three replicas that are left are in the same state, and returns one of their answers.
async fn three(client: &Client) -> StatusReport {
    wait_for(client, "three replicas in the same state", |all| in_agreement(all, 3)).await[0]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_laggard_catches_up_without_traffic() {
    let shape = Shape { checkpoint_interval: 4, ..Shape::default() };
    let mut cluster = ProcessCluster::start(shape).await;
    let client = cluster.client(0);
    deposits(&client, 1, 2).await;
    agreement(&client, 4).await;

    // A little behind: what it misses is in the others' logs.
    cluster.kill_replica(LAGGARD);
    deposits(&client, 3, 3).await;
    let ahead = three(&client).await;
    assert!(ahead.low_water_mark < SeqNum(3), "the batches are still in the log: {ahead:?}");
    cluster.start_replica(LAGGARD);
    assert_eq!(agreement(&client, 4).await[0].last_executed, ahead.last_executed, "no traffic");

    // Far behind: it needs a checkpoint's state. It is killed again while it gets it.
    cluster.kill_replica(LAGGARD);
    deposits(&client, 4, 24).await;
    let ahead = three(&client).await;
    assert!(ahead.low_water_mark > SeqNum(12), "more than a whole log ahead: {ahead:?}");
    for _ in 0..3 {
        cluster.start_replica(LAGGARD);
        wait_for(&client, "the laggard answers", |all| all.len() == 4).await;
        cluster.kill_replica(LAGGARD);
    }
    cluster.start_replica(LAGGARD);
    let answers = agreement(&client, 4).await;
    assert_eq!(answers[0].last_executed, ahead.last_executed, "no traffic");
    assert_eq!(answers[0].state, ahead.state);
    cluster.assert_all_run();
    cluster.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_or_damaged_disk_is_refused_and_the_others_go_on() {
    let mut cluster = ProcessCluster::start(Shape::default()).await;
    let client = cluster.client(0);
    deposits(&client, 1, 2).await;
    let directory = cluster.directory().to_owned();
    let start = || run_pbft(&directory, &["start", "--dir", "cluster/replica-3"]);

    // The same key must not vote from two processes.
    let twice = start();
    assert_eq!(twice.status.code(), Some(6), "{twice:?}");
    let message = String::from_utf8_lossy(&twice.stderr).into_owned();
    assert!(message.contains("data.redb: another process has this store open"), "{message}");
    assert_eq!(reports(&client).await.len(), 4, "the first process is not disturbed");

    cluster.kill_replica(LAGGARD);
    let store = cluster.replica_directory(LAGGARD).join("data.redb");
    let content = std::fs::read(&store).expect("a store");
    // Less than its tables need. (What is cut off further behind may be free space.)
    for bytes in [100, 4096, 8192, 16384] {
        std::fs::write(&store, &content[..bytes]).expect("cut off");
        let cut = start();
        assert_eq!(cut.status.code(), Some(5), "{bytes} bytes: {cut:?}");
        let message = String::from_utf8_lossy(&cut.stderr).into_owned();
        assert!(message.contains("data.redb: the store is damaged"), "{bytes} bytes: {message}");
        assert!(message.contains("pbft recover"), "{bytes} bytes: {message}");
    }

    std::fs::remove_file(&store).expect("removed");
    let lost = start();
    assert_eq!(lost.status.code(), Some(5), "{lost:?}");
    let message = String::from_utf8_lossy(&lost.stderr).into_owned();
    assert!(message.contains("data.redb: there is no store"), "{message}");
    assert!(message.contains("must not vote"), "{message}");
    assert!(!store.exists(), "nothing new was made in its place");

    deposits(&client, 3, 4).await;
    std::fs::write(&store, content).expect("restored");
    cluster.start_replica(LAGGARD);
    agreement(&client, 4).await;
    cluster.finish();
}
