//! Requests that wait for execution (§4.1, §4.4): at most one a lane, in order of arrival.

use crate::message::{Request, Signed};
use crate::replies::ReplyTable;
use crate::types::{ClientId, Lane, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Names a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RequestId {
    pub(crate) client: ClientId,
    pub(crate) lane: Lane,
    pub(crate) timestamp: Timestamp,
}

impl Request {
    pub(crate) fn id(&self) -> RequestId {
        RequestId { client: self.client, lane: self.lane, timestamp: self.timestamp }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Waiting {
    request: Arc<Signed<Request>>,
    arrival: u64,
}

/// How long the primary waits for a batch to fill: [`crate::Params::batch_delay`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Gathering {
    /// As many requests are worth waiting for: those that the last batch answered, whose clients may come again, and
    /// those that waited when it was executed.
    expected: usize,
    /// Whether the timer runs.
    is_running: bool,
}

/// What the primary does with requests that it may propose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gather {
    /// Enough wait; `timer` says whether one is running that has no use any more.
    Done { timer: bool },
    /// It waits for more from now on.
    Begin,
    /// It goes on waiting for more.
    Continue,
}

/// The waiting requests. Bounded: one a lane, and the lanes of each client on the allow-list are bounded.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Pending {
    lanes: BTreeMap<(ClientId, Lane), Waiting>,
    arrivals: BTreeMap<u64, (ClientId, Lane)>,
    arrived: u64,
    /// Arrivals below this were proposed in the current view, or found to be ordered in it.
    cursor: u64,
    /// How many arrivals are at or above the cursor.
    unordered: usize,
    gathering: Gathering,
    /// The highest timestamp of each lane that the current view's log orders, at its primary.
    ordered: BTreeMap<(ClientId, Lane), Timestamp>,
}

impl Pending {
    /// The timestamp that waits on a lane.
    pub(crate) fn waiting(&self, client: ClientId, lane: Lane) -> Option<Timestamp> {
        self.request(client, lane).map(|request| request.timestamp)
    }

    /// The request that waits on a lane.
    pub(crate) fn request(&self, client: ClientId, lane: Lane) -> Option<&Request> {
        self.lanes.get(&(client, lane)).map(|waiting| &waiting.request.body)
    }

    /// How many requests wait.
    pub(crate) fn len(&self) -> usize {
        self.lanes.len().max(self.arrivals.len())
    }

    /// Whether this very request waits.
    pub(crate) fn contains(&self, id: RequestId) -> bool {
        self.waiting(id.client, id.lane) == Some(id.timestamp)
    }

    /// Adds a request; an earlier one of its lane was given up by the client.
    pub(crate) fn insert(&mut self, request: Arc<Signed<Request>>) {
        let key = (request.body.client, request.body.lane);
        let arrival = self.arrived;
        self.arrived += 1;
        self.arrivals.insert(arrival, key);
        self.unordered += 1;
        if let Some(earlier) = self.lanes.insert(key, Waiting { request, arrival }) {
            self.remove_arrival(earlier.arrival);
        }
    }

    /// Takes a request that is signed in the place of the same one with an authenticator. False if that is not what waits.
    pub(crate) fn prove(&mut self, request: &Arc<Signed<Request>>) -> bool {
        let key = (request.body.client, request.body.lane);
        let Some(waiting) = self.lanes.get_mut(&key) else { return false };
        let known = &waiting.request;
        let proves =
            request.is_transferable() && !known.is_transferable() && request.body == known.body;
        if proves {
            waiting.request = Arc::clone(request);
        }
        proves
    }

    /// Forgets the requests that are not signed: their view is over.
    pub(crate) fn drop_authenticators(&mut self) {
        let unproven = self.lanes.extract_if(.., |_, waiting| !waiting.request.is_transferable());
        let arrivals: Vec<u64> = unproven.map(|(_, waiting)| waiting.arrival).collect();
        arrivals.into_iter().for_each(|arrival| self.remove_arrival(arrival));
    }

    fn remove_arrival(&mut self, arrival: u64) {
        if self.arrivals.remove(&arrival).is_some() && arrival >= self.cursor {
            self.unordered -= 1;
        }
    }

    /// Drops a lane's request if the reply table says that it, or a later one, was executed.
    pub(crate) fn settle(&mut self, client: ClientId, lane: Lane, replies: &ReplyTable) {
        let Some(timestamp) = self.waiting(client, lane) else { return };
        if replies.is_executed(client, lane, timestamp)
            && let Some(settled) = self.lanes.remove(&(client, lane))
        {
            self.remove_arrival(settled.arrival);
        }
    }

    /// [`Self::settle`] for every lane.
    pub(crate) fn settle_all(&mut self, replies: &ReplyTable) {
        let lanes: Vec<_> = self.lanes.keys().copied().collect();
        lanes.into_iter().for_each(|(client, lane)| self.settle(client, lane, replies));
    }

    /// The request that waits longest.
    pub(crate) fn oldest(&self) -> Option<&Arc<Signed<Request>>> {
        let (_, key) = self.arrivals.first_key_value()?;
        self.lanes.get(key).map(|waiting| &waiting.request)
    }

    /// The requests that wait longest, at most `count`.
    pub(crate) fn longest_waiting(
        &self,
        count: usize,
    ) -> impl Iterator<Item = &Arc<Signed<Request>>> {
        let keys = self.arrivals.values().take(count);
        keys.filter_map(|key| self.lanes.get(key)).map(|waiting| &waiting.request)
    }

    /// A view begins that orders `ordered` already.
    pub(crate) fn begin_view<'a>(&mut self, ordered: impl Iterator<Item = &'a Signed<Request>>) {
        self.cursor = 0;
        self.unordered = self.arrivals.len();
        self.ordered.clear();
        ordered.for_each(|request| self.mark_ordered(&request.body));
    }

    /// Whether the current view's log orders this request, or a later one of its lane.
    pub(crate) fn is_ordered(&self, id: RequestId) -> bool {
        self.ordered.get(&(id.client, id.lane)).is_some_and(|last| *last >= id.timestamp)
    }

    fn mark_ordered(&mut self, request: &Request) {
        let last = self.ordered.entry((request.client, request.lane)).or_default();
        *last = (*last).max(request.timestamp);
    }

    /// Takes the next requests to propose, oldest first: at most `count`, and as many as `bytes` has room for,
    /// but at least one if any is left.
    pub(crate) fn take_unordered(
        &mut self,
        count: usize,
        bytes: usize,
    ) -> Vec<Arc<Signed<Request>>> {
        let mut taken = Vec::new();
        let mut room = bytes;
        while taken.len() < count {
            let Some((&arrival, key)) = self.arrivals.range(self.cursor..).next() else { break };
            let Some(waiting) = self.lanes.get(key) else { break };
            let request = Arc::clone(&waiting.request);
            if !self.is_ordered(request.body.id()) {
                let len = request.body.operation.len();
                if len > room && !taken.is_empty() {
                    break;
                }
                room = room.saturating_sub(len);
                self.mark_ordered(&request.body);
                taken.push(request);
            }
            self.cursor = arrival + 1;
            self.unordered -= 1;
        }
        debug_assert_eq!(self.unordered, self.arrivals.range(self.cursor..).count());
        taken
    }

    /// A batch of `executed` requests was executed: as many may come again.
    pub(crate) fn expect(&mut self, executed: usize) {
        self.gathering.expected = executed + self.unordered;
    }

    /// Whether to propose what waits, or to wait for more, at most `count`.
    pub(crate) fn gather(&mut self, count: usize) -> Gather {
        let enough = self.gathering.expected.min(count);
        let timer = self.gathering.is_running;
        self.gathering.is_running = self.unordered > 0 && self.unordered < enough;
        match (timer, self.gathering.is_running) {
            (timer, false) => Gather::Done { timer },
            (false, true) => Gather::Begin,
            (true, true) => Gather::Continue,
        }
    }

    /// The timer has run out: what waits is enough.
    pub(crate) fn stop_gathering(&mut self) {
        self.gathering = Gathering::default();
    }
}
