//! One correct replica alone among messages of an adversary that holds all other keys.
//!
//! Nothing is claimed here that takes a quorum of correct replicas. What is left is what a replica owes whatever the
//! others do: it does not panic, contradict itself, fall back, forget what it has said, or hold too much; a refused
//! message changes nothing. There is no clock, no network and nobody who is correct, so most inputs are news.

mod adversary;

use super::seen::{Seen, Sightings};
use crate::disk::Tail;
use crate::event::{Event, Node};
use crate::fault::Plan;
use crate::judge::guarded;
use crate::oracle::Violation;
use crate::output::Output;
use crate::process::Down;
use crate::processor::processor_time;
use crate::rng::Rng;
use crate::world::{Mode, World, params};
use adversary::Adversary;
use core::time::Duration;
use pbft_conformance::job::in_parallel;
use pbft_core::membership::MembershipError;
use pbft_core::types::ReplicaId;
use pbft_core::{HaltReason, Membership};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Inputs of one replica, from its first start.
const INPUTS: u64 = 4000;

/// Replicas that are looked at before anything is told.
const ROUND: u64 = 32;

/// One in so many times a process ends and starts again before an input.
const CRASH_EVERY: u64 = 400;

/// What one replica went through.
struct Episode {
    events: Vec<Event>,
    violation: Option<Violation>,
    inputs: u64,
    executed: u64,
    view: u64,
    seen: Seen,
    rejections: BTreeSet<String>,
    /// Why it stopped, if it did.
    ended: Option<String>,
    took: Duration,
}

/// A replica that broke a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The cluster; all but one of its replicas may do anything.
    pub plan: Plan,
    /// What happened to the one that may not.
    #[serde(skip)]
    pub events: Vec<Event>,
    /// The rule.
    pub violation: Violation,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Replicas that were looked at.
    pub replicas: u64,
    /// Inputs.
    pub inputs: u64,
    /// Time of the processor.
    pub processor_seconds: f64,
    /// Batches that they executed.
    pub executed: u64,
    /// The highest view.
    pub view: u64,
    /// States of a replica with what it holds.
    pub cores: u64,
    /// Pairs of steps that followed one another.
    pub pairs: u64,
    /// Reasons to refuse.
    pub rejections: BTreeSet<String>,
    /// Replicas that stopped themselves, by reason: where a quorum lies they must.
    pub stopped: BTreeMap<String, u64>,
    /// What broke a rule.
    pub findings: Vec<Finding>,
    /// Wall time in seconds.
    pub seconds: f64,
}

impl Report {
    /// Inputs a second of the processor.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.inputs as f64 / self.processor_seconds.max(f64::EPSILON)
    }
}

/// A cluster in which only `own` is correct.
fn plan(seed: u64, n: u32, own: usize) -> Plan {
    let mut plan = Plan::calm(seed, n);
    plan.submissions.clear();
    plan.clients = 0;
    plan.lying_clients = (0..4).map(|id| (id, Vec::new())).collect();
    plan.broken = (0..n as usize).filter(|host| *host != own).collect();
    plan.interval = 2 + Rng::new(seed).fork("interval").below(3);
    plan
}

/// A replica, and whoever it is alone with.
struct Stage {
    world: World,
    adversary: Adversary,
    own: usize,
    events: Vec<Event>,
    violation: Option<Violation>,
}

impl Stage {
    fn new(plan: &Plan, own: usize) -> Result<Self, MembershipError> {
        let membership = Membership::new(plan.n)?;
        let mut world = World::new(plan, Mode::default())?;
        world.sightings = Some(Sightings::new(plan.n));
        let params = params(plan, membership, ReplicaId(own as u32));
        let adversary = Adversary::new(plan.seed, params.into());
        Ok(Self { world, adversary, own, events: Vec::new(), violation: None })
    }

    fn happen(&mut self, event: Event) {
        let outcome = guarded(|| self.world.apply(&event));
        self.events.push(event);
        // All others hear the same, or it is for one of them only.
        let ear = Node::Host((self.own + 1) % self.world.hosts.len());
        for output in std::mem::take(&mut self.world.output) {
            if let Output::Frame { to, frame, .. } = output
                && to == ear
            {
                self.adversary.hear(&frame);
            }
        }
        self.violation = outcome.err().or(self.world.oracle.violation.take());
    }

    fn restart(&mut self) {
        let host = self.own;
        self.happen(Event::Crash { host, tail: Tail::Lost });
        if self.violation.is_none() {
            self.happen(Event::Start { host });
        }
    }
}

fn episode(plan: &Plan, own: usize) -> Result<Episode, MembershipError> {
    let began = processor_time();
    let mut stage = Stage::new(plan, own)?;
    let mut chance = Rng::new(plan.seed).fork("crashes");
    let (mut inputs, mut executed, mut view) = (0, 0, 0);
    stage.happen(Event::Start { host: own });
    while inputs < INPUTS && stage.violation.is_none() {
        if chance.below(CRASH_EVERY) == 0 {
            stage.restart();
            continue;
        }
        let Some(replica) = stage.world.hosts[own].replica() else { break };
        (executed, view) = (replica.status().last_executed.0, replica.status().view.0);
        let event = stage.adversary.next(own, replica);
        stage.happen(event);
        inputs += 1;
    }
    let Stage { mut world, events, violation, .. } = stage;
    let ended = world.hosts[own].down().map(|down| match down {
        Down::Halted(HaltReason::StateDiverged { .. }) => "a quorum has another state".to_owned(),
        Down::Halted(HaltReason::ConflictingCertificates { .. }) => {
            "two batches are final at one number".to_owned()
        }
        other => format!("{other:?}"),
    });
    Ok(Episode {
        events,
        violation,
        inputs,
        executed,
        view,
        seen: world.sightings.take().map(|one| one.seen).unwrap_or_default(),
        ended,
        rejections: world.coverage.rejections.into_keys().collect(),
        took: processor_time().saturating_sub(began),
    })
}

/// Looks at one replica after the other until `time` is over, or one breaks a rule.
pub fn hunt(
    seed: u64,
    n: u32,
    time: Duration,
    threads: NonZeroUsize,
    progress: &dyn Fn(&Report),
) -> Report {
    let begun = Instant::now();
    let (mut report, mut seen) = (Report::default(), Seen::new());
    loop {
        let first = report.replicas;
        let numbers: Vec<u64> = (first..first + ROUND).collect();
        let plan_of = |number: u64| {
            let own = (number % u64::from(n)) as usize;
            (plan(Rng::new(seed).fork(&format!("alone {number}")).number(), n, own), own)
        };
        let episodes = Mutex::new(BTreeMap::new());
        in_parallel(
            threads,
            numbers.len(),
            |index| {
                let (plan, own) = plan_of(numbers[index]);
                let episode = episode(&plan, own);
                episodes.lock().unwrap_or_else(PoisonError::into_inner).insert(index, episode);
            },
            || {},
        );
        for (index, episode) in episodes.into_inner().unwrap_or_else(PoisonError::into_inner) {
            report.replicas += 1;
            let Ok(episode) = episode else { continue };
            report.inputs += episode.inputs;
            report.processor_seconds += episode.took.as_secs_f64();
            report.executed += episode.executed;
            report.view = report.view.max(episode.view);
            report.rejections.extend(episode.rejections);
            if let Some(reason) = episode.ended {
                *report.stopped.entry(reason).or_default() += 1;
            }
            seen.add(&episode.seen);
            if let Some(violation) = episode.violation {
                let (plan, events) = (plan_of(numbers[index]).0, episode.events);
                report.findings.push(Finding { plan, events, violation });
            }
        }
        (report.cores, report.pairs) = (seen.cores.len() as u64, seen.pairs.len() as u64);
        report.seconds = begun.elapsed().as_secs_f64();
        if begun.elapsed() >= time || !report.findings.is_empty() {
            return report;
        }
        progress(&report);
    }
}
