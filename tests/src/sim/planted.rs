//! The simulator's teeth: bugs that core and node can be built with, and how soon a run finds each.

use super::campaign::Task;
use super::fault::Plan;
use super::judge::{Judging, judge};
use super::oracle::Rule;
use super::twins;
use pbft_core::planted::PlantedBug;
use serde::Serialize;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Bugs that the simulator cannot find, and why.
pub const OUT_OF_REACH: &[(&str, &str)] = &[
    ("send-before-persist", "in the node's driver; the simulator has its own host"),
    ("fsync-dropped", "in the node's store; the simulator has its own disk"),
    ("commit-dropped", "in the node's driver; the simulator has its own host"),
    ("effects-reversed", "in the node's driver; the simulator has its own host"),
    ("evidence-dropped", "in the node's driver; the simulator has its own host"),
    ("refusal-dropped", "in the node's driver; the simulator has its own host"),
    ("reply-to-another-client", "in the node's performer; the simulator has its own host"),
    ("timers-not-set", "in the node's performer; the simulator has its own clock"),
    ("operation-applied-twice", "in the node's performer; the simulator has its own host"),
    ("checkpoint-before-execution", "in the node's performer; the simulator has its own host"),
    ("another-part-served", "in the node's performer; the simulator has its own host"),
    ("reply-table-not-stored", "in the node's store; the simulator has its own disk"),
    ("executed-number-not-stored", "in the node's store; the simulator has its own disk"),
    ("log-kept-after-fold", "in the node's store; the simulator has its own disk"),
    ("log-records-overwritten", "in the node's store; the simulator has its own disk"),
    ("installed-replies-not-stored", "in the node's store; the simulator has its own disk"),
    ("signatures-unchecked", "in the node's inbox; the simulator asks the core's rules itself"),
    ("cache-ignores-signature", "in the node's key ring; runs by the thousand have fast keys"),
    ("cache-ignores-statement", "in the node's key ring; runs by the thousand have fast keys"),
    ("frame-lost", "in the node's inbox; the simulator has its own network"),
    ("trailing-byte-read", "in the node's inbox; the simulator has its own network"),
    ("frame-size-unchecked", "in the node's inbox; the simulator has its own network"),
    ("request-of-another-client", "in the node's inbox; the simulator has its own network"),
    ("broadcast-skips-peer", "in the node's transport; the simulator has its own network"),
    ("queue-reordered", "in the node's transport; the simulator has its own network"),
    ("cluster-not-signed", "a matter of two clusters with the same keys; conformance asks for it"),
    ("checkpoint-stable-at-weak", "breaks no rule of safety: f+1 equal CHECKPOINTs prove a state"),
    (
        "commits-matched-without-digest",
        "breaks no rule: COMMITs of a correct majority match anyway",
    ),
];

/// The run that gave a bug away.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// Which.
    pub task: Task,
    /// How many runs there were until then.
    pub runs: u64,
    /// The rule that it broke.
    pub rule: Rule,
    /// The first line of what was found.
    pub detail: String,
}

/// How a bug fared.
#[derive(Clone, Debug, Serialize)]
pub struct Hunt {
    /// The bug.
    pub bug: &'static str,
    /// What found it.
    pub found: Option<Found>,
    /// Wall time in seconds.
    pub seconds: f64,
}

impl Hunt {
    /// Whether it was found, or is known to be out of reach.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.found.is_some() || OUT_OF_REACH.iter().any(|(bug, _)| *bug == self.bug)
    }
}

/// Of so many runs one is a scenario of twins.
const TWINS_ONE_IN: u64 = 3;

/// The runs in which bugs are looked for: seeds at four replicas, with a scenario of twins after every second one.
fn task(number: u64, seeds: u64) -> Task {
    match number % TWINS_ONE_IN {
        2 => Task::Twins { scenario: twins::spread(number / TWINS_ONE_IN, seeds) },
        _ => Task::Seed { n: 4, seed: 1 + number },
    }
}

fn hunt(bug: PlantedBug, seeds: u64) -> Hunt {
    let begun = Instant::now();
    let search = |number: u64| {
        let task = task(number, seeds);
        let plan = Plan { planted: Some(bug.name().to_owned()), ..task.plan() };
        let violation = judge(&plan, Judging { model: true, keep: false }).violation?;
        let detail = violation.detail.lines().take(2).collect::<Vec<_>>().join(" ");
        Some(Found { task, runs: number + 1, rule: violation.rule, detail })
    };
    let hopeless = OUT_OF_REACH.iter().any(|(name, _)| *name == bug.name());
    let tries = if hopeless { seeds.min(3) } else { seeds };
    let found = (0..tries).find_map(search);
    Hunt { bug: bug.name(), found, seconds: begun.elapsed().as_secs_f64() }
}

/// Hunts the bugs, each with the same runs.
#[must_use]
pub fn hunt_all(bugs: &[PlantedBug], seeds: u64, threads: NonZeroUsize) -> Vec<Hunt> {
    let next = AtomicUsize::new(0);
    let hunts = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.get() {
            scope.spawn(|| {
                while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let hunt = hunt(*bug, seeds);
                    let end = hunt.found.as_ref().map_or("not found", |found| found.rule.name());
                    eprintln!("{}: {end}, {:.1} s", hunt.bug, hunt.seconds);
                    hunts.lock().unwrap_or_else(PoisonError::into_inner).push(hunt);
                }
            });
        }
    });
    let mut hunts = hunts.into_inner().unwrap_or_else(PoisonError::into_inner);
    hunts.sort_by_key(|hunt| hunt.bug);
    hunts
}

/// The table.
#[must_use]
pub fn to_text(hunts: &[Hunt]) -> String {
    let mut text =
        format!("{:<36} {:<26} {:>5} {:>8}  {}\n", "bug", "broken rule", "runs", "seconds", "by");
    for hunt in hunts {
        let why = OUT_OF_REACH.iter().find(|(bug, _)| *bug == hunt.bug);
        match (&hunt.found, why) {
            (Some(found), _) => {
                let (rule, by) = (found.rule.name(), found.task.command());
                let _ = writeln!(
                    text,
                    "{:<36} {rule:<26} {:>5} {:>8.1}  {by}",
                    hunt.bug, found.runs, hunt.seconds
                );
            }
            (None, Some((_, why))) => {
                let _ = writeln!(text, "{:<36} out of reach: {why}", hunt.bug);
            }
            (None, None) => {
                let _ = writeln!(text, "{:<36} SURVIVES {:.1} s", hunt.bug, hunt.seconds);
            }
        }
    }
    let found = hunts.iter().filter(|hunt| hunt.found.is_some()).count();
    let reachable =
        hunts.iter().filter(|hunt| OUT_OF_REACH.iter().all(|(bug, _)| *bug != hunt.bug)).count();
    let _ =
        writeln!(text, "{found} of {} planted bugs found; {reachable} were in reach", hunts.len());
    text
}
