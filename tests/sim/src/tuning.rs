//! What an experiment changes of a simulated cluster: its sizes, its patience, and a network that is bad for good.

use super::rng::Rng;
use core::time::Duration;
use pbft_core::Params;
use pbft_core::client::Patience;
use serde::{Deserialize, Serialize};

/// One part in so many: probabilities are whole numbers, so that a plan can be compared.
pub const MILLION: u32 = 1_000_000;

/// The network and the replicas' slowness, from the first to the last moment of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Of a million frames so many are lost.
    pub drop: u32,
    /// Of a million frames so many arrive twice.
    pub duplicate: u32,
    /// Of a million frames so many are held back until later ones have passed.
    pub reorder: u32,
    /// How long a replica takes before a frame of its own leaves.
    pub replica_delay: Duration,
}

/// What a frame meets on its way, beside the usual delay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Luck {
    /// It is lost.
    pub lost: bool,
    /// It arrives a second time.
    pub twice: bool,
    /// It comes later by so much.
    pub late: Duration,
}

impl Link {
    /// What a frame meets. `most` is the longest usual delay.
    pub fn luck(&self, rng: &mut Rng, most: Duration, from_replica: bool) -> Luck {
        let mut one_of = |chance: u32| chance > 0 && rng.below(u64::from(MILLION)) < chance.into();
        let (lost, twice, held) = (one_of(self.drop), one_of(self.duplicate), one_of(self.reorder));
        let mut late = if from_replica { self.replica_delay } else { Duration::ZERO };
        if held {
            // Whatever leaves within that time may overtake it.
            late += (2 * most).max(Duration::from_millis(1));
        }
        Luck { lost, twice, late }
    }
}

/// The sizes and times of a simulated cluster, where they are not those of [`super::world::params`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuning {
    /// How long a replica waits for a request before it suspects the primary.
    pub view_timeout: Duration,
    /// To how much that grows.
    pub view_timeout_max: Duration,
    /// How often a replica says what it has.
    pub status_interval: Duration,
    /// How long a client waits before it asks all replicas, at first and at the most.
    pub patience: (Duration, Duration),
    /// The most requests in a batch.
    pub batch: usize,
    /// The most batches that are ordered and not executed.
    pub pipeline: u64,
    /// The lanes of a client.
    pub lanes: u16,
    /// The most events of the run.
    pub events_max: u64,
    /// The network.
    pub link: Link,
}

impl Tuning {
    /// Sets a replica's parameters.
    pub fn apply(&self, params: &mut Params) {
        params.view_timeout = self.view_timeout;
        params.view_timeout_max = self.view_timeout_max;
        params.status_interval = self.status_interval;
        params.batch_requests_max = self.batch;
        params.pipeline = self.pipeline;
        params.lanes_max = self.lanes;
    }

    /// How long clients wait.
    #[must_use]
    pub const fn patience(&self) -> Patience {
        Patience { first: self.patience.0, max: self.patience.1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_are_parts_of_a_million_and_nothing_is_drawn_without_one() {
        let mut rng = Rng::new(3);
        let most = Duration::from_millis(30);
        let link = Link { drop: 100_000, reorder: 50_000, ..Link::default() };
        let all: Vec<Luck> = (0..10_000).map(|_| link.luck(&mut rng, most, true)).collect();
        let lost = all.iter().filter(|luck| luck.lost).count();
        let late = all.iter().filter(|luck| luck.late == 2 * most).count();
        assert!((850..1150).contains(&lost) && (400..600).contains(&late), "{lost} {late}");
        assert!(all.iter().all(|luck| !luck.twice));
        let mut untouched = Rng::new(3);
        let slow = Link { replica_delay: most, ..Link::default() };
        assert_eq!(slow.luck(&mut untouched, most, true).late, most);
        assert_eq!(slow.luck(&mut untouched, most, false), Luck::default(), "a client's frame");
        assert_eq!(untouched.number(), Rng::new(3).number());
    }
}
