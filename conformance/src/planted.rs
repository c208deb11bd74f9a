//! The replay's own teeth: each bug that the core can be built with must be caught by the replay, with a report
//! that names the step.

use crate::corpus;
use crate::divergence::Divergence;
use crate::job::in_parallel;
use crate::plan::Plan;
use crate::refinement::vocabulary::replayable;
use crate::replay::{Counters, Replay};
use crate::walk::Trace;
use pbft_core::planted::PlantedBug;
use pbft_model as model;
use pbft_model::run::{Counts, Progress};
use serde::Serialize;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How a bug fared.
#[derive(Clone, Debug, Serialize)]
pub struct Hunt {
    /// The bug's name.
    pub bug: &'static str,
    /// The divergence that gave it away, if any did.
    pub divergence: Option<Divergence>,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// Does with the bug what the main job does with the core, cheapest first, until the bug shows: the corpus, the
/// walks, the graphs from the smallest on.
pub fn hunt(bug: PlantedBug, seed: u64, plan: &Plan) -> Hunt {
    let started = Instant::now();
    let name = bug.name();
    let divergence = hunt_in_traces(name, seed, &corpus::committed().unwrap_or_default())
        .or_else(|| hunt_in_traces(name, seed, &plan.core_traces(seed)))
        .or_else(|| hunt_in_graphs(name, seed, plan.replayed.iter().rev()));
    Hunt { bug: name, divergence, seconds: started.elapsed().as_secs_f64() }
}

fn hunt_in_graphs<'a>(
    bug: &str,
    seed: u64,
    mut graphs: impl Iterator<Item = &'a model::Config>,
) -> Option<Divergence> {
    graphs.find_map(|config| Replay::planted(*config, seed, Some(bug)).run(&Counters::default()).1)
}

fn hunt_in_traces(bug: &str, seed: u64, traces: &[Trace]) -> Option<Divergence> {
    traces.iter().find_map(|trace| {
        let config = replayable(&trace.config).ok()?;
        let replay = Replay::planted(config, seed, Some(bug));
        replay.follow(&trace.actions).err().map(|divergence| *divergence)
    })
}

/// Hunts all bugs.
pub fn hunt_all(seed: u64, threads: NonZeroUsize, progress: &mut dyn Progress) -> Vec<Hunt> {
    let plan = Plan::quick();
    let hunts = Mutex::new(Vec::new());
    progress.begin("planted bugs");
    in_parallel(
        threads,
        PlantedBug::ALL.len(),
        |index| {
            let hunt = hunt(PlantedBug::ALL[index], seed, &plan);
            hunts.lock().unwrap_or_else(PoisonError::into_inner).push(hunt);
        },
        || progress.tick(&Counts::default()),
    );
    progress.end();
    let mut hunts = hunts.into_inner().unwrap_or_else(PoisonError::into_inner);
    hunts.sort_by_key(|hunt| hunt.bug);
    hunts
}

/// The table.
pub fn to_text(hunts: &[Hunt]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["bug", "caught in", "step", "at", "as", "seconds"]);
    for hunt in hunts {
        let seconds = format!("{:.1}", hunt.seconds);
        match &hunt.divergence {
            Some(found) => table.add_row([
                hunt.bug.to_owned(),
                found.config.clone(),
                found.step.to_string(),
                found.action.clone(),
                format!("{:?}: {}", found.kind, found.what),
                seconds,
            ]),
            None => table.add_row([hunt.bug, "SURVIVES", "", "", "", &seconds]),
        };
    }
    let caught = hunts.iter().filter(|hunt| hunt.divergence.is_some()).count();
    format!("{table}\n{caught} of {} planted bugs caught by the replay\n", hunts.len())
}
