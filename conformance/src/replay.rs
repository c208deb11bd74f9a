//! Model → core, every edge: walks the model's whole reachable graph depth first with a stack of replicas, so
//! that each edge costs one step of one replica.

use crate::divergence::{Difference, Divergence};
use crate::keys::NameKeys;
use crate::probe::Probes;
use crate::refinement::vocabulary::Vocabulary;
use crate::step::{Step, Work, World};
use pbft_model as model;
use serde::Serialize;
use stateright::Model;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// What one configuration's replay did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ReplayReport {
    /// The configuration.
    pub config: String,
    /// States visited.
    pub states: u64,
    /// Edges replayed.
    pub edges: u64,
    /// Inputs given to replicas.
    pub steps: u64,
    /// Inputs that had to be refused, or to change nothing.
    pub probes: u64,
    /// Whether the whole graph was walked.
    pub complete: bool,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Edges by action.
    pub actions: std::collections::BTreeMap<&'static str, u64>,
    /// Probes refused, by rejection.
    pub rejections: std::collections::BTreeMap<String, u64>,
}

/// Numbers that a progress display reads while a replay runs.
#[derive(Debug, Default)]
pub struct Counters {
    /// States visited.
    pub states: AtomicU64,
    /// Edges replayed.
    pub edges: AtomicU64,
    /// Tells all replays to stop.
    pub stop: AtomicBool,
}

/// A replay of one configuration.
pub struct Replay {
    pub(crate) model: model::Pbft,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) seed: u64,
    command: String,
}

struct Frame {
    state: model::State,
    world: World,
    actions: Vec<model::Action>,
    next: usize,
}

impl Replay {
    /// A replay of all edges of `config`; `seed` selects the schedules.
    pub fn new(config: model::Config, seed: u64) -> Self {
        Self::planted(config, seed, None)
    }

    /// The same, on replicas that have a planted bug (by name; needs the feature `planted-bugs`).
    pub fn planted(config: model::Config, seed: u64, bug: Option<&str>) -> Self {
        let vocabulary = vocabulary_with(config, bug);
        let planted = bug.map(|bug| format!(" --planted {bug}")).unwrap_or_default();
        let command = format!("pbft-conform replay --config {config} --seed {seed}{planted}");
        Self { model: model::Pbft::new(config), vocabulary, seed, command }
    }

    fn choice(&self, fingerprint: u64, index: usize) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, fingerprint, index).hash(&mut hasher);
        hasher.finish()
    }

    /// Walks the whole graph, or until the first divergence, or until `counters.stop`.
    pub fn run(&self, counters: &Counters) -> (ReplayReport, Option<Divergence>) {
        let started = Instant::now();
        let mut report =
            ReplayReport { config: self.model.config().to_string(), ..ReplayReport::default() };
        let divergence = self.walk(counters, &mut report);
        report.seconds = started.elapsed().as_secs_f64();
        (report, divergence)
    }

    fn walk(&self, counters: &Counters, report: &mut ReplayReport) -> Option<Divergence> {
        let mut visited = HashSet::new();
        let mut stack: Vec<Frame> = Vec::new();
        let mut path: Vec<model::Action> = Vec::new();
        let mut work = Work::default();
        for state in self.model.init_states() {
            visited.insert(fingerprint(&state));
            stack.push(self.frame(state, World::new(&self.vocabulary)));
        }
        report.states = visited.len() as u64;
        while let Some(frame) = stack.last_mut() {
            let Some(&action) = frame.actions.get(frame.next) else {
                stack.pop();
                path.pop();
                continue;
            };
            let index = frame.next;
            frame.next += 1;
            let Some(after) = self.model.next_state(&frame.state, action) else { continue };
            let choice = self.choice(fingerprint(&frame.state), index);
            let step = Step {
                model: &self.model,
                vocabulary: &self.vocabulary,
                before: &frame.state,
                action: &action,
                after: &after,
                choice,
            };
            let outcome = step.replay(&frame.world, &mut work).and_then(|world| {
                let new = visited.insert(fingerprint(&after));
                if new {
                    let probes = Probes { model: &self.model, vocabulary: &self.vocabulary };
                    let seen = probes.run(&after, &world, action.replica(), choice)?;
                    work.probes += seen.len() as u64;
                    for kind in seen {
                        *report.rejections.entry(kind.to_owned()).or_default() += 1;
                    }
                }
                Ok((world, new))
            });
            match outcome {
                Ok((world, new)) => {
                    report.edges += 1;
                    *report.actions.entry(action.name()).or_default() += 1;
                    counters.edges.fetch_add(1, Ordering::Relaxed);
                    if new {
                        report.states += 1;
                        counters.states.fetch_add(1, Ordering::Relaxed);
                        path.push(action);
                        let frame = self.frame(after, world);
                        stack.push(frame);
                    }
                }
                Err(difference) => {
                    (report.steps, report.probes) = (work.steps, work.probes);
                    return Some(self.divergence("core", &path, action, difference));
                }
            }
            if counters.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        report.complete = stack.is_empty();
        (report.steps, report.probes) = (work.steps, work.probes);
        None
    }

    fn frame(&self, state: model::State, world: World) -> Frame {
        let mut actions = Vec::new();
        self.model.actions(&state, &mut actions);
        Frame { state, world, actions, next: 0 }
    }

    pub(crate) fn divergence(
        &self,
        arm: &'static str,
        path: &[model::Action],
        action: model::Action,
        difference: Difference,
    ) -> Divergence {
        let config = self.model.config().to_string();
        Divergence {
            arm,
            seed: self.seed,
            step: path.len() + 1,
            replica: action.replica().0,
            action: action.to_string(),
            kind: difference.kind,
            what: difference.what,
            diff: difference.diff,
            path: path.iter().map(ToString::to_string).collect(),
            actions: path.iter().copied().chain([action]).collect(),
            reproduce: self.command.clone(),
            explore: format!("cargo explore --config {config}"),
            config,
        }
    }
}

/// 64 bits that stand for a model state; independent of the ones that the checkers take.
pub fn fingerprint(state: &model::State) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

#[cfg(feature = "planted-bugs")]
pub(crate) fn vocabulary_with(config: model::Config, bug: Option<&str>) -> Vocabulary {
    let all = pbft_core::planted::PlantedBug::ALL;
    let planted = bug.and_then(|bug| all.iter().find(|known| known.name() == bug).copied());
    Vocabulary::with_params(config, Arc::new(NameKeys), |params| params.planted = planted)
}

#[cfg(not(feature = "planted-bugs"))]
pub(crate) fn vocabulary_with(config: model::Config, bug: Option<&str>) -> Vocabulary {
    assert!(bug.is_none(), "this build cannot plant bugs");
    Vocabulary::new(config, Arc::new(NameKeys))
}
