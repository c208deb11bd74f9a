//! A client's lanes: each drives one of the core's client machines.

use super::{ClientError, Shared};
use crate::codec;
use crate::frame::{ClientFrame, RefusalReason};
use bytes::Bytes;
use pbft_core::client::{ClientEffect, ClientInput, ClientLane, Fate};
use pbft_core::crypto::sign;
use pbft_core::message::{Reply, Request, Signed};
use pbft_core::types::{Digest, Lane, ReplicaId, Timestamp, View};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// What a replica says to a lane.
#[derive(Debug)]
pub(super) enum LaneEvent {
    /// A reply with a good signature.
    Reply(Signed<Reply>),
    /// A refusal.
    Refused { from: ReplicaId, reason: RefusalReason },
}

impl LaneEvent {
    /// Who says it, and whether it refuses.
    fn source(&self) -> (ReplicaId, bool) {
        match self {
            Self::Reply(reply) => (reply.body.replica, false),
            Self::Refused { from, .. } => (*from, true),
        }
    }
}

/// What arrives for one lane.
#[derive(Debug, Default)]
struct Route {
    state: Mutex<RouteState>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct RouteState {
    /// The digest of the request that is outstanding: other processes with this key may use its timestamp, too.
    waits_for: Option<Digest>,
    /// At most a reply and a refusal of each replica, however often one repeats itself.
    events: VecDeque<LaneEvent>,
}

impl Route {
    fn lock(&self) -> MutexGuard<'_, RouteState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on only what is about `request` is taken; nothing, if there is none.
    fn wait_for(&self, request: Option<Digest>) {
        let mut state = self.lock();
        state.waits_for = request;
        state.events.clear();
    }

    /// The next event. Nothing is lost if it is not awaited to its end.
    async fn next(&self) -> LaneEvent {
        loop {
            if let Some(event) = self.lock().events.pop_front() {
                return event;
            }
            self.arrived.notified().await;
        }
    }
}

/// Where what arrives for a lane goes.
#[derive(Debug)]
pub(crate) struct Routes(Vec<Arc<Route>>);

impl Routes {
    /// Routes to so many lanes.
    pub(super) fn new(lanes: u16) -> Self {
        Self((0..lanes.max(1)).map(|_| Arc::default()).collect())
    }

    fn route(&self, lane: Lane) -> Option<&Arc<Route>> {
        self.0.get(usize::from(lane.0))
    }

    /// Whether `lane` waits for an answer to `request`.
    pub(super) fn waits_for(&self, lane: Lane, request: Digest) -> bool {
        self.route(lane).is_some_and(|route| route.lock().waits_for == Some(request))
    }

    /// Hands over what a replica says about `request`, if it is still of interest.
    pub(super) fn deliver(&self, lane: Lane, request: Digest, event: LaneEvent) {
        let Some(route) = self.route(lane) else { return };
        let mut state = route.lock();
        let again = || state.events.iter().any(|waiting| waiting.source() == event.source());
        if state.waits_for == Some(request) && !again() {
            state.events.push_back(event);
            drop(state);
            route.arrived.notify_one();
        }
    }
}

type Idle = Arc<Mutex<BTreeMap<Lane, ClientLane>>>;

/// The lanes of a client.
#[derive(Debug)]
pub(super) struct Lanes {
    idle: Idle,
    permits: Arc<Semaphore>,
    shared: Arc<Shared>,
}

impl Lanes {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let count = shared.options.lanes;
        let idle = (0..count).map(|lane| (Lane(lane), fresh(shared))).collect();
        Self {
            idle: Arc::new(Mutex::new(idle)),
            permits: Arc::new(Semaphore::new(count.into())),
            shared: Arc::clone(shared),
        }
    }

    /// Waits for an idle lane and takes it. The lowest come first, so that a client that has one operation at a
    /// time occupies one entry of the reply table.
    pub(super) async fn take(&self) -> BusyLane {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        let taken = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
        let (lane, mut machine) = taken.unwrap_or_else(|| (Lane(0), fresh(&self.shared)));
        let route = self.shared.routes.route(lane).cloned().unwrap_or_default();
        machine.learn_view(View(self.shared.view.load(Ordering::Relaxed)));
        let (idle, shared) = (Arc::clone(&self.idle), Arc::clone(&self.shared));
        BusyLane { lane, machine, route, idle, shared, _permit: permit }
    }
}

fn fresh(shared: &Shared) -> ClientLane {
    ClientLane::new(shared.params.membership, shared.options.patience)
}

/// A lane with its one operation; idle again when dropped.
pub(super) struct BusyLane {
    lane: Lane,
    machine: ClientLane,
    route: Arc<Route>,
    idle: Idle,
    shared: Arc<Shared>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Drop for BusyLane {
    fn drop(&mut self) {
        self.route.wait_for(None);
        // After an operation without a result the machine would wait for it for ever. The next timestamp is
        // above it, so the replicas take the lane's next operation all the same.
        let machine = match self.machine.is_busy() {
            true => fresh(&self.shared),
            false => self.machine.clone(),
        };
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).insert(self.lane, machine);
    }
}

/// How one attempt at an operation ended.
pub(super) enum Ended {
    /// f+1 replicas agree on the result.
    Result(Vec<u8>),
    /// f+1 replicas say that the timestamp is spent.
    Spent {
        /// The operation.
        operation: Vec<u8>,
        /// What became of it.
        fate: Fate,
        /// Later timestamps than this one can be used.
        last: Timestamp,
    },
}

/// One operation under way.
struct Attempt {
    request: Digest,
    timeout: Duration,
    resend_at: Instant,
    ended: Option<Ended>,
    /// Kept, because it may have to be asked for again.
    operation: Vec<u8>,
    refusals: BTreeMap<ReplicaId, RefusalReason>,
    /// How often f+1 replicas said that they have too much to do.
    overloads: u32,
}

/// The first pause before an overloaded cluster is asked again; doubles up to the client's longest patience.
const OVERLOAD_PAUSE: Duration = Duration::from_millis(50);

/// How long to leave an overloaded cluster alone: between half and one and a half times the doubled pause, so that
/// clients that were refused together do not return together.
fn overload_pause(times: u32, max: Duration, seed: u64) -> Duration {
    let doubled = OVERLOAD_PAUSE.saturating_mul(1 << times.min(16)).min(max);
    // The timestamp's low digits differ from request to request.
    let part = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
    doubled / 2 + doubled.mul_f64(part as f64 / 1024.0)
}

impl BusyLane {
    /// Runs one operation to its end, or until `deadline`.
    pub(super) async fn submit(
        &mut self,
        operation: Vec<u8>,
        timestamp: Timestamp,
        deadline: Instant,
    ) -> Result<Ended, ClientError> {
        let (client, lane, session) = (self.shared.id, self.lane, self.shared.session);
        let body = Request { client, lane, timestamp, session, operation: operation.clone() };
        let digest = body.digest();
        self.route.wait_for(Some(digest));
        let request = Arc::new(match self.shared.signs() {
            true => self.shared.signed(body),
            false => sign(&self.shared.signer, self.shared.params.cluster, body),
        });
        let after = self.shared.options.deadline;
        let mut attempt = Attempt {
            request: digest,
            timeout: after,
            resend_at: deadline,
            ended: None,
            operation,
            refusals: BTreeMap::new(),
            overloads: 0,
        };
        let mut ended = self.shared.ended.subscribe();
        self.step(ClientInput::Submit(request), &mut attempt);
        if self.primary_is_cut_off() {
            self.step(ClientInput::Timeout, &mut attempt);
        }
        let mut alarm = std::pin::pin!(tokio::time::sleep_until(attempt.resend_at.min(deadline)));
        loop {
            if let Some(ended) = attempt.ended.take() {
                return Ok(ended);
            }
            let wake = attempt.resend_at.min(deadline);
            if alarm.deadline() != wake {
                alarm.as_mut().reset(wake);
            }
            let input = tokio::select! {
                event = self.route.next() => match event {
                    LaneEvent::Reply(reply) => Some(ClientInput::Reply(reply)),
                    LaneEvent::Refused { from, reason } => {
                        self.on_refused(from, reason, timestamp, &mut attempt)?
                    }
                },
                // The others learn of the request without delay, and start their timers.
                Ok(()) = ended.changed() => {
                    self.primary_is_cut_off().then_some(ClientInput::Timeout)
                }
                () = &mut alarm => Some(ClientInput::Timeout),
            };
            if Instant::now() >= deadline {
                let needed = self.shared.params.membership.weak();
                return Err(match attempt.overloads {
                    0 => ClientError::Timeout { needed, after },
                    _ => ClientError::Overloaded,
                });
            }
            if let Some(input) = input {
                self.step(input, &mut attempt);
            }
        }
    }

    /// Whether what was sent to the primary has most likely not arrived.
    fn primary_is_cut_off(&self) -> bool {
        let primary = self.shared.params.membership.primary(self.machine.view());
        self.shared.is_cut_off(primary)
    }

    /// One refusal may be a lie: ask all the others at once. f+1 cannot all be lies.
    fn on_refused(
        &self,
        from: ReplicaId,
        reason: RefusalReason,
        timestamp: Timestamp,
        attempt: &mut Attempt,
    ) -> Result<Option<ClientInput>, ClientError> {
        if let Some(spent) = reason.spent() {
            return Ok(Some(ClientInput::Spent { from, request: attempt.request, spent }));
        }
        let first = attempt.refusals.is_empty();
        attempt.refusals.insert(from, reason);
        if reason == RefusalReason::NotSigned {
            // From anybody else it says nothing of what the primary takes.
            if from == self.shared.params.membership.primary(self.machine.view()) {
                self.shared.sign_from_now_on();
            }
            return Ok(first.then_some(ClientInput::Timeout));
        }
        let agreeing = attempt.refusals.values().filter(|other| **other == reason).count();
        if agreeing >= self.shared.params.membership.weak() {
            if reason != RefusalReason::Overloaded {
                return Err(ClientError::Refused(reason));
            }
            let max = self.shared.options.patience.max;
            let pause = overload_pause(attempt.overloads, max, timestamp.0);
            attempt.resend_at = Instant::now() + pause;
            attempt.overloads = attempt.overloads.saturating_add(1);
            attempt.refusals.clear();
            return Ok(None);
        }
        // An overloaded cluster is asked again in due time, not at once.
        Ok((first && reason != RefusalReason::Overloaded).then_some(ClientInput::Timeout))
    }

    fn step(&mut self, input: ClientInput, attempt: &mut Attempt) {
        // What the machine rejects (a reply to an earlier operation, say) changes nothing.
        for effect in self.machine.step(input).unwrap_or_default() {
            match effect {
                ClientEffect::Send { to, request } => {
                    if let (Some(queue), Some(frame)) =
                        (self.shared.queues.get(to.0 as usize), frame(&request))
                    {
                        queue.push(frame);
                    }
                }
                ClientEffect::Broadcast(request) => {
                    // Replicas hand on to each other, and protect, only what is signed (D24).
                    let request = match request.is_transferable() {
                        true => request,
                        false => Arc::new(self.shared.signed(request.body.clone())),
                    };
                    if let Some(frame) = frame(&request) {
                        self.shared.queues.iter().for_each(|queue| queue.push(frame.clone()));
                    }
                }
                ClientEffect::SetTimer(after) => attempt.resend_at = Instant::now() + after,
                ClientEffect::CancelTimer => attempt.resend_at = Instant::now() + attempt.timeout,
                ClientEffect::Done { result, view, .. } => {
                    // One lane's lesson spares all others the wait for a primary that is gone.
                    self.shared.view.fetch_max(view.0, Ordering::Relaxed);
                    attempt.ended = Some(Ended::Result(result.to_vec()));
                }
                ClientEffect::Spent { fate, last, .. } => {
                    let operation = std::mem::take(&mut attempt.operation);
                    attempt.ended = Some(Ended::Spent { operation, fate, last });
                }
            }
        }
    }
}

fn frame(request: &Arc<Signed<Request>>) -> Option<Bytes> {
    // Operations are bounded far below what the codec takes.
    codec::encode(&ClientFrame::Request(Arc::clone(request))).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_core::types::{ClientId, Signature};

    fn reply(replica: u32, result: &[u8]) -> LaneEvent {
        let body = Reply {
            view: View(0),
            client: ClientId(1),
            lane: Lane(0),
            timestamp: Timestamp(5),
            request: Digest::default(),
            replica: ReplicaId(replica),
            result: result.into(),
        };
        LaneEvent::Reply(Signed { body, signature: Signature { r: [0; 32], s: [0; 32] } })
    }

    #[test]
    fn a_replica_that_repeats_itself_fills_no_memory_and_hides_nobody() {
        let routes = Routes::new(1);
        let refusal =
            || LaneEvent::Refused { from: ReplicaId(2), reason: RefusalReason::Overloaded };
        routes.deliver(Lane(0), Digest::default(), reply(2, b"early"));
        routes.route(Lane(0)).expect("a lane").wait_for(Some(Digest::default()));
        for lie in 0..10_000u32 {
            routes.deliver(Lane(0), Digest::default(), reply(2, &lie.to_le_bytes()));
            routes.deliver(Lane(0), Digest::default(), refusal());
        }
        routes.deliver(Lane(0), Digest::default(), reply(3, b"good"));
        let state = routes.route(Lane(0)).expect("a lane").lock();
        let sources: Vec<_> = state.events.iter().map(LaneEvent::source).collect();
        let of = |replica, refuses| (ReplicaId(replica), refuses);
        assert_eq!(sources, [of(2, false), of(2, true), of(3, false)]);
    }

    #[test]
    fn pauses_double_spread_and_are_bounded() {
        let max = Duration::from_secs(4);
        let pauses = |times| (0..1000).map(move |seed| overload_pause(times, max, seed));
        for times in 0..40 {
            let doubled = OVERLOAD_PAUSE.saturating_mul(1 << times.min(16)).min(max);
            assert!(pauses(times).all(|pause| pause >= doubled / 2 && pause < doubled * 3 / 2));
        }
        let (min, max) = (pauses(3).min().expect("some"), pauses(3).max().expect("some"));
        assert!(max > min * 2, "they spread: {min:?} to {max:?}");
    }
}
