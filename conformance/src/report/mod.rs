//! The result of the main job: one verdict, as a table or as one JSON object.

mod ci;
mod text;

use crate::beyond;
use crate::divergence::Divergence;
use crate::door;
use crate::probe;
use crate::refinement::kind::ActionKind;
use crate::replay::carry::product::ProductReport;
use crate::replay::carry::walks::CarryReport;
use crate::replay::core::ReplayReport;
use crate::replay::core::schedule::SCHEDULES;
use crate::replay::landmark::Landmark;
use crate::replay::node::NodeReport;
use crate::replay::plan::Promise;
use crate::subject::tally::Tally;
use crate::wide;
use pbft_checker::check::{CheckReport, Verdict};
use pbft_checker::run::ExitCode;
use pbft_model::Reductions;
use serde::Serialize;
use std::collections::BTreeMap;

/// Whether the model holds and the code conforms to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conformity {
    /// The model holds, and the code takes its steps.
    Holds,
    /// A property is violated, or code and model differ.
    Finding,
    /// Something was not done, or not reached.
    Inconclusive,
}

impl Conformity {
    /// The exit status that says so.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::Holds => ExitCode::Holds,
            Self::Finding => ExitCode::Finding,
            Self::Inconclusive => ExitCode::Inconclusive,
        }
    }
}

/// The replay on the core, all configurations together.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CoreReport {
    /// Edges of the configurations' graphs, counted by the model's own search.
    pub edges_total: u64,
    /// Edges replayed.
    pub edges_replayed: u64,
    /// States of the graphs, counted by the model's own search.
    pub states_total: u64,
    /// States visited.
    pub states_visited: u64,
    /// Edges that were taken under every schedule.
    pub edges_scheduled: u64,
    /// Schedules tried, by name.
    pub schedules: BTreeMap<&'static str, u64>,
    /// Jumps replayed together with their NEW-VIEW.
    pub composed: u64,
    /// Requests that the model's primary may order, and the core's declined.
    pub declined: u64,
    /// Edges of each kind that the graphs must have.
    pub landmarks: BTreeMap<&'static str, u64>,
    /// Steps of the model replayed along the corpus and random walks.
    pub walked_steps: u64,
    /// Steps that the corpus and the walks have.
    pub walked_total: u64,
    /// Walks with leftovers.
    pub carried: CarryReport,
    /// Walks with leftovers that there are.
    pub carried_total: u64,
    /// Graphs of pairs.
    pub paired: Vec<ProductReport>,
    /// Graphs of pairs that there are.
    pub paired_total: u64,
    /// Wrong steps that the comparison was shown, and noticed.
    pub canaries: u64,
    /// Wrong steps that it did not notice.
    pub blind_spots: Vec<String>,
    /// Inputs given to replicas.
    pub steps: u64,
    /// Inputs that had to be refused, or to change nothing.
    pub negative_probes: u64,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Edges by action.
    pub actions: BTreeMap<ActionKind, u64>,
    /// Probes by name.
    pub probes: BTreeMap<&'static str, u64>,
    /// Scenarios of what the model leaves out.
    pub scenarios: u64,
    /// What was seen.
    #[serde(skip)]
    pub tally: Tally,
    /// Each configuration.
    pub configurations: Vec<ReplayReport>,
}

impl CoreReport {
    /// Adds edges on which rules meet.
    pub fn add_landmarks(&mut self, landmarks: &BTreeMap<&'static str, u64>) {
        for (landmark, count) in landmarks {
            *self.landmarks.entry(landmark).or_default() += count;
        }
    }

    /// Adds a configuration's replay.
    pub fn add(&mut self, report: ReplayReport) {
        self.edges_replayed += report.edges;
        self.states_visited += report.states;
        self.composed += report.composed;
        self.declined += report.declined;
        self.add_landmarks(&report.landmarks);
        self.steps += report.steps;
        self.negative_probes += report.probes.values().sum::<u64>();
        for (action, count) in &report.actions {
            *self.actions.entry(*action).or_default() += count;
        }
        for (probe, count) in &report.probes {
            *self.probes.entry(probe).or_default() += count;
        }
        self.edges_scheduled += report.scheduled;
        for (schedule, count) in &report.schedules {
            *self.schedules.entry(schedule).or_default() += count;
        }
        self.tally.add(&report.tally);
        self.configurations.push(report);
    }
}

/// The result of the main job.
#[derive(Clone, Debug, Serialize)]
pub struct ConformReport {
    /// The answer.
    pub verdict: Conformity,
    /// The seed of schedules and walks.
    pub seed: u64,
    /// The exhaustive checks.
    pub model: Vec<CheckReport>,
    /// The replay on the core.
    pub core: CoreReport,
    /// The replay through the node.
    pub node: NodeReport,
    /// The first divergence of each replay that has one.
    pub divergences: Vec<Divergence>,
    /// Why the verdict is not `holds`, in sentences.
    pub reasons: Vec<String>,
    /// Wall-clock seconds.
    pub seconds: f64,
}

impl ConformReport {
    /// Puts the parts together and decides.
    pub fn new(
        seed: u64,
        model: Vec<CheckReport>,
        core: CoreReport,
        node: NodeReport,
        divergences: Vec<Divergence>,
        seconds: f64,
    ) -> Self {
        let verdict = Conformity::Inconclusive;
        let reasons = Vec::new();
        let mut report = Self { verdict, seed, model, core, node, divergences, reasons, seconds };
        report.decide();
        report
    }

    /// Holds the run to what its preset promises.
    pub fn hold_to(&mut self, promise: &Promise) {
        let Promise { edges, two_slots, scheduled, traces } = *promise;
        let graphs = self.core.configurations.iter();
        let in_two: u64 =
            graphs.filter_map(|one| one.landmarks.get(Landmark::TwoSlots.name())).sum();
        let done = [
            (self.core.edges_replayed, edges, "edges were replayed"),
            (in_two, two_slots, "edges have two slots in use"),
            (self.core.edges_scheduled, scheduled, "edges were taken under every schedule"),
            (self.node.traces, traces, "traces went through the node"),
        ];
        for (done, promised, what) in done {
            if done < promised {
                self.reasons.push(format!("{done} {what}, and the preset promises {promised}"));
                if self.verdict == Conformity::Holds {
                    self.verdict = Conformity::Inconclusive;
                }
            }
        }
    }

    fn decide(&mut self) {
        let mut findings = Vec::new();
        let mut missing = Vec::new();
        for check in &self.model {
            match check.verdict {
                Verdict::Holds => {}
                Verdict::Violated => {
                    findings.push(format!("{}: a property is violated", check.config));
                }
                Verdict::Inconclusive => {
                    missing
                        .push(format!("{}: not complete, or a witness is missing", check.config));
                }
            }
        }
        if self.model.is_empty() {
            missing.push("no configuration was checked".to_owned());
        }
        let count = self.divergences.len();
        if count > 0 {
            findings.push(format!("model and code differ in {count} of the replays"));
        }
        self.missing_in_core(&mut missing);
        if self.node.steps != self.node.steps_total {
            let NodeReport { steps, steps_total, .. } = self.node;
            missing.push(format!("{steps} of {steps_total} steps went through the node"));
        }
        for check in self.model.iter().filter(|check| check.reductions != Reductions::NONE) {
            let unreduced = self.core.configurations.iter();
            let mut unreduced = unreduced.filter(|one| one.config == check.config.to_string());
            if unreduced.any(|one| one.complete && one.states <= check.unique_states) {
                missing.push(format!(
                    "{}: reductions ({}) were asked for, and the search ignored them",
                    check.config, check.reductions
                ));
            }
        }
        if self.node.traces == 0 {
            missing.push("no trace went through the node".to_owned());
        }
        if self.node.crashes == 0 {
            missing.push("no node crashed during the replay".to_owned());
        }
        for probe in probe::at_the_node().chain(door::names()) {
            if self.node.probes.get(probe).is_none_or(|count| *count == 0) {
                missing.push(format!("never probed at the node: {probe}"));
            }
        }
        self.verdict = match (findings.is_empty(), missing.is_empty()) {
            (false, _) => Conformity::Finding,
            (true, false) => Conformity::Inconclusive,
            (true, true) => Conformity::Holds,
        };
        self.reasons = findings.into_iter().chain(missing).collect();
    }

    /// Green must mean something: all edges, every action, every probe.
    fn missing_in_core(&self, missing: &mut Vec<String>) {
        let core = &self.core;
        if core.walked_steps != core.walked_total || core.walked_total == 0 {
            let (done, all) = (core.walked_steps, core.walked_total);
            missing.push(format!("{done} of {all} steps of traces were replayed on the core"));
        }
        if core.canaries == 0 {
            missing.push("no wrong step was shown to the comparison".to_owned());
        }
        for wrong in &core.blind_spots {
            missing.push(format!("the comparison does not notice a wrong step: {wrong}"));
        }
        let played = (core.scenarios, self.node.scenarios);
        let all = (beyond::names().count() as u64, beyond::count_at_nodes());
        if played != all {
            missing.push(format!(
                "scenarios beyond the model on core and node: {played:?} of {all:?}"
            ));
        }
        let (played, all) = (self.node.wide, wide::names().count() as u64);
        if played != all {
            missing.push(format!("scenarios at the node's full width: {played} of {all}"));
        }
        for probe in probe::teeth::toothless(probe::all_names().chain(door::names())) {
            missing.push(format!("a probe that no bug was ever seen to fail: {probe}"));
        }
        let all = (core.states_total, core.edges_total);
        let done = (core.states_visited, core.edges_replayed);
        if all != done || all.1 == 0 || core.configurations.iter().any(|one| !one.complete) {
            missing.push(format!("replayed {done:?} states and edges of {all:?}"));
        }
        for landmark in Landmark::ALL.map(Landmark::name) {
            if core.landmarks.get(landmark).is_none_or(|count| *count == 0) {
                missing.push(format!("no edge of graphs and walks is {landmark}"));
            }
        }
        if core.declined == 0 {
            missing.push("no request was declined whose client had a later one".to_owned());
        }
        self.missing_leftovers(missing);
        for action in ActionKind::REPLAYED {
            if core.actions.get(&action).is_none_or(|count| *count == 0) {
                missing.push(format!("no {action} was replayed"));
            }
        }
        for schedule in SCHEDULES {
            if core.schedules.get(schedule).is_none_or(|count| *count == 0) {
                missing.push(format!("no edge was taken under the schedule: {schedule}"));
            }
        }
        for probe in probe::names() {
            if core.probes.get(probe).is_none_or(|count| *count == 0) {
                missing.push(format!("never probed: {probe}"));
            }
        }
    }

    /// What replicas hold beside the model's state must have been carried along, and whole graphs of it walked.
    fn missing_leftovers(&self, missing: &mut Vec<String>) {
        let core = &self.core;
        missing.extend(core.carried.missing());
        if core.carried.walks != core.carried_total || core.carried_total == 0 {
            let (done, all) = (core.carried.walks, core.carried_total);
            missing.push(format!("{done} of {all} walks with leftovers were made"));
        }
        let walked = core.paired.iter().filter(|one| one.complete).count() as u64;
        if walked != core.paired_total || walked == 0 {
            let all = core.paired_total;
            missing.push(format!("{walked} of {all} graphs of pairs were walked"));
        }
        for one in core.paired.iter().filter(|one| one.complete) {
            let (found, known) = ((one.states, one.edges), one.on_record);
            if found != known {
                let config = &one.config;
                missing.push(format!("{config}: {found:?} pairs and edges, {known:?} on record"));
            }
        }
    }
}
