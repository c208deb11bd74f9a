//! A hunt in this process, for the bug that is on in it.

use super::leads::Named;
use crate::beyond;
use crate::divergence::Divergence;
use crate::door;
use crate::probe::Probes;
use crate::probe::handshake;
use crate::probe::teeth::TEETH;
use crate::refinement::keys::SealKeys;
use crate::refinement::vocabulary::{Vocabulary, replayable};
use crate::replay::carry::leftover::Leftover;
use crate::replay::core::step::{Step, Work};
use crate::replay::core::{Counters, Replay};
use crate::replay::corpus::CorpusError;
use crate::replay::node::{self, NodeReport};
use crate::replay::plan::{Plan, WALK_STEPS};
use crate::signpost::Arm;
use crate::subject::world::World;
use crate::walk::Trace;
use crate::wide;
use pbft_model as model;
use pbft_plant::catalogue::Entry;
use serde::{Deserialize, Serialize};
use stateright::Model as _;
use std::cell::LazyCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// What a hunt came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Found {
    /// What caught it: see [`Divergence::catcher`].
    pub caught_by: Option<String>,
    /// The step that gave it away.
    pub step: Option<usize>,
    /// The divergence, as a report and as a value.
    pub report: Option<String>,
    /// See `report`.
    pub divergence: Option<serde_json::Value>,
    /// The functions that the report names, the handler first.
    pub named: Vec<Named>,
    /// The model's rule that it names.
    pub ruled: Option<Named>,
    /// Probes that must fail with this bug, and do not.
    pub toothless: Vec<String>,
    /// Steps of the model that were replayed.
    pub edges: u64,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// Which parts of a hunt are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Parts {
    /// All.
    All,
    /// All but the graphs.
    Scenarios,
    /// The graphs.
    Graphs,
}

/// Does with the bug that is on what the main job does with the code, cheapest first, until the bug shows: the corpus,
/// the walks, what the model leaves out, the handshakes, the traces through the node, the node at its full width, its door,
/// the graphs, the walks with leftovers, the graphs of pairs. Before all that comes the scenario at the node, or the walks,
/// that this is to begin with. With no bug on, the graphs are left
/// out.
pub fn hunt(
    bug: Option<&str>,
    begin: Option<&str>,
    parts: Parts,
    seed: u64,
) -> Result<Found, CorpusError> {
    let plan = Plan::quick();
    let started = Instant::now();
    let mut hunter = Hunter { seed, edges: 0 };
    let mut divergence = begin.and_then(in_scenario);
    if begin.is_some_and(is_leftover) {
        divergence = hunter.with_leftovers(&plan);
    }
    if divergence.is_none() && parts != Parts::Graphs {
        divergence = hunter.in_scenarios(&plan)?;
    }
    if bug.is_some() && parts != Parts::Scenarios {
        // From the smallest on.
        divergence = divergence.or_else(|| hunter.in_graphs(plan.replayed.iter().rev()));
        divergence = divergence.or_else(|| hunter.behind_first_slot(&plan));
    }
    if parts != Parts::Graphs {
        divergence = divergence.or_else(|| hunter.with_leftovers(&plan));
    }
    if bug.is_some() && parts != Parts::Scenarios {
        divergence = divergence.or_else(|| hunter.in_pairs(&plan));
    }
    let seconds = started.elapsed().as_secs_f64();
    let caught_by = divergence.as_ref().map(Divergence::catcher);
    let on_core = LazyCell::new(|| plan.core_traces(seed));
    let in_nodes = LazyCell::new(|| plan.node_traces(seed));
    let bites = |name: &str| {
        caught_by.as_ref().is_some_and(|caught| caught.contains(name))
            || on_core.as_ref().is_ok_and(|traces| fails_at_the_core(name, traces))
            || in_nodes.as_ref().is_ok_and(|traces| fails_in_a_node(name, traces, seed))
    };
    let listed = TEETH.iter().filter(|(_, listed)| Some(*listed) == bug).map(|(name, _)| *name);
    let toothless = listed.filter(|name| !bites(name)).map(str::to_owned).collect();
    Ok(Found {
        toothless,
        step: divergence.as_ref().map(|divergence| divergence.step),
        report: divergence.as_ref().map(ToString::to_string),
        named: divergence.as_ref().map(Named::by).unwrap_or_default(),
        ruled: divergence.as_ref().and_then(Named::ruling),
        divergence: divergence.and_then(|divergence| serde_json::to_value(divergence).ok()),
        caught_by,
        edges: hunter.edges,
        seconds,
    })
}

/// The scenario at the node that caught a bug on record, or the leftover that did: nothing shows the bug sooner.
pub(super) fn on_record(entry: &Entry) -> Option<&'static str> {
    let scenarios = wide::names().chain(door::names()).map(|name| (Arm::Node, name));
    let leftovers = Leftover::ALL.map(|kind| (Arm::Core, kind.name()));
    let mut all = scenarios.chain(leftovers);
    let is_it =
        |(arm, name): &(Arm, &str)| entry.caught.contains(&format!("{}, {name}: ", arm.name()));
    all.find(is_it).map(|(_, name)| name)
}

fn is_leftover(name: &str) -> bool {
    Leftover::ALL.iter().any(|kind| kind.name() == name)
}

fn in_scenario(name: &str) -> Option<Divergence> {
    let played = wide::play_named(name).and_then(|()| door::run_one(name));
    played.err().map(|divergence| *divergence)
}

struct Hunter {
    seed: u64,
    edges: u64,
}

impl Hunter {
    /// All but the graphs.
    fn in_scenarios(&mut self, plan: &Plan) -> Result<Option<Divergence>, CorpusError> {
        let mut divergence = self.at_the_core(plan)?;
        divergence = divergence.or_else(|| handshake::run().err().map(|divergence| *divergence));
        if divergence.is_none() {
            divergence = self.in_nodes(&plan.node_traces(self.seed)?);
        }
        divergence = divergence.or_else(|| wide::play().err().map(|divergence| *divergence));
        Ok(divergence.or_else(|| door::run().err().map(|divergence| *divergence)))
    }

    /// The corpus, the walks, and what the model leaves out.
    fn at_the_core(&mut self, plan: &Plan) -> Result<Option<Divergence>, CorpusError> {
        // Walks and ways to witnesses take longer to find than to follow.
        let corpus = plan.corpus_traces()?;
        let mut divergence = self.on_core(&corpus);
        if divergence.is_none() {
            divergence = self.on_core(&plan.core_traces(self.seed)?[corpus.len()..]);
        }
        Ok(divergence.or_else(|| beyond::on_the_core().err().map(|divergence| *divergence)))
    }

    fn on_core(&mut self, traces: &[Trace]) -> Option<Divergence> {
        traces.iter().find_map(|trace| {
            let config = replayable(&trace.config).ok()?;
            let found = Replay::new(config, self.seed).follow(&trace.actions).err();
            self.count(trace, found.as_deref());
            found.map(|found| *found)
        })
    }

    fn in_nodes(&mut self, traces: &[Trace]) -> Option<Divergence> {
        let runtime = node::runtime().ok()?;
        let mut report = NodeReport::default();
        traces.iter().find_map(|trace| {
            let found = node::replay(&runtime, trace, self.seed, &mut report);
            self.count(trace, found.as_ref());
            found
        })
    }

    fn behind_first_slot(&mut self, plan: &Plan) -> Option<Divergence> {
        plan.behind.iter().find_map(|config| {
            let replay = Replay::new(*config, self.seed).behind_first_slot();
            let (report, found) = replay.run(&Counters::default());
            self.edges += report.edges;
            found
        })
    }

    fn with_leftovers(&mut self, plan: &Plan) -> Option<Divergence> {
        let found = plan.carried_walks(self.seed).into_iter().find_map(|(config, seed)| {
            let (report, found) = Replay::new(config, seed).carry_along(seed, WALK_STEPS);
            self.edges += report.steps;
            found
        });
        found.map(|found| *found)
    }

    fn in_pairs(&mut self, plan: &Plan) -> Option<Divergence> {
        // From the smallest on.
        let found = plan.paired.iter().rev().find_map(|(config, ways, _)| {
            let (report, found) =
                Replay::new(*config, self.seed).product(*ways, &Counters::default());
            self.edges += report.edges;
            found
        });
        found.map(|found| *found)
    }

    fn count(&mut self, trace: &Trace, found: Option<&Divergence>) {
        self.edges += found.map_or(trace.actions.len(), |found| found.step) as u64;
    }

    fn in_graphs<'a>(
        &mut self,
        mut graphs: impl Iterator<Item = &'a model::Config>,
    ) -> Option<Divergence> {
        graphs.find_map(|config| {
            let counters = Counters::default();
            let found = Replay::new(*config, self.seed).run(&counters).1;
            self.edges += counters.edges.load(Ordering::Relaxed);
            found
        })
    }
}

/// Whether a probe is the first to fail along one of these traces: a node is asked them in another order at each step.
fn fails_in_a_node(name: &str, traces: &[Trace], seed: u64) -> bool {
    let Ok(runtime) = node::runtime() else { return false };
    let mut report = NodeReport::default();
    traces.iter().any(|trace| {
        let found = node::replay(&runtime, trace, seed, &mut report);
        found.is_some_and(|found| found.catcher().contains(name))
    })
}

/// Whether a probe or reaction fails somewhere along these traces, as far as they can be followed.
fn fails_at_the_core(name: &str, traces: &[Trace]) -> bool {
    traces.iter().any(|trace| {
        let Ok(config) = replayable(&trace.config) else { return false };
        let pbft = model::Pbft::new(config);
        let vocabulary = Vocabulary::new(config, Arc::new(SealKeys));
        let probes = Probes { model: &pbft, vocabulary: &vocabulary };
        let (mut world, mut state) = (World::new(&vocabulary), model::State::initial(&config));
        for action in &trace.actions {
            let Some(after) = pbft.next_state(&state, *action) else { return false };
            let (model, vocabulary, before) = (&pbft, &vocabulary, &state);
            let step = Step { model, vocabulary, before, action, after: &after, choice: 1 };
            let Ok(next) = step.replay(&world, &mut Work::default()) else { return false };
            (world, state) = (next, after);
            let host = world.host(action.replica());
            let outcome = probes.run_one(&state, &world.network, host, action, name);
            if outcome.is_some_and(|outcome| outcome.is_err()) {
                return true;
            }
        }
        false
    })
}
