//! Model → node: traces replayed through production nodes.

use crate::divergence::{Difference, Divergence, Kind, explore};
use crate::panics;
use crate::probe::forgery;
use crate::probe::reaction::Scene;
use crate::probe::{Place, live};
use crate::refinement::byzantine::Source;
use crate::refinement::network::Network;
use crate::refinement::vocabulary::{Vocabulary, replayable};
use crate::replay::core::step::{Step, Work};
use crate::signpost::Arm;
use crate::subject::Subject;
use crate::subject::node::keys::NodeKeys;
use crate::subject::node::{NodeHost, adjust};
use crate::subject::tally::Tally;
use crate::walk::Trace;
use pbft_checker::chance::Chance;
use pbft_model as model;
use pbft_plant::switch;
use serde::Serialize;
use stateright::Model;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};

/// What the replay of traces through the node did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NodeReport {
    /// Traces replayed.
    pub traces: u64,
    /// Steps of the model replayed.
    pub steps: u64,
    /// Steps that the traces have.
    pub steps_total: u64,
    /// Inputs given to nodes.
    pub deliveries: u64,
    /// Crashes and restarts from disk.
    pub crashes: u64,
    /// Probes and reactions, by name.
    pub probes: BTreeMap<&'static str, u64>,
    /// Scenarios of what the model leaves out.
    pub scenarios: u64,
    /// Scenarios of the node at its full width.
    pub wide: u64,
    /// What was seen.
    #[serde(skip)]
    pub tally: Tally,
    /// Wall-clock seconds.
    pub seconds: f64,
}

impl NodeReport {
    /// Adds another thread's work.
    pub fn add(&mut self, other: &Self) {
        let Self { traces, steps, steps_total, deliveries, crashes, probes, .. } = other;
        self.traces += traces;
        self.steps += steps;
        self.steps_total += steps_total;
        self.deliveries += deliveries;
        self.crashes += crashes;
        self.scenarios += other.scenarios;
        self.wide += other.wide;
        self.tally.add(&other.tally);
        for (name, count) in probes {
            *self.probes.entry(name).or_default() += count;
        }
    }
}

/// A runtime on this thread, its clock paused.
pub fn runtime() -> std::io::Result<Runtime> {
    panics::watch();
    Builder::new_current_thread().enable_time().start_paused(true).build()
}

/// Replays one trace on fresh nodes.
pub fn replay(
    runtime: &Runtime,
    trace: &Trace,
    seed: u64,
    report: &mut NodeReport,
) -> Option<Divergence> {
    let mut at = 0;
    match steps(runtime, trace, seed, report, &mut at) {
        Ok(()) => {
            report.traces += 1;
            None
        }
        Err(difference) => Some(divergence(trace, seed, at, difference)),
    }
}

fn steps(
    runtime: &Runtime,
    trace: &Trace,
    seed: u64,
    report: &mut NodeReport,
    at: &mut usize,
) -> Result<(), Difference> {
    let harness = |what: String| Difference::new(Kind::Harness, what);
    if trace.actions.is_empty() {
        return Err(harness("an empty trace shows nothing".to_owned()));
    }
    let config = replayable(&trace.config).map_err(harness)?;
    let pbft = model::Pbft::new(config);
    let keys = Arc::new(NodeKeys::new(config.replicas()));
    let vocabulary = Vocabulary::with_params(config, keys, adjust);
    let all = (0..config.replicas()).map(model::ReplicaId);
    let mut hosts = all
        .map(|id| NodeHost::new(runtime, &vocabulary, id))
        .collect::<Result<Vec<_>, Difference>>()?;
    let mut network = Network::new(config.replicas());
    let mut state = model::State::initial(&config);
    let mut chance = Chance::new(seed);
    let mut work = Work::default();
    for action in &trace.actions {
        if !pbft.is_enabled(&state, action) {
            return Err(harness(format!("the model does not allow {action} here: a stale trace")));
        }
        let after = pbft.next_state(&state, *action);
        let after = after.ok_or_else(|| harness(format!("no state after {action}")))?;
        let step = Step {
            model: &pbft,
            vocabulary: &vocabulary,
            before: &state,
            action,
            after: &after,
            choice: chance.draw(),
        };
        let choice = step.choice;
        let acting = action.replica().index();
        let others = hosts.iter().enumerate().filter(|(index, _)| *index != acting);
        let clock_may_run = others.into_iter().all(|(_, other)| !other.is_timer_running());
        let host = &mut hosts[acting];
        host.clock_may_run = clock_may_run;
        let sent = step.take(host, &network, &mut work)?;
        network.add(action.replica(), sent);
        let source = Source { vocabulary: &vocabulary, network: &network };
        // Here each probe is made whenever it comes up.
        let choice_of_parts = choice.wrapping_mul(forgery::ONE_IN);
        let own = action.replica();
        let place = Place { source, model: &pbft, state: &after, own, choice: choice_of_parts };
        for name in live::run(&Scene::new(place, action), host, choice, &mut work.tally)? {
            *report.probes.entry(name).or_default() += 1;
        }
        state = after;
        *at += 1;
        report.steps += 1;
    }
    report.deliveries += work.steps;
    report.tally.add(&work.tally);
    report.crashes += hosts.iter().map(|host| host.crashes).sum::<u64>();
    Ok(())
}

fn divergence(trace: &Trace, seed: u64, at: usize, difference: Difference) -> Divergence {
    let action = trace.actions.get(at);
    let config = trace.config.clone();
    let actions: Vec<_> = trace.actions.iter().take(at + 1).copied().collect();
    Divergence {
        arm: Arm::Node.name(),
        signpost: difference.signpost(Arm::Node, action),
        seed,
        step: at + 1,
        replica: action.map_or(0, |action| action.replica().0),
        action: action.map(ToString::to_string).unwrap_or_default(),
        kind: difference.kind,
        what: format!("{} ({})", difference.what, trace.origin),
        diff: difference.diff,
        probe: difference.probe,
        shrunk_from: None,
        path: trace.actions.iter().take(at).map(ToString::to_string).collect(),
        reproduce: format!(
            "cargo conform node --config {config} --seed {seed}{}",
            switch::option()
        ),
        explore: explore(&config, &actions),
        actions,
        config,
    }
}
