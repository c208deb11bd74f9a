//! Probes of the door: who may speak to a node, and as whom. The replay gives frames to nodes as the listener would, once it
//! knows whose they are; here the whole production node listens, on loopback, and is dialed.

use crate::divergence::{Difference, Divergence, Kind, explore};
use crate::refinement::layout;
use crate::refinement::service::History;
use crate::signpost::Arm;
use crate::subject::node::keys::secret;
use bytes::Bytes;
use futures_util::SinkExt as _;
use pbft_core::message::{Message, Prepare, Signed};
use pbft_core::types::{ClientId, Digest, Principal, ReplicaId, SeqNum, Signature, View};
use pbft_node::codec;
use pbft_node::config::Cluster;
use pbft_node::inbox::Inbox;
use pbft_node::keys::SecretKey;
use pbft_node::metrics::Metrics;
use pbft_node::node::{Node, Setup};
use pbft_node::store::{Identity, MemoryDisk, Store};
use pbft_node::transport::{Connection, HandshakeError, TlsIdentity, client_config, connect};
use pbft_plant::switch;
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// What came of a probe.
pub type Probing<'a> = Pin<Box<dyn Future<Output = Result<(), Difference>> + 'a>>;

/// A probe of a listening node.
pub type DoorProbe = for<'a> fn(&'a Door) -> Probing<'a>;

/// The probes.
pub const HANDSHAKES: &[(&str, DoorProbe)] = &[
    ("a connection with a key that is nobody's", |door| Box::pin(door.stranger())),
    ("a connection with a key that its holder only names", |door| Box::pin(door.impostor())),
    ("a connection of another cluster", |door| Box::pin(door.another_cluster())),
    ("a replica that answers for another one", |door| Box::pin(door.another_replica())),
    ("a vote on another replica's connection", |door| Box::pin(door.another_voter())),
];

/// Replicas of the cluster; the first of them listens.
const REPLICAS: u32 = 4;

/// The replica that listens.
const OWN: ReplicaId = ReplicaId(0);

/// The replica that dials.
const PEER: ReplicaId = ReplicaId(2);

/// The largest frame that the dialing end takes.
const FRAME_MAX: usize = 1 << 16;

/// What is waited for comes in milliseconds; without an answer for so long, none comes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node that listens, seen from outside.
pub struct Door {
    cluster: Cluster,
    address: String,
    inbox: Inbox,
}

fn harness(error: impl std::fmt::Display) -> Difference {
    Difference::new(Kind::Harness, error.to_string())
}

/// The text of a cluster file. Nobody listens at its addresses: the node is told another one.
fn cluster_file(nonce: char) -> String {
    let nonce = nonce.to_string().repeat(32);
    let service = "service = \"history/1\"";
    let mut text = format!("[cluster]\nname = \"door\"\nnonce = \"{nonce}\"\n{service}\n");
    for id in 0..REPLICAS {
        let key = secret(Principal::Replica(ReplicaId(id))).public().to_hex();
        let address = format!("127.0.0.1:{}", id + 1);
        let _ = write!(text, "\n[[replica]]\nid = {id}\n");
        let _ = write!(text, "address = \"{address}\"\npublic_key = \"{key}\"\n");
    }
    let key = secret(Principal::Client(ClientId(1))).public().to_hex();
    let _ = write!(text, "\n[[client]]\nid = 1\nname = \"one\"\npublic_key = \"{key}\"\n");
    text
}

fn cluster(nonce: char) -> Result<Cluster, Difference> {
    Cluster::parse(&cluster_file(nonce), Path::new("cluster.toml")).map_err(harness)
}

/// Makes each probe at a node of its own; how often each was made.
pub fn run() -> Result<BTreeMap<&'static str, u64>, Box<Divergence>> {
    let mut made = BTreeMap::new();
    for (name, probe) in HANDSHAKES {
        let found = at_a_node(*probe).map_err(|found| found.by_probe("handshake", name));
        found.map_err(|difference| Box::new(divergence(name, difference)))?;
        *made.entry(*name).or_default() += 1;
    }
    Ok(made)
}

fn at_a_node(probe: DoorProbe) -> Result<(), Difference> {
    // The clock of this runtime runs: sockets are not the replay's to wait for.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(harness)?.block_on(async {
        let cluster = cluster('0')?;
        let identity = Identity::new(cluster.id(), OWN);
        let store = Store::in_memory(&MemoryDisk::default(), identity).map_err(harness)?;
        let key = secret(Principal::Replica(OWN));
        let setup = Setup { cluster: cluster.clone(), key, replica: OWN, store, trace: None };
        let node = Node::start(setup, Box::new(History), Some("127.0.0.1:0"));
        let node = node.await.map_err(harness)?;
        let (address, inbox) = (node.address().to_string(), node.inbox());
        let running = tokio::spawn(node.run());
        let door = Door { cluster, address, inbox };
        let outcome = probe(&door).await;
        door.inbox.stop();
        match running.await {
            Ok(Ok(())) => outcome,
            Ok(Err(error)) => outcome.and(Err(Difference::new(Kind::Halted, error.to_string()))),
            Err(panic) => outcome.and(Err(Difference::new(Kind::Panicked, panic.to_string()))),
        }
    })
}

fn divergence(name: &'static str, difference: Difference) -> Divergence {
    let config = "n4-bnone-v1-s1-d1".to_owned();
    Divergence {
        arm: Arm::Node.name(),
        signpost: difference.signpost(Arm::Node, None),
        seed: 0,
        step: 1,
        replica: OWN.0 as u8,
        action: name.to_owned(),
        kind: difference.kind,
        what: difference.what,
        diff: difference.diff,
        probe: difference.probe,
        path: Vec::new(),
        actions: Vec::new(),
        shrunk_from: None,
        reproduce: format!("cargo conform{}", switch::option()),
        explore: explore(&config, &[]),
        config,
    }
}

/// The key of a dialing end as TLS has it: what is sent of it, and what signs.
pub fn certified(dialing: &ClientConfig) -> Option<Arc<CertifiedKey>> {
    dialing.client_auth_cert_resolver.resolve(&[], &[SignatureScheme::ED25519])
}

/// What names the key of one dialing end, and signs with the key of another.
pub fn claiming(named: &ClientConfig, holder: &ClientConfig) -> Option<Arc<CertifiedKey>> {
    let (named, holder) = (certified(named)?, certified(holder)?);
    Some(Arc::new(CertifiedKey::new(named.cert.clone(), Arc::clone(&holder.key))))
}

impl Door {
    fn metrics(&self) -> &Arc<Metrics> {
        self.inbox.metrics()
    }

    /// How `key` dials, expecting the key of `expected`.
    fn settings(&self, key: &SecretKey, expected: ReplicaId) -> Result<ClientConfig, Difference> {
        let expected = secret(Principal::Replica(expected)).public();
        client_config(&TlsIdentity::new(key).map_err(harness)?, expected).map_err(harness)
    }

    /// Dials the node with `key`, and expects the key of `expected` there.
    async fn dial(
        &self,
        key: &SecretKey,
        expected: ReplicaId,
        cluster: Digest,
    ) -> Result<Result<Connection, HandshakeError>, Difference> {
        let tls = self.settings(key, expected)?;
        Ok(connect(&self.address, Arc::new(tls), cluster, FRAME_MAX).await)
    }

    /// Waits until the node has counted what is demanded; the dialing end may know earlier.
    async fn demand(
        &self,
        what: &str,
        is_counted: impl Fn(&Metrics) -> bool,
    ) -> Result<(), Difference> {
        let counted = async {
            while !is_counted(self.metrics()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, counted)
            .await
            .map_err(|_| Difference::new(Kind::Harness, format!("in vain waited for: {what}")))
    }

    /// Waits for the end of one handshake, and demands that it was refused for this reason.
    async fn refuses(&self, what: &str, reason: &str) -> Result<(), Difference> {
        let metrics = || (self.metrics().handshakes.get(), self.refusals());
        self.demand("the end of a handshake", |_| {
            let (taken, refused) = metrics();
            taken > 0 || !refused.is_empty()
        })
        .await?;
        match metrics() {
            (0, refused) if refused == [(reason, 1)] => Ok(()),
            (taken, refused) => {
                let got = format!("+ {taken} connections taken, refused: {refused:?}");
                let diff = vec![format!("- refused: {reason}"), got];
                Err(Difference::new(Kind::Accepted, what).with_diff(diff))
            }
        }
    }

    fn refusals(&self) -> Vec<(&'static str, u64)> {
        let counts = self.metrics().handshakes_refused.counts();
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// Design 7: an unknown key is refused.
    async fn stranger(&self) -> Result<(), Difference> {
        let _connection =
            self.dial(&SecretKey::from_seed(&[9; 32]), OWN, self.cluster.id()).await?;
        self.refuses("a key that is not in the cluster file", "unknown-key").await
    }

    /// Design 7: a key is its holder's who signs the handshake with it.
    async fn impostor(&self) -> Result<(), Difference> {
        let named = self.settings(&secret(Principal::Replica(PEER)), OWN)?;
        let mut tls = self.settings(&SecretKey::from_seed(&[9; 32]), OWN)?;
        let claimed = claiming(&named, &tls).ok_or_else(|| harness("no key to dial with"))?;
        let resolver = AlwaysResolvesClientRawPublicKeys::new(claimed);
        tls.client_auth_cert_resolver = Arc::new(resolver);
        let _connection = connect(&self.address, Arc::new(tls), self.cluster.id(), FRAME_MAX).await;
        self.refuses("a key that its holder cannot sign with", "tls").await
    }

    /// Design 7: both ends have the same cluster file, whose digest is the cluster's id.
    async fn another_cluster(&self) -> Result<(), Difference> {
        let other = cluster('1')?;
        let key = secret(Principal::Replica(PEER));
        let dialed = self.dial(&key, OWN, other.id()).await?;
        if !matches!(dialed, Err(HandshakeError::Cluster { .. })) {
            let what = "the dialing end takes a node of another cluster";
            return Err(Difference::new(Kind::Accepted, what));
        }
        self.refuses("a replica of another cluster", "wrong-cluster").await
    }

    /// Design 7: who dials a replica knows its key.
    async fn another_replica(&self) -> Result<(), Difference> {
        let key = secret(Principal::Replica(PEER));
        match self.dial(&key, ReplicaId(1), self.cluster.id()).await? {
            Err(HandshakeError::Io(_)) => Ok(()),
            Err(other) => Err(Difference::new(Kind::WrongRejection, other.to_string())),
            Ok(_) => {
                let what = format!("{OWN} answers where replica 1 was dialed, and is believed");
                Err(Difference::new(Kind::Accepted, what))
            }
        }
    }

    /// §4.2: a connection carries the votes of the replica whose key opened it.
    async fn another_voter(&self) -> Result<(), Difference> {
        let key = secret(Principal::Replica(PEER));
        let connection = self.dial(&key, OWN, self.cluster.id()).await?;
        let mut connection =
            connection.map_err(|error| Difference::new(Kind::Refused, error.to_string()))?;
        let refused = |metrics: &Metrics| metrics.frames_not_verified.get("not-from-signer");
        let seen = |metrics: &Metrics| metrics.signatures_checked.get() + refused(metrics);
        for (voter, expected) in [(PEER, 0), (ReplicaId(3), 1)] {
            let before = seen(self.metrics());
            connection.send(self.vote(voter)?).await.map_err(harness)?;
            self.demand("a vote to be looked at", |metrics| seen(metrics) > before).await?;
            self.inbox.settled().await.map_err(harness)?;
            let got = refused(self.metrics());
            if got != expected {
                let diff = vec![format!("- {expected} refused"), format!("+ {got} refused")];
                let what = format!("a vote of {voter} on the connection of {PEER}");
                return Err(Difference::new(Kind::Accepted, what).with_diff(diff));
            }
        }
        Ok(())
    }

    /// A PREPARE, as a frame.
    fn vote(&self, replica: ReplicaId) -> Result<Bytes, Difference> {
        let digest = Digest([5; 32]);
        let body = Prepare { view: View(0), seq: SeqNum(1), digest, replica };
        let bytes = layout::statement(self.cluster.params(OWN).cluster, &body);
        let signature = secret(Principal::Replica(replica)).sign(&bytes);
        let vote = Signed { body, signature: Signature::from_bytes(&signature) };
        codec::encode(&Message::Prepare(vote)).map(Bytes::from).map_err(harness)
    }
}
