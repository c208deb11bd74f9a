//! Whatever is killed, whenever: nothing that was acknowledged is lost, and nothing is done twice.
//!
//! `PBFT_KILL_CYCLES` says how many kills there are (a few by default), and `PBFT_SEED` which.

use pbft_sim::rng::Rng;
use pbft_tests::cluster::{ProcessCluster, Shape, agreement, wait_for};
use pbft_tests::process::run_pbft;
use pbft_tests::workload::{Workload, audit};
use std::time::Duration;

/// How long a number of operations may take, some view changes included.
const PATIENCE: Duration = Duration::from_secs(120);

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_in_a_sequence_of_kills() {
    let (cycles, seed) = (number("PBFT_KILL_CYCLES", 8), number("PBFT_SEED", 1));
    eprintln!("PBFT_KILL_CYCLES={cycles} PBFT_SEED={seed}");
    let mut chance = Rng::new(seed);
    let shape = Shape { view_timeout: Duration::from_secs(1), ..Shape::default() };
    let mut cluster = ProcessCluster::start(shape).await;
    let observer = cluster.client(3);
    let clients = [cluster.client(0), cluster.client(1), cluster.client(2)];
    let mut workload = Workload::start(&clients, 3).await;
    let mut starts = [1u64; 4];
    for cycle in 0..cycles {
        workload.progress(1 + chance.below(20), PATIENCE).await.expect("operations before");
        let victim = chance.below(4) as u32;
        match chance.below(4) {
            // All at once, a power cut.
            0 => {
                cluster.kill_all();
                (0..4).for_each(|id| cluster.start_replica(id));
                starts.iter_mut().for_each(|starts| *starts += 1);
            }
            // One, and it comes back while the others go on without it.
            1 => {
                cluster.kill_replica(victim);
                workload.progress(10, PATIENCE).await.expect("operations without it");
                cluster.start_replica(victim);
                starts[victim as usize] += 1;
            }
            // One, again and again, at once.
            2 => {
                for _ in 0..3 {
                    cluster.kill_replica(victim);
                    cluster.start_replica(victim);
                    starts[victim as usize] += 1;
                }
            }
            // One after the other, without a wait for any to catch up.
            _ => {
                for id in 0..4 {
                    cluster.kill_replica(id);
                    cluster.start_replica(id);
                    starts[id as usize] += 1;
                }
            }
        }
        cluster.assert_all_run();
        eprintln!("cycle {}: {} acknowledged", cycle + 1, workload.acknowledged());
    }
    workload.progress(20, PATIENCE).await.expect("operations after the last kill");
    let history = workload.stop().await.expect("every operation is executed");
    let answers = agreement(&observer, 4).await;
    for (report, starts) in answers.iter().zip(starts) {
        // One that was killed before its store was open has not counted that start.
        assert!(report.incarnation <= starts, "{report:?}");
    }
    audit(&observer, &history).await.expect("what was acknowledged is there, once");
    let balanced = run_pbft(cluster.directory(), &["bank", "audit"]);
    assert!(balanced.status.success(), "{balanced:?}");
    // The model allows every step that any replica took, restarts included: among others, no replica
    // said two different things for one view and sequence number.
    cluster.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_told_to_stop_loses_nothing_and_says_so() {
    let mut cluster = ProcessCluster::start(Shape::default()).await;
    let observer = cluster.client(3);
    let clients = [cluster.client(0), cluster.client(1)];
    let mut workload = Workload::start(&clients, 2).await;
    workload.progress(10, PATIENCE).await.expect("operations");
    // All at the same time: none may wait for another.
    for id in 0..4 {
        cluster.process(id).signal(rustix::process::Signal::TERM);
    }
    let acknowledged = workload.acknowledged();
    for id in 0..4 {
        let process = cluster.process(id);
        let status = process.wait();
        assert_eq!(status.code(), Some(0), "{}", process.last_words());
        assert!(process.last_words().contains("stopped"), "{}", process.last_words());
        // Gone for good: this clears its place.
        cluster.kill_replica(id);
        cluster.start_replica(id);
    }
    wait_for(&observer, "all are back", |all| all.len() == 4).await;
    workload.progress(10, PATIENCE).await.expect("operations after the return");
    let history = workload.stop().await.expect("every operation is executed");
    assert!(history.operations() >= acknowledged + 10);
    agreement(&observer, 4).await;
    audit(&observer, &history).await.expect("what was acknowledged is there, once");
    cluster.finish();
}
