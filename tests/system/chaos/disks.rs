//! Lost and damaged disks of real processes.

use crate::Chaos;
use pbft_tests::process::run_pbft;
use rustix::process::Signal;
use std::collections::BTreeSet;

const VICTIM: u32 = 3;

/// A store that is changed is refused, one that is lost is, too; `pbft recover` lets the replica come back as a learner,
/// which executes what the others decide.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_and_wiped_disks_are_refused_and_recovered() {
    let mut chaos = Chaos::start(4).await;
    chaos.serves(20, "in the beginning").await;
    chaos.cluster.kill_replica(VICTIM);
    let directory = chaos.cluster.directory().to_owned();
    let start = || run_pbft(&directory, &["start", "--dir", "cluster/replica-3"]);
    let store = chaos.cluster.replica_directory(VICTIM).join("data.redb");

    // Behind the first page, in every page: one that is free may say anything.
    let mut bytes = std::fs::read(&store).expect("a store");
    bytes[4096..].iter_mut().step_by(64).for_each(|byte| *byte ^= 0x55);
    std::fs::write(&store, &bytes).expect("damaged");
    let damaged = start();
    assert_eq!(damaged.status.code(), Some(5), "{damaged:?}");
    chaos.serves(10, "without the damaged replica").await;

    for name in ["data.redb", "store.id", "store.seal"] {
        std::fs::remove_file(chaos.cluster.replica_directory(VICTIM).join(name)).ok();
    }
    let lost = start();
    assert_eq!(lost.status.code(), Some(5), "{lost:?}");
    assert!(String::from_utf8_lossy(&lost.stderr).contains("pbft recover"), "{lost:?}");
    let recover = ["recover", "--dir", "cluster/replica-3", "--wait", "60"];
    let recovered = run_pbft(&directory, &recover);
    assert_eq!(recovered.status.code(), Some(0), "{recovered:?}");
    chaos.cluster.start_replica(VICTIM);
    chaos.serves(20, "with a learner").await;
    // To the model a replica that has lost its memory is one of the f faulty ones.
    chaos.end(BTreeSet::from([VICTIM])).await;
}

/// Seven replicas, of which two may be away: killed, frozen, cut off; and all of them killed at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seven_replicas_lose_two_at_a_time_and_then_all() {
    let mut chaos = Chaos::start(7).await;
    chaos.serves(10, "in the beginning").await;
    chaos.cluster.kill_replica(0);
    chaos.cluster.process(1).signal(Signal::STOP);
    chaos.serves(10, "without the first two primaries").await;
    chaos.cluster.process(1).signal(Signal::CONT);
    chaos.cluster.start_replica(0);
    chaos.fabric.set(pbft_tests::proxy::Mode::Cut, |from, to| from == 5 || to == 5);
    chaos.cluster.kill_replica(6);
    chaos.serves(10, "with one cut off and one killed").await;
    chaos.fabric.heal();
    chaos.cluster.kill_all();
    (0..7).for_each(|id| chaos.cluster.start_replica(id));
    chaos.serves(10, "after all were killed").await;
    assert!(chaos.workload.acknowledged() >= 40);
    chaos.end(BTreeSet::new()).await;
}
