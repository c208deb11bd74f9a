//! Whoever speaks nonsense to a replica, or too much, or nothing at all, changes nothing for the others.

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use pbft_node::keys::SecretKey;
use pbft_node::transport::{Connection, HandshakeError, TlsIdentity, client_config, connect};
use pbft_tests::cluster::{ProcessCluster, Shape, agreement};
use pbft_tests::workload::{Workload, audit};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a replica may take to hang up.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many sockets say nothing.
const IDLE_SOCKETS: usize = 200;

/// How much memory a replica may need on top for all of this: unread frames of a few clients and the handshakes of
/// a crowd, but not one frame of the claimed sizes.
const GROWTH_MAX: u64 = 64 << 20;

async fn dial(cluster: &ProcessCluster, key: &SecretKey) -> Result<Connection, HandshakeError> {
    let replica = &cluster.cluster.replicas()[0];
    let identity = TlsIdentity::new(key).expect("a key");
    let tls = client_config(&identity, replica.key).expect("settings");
    connect(&replica.address, Arc::new(tls), cluster.cluster.id(), 1 << 20).await
}

async fn plain(cluster: &ProcessCluster) -> TcpStream {
    TcpStream::connect(&cluster.cluster.replicas()[0].address).await.expect("somebody listens")
}

/// Reads until the other end hangs up, and returns how much it said before.
async fn hung_up(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> usize {
    let mut heard = Vec::new();
    let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut heard)).await;
    assert!(end.is_ok(), "the connection stays open");
    heard.len()
}

/// Bytes that follow no rule, the same in every run.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// What is not even TLS, and TLS that breaks off or lies about its length.
async fn malformed_tls(cluster: &ProcessCluster) {
    let hello_cut_off =
        [&[0x16, 3, 1, 0x02, 0x00, 1, 0, 0x01, 0xfc, 3, 3][..], &noise(32)].concat();
    let record_too_long = [&[0x16, 3, 1, 0xff, 0xff][..], &noise(4096)].concat();
    let first_words = [
        noise(1 << 16),
        vec![0; 5000],
        b"GET / HTTP/1.1\r\nHost: replica\r\n\r\n".to_vec(),
        hello_cut_off,
        record_too_long,
        // Application data before any handshake.
        [&[0x17, 3, 3, 0x40, 0x00][..], &noise(0x4000)].concat(),
    ];
    for words in first_words {
        let mut stream = plain(cluster).await;
        // The other end may hang up before it has read all of it.
        stream.write_all(&words).await.ok();
        stream.shutdown().await.ok();
        let heard = hung_up(&mut stream).await;
        assert!(heard < 64, "at most an alert, not {heard} bytes");
    }
}

/// Frames from a client that is let in.
async fn malformed_frames(cluster: &ProcessCluster) {
    let key = cluster.client_key(3);
    for frame in [Vec::new(), vec![0xff; 8], noise(4000), vec![0; 200]] {
        let mut connection = dial(cluster, &key).await.expect("a client");
        connection.send(Bytes::from(frame.clone())).await.expect("sent");
        let answer = tokio::time::timeout(PATIENCE, connection.next()).await;
        assert!(matches!(answer, Ok(None | Some(Err(_)))), "{frame:02x?}: {answer:?}");
    }
    // Lengths that no frame has, announced by many connections; the bytes never come.
    for length in [0x7fff_ffff_u32, u32::MAX, 256 << 20, 16 << 20] {
        for _ in 0..8 {
            let connection = dial(cluster, &key).await.expect("a client");
            let mut stream = connection.into_parts().io;
            stream.write_all(&length.to_be_bytes()).await.expect("sent");
            stream.flush().await.expect("sent");
            hung_up(&mut stream).await;
        }
    }
}

/// Keys that are in no cluster file: a client's, and one that the caller made up just now.
async fn unknown_keys(cluster: &ProcessCluster) {
    for seed in 0..8 {
        let refused = dial(cluster, &SecretKey::from_seed(&[seed; 32])).await;
        assert!(refused.is_err(), "a stranger was let in");
    }
    let known = dial(cluster, &cluster.client_key(3)).await;
    assert!(known.is_ok(), "the same dialling works with a known key: {:?}", known.err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn junk_on_the_wire_changes_nothing_for_the_others() {
    let mut cluster = ProcessCluster::start(Shape::default()).await;
    let clients = [cluster.client(0), cluster.client(1)];
    let observer = cluster.client(2);
    let mut workload = Workload::start(&clients, 2).await;
    workload.progress(20, PATIENCE).await.expect("operations before");
    let memory_before = cluster.process(0).resident_bytes();
    let files_before = cluster.process(0).open_files();

    let mut crowd = Vec::new();
    for _ in 0..IDLE_SOCKETS {
        crowd.push(plain(&cluster).await);
    }
    malformed_tls(&cluster).await;
    unknown_keys(&cluster).await;
    malformed_frames(&cluster).await;
    workload.progress(20, PATIENCE).await.expect("operations in the midst of it");
    for stream in &mut crowd {
        hung_up(stream).await;
    }

    workload.progress(20, PATIENCE).await.expect("operations afterwards");
    let history = workload.stop().await.expect("every operation is executed");
    cluster.assert_all_run();
    let answers = agreement(&observer, 4).await;
    assert!(answers.iter().all(|report| report.incarnation == 1), "{answers:?}");
    audit(&observer, &history).await.expect("what was acknowledged is there, once");
    let memory = cluster.process(0).resident_bytes();
    assert!(memory < memory_before + GROWTH_MAX, "from {memory_before} to {memory} bytes");
    let files = cluster.process(0).open_files();
    assert!(files < files_before + IDLE_SOCKETS / 4, "from {files_before} to {files} open files");
    let log = cluster.process(0).log();
    assert!(log.contains("connection refused"), "the operator can see it");
    assert!(!log.contains("panicked"), "{log}");
    cluster.finish();
}
