//! Runs a plan and judges it: the oracle's rules during the run, then the clients' histories, then the model.

use super::coverage::Coverage;
use super::disk::DiskError;
use super::driver::Run;
use super::event::Event;
use super::fault::Plan;
use super::history::{self, Moment};
use super::hunt::seen::{Seen, Sightings};
use super::oracle::{Rule, Violation};
use super::process::Down;
use super::world::{Mode, World};
use core::time::Duration;
use pbft_conformance::validate::{Options, Recording, Validity, validate};
use pbft_host::panic_message;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

/// What is looked at, and what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judging {
    /// Whether the run is recorded and validated against the model.
    pub model: bool,
    /// Whether the events are kept.
    pub keep: bool,
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// The first rule that was broken.
    pub violation: Option<Violation>,
    /// Everything that happened, if it was to be kept.
    pub events: Vec<(Duration, Event)>,
    /// What was exercised.
    pub coverage: Coverage,
    /// Operations that clients submitted.
    pub operations: u64,
    /// Of these, how many were answered.
    pub answered: u64,
    /// Requests that were executed.
    pub executed: u64,
    /// The highest view of a correct replica.
    pub view: u64,
    /// Virtual time from when everything was healed to convergence.
    pub converged: Option<Duration>,
    /// What kept the run from converging, if correct replicas trail others but keep up with them.
    pub trailing: Option<String>,
    /// Virtual time of the whole run.
    pub virtual_time: Duration,
    /// Replicas that stopped themselves, with the reason.
    pub halted: Vec<(usize, String)>,
    /// Replicas that are down because of their disks.
    pub refused: Vec<(usize, DiskError)>,
    /// Rules that were broken while more than f replicas were faulty, so that none of them is claimed.
    pub beyond: Vec<Rule>,
    /// Steps of correct replicas that the model allowed.
    pub validated: u64,
}

/// Calls something that a bug may make panic; a panic is a violation like any other.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Violation> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| Violation {
        rule: Rule::NoPanic,
        detail: panic_message(&*panic).to_owned(),
    })
}

/// Runs a plan to its end and judges it.
#[must_use]
pub fn judge(plan: &Plan, judging: Judging) -> Judged {
    judged(plan, judging, None).0
}

/// The same, and what there was to see.
#[must_use]
pub fn judge_seen(plan: &Plan, judging: Judging) -> (Judged, Seen) {
    let (judged, sightings) = judged(plan, judging, Some(Sightings::new(plan.n)));
    (judged, sightings.map(|one| one.seen).unwrap_or_default())
}

fn judged(
    plan: &Plan,
    judging: Judging,
    sightings: Option<Sightings>,
) -> (Judged, Option<Sightings>) {
    let mode = Mode { record: judging.model, replay: false };
    let mut run = match Run::new(plan, mode, judging.keep) {
        Ok(run) => run,
        Err(error) => {
            let violation = Violation { rule: Rule::Progress, detail: error.to_string() };
            return (Judged { violation: Some(violation), ..Judged::default() }, sightings);
        }
    };
    run.world.sightings = sightings;
    let panicked = guarded(|| run.finish()).err();
    let violation = panicked.or(run.world.oracle.violation.take());
    let mut judged = Judged {
        violation,
        events: std::mem::take(&mut run.events),
        converged: run.converged,
        trailing: run.trailing.take(),
        virtual_time: run.now,
        ..Judged::default()
    };
    judge_world(&mut judged, plan, &run.world, judging);
    judged.coverage = std::mem::take(&mut run.world.coverage);
    judged.coverage.forgotten = run.world.oracle.forgotten;
    (judged, run.world.sightings.take())
}

/// What can be said of a world after its last event.
pub(super) fn judge_world(judged: &mut Judged, plan: &Plan, world: &World, judging: Judging) {
    for moment in &world.history {
        match moment {
            Moment::Invoked(..) => judged.operations += 1,
            Moment::Returned(..) => judged.answered += 1,
            Moment::Never(_) => judged.operations -= 1,
        }
    }
    judged.executed = world.oracle.executed();
    for host in world.correct() {
        if let Some(replica) = world.hosts[host].replica() {
            judged.view = judged.view.max(replica.status().view.0);
        }
    }
    for (host, process) in world.hosts.iter().enumerate() {
        match process.down() {
            Some(Down::Halted(reason)) => judged.halted.push((host, reason.to_string())),
            Some(Down::Disk(error)) => judged.refused.push((host, *error)),
            Some(Down::Crashed | Down::Failed(_)) | None => {}
        }
    }
    judged.beyond = world.oracle.beyond.iter().map(|one| one.rule).collect();
    if world.oracle.excess {
        return;
    }
    if judged.violation.is_none()
        && let Err(detail) = history::check(&world.history)
    {
        judged.violation = Some(Violation { rule: Rule::Linearizable, detail });
    }
    if judging.model && judged.violation.is_none() {
        let found = ask_the_model(plan, world);
        judged.validated = found.as_ref().copied().unwrap_or_default();
        judged.violation = found.err();
    }
}

/// Whether the model allows what was recorded: the number of steps that it allowed.
pub fn ask_the_model(plan: &Plan, world: &World) -> Result<u64, Violation> {
    let violation = |detail| Violation { rule: Rule::Model, detail };
    let recordings = world.recordings();
    let recordings: Vec<_> = recordings
        .iter()
        .map(|(host, bytes)| Recording::new(PathBuf::from(format!("r{host}.jsonl")), &bytes[..]))
        .collect();
    let byzantine = plan.faulty().into_iter().map(|host| host as u32).collect();
    let options = Options { byzantine, truncated_ok: true };
    let validation = guarded(|| validate(recordings, &options))?;
    let validation = validation.map_err(|error| violation(error.to_string()))?;
    match (&validation.divergence, validation.verdict) {
        (Some(found), _) => Err(violation(found.to_string())),
        // A run in which nobody executed anything says nothing to the model, and is no error.
        (None, Validity::Valid) => Ok(validation.steps),
        (None, _) if world.oracle.executed() == 0 => Ok(validation.steps),
        (None, _) => Err(violation(format!("it cannot be told: {:?}", validation.doubts))),
    }
}
