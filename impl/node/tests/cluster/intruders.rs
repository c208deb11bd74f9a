//! Whoever does not belong here is not let in; whoever misbehaves is cut off; the others do not notice.

use crate::harness::{self, TcpCluster, bank, client_key, replica_key};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use pbft_core::types::ClientId;
use pbft_ledger::Outcome;
use pbft_node::codec;
use pbft_node::config::Cluster;
use pbft_node::frame::{ClientFrame, Hello, ReplicaFrame, WIRE_VERSION};
use pbft_node::keys::SecretKey;
use pbft_node::transport::{Connection, HandshakeError, TlsIdentity, client_config, connect};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const FRAME_MAX: usize = 1 << 20;

/// Dials replica `to`, expecting the key of replica `expected`.
pub(crate) async fn dial(
    cluster: &Cluster,
    key: &SecretKey,
    to: usize,
    expected: usize,
) -> Result<Connection, HandshakeError> {
    let identity = TlsIdentity::new(key).expect("a key");
    let tls = client_config(&identity, cluster.replicas()[expected].key).expect("settings");
    connect(&cluster.replicas()[to].address, Arc::new(tls), cluster.id(), FRAME_MAX).await
}

/// Waits until replica `id` has counted at least one connection refused for `reason`: the dialing end may know first.
async fn refused(running: &TcpCluster, id: usize, reason: &str) {
    let metrics = running.running[id].as_ref().expect("running").inbox.metrics();
    for _ in 0..500 {
        if metrics.handshakes_refused.get(reason) > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no connection was refused for {reason}: {:?}", metrics.handshakes_refused.counts());
}

/// Whether the other end hangs up without a word.
async fn is_cut_off(mut connection: Connection) -> bool {
    let end = tokio::time::timeout(Duration::from_secs(10), connection.next()).await;
    matches!(end, Ok(None | Some(Err(_))))
}

async fn assert_serving(cluster: &TcpCluster, balance: u64) {
    let client = cluster.client(0);
    assert_eq!(bank(&client, "deposit alice 1").await, Outcome::Balance(balance));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn unknown_keys_wrong_ids_and_other_clusters_are_refused() {
    let running = TcpCluster::start(4).await;
    let cluster = &running.cluster;
    let good = dial(cluster, &client_key(ClientId(0)), 0, 0).await;
    assert!(good.is_ok(), "{:?}", good.err());
    let stranger = dial(cluster, &SecretKey::from_seed(&[99; 32]), 0, 0).await;
    assert!(matches!(stranger, Err(HandshakeError::Unwelcome)), "{:?}", stranger.err());
    refused(&running, 0, "unknown-key").await;
    let elsewhere = dial(cluster, &client_key(ClientId(0)), 0, 1).await;
    assert!(matches!(elsewhere, Err(HandshakeError::Io(_))), "replica 0 is not replica 1");

    // The same keys and addresses, but another cluster id.
    let other = harness::cluster(4, '1');
    assert_ne!(other.id(), cluster.id());
    let identity = TlsIdentity::new(&replica_key(3)).expect("a key");
    let tls = client_config(&identity, cluster.replicas()[0].key).expect("settings");
    let address = &cluster.replicas()[0].address;
    let foreign = connect(address, Arc::new(tls), other.id(), FRAME_MAX).await;
    assert!(matches!(foreign, Err(HandshakeError::Cluster { .. })), "{:?}", foreign.err());
    refused(&running, 0, "wrong-cluster").await;
    assert_serving(&running, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn another_version_is_refused() {
    let running = TcpCluster::start(4).await;
    let cluster = &running.cluster;
    let identity = TlsIdentity::new(&replica_key(3)).expect("a key");
    let mut older = client_config(&identity, cluster.replicas()[0].key).expect("settings");
    older.alpn_protocols = vec![format!("pbft/{}", WIRE_VERSION - 1).into_bytes()];
    let address = &cluster.replicas()[0].address;
    let refusal = connect(address, Arc::new(older), cluster.id(), FRAME_MAX).await;
    assert!(matches!(refusal, Err(HandshakeError::Protocol)), "{:?}", refusal.err());
    refused(&running, 0, "wrong-version").await;
    assert_serving(&running, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn plain_text_and_silence_get_nowhere() {
    let running = TcpCluster::start(4).await;
    let address = &running.cluster.replicas()[0].address;
    let mut plain = TcpStream::connect(address).await.expect("connected");
    plain.write_all(&[0xff; 4096]).await.expect("written");
    let mut silent = TcpStream::connect(address).await.expect("connected");
    assert_serving(&running, 1).await;
    let mut heard = Vec::new();
    for stream in [&mut plain, &mut silent] {
        // At most an alert comes before the end.
        let end = stream.read_to_end(&mut heard);
        let ended = tokio::time::timeout(Duration::from_secs(20), end).await;
        assert!(ended.is_ok(), "the connection stays open");
    }
    assert!(heard.len() < 100);
    refused(&running, 0, "not-tls").await;
    refused(&running, 0, "deadline").await;
}

/// A handshake whose bytes come one by one ends at the same deadline as one without any.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_handshake_ends() {
    let running = TcpCluster::start(4).await;
    let address = &running.cluster.replicas()[0].address;
    let mut slow = TcpStream::connect(address).await.expect("connected");
    // The header of a TLS record that promises 500 bytes.
    slow.write_all(&[22, 3, 1, 1, 0xf4]).await.expect("written");
    let ended = async {
        while slow.write_all(&[1]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it was cut off");
    refused(&running, 0, "deadline").await;
    assert_serving(&running, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_that_only_connects_keeps_nobody_out() {
    let running = TcpCluster::start(4).await;
    let address = &running.cluster.replicas()[0].address;
    let mut crowd = Vec::new();
    for _ in 0..1000 {
        crowd.push(TcpStream::connect(address).await.expect("connected"));
    }
    let good = dial(&running.cluster, &client_key(ClientId(0)), 0, 0).await;
    assert!(good.is_ok(), "{:?}", good.err());
    refused(&running, 0, "crowded-out").await;
    assert_serving(&running, 1).await;
}

/// Outside fault F16: Who connects again and again is answered later and later, and those who are connected are served.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_connects_again_and_again_is_slowed_down() {
    let running = TcpCluster::start(4).await;
    let client = running.client(0);
    assert_eq!(bank(&client, "deposit alice 1").await, Outcome::Balance(1));
    let replica = &running.cluster.replicas()[0];
    let identity = TlsIdentity::new(&client_key(ClientId(1))).expect("a key");
    let settings = Arc::new(client_config(&identity, replica.key).expect("settings"));
    let name = rustls::pki_types::ServerName::try_from("replica").expect("a name");
    let mut tls = rustls::ClientConnection::new(settings, name).expect("a client");
    let mut hello = Vec::new();
    tls.write_tls(&mut hello).expect("written");
    // Far more than have a turn while these are sent, however slow the machine is.
    for _ in 0..3000 {
        let mut stream = TcpStream::connect(&replica.address).await.expect("connected");
        stream.write_all(&hello).await.expect("written");
    }
    refused(&running, 0, "too-often").await;
    assert_eq!(bank(&client, "deposit alice 1").await, Outcome::Balance(2));
}

/// Outside fault F16: A client that sends all that it has to backups, too, has the primary hear it four times.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_reads_a_clients_bytes_at_a_quarter_of_the_rate() {
    const FRAMES: u32 = 400;
    let running = TcpCluster::start(4).await;
    let query = ClientFrame::Query { number: 1, query: vec![b'x'; 60_000] };
    let frame = Bytes::from(codec::encode(&query).expect("encoded"));
    let mut connection =
        dial(&running.cluster, &client_key(ClientId(1)), 1, 1).await.expect("a known key");
    let begun = std::time::Instant::now();
    for _ in 0..FRAMES {
        connection.feed(frame.clone()).await.expect("written");
    }
    let status = codec::encode(&ClientFrame::StatusRequest).expect("encoded");
    connection.send(Bytes::from(status)).await.expect("written");
    loop {
        let frame = connection.next().await.expect("connected").expect("a frame");
        if let Ok(ReplicaFrame::Status(_)) = codec::decode(&frame) {
            break;
        }
    }
    // At 8 MiB a second, from the first byte on, and two milliseconds for each.
    assert!(begun.elapsed() >= Duration::from_millis(3500), "{:?}", begun.elapsed());
}

/// A client on the allow-list sends signatures that do not verify: each costs it its connection, and the others
/// nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bad_signatures_are_counted_and_cut_off() {
    const FLOOD: usize = 200;
    let running = TcpCluster::start(4).await;
    let body = |timestamp| pbft_core::message::Request {
        client: ClientId(1),
        lane: pbft_core::types::Lane(0),
        timestamp: pbft_core::types::Timestamp(timestamp),
        session: pbft_core::types::Session::default(),
        operation: b"deposit mallory 1".to_vec(),
    };
    let stranger = pbft_node::keyring::KeySigner::new(SecretKey::from_seed(&[99; 32]));
    let cluster = running.cluster.clone();
    let flood = tokio::spawn(async move {
        for timestamp in 0..FLOOD as u64 {
            let forged = pbft_core::crypto::sign(&stranger, cluster.id(), body(timestamp));
            let frame = codec::encode(&ClientFrame::Request(Arc::new(forged))).expect("encoded");
            let key = client_key(ClientId(1));
            let mut connection = dial(&cluster, &key, 0, 0).await.expect("a known key");
            // The first one ends the connection, so the others are not even read.
            for _ in 0..5 {
                let _ = connection.send(Bytes::from(frame.clone())).await;
            }
            assert!(is_cut_off(connection).await);
        }
    });
    let client = running.client(0);
    for balance in 1..=5 {
        assert_eq!(bank(&client, "deposit alice 1").await, Outcome::Balance(balance));
    }
    flood.await.expect("no panic");
    let metrics = running.running[0].as_ref().expect("running").inbox.metrics();
    assert_eq!(metrics.frames_refused.get("bad-signature"), FLOOD as u64);
    assert_eq!(metrics.disconnections.get("bad-signature"), FLOOD as u64);
    assert!(metrics.client_connections.get() <= 3, "{}", metrics.client_connections.get());
    let balance = bank(&client, "balance mallory").await;
    assert!(matches!(balance, Outcome::Refused(_)), "{balance:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn malformed_and_oversized_frames_end_the_connection() {
    let mut running = TcpCluster::start(4).await;
    running.stop_replica(3).await;
    let cluster = running.cluster.clone();
    // A client, and the fourth replica: inside the walls, and faulty.
    for key in [client_key(ClientId(1)), replica_key(3)] {
        let hello = codec::encode(&Hello {
            version: WIRE_VERSION,
            cluster: cluster.id(),
            position: Default::default(),
        });
        let garbage = [
            Bytes::from_static(b""),
            Bytes::from_static(b"garbage"),
            Bytes::from(hello.expect("encoded")),
            Bytes::from(vec![0xff; 5000]),
            // A prepare of far too many bytes, and a batch that claims 2^60 requests.
            Bytes::from([&[2, 0, 0, 0][..], &[0; 100_000]].concat()),
            Bytes::from([&[11, 0, 0, 0][..], &(1u64 << 60).to_le_bytes()].concat()),
        ];
        for frame in garbage {
            let mut connection = dial(&cluster, &key, 0, 0).await.expect("a known key");
            // A long frame may be cut off while it is still being sent.
            let sent = connection.send(frame.clone()).await;
            let cut_off = sent.is_err() || is_cut_off(connection).await;
            assert!(cut_off, "{:?}", frame.slice(..frame.len().min(8)));
        }
        // A length beyond every limit, before any of the bytes that it promises.
        let connection = dial(&cluster, &key, 0, 0).await.expect("a known key");
        let mut parts = connection.into_parts();
        parts.io.write_all(&0x7fff_ffff_u32.to_be_bytes()).await.expect("written");
        parts.io.flush().await.expect("written");
        let mut byte = [0; 1];
        let end = tokio::time::timeout(Duration::from_secs(10), parts.io.read(&mut byte)).await;
        assert!(matches!(end, Ok(Ok(0) | Err(_))), "{end:?}");
    }
    assert_serving(&running, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_cannot_speak_for_another() {
    let running = TcpCluster::start(4).await;
    let mut connection =
        dial(&running.cluster, &client_key(ClientId(1)), 0, 0).await.expect("a known key");
    let body = pbft_core::message::Request {
        client: ClientId(0),
        lane: pbft_core::types::Lane(0),
        timestamp: pbft_core::types::Timestamp(1),
        session: pbft_core::types::Session::default(),
        operation: b"deposit mallory 1".to_vec(),
    };
    let signer = pbft_node::keyring::KeySigner::new(client_key(ClientId(1)));
    let forged = pbft_core::crypto::sign(&signer, running.cluster.id(), body);
    let frame = codec::encode(&ClientFrame::Request(Arc::new(forged))).expect("encoded");
    connection.send(Bytes::from(frame)).await.expect("sent");
    let answer = connection.next().await.expect("an answer").expect("a frame");
    let answer: pbft_node::frame::ReplicaFrame = codec::decode(&answer).expect("readable");
    let reason = match answer {
        pbft_node::frame::ReplicaFrame::Refused { reason, .. } => Some(reason),
        _ => None,
    };
    assert_eq!(reason, Some(pbft_node::frame::RefusalReason::NotYours));
    let balance = bank(&running.client(0), "balance mallory").await;
    assert!(matches!(balance, Outcome::Refused(_)), "{balance:?}");
}
