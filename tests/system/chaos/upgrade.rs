//! Two builds in one cluster: each replica is stopped in order and started again with the other build, one after the other,
//! and back, while clients are served.
//!
//! `PBFT_OTHER_BINARY` names the other build, an earlier release or the parent commit (`.github/workflows/upgrade.yml`).
//! Without it the same build takes both parts, which says that replicas can be restarted one after the other, and nothing
//! about versions.

use crate::Chaos;
use pbft_tests::binary::pbft_binary;
use pbft_tests::cluster::wait_for;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const REPLICAS: u32 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_upgraded_one_after_the_other_and_back_under_load() {
    let named = std::env::var_os("PBFT_OTHER_BINARY").map(PathBuf::from);
    match &named {
        Some(other) => eprintln!("the other build is {}", other.display()),
        None => eprintln!("PBFT_OTHER_BINARY names no other build: this one is restarted"),
    }
    let other = named.unwrap_or_else(|| pbft_binary().to_owned());
    let mut chaos = Chaos::start_with(REPLICAS as u16, |cluster, id| {
        cluster.start_replica_of(id, &other);
    })
    .await;
    chaos.serves(10, "before the upgrade").await;
    for (restarts, program) in [(2, pbft_binary()), (3, &other)] {
        for id in 0..REPLICAS {
            exchange(&mut chaos, id, program, restarts).await;
        }
    }
    chaos.end(BTreeSet::new()).await;
}

/// Stops a replica, and starts it again with `program`; the next one goes only when this one is back.
async fn exchange(chaos: &mut Chaos, id: u32, program: &Path, incarnation: u64) {
    chaos.cluster.stop_replica(id);
    chaos.serves(5, &format!("without replica {id}")).await;
    chaos.cluster.start_replica_of(id, program);
    let back = wait_for(&chaos.observer, "the exchanged replica takes part", |all| {
        let exchanged = all.iter().find(|one| one.replica.0 == id);
        exchanged.is_some_and(|one| one.active && one.incarnation == incarnation)
            && all.len() == REPLICAS as usize
    });
    back.await;
    chaos.serves(5, &format!("with replica {id} exchanged, start {incarnation}")).await;
}
