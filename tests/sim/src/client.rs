//! Clients: correct ones around the core's client machine, and ones that lie.

use super::bank::Operation;
use super::event::RequestId;
use super::rng::Rng;
use core::time::Duration;
use pbft_core::Params;
use pbft_core::client::{ClientEffect, ClientInput, ClientLane, Fate, Patience};
use pbft_core::crypto::{Signer, Verifier, sign, sign_for_everybody, verify_reply};
use pbft_core::message::{Request, Signed};
use pbft_core::types::{ClientId, Lane, ReplicaId, Session, Signature, Timestamp};
use pbft_node::codec;
use pbft_node::frame::{ClientFrame, ReplicaFrame};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a client does with an event.
#[derive(Debug, Default)]
pub struct Answer {
    /// Frames, each for one replica or, with `None`, for all.
    pub frames: Vec<(Option<ReplicaId>, Arc<[u8]>)>,
    /// The lane's timer, set or stopped.
    pub timer: Option<Option<Duration>>,
    /// A result was accepted.
    pub done: Option<(RequestId, Arc<[u8]>)>,
    /// The request gets no result: its fate, and the last timestamp that was used.
    pub spent: Option<(RequestId, Fate, Timestamp)>,
    /// A request was made.
    pub requested: Option<Arc<Signed<Request>>>,
}

/// A correct client.
pub struct Client {
    id: ClientId,
    session: Session,
    params: Arc<Params>,
    signer: Arc<dyn Signer>,
    verifier: Arc<dyn Verifier>,
    lanes: BTreeMap<u16, ClientLane>,
    patience: Patience,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Client {
    /// A client that has not asked for anything, in a process of its own.
    #[must_use]
    pub fn new(
        (id, process): (u32, u32),
        params: Arc<Params>,
        (signer, verifier): (Arc<dyn Signer>, Arc<dyn Verifier>),
        patience: Patience,
    ) -> Self {
        let (id, session) = (ClientId(id), Session(process.into()));
        Self { id, session, params, signer, verifier, lanes: BTreeMap::new(), patience }
    }

    /// Whose key it has.
    #[must_use]
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// Whether a lane waits for a result.
    #[must_use]
    pub fn is_busy(&self, lane: u16) -> bool {
        self.lanes.get(&lane).is_some_and(ClientLane::is_busy)
    }

    fn lane(&mut self, lane: u16) -> &mut ClientLane {
        let (membership, patience) = (self.params.membership, self.patience);
        self.lanes.entry(lane).or_insert_with(|| ClientLane::new(membership, patience))
    }

    /// Submits an operation.
    pub fn submit(&mut self, lane: u16, timestamp: u64, operation: Operation) -> Answer {
        let body = Request {
            client: self.id,
            lane: Lane(lane),
            timestamp: Timestamp(timestamp),
            session: self.session,
            operation: operation.encode(),
        };
        let request = Arc::new(sign(&*self.signer, self.params.cluster, body));
        let mut answer = self.step(lane, ClientInput::Submit(Arc::clone(&request)));
        if answer.timer.is_some() {
            answer.requested = Some(request);
        }
        answer
    }

    /// The lane's timer ran out.
    pub fn timeout(&mut self, lane: u16) -> Answer {
        self.step(lane, ClientInput::Timeout)
    }

    /// A frame from a replica.
    pub fn hear(&mut self, from: ReplicaId, frame: &[u8]) -> Answer {
        let reply = match codec::decode(frame) {
            Ok(ReplicaFrame::Reply(reply)) => reply,
            Ok(ReplicaFrame::Refused { lane, request, reason, .. }) => {
                let Some(spent) = reason.spent() else { return Answer::default() };
                return self.step(lane.0, ClientInput::Spent { from, request, spent });
            }
            _ => return Answer::default(),
        };
        if reply.body.replica != from || reply.body.client != self.id {
            return Answer::default();
        }
        match verify_reply(&self.params, &*self.verifier, reply) {
            Ok(reply) => {
                let reply = reply.into_inner();
                self.step(reply.body.lane.0, ClientInput::Reply(reply))
            }
            Err(_) => Answer::default(),
        }
    }

    /// What all replicas are sent is signed.
    fn signed(&self, request: Arc<Signed<Request>>) -> Arc<Signed<Request>> {
        match request.is_transferable() {
            true => request,
            false => {
                let body = request.body.clone();
                Arc::new(sign_for_everybody(&*self.signer, self.params.cluster, body))
            }
        }
    }

    fn step(&mut self, lane: u16, input: ClientInput) -> Answer {
        let client = self.id.0;
        let mut answer = Answer::default();
        let Ok(effects) = self.lane(lane).step(input) else { return answer };
        for effect in effects {
            match effect {
                ClientEffect::Send { to, request } => {
                    answer.frames.extend(frame(Some(to), request))
                }
                ClientEffect::Broadcast(request) => {
                    answer.frames.extend(frame(None, self.signed(request)));
                }
                ClientEffect::SetTimer(after) => answer.timer = Some(Some(after)),
                ClientEffect::CancelTimer => answer.timer = Some(None),
                ClientEffect::Spent { timestamp, fate, last } => {
                    let id = RequestId { client, lane: Lane(lane), timestamp };
                    answer.spent = Some((id, fate, last));
                }
                ClientEffect::Done { timestamp, result, .. } => {
                    let id = RequestId { client, lane: Lane(lane), timestamp };
                    answer.done = Some((id, result));
                }
            }
        }
        answer
    }
}

fn frame(
    to: Option<ReplicaId>,
    request: Arc<Signed<Request>>,
) -> Option<(Option<ReplicaId>, Arc<[u8]>)> {
    Some((to, codec::encode(&ClientFrame::Request(request)).ok()?.into()))
}

macro_rules! lies {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)* | $($(#[$own:meta])* $asked:ident = $word:literal,)*) => {
        /// What a Byzantine client does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum ClientLie {
            $($(#[$doc])* $name,)*
            $($(#[$own])* $asked,)*
        }

        impl ClientLie {
            /// Those that chance may choose.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
            /// Those that have a chance of their own.
            pub const APART: &'static [Self] = &[$(Self::$asked),*];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* $(Self::$asked => $word,)* }
            }
        }
    };
}

lies! {
    /// Two operations with one timestamp, to different replicas.
    SameTimestamp = "client-same-timestamp",
    /// Operations that the service cannot read, and one on which it panics.
    MalformedOperation = "client-malformed-operation",
    /// Operations larger than the cluster allows.
    HugeOperation = "client-huge-operation",
    /// The last timestamp that is possible, and the one beyond.
    MaxTimestamp = "client-max-timestamp",
    /// Timestamps that fall, and requests from long ago.
    OldRequests = "client-old-requests",
    /// Many requests at once, on all lanes.
    Flood = "client-flood",
    /// A key that is on no list.
    Unauthorised = "client-unauthorised",
    /// Requests in another client's name.
    OtherClient = "client-other-client",
    /// Lanes that the cluster does not have.
    HighLane = "client-high-lane",
    /// Frames that are none.
    MalformedFrame = "client-malformed-frame",
    /// Authenticators that convince some replicas and not the others: f+1 of them, or any number.
    PoisonedTags = "client-poisoned-tags",
    |
    /// One signed request, again and again.
    RepeatRequest = "client-repeat-request",
}

/// How often a request is sent at once by a client that repeats it.
const REPEATS: usize = 8;

/// The same authenticator with bad tags for the replicas whose bits are not set.
pub(crate) fn spoiled(authenticator: &Signature, good: u64) -> Signature {
    let mut bytes = authenticator.to_bytes();
    // The last eight bytes say that it is one.
    let tags = bytes.chunks_exact_mut(8).take(7).enumerate();
    tags.filter(|(replica, _)| (good >> replica) & 1 == 0).for_each(|(_, tag)| tag[0] ^= 1);
    Signature::from_bytes(&bytes)
}

/// Any f+1 replicas.
fn poisoned_for(rng: &mut Rng, params: &Params) -> u64 {
    let mut replicas: Vec<ReplicaId> = params.membership.replicas().collect();
    rng.shuffle(&mut replicas);
    replicas.iter().take(params.membership.weak()).fold(0, |good, id| good | 1 << id.0)
}

/// A client that lies. It signs with the key of `id`.
pub struct LyingClient {
    /// Its lies.
    pub lies: Vec<ClientLie>,
    id: ClientId,
    params: Arc<Params>,
    signer: Arc<dyn Signer>,
    rng: Rng,
    timestamp: u64,
}

impl std::fmt::Debug for LyingClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LyingClient")
            .field("id", &self.id)
            .field("lies", &self.lies)
            .finish_non_exhaustive()
    }
}

impl LyingClient {
    /// A client with these lies.
    #[must_use]
    pub fn new(
        id: u32,
        lies: Vec<ClientLie>,
        params: Arc<Params>,
        signer: Arc<dyn Signer>,
        rng: Rng,
    ) -> Self {
        Self { lies, id: ClientId(id), params, signer, rng, timestamp: 0 }
    }

    fn request(
        &self,
        client: ClientId,
        lane: u16,
        timestamp: u64,
        operation: Vec<u8>,
    ) -> Arc<[u8]> {
        let body = Request {
            client,
            lane: Lane(lane),
            timestamp: Timestamp(timestamp),
            session: Session::default(),
            operation,
        };
        let request = Arc::new(sign(&*self.signer, self.params.cluster, body));
        codec::encode(&ClientFrame::Request(request)).unwrap_or_default().into()
    }

    /// A request whose tags are good for the replicas whose bits are set.
    fn poisoned(&self, timestamp: u64, good: u64) -> Arc<[u8]> {
        let operation = Operation::Deposit { account: 9, amount: 3 }.encode();
        let timestamp = Timestamp(timestamp);
        let body =
            Request { client: self.id, lane: Lane(2), timestamp, session: Session(0), operation };
        let mut request = sign(&*self.signer, self.params.cluster, body);
        request.signature = spoiled(&request.signature, good);
        codec::encode(&ClientFrame::Request(Arc::new(request))).unwrap_or_default().into()
    }

    /// What it sends next, and to whom.
    pub fn speak(&mut self) -> Vec<(ReplicaId, Arc<[u8]>)> {
        let replicas: Vec<ReplicaId> = self.params.membership.replicas().collect();
        let lies = self.lies.clone();
        let Some(lie) = self.rng.pick(&lies).copied() else { return Vec::new() };
        self.timestamp += 1;
        let now = self.timestamp;
        let deposit = |amount| Operation::Deposit { account: 9, amount }.encode();
        let mut frames = Vec::new();
        for to in replicas {
            let half = u16::from(to.0 % 2 == 0);
            let frame = match lie {
                ClientLie::SameTimestamp => self.request(self.id, 0, now, deposit(1 + half)),
                ClientLie::MalformedOperation => {
                    self.request(self.id, 0, now, vec![250; now as usize % 60])
                }
                ClientLie::HugeOperation => {
                    self.request(self.id, 0, now, vec![1; self.params.operation_bytes_max + 1])
                }
                ClientLie::MaxTimestamp => {
                    let timestamp = Timestamp::MAX.0 + self.rng.below(2);
                    self.request(self.id, 1, timestamp, deposit(1))
                }
                ClientLie::OldRequests => self.request(self.id, 0, now / 2, deposit(2)),
                ClientLie::Flood => {
                    let lane = self.rng.below(u64::from(self.params.lanes_max)) as u16;
                    self.request(self.id, lane, now, deposit(1))
                }
                ClientLie::Unauthorised => self.request(ClientId(200), 0, now, deposit(1)),
                ClientLie::OtherClient => self.request(ClientId(0), 0, 1000 + now, deposit(5)),
                ClientLie::HighLane => {
                    self.request(self.id, self.params.lanes_max, now, deposit(1))
                }
                ClientLie::PoisonedTags => {
                    let good = match now % 4 {
                        0 => self.rng.number(),
                        _ => poisoned_for(&mut self.rng, &self.params),
                    };
                    self.poisoned(now, good)
                }
                ClientLie::MalformedFrame if now.is_multiple_of(2) => {
                    let request = self.request(self.id, 2, now, deposit(1));
                    [&request[..], &[0]].concat().into()
                }
                ClientLie::MalformedFrame => vec![7; 3 + now as usize % 50].into(),
                ClientLie::RepeatRequest => {
                    let frame = self.request(self.id, 3, 1 + now / REPEATS as u64, deposit(1));
                    frames.extend(std::iter::repeat_n((to, Arc::clone(&frame)), REPEATS - 1));
                    frame
                }
            };
            frames.push((to, frame));
        }
        frames
    }
}
