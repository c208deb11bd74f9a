//! The connections that others dial: replicas with something to say, and clients.

use super::TcpNetwork;
use super::complaints::{Complaints, Source, TOLD_EVERY};
use super::dialer::{Dialer, FIGHTS, STEADY, write};
use super::handshake::{Acceptor, Connection, ended};
use super::queue::FrameQueue;
use super::quota::{Arrivals, Quotas};
use super::repeats::Repeats;
use super::tls::{TlsIdentity, client_config, server_config};
use crate::codec;
use crate::config::Cluster;
use crate::frame::{ClientFrame, RefusalReason, ReplicaFrame};
use crate::inbox::{Inbox, InboxError, Unread, Worth};
use crate::keys::SecretKey;
use crate::metrics::{Gauge, Metrics};
use crate::queries::Queries;
use crate::supervise::{Tasks, joined};
use bytes::Bytes;
use futures_util::StreamExt as _;
use pbft_core::types::{ClientId, Principal, ReplicaId};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

/// The most handshakes at a time; one more ends the oldest. A correct peer's handshake takes milliseconds, so a
/// crowd that only connects cannot keep correct peers out.
const HANDSHAKES_MAX: usize = 256;

/// A replica says what it has several times a second; one that is silent for so long is gone.
pub(crate) const PEER_IDLE: Duration = Duration::from_secs(30);

/// A client that is silent for so long has to connect again.
const CLIENT_IDLE: Duration = Duration::from_secs(600);

/// Connects `inbox` and `network` to the world: accepts connections on `listener` and dials the other replicas, until
/// the returned tasks are dropped.
pub fn serve(
    cluster: &Cluster,
    key: &SecretKey,
    listener: TcpListener,
    inbox: Inbox,
    queries: Queries,
    network: &TcpNetwork,
) -> Result<Tasks, rustls::Error> {
    let identity = TlsIdentity::new(key)?;
    let ring = Arc::new(cluster.key_ring());
    let tls = Arc::new(server_config(&identity, Arc::clone(&ring))?);
    let mut tasks = Tasks::default();
    let complaints = Arc::new(Complaints::default());
    for (id, queue) in network.peers.iter() {
        let Some(info) = cluster.replicas().get(id.0 as usize) else { continue };
        let dialer = Dialer {
            to: *id,
            address: info.address.clone(),
            tls: Arc::new(client_config(&identity, info.key)?),
            cluster: cluster.id(),
            queue: Arc::clone(queue),
            complaints: Arc::clone(&complaints),
        };
        tasks.spawn("a dialer", dialer.run());
    }
    let limits = *inbox.limits();
    let host = Host {
        acceptor: Acceptor {
            tls,
            ring,
            cluster: cluster.id(),
            limits,
            inbox: inbox.clone(),
            arrivals: Arrivals::default(),
        },
        inbox,
        queries,
        network: network.clone(),
        peers: Arc::default(),
        quotas: Quotas::default(),
        repeats: Repeats::default(),
        status_request: codec::encode(&ClientFrame::StatusRequest)
            .map(Bytes::from)
            .unwrap_or_default(),
        complaints,
    };
    tasks.spawn("the listener", host.run(listener));
    Ok(tasks)
}

/// Aborts its task when dropped: a connection must not outlive the listener.
#[derive(Debug)]
struct Owned(AbortHandle);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A replica's latest connection.
#[derive(Debug)]
struct Latest {
    task: Owned,
    from: Option<SocketAddr>,
    /// How often in a row it took the place of one that was alive, and soon after that one had begun.
    fights: u32,
    began: Instant,
}

/// The accepting end.
#[derive(Clone)]
struct Host {
    acceptor: Acceptor,
    inbox: Inbox,
    queries: Queries,
    network: TcpNetwork,
    /// Each replica's latest connection.
    peers: Arc<Mutex<BTreeMap<ReplicaId, Latest>>>,
    quotas: Quotas,
    repeats: Repeats,
    /// The frame that asks for a status.
    status_request: Bytes,
    complaints: Arc<Complaints>,
}

/// How many times the bytes of clients count at a backup: it relays what it hears, so that the primary has it twice, and a
/// correct client asks it only where the primary seems to be silent.
const BACKUP_WEIGHT: usize = 4;

/// What a status request costs of its client's share, over all its connections: after a burst so many a second are read
/// as are worth reading. The driver makes the answer, and commits for it.
const STATUS_COST: Duration = Duration::from_millis(20);

/// What a query costs: it is answered beside the execution, by threads that the replica has use for.
const QUERY_COST: Duration = Duration::from_millis(2);

/// What a signed request costs where authenticators do: twenty times what it takes to verify it.
const SIGNATURE_COST: Duration = Duration::from_millis(2);

/// What a frame costs that is of no use: a correct client hardly ever sends one, and after a burst the next of its frames are
/// read so much later.
const WASTE_COST: Duration = Duration::from_millis(5);

impl Host {
    async fn run(self, listener: TcpListener) {
        // Dropping the sets ends their tasks.
        let (mut handshakes, mut connections) = (JoinSet::new(), JoinSet::new());
        let mut oldest: VecDeque<AbortHandle> = VecDeque::new();
        let mut tell = tokio::time::interval(TOLD_EVERY);
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, from)) => {
                        oldest.retain(|handshake| !handshake.is_finished());
                        if oldest.len() >= HANDSHAKES_MAX
                            && let Some(handshake) = oldest.pop_front()
                        {
                            handshake.abort();
                            self.refused("crowded-out");
                        }
                        oldest.push_back(handshakes.spawn(self.clone().greet(stream, from)));
                    }
                    Err(error) => {
                        // Out of file descriptors, most likely: wait for connections to end.
                        let what = format!("cannot accept connections: {error}");
                        self.complaints.warn(Source::Here, "accept", &what);
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(greeted) = handshakes.join_next() => {
                    if let Some(Some((principal, connection))) = joined(greeted) {
                        self.host(principal, connection, &mut connections);
                    }
                }
                Some(ended) = connections.join_next() => drop(joined(ended)),
                _ = tell.tick() => self.complaints.tell(),
            }
        }
    }

    async fn greet(self, stream: TcpStream, from: SocketAddr) -> Option<(Principal, Connection)> {
        let source = Source::address(from.ip());
        match self.acceptor.accept(stream, source).await {
            Ok(greeted) => {
                self.inbox.metrics().handshakes.increment();
                Some(greeted)
            }
            Err(error) => {
                self.refused(error.kind());
                let what = format!("connection refused: {error}");
                tracing::debug!(%from, "{what}");
                self.complaints.warn(source, error.kind(), &what);
                None
            }
        }
    }

    fn host(&self, principal: Principal, connection: Connection, tasks: &mut JoinSet<()>) {
        match principal {
            Principal::Replica(id) => {
                let from = connection.get_ref().get_ref().0.peer_addr().ok();
                let task = Owned(tasks.spawn(self.clone().listen_to_peer(id, connection)));
                self.replace(id, Latest { task, from, fights: 0, began: Instant::now() });
            }
            Principal::Client(id) => match self.network.clients.enter(id) {
                Some(queue) => {
                    tasks.spawn(self.clone().serve_client(id, connection, queue));
                }
                None => {
                    self.refused("too-many-clients");
                    let what = "connection refused: too many clients";
                    self.complaints.warn(Source::Client(id), "too-many-clients", what);
                }
            },
        }
    }

    /// A replica that dials again has given up the connection before. One whose connections end each other again and
    /// again is two processes.
    fn replace(&self, id: ReplicaId, mut latest: Latest) {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let before = peers.remove(&id);
        if let Some(before) = before.filter(|before| !before.task.0.is_finished()) {
            self.inbox.metrics().disconnections.add("replaced");
            if before.began.elapsed() < STEADY {
                latest.fights = before.fights.saturating_add(1);
            }
            if latest.fights >= FIGHTS {
                let show = |from: Option<SocketAddr>| from.map_or("?".into(), |f| f.to_string());
                let what = format!(
                    "the key of {id} is used by two processes, at {} and at {}, which end each other's connections: \
                     stop one of them, and if somebody else has the key, replace it",
                    show(before.from),
                    show(latest.from)
                );
                self.complaints.warn(Source::Key(id), "fight", &what);
            }
        }
        peers.insert(id, latest);
    }

    fn refused(&self, reason: &'static str) {
        self.inbox.metrics().handshakes_refused.add(reason);
    }

    async fn serve_client(self, id: ClientId, connection: Connection, queue: Arc<FrameQueue>) {
        let metrics = Arc::clone(self.inbox.metrics());
        let _connected = Connected::new(&metrics, |metrics| &metrics.client_connections);
        let (mut sink, mut stream) = connection.split();
        let mut asking = JoinSet::new();
        let reading = async {
            loop {
                let Ok(heard) = tokio::time::timeout(CLIENT_IDLE, stream.next()).await else {
                    metrics.disconnections.add("idle");
                    return;
                };
                let Some(Ok(frame)) = heard else { return };
                let weight = if self.inbox.is_primary() { 1 } else { BACKUP_WEIGHT };
                self.quotas.charge(Principal::Client(id), weight * frame.len(), &metrics).await;
                if frame == self.status_request {
                    self.quotas.charge_for(Principal::Client(id), STATUS_COST, &metrics).await;
                } else if self.repeats.is_repeated(id, &frame) {
                    metrics.frames_refused.add("repeated");
                    self.quotas.charge_for(Principal::Client(id), WASTE_COST, &metrics).await;
                    continue;
                }
                let turn = self.inbox.client_turn(id).await;
                let cost = if let Some(query) = self.inbox.limits().decode_query(&frame) {
                    self.ask(id, query, &queue, &mut asking);
                    QUERY_COST
                } else {
                    match self.inbox.weighed_client_frame(id, &frame) {
                        Ok(Worth::Due) => continue,
                        Ok(Worth::Signature) => SIGNATURE_COST,
                        Ok(Worth::Waste) => WASTE_COST,
                        Err(InboxError::Unread(Unread::Refused { answer, .. })) => {
                            let Ok(frame) = codec::encode(&*answer) else { return };
                            queue.push(Bytes::from(frame));
                            WASTE_COST
                        }
                        Err(error) => {
                            metrics.disconnections.add(error.kind());
                            let what = format!("disconnected: {error}");
                            self.complaints.warn(Source::Client(id), error.kind(), &what);
                            return;
                        }
                    }
                };
                drop(turn);
                self.quotas.charge_for(Principal::Client(id), cost, &metrics).await;
            }
        };
        let writing = async {
            while let Some(frames) = queue.take().await {
                if let Err(error) = write(&mut sink, frames).await {
                    if error.kind() == std::io::ErrorKind::TimedOut {
                        metrics.disconnections.add("slow-reader");
                    }
                    return;
                }
            }
        };
        tokio::select! {
            () = reading => {}
            () = writing => {}
        }
        self.network.clients.leave(id, &queue);
    }
}

/// One connection, counted while it lasts.
struct Connected {
    metrics: Arc<Metrics>,
    gauge: fn(&Metrics) -> &Gauge,
}

impl Connected {
    fn new(metrics: &Arc<Metrics>, gauge: fn(&Metrics) -> &Gauge) -> Self {
        gauge(metrics).raise();
        Self { metrics: Arc::clone(metrics), gauge }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        (self.gauge)(&self.metrics).lower();
    }
}

impl Host {
    /// Has a query answered, unless the connection's last one still is.
    fn ask(
        &self,
        id: ClientId,
        (number, query): (u64, Vec<u8>),
        queue: &Arc<FrameQueue>,
        asking: &mut JoinSet<()>,
    ) {
        let answer_with = move |queue: &FrameQueue, answer| {
            if let Ok(frame) = codec::encode(&ReplicaFrame::Answer { number, answer }) {
                queue.push(Bytes::from(frame));
            }
        };
        while let Some(answered) = asking.try_join_next() {
            joined(answered);
        }
        if !asking.is_empty() {
            return answer_with(queue, Err(RefusalReason::Overloaded));
        }
        let (queries, queue) = (self.queries.clone(), Arc::clone(queue));
        asking.spawn(async move { answer_with(&queue, queries.answer(id, query).await) });
    }
}

impl Host {
    /// Delivers a replica's messages, in order, until it says something that no correct replica says.
    async fn listen_to_peer(self, id: ReplicaId, mut connection: Connection) {
        let metrics = Arc::clone(self.inbox.metrics());
        let _connected = Connected::new(&metrics, |metrics| &metrics.peer_connections);
        let reason = loop {
            match tokio::time::timeout(PEER_IDLE, connection.next()).await {
                Ok(Some(Ok(frame))) => {
                    self.quotas.charge(Principal::Replica(id), frame.len(), &metrics).await;
                    match self.inbox.peer_frame(id, &frame).await {
                        Ok(()) | Err(InboxError::Unread(Unread::NotVerified(_))) => {}
                        Err(error) => {
                            metrics.disconnections.add(error.kind());
                            break error.to_string();
                        }
                    }
                }
                Ok(Some(Err(error))) => break ended(&error),
                Ok(None) => break "it hung up".to_owned(),
                Err(_) => {
                    metrics.disconnections.add("idle");
                    break format!("it was silent for {PEER_IDLE:?}");
                }
            }
        };
        let what = format!("connection ended: {reason}");
        self.complaints.inform(Source::From(id), "ended", &what);
    }
}
