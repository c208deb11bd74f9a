//! Many runs, on all cores, and what they came to together. A campaign can be cut into shards that run on different
//! machines, and their reports put together again.

use super::coverage::Coverage;
use super::fault::Plan;
use super::judge::{Judged, Judging, judge};
use super::keys::Scheme;
use super::oracle::Violation;
use super::twins;
pub use pbft_checker::shard::Shard;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use thiserror::Error;

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Minutes: every kind of fault, strategy and rejection, for every change of the code.
    Quick,
    /// Hours: a hundred thousand runs, and every scenario with twins.
    Nightly,
    /// As long as a machine can be spared: ten million operations.
    Soak,
}

/// One run of a campaign, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// A plan drawn from a seed, with so many replicas.
    Seed {
        /// The number of replicas.
        n: u32,
        /// The seed.
        seed: u64,
    },
    /// A scenario with twins.
    Twins {
        /// Its number.
        scenario: u64,
    },
    /// A plan drawn from a seed, at four replicas, with the signatures and the store of production.
    Production {
        /// The seed.
        seed: u64,
    },
    /// One lie of one liar, at four replicas: the lies take turns.
    Lie {
        /// Its number.
        number: u64,
    },
}

impl Task {
    /// Its plan.
    #[must_use]
    pub fn plan(self) -> Plan {
        match self {
            Self::Seed { n, seed } => Plan::draw(seed, n),
            Self::Production { seed } => {
                Plan { scheme: Scheme::Ed25519, stored: true, ..Plan::draw(seed, 4) }
            }
            Self::Twins { scenario } => twins::plan(scenario),
            Self::Lie { number } => Plan::lie(number),
        }
    }

    /// The command that shows it again.
    #[must_use]
    pub fn command(self) -> String {
        match self {
            Self::Seed { n, seed } => format!("cargo sim replay {seed} --replicas {n}"),
            Self::Production { seed } => {
                format!("cargo sim replay {seed} --signatures ed25519 --store")
            }
            Self::Twins { scenario } => format!("cargo sim twins --scenario {scenario}"),
            Self::Lie { number } => format!("cargo sim lie {number}"),
        }
    }
}

/// Seeds of one size of cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seeds {
    /// The number of replicas.
    pub n: u32,
    /// The first seed.
    pub from: u64,
    /// How many.
    pub count: u64,
}

/// What is to be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    /// What it is called.
    pub name: String,
    /// Seeds.
    pub seeds: Vec<Seeds>,
    /// The number of seeds that are run with the signatures and the store of production.
    #[serde(default)]
    pub production: u64,
    /// The number of scenarios with twins, spread evenly over all of them.
    pub twins: u64,
    /// Whether every run is validated against the model.
    pub model: bool,
    /// Whether everything that can happen must.
    pub gate: bool,
}

impl Campaign {
    /// A preset's runs.
    #[must_use]
    pub fn preset(preset: Preset) -> Self {
        let seeds = |n, count| Seeds { n, from: 1, count };
        let (name, seeds, twins) = match preset {
            Preset::Quick => ("quick", vec![seeds(4, 2000), seeds(5, 100), seeds(7, 200)], 0),
            Preset::Nightly => {
                ("nightly", vec![seeds(4, 90_000), seeds(5, 2000), seeds(7, 10_000)], 0)
            }
            Preset::Soak => ("soak", vec![seeds(4, 220_000), seeds(5, 5000), seeds(7, 20_000)], 0),
        };
        let production = match preset {
            Preset::Quick => 20,
            Preset::Nightly | Preset::Soak => 500,
        };
        Self { name: name.to_owned(), seeds, production, twins, model: true, gate: true }
    }

    /// A preset's scenarios with twins.
    #[must_use]
    pub fn twins(preset: Preset) -> Self {
        let twins = match preset {
            Preset::Quick => 600,
            Preset::Nightly | Preset::Soak => twins::SCENARIOS,
        };
        let name = format!("twins, {twins} scenarios");
        Self { name, seeds: Vec::new(), production: 0, twins, model: true, gate: false }
    }

    /// All runs of a shard, in order.
    #[must_use]
    pub fn tasks(&self, shard: Shard) -> Vec<Task> {
        let seeds = self.seeds.iter().flat_map(|Seeds { n, from, count }| {
            (*from..from + count).map(move |seed| Task::Seed { n: *n, seed })
        });
        let twins =
            (0..self.twins).map(|index| Task::Twins { scenario: twins::spread(index, self.twins) });
        let production = (1..=self.production).map(|seed| Task::Production { seed });
        let all = seeds.chain(production).chain(twins).enumerate();
        all.filter(|(index, _)| shard.has(*index)).map(|(_, task)| task).collect()
    }
}

/// A run that broke a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The run.
    pub task: Task,
    /// The rule.
    pub violation: Violation,
}

/// What a campaign, or a shard of it, came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was run.
    pub campaign: Campaign,
    /// Which part of it.
    pub shard: Shard,
    /// The commit of the checkout.
    pub commit: Option<String>,
    /// Runs.
    pub runs: u64,
    /// Operations that clients submitted, all in histories that were judged.
    pub operations: u64,
    /// Of these, how many were answered.
    pub answered: u64,
    /// Runs that converged, by the tenths of a second of virtual time that it took them from when they were healed.
    pub converged: BTreeMap<u64, u64>,
    /// Runs that were never level, since clients went on asking, and in which all correct replicas kept up.
    pub trailing: Vec<(Task, String)>,
    /// Steps that the model allowed.
    pub validated: u64,
    /// The highest view.
    pub view: u64,
    /// Replicas that stopped themselves.
    pub halted: u64,
    /// Runs that broke a rule, by name.
    pub failures: Vec<Failure>,
    /// What was exercised.
    pub coverage: Coverage,
    /// Wall time in seconds.
    pub seconds: f64,
}

impl Report {
    /// A report of nothing yet.
    #[must_use]
    pub fn new(campaign: Campaign, shard: Shard, commit: Option<String>) -> Self {
        Self {
            campaign,
            shard,
            commit,
            runs: 0,
            operations: 0,
            answered: 0,
            converged: BTreeMap::new(),
            trailing: Vec::new(),
            validated: 0,
            view: 0,
            halted: 0,
            failures: Vec::new(),
            coverage: Coverage::default(),
            seconds: 0.0,
        }
    }

    fn add_run(&mut self, task: Task, judged: Judged) {
        self.runs += 1;
        self.operations += judged.operations;
        self.answered += judged.answered;
        if let Some(after) = judged.converged {
            *self.converged.entry(after.as_millis() as u64 / 100).or_default() += 1;
        }
        self.trailing.extend(judged.trailing.map(|obstacle| (task, obstacle)));
        self.validated += judged.validated;
        self.view = self.view.max(judged.view);
        self.halted += judged.halted.len() as u64;
        self.coverage.add(&judged.coverage);
        self.failures.extend(judged.violation.map(|violation| Failure { task, violation }));
    }

    /// Adds another shard's report.
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.operations += other.operations;
        self.answered += other.answered;
        for (tenths, runs) in &other.converged {
            *self.converged.entry(*tenths).or_default() += runs;
        }
        self.trailing.extend(other.trailing.iter().cloned());
        self.trailing.sort();
        self.validated += other.validated;
        self.view = self.view.max(other.view);
        self.halted += other.halted;
        self.failures.extend(other.failures.iter().cloned());
        self.failures.sort_by_key(|failure| failure.task);
        self.coverage.add(&other.coverage);
        self.seconds += other.seconds;
    }

    /// The virtual seconds within which so many hundredths of the converged runs converged.
    #[must_use]
    pub fn converged_within(&self, hundredths: u64) -> f64 {
        let total: u64 = self.converged.values().sum();
        let mut sum = 0;
        for (tenths, runs) in &self.converged {
            sum += runs;
            if sum * 100 >= total * hundredths {
                return (tenths + 1) as f64 / 10.0;
            }
        }
        0.0
    }

    /// What the campaign asks for and did not happen.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        match self.campaign.gate {
            true => self.coverage.missing(),
            false => Vec::new(),
        }
    }
}

/// Runs a shard. `progress` is told now and then how many runs are done, of how many.
pub fn run(
    campaign: &Campaign,
    shard: Shard,
    threads: NonZeroUsize,
    commit: Option<String>,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Report {
    let begun = Instant::now();
    let tasks = campaign.tasks(shard);
    let next = AtomicU64::new(0);
    let results: Mutex<BTreeMap<usize, Judged>> = Mutex::default();
    let report = Mutex::new(Report::new(campaign.clone(), shard, commit));
    std::thread::scope(|scope| {
        for _ in 0..threads.get() {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(task) = tasks.get(index as usize) else { return };
                    let judged =
                        judge(&task.plan(), Judging { model: campaign.model, keep: false });
                    progress(index + 1, tasks.len() as u64);
                    let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    // Added in order, so that the report does not depend on which thread was faster.
                    results.insert(index as usize, judged);
                    while let Some(entry) = results.first_entry()
                        && *entry.key() as u64 == report.runs
                    {
                        let (index, judged) = entry.remove_entry();
                        report.add_run(tasks[index], judged);
                    }
                }
            });
        }
    });
    let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.seconds = begun.elapsed().as_secs_f64();
    report
}

/// Reports that do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MergeError {
    /// There is none.
    #[error("no report; name the files that the shards wrote with --report")]
    Nothing,
    /// They are of different campaigns, or of different numbers of shards.
    #[error(
        "the reports are of different campaigns; merge those of one campaign and one number of shards"
    )]
    Different,
    /// They are of different versions of the code.
    #[error("the reports are of different commits, {0} and {1}; run the shards of one commit")]
    Commits(String, String),
    /// Some are not there.
    #[error("of {of} shards these are missing: {missing:?}; run them with --shard I/{of}")]
    Missing {
        /// The shards without a report.
        missing: Vec<u64>,
        /// All shards.
        of: u64,
    },
    /// One is there twice.
    #[error("shard {0} is there twice")]
    Twice(u64),
}

/// Puts the reports of all shards together.
pub fn merge(reports: &[Report]) -> Result<Report, MergeError> {
    let first = reports.first().ok_or(MergeError::Nothing)?;
    let of = first.shard.of;
    let mut merged = Report::new(first.campaign.clone(), Shard::WHOLE, first.commit.clone());
    let mut seen = BTreeSet::new();
    for report in reports {
        if report.campaign != first.campaign || report.shard.of != of {
            return Err(MergeError::Different);
        }
        if report.commit != first.commit {
            let name =
                |commit: &Option<String>| commit.clone().unwrap_or_else(|| "none".to_owned());
            return Err(MergeError::Commits(name(&first.commit), name(&report.commit)));
        }
        if !seen.insert(report.shard.index) {
            return Err(MergeError::Twice(report.shard.index));
        }
        merged.add(report);
    }
    let missing: Vec<u64> = (1..=of).filter(|index| !seen.contains(index)).collect();
    match missing.is_empty() {
        true => Ok(merged),
        false => Err(MergeError::Missing { missing, of }),
    }
}
