//! Exhaustive search with Stateright, and the report on it.
//!
//! Stateright ends a search early when every property has a discovery, when a limit is set, or when a
//! thread dies, and then reports "Done." as it does after a full one. So the search runs with a single always-property
//! that evaluates all safety properties, collects witnesses on the side and fails only on a violation; no limit is
//! set; and the states visited are counted and compared with the states found. Only if they are equal is a search
//! called complete.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use stateright::{Checker, HasDiscoveries, Model};

use crate::Pbft;
use crate::action::Action;
use crate::bfs::{self, Limits};
use crate::config::Config;
use crate::mutant::Mutant;
use crate::properties::PROPERTIES;
use crate::reduction::Reductions;
use crate::run::{Counts, ExitCode, Progress, peak_memory};
use crate::state::State;
use crate::trace::Trace;
use crate::witnesses::WITNESSES;

/// How to check.
#[derive(Clone, Copy, Debug)]
pub struct CheckOptions {
    /// A bug to plant.
    pub mutant: Option<Mutant>,
    /// Reductions to apply.
    pub reductions: Reductions,
    /// Threads; none for as many as there are cores.
    pub threads: Option<NonZeroUsize>,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self { mutant: None, reductions: Reductions::ALL, threads: None }
    }
}

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every state was visited, every property holds, every witness was found.
    Holds,
    /// A property is violated.
    Violated,
    /// Not everything was visited, or a witness that must be reachable was not found.
    Inconclusive,
}

impl Verdict {
    /// The exit status that says so.
    #[must_use]
    pub const fn exit_code(self) -> ExitCode {
        match self {
            Self::Holds => ExitCode::Holds,
            Self::Violated => ExitCode::Finding,
            Self::Inconclusive => ExitCode::Inconclusive,
        }
    }
}

/// The result of checking one configuration.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// The bounds.
    pub config: Config,
    /// The bug planted, if any.
    pub mutant: Option<Mutant>,
    /// The reductions applied.
    pub reductions: Reductions,
    /// What it came to.
    pub verdict: Verdict,
    /// Distinct states.
    pub unique_states: u64,
    /// Successor states generated.
    pub edges: u64,
    /// Length of the longest path that the depth-first search followed; it varies with the schedule of threads.
    pub depth: u64,
    /// Whether every reachable state was visited.
    pub complete: bool,
    /// Probability that two states shared a 64-bit fingerprint, so that one was not visited: at most n²/2⁶⁵.
    pub collision_bound: f64,
    /// Wall time.
    pub seconds: f64,
    /// Distinct states a second, all threads together.
    pub states_per_second: f64,
    /// The most memory that the process has held so far.
    pub peak_memory_bytes: Option<u64>,
    /// Per property: `holds`, `violated`, or `unknown` if the search ended before it was settled.
    pub properties: BTreeMap<String, String>,
    /// Per witness that applies to the configuration: whether it was found.
    pub witnesses: BTreeMap<String, bool>,
    /// A shortest path to a violation.
    pub counterexample: Option<Trace>,
}

/// The model with the single property that drives an exhaustive search.
#[derive(Clone)]
struct Sweep {
    pbft: Pbft,
    seen: Arc<Seen>,
}

/// What the threads of a search have seen; bit i is property or witness i.
#[derive(Default)]
struct Seen {
    visited: AtomicU64,
    violated: AtomicU64,
    shown: AtomicU64,
}

impl Sweep {
    fn new(pbft: Pbft) -> Self {
        let seen = Seen::default();
        // A witness that does not apply is marked from the start, so that it costs nothing.
        for (bit, witness) in WITNESSES.iter().enumerate() {
            if !(witness.applicable)(pbft.config()) {
                seen.shown.fetch_or(1 << bit, Ordering::Relaxed);
            }
        }
        Self { pbft, seen: Arc::new(seen) }
    }

    /// Visits a state: notes witnesses not seen before, and says whether all properties hold.
    fn visit(&self, state: &State) -> bool {
        self.seen.visited.fetch_add(1, Ordering::Relaxed);
        let shown = self.seen.shown.load(Ordering::Relaxed);
        for (bit, witness) in WITNESSES.iter().enumerate() {
            if shown & (1 << bit) == 0 && (witness.shown)(&self.pbft, state) {
                self.seen.shown.fetch_or(1 << bit, Ordering::Relaxed);
            }
        }
        let mut holds = true;
        for (bit, property) in PROPERTIES.iter().enumerate() {
            if !(property.holds)(&self.pbft, state) {
                self.seen.violated.fetch_or(1 << bit, Ordering::Relaxed);
                holds = false;
            }
        }
        holds
    }

    fn marks(marks: &AtomicU64, bit: usize) -> bool {
        marks.load(Ordering::Relaxed) & (1 << bit) != 0
    }
}

impl Model for Sweep {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        self.pbft.init_states()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.pbft.actions(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.pbft.next_state(state, action)
    }

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        vec![stateright::Property::always("all safety properties", Self::visit)]
    }
}

/// Explores every reachable state of a configuration, or stops at a violation and finds a shortest path to one.
pub fn check(config: &Config, options: CheckOptions, progress: &mut dyn Progress) -> CheckReport {
    let pbft = Pbft::new(*config).with_mutant(options.mutant).with_reductions(options.reductions);
    let sweep = Sweep::new(pbft.clone());
    let seen = Arc::clone(&sweep.seen);
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = options.threads.map_or(cores, NonZeroUsize::get);
    let started = Instant::now();
    progress.begin(&config.to_string());
    let mut checker =
        sweep.checker().threads(threads).finish_when(HasDiscoveries::AnyFailures).spawn_dfs();
    let counts = |checker: &dyn CountsStates| checker.counts(&seen);
    while !checker.is_done() {
        thread::sleep(Duration::from_millis(5));
        progress.tick(&counts(&checker));
    }
    let joined: Vec<_> = checker.handles().into_iter().map(thread::JoinHandle::join).collect();
    let finished = joined.iter().all(Result::is_ok);
    let counts = counts(&checker);
    let seconds = started.elapsed().as_secs_f64();
    progress.end();
    let complete = finished
        && seen.violated.load(Ordering::Relaxed) == 0
        && seen.visited.load(Ordering::Relaxed) == counts.unique;
    let violated = seen.violated.load(Ordering::Relaxed) != 0;
    let counterexample = violated.then(|| {
        let found = checker.discovery("all safety properties");
        let fallback = found.map(stateright::Path::into_actions).unwrap_or_default();
        shortest_violation(&pbft, progress).unwrap_or_else(|| Trace::new(&pbft, &fallback))
    });
    let mut report = CheckReport {
        config: *config,
        mutant: options.mutant,
        reductions: options.reductions,
        verdict: Verdict::Inconclusive,
        unique_states: counts.unique,
        edges: counts.edges,
        depth: counts.depth,
        complete,
        collision_bound: (counts.unique as f64).powi(2) / 2f64.powi(65),
        seconds,
        states_per_second: counts.unique as f64 / seconds,
        peak_memory_bytes: peak_memory(),
        properties: property_results(&seen, complete),
        witnesses: witness_results(&pbft, &seen),
        counterexample,
    };
    report.verdict = verdict(&report);
    report
}

fn verdict(report: &CheckReport) -> Verdict {
    if report.counterexample.is_some() {
        Verdict::Violated
    } else if report.complete && report.witnesses.values().all(|found| *found) {
        Verdict::Holds
    } else {
        Verdict::Inconclusive
    }
}

fn property_results(seen: &Seen, complete: bool) -> BTreeMap<String, String> {
    let result = |bit| {
        if Sweep::marks(&seen.violated, bit) {
            "violated"
        } else if complete {
            "holds"
        } else {
            "unknown"
        }
    };
    let results = PROPERTIES.iter().enumerate();
    results.map(|(bit, one)| (one.name.to_owned(), result(bit).to_owned())).collect()
}

fn witness_results(pbft: &Pbft, seen: &Seen) -> BTreeMap<String, bool> {
    let applicable =
        WITNESSES.iter().enumerate().filter(|(_, one)| (one.applicable)(pbft.config()));
    applicable.map(|(bit, one)| (one.name.to_owned(), Sweep::marks(&seen.shown, bit))).collect()
}

/// States that the search for a shortest counterexample may hold before it gives up (about 100 bytes each, and
/// some 700 for each on the frontier).
const SHORTEST_MAX_STATES: u64 = 12_000_000;

fn shortest_violation(pbft: &Pbft, progress: &mut dyn Progress) -> Option<Trace> {
    progress.begin("shortest counterexample");
    let limits = Limits { max_states: SHORTEST_MAX_STATES, ..Limits::default() };
    let violates =
        |model: &Pbft, state: &State| PROPERTIES.iter().any(|one| !(one.holds)(model, state));
    let search = bfs::search(pbft, limits, violates, progress);
    progress.end();
    search.found.map(|path| Trace::new(pbft, &path))
}

/// The counters of a running search, without its long type.
trait CountsStates {
    fn counts(&self, seen: &Seen) -> Counts;
}

impl<C: Checker<Sweep>> CountsStates for C {
    fn counts(&self, seen: &Seen) -> Counts {
        let unique = self.unique_state_count() as u64;
        let visited = seen.visited.load(Ordering::Relaxed);
        Counts {
            unique,
            // Stateright counts the initial states among the generated ones.
            edges: (self.state_count() - self.model().init_states().len()) as u64,
            depth: self.max_depth() as u64,
            queue: Some(unique.saturating_sub(visited)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Silent;

    #[test]
    fn half_a_search_and_a_missing_witness_are_inconclusive() -> Result<(), crate::ConfigError> {
        let config = "n4-b3-v0-s1-d2".parse()?;
        let report = check(&config, CheckOptions::default(), &mut Silent);
        assert_eq!(verdict(&report), Verdict::Holds);
        let partial = CheckReport { complete: false, ..report.clone() };
        assert_eq!(verdict(&partial), Verdict::Inconclusive);
        let mut vacuous = report;
        vacuous.witnesses.insert("executed".to_owned(), false);
        assert_eq!(verdict(&vacuous), Verdict::Inconclusive);
        Ok(())
    }
}
