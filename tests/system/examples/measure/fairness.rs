//! What a client gets done beside a hostile one that is on the allow-list, compared with what it gets done beside a correct
//! one with as many operations under way.

use super::hostile::{Hostile, Hostility};
use pbft_core::params::ClientAuthentication;
use pbft_core::types::View;
use pbft_node::client::Client;
use pbft_tests::cluster::{ProcessCluster, Shape, reports};
use pbft_tests::process::processor_time;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long is measured at a time, and how long the neighbour is there before.
const ROUND: Duration = Duration::from_secs(4);
const SETTLING: Duration = Duration::from_millis(500);

/// How often the correct neighbour and each hostile one take turns. The median of the ratios counts.
const ROUNDS: usize = 5;

/// Operations under way of the honest client. Its correct neighbour has as many, or one on each lane that the hostile one
/// uses.
const OUTSTANDING: usize = 32;

/// What an honest client must keep beside a hostile one, in percent of what it has beside a correct one.
const LEAST_PERCENT: f64 = 70.0;

/// A client beside the honest one, with one thread of its own, so that it takes no turns of the honest one's tasks.
struct Neighbour(Option<tokio::runtime::Runtime>);

impl Neighbour {
    fn start(begin: impl FnOnce()) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().expect("a thread");
        let inside = runtime.enter();
        begin();
        drop(inside);
        Self(Some(runtime))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(tokio::runtime::Runtime::shutdown_background);
    }
}

/// So many operations under way, one after the other, as long as the runtime lives; `count` is how many were answered.
fn busy(client: &Arc<Client>, count: &Arc<AtomicU64>, outstanding: usize, operation: &[u8]) {
    for _ in 0..outstanding {
        let (client, count, operation) =
            (Arc::clone(client), Arc::clone(count), operation.to_vec());
        tokio::spawn(async move {
            loop {
                if client.submit(operation.clone()).await.is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
}

/// What was seen beside one kind of neighbour, in all rounds.
#[derive(Default)]
struct Seen {
    operations: u64,
    /// Views that were left.
    views: u64,
    /// Processor time of the replicas, and of the clients' process.
    replicas: Duration,
    clients: Duration,
}

struct Bench {
    cluster: ProcessCluster,
    honest: Arc<Client>,
    count: Arc<AtomicU64>,
}

impl Bench {
    fn used(&mut self) -> (Duration, Duration) {
        let replicas = (0..4).map(|id| processor_time(self.cluster.process(id).id())).sum();
        (replicas, processor_time(std::process::id()))
    }

    /// One round beside a neighbour. Returns what the honest client got done.
    async fn round(&mut self, neighbour: Neighbour, seen: &mut Seen) -> u64 {
        let view = self.view().await.0;
        tokio::time::sleep(SETTLING).await;
        let (before, (replicas, clients)) = (self.count.load(Ordering::Relaxed), self.used());
        tokio::time::sleep(ROUND).await;
        let operations = self.count.load(Ordering::Relaxed) - before;
        seen.operations += operations;
        let used = self.used();
        seen.replicas += used.0 - replicas;
        seen.clients += used.1 - clients;
        drop(neighbour);
        tokio::time::sleep(SETTLING).await;
        seen.views += self.view().await.0 - view;
        operations
    }

    async fn view(&self) -> View {
        let all = reports(&self.honest).await;
        all.iter().map(|report| report.view).max().unwrap_or_default()
    }
}

/// What the honest client gets done beside a correct neighbour and beside each hostile one whose name contains `only`, in
/// turns, and the ratio: the median of the pairs, the least and the most. An error if the median is too low, or if more views
/// were left beside the hostile one.
pub(super) async fn fairness(only: Option<&str>, macs: bool) -> Result<(), String> {
    let client_authentication = match macs {
        true => ClientAuthentication::Macs,
        false => ClientAuthentication::Signatures,
    };
    let shape = Shape { checkpoint_interval: 64, client_authentication, ..Shape::default() };
    let cluster = ProcessCluster::start(shape).await;
    let (honest, count) = (cluster.client(0), Arc::default());
    busy(&honest, &count, OUTSTANDING, b"deposit alice 1");
    let hostile = Hostile::new(cluster.cluster.clone(), cluster.client_key(3));
    let mut bench = Bench { cluster, honest, count };
    let mut unfair = Vec::new();
    println!(
        "{:42} {:>8} {:>8} {:>18}  processor of replicas + clients",
        "", "correct", "hostile", "median"
    );
    for (hostility, name) in Hostility::ALL {
        if only.is_some_and(|word| !name.contains(word)) {
            continue;
        }
        let (mut correct, mut beside) = (Seen::default(), Seen::default());
        let mut percents = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let neighbour = Neighbour::start(|| {
                let (client, count) = (bench.cluster.client(1), Arc::default());
                busy(&client, &count, hostility.lanes().max(OUTSTANDING), &hostility.operation());
            });
            let whole = bench.round(neighbour, &mut correct).await;
            let hostile = Neighbour::start(|| hostile.start(hostility));
            let rest = bench.round(hostile, &mut beside).await;
            percents.push(100.0 * rest as f64 / whole.max(1) as f64);
        }
        percents.sort_by(f64::total_cmp);
        let (least, percent, most) = (percents[0], percents[ROUNDS / 2], percents[ROUNDS - 1]);
        let [before, with] = [&correct, &beside].map(|seen| {
            let [replicas, clients] = [seen.replicas, seen.clients].map(|t| t.as_secs_f64());
            format!("{replicas:.1} + {clients:.1} s")
        });
        let ratio = format!("{percent:.0} % ({least:.0} to {most:.0})");
        println!(
            "{name:42} {:>8} {:>8} {ratio:>18}  {before}, {with}; views left: {}, {}",
            correct.operations, beside.operations, correct.views, beside.views
        );
        if percent < LEAST_PERCENT || beside.views > correct.views {
            unfair.push(name);
        }
    }
    match unfair.is_empty() {
        true => Ok(()),
        false => {
            Err(format!("below {LEAST_PERCENT} %, or more views were left: {}", unfair.join("; ")))
        }
    }
}
