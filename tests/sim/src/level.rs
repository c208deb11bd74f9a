//! Whether correct replicas keep level with each other while clients go on asking.
//!
//! With the last request executed by one, all others must come to execute it, too; then all of them are level. A client
//! that lies need not ever stop. A replica that can only follow by what peers hand it at its STATUS is then always some
//! batches behind, and none for long: it must have executed what any other one had executed two status intervals ago.

use super::world::World;
use core::time::Duration;
use pbft_core::types::SeqNum;
use std::collections::VecDeque;

/// The highest sequence number that any correct replica had executed, at each of the last checks.
#[derive(Debug)]
pub struct Frontiers {
    /// How far in time a correct replica may be behind another one for ever.
    lag: Duration,
    seen: VecDeque<(Duration, SeqNum)>,
}

impl Frontiers {
    /// Nothing seen yet. A replica says what it lacks once an interval, and what is handed to it is on its way.
    #[must_use]
    pub fn new(status_interval: Duration) -> Self {
        Self { lag: 2 * status_interval, seen: VecDeque::new() }
    }

    /// `frontier` was seen at `now`.
    pub fn saw(&mut self, now: Duration, frontier: SeqNum) {
        self.seen.push_back((now, frontier));
        // One that is old enough is kept.
        while self.seen.get(1).is_some_and(|(at, _)| *at + self.lag <= now) {
            self.seen.pop_front();
        }
    }

    /// What every correct replica must have executed by the last check, if it is not level.
    #[must_use]
    pub fn owed(&self) -> SeqNum {
        self.seen.front().map_or(SeqNum::default(), |(_, frontier)| *frontier)
    }
}

/// What keeps a correct replica from taking part in the view of the others: one more that fails would stop them.
#[must_use]
pub fn stray(world: &World) -> Option<String> {
    let statuses =
        world.correct().filter_map(|host| Some((host, world.hosts[host].replica()?.status())));
    let statuses: Vec<_> = statuses.collect();
    let latest = statuses.iter().map(|(_, status)| status.view).max()?;
    let stray = statuses.iter().find(|(_, status)| status.view != latest || !status.active);
    stray.map(|(host, status)| {
        let does = if status.active { "takes part" } else { "waits" };
        format!("replica {host} {does} in {}, the latest is {latest}", status.view)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_executed_the_lag_ago_is_owed() {
        let ms = Duration::from_millis;
        let mut frontiers = Frontiers::new(ms(150));
        assert_eq!((frontiers.lag, frontiers.owed()), (ms(300), SeqNum(0)));
        let mut owed = Vec::new();
        for check in 0..12 {
            frontiers.saw(ms(50 * check), SeqNum(check));
            owed.push(frontiers.owed().0);
        }
        assert_eq!(owed, [0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5], "six checks of 50 ms are 300 ms");
        for check in 12..18 {
            frontiers.saw(ms(50 * check), SeqNum(11));
        }
        assert_eq!(
            frontiers.owed(),
            SeqNum(11),
            "once nothing is executed any more, all are to be level"
        );
        assert!(frontiers.seen.len() <= 8);
    }
}
