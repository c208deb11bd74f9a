//! Exhaustive search with Stateright, and the report on it.
//!
//! Stateright ends a search early when every property has a discovery, when a limit is set, or when a
//! thread dies, and then reports "Done." as it does after a full one. So the search runs with a single always-property
//! that evaluates all properties, collects witnesses on the side and fails only on a violation (in `sweep.rs`);
//! limits are enforced here; and the states visited are counted and compared with the states found. Only if they are equal
//! and nothing cut the search short is it called complete.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use stateright::{Checker, HasDiscoveries, Model};

use crate::bfs::{self, SEEDS};
use crate::golden;
use crate::mutant_record::{active, unsound};
use crate::run::{Counts, ExitCode, Progress, peak_memory};
use crate::shortest;
use crate::sweep::{PROPERTY, Seen, Sweep};
use crate::theorem::{self, Theorem};
use crate::trace::Trace;
use pbft_model::Pbft;
use pbft_model::config::Config;
use pbft_model::properties::PROPERTIES;
use pbft_model::reduction::Reductions;

/// How to check.
#[derive(Clone, Copy, Debug)]
pub struct CheckOptions {
    /// Reductions to apply, less those that are unsound under the mutant that is on.
    pub reductions: Reductions,
    /// The property whose violation ends the search; none for any of them.
    pub property: Option<&'static str>,
    /// Threads; none for as many as there are cores.
    pub threads: Option<NonZeroUsize>,
    /// Most states to visit. A search that comes so far is not complete.
    pub max_states: Option<u64>,
    /// Most time to take. A search that takes longer is not complete.
    pub timeout: Option<Duration>,
    /// Whether to count states and edges again with the second engine, under two seeds.
    pub second_opinion: bool,
    /// Whether a violation is what is expected: see [`Config::is_beyond_tolerance`].
    pub control: bool,
    /// Whether every state and step is compared with the theorem.
    pub theorem: bool,
}

impl CheckOptions {
    /// The same, with every state and step compared with the theorem. What was sent must be there for that: nothing is
    /// forgotten.
    #[must_use]
    pub const fn with_theorem(mut self) -> Self {
        self.theorem = true;
        self.reductions.dead = false;
        self
    }
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            reductions: Reductions::ALL,
            property: None,
            threads: None,
            max_states: None,
            timeout: None,
            second_opinion: false,
            control: false,
            theorem: false,
        }
    }
}

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// What a search says of one property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PropertyResult {
    /// It holds in every reachable state.
    Holds,
    /// A state violates it.
    Violated,
    /// The search ended before it was settled.
    Unknown,
}

impl PropertyResult {
    const fn of(violated: bool, complete: bool) -> Self {
        match (violated, complete) {
            (true, _) => Self::Violated,
            (false, true) => Self::Holds,
            (false, false) => Self::Unknown,
        }
    }
}

impl fmt::Display for PropertyResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holds => "holds",
            Self::Violated => "violated",
            Self::Unknown => "unknown",
        })
    }
}

/// The result of checking one configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckReport {
    /// The bounds.
    pub config: Config,
    /// The mutant that is on, if any.
    pub mutant: Option<String>,
    /// The reductions applied.
    pub reductions: Reductions,
    /// The property whose violation was to end the search; none for any of them.
    #[serde(default)]
    pub property: Option<String>,
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
    /// What the search says of each property.
    pub properties: BTreeMap<String, PropertyResult>,
    /// What must be seen where the configuration is large enough for it (the witnesses, a test of each property, the
    /// events), with whether it was.
    pub witnesses: BTreeMap<String, bool>,
    /// Steps of the theorem's system that were taken, if the search was compared with it.
    #[serde(default)]
    pub theorem_steps: Vec<String>,
    /// Whether a violation is what is expected.
    pub control: bool,
    /// States and edges on record for the configuration, if they are. Others than these are a finding.
    pub golden: Option<(u64, u64)>,
    /// States and edges by the second engine under each seed, if it was asked.
    pub second_opinion: Vec<(u64, u64)>,
    /// What else is wrong, or why the search is not complete.
    pub remarks: Vec<String>,
    /// A shortest path to a violation.
    pub counterexample: Option<Trace>,
}

impl CheckReport {
    /// The names of the properties of which the search says this.
    pub fn properties_that(&self, result: PropertyResult) -> impl Iterator<Item = &str> {
        let properties = self.properties.iter().filter(move |(_, said)| **said == result);
        properties.map(|(name, _)| name.as_str())
    }
}

/// Explores every reachable state of a configuration, or stops at a violation and finds a shortest path to one.
pub fn check(config: &Config, options: CheckOptions, progress: &mut dyn Progress) -> CheckReport {
    let pbft = Pbft::new(*config).with_reductions(options.reductions.without(unsound()));
    let only = PROPERTIES.iter().position(|one| Some(one.name) == options.property);
    // It says nothing of more Byzantine replicas than are tolerated.
    let compared = options.theorem && !config.is_beyond_tolerance();
    let theorem = compared.then(|| Theorem::new(&pbft).map(Arc::new)).transpose();
    let unreadable = theorem.as_ref().err().map(ToString::to_string);
    let theorem = theorem.unwrap_or_default();
    let sweep = Sweep::new(pbft.clone(), only).with_theorem(theorem.clone());
    let started = Instant::now();
    progress.begin(&config.to_string());
    let (searched, second_opinion) = search_twice(&pbft, &sweep, options, progress);
    let seconds = started.elapsed().as_secs_f64();
    progress.end();
    let difference = sweep.seen.difference();
    let complete = searched.whole && !sweep.is_violated() && difference.is_none();
    let mut remarks = searched.remarks;
    remarks.extend(unreadable);
    remarks.extend(difference.as_ref().map(ToString::to_string));
    if !complete && !sweep.is_violated() && remarks.is_empty() {
        remarks.push("not every state that was found was visited".to_owned());
    }
    remarks.extend(remarks_on(&pbft, &options));
    let counterexample = (sweep.is_violated() || difference.is_some()).then(|| {
        progress.begin("shortest counterexample");
        let shortest = match theorem.filter(|_| difference.is_some()) {
            Some(theorem) => shortest::difference(&pbft, &theorem, progress),
            None => shortest::violation(&pbft, options.property, progress),
        };
        progress.end();
        Trace::new(&pbft, &shortest.found.unwrap_or(searched.path))
    });
    let mut properties = property_results(&sweep, complete);
    properties.extend(compared.then(|| {
        let result = PropertyResult::of(difference.is_some(), complete);
        (theorem::PROPERTY.to_owned(), result)
    }));
    let mut report = CheckReport {
        config: *config,
        mutant: active().map(str::to_owned),
        reductions: options.reductions,
        property: options.property.map(str::to_owned),
        verdict: Verdict::Inconclusive,
        unique_states: searched.counts.unique,
        edges: searched.counts.edges,
        depth: searched.counts.depth,
        complete,
        collision_bound: (searched.counts.unique as f64).powi(2) / 2f64.powi(65),
        seconds,
        states_per_second: searched.counts.unique as f64 / seconds,
        peak_memory_bytes: peak_memory(),
        properties,
        witnesses: sweep.must_be_seen(),
        theorem_steps: sweep.theorem_steps(),
        control: options.control,
        golden: golden::counts(config).filter(|_| complete && is_on_record(&options)),
        second_opinion: second_opinion.filter(|_| complete).into_iter().flatten().collect(),
        remarks,
        counterexample,
    };
    compare_counts(&mut report);
    report.verdict = verdict(&report);
    report
}

/// What is to be said of the question.
fn remarks_on(pbft: &Pbft, options: &CheckOptions) -> Vec<String> {
    let (config, mut ignored) = (pbft.config(), pbft.ignored_reductions());
    ignored.extend(options.reductions.without(pbft.reductions()).names());
    let mut remarks = Vec::new();
    if !ignored.is_empty() && options.reductions != Reductions::ALL && !options.theorem {
        let ignored = ignored.join(", ");
        remarks.push(format!("asked for the reduction {ignored}, which this search ignores"));
    }
    if config.is_beyond_tolerance() {
        let (count, f) = (config.byzantine_count(), config.quorums().faulty);
        remarks.push(format!(
            "{count} Byzantine replicas are more than f = {f}: the protocol claims nothing here, and this must break it"
        ));
    }
    remarks
}

/// Whether the counts on record are for such a search.
fn is_on_record(options: &CheckOptions) -> bool {
    active().is_none() && options.reductions == Reductions::ALL
}

/// What a search by Stateright came to.
struct Searched {
    counts: Counts,
    /// Whether every state found was visited and nothing cut the search short.
    whole: bool,
    /// The way to the violation, if there is one.
    path: Vec<pbft_model::Action>,
    remarks: Vec<String>,
}

fn search(sweep: &Sweep, options: CheckOptions, progress: &mut dyn Progress) -> Searched {
    let seen = &sweep.seen;
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = options.threads.map_or(cores, NonZeroUsize::get);
    let checker = sweep.clone().checker().threads(threads).finish_when(HasDiscoveries::AnyFailures);
    let mut checker = checker.spawn_dfs();
    let started = Instant::now();
    let mut remarks = Vec::new();
    while !checker.is_done() {
        thread::sleep(Duration::from_millis(5));
        let counts = checker.counts(seen);
        progress.tick(&counts);
        let limit = match options {
            CheckOptions { max_states: Some(most), .. } if counts.unique >= most => {
                format!("the limit of {most} states was hit")
            }
            CheckOptions { timeout: Some(most), .. } if started.elapsed() >= most => {
                format!("the limit of {} s was hit", most.as_secs())
            }
            _ => continue,
        };
        if !seen.stopped.swap(true, Ordering::Relaxed) {
            remarks.push(limit);
        }
    }
    let joined: Vec<_> = checker.handles().into_iter().map(thread::JoinHandle::join).collect();
    if joined.iter().any(Result::is_err) {
        remarks.push("a thread of the search panicked".to_owned());
    }
    let counts = checker.counts(seen);
    let found = checker.discovery(PROPERTY);
    Searched {
        counts,
        whole: remarks.is_empty() && seen.visited.load(Ordering::Relaxed) == counts.unique,
        path: found.map(stateright::Path::into_actions).unwrap_or_default(),
        remarks,
    }
}

/// Searches with Stateright and, if it is asked for, counts states and edges with the second engine at the same time,
/// under both seeds.
fn search_twice(
    pbft: &Pbft,
    sweep: &Sweep,
    options: CheckOptions,
    progress: &mut dyn Progress,
) -> (Searched, Option<[(u64, u64); 2]>) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let counting = || bfs::count(pbft, SEEDS, &stop);
        let counting = options.second_opinion.then(|| scope.spawn(counting));
        let searched = search(sweep, options, progress);
        // Nothing is compared with half a search.
        stop.store(!searched.whole, Ordering::Relaxed);
        let counts = counting.map(|counting| counting.join().unwrap_or_default());
        (searched, counts)
    })
}

/// Remarks on counts that differ from those on record or from the second engine's.
fn compare_counts(report: &mut CheckReport) {
    let counted = (report.unique_states, report.edges);
    if let Some(golden) = report.golden
        && golden != counted
    {
        let ((states, edges), (new_states, new_edges)) = (golden, counted);
        report.remarks.push(format!(
            "{states} states and {edges} edges are on record, found {new_states} and {new_edges}: if the change is meant, put it in model/checker/src/golden.tsv"
        ));
    }
    for (other, seed) in report.second_opinion.iter().zip(SEEDS) {
        if *other != counted {
            let (states, edges) = other;
            report.remarks.push(format!(
                "the second engine found {states} states and {edges} edges under seed {seed:#x}"
            ));
        }
    }
}

fn verdict(report: &CheckReport) -> Verdict {
    let counted = (report.unique_states, report.edges);
    let differs = report.golden.iter().chain(&report.second_opinion).any(|other| *other != counted);
    if report.control {
        // Not broken by a complete search: then the model does not let the Byzantine replicas do what they can.
        match (&report.counterexample, report.complete) {
            (Some(_), _) => Verdict::Holds,
            (None, true) => Verdict::Violated,
            (None, false) => Verdict::Inconclusive,
        }
    } else if report.counterexample.is_some() || differs {
        Verdict::Violated
    } else if report.complete
        && report.remarks.is_empty()
        && report.witnesses.values().all(|found| *found)
    {
        Verdict::Holds
    } else {
        Verdict::Inconclusive
    }
}

fn property_results(sweep: &Sweep, complete: bool) -> BTreeMap<String, PropertyResult> {
    let results = PROPERTIES.iter().zip(sweep.violations());
    let named = results
        .map(|(one, violated)| (one.name.to_owned(), PropertyResult::of(violated, complete)));
    named.collect()
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
    fn other_counts_than_those_on_record_or_of_the_second_engine_are_a_finding()
    -> Result<(), pbft_model::ConfigError> {
        let config = "n4-b3-v0-s1-d2".parse()?;
        let options = CheckOptions { second_opinion: true, ..CheckOptions::default() };
        let report = check(&config, options, &mut Silent);
        assert_eq!(report.second_opinion, [(report.unique_states, report.edges); 2]);
        assert_eq!(verdict(&report), Verdict::Holds);
        let mut other = report.clone();
        other.golden = Some((report.unique_states, report.edges + 1));
        compare_counts(&mut other);
        assert_eq!((verdict(&other), other.remarks.len()), (Verdict::Violated, 1));
        let mut other = report;
        other.second_opinion[1].0 += 1;
        compare_counts(&mut other);
        assert_eq!((verdict(&other), other.remarks.len()), (Verdict::Violated, 1));
        Ok(())
    }

    #[test]
    fn a_control_that_does_not_break_is_a_finding() -> Result<(), pbft_model::ConfigError> {
        let options = CheckOptions { control: true, ..CheckOptions::default() };
        let broken = check(&"n4-b01-v0-s1-d2".parse()?, options, &mut Silent);
        assert_eq!(broken.verdict, Verdict::Holds);
        let whole = check(&"n4-b0-v0-s1-d2".parse()?, options, &mut Silent);
        assert_eq!(whole.verdict, Verdict::Violated);
        Ok(())
    }

    #[test]
    fn half_a_search_and_a_missing_witness_are_inconclusive() -> Result<(), pbft_model::ConfigError>
    {
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
