//! The way into a driver: frames are read and verified here, by the task of the connection that they came on, so
//! that verification runs in parallel between senders and in order for each. What arrives in the driver's queues
//! is verified; queues are bounded, so a slow replica slows its peers' connections and sheds its clients' load.

use crate::blocking::blocking;
use crate::frame::{ClientFrame, FrameLimits, RefusalReason, StatusReport};
use crate::lanes::Lanes;
use crate::metrics::Metrics;
use crate::shared::{AtDisk, Published};
use crate::turns::{NotTaken, TakesTurns, Turns};
use pbft_core::message::{Request, Signed};
use pbft_core::params::ClientAuthentication;
use pbft_core::types::{ClientId, ReplicaId};
use pbft_core::{Input, Params, Position, Rejection};
use pbft_host::{Admitted, Door};
pub use pbft_host::{Suspected, Unread};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, mpsc, oneshot, watch};

/// Verified inputs from replicas that wait for the driver.
const PEER_QUEUE: usize = 256;

/// How often [`Inbox::life`] looks at what the driver is doing while it waits for a sign of life.
const LOOKS: u32 = 10;

/// Frames above this size are verified where blocking is allowed.
const LARGE_FRAME: usize = 4 * 1024;

/// How many client connections verify at a time: half of the processors, so that crowds of clients leave the other half
/// to the replicas' messages. Connections take turns, frame by frame.
fn client_turns() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

/// One thing in a driver's queue.
#[derive(Debug)]
pub(crate) enum Event {
    /// An input for the replica.
    Input(Box<Input>),
    /// A client asks how the replica is.
    Status(ClientId),
    /// This process asks how the replica is.
    Report(oneshot::Sender<StatusReport>),
    /// An operator wants the primary to be left.
    Suspect(oneshot::Sender<Suspected>),
    /// Somebody wants to know when everything before this has been performed.
    Barrier(oneshot::Sender<()>),
    /// Somebody wants to know whether events are taken at all. Answered at once, whatever the disk does.
    Ping(oneshot::Sender<()>),
}

/// The driver's ends of the queues.
#[derive(Debug)]
pub(crate) struct Queues {
    pub(crate) peers: mpsc::Receiver<Event>,
    pub(crate) clients: TakesTurns,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) position: Published,
    pub(crate) at_disk: AtDisk,
}

/// Whether a replica is alive: a supervisor should end one that is not, and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Its protocol task takes events.
    Alive,
    /// It waits for the disk, and will go on as soon as the disk does. Another process would wait for the same.
    AtDisk,
    /// It takes no events, and nothing is known that it waits for.
    Stuck,
    /// It has ended.
    Ended,
}

/// Why a frame did not reach the replica.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InboxError {
    /// It does not become an input.
    #[error(transparent)]
    Unread(#[from] Unread),
    /// The driver is gone.
    #[error("the replica has stopped")]
    Stopped,
}

impl InboxError {
    /// What kind it is, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unread(unread) => unread.kind(),
            Self::Stopped => "stopped",
        }
    }
}

/// What a client's frame was worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// One that a correct client sends.
    Due,
    /// A signature where authenticators do: a correct client signs what it has to send again, and no more.
    Signature,
    /// Of no use.
    Waste,
}

/// Delivers frames to one driver. Clones deliver to the same.
#[derive(Clone)]
pub struct Inbox {
    params: Arc<Params>,
    door: Door,
    metrics: Arc<Metrics>,
    peers: mpsc::Sender<Event>,
    clients: Turns,
    stop: Arc<watch::Sender<bool>>,
    position: Published,
    at_disk: AtDisk,
    lanes: Lanes,
    client_turns: Arc<Semaphore>,
    /// A turn of its own for each client that has connected; bounded, since only those on the allow-list do.
    own_turns: Arc<Mutex<BTreeMap<ClientId, Arc<Semaphore>>>>,
}

/// A client's turn to have a frame verified, while it is held.
pub(crate) struct ClientTurn<'a> {
    _all: Option<SemaphorePermit<'a>>,
    _own: Option<OwnedSemaphorePermit>,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").field("replica", &self.params.replica).finish_non_exhaustive()
    }
}

impl Inbox {
    pub(crate) fn new(
        params: Arc<Params>,
        door: Door,
        metrics: Arc<Metrics>,
        lanes: Lanes,
    ) -> (Self, Queues) {
        let (peers, peers_queue) = mpsc::channel(PEER_QUEUE);
        let (clients, clients_queue) = Turns::new();
        let (stop, stopped) = watch::channel(false);
        let stop = Arc::new(stop);
        let position = Published::default();
        let at_disk = AtDisk::default();
        let client_turns = Arc::new(Semaphore::new(client_turns()));
        let queues = Queues {
            peers: peers_queue,
            clients: clients_queue,
            stop: stopped,
            position: position.clone(),
            at_disk: at_disk.clone(),
        };
        (
            Self {
                params,
                door,
                metrics,
                peers,
                clients,
                stop,
                position,
                at_disk,
                lanes,
                client_turns,
                own_turns: Arc::default(),
            },
            queues,
        )
    }

    /// Where the replica counts what it does.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// A client's turn to have a frame verified; to be held meanwhile. Clients take turns, however many connections each
    /// has. Never fails: nobody closes the semaphores.
    pub(crate) async fn client_turn(&self, client: ClientId) -> ClientTurn<'_> {
        let own = {
            let mut turns = self.own_turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(client).or_insert_with(|| Arc::new(Semaphore::new(1))))
        };
        let own = own.acquire_owned().await.ok();
        let all = match self.client_turns.try_acquire() {
            Ok(turn) => Some(turn),
            Err(_) => {
                self.metrics.throttled.add("verification");
                self.client_turns.acquire().await.ok()
            }
        };
        ClientTurn { _all: all, _own: own }
    }

    /// How far the replica has come.
    pub fn position(&self) -> Position {
        self.position.get()
    }

    /// Whether this replica is the primary of the view that it is in or changes to.
    pub fn is_primary(&self) -> bool {
        self.params.membership.primary(self.position.get().view) == self.params.replica
    }

    /// How many votes are set aside, because the replica has no use for them: [`pbft_core::surplus::Surplus`].
    pub fn votes_set_aside(&self) -> usize {
        self.door.votes_set_aside()
    }

    /// The sizes that frames are held to.
    pub fn limits(&self) -> &FrameLimits {
        self.door.limits()
    }

    /// A frame from `from`'s authenticated connection: an encoded [`Message`](pbft_core::message::Message). Waits while the
    /// queue is full.
    pub async fn peer_frame(&self, from: ReplicaId, frame: &[u8]) -> Result<(), InboxError> {
        self.metrics.peer_bytes.add(frame.len() as u64);
        let delivered = self.deliver_peer_frame(from, frame).await;
        let not_to_blame = is_the_clients_fault(&delivered);
        self.counted(delivered).or_else(|error| if not_to_blame { Ok(()) } else { Err(error) })
    }

    /// Counts why a frame was refused, if it was.
    fn counted<T>(&self, delivered: Result<T, InboxError>) -> Result<T, InboxError> {
        match &delivered {
            Ok(_) | Err(InboxError::Stopped) => {}
            Err(InboxError::Unread(refused @ Unread::Refused { .. })) => {
                self.metrics.requests_refused.add(refused.kind());
            }
            Err(InboxError::Unread(useless @ Unread::NotVerified(_))) => {
                self.metrics.frames_not_verified.add(useless.kind());
            }
            Err(error) => self.metrics.frames_refused.add(error.kind()),
        }
        delivered
    }

    async fn deliver_peer_frame(&self, from: ReplicaId, frame: &[u8]) -> Result<(), InboxError> {
        let admitted = match frame.len() > LARGE_FRAME {
            true => blocking(|| self.door.peer_frame(from, frame))?,
            false => self.door.peer_frame(from, frame)?,
        };
        if let Admitted::SetAside = admitted {
            self.metrics.votes_surplus.increment();
        }
        for input in admitted {
            self.input(input).await?;
        }
        Ok(())
    }

    /// A frame from `client`'s authenticated connection: an encoded [`ClientFrame`]. Never waits.
    pub fn client_frame(&self, client: ClientId, frame: &[u8]) -> Result<(), InboxError> {
        self.weighed_client_frame(client, frame).map(drop)
    }

    /// [`Self::client_frame`], and what the frame was worth.
    pub(crate) fn weighed_client_frame(
        &self,
        client: ClientId,
        frame: &[u8],
    ) -> Result<Worth, InboxError> {
        self.metrics.client_bytes.add(frame.len() as u64);
        self.counted(self.deliver_client_frame(client, frame))
    }

    fn deliver_client_frame(&self, client: ClientId, frame: &[u8]) -> Result<Worth, InboxError> {
        match self.door.client_frame(client, frame)? {
            ClientFrame::Request(request) => self.request(client, request),
            ClientFrame::StatusRequest => {
                // A queue that is full will be full of what the answer would say.
                let _ = self.clients.push(Some(client), Event::Status(client));
                Ok(Worth::Due)
            }
            // Answered by the task of its connection, if at all; no business of the protocol.
            ClientFrame::Query { .. } => Ok(Worth::Due),
        }
    }

    fn request(
        &self,
        client: ClientId,
        request: Arc<Signed<Request>>,
    ) -> Result<Worth, InboxError> {
        let overloaded = || Door::refused(&request.body, RefusalReason::Overloaded).into();
        if self.clients.is_full(client) {
            // Before the signature costs anything.
            return Err(overloaded());
        }
        let event = Event::Input(Box::new(self.door.request(&request)?));
        self.clients.push(Some(client), event).map_err(|not_taken| match not_taken {
            NotTaken::Full => overloaded(),
            NotTaken::Closed => InboxError::Stopped,
        })?;
        let needless = self.params.client_authentication == ClientAuthentication::Macs
            && request.is_transferable();
        Ok(match (self.lanes.take(client, request.body.lane), needless) {
            (false, _) => Worth::Waste,
            (true, true) => Worth::Signature,
            (true, false) => Worth::Due,
        })
    }

    /// An input that needs no verification, such as [`Input::Suspect`].
    pub async fn input(&self, input: Input) -> Result<(), InboxError> {
        let event = Event::Input(Box::new(input));
        self.peers.send(event).await.map_err(|_| InboxError::Stopped)
    }

    /// An operator suspects the primary: the replica asks for the next view, if it votes. `None` if it cannot say so now,
    /// for the disk is full or the replica ends.
    pub async fn suspect(&self) -> Option<Suspected> {
        let (sender, answer) = oneshot::channel();
        self.clients.push(None, Event::Suspect(sender)).ok()?;
        answer.await.ok()
    }

    /// How the replica is, as its driver says.
    pub async fn report(&self) -> Result<StatusReport, InboxError> {
        loop {
            let (sender, report) = oneshot::channel();
            self.clients.push(None, Event::Report(sender)).map_err(|_| InboxError::Stopped)?;
            if let Ok(report) = report.await {
                return Ok(report);
            }
            // The driver is gone, or the disk is full since a moment and the question went with the write that it
            // waited for.
        }
    }

    /// Whether the driver lives. Waits up to `patience` for a sign of life; not so long if it is at its disk.
    pub async fn life(&self, patience: Duration) -> Life {
        let (sender, alive) = oneshot::channel();
        let ping = async {
            if self.clients.push(None, Event::Ping(sender)).is_ok() {
                // An error is a ping that was dropped, with the events that waited for a write.
                let _ = alive.await;
            }
        };
        tokio::pin!(ping);
        for _ in 0..LOOKS {
            if tokio::time::timeout(patience / LOOKS, &mut ping).await.is_ok() {
                return if self.clients.is_closed() { Life::Ended } else { Life::Alive };
            }
            if self.at_disk.get() {
                return Life::AtDisk;
            }
        }
        Life::Stuck
    }

    /// Returns when everything delivered before has been stepped, made durable and released.
    pub async fn settled(&self) -> Result<(), InboxError> {
        let (done, is_done) = oneshot::channel();
        self.clients.push(None, Event::Barrier(done)).map_err(|_| InboxError::Stopped)?;
        is_done.await.map_err(|_| InboxError::Stopped)?;
        let (done, is_done) = oneshot::channel();
        self.peers.send(Event::Barrier(done)).await.map_err(|_| InboxError::Stopped)?;
        is_done.await.map_err(|_| InboxError::Stopped)?;
        Ok(())
    }

    /// Asks the driver to end after what it is doing.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// A replica cannot tell whether an authenticator in its proposal convinces the others.
fn is_the_clients_fault(delivered: &Result<(), InboxError>) -> bool {
    matches!(
        delivered,
        Err(InboxError::Unread(Unread::Rejected(Rejection::BadAuthenticator { .. })))
    )
}
