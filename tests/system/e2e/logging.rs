//! The log: what is in it, and that it never stops anything.

use pbft_node::admin;
use pbft_tests::binary::pbft_binary;
use pbft_tests::cluster::{ProcessCluster, Shape, agreement};
use pbft_tests::process::{PATIENCE, POLL, Process, pbft, wait_until};
use pbft_tests::workload::bank;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Runs a command whose standard error is a pipe that nobody reads, and which finds its disk full beyond a limit on the
/// size of files.
const DEAF: [&str; 6] =
    ["env", "--ignore-signal=XFSZ", "bash", "-c", "exec \"$@\" 2> >(exec true)", "bash"];

/// The most bytes that a file of this process may have; `None` for no limit.
fn limit_files(process: u32, bytes: Option<u64>) {
    let pid = Pid::from_raw(process.cast_signed()).expect("a process");
    let limit = Rlimit { current: bytes, maximum: None };
    prlimit(Some(pid), Resource::Fsize, limit).expect("a limit of a process of this user");
}

async fn wait_for_ready(cluster: &ProcessCluster, id: u32, ready: bool) {
    let began = Instant::now();
    let address = cluster.admin_address(id);
    while (admin::get(&address, "/ready").await.is_ok_and(|(code, _)| code == 200)) != ready {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: ready {ready}");
        tokio::time::sleep(POLL).await;
    }
}

/// Outside fault F13: A replica whose log nobody reads goes on, and heals when its full disk has room again.
/// Outside fault F12: With a full disk the replica is said to have stopped, and probes kill it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_log_reader_and_a_full_disk_stop_nobody() {
    let mut cluster = ProcessCluster::create(Shape::default());
    (0..4).for_each(|id| cluster.start_replica_within(id, &DEAF, pbft_binary()));
    let client = cluster.client(0);
    agreement(&client, 4).await;
    bank(&client, "deposit alice 1").await.expect("executed");

    // A peer comes and goes, of which every dialer and the listener have something to log.
    for _ in 0..2 {
        cluster.kill_replica(3);
        bank(&client, "deposit alice 1").await.expect("executed");
        cluster.start_replica_within(3, &DEAF, pbft_binary());
        agreement(&client, 4).await;
    }
    let lost = cluster.metric(0, "log_lines_dropped_total").await.expect("a metric");
    assert!(lost > 0, "nobody takes the lines");

    let process = cluster.process(1).id();
    limit_files(process, Some(0));
    for _ in 0..3 {
        bank(&client, "deposit alice 1").await.expect("executed by the others");
    }
    wait_for_ready(&cluster, 1, false).await;
    // Nothing that restarts what does not live may do so: it heals by itself.
    let probe = async |path| admin::get(&cluster.admin_address(1), path).await.expect("an answer");
    assert_eq!(probe("/live").await.0, 200);
    assert_eq!(probe("/ready").await, (503, "not ready: disk full, waiting for space\n".into()));
    assert_eq!((probe("/status").await.0, probe("/metrics").await.0), (200, 200));
    cluster.assert_all_run();
    limit_files(process, None);
    wait_for_ready(&cluster, 1, true).await;
    agreement(&client, 4).await;
    assert_eq!(cluster.process(1).id(), process, "nobody restarted it");
    cluster.assert_all_run();

    // Every vote of the other three is needed now, and its own.
    cluster.kill_replica(2);
    bank(&client, "deposit alice 1").await.expect("executed with the healed replica");
    cluster.assert_all_run();
}

/// Outside fault F13: A crowd that connects with garbage is a few lines in the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_with_garbage_is_a_few_lines() {
    const CROWD: usize = 3000;
    let mut cluster = ProcessCluster::start(Shape::default()).await;
    let before = cluster.process(0).log().lines().count();
    let address = cluster.cluster.replicas()[0].address.clone();
    for _ in 0..CROWD {
        let mut stream = TcpStream::connect(&address).expect("listened on");
        // It may hang up at once.
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").ok();
    }
    wait_until("the first is told", || cluster.process(0).log().contains("connection refused"));
    let client = cluster.client(0);
    bank(&client, "deposit alice 1").await.expect("executed");
    let (_, metrics) = admin::get(&cluster.admin_address(0), "/metrics").await.expect("metrics");
    let refused = metrics.lines().filter(|line| line.contains("handshakes_refused_total{"));
    let refused: usize =
        refused.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum();
    assert!(refused >= CROWD / 2, "{refused} of {CROWD} refusals are counted");
    let log = cluster.process(0).log();
    let lines = log.lines().count() - before;
    assert!(lines <= 10, "{lines} lines of {CROWD} connections:\n{log}");
    cluster.finish();
}

/// Outside fault F13: A view change is told with view, primary and reason, and normal operation is not told at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_tells_how_views_change_and_why() {
    let mut cluster = ProcessCluster::start(Shape::default()).await;
    let client = cluster.client(0);
    bank(&client, "deposit alice 1").await.expect("executed");
    let before = cluster.process(1).log().lines().count();
    for _ in 0..20 {
        bank(&client, "deposit alice 1").await.expect("executed");
    }
    let log = cluster.process(1).log();
    assert!(log.lines().count() <= before + 1, "operations are not told at info:\n{log}");
    assert!(log.contains("the replica begins view=0 executed=0 stable=0"), "{log}");

    cluster.kill_replica(0);
    bank(&client, "deposit alice 1").await.expect("executed");
    let logs = [1, 2, 3].map(|id| cluster.process(id).log());
    let timed_out = "leaves its view: a request was not executed in time";
    assert!(logs.iter().any(|log| log.contains(timed_out)), "{logs:#?}");
    for log in &logs[..1] {
        assert!(
            log.contains("leaves its view") && log.contains("view=1 left=0 primary=r0"),
            "{log}"
        );
        assert!(log.contains("enters a new view view=1 primary=r1"), "{log}");
        assert!(log.contains("replica{id=1}"), "{log}");
    }
    cluster.start_replica(0);
    agreement(&client, 4).await;
    cluster.finish();
}

/// Outside fault F15: Two processes with one key are named at both ends, and do not fight many times a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_with_one_key_are_named() {
    let mut cluster = ProcessCluster::create(Shape::default());
    let (own, twin) = (cluster.replica_directory(3), cluster.directory().join("twin"));
    std::fs::create_dir(&twin).expect("created");
    for file in
        ["cluster.toml", "replica.key", "data.redb", "data.journal", "store.id", "store.seal"]
    {
        std::fs::copy(own.join(file), twin.join(file)).expect("copied");
    }
    (0..4).for_each(|id| cluster.start_replica(id));
    agreement(&cluster.client(0), 4).await;
    let log = cluster.directory().join("twin.log");
    let arguments = ["start", "--until-stdin-ends", "--dir", "twin", "--listen", "127.0.0.1:0"];
    let twin = Process::spawn(&mut pbft(cluster.directory(), &arguments), &log);
    let handshakes = cluster.metric(0, "handshakes_total").await.expect("a metric");
    let began = Instant::now();
    let here = "the key of r3 is used by two processes, at 127.0.0.1:";
    let there = "is this replica's key used by another process, too?";
    wait_until("both ends name it", || {
        let ends = [twin.log(), cluster.process(3).log()];
        cluster.process(0).log().contains(here) && ends.iter().any(|log| log.contains(there))
    });
    while began.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(POLL).await;
    }
    let fought = cluster.metric(0, "handshakes_total").await.expect("a metric") - handshakes;
    let seconds = began.elapsed().as_secs();
    assert!(fought < 30 + 3 * seconds, "{fought} handshakes in {seconds} s");
    let lines = cluster.process(0).log().lines().filter(|line| line.contains(here)).count();
    assert!(lines <= 2, "{lines} lines");
    // Without the twin all is as before.
    drop(twin);
    let client = cluster.client(1);
    bank(&client, "deposit alice 1").await.expect("executed");
}
