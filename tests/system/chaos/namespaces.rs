//! A real network between the replicas: each in a network namespace of its own, on a bridge, where the kernel takes links
//! down, and delays and loses packets if it has `netem`. Where that is not allowed (it takes root and `ip`) the test says
//! so, and ends.

use crate::replaced;
use pbft_core::types::View;
use pbft_node::client::Client;
use pbft_node::config::CLUSTER_FILE;
use pbft_tests::binary::pbft_binary;
use pbft_tests::cluster::{ProcessCluster, Shape, agreement, primary, wait_for};
use pbft_tests::proxy::readdress;
use pbft_tests::workload::{Workload, audit};
use std::process::Command;
use std::time::Duration;

const REPLICAS: u32 = 4;

/// Runs a command to its end: what it said, if it fails.
fn run(line: &str) -> Result<(), String> {
    let mut words = line.split_whitespace();
    let program = words.next().unwrap_or_default();
    let output = Command::new(program).args(words).output();
    let output = output.map_err(|error| format!("{line}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{line}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// A bridge with a namespace for each replica. They are gone when it is dropped.
struct Bridge {
    /// Tells this process's names from those of others.
    id: u32,
    /// Whether the kernel can delay and lose packets.
    netem: bool,
}

impl Bridge {
    /// Makes them, or says what is not permitted.
    fn make() -> Result<Self, String> {
        let mut bridge = Self { id: std::process::id(), netem: true };
        bridge.lay()?;
        if let Err(reason) = bridge.treat(0, "delay 0ms") {
            eprintln!("links only go down, packets are neither late nor lost: {reason}");
            bridge.netem = false;
        }
        Ok(bridge)
    }

    fn lay(&self) -> Result<(), String> {
        let name = self.name();
        run(&format!("ip link add {name} type bridge"))?;
        run(&format!("ip address add {}/24 dev {name}", self.address(254)))?;
        run(&format!("ip link set {name} up"))?;
        for replica in 0..REPLICAS {
            let (space, outer) = (self.space(replica), self.outer(replica));
            run(&format!("ip netns add {space}"))?;
            run(&format!("ip link add {outer} type veth peer name eth0 netns {space}"))?;
            run(&format!("ip link set {outer} master {name} up"))?;
            let address = self.address(replica + 1);
            run(&format!("ip -n {space} address add {address}/24 dev eth0"))?;
            run(&format!("ip -n {space} link set eth0 up"))?;
            run(&format!("ip -n {space} link set lo up"))?;
        }
        Ok(())
    }

    fn name(&self) -> String {
        format!("pbft{}", self.id)
    }

    fn space(&self, replica: u32) -> String {
        format!("pbft{}-{replica}", self.id)
    }

    /// The bridge's end of a replica's link.
    fn outer(&self, replica: u32) -> String {
        format!("pb{}v{replica}", self.id)
    }

    fn address(&self, host: u32) -> String {
        format!("10.213.{}.{host}", self.id % 256)
    }

    /// What the kernel does with the packets that a replica sends.
    fn treat(&self, replica: u32, how: &str) -> Result<(), String> {
        let space = self.space(replica);
        run(&format!("ip netns exec {space} tc qdisc replace dev eth0 root netem {how}"))
    }

    fn treat_all(&self, how: &str) {
        (0..REPLICAS).for_each(|replica| self.treat(replica, how).expect("it could before"));
    }

    /// Takes a replica's link down or up: nothing is sent or heard, and nobody is told.
    fn set_link(&self, replica: u32, state: &str) {
        run(&format!("ip link set {} {state}", self.outer(replica))).expect("it could before");
    }

    /// Gives the replicas of a cluster that is not started yet their addresses on the bridge.
    fn rewire(&self, cluster: &mut ProcessCluster) {
        let address = |replica: u32| {
            let info = &cluster.cluster.replicas()[replica as usize];
            let (_, port) = info.address.split_once(':').expect("host:port");
            Some(format!("{}:{port}", self.address(replica + 1)))
        };
        for id in 0..REPLICAS {
            let file = cluster.replica_directory(id).join(CLUSTER_FILE);
            readdress(&cluster.cluster, &file, address);
        }
        let file = cluster.directory().join("cluster").join(CLUSTER_FILE);
        cluster.cluster = readdress(&cluster.cluster, &file, address);
    }

    fn start(&self, cluster: &mut ProcessCluster, replica: u32) {
        let space = self.space(replica);
        let inside = ["ip", "netns", "exec", &space];
        cluster.start_replica_within(replica, &inside, pbft_binary());
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        for replica in 0..REPLICAS {
            // Its end of the link goes with it; any of them may not be there.
            run(&format!("ip netns delete {}", self.space(replica))).ok();
        }
        run(&format!("ip link delete {}", self.name())).ok();
    }
}

/// The highest view that a replica is in.
async fn view(observer: &Client) -> View {
    let all = wait_for(observer, "a replica answers", |all| !all.is_empty()).await;
    all.iter().map(|one| one.view).max().unwrap_or(View(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_are_delayed_and_lost_and_links_are_down_between_namespaces() {
    let bridge = match Bridge::make() {
        Ok(bridge) => bridge,
        Err(reason) => return eprintln!("skipped, no network namespaces here: {reason}"),
    };
    let view_timeout = Duration::from_secs(1);
    let mut cluster = ProcessCluster::create(Shape { view_timeout, ..Shape::default() });
    bridge.rewire(&mut cluster);
    (0..REPLICAS).for_each(|replica| bridge.start(&mut cluster, replica));
    let observer = cluster.client(3);
    wait_for(&observer, "all replicas answer", |all| all.len() == REPLICAS as usize).await;
    let clients = [cluster.client(0), cluster.client(1)];
    let mut workload = Workload::start(&clients, 2).await;
    let mut serves = async |operations, when: &str| {
        let progress = workload.progress(operations, crate::PATIENCE).await;
        progress.unwrap_or_else(|error| panic!("{when}: {error}"));
    };
    serves(10, "in the beginning").await;

    if bridge.netem {
        bridge.treat_all("delay 10ms 5ms loss 5%");
        serves(10, "with packets that are late or lost").await;
        bridge.treat_all("delay 0ms");

        // The primary hears everything, and nobody hears it.
        let alone = primary(&observer).await.0;
        let before = view(&observer).await;
        bridge.treat(alone, "loss 100%").expect("it could before");
        serves(10, "without what the primary sends").await;
        replaced(&observer, alone, before).await;
        bridge.treat(alone, "delay 0ms").expect("it could before");
    }

    // The next primary has no link at all.
    let alone = primary(&observer).await.0;
    let before = view(&observer).await;
    bridge.set_link(alone, "down");
    serves(10, "without the primary").await;
    replaced(&observer, alone, before).await;
    bridge.set_link(alone, "up");
    serves(10, "with all links up").await;

    let history = workload.stop().await.expect("every operation is executed");
    agreement(&observer, REPLICAS as usize).await;
    audit(&observer, &history).await.expect("what was acknowledged is there, once");
    cluster.assert_all_run();
    assert!(cluster.finish().steps > 50);
}
