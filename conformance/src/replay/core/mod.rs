//! Model → core, every edge: walks the model's whole reachable graph depth first with a stack of replicas, so
//! that each edge costs one step of one replica.

pub mod command;
pub mod compare;
pub mod schedule;
pub mod step;

use crate::divergence::{Difference, Divergence, Kind, explore};
use crate::probe::Probes;
use crate::refinement::action::{Actor, Delivery, Script};
use crate::refinement::byzantine::Source;
use crate::refinement::keys::SealKeys;
use crate::refinement::kind::ActionKind;
use crate::refinement::pick::Pick;
use crate::refinement::vocabulary::Vocabulary;
use crate::refinement::vocabulary::replica_id;
use crate::replay::carry::product::Ways;
use crate::replay::core::step::{Step, Work};
use crate::replay::grain::{Behind, Walked};
use crate::replay::landmark::Edge;
use crate::signpost::Arm;
use crate::subject::tally::Tally;
use crate::subject::world::World;
use clap::ValueEnum as _;
use pbft_model as model;
use pbft_plant::switch;
use serde::Serialize;
use stateright::Model;
use std::collections::{BTreeMap, HashSet};
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
    /// Edges of the graph, where the model's own search has counted them.
    pub edges_total: u64,
    /// Jumps replayed together with their NEW-VIEW, see [`crate::replay::grain`].
    pub composed: u64,
    /// Requests that the model's primary may order, and the core's declined, see [`crate::replay::grain`].
    pub declined: u64,
    /// Edges of each kind that the graphs must have, see [`crate::replay::landmark`].
    pub landmarks: BTreeMap<&'static str, u64>,
    /// Edges that were taken under every schedule.
    pub scheduled: u64,
    /// Schedules tried, by name.
    pub schedules: BTreeMap<&'static str, u64>,
    /// Inputs given to replicas.
    pub steps: u64,
    /// Inputs that had to be refused, or to change nothing, by probe.
    pub probes: BTreeMap<&'static str, u64>,
    /// Whether the whole graph was walked.
    pub complete: bool,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Edges by action.
    pub actions: BTreeMap<ActionKind, u64>,
    /// What was seen.
    #[serde(skip)]
    pub tally: Tally,
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
    pub(crate) walked: Walked,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) seed: u64,
    command: String,
    /// One edge in so many is taken under every schedule.
    one_in: u64,
    /// The way to where the walk begins.
    way: Vec<model::Action>,
}

/// What is said of a graph of which only what lies behind the first slot is walked.
const BEHIND: &str = ", behind slot 1";

/// One edge in so many is taken under every schedule, unless all are.
pub const SCHEDULED_ONE_IN: u64 = 64;

/// What a walk collects.
struct Walk<'a> {
    visited: HashSet<u64>,
    work: Work,
    report: &'a mut ReplayReport,
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
        let vocabulary = Vocabulary::new(config, Arc::new(SealKeys));
        let planted = switch::option();
        let command = format!("cargo conform replay --config {config} --seed {seed}{planted}");
        let model = model::Pbft::new(config);
        let walked = Walked { model: model.clone() };
        let (one_in, way) = (SCHEDULED_ONE_IN, Vec::new());
        Self { model, walked, vocabulary, seed, command, one_in, way }
    }

    /// Only what lies behind the first slot, see [`Behind::first_slot`].
    #[must_use]
    pub fn behind_first_slot(self) -> Self {
        let command = format!("{} --behind-first-slot", self.command);
        let (_, way) = Behind::first_slot(*self.model.config());
        Self { command, way, ..self }
    }

    /// The same, with every edge taken under every schedule, see [`crate::replay::core::schedule`].
    #[must_use]
    pub fn under_all_schedules(self) -> Self {
        let command = format!("{} --every-schedule", self.command);
        Self { one_in: 1, command, ..self }
    }

    /// What selects quorums, probes and schedules at an edge: the same on every way to it.
    fn choice(&self, fingerprint: u64, action: &model::Action) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, fingerprint, action).hash(&mut hasher);
        hasher.finish()
    }

    /// Walks the whole graph, or until the first divergence, or until `counters.stop`.
    pub fn run(&self, counters: &Counters) -> (ReplayReport, Option<Divergence>) {
        let started = Instant::now();
        let behind = if self.way.is_empty() { "" } else { BEHIND };
        let config = format!("{}{behind}", self.model.config());
        let mut report = ReplayReport { config, ..ReplayReport::default() };
        let divergence = self.walk(counters, &mut report);
        report.seconds = started.elapsed().as_secs_f64();
        (report, divergence)
    }

    fn walk(&self, counters: &Counters, report: &mut ReplayReport) -> Option<Divergence> {
        let mut walk = Walk { visited: HashSet::new(), work: Work::default(), report };
        let mut stack: Vec<Frame> = Vec::new();
        let mut path: Vec<model::Action> = Vec::new();
        let (state, world) = match self.beginning(&mut walk.work) {
            Ok(beginning) => beginning,
            Err(divergence) => return Some(*divergence),
        };
        path.extend(&self.way);
        walk.visited.insert(fingerprint(&state));
        stack.push(self.frame(state, world));
        walk.report.states = walk.visited.len() as u64;
        let mut divergence = None;
        while let Some(frame) = stack.last_mut() {
            let Some(&action) = frame.actions.get(frame.next) else {
                stack.pop();
                path.pop();
                continue;
            };
            frame.next += 1;
            match self.edge(frame, action, &mut walk) {
                Ok(Some(frame)) => {
                    counters.states.fetch_add(1, Ordering::Relaxed);
                    path.push(action);
                    stack.push(frame);
                }
                Ok(None) => {}
                Err(difference) => {
                    divergence = Some(self.divergence(&path, action, difference));
                    break;
                }
            }
            counters.edges.fetch_add(1, Ordering::Relaxed);
            if counters.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        walk.report.complete = stack.is_empty();
        walk.report.steps = walk.work.steps;
        walk.report.tally = walk.work.tally;
        walk.report.schedules = walk.work.schedules;
        divergence
    }

    /// Where the walk begins.
    fn beginning(&self, work: &mut Work) -> Result<(model::State, World), Box<Divergence>> {
        let mut state = model::State::initial(self.model.config());
        let mut world = World::new(&self.vocabulary);
        for (at, action) in self.way.iter().enumerate() {
            let differs =
                |difference| Box::new(self.divergence(&self.way[..at], *action, difference));
            let after = self.model.next_state(&state, *action);
            let no_next = || Difference::new(Kind::Harness, "the model's action has no next state");
            let after = after.ok_or_else(no_next).map_err(differs)?;
            let choice = self.choice(fingerprint(&state), action);
            let step = self.step(&state, action, &after, choice);
            (world, state) = (step.replay(&world, work).map_err(differs)?, after.clone());
        }
        Ok((state, world))
    }

    /// Replays one edge; the frame of the state that it leads to, if that is new.
    fn edge(
        &self,
        frame: &Frame,
        action: model::Action,
        walk: &mut Walk<'_>,
    ) -> Result<Option<Frame>, Difference> {
        let choice = self.choice(fingerprint(&frame.state), &action);
        let Some(after) = self.model.next_state(&frame.state, action) else {
            return Err(Difference::new(Kind::Harness, "the model's action has no next state"));
        };
        let step = self.step(&frame.state, &action, &after, choice);
        let world = step.replay(&frame.world, &mut walk.work)?;
        if self.is_scheduled(choice) {
            step.under_all(&frame.world, &mut walk.work)?;
            walk.report.scheduled += 1;
        }
        walk.report.edges += 1;
        let (before, restarted) = (&frame.state, step.is_after_restart());
        let edge = Edge { before, action: &action, after: &after, restarted };
        edge.count(&mut walk.report.landmarks);
        *walk.report.actions.entry(ActionKind::of(&action)).or_default() += 1;
        if !walk.visited.insert(fingerprint(&after)) {
            return Ok(None);
        }
        walk.report.states += 1;
        let probes = Probes { model: &self.model, vocabulary: &self.vocabulary };
        for name in probes.run(&after, &world, &action, choice, &mut walk.work.tally)? {
            *walk.report.probes.entry(name).or_default() += 1;
        }
        for jump in self.walked.composed(&after) {
            self.replay_composed(&after, &world, &jump, choice, walk)?;
        }
        for order in self.walked.declined(&after) {
            self.step(&after, &order, &after, choice).is_declined(&world, &mut walk.work)?;
            walk.report.declined += 1;
        }
        Ok(Some(self.frame(after, world)))
    }

    fn is_scheduled(&self, choice: u64) -> bool {
        // Other bits than those that select the messages.
        (choice >> 32).is_multiple_of(self.one_in)
    }

    pub(crate) fn step<'a>(
        &'a self,
        before: &'a model::State,
        action: &'a model::Action,
        after: &'a model::State,
        choice: u64,
    ) -> Step<'a> {
        let (model, vocabulary) = (&self.model, &self.vocabulary);
        Step { model, vocabulary, before, action, after, choice }
    }

    /// A jump and the NEW-VIEW that comes with it, as one step; the walk does not go on from there.
    fn replay_composed(
        &self,
        state: &model::State,
        world: &World,
        jump: &model::Action,
        choice: u64,
        walk: &mut Walk<'_>,
    ) -> Result<(), Difference> {
        let harness = |what: String| Difference::new(Kind::Harness, what);
        let source = Source { vocabulary: &self.vocabulary, network: &world.network };
        let pick = Pick::seeded(choice);
        let script = Script { model: &self.model, state, source, pick };
        let deliveries = script
            .deliveries(jump, Actor { timer_running: false })
            .map_err(|missing| harness(missing.to_string()))?;
        let own = jump.replica();
        let all = (0..self.model.config().replicas()).map(model::ReplicaId);
        let sends = |id: &model::ReplicaId| {
            let from_id = |delivery: &Delivery| matches!(delivery, Delivery::Message { from, .. } if *from == replica_id(*id));
            *id == own || deliveries.iter().any(from_id)
        };
        let senders: Vec<_> = all.filter(sends).collect();
        let after = self.walked.after_composed(state, jump, &senders);
        let after = after.ok_or_else(|| harness(format!("no V of {senders:?} after {jump}")))?;
        self.step(state, jump, &after, choice).replay(world, &mut walk.work)?;
        walk.report.composed += 1;
        Ok(())
    }

    /// Replays one path, each step as on its edge, and counts the steps.
    pub fn follow(&self, actions: &[model::Action]) -> Result<usize, Box<Divergence>> {
        self.follow_counted(actions, &mut Tally::default(), &mut BTreeMap::new())
    }

    /// The same, and counts what was seen, and the landmarks.
    pub fn follow_counted(
        &self,
        actions: &[model::Action],
        tally: &mut Tally,
        landmarks: &mut BTreeMap<&'static str, u64>,
    ) -> Result<usize, Box<Divergence>> {
        let mut state = model::State::initial(self.model.config());
        let mut world = World::new(&self.vocabulary);
        let (mut work, mut steps) = (Work::default(), 0);
        if actions.is_empty() {
            return Err(Box::new(self.nothing()));
        }
        for (at, action) in actions.iter().enumerate() {
            let path = &actions[..at];
            let differs = |difference| {
                let mut divergence = self.divergence(path, *action, difference);
                divergence.reproduce = format!(
                    "cargo conform --seed {}, or cargo conform trace on the run directory's file",
                    self.seed
                );
                Box::new(divergence)
            };
            if !self.model.is_enabled(&state, action) {
                let what = "the model does not allow this step here: a stale trace";
                return Err(differs(Difference::new(Kind::Harness, what)));
            }
            let after = self.model.next_state(&state, *action);
            let after = after.ok_or_else(|| {
                differs(Difference::new(Kind::Harness, "the model's action has no next state"))
            })?;
            let choice = self.choice(fingerprint(&state), action);
            let step = self.step(&state, action, &after, choice);
            let next = step.replay(&world, &mut work).map_err(differs)?;
            let restarted = step.is_after_restart();
            Edge { before: &state, action, after: &after, restarted }.count(landmarks);
            if self.is_scheduled(choice) {
                step.under_all(&world, &mut work).map_err(differs)?;
            }
            world = next;
            let probes = Probes { model: &self.model, vocabulary: &self.vocabulary };
            probes.run(&after, &world, action, choice, &mut work.tally).map_err(differs)?;
            state = after;
            steps += 1;
        }
        tally.add(&work.tally);
        Ok(steps)
    }

    /// A trace without steps, which shows nothing.
    fn nothing(&self) -> Divergence {
        let nobody = model::Action::Restart { replica: model::ReplicaId(0) };
        let difference = Difference::new(Kind::Harness, "an empty trace shows nothing");
        Divergence { actions: Vec::new(), ..self.divergence(&[], nobody, difference) }
    }

    /// The command that walks along one seed with leftovers.
    pub(crate) fn again_with_leftovers(&self, seed: u64) -> String {
        let (config, planted) = (self.model.config(), switch::option());
        format!("cargo conform carry --config {config} --walks 1 --seed {seed}{planted}")
    }

    /// The command that walks through the graph of pairs.
    pub(crate) fn again_in_pairs(&self, ways: Ways) -> String {
        let (config, planted) = (self.model.config(), switch::option());
        let ways = ways.to_possible_value().map(|ways| ways.get_name().to_owned());
        let ways = ways.unwrap_or_default();
        format!("cargo conform carry --config {config} --pairs {ways}{planted}")
    }

    fn frame(&self, state: model::State, world: World) -> Frame {
        let mut actions = Vec::new();
        self.walked.actions(&state, &mut actions);
        Frame { state, world, actions, next: 0 }
    }

    pub(crate) fn divergence(
        &self,
        path: &[model::Action],
        action: model::Action,
        difference: Difference,
    ) -> Divergence {
        let config = self.model.config().to_string();
        let actions: Vec<_> = path.iter().copied().chain([action]).collect();
        Divergence {
            arm: Arm::Core.name(),
            signpost: difference.signpost(Arm::Core, Some(&action)),
            seed: self.seed,
            step: path.len() + 1,
            replica: action.replica().0,
            action: action.to_string(),
            kind: difference.kind,
            what: difference.what,
            diff: difference.diff,
            probe: difference.probe,
            shrunk_from: None,
            path: path.iter().map(ToString::to_string).collect(),
            reproduce: self.command.clone(),
            explore: explore(&config, &actions),
            actions,
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
