//! What a client gets done beside a hostile one that is on the allow-list, compared with what it gets done beside a correct
//! one with as many operations under way.

use super::keep_busy;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use pbft_core::crypto::sign_for_everybody;
use pbft_core::message::Request;
use pbft_core::types::{Lane, Principal, Session, Timestamp};
use pbft_node::codec;
use pbft_node::config::Cluster;
use pbft_node::frame::{ClientFrame, WIRE_VERSION};
use pbft_node::keyring::KeySigner;
use pbft_node::keys::SecretKey;
use pbft_node::transport::{Connection, TlsIdentity, client_config, connect};
use pbft_tests::cluster::{ProcessCluster, Shape};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// How long is measured at a time.
const ROUND: Duration = Duration::from_secs(4);

/// How often the correct neighbour and each hostile one take turns.
const ROUNDS: usize = 3;

/// Operations under way of the honest client, and of its correct neighbour.
const OUTSTANDING: usize = 32;

/// Connections of the hostile client at each replica.
const CONNECTIONS: usize = 8;

/// What the hostile client sends, as fast as it is read.
#[derive(Clone, Copy)]
enum Hostility {
    StatusRequests,
    OneRequest,
    FreshDeposits,
}

impl Hostility {
    const ALL: [(Self, &str); 3] = [
        (Self::StatusRequests, "status requests on eight connections"),
        (Self::OneRequest, "one request again and again"),
        (Self::FreshDeposits, "fresh deposits"),
    ];
}

#[derive(Clone)]
struct Hostile {
    cluster: Cluster,
    key: SecretKey,
    number: Arc<AtomicU64>,
}

impl Hostile {
    async fn dial(&self, to: usize) -> Option<Connection> {
        let identity = TlsIdentity::new(&self.key).ok()?;
        let replica = &self.cluster.replicas()[to];
        let mut tls = client_config(&identity, replica.key).ok()?;
        tls.alpn_protocols = vec![format!("pbft/{WIRE_VERSION}").into_bytes()];
        connect(&replica.address, Arc::new(tls), self.cluster.id(), 1 << 20).await.ok()
    }

    fn frame(&self, hostility: Hostility, signer: &KeySigner) -> Bytes {
        let number = match hostility {
            Hostility::FreshDeposits => self.number.fetch_add(1, Ordering::Relaxed) + 2,
            Hostility::OneRequest | Hostility::StatusRequests => 1,
        };
        let client = self.cluster.client_with(self.key.public()).expect("on the list");
        let frame = match hostility {
            Hostility::StatusRequests => ClientFrame::StatusRequest,
            Hostility::OneRequest | Hostility::FreshDeposits => {
                let body = Request {
                    client,
                    lane: Lane(0),
                    // Above what it used as a correct neighbour.
                    timestamp: Timestamp((1 << 61) + number),
                    session: Session::default(),
                    operation: b"deposit mallory 1".to_vec(),
                };
                ClientFrame::Request(Arc::new(sign_for_everybody(signer, self.cluster.id(), body)))
            }
        };
        Bytes::from(codec::encode(&frame).expect("a small frame"))
    }

    async fn flood(self, hostility: Hostility, to: usize) {
        let id = self.cluster.client_with(self.key.public()).expect("on the list");
        let (signer, _) = self.cluster.hand_and_ring(Principal::Client(id), self.key.clone());
        loop {
            let Some(connection) = self.dial(to).await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (mut sink, mut stream) = connection.split();
            let reading = async { while let Some(Ok(_)) = stream.next().await {} };
            let writing = async {
                loop {
                    for _ in 0..32 {
                        if sink.feed(self.frame(hostility, &signer)).await.is_err() {
                            return;
                        }
                    }
                    if sink.flush().await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = reading => {}
                () = writing => {}
            }
        }
    }
}

async fn done_in_a_round(count: &AtomicU64) -> u64 {
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = count.load(Ordering::Relaxed);
    tokio::time::sleep(ROUND).await;
    count.load(Ordering::Relaxed) - before
}

/// What the honest client gets done beside a correct neighbour and beside each hostile one, in turns, and the ratio.
pub(super) async fn fairness() -> Result<(), String> {
    let cluster =
        ProcessCluster::start(Shape { checkpoint_interval: 64, ..Shape::default() }).await;
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (honest, neighbour) = (cluster.client(0), cluster.client(1));
    for worker in 0..OUTSTANDING {
        keep_busy(
            Arc::clone(&honest),
            Arc::clone(&stop),
            Arc::clone(&count),
            format!("h-{worker}"),
        );
    }
    let hostile = Hostile {
        cluster: cluster.cluster.clone(),
        key: cluster.client_key(3),
        number: Arc::default(),
    };
    for (hostility, name) in Hostility::ALL {
        let (mut beside_correct, mut beside_hostile) = (0, 0);
        for _ in 0..ROUNDS {
            let (leave, ignored) = (Arc::new(AtomicBool::new(false)), Arc::default());
            for worker in 0..OUTSTANDING {
                let (neighbour, leave) = (Arc::clone(&neighbour), Arc::clone(&leave));
                keep_busy(neighbour, leave, Arc::clone(&ignored), format!("n-{worker}"));
            }
            beside_correct += done_in_a_round(&count).await;
            leave.store(true, Ordering::Relaxed);
            let mut floods = JoinSet::new();
            let connections = match hostility {
                Hostility::StatusRequests => CONNECTIONS,
                Hostility::OneRequest | Hostility::FreshDeposits => 1,
            };
            for to in (0..4).flat_map(|to| std::iter::repeat_n(to, connections)) {
                floods.spawn(hostile.clone().flood(hostility, to));
            }
            beside_hostile += done_in_a_round(&count).await;
            floods.shutdown().await;
        }
        let percent = 100.0 * beside_hostile as f64 / beside_correct.max(1) as f64;
        let view = honest.view();
        println!(
            "{name:40} {beside_correct:>7} beside a correct client, {beside_hostile:>7} beside a \
             hostile one: {percent:.0} %, view {view}"
        );
    }
    stop.store(true, Ordering::Relaxed);
    Ok(())
}
