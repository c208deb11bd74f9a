//! What is left of the throughput while somebody attacks all replicas.

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use pbft_core::crypto::sign;
use pbft_core::message::Request;
use pbft_core::types::{Digest, Lane, Session, Timestamp};
use pbft_node::admin;
use pbft_node::codec;
use pbft_node::config::Cluster;
use pbft_node::frame::{ClientFrame, WIRE_VERSION};
use pbft_node::keyring::KeySigner;
use pbft_node::keys::SecretKey;
use pbft_node::transport::{Connection, TlsIdentity, client_config, connect};
use pbft_tests::cluster::{ProcessCluster, Shape};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::keep_busy;

/// How long the throughput is measured at a time.
const ROUND: Duration = Duration::from_secs(4);

/// How often it is measured without and with each attack, in turns.
const ROUNDS: u32 = 3;

/// Operations under way.
const OUTSTANDING: usize = 64;

/// The time between two attempts at a replica: the attacker works on the same processors.
const PACE: Duration = Duration::from_millis(40);

/// Sockets that are kept open at each replica: a thousand at four.
const IDLE: usize = 250;

/// Connections at each replica whose bytes come one by one.
const SLOW: usize = 50;

/// Requests with a bad signature in one go. The first one ends the connection, the others are sent all the same.
const FLOOD: u64 = 1000;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Attack {
    UnknownKey,
    WrongReplica,
    OtherCluster,
    OlderVersion,
    Plaintext,
    IdleSockets,
    SlowLoris,
    BadSignatures,
}

impl Attack {
    const ALL: [Self; 8] = [
        Self::UnknownKey,
        Self::WrongReplica,
        Self::OtherCluster,
        Self::OlderVersion,
        Self::Plaintext,
        Self::IdleSockets,
        Self::SlowLoris,
        Self::BadSignatures,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::UnknownKey => "an unknown key",
            Self::WrongReplica => "a key with the wrong id",
            Self::OtherCluster => "another cluster's id",
            Self::OlderVersion => "an older version",
            Self::Plaintext => "no TLS",
            Self::IdleSockets => "idle connections",
            Self::SlowLoris => "handshakes byte by byte",
            Self::BadSignatures => "bad signatures",
        }
    }
}

/// What an attacker knows, and how far it has come.
struct Attacker {
    cluster: Cluster,
    /// A key that is let in: a client's.
    known: SecretKey,
    attempts: AtomicU64,
    /// Messages with a bad signature.
    forged: AtomicU64,
}

impl Attacker {
    /// Dials replica `to` as whoever has `key`, taking it for replica `taken_for`.
    async fn dial(
        &self,
        key: &SecretKey,
        to: usize,
        taken_for: usize,
        cluster: Digest,
        version: u16,
    ) -> Option<Connection> {
        let identity = TlsIdentity::new(key).ok()?;
        let mut tls = client_config(&identity, self.cluster.replicas()[taken_for].key).ok()?;
        tls.alpn_protocols = vec![format!("pbft/{version}").into_bytes()];
        connect(&self.cluster.replicas()[to].address, Arc::new(tls), cluster, 1 << 20).await.ok()
    }

    async fn plain(&self, to: usize) -> Option<TcpStream> {
        TcpStream::connect(&self.cluster.replicas()[to].address).await.ok()
    }

    /// One attempt at a replica.
    async fn attempt(&self, attack: Attack, to: usize) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let known = &self.known;
        let id = self.cluster.id();
        match attack {
            Attack::UnknownKey => {
                self.dial(&SecretKey::from_seed(&[99; 32]), to, to, id, WIRE_VERSION).await;
            }
            Attack::WrongReplica => {
                let other = (to + 1) % self.cluster.replicas().len();
                self.dial(known, to, other, id, WIRE_VERSION).await;
            }
            Attack::OtherCluster => {
                self.dial(known, to, to, Digest([7; 32]), WIRE_VERSION).await;
            }
            Attack::OlderVersion => {
                self.dial(known, to, to, id, WIRE_VERSION - 1).await;
            }
            Attack::Plaintext => {
                if let Some(mut stream) = self.plain(to).await {
                    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.ok();
                    stream.read_to_end(&mut Vec::new()).await.ok();
                }
            }
            Attack::IdleSockets | Attack::SlowLoris => {}
            Attack::BadSignatures => {
                let connection = self.dial(known, to, to, id, WIRE_VERSION).await;
                if let Some(connection) = connection {
                    self.flood(connection).await;
                }
            }
        }
    }

    /// Requests of a known client, signed by somebody else.
    async fn flood(&self, mut connection: Connection) {
        let client = self.cluster.client_with(self.known.public());
        let body = Request {
            client: client.expect("a client's key"),
            lane: Lane(0),
            timestamp: Timestamp(1),
            session: Session::default(),
            operation: b"deposit mallory 1".to_vec(),
        };
        let stranger = KeySigner::new(SecretKey::from_seed(&[99; 32]));
        let forged = Arc::new(sign(&stranger, self.cluster.id(), body));
        let frame =
            Bytes::from(codec::encode(&ClientFrame::Request(forged)).expect("a small frame"));
        for _ in 0..FLOOD {
            self.forged.fetch_add(1, Ordering::Relaxed);
            if connection.feed(frame.clone()).await.is_err() {
                break;
            }
        }
        connection.flush().await.ok();
        while let Some(Ok(_)) = connection.next().await {}
    }

    /// Attacks a replica until this is dropped.
    async fn attack(self: Arc<Self>, attack: Attack, to: usize) {
        match attack {
            Attack::IdleSockets => self.crowd(to, IDLE, false).await,
            Attack::SlowLoris => self.crowd(to, SLOW, true).await,
            _ => loop {
                self.attempt(attack, to).await;
                tokio::time::sleep(PACE).await;
            },
        }
    }

    /// Keeps so many sockets open that say nothing, or a byte of a handshake now and then. Once a second it opens again what
    /// the replica closed.
    async fn crowd(self: Arc<Self>, to: usize, size: usize, talks: bool) {
        let mut crowd = JoinSet::new();
        loop {
            while crowd.len() < size {
                self.attempts.fetch_add(1, Ordering::Relaxed);
                let Some(mut stream) = self.plain(to).await else { break };
                crowd.spawn(async move {
                    if !talks {
                        stream.read_to_end(&mut Vec::new()).await.ok();
                        return;
                    }
                    // The header of a TLS record that promises 500 bytes.
                    stream.write_all(&[22, 3, 1, 1, 0xf4]).await.ok();
                    while stream.write_all(&[1]).await.is_ok() {
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                });
            }
            crowd.join_next().await;
            while crowd.try_join_next().is_some() {}
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Operations a second, in the next [`ROUND`].
async fn rate(count: &AtomicU64) -> f64 {
    let before = count.load(Ordering::Relaxed);
    tokio::time::sleep(ROUND).await;
    (count.load(Ordering::Relaxed) - before) as f64 / ROUND.as_secs_f64()
}

/// What all replicas have counted as refused, by reason.
async fn refused(cluster: &ProcessCluster) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for id in 0..4 {
        let Ok((_, text)) = admin::get(&cluster.admin_address(id), "/metrics").await else {
            continue;
        };
        for line in text.lines() {
            let counts = line
                .strip_prefix("pbft_handshakes_refused_total{reason=\"")
                .or_else(|| line.strip_prefix("pbft_frames_refused_total{reason=\""));
            if let Some((reason, number)) = counts.and_then(|rest| rest.split_once("\"} ")) {
                *all.entry(reason.to_owned()).or_default() += number.parse::<u64>().unwrap_or(0);
            }
        }
    }
    all
}

/// Throughput with and without each attack whose name contains `only`, in turns.
pub(super) async fn attacks(only: Option<&str>) -> Result<(), String> {
    let chosen = |attack: &Attack| only.is_none_or(|word| attack.name().contains(word));
    let chosen: Vec<Attack> = Attack::ALL.into_iter().filter(chosen).collect();
    if chosen.is_empty() {
        let names = Attack::ALL.map(Attack::name).join(", ");
        return Err(format!("there is no such attack; there are: {names}"));
    }
    let mut cluster =
        ProcessCluster::start(Shape { checkpoint_interval: 64, ..Shape::default() }).await;
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients = [cluster.client(0), cluster.client(1), cluster.client(2)];
    for worker in 0..OUTSTANDING {
        let client = Arc::clone(&clients[worker % clients.len()]);
        keep_busy(client, Arc::clone(&stop), Arc::clone(&count), format!("worker-{worker}"));
    }
    rate(&count).await;
    println!(
        "{:24} {:>9} {:>9} {:>6}  attempts, refused, KiB of a replica",
        "", "quiet/s", "attack/s", ""
    );
    for attack in chosen {
        let (mut quiet, mut attacked) = (0.0, 0.0);
        let before = refused(&cluster).await;
        let attacker = Arc::new(Attacker {
            cluster: cluster.cluster.clone(),
            known: cluster.client_key(3),
            attempts: AtomicU64::new(0),
            forged: AtomicU64::new(0),
        });
        for _ in 0..ROUNDS {
            quiet += rate(&count).await / f64::from(ROUNDS);
            let mut attackers = JoinSet::new();
            (0..4).for_each(|to| drop(attackers.spawn(Arc::clone(&attacker).attack(attack, to))));
            attacked += rate(&count).await / f64::from(ROUNDS);
            attackers.shutdown().await;
        }
        let after = refused(&cluster).await;
        let more = |(reason, number): (String, u64)| {
            let more = number - before.get(&reason).copied().unwrap_or(0);
            (more > 0).then(|| format!("{reason} {more}"))
        };
        let refused: Vec<String> = after.into_iter().filter_map(more).collect();
        let resident = (0..4).map(|id| cluster.process(id).resident_bytes() >> 10).max();
        println!(
            "{:24} {quiet:>9.0} {attacked:>9.0} {:>4.0} %  {}{}; {}; {}",
            attack.name(),
            100.0 * attacked / quiet,
            attacker.attempts.load(Ordering::Relaxed),
            match attacker.forged.load(Ordering::Relaxed) {
                0 => String::new(),
                forged => format!(" with {forged} messages"),
            },
            refused.join(", "),
            resident.unwrap_or(0),
        );
    }
    stop.store(true, Ordering::Relaxed);
    Ok(())
}
