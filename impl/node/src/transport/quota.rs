//! How many bytes a second somebody may send. Who sends more is read more slowly, so that the bytes wait at their end.

use crate::metrics::Metrics;
use pbft_core::types::Principal;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What a client may send, over all its connections: more than any client has use for, and far less than what would
/// keep the replicas from reading each other.
const CLIENT_BYTES_PER_SECOND: u64 = 32 * 1024 * 1024;

/// What another replica may send: a state that is transferred is the largest thing that it has to say.
const PEER_BYTES_PER_SECOND: u64 = 256 * 1024 * 1024;

/// What somebody who has been silent may send at once, as the time in which that could have been sent.
const BURST: Duration = Duration::from_secs(1);

/// The quotas of everybody who has connected. Bounded, since only the cluster's replicas and clients do.
#[derive(Clone, Debug, Default)]
pub(super) struct Quotas {
    /// When what was sent so far will have been paid for.
    paid_at: Arc<Mutex<BTreeMap<Principal, Instant>>>,
}

impl Quotas {
    /// Accounts for a frame, and waits while its sender has sent too much.
    pub(super) async fn charge(&self, sender: Principal, bytes: usize, metrics: &Metrics) {
        let rate = rate_of(sender);
        let cost = Duration::from_secs_f64(bytes as f64 / rate as f64);
        self.charge_for(sender, cost, metrics).await;
    }

    /// Accounts for something that costs as much as the bytes that its sender may send in that time, and waits while it
    /// has sent too much.
    pub(super) async fn charge_for(&self, sender: Principal, cost: Duration, metrics: &Metrics) {
        let wait = self.account(sender, cost, Instant::now());
        if !wait.is_zero() {
            metrics.throttled.add(match sender {
                Principal::Replica(_) => "peer",
                Principal::Client(_) => "client",
            });
            tokio::time::sleep(wait).await;
        }
    }

    fn account(&self, sender: Principal, cost: Duration, now: Instant) -> Duration {
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        let paid_at = paid_at.entry(sender).or_insert(now);
        // The clock may have begun less than a burst ago.
        *paid_at = now.checked_sub(BURST).map_or(*paid_at, |start| start.max(*paid_at)) + cost;
        paid_at.saturating_duration_since(now)
    }
}

const fn rate_of(sender: Principal) -> u64 {
    match sender {
        Principal::Replica(_) => PEER_BYTES_PER_SECOND,
        Principal::Client(_) => CLIENT_BYTES_PER_SECOND,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_core::types::{ClientId, ReplicaId};

    #[test]
    fn who_sends_too_much_waits_as_long_as_that_takes_at_his_rate() {
        let quotas = Quotas::default();
        let client = Principal::Client(ClientId(1));
        let second = Duration::from_secs(1);
        let start = Instant::now() + Duration::from_secs(10);
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        quotas.account(client, Duration::ZERO, start);
        // One second's worth is free after a silence; then it has to be paid for.
        assert_eq!(quotas.account(client, second, at(5)), Duration::ZERO);
        assert_eq!(quotas.account(client, 3 * second, at(5)), Duration::from_secs(3));
        assert_eq!(quotas.account(client, second, at(8)), Duration::from_secs(1));
        // Nobody else pays for it.
        for other in [Principal::Client(ClientId(2)), Principal::Replica(ReplicaId(1))] {
            quotas.account(other, Duration::ZERO, start);
            assert_eq!(quotas.account(other, second, at(8)), Duration::ZERO);
        }
    }
}
