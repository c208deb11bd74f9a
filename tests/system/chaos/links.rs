//! Faults of the network between real processes.

use crate::{Chaos, replaced};
use pbft_core::types::View;
use pbft_tests::cluster::primary;
use pbft_tests::proxy::Mode;
use std::collections::BTreeSet;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_are_cut_held_delayed_and_broken_under_load() {
    let mut chaos = Chaos::start(4).await;
    chaos.serves(20, "in the beginning").await;

    // One direction only: a backup hears nothing of the primary, which hears everything.
    chaos.fabric.set(Mode::Cut, |from, to| (from, to) == (0, 1));
    chaos.serves(20, "with a link cut in one direction").await;
    chaos.fabric.heal();

    // The primary is alone, and does not know: what it sends waits.
    let alone = primary(&chaos.observer).await.0;
    chaos.fabric.set(Mode::Held, |from, to| from == alone || to == alone);
    chaos.serves(20, "without the primary").await;
    replaced(&chaos.observer, alone, View(0)).await;
    chaos.fabric.heal();

    // A ring: everybody speaks to the next two only, so each hears two of the others.
    chaos.fabric.set(Mode::Cut, |from, to| (from + 3) % 4 == to);
    chaos.serves(10, "in a ring").await;
    chaos.fabric.heal();

    chaos.fabric.set(Mode::Open(Duration::from_millis(20)), |_, _| true);
    chaos.serves(10, "over slow links").await;
    for _ in 0..3 {
        chaos.fabric.sever();
        chaos.serves(5, "over connections that break").await;
    }

    // Two and two: nobody has a quorum, and nothing happens until they meet again.
    chaos.fabric.set(Mode::Cut, |from, to| from % 2 != to % 2);
    tokio::time::sleep(Duration::from_secs(1)).await;
    chaos.fabric.heal();
    chaos.serves(20, "after a split in two").await;
    chaos.end(BTreeSet::new()).await;
}
