//! Requests that wait for execution (§4.1, §4.4): at most one a lane, in order of arrival.

use crate::effect::Effect;
use crate::input::Timer;
use crate::message::{Request, Signed};
use crate::params::Params;
use crate::replies::ReplyTable;
use crate::types::{ClientId, Lane, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// While others wait, a client has no more requests than this ordered and not executed, or than twice what any other has
/// waiting: a batch takes as long as what is in it, so that one with many lanes would slow each batch that others are in.
const SHARE: usize = 64;

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

/// As many requests are many. Of fewer the one that is left behind would cost the others more than they wait for it: it
/// makes the primary begin to wait for the next batch before they can have come back.
const MANY: usize = 32;

/// How long the primary waits for a batch to fill: [`crate::Params::batch_delay`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Gathering {
    /// As many requests are worth waiting for: those that the last batch answered, whose clients may come again, and
    /// those that waited when it was executed.
    expected: usize,
    /// Whether the timer runs.
    is_running: bool,
    /// Whether it ran out once, when few had come.
    is_longer: bool,
}

impl Gathering {
    /// How many make a batch worth its round of messages. Of many, one in sixteen may be late, or not come again.
    fn enough(&self, count: usize) -> usize {
        let expected = self.expected.min(count);
        let late = if expected < MANY { 0 } else { expected / 16 };
        expected - late
    }
}

/// The client of whom most requests wait, how many, and how many of the one with most among the others.
#[derive(Clone, Copy, Debug, Default)]
struct Crowd {
    of: Option<ClientId>,
    most: usize,
    second: usize,
}

/// The waiting requests. Bounded: one a lane, and the lanes of each client on the allow-list are bounded.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Pending {
    lanes: BTreeMap<(ClientId, Lane), Waiting>,
    arrivals: BTreeMap<u64, (ClientId, Lane)>,
    arrived: u64,
    /// How many requests of each client wait.
    waiting: BTreeMap<ClientId, usize>,
    /// The arrivals that were not proposed in the current view, nor found to be ordered in it, by client.
    unordered: BTreeMap<ClientId, BTreeSet<u64>>,
    /// The client whose turn it is when a batch is filled, or the next one that has something.
    turn: ClientId,
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
        *self.waiting.entry(key.0).or_default() += 1;
        self.unordered.entry(key.0).or_default().insert(arrival);
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
        if let Some((client, _)) = self.arrivals.remove(&arrival) {
            self.mark_taken(client, arrival);
            let waiting = self.waiting.entry(client).or_default();
            *waiting = waiting.saturating_sub(1);
            if *waiting == 0 {
                self.waiting.remove(&client);
            }
        }
    }

    /// An arrival needs no number in this view any more.
    fn mark_taken(&mut self, client: ClientId, arrival: u64) {
        if let Some(own) = self.unordered.get_mut(&client) {
            own.remove(&arrival);
            if own.is_empty() {
                self.unordered.remove(&client);
            }
        }
    }

    /// How many requests wait for a number and may be given one.
    fn unordered(&self) -> usize {
        let crowd = self.crowd();
        self.unordered.iter().map(|(client, own)| own.len().min(self.room(*client, &crowd))).sum()
    }

    fn crowd(&self) -> Crowd {
        let mut crowd = Crowd::default();
        for (client, count) in &self.waiting {
            match *count > crowd.most {
                true => {
                    (crowd.second, crowd.most, crowd.of) = (crowd.most, *count, Some(*client));
                }
                false => crowd.second = crowd.second.max(*count),
            }
        }
        crowd
    }

    /// How many more of a client's requests may be given a number before some are executed.
    fn room(&self, client: ClientId, crowd: &Crowd) -> usize {
        let of_another = if crowd.of == Some(client) { crowd.second } else { crowd.most };
        if of_another == 0 {
            return usize::MAX;
        }
        let waiting = self.waiting.get(&client).copied().unwrap_or_default();
        let unordered = self.unordered.get(&client).map_or(0, BTreeSet::len);
        SHARE.max(2 * of_another).saturating_sub(waiting.saturating_sub(unordered))
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

    /// At most `count` requests: of each client the one that waits longest, then of each the next one, and so on, so that
    /// a client with many does not keep those of others from being sent again.
    pub(crate) fn longest_waiting(
        &self,
        count: usize,
    ) -> impl Iterator<Item = &Arc<Signed<Request>>> {
        let mut before: BTreeMap<ClientId, usize> = BTreeMap::new();
        let mut ranked: Vec<_> = (self.arrivals.iter())
            .map(|(arrival, key)| {
                let rank = before.entry(key.0).or_default();
                *rank += 1;
                (*rank, *arrival, key)
            })
            .collect();
        ranked.sort_unstable();
        let keys = ranked.into_iter().take(count);
        keys.filter_map(|(_, _, key)| self.lanes.get(key)).map(|waiting| &waiting.request)
    }

    /// A view begins that orders `ordered` already.
    pub(crate) fn begin_view<'a>(&mut self, ordered: impl Iterator<Item = &'a Signed<Request>>) {
        self.unordered.clear();
        for (arrival, (client, _)) in &self.arrivals {
            self.unordered.entry(*client).or_default().insert(*arrival);
        }
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

    /// Takes the next requests to propose, one of each client in turn, and of each the one that waits longest: at most
    /// `count`, and as many as `bytes` has room for, but at least one if any is left that may be given a number. A client
    /// whose next request has no room any more is the first one next time.
    pub(crate) fn take_unordered(
        &mut self,
        count: usize,
        bytes: usize,
    ) -> Vec<Arc<Signed<Request>>> {
        let (mut taken, mut room) = (Vec::new(), bytes);
        let mut left_out = BTreeSet::new();
        let mut first_left_out = None;
        let crowd = self.crowd();
        while taken.len() < count {
            let Some((client, arrival)) = self.next_in_turn(&left_out) else { break };
            if self.room(client, &crowd) == 0 {
                left_out.insert(client);
                continue;
            }
            let Some(request) = self.request_of(arrival).map(Arc::clone) else { break };
            if self.is_ordered(request.body.id()) {
                self.mark_taken(client, arrival);
                continue;
            }
            let len = request.body.operation.len();
            if len > room && !taken.is_empty() {
                left_out.insert(client);
                first_left_out = first_left_out.or(Some(client));
                continue;
            }
            room = room.saturating_sub(len);
            self.mark_taken(client, arrival);
            self.mark_ordered(&request.body);
            self.turn = ClientId(client.0.wrapping_add(1));
            taken.push(request);
        }
        self.turn = first_left_out.unwrap_or(self.turn);
        taken
    }

    fn request_of(&self, arrival: u64) -> Option<&Arc<Signed<Request>>> {
        self.lanes.get(self.arrivals.get(&arrival)?).map(|waiting| &waiting.request)
    }

    /// The client whose turn it is, except for those that are left out, and its oldest arrival that waits for a number.
    fn next_in_turn(&self, left_out: &BTreeSet<ClientId>) -> Option<(ClientId, u64)> {
        let from_here = self.unordered.range(self.turn..).chain(self.unordered.range(..self.turn));
        let mut others = from_here.filter(|(client, _)| !left_out.contains(client));
        others.next().and_then(|(client, own)| Some((*client, *own.first()?)))
    }

    /// A batch of `executed` requests was executed: as many may come again.
    pub(crate) fn expect(&mut self, executed: usize) {
        let expected = executed + self.unordered();
        self.gathering = Gathering { expected, is_longer: false, ..self.gathering };
    }

    /// Whether a batch is not proposed yet because more requests are about to come. Sets the timer that bounds the wait.
    pub(crate) fn waits_for_more(&mut self, params: &Params, effects: &mut Vec<Effect>) -> bool {
        let after = params.batch_delay;
        if after.is_zero() {
            return false;
        }
        let unordered = self.unordered();
        let waits = unordered > 0 && unordered < self.gathering.enough(params.batch_requests_max);
        match (std::mem::replace(&mut self.gathering.is_running, waits), waits) {
            (true, false) => effects.push(Effect::CancelTimer(Timer::Batch)),
            (false, true) => effects.push(Effect::SetTimer { timer: Timer::Batch, after }),
            (true, true) | (false, false) => {}
        }
        waits
    }

    /// The timer has run out: what waits is enough, unless most are missing for the first time. Whoever always has a request
    /// waiting makes it start before those that were answered can have come back.
    pub(crate) fn stop_gathering(&mut self) {
        let is_few = 2 * self.unordered() < self.gathering.expected;
        self.gathering = match is_few && !self.gathering.is_longer {
            true => Gathering { is_running: false, is_longer: true, ..self.gathering },
            false => Gathering::default(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replies::LastReply;
    use crate::types::{Session, Signature};

    fn request(client: u32, lane: u16, bytes: usize) -> Arc<Signed<Request>> {
        let (client, lane) = (ClientId(client), Lane(lane));
        let operation = vec![0; bytes];
        let session = Session::default();
        let body = Request { client, lane, timestamp: Timestamp(1), session, operation };
        Arc::new(Signed { body, signature: Signature::default() })
    }

    fn clients(batch: &[Arc<Signed<Request>>]) -> Vec<u32> {
        batch.iter().map(|request| request.body.client.0).collect()
    }

    /// Outside fault F16: A client that offers a hundred times as much keeps another's requests out of the batches.
    #[test]
    fn each_batch_has_every_clients_share() {
        let mut pending = Pending::default();
        (0..400).for_each(|lane| pending.insert(request(9, lane, 1)));
        (0..4).for_each(|lane| pending.insert(request(1, lane, 1)));
        let batches: Vec<_> = (0..4).map(|_| clients(&pending.take_unordered(10, 1000))).collect();
        assert_eq!(batches[0].iter().filter(|client| **client == 1).count(), 4, "{batches:?}");
        assert!(batches[1..].iter().all(|batch| *batch == [9; 10]), "nothing is left to share");
        (4..404).for_each(|lane| pending.insert(request(1, lane, 1)));
        for _ in 0..20 {
            let batch = clients(&pending.take_unordered(10, 1000));
            assert_eq!(batch.iter().filter(|client| **client == 1).count(), 5, "{batch:?}");
        }
    }

    /// Outside fault F16: A client with a request on each lane makes each batch that another's few are in four times as long.
    #[test]
    fn a_client_with_many_lanes_has_half_of_them_in_batches_while_others_wait() {
        let mut pending = Pending::default();
        (0..128).for_each(|lane| pending.insert(request(9, lane, 1)));
        assert_eq!(pending.clone().take_unordered(400, 1000).len(), 128, "nobody else waits");
        (0..20).for_each(|lane| pending.insert(request(1, lane, 1)));
        assert_eq!(pending.unordered(), 64 + 20);
        let batch = clients(&pending.take_unordered(400, 1000));
        let of = |client| batch.iter().filter(|one| **one == client).count();
        assert_eq!((of(1), of(9)), (20, 64));
        assert_eq!((pending.unordered(), pending.take_unordered(400, 1000).len()), (0, 0));
        // What is executed makes room; twice as many as another has is as good as half of the lanes.
        let mut replies = ReplyTable::default();
        let mut execute = |pending: &mut Pending, client, lanes: core::ops::Range<u16>| {
            for lane in lanes {
                let body = request(client, lane, 1).body.clone();
                replies.record(body.client, body.lane, LastReply::to(&body, [].into()));
                pending.settle(body.client, body.lane, &replies);
            }
        };
        execute(&mut pending, 9, 0..10);
        assert_eq!(clients(&pending.take_unordered(400, 1000)), [9; 10]);
        (20..50).for_each(|lane| pending.insert(request(1, lane, 1)));
        assert_eq!(pending.take_unordered(400, 1000).len(), 30 + (100 - 64));
        execute(&mut pending, 1, 0..50);
        assert_eq!(pending.take_unordered(400, 1000).len(), 18, "nobody else waits any more");
        execute(&mut pending, 9, 10..128);
        assert!(pending.waiting.is_empty() && pending.unordered.is_empty());
    }

    /// Outside fault F16: A client with large operations fills each batch before another's small ones.
    #[test]
    fn small_requests_find_room_beside_large_ones_and_nobody_is_left_out_for_ever() {
        let mut pending = Pending::default();
        (0..40).for_each(|lane| pending.insert(request(2, lane, 30)));
        (0..40).for_each(|lane| pending.insert(request(5, lane, 45)));
        (0..12).for_each(|lane| pending.insert(request(7, lane, 1)));
        let mut served = BTreeMap::new();
        for _ in 0..12 {
            let batch = clients(&pending.take_unordered(10, 100));
            assert!(batch.contains(&7) || served.get(&7) == Some(&12), "{batch:?}");
            batch.into_iter().for_each(|client| *served.entry(client).or_insert(0) += 1);
        }
        assert_eq!(served[&7], 12);
        assert!(served[&2] >= 10 && served[&5] >= 10, "{served:?}");
    }

    /// Outside fault F16: What a client with many waiting requests has sent is sent again, and of others nothing.
    #[test]
    fn relays_are_repeated_for_all_clients() {
        let mut pending = Pending::default();
        (0..100).for_each(|lane| pending.insert(request(9, lane, 1)));
        (0..3).for_each(|lane| pending.insert(request(1, lane, 1)));
        let again: Vec<_> = pending.longest_waiting(8).cloned().collect();
        let of = |client| clients(&again).iter().filter(|one| **one == client).count();
        assert_eq!((of(1), of(9)), (3, 5));
    }
}
