//! What each preset does: which configurations are checked, which are replayed on the core and under which schedules, and
//! which traces go through the node.

use crate::replay::carry::product::Ways;
use crate::replay::corpus::{self, CorpusError};
use crate::replay::grain::Walked;
use crate::walk::{Trace, walk, witnesses};
use clap::ValueEnum;
use pbft_model as model;
use serde::Serialize;

/// These are checked exhaustively: the shapes that are replayed and a little more. `pbft-model check` does the rest.
const CHECKED: &[&str] = &[
    "n4-bnone-v2-s1-d2",
    "n4-b0-v2-s1-d2",
    "n4-b1-v2-s1-d2",
    "n4-b3-v2-s1-d2",
    "n4-bnone-v1-s2-d2",
    "n4-b0-v1-s2-d2",
    "n4-b1-v1-s2-d2",
    "n4-b3-v1-s2-d2",
    "n4-bnone-v1-s1-d2-k1",
    "n4-b0-v1-s1-d2-k1",
    "n4-b1-v1-s1-d2-k1",
    "n4-b3-v1-s1-d2-k1",
];

/// Every edge of these is replayed on the core. The largest come first, so that the threads end together.
///
/// They are the shapes of the model's quick preset, unreduced (a reduction renames replicas, and there is no
/// replica of that name to replay on). Two shapes are replayed with one value instead of two: their unreduced
/// graphs have ten million edges and more; walks reach into those.
const REPLAYED: &[&str] = &[
    "n4-bnone-v1-s1-d2-k1",
    "n4-b3-v0-s2-d1-t2",
    "n4-b0-v0-s2-d1-t2",
    "n4-b1-v2-s1-d1",
    "n4-b0-v2-s1-d1",
    "n4-b3-v2-s1-d1",
    "n4-b1-v1-s2-d1",
    "n4-b1-v1-s1-d2-k1",
    "n4-b0-v1-s1-d2-k1",
    "n4-bnone-v1-s1-d2",
    "n5-b1-v1-s1-d1",
    "n4-b3-v1-s1-d2-k1",
    "n4-b0-v1-s1-d2",
    "n4-b1-v1-s1-d2",
    "n4-b3-v1-s1-d2",
];

/// Of these every edge that lies behind the first slot is replayed on the core, see
/// [`crate::replay::grain::Behind`]: whole they are too large.
const BEHIND: &[&str] =
    &["n4-b0-v1-s2-d1-t2", "n4-b1-v1-s2-d1-k1", "n4-b1-v1-s2-d1-t2", "n4-b3-v1-s2-d1-t2"];

/// Every edge of these is taken under every schedule before a release: a Byzantine replica in each position, two slots
/// whose messages overtake one another, checkpoints, and five replicas, where a quorum is not 2f+1.
const SCHEDULED: &[&str] = &[
    "n4-b1-v1-s2-d1",
    "n4-b1-v1-s1-d2-k1",
    "n5-b1-v1-s1-d1",
    "n4-b3-v1-s1-d2-k1",
    "n4-b0-v1-s1-d2",
    "n4-b1-v1-s1-d2",
    "n4-b3-v1-s1-d2",
];

/// Random walks go here: too large to replay edge by edge.
const WALKED: &[&str] = &[
    "n4-b0-v2-s1-d2",
    "n4-b1-v2-s1-d2",
    "n4-b3-v2-s1-d2",
    "n4-bnone-v2-s1-d2",
    "n4-b0-v1-s2-d2",
    "n4-b1-v1-s2-d2",
    "n4-bnone-v1-s2-d2",
    "n4-b0-v2-s2-d2-k1",
    "n4-b1-v2-s2-d2-k1",
    "n4-b3-v2-s2-d2-k2",
    "n4-bnone-v2-s2-d2-k1",
    "n5-b0-v1-s2-d2",
    "n6-b1-v1-s1-d2-k1",
    "n7-b1-v1-s1-d2-k1",
];

/// Random walks that carry leftovers along go here: two slots, checkpoints and view changes, two requests of a client, and
/// other sizes of a group.
const CARRIED: &[&str] = &[
    "n4-b0-v2-s2-d2-k1",
    "n4-b1-v2-s2-d2-k1",
    "n4-b3-v2-s2-d2-k2",
    "n4-bnone-v2-s2-d2-k1",
    "n4-bnone-v1-s2-d2",
    "n4-b1-v1-s2-d2-t2-k1",
    "n5-b4-v1-s2-d2-k1",
    "n7-b1-v1-s2-d2-k1",
];

/// Graphs of pairs that are walked whole, see [`crate::replay::carry::product`]: pairs and edges on record.
const PAIRED: &[(&str, Ways, u64, u64)] = &[
    ("n4-b3-v0-s1-d1", Ways::Selections, 29_141, 99_353),
    ("n4-b0-v0-s1-d1", Ways::Selections, 9_751, 34_000),
    ("n4-b3-v0-s1-d1", Ways::Leftovers, 8_966, 21_306),
];

/// The shortest way to each witness is looked for here.
const WITNESSED: &[&str] =
    &["n4-b0-v1-s1-d2-k1", "n4-b0-v1-s2-d1", "n4-b1-v1-s1-d2-k1", "n4-b3-v2-s1-d1"];

/// Steps of a walk, at most: most walks run dry earlier.
pub const WALK_STEPS: usize = 60;

/// How much is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// For every change: every edge of the graphs once, one in 64 under every schedule, 200 traces through the node
    #[default]
    Quick,
    /// Before a release: over a million edges under every schedule, 2,000 traces through the node
    Release,
    /// For a night: every edge of all graphs under every schedule, 10,000 traces through the node
    Nightly,
}

/// What a preset promises at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Promise {
    /// Edges replayed on the core.
    pub edges: u64,
    /// Of these, edges with two slots in use.
    pub two_slots: u64,
    /// Edges taken under every schedule.
    pub scheduled: u64,
    /// Traces through the node.
    pub traces: u64,
}

/// What each preset promises: they replay the same graphs.
const PROMISE: Promise =
    Promise { edges: 10_000_000, two_slots: 2_000_000, scheduled: 10_000, traces: 200 };

/// What is done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What has to come of it.
    pub promise: Promise,
    /// The committed traces, one a line.
    pub corpus: String,
    /// Checked exhaustively.
    pub checked: Vec<model::Config>,
    /// Replayed on the core, every edge.
    pub replayed: Vec<model::Config>,
    /// Replayed on the core, every edge behind the first slot.
    pub behind: Vec<model::Config>,
    /// Of the former, every edge under every schedule.
    pub scheduled: Vec<model::Config>,
    /// Walked at random.
    pub walked: Vec<model::Config>,
    /// Searched for witnesses.
    pub witnessed: Vec<model::Config>,
    /// Walked at random, with leftovers.
    pub carried: Vec<model::Config>,
    /// Walked as pairs of a model's state and the core's, every edge; the pairs and edges that there are.
    pub paired: Vec<(model::Config, Ways, (u64, u64))>,
    /// Walks of each configuration through the core.
    pub core_walks: u64,
    /// Walks of each configuration with leftovers.
    pub carried_walks: u64,
    /// Walks of each configuration through the node.
    pub node_walks: u64,
}

fn parse(names: &[&str]) -> Vec<model::Config> {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

fn parse_paired(all: &[(&str, Ways, u64, u64)]) -> Vec<(model::Config, Ways, (u64, u64))> {
    let parsed = all.iter().filter_map(|(name, ways, pairs, edges)| {
        Some((name.parse().ok()?, *ways, (*pairs, *edges)))
    });
    parsed.collect()
}

impl Plan {
    /// What a preset does.
    pub fn of(preset: Preset) -> Self {
        match preset {
            Preset::Quick => Self::quick(),
            Preset::Release => Self {
                promise: Promise { scheduled: 1_000_000, traces: 2_000, ..PROMISE },
                scheduled: parse(SCHEDULED),
                core_walks: 600,
                carried_walks: 1_200,
                node_walks: 160,
                ..Self::quick()
            },
            Preset::Nightly => Self {
                promise: Promise { scheduled: 10_000_000, traces: 10_000, ..PROMISE },
                scheduled: parse(REPLAYED),
                core_walks: 6_000,
                carried_walks: 12_000,
                node_walks: 800,
                ..Self::quick()
            },
        }
    }

    /// What `cargo conform` does.
    pub fn quick() -> Self {
        Self {
            promise: PROMISE,
            corpus: corpus::COMMITTED.to_owned(),
            checked: parse(CHECKED),
            replayed: parse(REPLAYED),
            behind: parse(BEHIND),
            scheduled: Vec::new(),
            walked: parse(WALKED),
            witnessed: parse(WITNESSED),
            carried: parse(CARRIED),
            paired: parse_paired(PAIRED),
            core_walks: 150,
            carried_walks: 300,
            node_walks: 15,
        }
    }

    /// The corpus.
    pub fn corpus_traces(&self) -> Result<Vec<Trace>, CorpusError> {
        corpus::parse(&self.corpus)
    }

    /// The traces for the core: the corpus, and many walks.
    pub fn core_traces(&self, seed: u64) -> Result<Vec<Trace>, CorpusError> {
        let mut traces = self.corpus_traces()?;
        traces.extend(self.walks(seed, self.core_walks));
        Ok(traces)
    }

    /// The traces for the node: the corpus, the shortest way to each witness, and walks.
    pub fn node_traces(&self, seed: u64) -> Result<Vec<Trace>, CorpusError> {
        let mut traces = self.corpus_traces()?;
        for config in &self.witnessed {
            let pbft = model::Pbft::new(*config);
            traces.extend(witnesses(&Walked { model: pbft.clone() }, &pbft));
        }
        // Other walks than the core's.
        traces.extend(self.walks(seed.wrapping_add(1 << 32), self.node_walks));
        Ok(traces)
    }

    /// The walks with leftovers: in which configuration, from which seed.
    pub fn carried_walks(&self, seed: u64) -> Vec<(model::Config, u64)> {
        let first = seed.wrapping_mul(1_000_003).wrapping_add(1 << 33);
        let numbers = (0..self.carried_walks).map(|number| first.wrapping_add(number));
        numbers
            .flat_map(|number| self.carried.iter().map(move |config| (*config, number)))
            .collect()
    }

    fn walks(&self, seed: u64, each: u64) -> Vec<Trace> {
        let one = |config: &model::Config, number| {
            let walked = Walked { model: model::Pbft::new(*config) };
            walk(&walked, config, seed.wrapping_mul(1_000_003).wrapping_add(number), WALK_STEPS)
        };
        let all = self.walked.iter().flat_map(|config| (0..each).map(move |at| one(config, at)));
        all.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_configuration() {
        let plan = Plan::of(Preset::Release);
        assert_eq!(plan.scheduled.len(), SCHEDULED.len());
        assert!(plan.scheduled.iter().all(|config| plan.replayed.contains(config)));
        let plan = Plan::quick();
        assert_eq!(plan.checked.len(), CHECKED.len());
        assert_eq!(plan.replayed.len(), REPLAYED.len());
        assert_eq!(plan.behind.len(), BEHIND.len());
        assert_eq!(plan.walked.len(), WALKED.len());
        assert_eq!(plan.witnessed.len(), WITNESSED.len());
        assert_eq!(plan.carried.len(), CARRIED.len());
        assert_eq!(plan.paired.len(), PAIRED.len());
    }
}
