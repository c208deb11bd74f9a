//! The replay's own teeth: each bug that the core can be built with must be caught by the replay, with a report
//! that names the step.

use crate::divergence::Divergence;
use crate::replay::{Counters, Replay};
use pbft_core::planted::PlantedBug;
use serde::Serialize;
use std::time::Instant;

/// The configurations that a bug is looked for in, smallest first.
pub const CONFIGURATIONS: &[&str] = &[
    "n4-b3-v0-s1-d2",
    "n4-b0-v0-s1-d2",
    "n4-b3-v1-s1-d2",
    "n4-b1-v1-s1-d2",
    "n4-b0-v1-s1-d2",
    "n4-b3-v1-s1-d2-k1",
    "n4-b0-v1-s1-d2-k1",
    "n4-b1-v1-s2-d1",
    "n4-b3-v2-s1-d1",
    "n4-b0-v2-s1-d1",
    "n4-b1-v2-s1-d2",
    "n4-b0-v2-s1-d2",
];

/// How a bug fared.
#[derive(Clone, Debug, Serialize)]
pub struct Hunt {
    /// The bug's name.
    pub bug: &'static str,
    /// The divergence that gave it away, if any did.
    pub divergence: Option<Divergence>,
    /// Configurations tried.
    pub tried: usize,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// Replays configurations on replicas with the bug until it shows.
pub fn hunt(bug: PlantedBug, seed: u64, configurations: &[&str]) -> Hunt {
    let started = Instant::now();
    let mut tried = 0;
    let divergence = configurations.iter().find_map(|name| {
        tried += 1;
        let config = name.parse().ok()?;
        Replay::planted(config, seed, Some(bug.name())).run(&Counters::default()).1
    });
    Hunt { bug: bug.name(), divergence, tried, seconds: started.elapsed().as_secs_f64() }
}
