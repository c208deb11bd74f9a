//! Where nothing is wrong, no replica ever asks for another view.

use crate::processes::{PATIENCE, shape, view_changes};
use crate::watched::{End, end_of};
use pbft_sim::fault::Plan;
use pbft_sim::judge::{Judging, judge};
use pbft_tests::cluster::{ProcessCluster, agreement};
use pbft_tests::workload::{Workload, audit};

#[test]
fn fault_free_simulations_have_no_view_change() {
    for n in [4, 5, 7] {
        for seed in 1..=8 {
            let plan = Plan::calm(seed, n);
            let judged = judge(&plan, Judging { model: false, keep: false });
            assert_eq!(judged.violation, None, "seed {seed}, {n} replicas");
            let asked = judged.coverage.messages.get("view-change");
            assert_eq!((judged.view, asked), (0, None), "seed {seed}, {n} replicas");
        }
        assert_eq!(end_of(&Plan::calm(9, n)), End::after(&[], n as usize));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_free_run_of_processes_has_no_view_change() {
    let cluster = ProcessCluster::start(shape()).await;
    let observer = cluster.client(3);
    let clients = [cluster.client(0), cluster.client(1), cluster.client(2)];
    let mut workload = Workload::start(&clients, 3).await;
    workload.progress(300, PATIENCE).await.expect("operations");
    let history = workload.stop().await.expect("every operation is executed");
    let answers = agreement(&observer, 4).await;
    assert!(answers.iter().all(|report| report.active && report.view.0 == 0), "{answers:?}");
    assert_eq!(view_changes(&cluster, [0, 1, 2, 3]).await, [0; 4]);
    audit(&observer, &history).await.expect("what was acknowledged is there, once");
    cluster.finish();
}
