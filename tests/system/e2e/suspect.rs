//! `pbft suspect`.

use pbft_tests::cluster::{ProcessCluster, Shape, in_agreement, wait_for};
use pbft_tests::process::run_pbft;
use pbft_tests::workload::bank;

/// Outside fault F6: An operator has no way to leave a primary that is slow but alive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_moves_the_cluster_to_the_next_primary() {
    let mut cluster = ProcessCluster::start(Shape::default()).await;
    let client = cluster.client(0);
    bank(&client, "deposit alice 1").await.expect("executed");
    let suspect = |cluster: &ProcessCluster, id: u32| {
        let directory = cluster.replica_directory(id);
        let directory = directory.to_str().expect("text");
        let output = run_pbft(cluster.directory(), &["suspect", "--dir", directory]);
        let text = String::from_utf8(output.stdout).expect("text");
        (output.status.code(), text)
    };
    let alone =
        "r1: asks for view 1\n1 asked; the cluster follows once 2 ask: give the others, too\n";
    assert_eq!(suspect(&cluster, 1), (Some(0), alone.to_owned()));
    let refused = "r1: refused: waiting for view 1 or a later one to begin\n";
    assert_eq!(suspect(&cluster, 1), (Some(1), refused.to_owned()), "it has left it already");
    let (code, text) = suspect(&cluster, 2);
    assert!(code == Some(0) && text.starts_with("r2: asks for view 1\n"), "{code:?}: {text}");

    let all = wait_for(&client, "all in view 1", |all| {
        in_agreement(all, 4) && all.iter().all(|one| one.active && one.view.0 == 1)
    });
    all.await;
    bank(&client, "deposit alice 1").await.expect("executed");
    let log = cluster.process(2).log();
    assert!(log.contains("leaves its view: somebody suspects its primary"), "{log}");

    cluster.kill_replica(3);
    let (code, text) = suspect(&cluster, 3);
    assert!(code == Some(6) && text.contains("is the replica running"), "{code:?}: {text}");
    cluster.start_replica(3);
    wait_for(&client, "all four again", |all| in_agreement(all, 4)).await;
    assert_eq!(suspect(&cluster, 3).0, Some(0), "the socket of the process before is no obstacle");
    cluster.finish();
}
