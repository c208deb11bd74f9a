//! Random walks with Stateright's simulation, for depths and bounds beyond an exhaustive search.
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
use crate::properties::PROPERTIES;
use crate::run::{Counts, Progress};
use crate::sweep::{PROPERTY, Sweep};
use crate::trace::{Trace, shrink::shrink};
use crate::{Config, Mutant, Pbft};

/// How to walk.
#[derive(Clone, Copy, Debug)]
pub struct SimulateOptions {
    /// A bug to plant.
    pub mutant: Option<Mutant>,
    /// The property whose violation ends the walks; none for any of them.
    pub property: Option<&'static str>,
    /// Draws the walks. With one thread the same seed gives the same walks.
    pub seed: u64,
    /// States to visit, all walks together; the walk under way is finished.
    pub states: NonZeroUsize,
    /// Threads.
    pub threads: NonZeroUsize,
}

/// What the walks came to.
#[derive(Clone, Debug, Serialize)]
pub struct SimulateReport {
    /// The bounds.
    pub config: Config,
    /// The bug planted, if any.
    pub mutant: Option<Mutant>,
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
}

/// Walks through a configuration.
pub fn simulate(
    config: &Config,
    options: SimulateOptions,
    progress: &mut dyn Progress,
) -> SimulateReport {
    // Reductions would only take time: a walk forgets where it has been.
    let pbft = Pbft::new(*config).with_mutant(options.mutant);
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
        mutant: options.mutant,
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
    }
}
