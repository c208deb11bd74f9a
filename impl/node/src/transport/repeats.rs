//! Frames that a client sends again and again: recognised by their bytes, before anything in them costs anything.

use pbft_core::types::ClientId;
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a frame is not taken again. A correct client waits longer before it repeats a request, except when it has lost
/// a connection, and then others have got it.
const INTERVAL: Duration = Duration::from_millis(200);

/// The most frames that are remembered of a client; as many as it can have requests under way by default, twice. Beyond that
/// all are forgotten, which costs a signature.
const REMEMBERED: usize = 256;

/// When which frame of which client was taken last. Bounded: clients are on the allow-list.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeats {
    taken: Arc<Mutex<BTreeMap<ClientId, HashMap<u64, Instant>>>>,
    hasher: RandomState,
}

impl Repeats {
    /// Whether this client sent this very frame a moment ago, over whichever connection. If not, it has now.
    pub(super) fn is_repeated(&self, client: ClientId, frame: &[u8]) -> bool {
        self.is_repeated_at(client, frame, Instant::now())
    }

    fn is_repeated_at(&self, client: ClientId, frame: &[u8], now: Instant) -> bool {
        // Its key is random, so that nobody can make two frames look like one; and if they do, a later attempt will do.
        let hash = self.hasher.hash_one(frame);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.entry(client).or_default();
        let recent = |at: &Instant| now.saturating_duration_since(*at) < INTERVAL;
        if own.get(&hash).is_some_and(recent) {
            return true;
        }
        if own.len() >= REMEMBERED {
            own.retain(|_, at| recent(at));
        }
        if own.len() >= REMEMBERED {
            own.clear();
        }
        own.insert(hash, now);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Outside fault F16: One signed request, sent again and again, costs a signature and a reply each time.
    #[test]
    fn a_repeated_frame_is_taken_once_an_interval() {
        let (repeats, start) = (Repeats::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        let taken = |client, frame: &[u8], millis| {
            !repeats.is_repeated_at(ClientId(client), frame, at(millis))
        };
        let flood = (0..1000).filter(|millis| taken(1, b"request", *millis)).count();
        assert_eq!(flood, 5, "five intervals in a second");
        assert!(taken(1, b"another", 0) && taken(2, b"request", 0), "nobody else's, nothing else");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (repeats, now) = (Repeats::default(), Instant::now());
        for number in 0..10_000u32 {
            repeats.is_repeated_at(ClientId(1), &number.to_le_bytes(), now);
        }
        let taken = repeats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(taken.values().all(|own| own.len() <= REMEMBERED));
    }
}
