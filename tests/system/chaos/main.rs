//! Chaos on real processes: `pbft` replicas with real disks, keys and connections, a proxy on each link between them, and
//! liars that are processes with a real key. Clients never notice more than a delay: what they saw is the history of one
//! ledger, and every step that a correct replica recorded is one that the model allows.
//!
//! `PBFT_CHAOS_ROUNDS` says how long the random runs are (a few rounds by default), and `PBFT_SEED` what happens in them.

mod disks;
mod liars;
mod links;
mod namespaces;
mod random;
mod upgrade;

use pbft_core::types::View;
use pbft_node::client::Client;
use pbft_node::frame::StatusReport;
use pbft_tests::cluster::{ProcessCluster, Shape, agreement, reports, wait_for};
use pbft_tests::proxy::Fabric;
use pbft_tests::workload::{Workload, audit};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a number of operations may take, some view changes included.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The program of a replica that lies.
pub(crate) fn liar() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pbft-liar"))
}

/// A cluster whose replicas reach each other through proxies, under load.
pub(crate) struct Chaos {
    pub(crate) cluster: ProcessCluster,
    pub(crate) fabric: Fabric,
    pub(crate) observer: Arc<Client>,
    pub(crate) workload: Workload,
}

impl Chaos {
    /// Starts `replicas` replicas and two clients with two workers each.
    pub(crate) async fn start(replicas: u16) -> Self {
        Self::start_with(replicas, |cluster, id| cluster.start_replica(id)).await
    }

    /// The same with another way to start each replica.
    pub(crate) async fn start_with(
        replicas: u16,
        start: impl Fn(&mut ProcessCluster, u32),
    ) -> Self {
        let view_timeout = Duration::from_secs(1);
        let mut cluster =
            ProcessCluster::create(Shape { replicas, view_timeout, ..Shape::default() });
        let fabric = Fabric::start(&cluster.cluster).await;
        fabric.rewire(&cluster.cluster, &cluster.directory().join("cluster"));
        (0..u32::from(replicas)).for_each(|id| start(&mut cluster, id));
        let observer = cluster.client(3);
        wait_for(&observer, "all replicas answer", |all| all.len() == usize::from(replicas)).await;
        let clients = [cluster.client(0), cluster.client(1)];
        let workload = Workload::start(&clients, 2).await;
        Self { cluster, fabric, observer, workload }
    }

    /// Waits until clients have been served so many times.
    pub(crate) async fn serves(&mut self, operations: u64, when: &str) {
        let progress = self.workload.progress(operations, PATIENCE).await;
        progress.unwrap_or_else(|error| panic!("{when}: {error}"));
    }

    /// Heals the network and judges the run: the replicas that are expected to be equal are, clients saw one ledger, and
    /// the model allows what the correct replicas recorded.
    pub(crate) async fn end(self, byzantine: BTreeSet<u32>) {
        let Self { mut cluster, mut fabric, observer, workload } = self;
        fabric.heal();
        let history = workload.stop().await.expect("every operation is executed");
        let n = cluster.cluster.replicas().len();
        if byzantine.is_empty() {
            agreement(&observer, n).await;
        } else {
            wait_for(&observer, "all correct replicas are in the same state", |all| {
                let mut correct = all.iter().filter(|one| !byzantine.contains(&one.replica.0));
                let ends = |one: &StatusReport| (one.last_executed, one.state);
                let first = correct.next().map(ends);
                let others: Vec<_> = correct.map(ends).collect();
                others.len() + 1 + byzantine.len() == n
                    && others.iter().all(|one| Some(*one) == first)
            })
            .await;
        }
        let of_correct = |one: &&StatusReport| !byzantine.contains(&one.replica.0);
        for report in reports(&observer).await.iter().filter(of_correct) {
            let accused: BTreeSet<u32> = report.accused().map(|id| id.0).collect();
            assert!(accused.is_subset(&byzantine), "{} accuses {accused:?}", report.replica);
        }
        audit(&observer, &history).await.expect("what was acknowledged is there, once");
        cluster.assert_all_run();
        assert!(fabric.is_well(), "a proxy has ended");
        let validation = cluster.finish_with(byzantine);
        assert!(validation.steps > 100, "{validation}");
    }
}

/// Waits until the three replicas beside `alone` have left `view`.
pub(crate) async fn replaced(observer: &Client, alone: u32, view: View) {
    wait_for(observer, "the others change the view", |all| {
        all.iter().filter(|one| one.replica.0 != alone && one.view > view).count() == 3
    })
    .await;
}
