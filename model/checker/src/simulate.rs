//! Random walks with Stateright's simulation, for depths and bounds beyond an exhaustive search.
//!
//! With the theorem beside it, each state of a walk and each step from there is compared ([`crate::theorem`]).
//!
//! A walk takes one step that is possible after another, each with the same chance, until none is left. It says nothing
//! about the states that it passes by, so walks without a violation prove nothing: they come to
//! [`Verdict::Inconclusive`].

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use stateright::{Checker, HasDiscoveries, Model, UniformChooser};

use crate::check::Verdict;
use crate::mutant_record::active;
use crate::run::{Counts, Progress};
use crate::sweep::{PROPERTY, Sweep};
use crate::theorem::{Theorem, Walked};
use crate::trace::{Trace, shrink::shrink};
use pbft_model::properties::PROPERTIES;
use pbft_model::{Action, Config, Pbft, State};

/// How to walk.
#[derive(Clone, Copy, Debug)]
pub struct SimulateOptions {
    /// The property whose violation ends the walks; none for any of them.
    pub property: Option<&'static str>,
    /// Draws the walks. With one thread the same seed gives the same walks.
    pub seed: u64,
    /// States to visit, all walks together; the walk under way is finished.
    pub states: NonZeroUsize,
    /// Threads.
    pub threads: NonZeroUsize,
    /// Whether each state, and each step from it, is compared with the theorem.
    pub theorem: bool,
}

/// What the walks came to.
#[derive(Clone, Debug, Serialize)]
pub struct SimulateReport {
    /// The bounds.
    pub config: Config,
    /// The mutant that is on, if any.
    pub mutant: Option<String>,
    /// Violated, or inconclusive.
    pub verdict: Verdict,
    /// Always false: walks do not visit everything.
    pub complete: bool,
    /// The seed.
    pub seed: u64,
    /// Walks begun.
    pub walks: u64,
    /// States visited, one that was visited twice counted twice.
    pub visits: u64,
    /// Steps of the longest walk.
    pub depth: u64,
    /// Wall time.
    pub seconds: f64,
    /// What must be seen somewhere where the configuration is large enough for it, with whether these walks saw it.
    pub witnesses: BTreeMap<String, bool>,
    /// A way to a violation, without the steps that it does not need.
    pub counterexample: Option<Trace>,
    /// What was compared with the theorem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub theorem: Option<Compared>,
}

/// What walks compared with the theorem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// Steps compared, all that are possible in each state visited.
    pub steps: u64,
    /// The theorem's steps that were taken.
    pub taken: Vec<String>,
    /// Those that were not.
    pub not_taken: Vec<String>,
    /// Where model and theorem differ, after the counterexample.
    pub difference: Option<String>,
}

/// Walks through a configuration, comparing it with the theorem.
///
/// # Errors
/// If the theorem cannot be read, or says nothing of the configuration.
pub fn simulate_with_theorem(
    config: &Config,
    options: SimulateOptions,
    progress: &mut dyn Progress,
) -> Result<SimulateReport, String> {
    if config.is_beyond_tolerance() {
        return Err(format!(
            "{config} has more than f Byzantine replicas: the theorem says nothing of it"
        ));
    }
    let pbft = Pbft::new(*config);
    let theorem = Theorem::new(&pbft).map_err(|error| error.to_string())?;
    let only = PROPERTIES.iter().position(|one| Some(one.name) == options.property);
    let sweep = Sweep::new(pbft.clone(), only);
    let started = Instant::now();
    progress.begin(&format!("walks through {config}, compared with the theorem"));
    let walked = walk_in_threads(&theorem, &sweep, options, progress);
    progress.end();
    let taken = |at: usize| walked.taken & (1 << at) != 0;
    let names = |which: bool| {
        let all = theorem.step_names().enumerate().filter(move |(at, _)| taken(*at) == which);
        all.map(|(_, name)| name.to_owned()).collect()
    };
    Ok(SimulateReport {
        config: *config,
        mutant: active().map(str::to_owned),
        verdict: match walked.found {
            Some(_) => Verdict::Violated,
            None => Verdict::Inconclusive,
        },
        complete: false,
        seed: options.seed,
        walks: walked.walks,
        visits: walked.states,
        depth: walked.depth,
        seconds: started.elapsed().as_secs_f64(),
        witnesses: sweep.must_be_seen(),
        counterexample: walked.found.as_ref().map(|(path, _)| Trace::new(&pbft, path)),
        theorem: Some(Compared {
            steps: walked.steps,
            taken: names(true),
            not_taken: names(false),
            difference: walked.found.and_then(|(_, found)| found).map(|found| found.to_string()),
        }),
    })
}

/// Each thread has a seed and its part of the states of its own.
fn walk_in_threads(
    theorem: &Theorem,
    sweep: &Sweep,
    options: SimulateOptions,
    progress: &mut dyn Progress,
) -> Walked {
    let threads = options.threads.get() as u64;
    let states = (options.states.get() as u64).div_ceil(threads);
    let look = |state: &State, actions: &[Action]| {
        sweep.look_at_steps(state, actions);
        sweep.visit(state)
    };
    thread::scope(|scope| {
        let seeds = (0..threads).map(|thread| options.seed.wrapping_add(thread << 32));
        let walks: Vec<_> =
            seeds.map(|seed| scope.spawn(move || theorem.walk(seed, states, look))).collect();
        while !walks.iter().all(|walk| walk.is_finished()) {
            thread::sleep(Duration::from_millis(5));
            let visits = sweep.seen.visited.load(Ordering::Relaxed);
            progress.tick(&Counts { unique: visits, edges: visits, depth: 0, queue: None });
        }
        let ended = walks.into_iter().map(|walk| match walk.join() {
            Ok(walked) => walked,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        ended.fold(Walked::default(), Walked::and)
    })
}

/// Walks through a configuration.
pub fn simulate(
    config: &Config,
    options: SimulateOptions,
    progress: &mut dyn Progress,
) -> SimulateReport {
    // Reductions would only take time: a walk forgets where it has been.
    let pbft = Pbft::new(*config);
    let only = PROPERTIES.iter().position(|one| Some(one.name) == options.property);
    let sweep = Sweep::new(pbft.clone(), only);
    let seen = std::sync::Arc::clone(&sweep.seen);
    let started = Instant::now();
    progress.begin(&format!("walks through {config}"));
    let mut checker = sweep
        .clone()
        .checker()
        .threads(options.threads.get())
        .finish_when(HasDiscoveries::AnyFailures)
        .target_state_count(options.states.get())
        .spawn_simulation(options.seed, UniformChooser);
    while !checker.is_done() {
        thread::sleep(Duration::from_millis(5));
        let visits = seen.visited.load(Ordering::Relaxed);
        let depth = checker.max_depth() as u64;
        progress.tick(&Counts { unique: visits, edges: visits, depth, queue: None });
    }
    checker.handles().into_iter().for_each(|handle| drop(handle.join()));
    progress.end();
    let found = checker.discovery(PROPERTY).map(stateright::Path::into_actions);
    let counterexample = found.map(|path| {
        let trace = Trace::new(&pbft, &path);
        shrink(&trace).unwrap_or(trace)
    });
    SimulateReport {
        config: *config,
        mutant: active().map(str::to_owned),
        verdict: match &counterexample {
            Some(_) => Verdict::Violated,
            None => Verdict::Inconclusive,
        },
        complete: false,
        seed: options.seed,
        walks: seen.begun.load(Ordering::Relaxed),
        visits: seen.visited.load(Ordering::Relaxed),
        depth: checker.max_depth() as u64,
        seconds: started.elapsed().as_secs_f64(),
        witnesses: sweep.must_be_seen(),
        counterexample,
        theorem: None,
    }
}
