//! Runs an experiment in the simulator, to the answer of the last operation, and measures it.

use super::measure::{Cost, Liveness, Measurement, Safety, Verdict, Wire};
use super::setup::{Prepared, Setup, SetupError};
use core::time::Duration;
use pbft_core::Membership;
use pbft_sim::driver::Run;
use pbft_sim::event::RequestId;
use pbft_sim::fault::{FaultKind, Plan};
use pbft_sim::history::Moment;
use pbft_sim::judge::guarded;
use pbft_sim::oracle::Violation;
use pbft_sim::process::Down;
use pbft_sim::world::{Mode, World};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Views are looked at after so many events.
const LOOK_EVERY: u64 = 16;

/// Runs an experiment and measures it.
pub fn simulate(setup: &Setup) -> Result<Measurement, SetupError> {
    simulate_prepared(setup, &setup.prepare()?)
}

/// Runs an experiment whose plan may have been changed since it was prepared, and measures it.
pub fn simulate_prepared(setup: &Setup, prepared: &Prepared) -> Result<Measurement, SetupError> {
    let membership = setup.membership()?;
    let mut observed = Observed::default();
    let (began, worked) = (Instant::now(), thread_time());
    let mut run = Run::new(&prepared.plan, Mode::default(), false)?;
    let panicked = guarded(|| observed.follow(&mut run, prepared)).err();
    let cost = Cost {
        wall_clock_s: began.elapsed().as_secs_f64(),
        process_time_s: thread_time().saturating_sub(worked).as_secs_f64() / membership.n() as f64,
        memory_percent: memory_percent(),
    };
    let violation = panicked.or_else(|| run.world.oracle.violation.take());
    Ok(observed.measurement(setup, &prepared.plan, &run, violation, cost))
}

/// Runs experiments on several threads; the results are in the order of the experiments.
pub fn simulate_all(
    setups: &[Setup],
    threads: NonZeroUsize,
    tell: &(dyn Fn(&Measurement) + Sync),
) -> Result<Vec<Measurement>, SetupError> {
    let next = AtomicUsize::new(0);
    let done: Mutex<BTreeMap<usize, Result<Measurement, SetupError>>> = Mutex::default();
    // The largest first, so that no thread is left with one of them at the end.
    let mut order: Vec<usize> = (0..setups.len()).collect();
    let weight = |setup: &Setup| setup.operations() * u64::from(setup.replicas).pow(2);
    order.sort_by_key(|index| std::cmp::Reverse(weight(&setups[*index])));
    std::thread::scope(|scope| {
        for _ in 0..threads.get() {
            scope.spawn(|| {
                while let Some(index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = simulate(&setups[*index]);
                    result.iter().for_each(tell);
                    done.lock().unwrap_or_else(PoisonError::into_inner).insert(*index, result);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

/// What is seen while a run goes on.
#[derive(Debug, Default)]
struct Observed {
    seen: usize,
    invoked: BTreeMap<RequestId, Duration>,
    latencies: Vec<Duration>,
    answers: Vec<Duration>,
    views: BTreeSet<u64>,
    caught_up: bool,
}

impl Observed {
    /// Goes on until every operation is answered and every correct replica has executed it, or to the limit.
    fn follow(&mut self, run: &mut Run, prepared: &Prepared) {
        let operations = prepared.plan.submissions.len();
        let mut switches = prepared.switches.iter().peekable();
        let mut behaviours = prepared.plan.liars.clone();
        for number in 0u64.. {
            while let Some((_, host, behaviour, on)) = switches.next_if(|(at, ..)| *at <= run.now) {
                let own = behaviours.entry(*host).or_default();
                own.retain(|one| one != behaviour);
                own.extend(on.then_some(*behaviour));
                run.world.set_behaviours(*host, own.clone());
            }
            if run.now > prepared.limit || !run.step() {
                return;
            }
            self.take_history(run);
            if number.is_multiple_of(LOOK_EVERY) {
                self.look(&run.world);
                self.caught_up = run.now >= prepared.faults_end
                    && self.latencies.len() == operations
                    && laggard(&run.world).is_none();
                if self.caught_up {
                    return;
                }
            }
        }
    }

    fn take_history(&mut self, run: &Run) {
        for moment in &run.world.history[self.seen..] {
            match moment {
                Moment::Invoked(id, _) => drop(self.invoked.insert(*id, run.now)),
                Moment::Returned(id, _) => {
                    let since = self.invoked.get(id).copied().unwrap_or_default();
                    self.latencies.push(run.now.saturating_sub(since));
                    self.answers.push(run.now);
                }
                Moment::Never(id) => drop(self.invoked.remove(id)),
            }
        }
        self.seen = run.world.history.len();
    }

    fn look(&mut self, world: &World) {
        for host in world.correct() {
            let status = world.hosts[host].replica().map(pbft_core::Replica::status);
            self.views.extend(status.filter(|status| status.active).map(|status| status.view.0));
        }
    }

    fn measurement(
        mut self,
        setup: &Setup,
        plan: &Plan,
        run: &Run,
        violation: Option<Violation>,
        cost: Cost,
    ) -> Measurement {
        self.latencies.sort_unstable();
        let membership = run.world.hosts[0].params().membership;
        let faulty: Vec<u32> = plan.faulty().into_iter().map(|host| host as u32).collect();
        let is_crash =
            |kind: &FaultKind| matches!(kind, FaultKind::Crash { .. } | FaultKind::Wipe { .. });
        let fails = |kind: &FaultKind| match kind {
            FaultKind::Crash { host, .. }
            | FaultKind::Wipe { host }
            | FaultKind::Pause { host }
            | FaultKind::Diverge { host } => *host == 0,
            FaultKind::Partition { side } => side[..] == [0],
            _ => false,
        };
        let happened = || plan.faults.iter().filter(|fault| fault.from <= run.now);
        let verdict = self.verdict(plan, run, violation, membership);
        let traffic = &run.traffic;
        let contradictions = run.world.coverage.rejections.get("equivocation");
        Measurement {
            setup: setup.clone(),
            tolerated: membership.faults(),
            quorum: membership.quorum(),
            answered: self.latencies.len() as u64,
            total: self.answers.last().copied().unwrap_or(run.now),
            primary_failed: faulty.contains(&0) || happened().any(|fault| fails(&fault.kind)),
            faulty,
            view: self.views.last().copied().unwrap_or_default(),
            view_changes: self.views.iter().filter(|view| **view > 0).count() as u64,
            crashes: happened().filter(|fault| is_crash(&fault.kind)).count() as u64,
            wire: Some(Wire {
                ordering: traffic.ordering(),
                messages: traffic.total(),
                bytes: traffic.bytes,
                contradictions: contradictions.copied().unwrap_or_default(),
            }),
            latencies: self.latencies,
            answers: self.answers,
            verdict,
            cost,
        }
    }

    fn verdict(
        &self,
        plan: &Plan,
        run: &Run,
        violation: Option<Violation>,
        membership: Membership,
    ) -> Verdict {
        let (faulty, f) = (plan.faulty().len(), membership.faults());
        let oracle = &run.world.oracle;
        let safety = match violation.map(|violation| violation.to_string()) {
            Some(rule) => Safety::Broken(rule),
            None if oracle.excess => {
                Safety::NotClaimed(oracle.beyond.iter().map(ToString::to_string).collect())
            }
            None => match in_order(&run.world) {
                Ok(()) => Safety::Holds,
                Err(why) => Safety::Broken(format!("linearizable: {why}")),
            },
        };
        let answered = self.latencies.len();
        let operations = plan.submissions.len();
        let liveness = match self.caught_up {
            true => Liveness::Holds,
            false => Liveness::Stopped(why_not(run, membership, faulty, (answered, operations))),
        };
        let claim = format!("{faulty} Byzantine > f = {f} of n = {}", membership.n());
        Verdict::new(safety, liveness, &claim, (answered as u64, operations as u64))
    }
}

/// Why a run did not come to its end.
fn why_not(
    run: &Run,
    membership: Membership,
    faulty: usize,
    (answered, operations): (usize, usize),
) -> String {
    let world = &run.world;
    let down: Vec<usize> =
        world.correct().filter(|host| world.hosts[*host].replica().is_none()).collect();
    let left = membership.n() - faulty - down.len();
    let after = run.now.as_secs_f64();
    let answered = format!("{answered} of {operations} operations answered after {after:.1} s");
    let quorum = membership.quorum();
    if left < quorum {
        return format!(
            "no quorum: {left} correct replicas are up, {quorum} are needed; {answered}"
        );
    }
    match laggard(world) {
        Some(behind) if answered.starts_with(&format!("{operations} of")) => {
            format!("{behind}; {answered}")
        }
        _ => answered,
    }
}

/// A correct replica that has not executed everything, or does not run.
fn laggard(world: &World) -> Option<String> {
    let frontier = world.oracle.frontier();
    world.correct().find_map(|host| match (world.hosts[host].replica(), world.hosts[host].down()) {
        (Some(replica), _) if replica.status().last_executed == frontier => None,
        (Some(replica), _) => Some(format!(
            "replica {host} has executed {}, another one {frontier}",
            replica.status().last_executed
        )),
        // Whoever is down for good is not waited for.
        (None, Some(Down::Crashed)) => None,
        (None, down) => Some(format!("replica {host} is down: {down:?}")),
    })
}

/// Whether the agreed order keeps to the clients' time: no operation comes before one that was answered before it was
/// submitted. Every result is that of the agreed order, which the oracle looks at, so this is linearizability.
fn in_order(world: &World) -> Result<(), String> {
    let places: BTreeMap<RequestId, usize> =
        world.oracle.order().enumerate().map(|(place, id)| (id, place)).collect();
    let mut latest = None;
    let mut floor: BTreeMap<RequestId, Option<usize>> = BTreeMap::new();
    for moment in &world.history {
        match moment {
            Moment::Invoked(id, _) => drop(floor.insert(*id, latest)),
            Moment::Returned(id, _) => {
                let place = places.get(id).copied();
                let place = place.ok_or_else(|| format!("{id} was answered and never executed"))?;
                if floor.get(id).copied().flatten().is_some_and(|floor| place < floor) {
                    return Err(format!("{id} is ordered before what was answered before it"));
                }
                latest = latest.max(Some(place));
            }
            Moment::Never(id) => drop(floor.remove(id)),
        }
    }
    Ok(())
}

/// The processor time of this thread.
fn thread_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split_whitespace().next().and_then(|word| word.parse().ok());
    Duration::from_nanos(first.unwrap_or_default())
}

/// The memory of this process, in hundredths of the machine's.
fn memory_percent() -> f64 {
    hundredths_of_memory(kilobytes("/proc/self/status", "VmRSS:"))
}

/// So many kilobytes, in hundredths of the machine's memory.
pub(super) fn hundredths_of_memory(own: f64) -> f64 {
    100.0 * own / kilobytes("/proc/meminfo", "MemTotal:").max(1.0)
}

fn kilobytes(path: &str, name: &str) -> f64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_default()
}
