//! `pbft-sim seeds`, `twins` and `merge`: many runs.

use super::case::explain_failure;
use super::results::{self, Told};
use super::{Common, Extent, usage};
use pbft_checker::run::{ExitCode, RunRecord};
use pbft_core::Membership;
use pbft_output::errln;
use pbft_sim::campaign::{self, Campaign, Report, Seeds, Task};
use pbft_sim::coverage::Coverage;
use pbft_sim::keys::Scheme;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

/// So many failing runs are made small; the others are listed.
const EXPLAINED: usize = 2;

pub(super) fn seeds(common: &Common, extent: &Extent, replicas: u32) -> ExitCode {
    if let Err(error) = Membership::new(replicas) {
        return usage(&error);
    }
    let own = || Campaign {
        name: format!("{} seeds from {}", extent.count, extent.from),
        seeds: vec![Seeds { n: replicas, from: extent.from, count: extent.count }],
        production: 0,
        twins: 0,
        model: true,
        gate: false,
    };
    run(common, extent, extent.preset.map_or_else(own, Campaign::preset))
}

pub(super) fn twins(common: &Common, extent: &Extent) -> ExitCode {
    let own = || Campaign {
        name: format!("twins, {} scenarios", extent.count),
        seeds: Vec::new(),
        production: 0,
        twins: extent.count,
        model: true,
        gate: false,
    };
    run(common, extent, extent.preset.map_or_else(own, Campaign::twins))
}

fn run(common: &Common, extent: &Extent, campaign: Campaign) -> ExitCode {
    if common.signatures != Scheme::Fast || common.store {
        return usage(&"--signatures ed25519 and --store are for `replay` and `shrink`");
    }
    let (told, begun) = (Told::new(), Instant::now());
    let progress = |done: u64, of: u64| {
        told.now_and_then(|| {
            let rate = done as f64 / begun.elapsed().as_secs_f64();
            format!("{done} of {of} runs, {rate:.0} a second")
        });
    };
    let commit = RunRecord::new(Vec::new(), None, (), true).commit;
    let report = campaign::run(&campaign, extent.shard, common.run.threads(), commit, &progress);
    if let Some(path) = &extent.report
        && let Err(error) = write_report(&report, path)
    {
        return usage(&format!("{}: {error}; choose another file", path.display()));
    }
    conclude(common, &report)
}

fn write_report(report: &Report, path: &PathBuf) -> std::io::Result<()> {
    let json = serde_json::to_string(report).map_err(std::io::Error::other)?;
    std::fs::write(path, json + "\n")
}

/// Prints a report, explains its first failures, and says what it amounts to.
fn conclude(common: &Common, report: &Report) -> ExitCode {
    let complete = report.missing().is_empty();
    results::keep(common, (&report.campaign.name, report, complete), to_text, |directory| {
        for failure in report.failures.iter().take(EXPLAINED) {
            explain_failure(failure, directory);
        }
    });
    if !report.failures.is_empty() {
        ExitCode::Finding
    } else if report.runs == 0 || !complete {
        ExitCode::Inconclusive
    } else {
        ExitCode::Holds
    }
}

/// Counts by name, in one line.
fn counts(counts: &pbft_sim::coverage::Counts) -> String {
    let all: Vec<String> = counts.iter().map(|(name, times)| format!("{name} {times}")).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

/// Operations that have no answer, and executions that nobody has to remember: neither breaks a rule.
fn without_answer(coverage: &Coverage) -> String {
    let mut text = String::new();
    if coverage.overtaken > 0 {
        let _ = writeln!(
            text,
            "{} operations of copied clients have no answer: they were told that another process with their key has overtaken \
             them",
            coverage.overtaken
        );
    }
    if coverage.forgotten > 0 {
        let _ = writeln!(
            text,
            "crashes made replicas forget {} executions that clients may have been told of, and that were done again",
            coverage.forgotten
        );
    }
    text
}

fn spared(coverage: &Coverage) -> String {
    let Coverage { votes_sifted, early_replies, put_off, .. } = coverage;
    format!(
        "{votes_sifted} votes were set aside for nothing needed them; {early_replies} replies left before their writes, \
         {put_off} groups put their writes off\n"
    )
}

fn to_text(report: &Report) -> String {
    let mut text = String::new();
    let coverage = &report.coverage;
    let rate = coverage.deliveries as f64 / report.seconds.max(f64::EPSILON);
    let _ = writeln!(
        text,
        "{}: {} runs, {} deliveries, {} steps, {} of them held against the model",
        report.campaign.name, report.runs, coverage.deliveries, coverage.steps, report.validated
    );
    let _ = writeln!(
        text,
        "{} operations of clients, {} answered, all histories linearizable unless listed; views up to {}, {} replicas \
         stopped themselves",
        report.operations, report.answered, report.view, report.halted
    );
    text += &without_answer(coverage);
    text += &spared(coverage);
    let converged: u64 = report.converged.values().sum();
    let _ = writeln!(
        text,
        "{converged} of {} runs converged after they were healed: half within {:.1} s of virtual time, 99 % within {:.1} \
         s, all within {:.1} s",
        report.runs,
        report.converged_within(50),
        report.converged_within(99),
        report.converged_within(100)
    );
    for (task, obstacle) in &report.trailing {
        let _ = writeln!(
            text,
            "one keeps up and is never level, as clients do not stop: at the end {obstacle}\n  again: {}",
            task.command()
        );
    }
    for (what, list) in [
        ("faults", &coverage.faults),
        ("strategies", &coverage.behaviours),
        ("rejections", &coverage.rejections),
        ("effects", &coverage.effects),
        ("messages", &coverage.messages),
    ] {
        let _ = writeln!(text, "{what}: {}", counts(list));
    }
    for failure in &report.failures {
        let first = failure.violation.to_string();
        let first = first.lines().next().unwrap_or_default();
        let _ = writeln!(text, "BROKEN {first}\n  again: {}", failure.task.command());
    }
    for name in report.missing() {
        let _ = writeln!(text, "NEVER HAPPENED: {name}");
    }
    let verdict = match (report.failures.len(), report.missing().len()) {
        (0, 0) if report.runs > 0 => "HOLDS".to_owned(),
        (0, 0) => "NOTHING RAN".to_owned(),
        (0, missing) => format!("INCONCLUSIVE: {missing} things that must happen did not"),
        (failures, _) => format!("BROKEN in {failures} of {} runs", report.runs),
    };
    let _ = writeln!(text, "{verdict} ({:.0} s, {rate:.0} deliveries/s)", report.seconds);
    text
}

pub(super) fn merge(common: &Common, paths: &[PathBuf]) -> ExitCode {
    let mut reports = Vec::new();
    for path in paths {
        let read = std::fs::read_to_string(path).map_err(|error| error.to_string());
        let parsed = read.and_then(|text| {
            serde_json::from_str::<Report>(&text)
                .map_err(|error| format!("not a report of a shard: {error}"))
        });
        match parsed {
            Ok(report) => reports.push(report),
            Err(problem) => {
                errln!("error: {}: {problem}; run the shard again with --report", path.display());
                return ExitCode::DataRefused;
            }
        }
    }
    match campaign::merge(&reports) {
        Ok(report) => conclude(common, &report),
        Err(error @ campaign::MergeError::Missing { .. }) => {
            errln!("error: {error}");
            ExitCode::Inconclusive
        }
        Err(error) => usage(&error),
    }
}

/// The plan and the name of a run, for `explain_failure`.
pub(super) fn name(task: Task) -> String {
    match task {
        Task::Seed { n, seed } => format!("n{n}-seed{seed}"),
        Task::Production { seed } => format!("production-seed{seed}"),
        Task::Twins { scenario } => format!("twins{scenario}"),
        Task::Lie { number } => format!("lie{number}"),
    }
}
