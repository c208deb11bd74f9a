//! The main job: check the model exhaustively, replay it on the core and through the node, and decide.

use crate::beyond;
use crate::divergence::Divergence;
use crate::door;
use crate::probe::handshake;
use crate::refinement::vocabulary::replayable;
use crate::replay::canary;
use crate::replay::carry::product::ProductReport;
use crate::replay::carry::walks::CarryReport;
use crate::replay::core::step::Work;
use crate::replay::core::{Counters, Replay};
use crate::replay::corpus::CorpusError;
use crate::replay::grain::{Behind, Walked};
use crate::replay::node::{self, NodeReport};
use crate::replay::plan::{Plan, WALK_STEPS};
use crate::replay::shrink::shrink;
use crate::report::{ConformReport, CoreReport};
use crate::subject::tally::Tally;
use crate::walk::Trace;
use crate::wide;
use pbft_checker::bfs::{Limits, search};
use pbft_checker::check::{CheckOptions, CheckReport, check};
use pbft_checker::run::{Counts, Progress, Silent};
use pbft_model as model;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often progress is told.
const TICK: Duration = Duration::from_millis(100);

/// How the job is done.
#[derive(Clone, Debug)]
pub struct Options {
    /// Selects schedules and walks.
    pub seed: u64,
    /// Threads.
    pub threads: NonZeroUsize,
}

/// What keeps the job from being done at all.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The corpus cannot be read.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// No runtime for the node.
    #[error("cannot start a runtime for the node: {0}")]
    Runtime(#[from] std::io::Error),
}

/// Does what the plan says.
pub fn run(
    plan: &Plan,
    options: &Options,
    progress: &mut dyn Progress,
) -> Result<ConformReport, JobError> {
    let started = Instant::now();
    let checked = check_model(plan, options, progress);
    let (core, node, divergences) = replay(plan, options, progress)?;
    let seconds = started.elapsed().as_secs_f64();
    let mut report = ConformReport::new(options.seed, checked, core, node, divergences, seconds);
    report.hold_to(&plan.promise);
    Ok(report)
}

/// Only the replays, on the core and through the node: what they did, and the divergences.
pub fn replay(
    plan: &Plan,
    options: &Options,
    progress: &mut dyn Progress,
) -> Result<(CoreReport, NodeReport, Vec<Divergence>), JobError> {
    let mut divergences = Vec::new();
    let core = replay_core(plan, options, progress, &mut divergences)?;
    let node = replay_node(plan, options, progress, &mut divergences)?;
    if let Some(first) = divergences.first_mut() {
        *first = shrink(first);
    }
    Ok((core, node, divergences))
}

fn check_model(plan: &Plan, options: &Options, progress: &mut dyn Progress) -> Vec<CheckReport> {
    let how = CheckOptions { threads: Some(options.threads), ..CheckOptions::default() };
    plan.checked.iter().map(|config| check(config, how, progress)).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Replays every edge of the configurations, each on one thread, then the walks.
fn replay_core(
    plan: &Plan,
    options: &Options,
    progress: &mut dyn Progress,
    divergences: &mut Vec<Divergence>,
) -> Result<CoreReport, JobError> {
    let started = Instant::now();
    let counters = Counters::default();
    let reports = Mutex::new(BTreeMap::new());
    let found = Mutex::new(Vec::new());
    progress.begin("replay on the core");
    in_parallel(
        options.threads,
        plan.behind.len() + plan.replayed.len(),
        |index| {
            let behind = plan.behind.get(index);
            let config = *behind.unwrap_or_else(|| &plan.replayed[index - plan.behind.len()]);
            let mut replay = Replay::new(config, options.seed);
            if behind.is_some() {
                replay = replay.behind_first_slot();
            } else if plan.scheduled.contains(&config) {
                replay = replay.under_all_schedules();
            }
            let (mut report, divergence) = replay.run(&counters);
            let total = count(config, behind.is_some());
            report.edges_total = total.1;
            lock(&reports).insert(index, (report, total));
            lock(&found).extend(divergence);
        },
        || tell(progress, &counters),
    );
    let mut core = CoreReport::default();
    for (report, (states, edges)) in reports.into_inner().unwrap_or_default().into_values() {
        core.states_total += states;
        core.edges_total += edges;
        core.add(report);
    }
    divergences.extend(found.into_inner().unwrap_or_default());
    progress.end();
    let traces = plan.core_traces(options.seed)?;
    core.walked_total = traces.iter().map(|trace| trace.actions.len() as u64).sum();
    core.walked_steps = walk_core(&traces, options, progress, divergences, &mut core);
    carry_core(plan, options, progress, divergences, &mut core);
    (core.canaries, core.blind_spots) =
        canary::release(|step, world| step.replay(world, &mut Work::default()));
    match beyond::on_the_core() {
        Ok(played) => core.scenarios = played,
        Err(found) => divergences.push(*found),
    }
    core.seconds = started.elapsed().as_secs_f64();
    Ok(core)
}

fn tell(progress: &mut dyn Progress, counters: &Counters) {
    progress.tick(&Counts {
        unique: counters.states.load(Ordering::Relaxed),
        edges: counters.edges.load(Ordering::Relaxed),
        depth: 0,
        queue: None,
    });
}

/// States and edges of a graph, counted by an engine that the replay shares nothing with but the model.
fn count(config: model::Config, behind: bool) -> (u64, u64) {
    let all = if behind {
        let (behind, _) = Behind::first_slot(config);
        search(&behind, Limits::default(), |_, _| false, &mut Silent)
    } else {
        let walked = Walked { model: model::Pbft::new(config) };
        search(&walked, Limits::default(), |_, _| false, &mut Silent)
    };
    (all.unique_states, all.edges)
}

fn walk_core(
    traces: &[Trace],
    options: &Options,
    progress: &mut dyn Progress,
    divergences: &mut Vec<Divergence>,
    core: &mut CoreReport,
) -> u64 {
    let steps = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    let seen = Mutex::new(core);
    progress.begin("random walks on the core");
    in_parallel(
        options.threads,
        traces.len(),
        |index| {
            let trace = &traces[index];
            let Ok(config) = replayable(&trace.config) else { return };
            let replay = Replay::new(config, options.seed);
            let (mut tally, mut landmarks) = (Tally::default(), BTreeMap::new());
            match replay.follow_counted(&trace.actions, &mut tally, &mut landmarks) {
                Ok(replayed) => {
                    let mut core = lock(&seen);
                    core.tally.add(&tally);
                    core.add_landmarks(&landmarks);
                    drop(core);
                    steps.fetch_add(replayed, Ordering::Relaxed);
                }
                Err(divergence) => lock(&found).push(*divergence),
            }
        },
        || {},
    );
    progress.end();
    let mut found = found.into_inner().unwrap_or_default();
    found.truncate(1);
    divergences.extend(found);
    steps.into_inner() as u64
}

/// The walks with leftovers, and the graphs of pairs, the largest of which come first.
fn carry_core(
    plan: &Plan,
    options: &Options,
    progress: &mut dyn Progress,
    divergences: &mut Vec<Divergence>,
    core: &mut CoreReport,
) {
    let walks = plan.carried_walks(options.seed);
    (core.carried_total, core.paired_total) = (walks.len() as u64, plan.paired.len() as u64);
    let (counters, found) = (Counters::default(), Mutex::new(Vec::new()));
    let done = Mutex::new((CarryReport::default(), BTreeMap::new()));
    progress.begin("walks with leftovers, and pairs");
    in_parallel(
        options.threads,
        plan.paired.len() + walks.len(),
        |index| match plan.paired.get(index) {
            Some((config, ways, on_record)) => {
                let replay = Replay::new(*config, options.seed);
                let (report, divergence) = replay.product(*ways, &counters);
                let report = ProductReport { on_record: *on_record, ..report };
                lock(&done).1.insert(index, report);
                lock(&found).extend(divergence);
            }
            None => {
                let (config, seed) = walks[index - plan.paired.len()];
                let (report, divergence) = Replay::new(config, seed).carry_along(seed, WALK_STEPS);
                lock(&done).0.add(&report);
                lock(&found).extend(divergence);
            }
        },
        || tell(progress, &counters),
    );
    progress.end();
    let (carried, paired) = done.into_inner().unwrap_or_default();
    core.tally.add(&carried.work.tally);
    (core.carried, core.paired) = (carried, paired.into_values().collect());
    divergences.extend(found.into_inner().unwrap_or_default().into_iter().take(1).map(|one| *one));
}

fn replay_node(
    plan: &Plan,
    options: &Options,
    progress: &mut dyn Progress,
    divergences: &mut Vec<Divergence>,
) -> Result<NodeReport, JobError> {
    let started = Instant::now();
    let traces: Vec<Trace> = plan.node_traces(options.seed)?;
    let next = AtomicUsize::new(0);
    let results = Mutex::new((NodeReport::default(), Vec::new()));
    progress.begin("traces through the node");
    // One runtime a thread: a paused clock belongs to a current-thread runtime.
    let work = |_| {
        let runtime = node::runtime()?;
        let mut report = NodeReport::default();
        while let Some(trace) = traces.get(next.fetch_add(1, Ordering::Relaxed)) {
            let seed = options.seed;
            let divergence = node::replay(&runtime, trace, seed, &mut report);
            lock(&results).1.extend(divergence);
        }
        lock(&results).0.add(&report);
        Ok::<(), std::io::Error>(())
    };
    let errors = Mutex::new(Vec::new());
    in_parallel(
        options.threads,
        options.threads.get(),
        |index| lock(&errors).extend(work(index).err()),
        || {
            let done = next.load(Ordering::Relaxed).min(traces.len()) as u64;
            progress.tick(&Counts { unique: done, ..Counts::default() });
        },
    );
    progress.end();
    if let Some(error) = errors.into_inner().unwrap_or_default().pop() {
        return Err(JobError::Runtime(error));
    }
    let (mut report, mut found) = results.into_inner().unwrap_or_default();
    match handshake::run() {
        Ok(made) => report.probes.extend(made),
        Err(divergence) => found.push(*divergence),
    }
    match door::run() {
        Ok(played) => report.probes.extend(played),
        Err(divergence) => found.push(*divergence),
    }
    match beyond::at_nodes() {
        Ok(played) => report.scenarios = played,
        Err(divergence) => found.push(*divergence),
    }
    match wide::play() {
        Ok(played) => report.wide = played,
        Err(divergence) => found.push(*divergence),
    }
    found.truncate(1);
    divergences.extend(found);
    report.steps_total = traces.iter().map(|trace| trace.actions.len() as u64).sum();
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

/// Does `count` pieces of work on `threads` threads, and lets `watch` look on.
pub fn in_parallel(
    threads: NonZeroUsize,
    count: usize,
    work: impl Fn(usize) + Sync,
    mut watch: impl FnMut(),
) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let worker = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    break;
                }
                work(index);
            }
        };
        let workers: Vec<_> = (0..threads.get()).map(|_| scope.spawn(worker)).collect();
        while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(TICK);
            watch();
        }
    });
}
