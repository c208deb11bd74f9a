//! The teeth of conformance on the code's side: each bug that core and node can be built with must be caught, by the
//! replay on the core or through the node alone, and by what the record says.

pub mod record;

use crate::corpus::CorpusError;
use crate::divergence::Divergence;
use crate::job::in_parallel;
use crate::node_replay::{self, NodeReport};
use crate::plan::Plan;
use crate::probe::handshake;
use crate::refinement::vocabulary::replayable;
use crate::replay::{Counters, Replay};
use crate::walk::Trace;
use pbft_core::planted::PlantedBug;
use pbft_model as model;
use pbft_model::run::{Counts, Progress};
use record::Row;
use serde::Serialize;
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The seed that the record was made with; with another one the same bug may show earlier elsewhere.
pub const RECORD_SEED: u64 = 1;

/// How a bug fared.
#[derive(Clone, Debug, Serialize)]
pub struct Hunt {
    /// The bug's name.
    pub bug: &'static str,
    /// The file that it is in, the rule that it breaks, and what caught it when the record was made.
    pub record: Option<Row>,
    /// What caught it now: see [`Divergence::catcher`].
    pub caught_by: Option<String>,
    /// The divergence that gave it away, if any did.
    pub divergence: Option<Divergence>,
    /// Steps of the model that were replayed until then.
    pub edges: u64,
    /// Wall-clock seconds.
    pub seconds: f64,
}

impl Hunt {
    /// Whether the bug was caught, and by what the record says, as far as that can be compared.
    pub fn is_as_recorded(&self, seed: u64) -> bool {
        let recorded = self.record.as_ref().map(|row| &row.caught_by);
        self.caught_by.is_some() && (seed != RECORD_SEED || self.caught_by.as_ref() == recorded)
    }
}

/// Where bugs are looked for: what the main job does, cheapest first.
#[derive(Clone, Debug)]
pub struct Grounds {
    seed: u64,
    /// For the core: the corpus, then the walks.
    core: Vec<Trace>,
    /// For the node.
    node: Vec<Trace>,
    /// Every edge of these, from the smallest on.
    graphs: Vec<model::Config>,
}

impl Grounds {
    /// What the plan has.
    pub fn new(plan: &Plan, seed: u64) -> Result<Self, CorpusError> {
        let graphs = plan.replayed.iter().rev().copied().collect();
        Ok(Self { seed, core: plan.core_traces(seed)?, node: plan.node_traces(seed)?, graphs })
    }

    /// The traces for the core.
    pub fn core(&self) -> &[Trace] {
        &self.core
    }
}

/// A search for one bug.
struct Hunter<'a> {
    bug: Option<&'static str>,
    grounds: &'a Grounds,
    edges: u64,
}

impl Hunter<'_> {
    /// The divergence that the corpus and the walks on the core, the node's door, or the traces through the node lead to.
    fn along_traces(&mut self) -> Option<Divergence> {
        self.on_core().or_else(|| self.at_the_door()).or_else(|| self.in_nodes())
    }

    fn on_core(&mut self) -> Option<Divergence> {
        self.grounds.core.iter().find_map(|trace| {
            let config = replayable(&trace.config).ok()?;
            let replay = Replay::planted(config, self.grounds.seed, self.bug);
            let found = replay.follow(&trace.actions).err().map(|divergence| *divergence);
            self.edges += found.as_ref().map_or(trace.actions.len(), |found| found.step) as u64;
            found
        })
    }

    fn in_nodes(&mut self) -> Option<Divergence> {
        let runtime = node_replay::runtime().ok()?;
        let seed = self.grounds.seed;
        let mut report = NodeReport::default();
        self.grounds.node.iter().find_map(|trace| {
            let found = node_replay::planted(&runtime, trace, seed, self.bug, &mut report);
            self.edges += found.as_ref().map_or(trace.actions.len(), |found| found.step) as u64;
            found
        })
    }

    /// Who may speak to a node, and as whom.
    fn at_the_door(&self) -> Option<Divergence> {
        handshake::run(self.bug).err().map(|divergence| *divergence)
    }

    /// Every edge of the graphs, from the smallest on.
    fn in_graphs(&mut self) -> Option<Divergence> {
        self.grounds.graphs.iter().find_map(|config| {
            let counters = Counters::default();
            let found = Replay::planted(*config, self.grounds.seed, self.bug).run(&counters).1;
            self.edges += counters.edges.load(Ordering::Relaxed);
            found
        })
    }
}

/// Does with the bug what the main job does with the code, cheapest first, until the bug shows: the corpus, the walks,
/// the traces through the node, the graphs.
pub fn hunt(bug: PlantedBug, grounds: &Grounds) -> Hunt {
    let started = Instant::now();
    let name = bug.name();
    let mut hunter = Hunter { bug: Some(name), grounds, edges: 0 };
    let divergence = hunter.along_traces().or_else(|| hunter.in_graphs());
    Hunt {
        bug: name,
        record: record::rows().unwrap_or_default().into_iter().find(|row| row.bug == name),
        caught_by: divergence.as_ref().map(Divergence::catcher),
        divergence,
        edges: hunter.edges,
        seconds: started.elapsed().as_secs_f64(),
    }
}

/// The divergence that code without any bug shows on the same traces: there must be none, or a bug could seem caught
/// by what is wrong without it.
pub fn hunt_nothing(grounds: &Grounds) -> Option<Divergence> {
    Hunter { bug: None, grounds, edges: 0 }.along_traces()
}

/// The result of all hunts.
#[derive(Clone, Debug, Serialize)]
pub struct Teeth {
    /// Selects schedules and walks.
    pub seed: u64,
    /// What the code without a bug shows.
    pub without_bug: Option<Divergence>,
    /// Each bug, by name.
    pub hunts: Vec<Hunt>,
    /// Half of the bugs were caught in at most so many seconds.
    pub median_seconds: f64,
}

impl Teeth {
    /// Whether every bug was caught by what the record says, and nothing without a bug.
    pub fn hold(&self) -> bool {
        self.without_bug.is_none()
            && !self.hunts.is_empty()
            && self.hunts.iter().all(|hunt| hunt.is_as_recorded(self.seed))
    }
}

/// Hunts the bugs, and nothing.
pub fn hunt_all(
    bugs: &[PlantedBug],
    seed: u64,
    threads: NonZeroUsize,
    progress: &mut dyn Progress,
) -> Result<Teeth, CorpusError> {
    let grounds = Grounds::new(&Plan::quick(), seed)?;
    let (hunts, without_bug) = (Mutex::new(Vec::new()), Mutex::new(None));
    progress.begin("planted bugs");
    in_parallel(
        threads,
        bugs.len() + 1,
        |index| match index.checked_sub(1) {
            None => *lock(&without_bug) = hunt_nothing(&grounds),
            Some(index) => {
                let hunt = hunt(bugs[index], &grounds);
                lock(&hunts).push(hunt);
            }
        },
        || progress.tick(&Counts::default()),
    );
    progress.end();
    let mut hunts = hunts.into_inner().unwrap_or_else(PoisonError::into_inner);
    hunts.sort_by_key(|hunt| hunt.bug);
    let mut seconds: Vec<f64> = hunts.iter().map(|hunt| hunt.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let median_seconds = seconds.get(seconds.len() / 2).copied().unwrap_or_default();
    let without_bug = without_bug.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Teeth { seed, without_bug, hunts, median_seconds })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The table.
pub fn to_text(teeth: &Teeth) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["bug", "in", "rule", "caught by", "step", "edges", "seconds"]);
    for hunt in &teeth.hunts {
        let recorded = |of: fn(&Row) -> &String| hunt.record.as_ref().map_or("", |row| of(row));
        let caught_by = match (&hunt.caught_by, hunt.is_as_recorded(teeth.seed)) {
            (Some(caught), true) => caught.clone(),
            (Some(caught), false) => {
                format!("{caught} (on record: {})", recorded(|row| &row.caught_by))
            }
            (None, _) => "SURVIVES".to_owned(),
        };
        table.add_row([
            hunt.bug.to_owned(),
            recorded(|row| &row.place).to_owned(),
            recorded(|row| &row.rule).to_owned(),
            caught_by,
            hunt.divergence.as_ref().map_or(String::new(), |found| found.step.to_string()),
            hunt.edges.to_string(),
            format!("{:.1}", hunt.seconds),
        ]);
    }
    let mut text = format!("{table}\n");
    for (bug, reason) in record::EQUIVALENT {
        text.push_str(&format!("not planted, because it is none: {bug}: {reason}\n"));
    }
    if let Some(divergence) = &teeth.without_bug {
        text.push_str(&format!("without any bug:\n{divergence}\n"));
    }
    let caught = teeth.hunts.iter().filter(|hunt| hunt.caught_by.is_some()).count();
    let (all, median) = (teeth.hunts.len(), teeth.median_seconds);
    text.push_str(&format!("{caught} of {all} planted bugs caught, median {median:.1} s\n"));
    if !teeth.hold() {
        text.push_str("DOES NOT HOLD: a bug survives, is caught otherwise than on record, or the code differs without one\n");
    }
    text
}
