//! How much of a replica somebody may take up a second. Who sends more bytes than his share is read more slowly, so that
//! they wait at his end; who connects more often is answered later.

use super::complaints::Source;
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

/// So many handshakes a second are worth it with one address that has used up its burst: a few percent of a core.
const HANDSHAKE_COST: Duration = Duration::from_millis(20);

/// So many handshakes at once with an address that has been silent: a machine with many clients that starts.
const HANDSHAKE_BURST: u32 = 256;

/// Who would wait longer for a handshake is refused: he would give up before it began.
const HANDSHAKE_WAIT_MAX: Duration = Duration::from_secs(3);

/// So many addresses are told apart; bounds memory.
const ADDRESSES_MAX: usize = 4096;

/// When what somebody took up so far will have been paid for.
#[derive(Clone, Copy, Debug)]
struct Debt(Instant);

impl Debt {
    /// How long one would have to wait who owes `cost` more, where `burst` is free after a silence.
    fn wait(self, cost: Duration, burst: Duration, now: Instant) -> (Self, Duration) {
        // The clock may have begun less than a burst ago.
        let paid_at = now.checked_sub(burst).map_or(self.0, |start| start.max(self.0)) + cost;
        (Self(paid_at), paid_at.saturating_duration_since(now))
    }
}

/// The quotas of everybody who has connected. Bounded, since only the cluster's replicas and clients do.
#[derive(Clone, Debug, Default)]
pub(super) struct Quotas {
    debts: Arc<Mutex<BTreeMap<Principal, Debt>>>,
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
        let mut debts = self.debts.lock().unwrap_or_else(PoisonError::into_inner);
        let debt = debts.entry(sender).or_insert(Debt(now));
        let wait;
        (*debt, wait) = debt.wait(cost, BURST, now);
        wait
    }
}

/// How often each address has connected. What a handshake costs is spent before anybody is known by a key.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals {
    debts: Arc<Mutex<BTreeMap<Source, Debt>>>,
}

impl Arrivals {
    /// How long the handshake with one who connects from there has to wait, or nothing if that is too long. Whoever is
    /// refused owes nothing, so that those who wait are not delayed by him.
    pub(super) fn delay(&self, from: Source, now: Instant) -> Option<Duration> {
        let mut debts = self.debts.lock().unwrap_or_else(PoisonError::into_inner);
        let burst = HANDSHAKE_COST * HANDSHAKE_BURST;
        if debts.len() >= ADDRESSES_MAX && !debts.contains_key(&from) {
            debts.retain(|_, debt| debt.0 + burst > now);
        }
        let full = debts.len() >= ADDRESSES_MAX && !debts.contains_key(&from);
        let from = if full { Source::Others } else { from };
        // One that is new has all of its burst.
        let debt = debts.get(&from).copied().unwrap_or(Debt(now.checked_sub(burst).unwrap_or(now)));
        let (debt, wait) = debt.wait(HANDSHAKE_COST, burst, now);
        (wait <= HANDSHAKE_WAIT_MAX).then(|| {
            debts.insert(from, debt);
            wait
        })
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

    #[test]
    fn an_address_that_connects_too_often_waits_and_then_is_refused() {
        let arrivals = Arrivals::default();
        let source = |last: u8| Source::address([10, 0, 0, last].into());
        let start = Instant::now() + Duration::from_secs(60);
        let delay = |last, after| arrivals.delay(source(last), start + after);
        for _ in 0..HANDSHAKE_BURST {
            assert_eq!(delay(1, Duration::ZERO), Some(Duration::ZERO));
        }
        // Fifty a second from now on, for as long as somebody would wait.
        for turn in 1..=150 {
            assert_eq!(delay(1, Duration::ZERO), Some(Duration::from_millis(20 * turn)));
        }
        for _ in 0..1000 {
            assert_eq!(delay(1, Duration::ZERO), None);
        }
        // Those who were refused owe nothing.
        let second = Duration::from_secs(1);
        assert_eq!(delay(1, second), Some(Duration::from_millis(2020)));
        // No other address waits for that.
        assert_eq!(delay(2, second), Some(Duration::ZERO));
    }

    #[test]
    fn more_addresses_than_are_told_apart_share_one_burst() {
        let arrivals = Arrivals::default();
        let start = Instant::now() + Duration::from_secs(60);
        let source = |number: u32| Source::address((0x0a00_0000 + number).to_be_bytes().into());
        for number in 0..ADDRESSES_MAX as u32 {
            assert_eq!(arrivals.delay(source(number), start), Some(Duration::ZERO));
        }
        let waits = (0..HANDSHAKE_BURST + 1)
            .map(|one| arrivals.delay(source(1 << 20 | one), start))
            .filter(|wait| *wait != Some(Duration::ZERO));
        assert_eq!(waits.collect::<Vec<_>>(), [Some(HANDSHAKE_COST)]);
        assert!(arrivals.debts.lock().expect("whole").len() <= ADDRESSES_MAX + 1);
        // Those that have been silent for a burst are forgotten, and leave room.
        let later = start + HANDSHAKE_COST * HANDSHAKE_BURST;
        assert_eq!(arrivals.delay(source(1 << 21), later), Some(Duration::ZERO));
        assert!(arrivals.debts.lock().expect("whole").len() < 10);
    }
}
