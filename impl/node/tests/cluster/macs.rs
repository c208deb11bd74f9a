//! Clusters whose clients and replicas use message authentication codes in place of signatures.

use crate::harness::{TcpCluster, agreement, bank, client_key, cluster_file};
use crate::intruders::dial;
use bytes::Bytes;
use futures_util::SinkExt as _;
use pbft_core::crypto::sign;
use pbft_core::message::Request;
use pbft_core::params::ClientAuthentication;
use pbft_core::types::{ClientId, Lane, Principal, Session, Signature, Timestamp};
use pbft_ledger::{Ledger, Outcome};
use pbft_node::codec;
use pbft_node::config::Cluster;
use pbft_node::frame::ClientFrame;
use pbft_node::metrics::Metrics;
use std::path::Path;
use std::sync::Arc;

async fn with_macs() -> TcpCluster {
    let configuration = || {
        let mut file = cluster_file(4, '0');
        file.cluster.client_authentication = Some(ClientAuthentication::Macs);
        let text = toml::to_string(&file).expect("writable");
        Cluster::parse(&text, Path::new("cluster.toml")).expect("good")
    };
    TcpCluster::start_from(configuration, |_| Box::new(Ledger)).await
}

fn metrics(cluster: &TcpCluster, id: usize) -> Arc<Metrics> {
    Arc::clone(cluster.running[id].as_ref().expect("running").inbox.metrics())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cluster_with_macs_survives_its_primary() {
    let mut cluster = with_macs().await;
    let client = cluster.client(0);
    assert_eq!(bank(&client, "deposit alice 5").await, Outcome::Balance(5));
    agreement(&client).await;
    for id in 0..4 {
        assert!(metrics(&cluster, id).macs_checked.get() > 0, "replica {id}");
    }
    cluster.stop_replica(0).await;
    assert_eq!(bank(&client, "deposit alice 6").await, Outcome::Balance(11));
    cluster.start_replica(0).await;
    assert_eq!(bank(&client, "deposit alice 7").await, Outcome::Balance(18));
    agreement(&client).await;
}

/// A client convinces all replicas but one. That one neither believes it nor cuts off the primary, and learns the
/// outcome from the certificate.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_tag_spoiled_for_one_backup_costs_nobody_a_connection() {
    let cluster = with_macs().await;
    let id = ClientId(1);
    let (hand, _) = cluster.cluster.hand_and_ring(Principal::Client(id), client_key(id));
    let body = Request {
        client: id,
        lane: Lane(0),
        timestamp: Timestamp(1),
        session: Session::default(),
        operation: b"deposit alice 5".to_vec(),
    };
    let mut request = sign(&hand, cluster.cluster.id(), body);
    let mut tags = request.signature.to_bytes();
    tags[3 * 8] ^= 1;
    request.signature = Signature::from_bytes(&tags);
    let frame = codec::encode(&ClientFrame::Request(Arc::new(request))).expect("encoded");
    let mut connection = dial(&cluster.cluster, &client_key(id), 0, 0).await.expect("let in");
    connection.send(Bytes::from(frame)).await.expect("sent");

    let client = cluster.client(0);
    let everywhere = agreement_on(&client, "balance alice").await;
    assert_eq!(everywhere, Outcome::Balance(5));
    agreement(&client).await;
    let metrics = metrics(&cluster, 3);
    assert!(metrics.frames_refused.get("bad-authenticator") > 0, "{:?}", metrics.frames_refused);
    assert_eq!(metrics.disconnections.get("bad-signature"), 0);
    assert_eq!(client.view().0, 0, "nobody was suspected");
}

/// Outside fault F5: A poisoned request of one client changes views again and again, and hurts another client.
///
/// It convinces f+1 replicas; another client's request beside it is answered after one view change, and no more follow.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_poisoned_request_costs_one_view_change() {
    let cluster = with_macs().await;
    let id = ClientId(1);
    let (hand, _) = cluster.cluster.hand_and_ring(Principal::Client(id), client_key(id));
    let operation = b"deposit mallory 5".to_vec();
    let body = Request {
        client: id,
        lane: Lane(0),
        timestamp: Timestamp(1),
        session: Session(0),
        operation,
    };
    let mut request = sign(&hand, cluster.cluster.id(), body);
    let mut tags = request.signature.to_bytes();
    (tags[2 * 8], tags[3 * 8]) = (tags[2 * 8] ^ 1, tags[3 * 8] ^ 1);
    request.signature = Signature::from_bytes(&tags);
    let frame = codec::encode(&ClientFrame::Request(Arc::new(request))).expect("encoded");
    let mut connection = dial(&cluster.cluster, &client_key(id), 0, 0).await.expect("let in");
    connection.send(Bytes::from(frame)).await.expect("sent");

    let client = cluster.client(0);
    assert_eq!(bank(&client, "deposit alice 5").await, Outcome::Balance(5));
    assert_eq!(client.view().0, 1, "one view change");
    for balance in 6..20 {
        assert_eq!(bank(&client, "deposit alice 1").await, Outcome::Balance(balance));
    }
    assert_eq!(client.view().0, 1);
    agreement(&client).await;
}

/// The outcome of a query once it is not a refusal any more.
async fn agreement_on(client: &pbft_node::client::Client, query: &str) -> Outcome {
    for _ in 0..500 {
        let answer = client.query(query.as_bytes()).await.expect("answered");
        match Outcome::decode(&answer).expect("a ledger's answer") {
            Outcome::Refused(_) => {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            outcome => return outcome,
        }
    }
    panic!("the operation was never executed")
}
