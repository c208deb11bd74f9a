//! How many requests of each lane were taken in and are not answered yet. A correct client sends the next request of a lane
//! when it has the result of the one before, so that few wait at any replica that keeps up. Who sends one request of a lane
//! after the other has all but the last of them verified, relayed and forgotten, and answered by nobody.

use pbft_core::types::{ClientId, Lane};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A client has a result from f+1 replicas while this one may still be at it, and while its next request comes.
const UNANSWERED_MAX: u8 = 2;

/// The counts. Clones are of the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Lanes {
    /// Bounded: clients are on the allow-list, and higher lanes are not counted.
    unanswered: Arc<Mutex<HashMap<(ClientId, Lane), u8>>>,
    lanes_max: u16,
}

impl Lanes {
    pub(crate) fn new(lanes_max: u16) -> Self {
        Self { unanswered: Arc::default(), lanes_max }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(ClientId, Lane), u8>> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request was taken in. Whether a correct client would have sent it.
    pub(crate) fn take(&self, client: ClientId, lane: Lane) -> bool {
        if lane.0 >= self.lanes_max {
            return false;
        }
        let mut unanswered = self.lock();
        let count = unanswered.entry((client, lane)).or_default();
        *count = count.saturating_add(1);
        *count <= UNANSWERED_MAX
    }

    /// A request has its result. A refusal is no answer: a correct client gets hardly any.
    pub(crate) fn answer(&self, client: ClientId, lane: Lane) {
        self.lock().remove(&(client, lane));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Outside fault F16: One request of a lane after the other, that nobody waits for, costs a signature at every replica.
    #[test]
    fn what_nobody_waits_for_is_told_from_what_a_correct_client_sends() {
        let (lanes, greedy, modest) = (Lanes::new(4), ClientId(9), ClientId(1));
        let good = (0..1000).filter(|_| lanes.take(greedy, Lane(0))).count();
        assert_eq!(good, 2);
        for _ in 0..1000 {
            assert!((0..4).all(|lane| lanes.take(modest, Lane(lane))), "one a lane, and answered");
            (0..4).for_each(|lane| lanes.answer(modest, Lane(lane)));
        }
        assert!(!lanes.take(modest, Lane(4)), "there is no such lane");
        assert!(lanes.take(greedy, Lane(1)), "another lane");
        lanes.answer(greedy, Lane(0));
        assert!(lanes.take(greedy, Lane(0)), "it was answered");
        let counted = lanes.lock().len();
        assert_eq!(counted, 2, "what is answered takes no memory");
    }
}
