//! Byzantine replicas as processes, each with the key, the disk and the connections of one replica.

use crate::{Chaos, liar};
use pbft_core::evidence::Contradiction;
use pbft_core::types::{ReplicaId, View};
use pbft_node::frame::StatusReport;
use pbft_node::store::Store;
use pbft_sim::behaviour::Behaviour;
use pbft_tests::cluster::{ProcessCluster, wait_for};
use std::collections::{BTreeMap, BTreeSet};

/// What the primary of the first view does, each time in a cluster of its own.
const AS_PRIMARY: [&[Behaviour]; 4] = [
    &[Behaviour::Equivocate, Behaviour::LieToClients],
    &[Behaviour::Slow],
    &[Behaviour::SkipReplicas, Behaviour::SkipClient],
    &[Behaviour::BadBatches],
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lying_primary_with_a_real_key_stops_nobody() {
    for (seed, lies) in (1..).zip(AS_PRIMARY) {
        let mut chaos = Chaos::start_with(4, |cluster, id| match id {
            0 => cluster.start_liar(0, liar(), seed, lies),
            _ => cluster.start_replica(id),
        })
        .await;
        chaos.serves(10, &format!("with a primary that lies: {lies:?}")).await;
        chaos.end(BTreeSet::from([0])).await;
    }
}

/// What a backup does, one list after the other in the same cluster.
const AS_BACKUP: [&[Behaviour]; 3] = [
    &[Behaviour::DoubleVote, Behaviour::OffByOne, Behaviour::BadSignatures],
    &[Behaviour::ViewChangeStorm, Behaviour::ForgeCertificates, Behaviour::HugeNumbers],
    &[
        Behaviour::BadCheckpoints,
        Behaviour::LyingSource,
        Behaviour::FakeProofs,
        Behaviour::Malformed,
    ],
];

/// Whoever sees two signed statements that contradict each other says so, and nobody is stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lying_backup_with_a_real_key_stops_nobody_and_is_noticed() {
    let mut chaos = Chaos::start_with(4, |cluster, id| match id {
        3 => cluster.start_liar(3, liar(), 1, AS_BACKUP[0]),
        _ => cluster.start_replica(id),
    })
    .await;
    chaos.serves(10, "with a liar").await;
    for (seed, lies) in (2..).zip(&AS_BACKUP[1..]) {
        chaos.cluster.kill_replica(3);
        chaos.cluster.start_liar(3, liar(), seed, lies);
        chaos.serves(10, "with a liar that was restarted").await;
    }
    let logs = (0..3).map(|id| chaos.cluster.process(id).log()).collect::<String>();
    assert!(logs.contains("evidence of a fault"), "nobody has noticed what it signed:\n{logs}");
    chaos.end(BTreeSet::from([3])).await;
}

/// How many pieces of evidence of each kind a replica says that it keeps.
async fn counted(cluster: &ProcessCluster, id: u32) -> BTreeMap<&'static str, u64> {
    let mut counted = BTreeMap::new();
    for kind in Contradiction::KINDS {
        let name = format!("evidence_total{{kind=\"{kind}\"}}");
        let count = cluster.metric(id, &name).await.expect("the replica counts it");
        counted.extend((count > 0).then_some((kind, count)));
    }
    counted
}

/// Outside fault F18: What a process with a real key signs against itself is kept nowhere, or convicts somebody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_liars_signatures_are_kept_as_evidence_against_it_alone() {
    let (witness, liars) = (1, BTreeSet::from([3]));
    let mut chaos = Chaos::start_with(4, |cluster, id| match id {
        3 => cluster.start_liar(3, liar(), 1, &[Behaviour::DoubleVote, Behaviour::BadCheckpoints]),
        _ => cluster.start_replica(id),
    })
    .await;
    chaos.serves(20, "with a liar").await;
    let accused_alone = |all: &[StatusReport]| {
        all.iter().any(|one| one.replica.0 == witness && one.accused().eq([ReplicaId(3)]))
    };
    wait_for(&chaos.observer, "the witness accuses the liar", accused_alone).await;
    let before = counted(&chaos.cluster, witness).await;

    chaos.cluster.stop_replica(witness);
    let params = chaos.cluster.cluster.params(ReplicaId(witness));
    let ring = chaos.cluster.cluster.key_ring();
    let directory = chaos.cluster.replica_directory(witness);
    let evidence = Store::examine(&directory).and_then(|store| store.evidence()).expect("read");
    let mut kept = BTreeMap::new();
    for one in &evidence {
        assert!(one.replica() == ReplicaId(3) && one.is_proof(&params, &ring), "{one}");
        *kept.entry(one.kind()).or_default() += 1;
    }
    assert!(
        before.iter().all(|(kind, count)| kept.get(kind) >= Some(count)),
        "{before:?} {kept:?}"
    );

    chaos.cluster.start_replica(witness);
    wait_for(&chaos.observer, "the witness remembers", accused_alone).await;
    let after = counted(&chaos.cluster, witness).await;
    assert!(kept.iter().all(|(kind, count)| after.get(kind) >= Some(count)), "{kept:?} {after:?}");
    chaos.end(liars).await;
}

/// Of seven replicas the first primary is silent, and the second one's NEW-VIEW is wrong: the third view is the first in which
/// anything happens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_lying_primaries_of_seven_are_replaced() {
    let mut chaos = Chaos::start_with(7, |cluster, id| match id {
        0 => cluster.start_liar(id, liar(), 1, &[Behaviour::Silent]),
        1 => {
            let lies =
                [Behaviour::WrongNewView, Behaviour::FakeNewView, Behaviour::StaleCertificates];
            cluster.start_liar(id, liar(), 2, &lies);
        }
        _ => cluster.start_replica(id),
    })
    .await;
    chaos.serves(10, "with two primaries that lie").await;
    let replaced = wait_for(&chaos.observer, "a later view", |all| {
        all.iter().filter(|one| one.replica.0 > 1 && one.view > View(0)).count() == 5
    });
    replaced.await;
    chaos.end(BTreeSet::from([0, 1])).await;
}
