//! The events of clients that wait for the driver: a queue for each client, from which the driver takes in turns, so that
//! nobody waits for more of another client's events than of its own.

use crate::inbox::Event;
use pbft_core::types::ClientId;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The most events of one client that wait: one for each lane that it has by default, twice, since the next request of a
/// lane may come before the last one's reply has left here. More are refused as overload, whatever others do.
const OF_A_CLIENT: usize = 256;

/// Whose events they are: a client's, or this process's own.
type Owner = Option<ClientId>;

#[derive(Debug, Default)]
struct Waiting {
    queues: BTreeMap<Owner, VecDeque<Event>>,
    /// Those who have something waiting, in the order of their turns.
    ring: VecDeque<Owner>,
    /// Clients of whom a status request waits; one answer serves all of them.
    asked: std::collections::BTreeSet<ClientId>,
    /// What is to happen after everything else.
    last: VecDeque<Event>,
}

/// The queues. Clones are of the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns {
    waiting: Arc<Mutex<Waiting>>,
    arrived: Arc<Notify>,
    closed: Arc<AtomicBool>,
}

/// Why an event was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// Too many of this client's events wait.
    Full,
    /// The driver is gone.
    Closed,
}

/// The driver's end. When it is dropped, nothing is taken any more.
#[derive(Debug)]
pub(crate) struct TakesTurns(Turns);

impl Turns {
    /// The two ends.
    pub(crate) fn new() -> (Self, TakesTurns) {
        let turns = Self::default();
        (turns.clone(), TakesTurns(turns))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this client has as much waiting as it may.
    pub(crate) fn is_full(&self, client: ClientId) -> bool {
        self.lock().queues.get(&Some(client)).is_some_and(|queue| queue.len() >= OF_A_CLIENT)
    }

    /// Whether the driver is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Adds an event.
    pub(crate) fn push(&self, owner: Owner, event: Event) -> Result<(), NotTaken> {
        if self.is_closed() {
            return Err(NotTaken::Closed);
        }
        let mut waiting = self.lock();
        match (&event, owner) {
            (Event::Barrier(_), _) => {
                waiting.last.push_back(event);
                drop(waiting);
                self.arrived.notify_one();
                return Ok(());
            }
            (Event::Status(_), Some(client)) if !waiting.asked.insert(client) => return Ok(()),
            _ => {}
        }
        let queue = waiting.queues.entry(owner).or_default();
        if owner.is_some() && queue.len() >= OF_A_CLIENT && !matches!(event, Event::Status(_)) {
            return Err(NotTaken::Full);
        }
        let is_first = queue.is_empty();
        queue.push_back(event);
        if is_first {
            waiting.ring.push_back(owner);
        }
        drop(waiting);
        self.arrived.notify_one();
        Ok(())
    }
}

impl TakesTurns {
    /// The next event, if one waits.
    pub(crate) fn try_recv(&mut self) -> Option<Event> {
        let mut waiting = self.0.lock();
        let Some(owner) = waiting.ring.pop_front() else { return waiting.last.pop_front() };
        let queue = waiting.queues.get_mut(&owner)?;
        let event = queue.pop_front();
        match queue.is_empty() {
            true => drop(waiting.queues.remove(&owner)),
            false => waiting.ring.push_back(owner),
        }
        if let (Some(Event::Status(client)), Some(_)) = (&event, owner) {
            waiting.asked.remove(client);
        }
        event
    }

    /// The next event, once there is one. Nothing is lost if it is not awaited to its end.
    pub(crate) async fn recv(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.try_recv() {
                return Some(event);
            }
            self.0.arrived.notified().await;
        }
    }

    /// How many events wait.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().queues.values().map(VecDeque::len).sum()
    }
}

impl Drop for TakesTurns {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
        // Whoever waits for an answer learns that there will be none.
        *self.0.lock() = Waiting::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_core::Input;

    fn request() -> Event {
        Event::Input(Box::new(Input::Suspect))
    }

    /// Outside fault F16: One client's events fill the queue that all share, and others are refused as overload.
    #[tokio::test]
    async fn clients_take_turns_and_fill_only_their_own_queue() {
        let (turns, mut driver) = Turns::new();
        let (greedy, modest) = (ClientId(9), ClientId(1));
        let taken = (0..10_000).filter(|_| turns.push(Some(greedy), request()).is_ok()).count();
        assert_eq!(taken, OF_A_CLIENT);
        assert!(turns.is_full(greedy) && !turns.is_full(modest));
        for _ in 0..100 {
            turns.push(Some(modest), Event::Status(modest)).expect("one, or none");
        }
        assert_eq!(driver.len(), OF_A_CLIENT + 1, "status requests of a client share an answer");
        let second = [driver.recv().await, driver.recv().await].into_iter().flatten().nth(1);
        assert!(matches!(second, Some(Event::Status(ClientId(1)))), "{second:?}");
        turns.push(Some(modest), Event::Status(modest)).expect("asked anew");
        assert_eq!(driver.len(), OF_A_CLIENT);
    }

    #[tokio::test]
    async fn a_barrier_comes_after_everything_and_a_driver_that_is_gone_takes_nothing() {
        let (turns, mut driver) = Turns::new();
        let (done, mut is_done) = tokio::sync::oneshot::channel();
        turns.push(None, Event::Barrier(done)).expect("taken");
        turns.push(Some(ClientId(1)), request()).expect("taken");
        assert!(matches!(driver.try_recv(), Some(Event::Input(_))));
        assert!(matches!(driver.try_recv(), Some(Event::Barrier(_))));
        assert!(driver.try_recv().is_none());
        assert!(is_done.try_recv().is_err());
        drop(driver);
        assert_eq!(turns.push(Some(ClientId(1)), request()), Err(NotTaken::Closed));
    }
}
