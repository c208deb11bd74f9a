//! The clients that are connected right now.

use super::queue::FrameQueue;
use pbft_core::types::ClientId;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most connections of one client; one more closes its oldest.
const CONNECTIONS_PER_CLIENT: usize = 8;

/// The most connections of all clients together.
const CONNECTIONS_MAX: usize = 1024;

/// Queues of the connected clients.
#[derive(Debug, Default)]
pub(super) struct ClientTable {
    queues: Mutex<BTreeMap<ClientId, VecDeque<Arc<FrameQueue>>>>,
}

impl ClientTable {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ClientId, VecDeque<Arc<FrameQueue>>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `send` with the queue of every connection of `client`.
    pub(super) fn each(&self, client: ClientId, send: impl FnMut(&Arc<FrameQueue>)) {
        self.lock().get(&client).into_iter().flatten().for_each(send);
    }

    /// Takes in a connection; `None` if there are too many.
    pub(super) fn enter(&self, client: ClientId) -> Option<Arc<FrameQueue>> {
        let mut queues = self.lock();
        if queues.values().map(VecDeque::len).sum::<usize>() >= CONNECTIONS_MAX {
            return None;
        }
        let own = queues.entry(client).or_default();
        if own.len() >= CONNECTIONS_PER_CLIENT
            && let Some(oldest) = own.pop_front()
        {
            oldest.close();
        }
        let queue = Arc::new(FrameQueue::for_client());
        own.push_back(Arc::clone(&queue));
        Some(queue)
    }

    /// Lets go of a connection.
    pub(super) fn leave(&self, client: ClientId, queue: &Arc<FrameQueue>) {
        let mut queues = self.lock();
        if let Some(own) = queues.get_mut(&client) {
            own.retain(|other| !Arc::ptr_eq(other, queue));
            if own.is_empty() {
                queues.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[tokio::test]
    async fn a_client_that_connects_too_often_loses_its_oldest_connection() {
        let table = ClientTable::default();
        let queues: Vec<_> =
            (0..=CONNECTIONS_PER_CLIENT).filter_map(|_| table.enter(ClientId(1))).collect();
        table.each(ClientId(1), |queue| queue.push(Bytes::from_static(b"x")));
        assert_eq!(queues[0].take().await, None, "closed");
        assert!(queues[1].take().await.is_some());
        queues.iter().for_each(|queue| table.leave(ClientId(1), queue));
        assert!(table.lock().is_empty());
    }

    #[test]
    fn connections_are_bounded_over_all_clients() {
        let table = ClientTable::default();
        let entered = (0..2000).filter_map(|id| table.enter(ClientId(id))).count();
        assert_eq!(entered, CONNECTIONS_MAX);
    }
}
