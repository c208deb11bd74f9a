//! What long and narrow links cost: a proxy on each link between the replicas delays what is sent, or lets little of it
//! through at a time.

use super::{MIB, fill, keep_busy};
use pbft_core::Standing;
use pbft_node::frame::StatusReport;
use pbft_tests::cluster::{ProcessCluster, Shape, in_agreement, reports, wait_for};
use pbft_tests::process::POLL;
use pbft_tests::proxy::{Fabric, Mode};
use pbft_tests::workload::bank;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The replica that has to catch up.
const LAGGARD: u32 = 3;

/// How long a measurement may take before it counts as one that never ends.
const LONGEST: Duration = Duration::from_secs(180);

async fn wired(shape: Shape) -> (ProcessCluster, Fabric) {
    let cluster = ProcessCluster::create(shape);
    let fabric = Fabric::start(&cluster.cluster).await;
    fabric.rewire(&cluster.cluster, &cluster.directory().join("cluster"));
    (cluster, fabric)
}

/// Fills three replicas with a state, and has them work until the fourth one needs it.
async fn ahead(cluster: &mut ProcessCluster, bytes: usize) -> Result<(), String> {
    let others = || (0..4).filter(|id| *id != LAGGARD);
    for id in others() {
        fill(cluster, id, bytes)?;
    }
    others().for_each(|id| cluster.start_replica(id));
    let client = cluster.client(0);
    wait_for(&client, "three answer", |all| all.len() == 3).await;
    for _ in 0..40 {
        bank(&client, "deposit alice 1").await?;
    }
    // What is queued for the fourth would let it execute from the beginning, which it has not.
    for id in others() {
        cluster.kill_replica(id);
        cluster.start_replica(id);
    }
    wait_for(&client, "three are back", |all| all.len() == 3).await;
    Ok(())
}

/// A state comes over links that let 600 kB a second through, all together.
pub(super) async fn narrow() -> Result<(), String> {
    let (bytes, rate) = (7 * MIB + 6 * MIB / 10, 600_000);
    let (mut cluster, fabric) = wired(Shape::default()).await;
    ahead(&mut cluster, bytes).await?;
    fabric.narrow(LAGGARD, rate);
    let (client, began) = (cluster.client(0), Instant::now());
    cluster.start_replica(LAGGARD);
    while !in_agreement(&reports(&client).await, 4) {
        if began.elapsed() > LONGEST {
            return Err(format!("the state did not arrive in {LONGEST:?}"));
        }
        tokio::time::sleep(POLL).await;
    }
    let took = began.elapsed().as_secs_f64();
    let received = cluster.metric(LAGGARD, "peer_received_bytes_total").await.unwrap_or(0);
    let connections = cluster.metric(LAGGARD, "handshakes_total").await.unwrap_or(0);
    let received = received as f64 / MIB as f64;
    println!(
        "7.6 MiB of ledger at 600 kB/s (no less than {:.0} s): {took:.1} s, {received:.1} MiB received on {connections} \
         connections, one of them the client's and three the replicas'",
        bytes as f64 / f64::from(rate)
    );
    Ok(())
}

/// A replica fetches a state with round trips of 30 ms while the others go on and make one checkpoint after the other.
pub(super) async fn overtaken() -> Result<(), String> {
    let (mut cluster, fabric) = wired(Shape::default()).await;
    ahead(&mut cluster, 8 * MIB).await?;
    let is_long = |from, to| from == LAGGARD || to == LAGGARD;
    fabric.set(Mode::Open(Duration::from_millis(15)), is_long);
    let client = cluster.client(0);
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    for worker in 0..4 {
        let (client, stop) = (Arc::clone(&client), Arc::clone(&stop));
        keep_busy(client, stop, Arc::clone(&count), format!("worker-{worker}"));
    }
    let stable = async || {
        let all = reports(&client).await;
        all.iter().map(|report| report.low_water_mark.0).max().unwrap_or(0)
    };
    let (began, first) = (Instant::now(), stable().await);
    cluster.start_replica(LAGGARD);
    let took = loop {
        let all = reports(&client).await;
        let is_level = |report: &StatusReport| {
            report.replica.0 == LAGGARD
                && report.standing == Standing::Votes
                && report.low_water_mark.0 > first
        };
        if all.iter().any(is_level) {
            break Some(began.elapsed());
        }
        if began.elapsed() > LONGEST {
            break None;
        }
        tokio::time::sleep(POLL).await;
    };
    let (seconds, checkpoints) = (began.elapsed().as_secs_f64(), (stable().await - first) / 8);
    stop.store(true, Ordering::Relaxed);
    let pace = 1000.0 * seconds / checkpoints.max(1) as f64;
    println!(
        "8 MiB of ledger with round trips of 30 ms, a checkpoint every {pace:.0} ms: {}",
        took.map_or(format!("not in {LONGEST:?}"), |took| format!("{:.1} s", took.as_secs_f64()))
    );
    Ok(())
}
