//! The counts of a run's replays. A run directory keeps them as `coverage.json`, so that they can be judged later.

use crate::replay::node::NodeReport;
use crate::report::CoreReport;
use crate::subject::tally::Seen;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name of the file in a run directory.
pub const FILE: &str = "coverage.json";

/// The edges of one configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edges {
    /// The configuration.
    pub config: String,
    /// Edges replayed.
    pub replayed: u64,
    /// Edges of its graph, counted by the model's own search.
    pub total: u64,
}

/// The counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Each graph that was replayed edge by edge.
    pub edges: Vec<Edges>,
    /// Edges of each kind that the graphs must have, by name.
    #[serde(default)]
    pub landmarks: BTreeMap<String, u64>,
    /// What the walks left over, by name.
    #[serde(default)]
    pub leftovers: BTreeMap<String, u64>,
    /// Probes, reactions and frames, by name.
    pub probes: BTreeMap<String, u64>,
    /// Steps, refusals and effects.
    pub seen: Seen,
}

impl Measured {
    /// What the replays on the core and through the node have counted.
    pub fn of(core: &CoreReport, node: &NodeReport) -> Self {
        let edges = core.configurations.iter().map(|one| Edges {
            config: one.config.clone(),
            replayed: one.edges,
            total: one.edges_total,
        });
        let mut probes = BTreeMap::new();
        for (name, count) in core.probes.iter().chain(&node.probes) {
            *probes.entry((*name).to_owned()).or_default() += count;
        }
        let mut tally = core.tally.clone();
        tally.add(&node.tally);
        let landmarks = core.landmarks.iter().map(|(name, count)| ((*name).to_owned(), *count));
        let leftovers = core.carried.leftovers.iter();
        let leftovers = leftovers.map(|(name, count)| ((*name).to_owned(), count.given));
        Self {
            edges: edges.collect(),
            landmarks: landmarks.collect(),
            leftovers: leftovers.collect(),
            probes,
            seen: tally.seen(),
        }
    }
}
