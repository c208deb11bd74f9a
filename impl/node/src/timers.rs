//! What the host wants to be woken for, on tokio's clock (which tests can pause).

use pbft_host::Alarm;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Running timers.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    deadlines: BTreeMap<Alarm, Instant>,
}

impl Timers {
    /// Sets a timer, or stops it.
    pub(crate) fn set(&mut self, alarm: Alarm, after: Option<Duration>) {
        match after {
            Some(after) => self.deadlines.insert(alarm, Instant::now() + after),
            None => self.deadlines.remove(&alarm),
        };
    }

    /// Takes a timer that ran out.
    pub(crate) fn take_due(&mut self) -> Option<Alarm> {
        let now = Instant::now();
        let due = self.deadlines.iter().find(|(_, deadline)| **deadline <= now);
        let alarm = *due?.0;
        self.deadlines.remove(&alarm);
        Some(alarm)
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
    use pbft_core::Timer;

    #[tokio::test(start_paused = true)]
    async fn timers_run_out_in_order_once() {
        let (status, view) = (Alarm::Replica(Timer::Status), Alarm::Replica(Timer::ViewChange));
        let (mut timers, ms) = (Timers::default(), Duration::from_millis);
        timers.set(status, Some(ms(20)));
        timers.set(view, Some(ms(10)));
        assert_eq!(timers.take_due(), None);
        timers.wait().await;
        assert_eq!(timers.take_due(), Some(view));
        assert_eq!(timers.take_due(), None);
        timers.set(status, Some(ms(30)));
        tokio::time::advance(ms(20)).await;
        assert_eq!(timers.take_due(), None, "it was set again");
        timers.set(status, None);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(timers.take_due(), None, "it was stopped");
    }
}
