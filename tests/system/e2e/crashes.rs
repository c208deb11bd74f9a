//! Replicas are killed, frozen and restarted under load; clients never notice more than a delay.

use pbft_conformance::refinement::kind::ActionKind;
use pbft_core::types::View;
use pbft_tests::cluster::{ProcessCluster, Shape, agreement, primary, wait_for};
use pbft_tests::workload::{Workload, audit};
use rustix::process::Signal;
use std::time::Duration;

/// How long a number of operations may take, a view change included.
const PATIENCE: Duration = Duration::from_secs(60);

/// Three clients with three workers each.
async fn start_workload(cluster: &ProcessCluster) -> Workload {
    let clients = [cluster.client(0), cluster.client(1), cluster.client(2)];
    Workload::start(&clients, 3).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_primary_is_replaced_and_catches_up_from_its_disk() {
    let mut cluster = ProcessCluster::start(Shape::default()).await;
    let observer = cluster.client(3);
    let mut workload = start_workload(&cluster).await;
    workload.progress(30, PATIENCE).await.expect("operations in the first view");
    let killed = primary(&observer).await;
    cluster.kill_replica(killed.0);
    workload.progress(60, PATIENCE).await.expect("operations in the next view");
    cluster.start_replica(killed.0);
    workload.progress(30, PATIENCE).await.expect("operations after the return");
    let history = workload.stop().await.expect("every operation is executed");

    let answers = agreement(&observer, 4).await;
    for report in &answers {
        assert!(report.view > View(0), "the killed primary's view is over: {report:?}");
        let starts = if report.replica == killed { 2 } else { 1 };
        assert_eq!(report.incarnation, starts, "only the killed replica was restarted: {report:?}");
    }
    assert!(history.operations() >= 120, "{}", history.operations());
    audit(&observer, &history).await.expect("what was acknowledged is there, once");
    cluster.assert_all_run();
    cluster.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_all_are_killed_at_once() {
    let mut cluster = ProcessCluster::start(Shape::default()).await;
    let observer = cluster.client(3);
    let mut workload = start_workload(&cluster).await;
    // Twice: the second time the replicas are what they recovered.
    for round in 1..=2 {
        workload.progress(30, PATIENCE).await.expect("operations before");
        cluster.kill_all();
        let acknowledged = workload.acknowledged();
        (0..4).for_each(|id| cluster.start_replica(id));
        workload.progress(30, PATIENCE).await.expect("operations after");
        assert!(acknowledged >= 30 * round);
    }
    let history = workload.stop().await.expect("every operation is executed");
    let answers = agreement(&observer, 4).await;
    assert!(answers.iter().all(|report| report.incarnation == 3), "{answers:?}");
    audit(&observer, &history).await.expect("what was acknowledged is there, once");

    // A last time, with nothing under way: the disks alone must know it all.
    cluster.kill_all();
    (0..4).for_each(|id| cluster.start_replica(id));
    let recovered = agreement(&observer, 4).await;
    assert!(recovered[0].last_executed >= answers[0].last_executed, "{recovered:?}");
    audit(&observer, &history).await.expect("what was acknowledged is still there");
    cluster.assert_all_run();
    cluster.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_restarted_one_after_the_other_under_load() {
    let mut cluster = ProcessCluster::start(Shape::default()).await;
    let observer = cluster.client(3);
    let mut workload = start_workload(&cluster).await;
    for id in 0..4 {
        workload.progress(10, PATIENCE).await.expect("operations with all replicas");
        cluster.stop_replica(id);
        workload.progress(10, PATIENCE).await.expect("operations with three replicas");
        cluster.start_replica(id);
        // The next one goes only when this one is back: at most one is away at a time.
        let back = wait_for(&observer, "the restarted replica takes part", |all| {
            all.len() == 4 && all.iter().all(|report| report.active)
        });
        back.await;
    }
    let history = workload.stop().await.expect("every operation is executed");
    let answers = agreement(&observer, 4).await;
    assert!(answers.iter().all(|report| report.incarnation == 2), "{answers:?}");
    audit(&observer, &history).await.expect("what was acknowledged is there, once");
    cluster.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_primary_is_replaced_and_finds_its_way_back() {
    let mut cluster = ProcessCluster::start(Shape::default()).await;
    let observer = cluster.client(3);
    let mut workload = start_workload(&cluster).await;
    workload.progress(10, PATIENCE).await.expect("operations in the first view");
    // Its connections stay open; it only says nothing any more.
    let frozen = primary(&observer).await;
    cluster.process(frozen.0).signal(Signal::STOP);
    workload.progress(30, PATIENCE).await.expect("operations in the next view");
    cluster.process(frozen.0).signal(Signal::CONT);
    workload.progress(10, PATIENCE).await.expect("operations after the thaw");
    let history = workload.stop().await.expect("every operation is executed");
    let answers = agreement(&observer, 4).await;
    assert!(answers.iter().all(|report| report.incarnation == 1), "{answers:?}");
    assert!(answers.iter().all(|report| report.view > View(0)), "{answers:?}");
    audit(&observer, &history).await.expect("what was acknowledged is there, once");
    cluster.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_allows_a_run_under_kills_and_partitions() {
    let mut cluster = ProcessCluster::start(Shape::default()).await;
    let observer = cluster.client(3);
    let mut workload = start_workload(&cluster).await;
    workload.progress(30, PATIENCE).await.expect("operations in the first view");
    for _ in 0..2 {
        // The primary is cut off from the others.
        let alone = primary(&observer).await;
        cluster.process(alone.0).signal(Signal::STOP);
        workload.progress(30, PATIENCE).await.expect("operations of the majority");
        // Another is cut off, too: nobody has a quorum any more.
        let second = (alone.0 + 2) % 4;
        cluster.process(second).signal(Signal::STOP);
        tokio::time::sleep(Duration::from_secs(1)).await;
        cluster.process(alone.0).signal(Signal::CONT);
        cluster.process(second).signal(Signal::CONT);
        workload.progress(30, PATIENCE).await.expect("operations after the split");
        // One is killed, and comes back when its peers have forgotten what it lacks.
        let killed = primary(&observer).await;
        cluster.kill_replica(killed.0);
        workload.progress(300, PATIENCE).await.expect("operations without it");
        cluster.start_replica(killed.0);
        workload.progress(30, PATIENCE).await.expect("operations after its return");
    }
    let history = workload.stop().await.expect("every operation is executed");
    agreement(&observer, 4).await;
    audit(&observer, &history).await.expect("what was acknowledged is there, once");
    let validation = cluster.finish();
    let unseen = ActionKind::recorded().filter(|action| validation.coverage.of(*action) == 0);
    assert_eq!(unseen.collect::<Vec<_>>(), [], "{validation}");
    assert!(validation.coverage.view >= 2, "{validation}");
}
