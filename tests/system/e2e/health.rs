//! Who is told how a replica is, while others try to keep them from it; and a cluster that loses two disks.

use pbft_node::admin;
use pbft_tests::cluster::{ProcessCluster, Shape, agreement};
use pbft_tests::process::run_pbft;
use pbft_tests::workload::bank;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Sends a request a byte at a time, for as long as it is read, again and again.
fn dribble(address: &str, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(address) else { continue };
        for byte in b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n".iter().cycle() {
            if over.load(Ordering::Relaxed) || stream.write_all(&[*byte]).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Outside fault F12: Idle connections, and requests a byte at a time, blind the admin endpoint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_and_slow_connections_keep_no_probe_out() {
    let cluster = ProcessCluster::start(Shape::default()).await;
    bank(&cluster.client(0), "deposit alice 1").await.expect("executed");
    let address = cluster.admin_address(1);
    let idle: Vec<_> =
        (0..40).map(|_| TcpStream::connect(&address).expect("listened on")).collect();
    let over = Arc::new(AtomicBool::new(false));
    let slow: Vec<_> = (0..12)
        .map(|_| {
            let (address, over) = (address.clone(), Arc::clone(&over));
            thread::spawn(move || dribble(&address, &over))
        })
        .collect();
    let (began, mut answered) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(4) {
        for path in ["/live", "/ready"] {
            // One that comes at a bad moment asks again, as probes do before they give up.
            let mut answer = admin::get(&address, path).await;
            for _ in 0..5 {
                if answer.is_ok() {
                    break;
                }
                answer = admin::get(&address, path).await;
            }
            assert_eq!(answer.expect("an answer").0, 200, "{path}");
            answered += 1;
        }
    }
    assert!(answered > 10, "{answered} probes");
    let refused = cluster.metric(1, "admin_refused_total{reason=\"crowded\"}").await;
    assert!(refused.is_some_and(|refused| refused > 0), "{refused:?}");
    over.store(true, Ordering::Relaxed);
    slow.into_iter().for_each(|one| one.join().expect("no panic"));
    drop(idle);
    cluster.finish();
}

fn recover(cluster: &ProcessCluster, id: u32, more: &[&str]) -> Output {
    let directory = cluster.replica_directory(id);
    let own = ["recover", "--wait", "5", "--dir", directory.to_str().expect("text")];
    run_pbft(cluster.directory(), &[&own, more].concat())
}

/// Outside fault F11: Two disks are replaced one after the other in a quiet cluster, which stands still ever after and is
/// said to be in agreement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_recovery_that_would_leave_no_quorum_is_refused() {
    let mut cluster = ProcessCluster::start(Shape::default()).await;
    let client = cluster.client(0);
    bank(&client, "deposit alice 1").await.expect("executed");
    agreement(&client, 4).await;
    let lose = |cluster: &mut ProcessCluster, id: u32| {
        cluster.kill_replica(id);
        let store = cluster.replica_directory(id).join("data.redb");
        std::fs::remove_file(store).expect("there was one");
    };
    lose(&mut cluster, 3);
    let first = recover(&cluster, 3, &[]);
    assert!(first.status.success(), "{first:?}");
    cluster.start_replica(3);
    agreement(&client, 4).await;

    // It is up and agrees, and it votes for nothing yet: three do, which is a quorum.
    let status = || run_pbft(cluster.directory(), &["status", "--dir", "cluster"]);
    let told = status();
    let text = String::from_utf8_lossy(&told.stdout);
    assert!(text.contains("4 of 4 replicas answer, 3 vote, a quorum is 3"), "{text}");

    lose(&mut cluster, 2);
    let second = recover(&cluster, 2, &[]);
    let words = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(4), "{words}");
    assert!(words.contains("--accept-standstill"), "{words}");
    let accepted = recover(&cluster, 2, &["--accept-standstill"]);
    assert!(accepted.status.success(), "{accepted:?}");
    cluster.start_replica(2);
    agreement(&client, 4).await;
    let told = run_pbft(cluster.directory(), &["status", "--dir", "cluster"]);
    let text = String::from_utf8_lossy(&told.stdout);
    let standstill = "4 of 4 replicas answer, 2 vote, a quorum is 3: nothing can be executed";
    assert!(text.contains(standstill), "{text}");
    assert_eq!(told.status.code(), Some(4), "{text}");
    // To the model two that lost their memory are more than f faulty ones: there is nothing to validate.
    cluster.assert_all_run();
}
