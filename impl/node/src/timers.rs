//! The replica's timers, on tokio's clock (which tests can pause).

use pbft_core::Timer;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Running timers.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    deadlines: BTreeMap<Timer, Instant>,
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, after: Duration) {
        self.deadlines.insert(timer, Instant::now() + after);
    }

    pub(crate) fn cancel(&mut self, timer: Timer) {
        self.deadlines.remove(&timer);
    }

    /// Takes a timer that ran out.
    pub(crate) fn take_due(&mut self) -> Option<Timer> {
        let now = Instant::now();
        let due = self.deadlines.iter().find(|(_, deadline)| **deadline <= now);
        let timer = *due?.0;
        self.deadlines.remove(&timer);
        Some(timer)
    }

    /// Returns when some timer has run out; never, if none is running.
    pub(crate) async fn wait(&self) {
        match self.deadlines.values().min() {
            Some(deadline) => tokio::time::sleep_until(*deadline).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn timers_run_out_in_order_once() {
        let mut timers = Timers::default();
        timers.set(Timer::Status, Duration::from_millis(20));
        timers.set(Timer::ViewChange, Duration::from_millis(10));
        assert_eq!(timers.take_due(), None);
        timers.wait().await;
        assert_eq!(timers.take_due(), Some(Timer::ViewChange));
        assert_eq!(timers.take_due(), None);
        timers.set(Timer::Status, Duration::from_millis(30));
        tokio::time::advance(Duration::from_millis(20)).await;
        assert_eq!(timers.take_due(), None, "it was set again");
        timers.cancel(Timer::Status);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(timers.take_due(), None, "it was cancelled");
    }
}
