//! The workers of a measurement.

use hdrhistogram::Histogram;
use pbft_node::client::Client;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Latencies are kept with three digits, from a microsecond to ten minutes.
const MICROSECONDS_MAX: u64 = 600_000_000;

/// What is done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) outstanding: usize,
    pub(super) rate: Option<u32>,
    pub(super) operation_bytes: Option<usize>,
    pub(super) warmup: Duration,
    pub(super) measured: Duration,
}

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Latencies of the operations that were done while it was measured, in microseconds.
    pub(super) latencies: Histogram<u64>,
    /// How many of them were done in each [`SLICE`] of the measurement.
    pub(super) slices: Vec<u64>,
    /// Operations without a result.
    pub(super) failures: u64,
    /// Operations with one, also before and after the measurement.
    pub(super) acknowledged: u64,
}

/// Throughput over time is counted in slices.
pub(super) const SLICE: Duration = Duration::from_millis(250);

impl Seen {
    pub(super) fn nothing() -> Self {
        let latencies = Histogram::new_with_bounds(1, MICROSECONDS_MAX, 3)
            .expect("constant bounds that the histogram takes");
        Self { latencies, slices: Vec::new(), failures: 0, acknowledged: 0 }
    }

    fn note(&mut self, latency: Duration, at: Duration) {
        self.latencies.saturating_record(latency.as_micros() as u64);
        let slice = (at.as_millis() / SLICE.as_millis()) as usize;
        if self.slices.len() <= slice {
            self.slices.resize(slice + 1, 0);
        }
        self.slices[slice] += 1;
    }

    /// Puts what another worker, or another repetition, saw beside it.
    pub(super) fn merge(&mut self, other: &Self) {
        // Both have the same bounds.
        let _ = self.latencies.add(&other.latencies);
        if self.slices.len() < other.slices.len() {
            self.slices.resize(other.slices.len(), 0);
        }
        self.slices.iter_mut().zip(&other.slices).for_each(|(own, more)| *own += more);
        self.failures += other.failures;
        self.acknowledged += other.acknowledged;
    }
}

/// When the next operation is due.
struct Schedule {
    began: Instant,
    rate: Option<u32>,
    next: AtomicU64,
}

impl Schedule {
    /// Waits for the next operation's time, and returns it: now in a closed loop, a fixed moment in an open one.
    async fn due(&self) -> Instant {
        let Some(rate) = self.rate else { return Instant::now() };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let due = self.began + Duration::from_secs_f64(number as f64 / f64::from(rate));
        tokio::time::sleep_until(due).await;
        due
    }
}

/// Runs one repetition.
pub(super) async fn measure(plan: &Plan, clients: &[Arc<Client>]) -> Seen {
    let began = Instant::now();
    let from = began + plan.warmup;
    let until = from + plan.measured;
    let schedule = Arc::new(Schedule { began, rate: plan.rate, next: AtomicU64::new(0) });
    let mut workers = JoinSet::new();
    for worker in 0..plan.outstanding {
        let client = Arc::clone(&clients[worker % clients.len()]);
        let operation = match plan.operation_bytes {
            Some(bytes) => format!("echo {}", "x".repeat(bytes.saturating_sub(5))),
            None => format!("deposit load-{worker} 1"),
        };
        workers.spawn(work(operation.into_bytes(), client, Arc::clone(&schedule), from, until));
    }
    let mut all = Seen::nothing();
    while let Some(seen) = workers.join_next().await {
        if let Ok(seen) = seen {
            all.merge(&seen);
        }
    }
    all
}

async fn work(
    operation: Vec<u8>,
    client: Arc<Client>,
    schedule: Arc<Schedule>,
    from: Instant,
    until: Instant,
) -> Seen {
    let mut seen = Seen::nothing();
    loop {
        let due = schedule.due().await;
        if due >= until {
            return seen;
        }
        let result = client.submit(operation.clone()).await;
        let done = Instant::now();
        match result {
            Ok(_) => seen.acknowledged += 1,
            Err(error) => {
                tracing::warn!("{error}");
                seen.failures += 1;
                continue;
            }
        }
        if done >= from && done < until {
            seen.note(done - due, done - from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn open_loops_keep_their_times_and_closed_ones_have_none() {
        let began = Instant::now();
        let open = Schedule { began, rate: Some(4), next: AtomicU64::new(0) };
        for number in 0..8 {
            assert_eq!(open.due().await - began, Duration::from_millis(250 * number));
        }
        // A late worker finds its operations due in the past, and their waiting counts.
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(open.due().await - began, Duration::from_secs(2));
        let closed = Schedule { began, rate: None, next: AtomicU64::new(0) };
        assert_eq!(closed.due().await, Instant::now());
    }

    #[test]
    fn what_workers_saw_adds_up() {
        let mut all = Seen::nothing();
        for worker in 1..=3u64 {
            let mut seen = Seen::nothing();
            seen.note(Duration::from_micros(100 * worker), SLICE * worker as u32);
            seen.acknowledged = worker;
            all.merge(&seen);
        }
        assert_eq!(all.slices, [0, 1, 1, 1]);
        assert_eq!((all.latencies.len(), all.acknowledged), (3, 6));
        assert_eq!((all.latencies.min(), all.latencies.max()), (100, 300));
    }
}
