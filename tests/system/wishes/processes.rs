//! Wishes about processes of the operating system.

use pbft_core::types::View;
use pbft_ledger::Outcome;
use pbft_node::frame::StatusReport;
use pbft_tests::cluster::{ProcessCluster, Shape, agreement, in_agreement, wait_for};
use pbft_tests::direct::Direct;
use pbft_tests::workload::{Workload, audit, bank};
use rustix::process::Signal;
use std::time::Duration;

/// How long a number of operations may take, a view change included.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn shape() -> Shape {
    Shape { view_timeout: Duration::from_millis(800), ..Shape::default() }
}

/// How often each of these replicas has left a view.
pub(crate) async fn view_changes<const N: usize>(
    cluster: &ProcessCluster,
    replicas: [u32; N],
) -> Vec<u64> {
    let mut all = Vec::new();
    for id in replicas {
        all.push(cluster.metric(id, "view_changes_total").await.expect("an admin endpoint"));
    }
    all
}

fn are_in(view: u64) -> impl Fn(&[StatusReport]) -> bool {
    move |all| all.iter().all(|one| one.active && one.view == View(view))
}

/// The primary is dead, and of a request's first frames only that to one backup arrives. One backup moves nobody (it may
/// be the one that lies); the client repeats the request to all until it has its answer (§4.1), and so it is executed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i5_with_the_primary_dead_a_request_that_reached_one_backup_is_executed() {
    let mut cluster = ProcessCluster::start(shape()).await;
    let observer = cluster.client(0);
    cluster.kill_replica(0);
    let mut first = Direct::dial(&cluster, 1, 3).await;
    first.request(0, 1, "deposit alice 5").await;
    // It relays the request in vain, and leaves view 0.
    let left = |all: &[StatusReport]| all.iter().any(|one| one.replica.0 == 3 && !one.active);
    let seen = wait_for(&observer, "replica 3 leaves view 0", left).await;
    let others = seen.iter().filter(|one| one.replica.0 != 3);
    assert!(others.clone().count() == 2 && others.into_iter().all(|one| one.active), "{seen:?}");

    let mut again = [Direct::dial(&cluster, 1, 1).await, Direct::dial(&cluster, 1, 2).await];
    for direct in &mut again {
        direct.request(0, 1, "deposit alice 5").await;
    }
    for direct in &mut again {
        assert_eq!(direct.reply(PATIENCE).await, Ok(Outcome::Balance(5)));
    }
    assert_eq!(first.reply(PATIENCE).await, Ok(Outcome::Balance(5)), "the first one, too");
    let agreed = wait_for(&observer, "three in one state", |all| in_agreement(all, 3)).await;
    assert!(are_in(1)(&agreed), "{agreed:?}");
    assert_eq!(view_changes(&cluster, [1, 2, 3]).await, [1, 1, 1]);
    assert_eq!(bank(&observer, "balance alice").await, Ok(Outcome::Balance(5)));
    cluster.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i6_a_stopped_replica_and_a_stopped_primary_go_on_where_the_others_are() {
    let mut cluster = ProcessCluster::start(shape()).await;
    let observer = cluster.client(3);
    let clients = [cluster.client(0), cluster.client(1)];
    let mut workload = Workload::start(&clients, 2).await;
    // A backup: nobody else notices.
    cluster.process(2).signal(Signal::STOP);
    workload.progress(60, PATIENCE).await.expect("operations without replica 2");
    cluster.process(2).signal(Signal::CONT);
    workload.progress(20, PATIENCE).await.expect("operations with it");
    let back = |all: &[StatusReport]| all.len() == 4 && are_in(0)(all);
    wait_for(&observer, "all in view 0", back).await;
    assert_eq!(view_changes(&cluster, [0, 1, 2, 3]).await, [0; 4]);

    // The primary: one view change, which it joins when it is back.
    cluster.process(0).signal(Signal::STOP);
    workload.progress(30, PATIENCE).await.expect("operations in the next view");
    cluster.process(0).signal(Signal::CONT);
    workload.progress(20, PATIENCE).await.expect("operations after its return");
    let history = workload.stop().await.expect("every operation is executed");
    let answers = agreement(&observer, 4).await;
    assert!(are_in(1)(&answers), "{answers:?}");
    assert_eq!(view_changes(&cluster, [0, 1, 2, 3]).await, [1; 4]);
    audit(&observer, &history).await.expect("what was acknowledged is there, once");
    cluster.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i14_two_clusters_on_one_host_do_not_disturb_each_other() {
    let mut first = ProcessCluster::start(shape()).await;
    let second = ProcessCluster::start_beside(&first, shape()).await;
    let mut in_first = Workload::start(&[first.client(0)], 2).await;
    let mut in_second = Workload::start(&[second.client(0)], 2).await;
    // The first loses its primary; in the second nothing happens.
    first.kill_replica(0);
    in_first.progress(20, PATIENCE).await.expect("operations in the first cluster");
    in_second.progress(20, PATIENCE).await.expect("operations in the second cluster");
    let history = in_first.stop().await.expect("every operation is executed");
    let other = in_second.stop().await.expect("every operation is executed");
    let (observer, beside) = (first.client(1), second.client(1));
    let agreed = wait_for(&observer, "three in one state", |all| in_agreement(all, 3)).await;
    assert!(are_in(1)(&agreed), "{agreed:?}");
    assert_eq!(view_changes(&first, [1, 2, 3]).await, [1; 3]);
    assert!(are_in(0)(&agreement(&beside, 4).await));
    assert_eq!(view_changes(&second, [0, 1, 2, 3]).await, [0; 4]);
    // Neither has the other's money.
    audit(&observer, &history).await.expect("the first ledger is its clients' own");
    audit(&beside, &other).await.expect("the second ledger is its clients' own");

    // Nobody of the first is let in by the second.
    let stranger = Direct::try_dial(&second, &first.client_key(0), 0).await;
    let refusal = stranger.expect_err("a client of the other cluster is refused");
    let member = Direct::try_dial(&second, &second.client_key(2), 0).await;
    assert!(member.is_ok(), "its own client is let in; the stranger heard: {refusal}");
    first.finish();
    second.finish();
}
