//! A client that is on the allow-list and sends what a correct one never does, as fast as it is read.

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use pbft_core::crypto::{sign, sign_for_everybody};
use pbft_core::message::{Request, Signed};
use pbft_core::types::{Lane, Principal, Session, Timestamp};
use pbft_node::codec;
use pbft_node::config::Cluster;
use pbft_node::frame::{ClientFrame, WIRE_VERSION};
use pbft_node::keyring::KeySigner;
use pbft_node::keys::SecretKey;
use pbft_node::transport::{Connection, TlsIdentity, client_config, connect};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Connections at each replica: one more would close the oldest.
const CONNECTIONS: usize = 8;

/// Frames that are handed to a connection at once.
const AT_ONCE: usize = 32;

/// Lanes of a client by default.
const LANES: u64 = 128;

/// The lane on which a client shows what the others were: the last one.
const LAST_LANE: Lane = Lane(LANES as u16 - 1);

/// What the hostile client sends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Hostility {
    StatusRequests,
    OneRequest,
    FreshDeposits,
    FreshDepositsMany,
    EveryLane,
    BackupsOnly,
    HugeOperations,
    OldTimestamps,
    FarTimestamps,
    Queries,
    Unread,
    Reconnects,
}

impl Hostility {
    pub(super) const ALL: [(Self, &str); 12] = [
        (Self::StatusRequests, "status requests on eight connections"),
        (Self::OneRequest, "one request again and again"),
        (Self::FreshDeposits, "fresh deposits on one connection"),
        (Self::FreshDepositsMany, "fresh deposits on eight connections"),
        (Self::EveryLane, "deposits on every lane at once"),
        (Self::BackupsOnly, "deposits that only backups hear of"),
        (Self::HugeOperations, "operations of 64 KiB on every lane"),
        (Self::OldTimestamps, "requests that are too old, all different"),
        (Self::FarTimestamps, "requests above the last timestamp"),
        (Self::Queries, "queries on eight connections"),
        (Self::Unread, "deposits whose replies are not read"),
        (Self::Reconnects, "connections that are made and ended"),
    ];

    const fn connections(self) -> usize {
        match self {
            Self::OneRequest | Self::FreshDeposits | Self::BackupsOnly => 1,
            _ => CONNECTIONS,
        }
    }

    /// On how many lanes it has something under way.
    pub(super) const fn lanes(self) -> usize {
        match self {
            Self::EveryLane | Self::HugeOperations | Self::Unread => LANES as usize,
            _ => 1,
        }
    }

    /// What a correct client with as much work would submit.
    pub(super) fn operation(self) -> Vec<u8> {
        match self {
            Self::HugeOperations => vec![b'x'; 64 * 1024],
            _ => b"deposit mallory 1".to_vec(),
        }
    }

    /// Which replicas are bothered.
    fn replicas(self, n: usize) -> std::ops::Range<usize> {
        match self {
            Self::BackupsOnly => 1..n,
            _ => 0..n,
        }
    }
}

/// The client.
#[derive(Clone)]
pub(super) struct Hostile {
    cluster: Cluster,
    key: SecretKey,
    number: Arc<AtomicU64>,
}

impl Hostile {
    pub(super) fn new(cluster: Cluster, key: SecretKey) -> Self {
        // Each deposit is new, also after those of earlier rounds.
        Self { cluster, key, number: Arc::new(AtomicU64::new(1)) }
    }

    /// Starts all that it does, in the runtime that this is called in.
    pub(super) fn start(&self, hostility: Hostility) {
        for to in hostility.replicas(self.cluster.replicas().len()) {
            for _ in 0..hostility.connections() {
                tokio::spawn(self.clone().flood(hostility, to));
            }
        }
    }

    async fn dial(&self, to: usize) -> Option<Connection> {
        let identity = TlsIdentity::new(&self.key).ok()?;
        let replica = &self.cluster.replicas()[to];
        let mut tls = client_config(&identity, replica.key).ok()?;
        tls.alpn_protocols = vec![format!("pbft/{WIRE_VERSION}").into_bytes()];
        connect(&replica.address, Arc::new(tls), self.cluster.id(), 1 << 20).await.ok()
    }

    async fn flood(self, hostility: Hostility, to: usize) {
        let id = self.cluster.client_with(self.key.public()).expect("on the list");
        let (signer, _) = self.cluster.hand_and_ring(Principal::Client(id), self.key.clone());
        loop {
            let Some(connection) = self.dial(to).await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            if hostility == Hostility::Reconnects {
                continue;
            }
            let (mut sink, mut stream) = connection.split();
            let reading = async {
                if hostility == Hostility::Unread {
                    std::future::pending::<()>().await;
                }
                while let Some(Ok(_)) = stream.next().await {}
            };
            let writing = async {
                loop {
                    for _ in 0..AT_ONCE {
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

    fn frame(&self, hostility: Hostility, signer: &KeySigner) -> Bytes {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let deposit = || hostility.operation();
        let every = Lane((number % u64::from(LAST_LANE.0)) as u16);
        let frame = match hostility {
            Hostility::StatusRequests => ClientFrame::StatusRequest,
            Hostility::Queries => ClientFrame::Query { number, query: b"balance mallory".to_vec() },
            // The same at each replica and in each round: above what a correct neighbour used.
            Hostility::OneRequest => self.request(signer, LAST_LANE, 1 << 61, deposit()),
            Hostility::FreshDeposits | Hostility::FreshDepositsMany | Hostility::BackupsOnly => {
                self.request(signer, Lane(0), (1 << 60) + number, deposit())
            }
            Hostility::EveryLane | Hostility::Unread | Hostility::HugeOperations => {
                self.request(signer, every, (1 << 60) + number, deposit())
            }
            Hostility::OldTimestamps => {
                // Now and then the one that makes the others old.
                let timestamp = if number.is_multiple_of(1000) { 1 << 61 } else { number };
                self.request(signer, LAST_LANE, timestamp, deposit())
            }
            Hostility::FarTimestamps => {
                self.request(signer, Lane(0), u64::MAX - number % (1 << 20), deposit())
            }
            Hostility::Reconnects => return Bytes::new(),
        };
        Bytes::from(codec::encode(&frame).expect("a frame"))
    }

    fn request(
        &self,
        signer: &KeySigner,
        lane: Lane,
        timestamp: u64,
        operation: Vec<u8>,
    ) -> ClientFrame {
        let client = self.cluster.client_with(self.key.public()).expect("on the list");
        let (timestamp, session) = (Timestamp(timestamp), Session::default());
        let body = Request { client, lane, timestamp, session, operation };
        let cluster = self.cluster.id();
        // With authenticators, if the cluster takes them; every other one is signed all the same.
        let signed: Signed<Request> = match timestamp.0 % 2 {
            0 => sign(signer, cluster, body),
            _ => sign_for_everybody(signer, cluster, body),
        };
        ClientFrame::Request(Arc::new(signed))
    }
}
