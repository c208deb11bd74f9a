//! The guided search: plans are changed towards what no run has shown yet.
//!
//! Random seeds show the same again and again. Here each run is looked at in the model's words ([`seen`]); a plan that
//! has shown something new is kept, and kept plans are changed a little (`vary.rs`) and run, the more often the more they
//! have shown for their cost. This is how fuzzers are steered by the code that they reach, with the states of a model in
//! the place of the code (Gulcan et al., Model-guided fuzzing of distributed systems, 2024).
//!
//! The search goes on in generations. What is run in one depends on the generations before it and on the seed alone, so
//! a hunt can be repeated, on however many threads.

pub mod alone;
pub mod seen;
mod vary;

use crate::fault::Plan;
use crate::judge::{Judged, Judging, judge_seen};
use crate::oracle::Violation;
use crate::processor::processor_time;
use crate::rng::Rng;
use core::time::Duration;
use pbft_conformance::job::in_parallel;
use seen::{Fresh, Seen};
use serde::Serialize;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Runs of one generation.
const GENERATION: u64 = 32;

/// The most plans that are kept: the best.
const KEPT_MAX: usize = 80;

/// What a run costs beside its deliveries, in deliveries.
const COST_OF_A_RUN: u64 = 500;

/// Of a hundred plans, so many are drawn anew.
const DRAWN_PERCENT: u64 = 5;

/// What a hunt looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Hunt {
    /// Selects everything.
    pub seed: u64,
    /// The number of replicas.
    pub n: u32,
    /// Whether every run is validated against the model.
    pub model: bool,
}

/// How plans are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Guided,
    Random,
}

/// A plan that has shown something new.
#[derive(Clone, Debug)]
struct Kept {
    plan: Plan,
    /// What it, and lately what plans like it have shown for their cost; in hundredths of what plans of the same generation
    /// have shown on average.
    worth: u64,
}

impl Kept {
    /// Twice as good is chosen four times as often.
    const fn weight(&self) -> u64 {
        1 + self.worth * self.worth / 100
    }

    /// A plan like it was worth this.
    const fn learn(&mut self, worth: u64) {
        self.worth = (3 * self.worth + worth) / 4;
    }
}

/// A run that is over.
struct Over {
    parent: Option<usize>,
    plan: Plan,
    judged: Judged,
    fresh: u64,
    /// Counted, not measured, so that a hunt can be repeated.
    cost: u64,
}

/// A run that broke a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The number of the run.
    pub run: u64,
    /// Its plan.
    pub plan: Plan,
    /// The rule.
    pub violation: Violation,
}

/// One way to search, as far as it has come.
#[derive(Clone, Debug)]
struct Search {
    hunt: Hunt,
    choice: Choice,
    kept: Vec<Kept>,
    seen: Seen,
    runs: u64,
    deliveries: u64,
    processor: Duration,
    findings: Vec<Finding>,
}

impl Search {
    fn new(hunt: Hunt, choice: Choice) -> Self {
        let (kept, findings, seen) = (Vec::new(), Vec::new(), Seen::new());
        let (runs, deliveries, processor) = (0, 0, Duration::ZERO);
        Self { hunt, choice, kept, seen, runs, deliveries, processor, findings }
    }

    /// The plan of a run of this generation.
    fn plan(&self, number: u64) -> (Option<usize>, Plan) {
        let mut rng = Rng::new(self.hunt.seed).fork(&format!("hunt {number}"));
        let drawn = Plan::draw(rng.number(), self.hunt.n);
        let is_drawn = self.choice == Choice::Random || rng.percent(DRAWN_PERCENT);
        match (is_drawn, self.choose(&mut rng), self.choose(&mut rng)) {
            (false, Some(parent), Some(other)) => {
                let (plan, other) = (&self.kept[parent].plan, &self.kept[other].plan);
                (Some(parent), vary::vary(plan, other, &mut rng))
            }
            _ => (None, drawn),
        }
    }

    /// One of the kept plans, by weight.
    fn choose(&self, rng: &mut Rng) -> Option<usize> {
        let total: u64 = self.kept.iter().map(Kept::weight).sum();
        let mut rest = rng.below(total);
        self.kept.iter().position(|kept| {
            let found = rest < kept.weight();
            rest = rest.saturating_sub(kept.weight());
            found
        })
    }

    /// Runs a generation.
    fn advance(&mut self, threads: NonZeroUsize) {
        let plans: Vec<_> = (0..GENERATION).map(|index| self.plan(self.runs + index)).collect();
        let results = Mutex::new(BTreeMap::new());
        in_parallel(
            threads,
            plans.len(),
            |index| {
                let began = processor_time();
                let judging = Judging { model: self.hunt.model, keep: false };
                let (judged, seen) = judge_seen(&plans[index].1, judging);
                let took = processor_time().saturating_sub(began);
                let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                results.insert(index, (judged, seen, took));
            },
            || {},
        );
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        let over = plans.into_iter().zip(results.into_values());
        let over = over.map(|((parent, plan), (judged, seen, took))| {
            self.runs += 1;
            self.processor += took;
            self.deliveries += judged.coverage.deliveries;
            let Fresh { states, others } = self.seen.add(&seen);
            let fresh = states + others / 4;
            let cost = COST_OF_A_RUN + judged.coverage.deliveries;
            Over { parent, plan, judged, fresh, cost }
        });
        let over: Vec<_> = over.collect();
        self.learn(over);
    }

    fn learn(&mut self, runs: Vec<Over>) {
        let fresh: u64 = runs.iter().map(|run| run.fresh).sum();
        let cost: u64 = runs.iter().map(|run| run.cost).sum();
        for Over { parent, plan, judged, fresh: own, cost: own_cost } in runs {
            let worth = 100 * own * cost / (own_cost * fresh.max(1));
            if let Some(parent) = parent.and_then(|parent| self.kept.get_mut(parent)) {
                parent.learn(worth);
            }
            if let Some(violation) = judged.violation {
                self.findings.push(Finding { run: self.runs, plan, violation });
            } else if own > 0 && self.choice == Choice::Guided {
                self.kept.push(Kept { plan, worth });
            }
        }
        self.kept.sort_by_key(|kept| std::cmp::Reverse(kept.worth));
        self.kept.truncate(KEPT_MAX);
    }

    fn report(&self) -> Shown {
        Shown {
            runs: self.runs,
            deliveries: self.deliveries,
            processor_seconds: self.processor.as_secs_f64(),
            states: self.seen.states.len() as u64,
            cores: self.seen.cores.len() as u64,
            refusals: self.seen.refusals.len() as u64,
            pairs: self.seen.pairs.len() as u64,
        }
    }
}

/// What a search has shown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// Runs.
    pub runs: u64,
    /// Frames that were handed over.
    pub deliveries: u64,
    /// Time of the processor.
    pub processor_seconds: f64,
    /// Abstract states of clusters.
    pub states: u64,
    /// Abstract states of a replica with what it holds.
    pub cores: u64,
    /// Refusals by reason, message and phase.
    pub refusals: u64,
    /// Pairs of steps.
    pub pairs: u64,
}

/// What a hunt came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What was looked at.
    pub hunt: Hunt,
    /// What the guided search has shown.
    pub guided: Shown,
    /// What random seeds have shown in the same time of the processor, if that was asked for.
    pub random: Option<Shown>,
    /// Runs that broke a rule.
    pub findings: Vec<Finding>,
    /// Wall time in seconds.
    pub seconds: f64,
}

impl Report {
    /// How many times as many abstract states the guided search has shown.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        let random = self.random?;
        (random.states > 0).then(|| self.guided.states as f64 / random.states as f64)
    }
}

/// When a hunt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// After so much time.
    Time(Duration),
    /// After at least so many runs.
    Runs(u64),
}

/// Hunts. With `compare`, random seeds have as much of the processor's time, in turns. `progress` is told after each
/// generation.
pub fn hunt(
    hunt: Hunt,
    end: End,
    compare: bool,
    threads: NonZeroUsize,
    progress: &dyn Fn(&Report),
) -> Report {
    let begun = Instant::now();
    let mut guided = Search::new(hunt, Choice::Guided);
    let mut random = compare.then(|| Search::new(hunt, Choice::Random));
    loop {
        guided.advance(threads);
        if let Some(random) = &mut random {
            while random.processor < guided.processor {
                random.advance(threads);
            }
        }
        let others = random.iter().flat_map(|random| &random.findings);
        let report = Report {
            hunt,
            guided: guided.report(),
            random: random.as_ref().map(Search::report),
            findings: guided.findings.iter().chain(others).cloned().collect(),
            seconds: begun.elapsed().as_secs_f64(),
        };
        let is_over = match end {
            End::Time(time) => begun.elapsed() >= time,
            End::Runs(runs) => guided.runs >= runs,
        };
        if is_over || !report.findings.is_empty() {
            return report;
        }
        progress(&report);
    }
}
