//! What the subcommands of `pbft-model` report: a case for each property and witness of a configuration, one for each mutant.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Case, Command, Outcome, Report, Suite};
use crate::check::{CheckReport, PropertyResult, Verdict};
use crate::mutants::MutantReport;
use crate::output::trace_text;
use crate::simulate::SimulateReport;
use crate::trace::Trace;
use pbft_model::properties::PROPERTIES;
use pbft_model::reduction::Reductions;
use pbft_model::witnesses::WITNESSES;

/// A report on checked configurations: for each a case that the search was complete, one for each property, one for
/// each witness that applies.
#[must_use]
pub fn check_report(title: &str, reports: &[CheckReport], directory: &Path) -> Report {
    let mut commands = Vec::new();
    for report in reports.iter().filter(|report| report.verdict != Verdict::Holds) {
        commands.push(check_again(report));
        if report.counterexample.is_some() {
            commands.extend(look_at(&trace_file(directory, &report.config.to_string())));
        }
    }
    Report {
        title: title.to_owned(),
        seed: None,
        directory: directory.to_owned(),
        suites: reports.iter().map(check_suite).collect(),
        commands,
    }
}

fn check_again(report: &CheckReport) -> Command {
    let mutant = report.mutant.as_ref().map_or(String::new(), |one| format!(" --mutant {one}"));
    let reductions = match report.reductions {
        Reductions::ALL => String::new(),
        other => format!(" --reductions {other}"),
    };
    let line = format!("cargo check-model --config {}{mutant}{reductions}", report.config);
    Command { purpose: format!("Check {} again", report.config), line }
}

/// Where [`crate::trace::write_trace`] puts a trace.
fn trace_file(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.trace.itf.json"))
}

/// The commands that show a counterexample.
pub(crate) fn look_at(file: &Path) -> [Command; 2] {
    let command = |purpose: &str, subcommand: &str| Command {
        purpose: purpose.to_owned(),
        line: format!("cargo {subcommand} {}", file.display()),
    };
    [
        command("Read the counterexample", "trace"),
        command("Walk through it in a browser", "explore --trace"),
    ]
}

/// Totals of a check.
#[derive(Clone, Debug, Serialize)]
struct Totals {
    configurations: usize,
    states: u64,
    edges: u64,
}

/// A check as one JSON object.
#[derive(Clone, Debug, Serialize)]
pub struct CheckSummary<'a> {
    verdict: Verdict,
    complete: bool,
    seed: Option<u64>,
    counts: Totals,
    /// Probability that in any of the searches two states shared a fingerprint, at most.
    collision_bound: f64,
    run_directory: &'a Path,
    counterexamples: Vec<PathBuf>,
    configurations: &'a [CheckReport],
}

impl<'a> CheckSummary<'a> {
    /// Adds up what was checked.
    #[must_use]
    pub fn new(reports: &'a [CheckReport], directory: &'a Path) -> Self {
        let violated = reports.iter().filter(|report| report.counterexample.is_some());
        Self {
            verdict: check_report("", reports, directory).tally().verdict(),
            complete: !reports.is_empty()
                && reports.iter().all(|report| report.complete || report.control),
            seed: None,
            counts: Totals {
                configurations: reports.len(),
                states: reports.iter().map(|report| report.unique_states).sum(),
                edges: reports.iter().map(|report| report.edges).sum(),
            },
            collision_bound: reports.iter().map(|report| report.collision_bound).sum(),
            run_directory: directory,
            counterexamples: violated
                .map(|report| trace_file(directory, &report.config.to_string()))
                .collect(),
            configurations: reports,
        }
    }
}

/// Whether states and edges are those on record and those of the second engine, and nothing else was remarked.
fn counts(report: &CheckReport) -> Outcome {
    if report.remarks.is_empty() || report.counterexample.is_some() {
        return Outcome::Passed;
    }
    let message = report.remarks.join("; ");
    match report.verdict {
        Verdict::Violated => Outcome::Failed { message, detail: String::new() },
        Verdict::Holds | Verdict::Inconclusive => Outcome::Inconclusive { message },
    }
}

/// Whether a negative control did what it must.
fn control(report: &CheckReport) -> Outcome {
    match report.verdict {
        Verdict::Holds => Outcome::Passed,
        Verdict::Violated | Verdict::Inconclusive => Outcome::Failed {
            message: "more Byzantine replicas than f broke nothing".to_owned(),
            detail: String::new(),
        },
    }
}

/// The most memory that the process has held up to the end of this search.
fn mebibytes(report: &CheckReport) -> String {
    report.peak_memory_bytes.map_or("?".to_owned(), |bytes| (bytes >> 20).to_string())
}

fn check_suite(report: &CheckReport) -> Suite {
    // After a violation the search ends, and what it did not settle is no second finding.
    let unsettled = |message: &str| match &report.counterexample {
        Some(_) => Outcome::Skipped { reason: "the search ended at a violation".to_owned() },
        None => Outcome::Inconclusive { message: message.to_owned() },
    };
    let complete = match report.complete {
        true => Outcome::Passed,
        false => unsettled("not every reachable state was visited"),
    };
    let mut cases = vec![case("search is complete", complete), case("counts", counts(report))];
    if report.control {
        cases.push(case("agreement breaks beyond f", control(report)));
    }
    for (name, result) in &report.properties {
        let statement = PROPERTIES.iter().find(|one| one.name == name).map(|one| one.statement);
        let outcome = match result {
            PropertyResult::Holds => Outcome::Passed,
            PropertyResult::Violated if report.control => Outcome::Passed,
            PropertyResult::Violated => Outcome::Failed {
                message: format!("violated: {}", statement.unwrap_or(name)),
                detail: report.counterexample.as_ref().map_or(String::new(), detail),
            },
            PropertyResult::Unknown => unsettled("the search ended before this was settled"),
        };
        cases.push(case(&format!("property {name}"), outcome));
    }
    for (name, found) in &report.witnesses {
        let statement = WITNESSES.iter().find(|one| one.name == name).map(|one| one.statement);
        let outcome = if *found {
            Outcome::Passed
        } else {
            unsettled(&format!("not reached: {}", statement.unwrap_or(name)))
        };
        cases.push(case(&format!("witness {name}"), outcome));
    }
    let mutant =
        report.mutant.as_ref().map_or(String::new(), |mutant| format!(" --mutant {mutant}"));
    let property = |name: &str, value| (name.to_owned(), value);
    Suite {
        name: format!("{}{mutant}", report.config),
        seconds: report.seconds,
        properties: vec![
            property("states", report.unique_states.to_string()),
            property("edges", report.edges.to_string()),
            property("depth", report.depth.to_string()),
            property("peak MiB so far", mebibytes(report)),
            property("complete", if report.complete { "yes" } else { "no" }.to_owned()),
            property("reductions", report.reductions.to_string()),
            property("hash collision below", format!("{:.1e}", report.collision_bound)),
        ],
        cases,
    }
}

/// A report on walks: a case for each configuration, which fails at a violation and cannot pass.
#[must_use]
pub fn simulate_report(reports: &[SimulateReport], directory: &Path) -> Report {
    let property = |name: &str, value: u64| (name.to_owned(), value.to_string());
    let suite = |report: &SimulateReport| {
        let outcome = match &report.counterexample {
            Some(trace) => Outcome::Failed {
                message: format!("violated: {}", trace.shows.join(", ")),
                detail: detail(trace),
            },
            None => Outcome::Inconclusive {
                message: "no walk found a violation, which proves nothing".to_owned(),
            },
        };
        Suite {
            name: report.config.to_string(),
            seconds: report.seconds,
            properties: vec![
                property("walks", report.walks),
                property("visits", report.visits),
                property("depth", report.depth),
            ],
            cases: vec![case("walks", outcome)],
        }
    };
    let found = reports.iter().filter(|report| report.counterexample.is_some());
    Report {
        title: "pbft-model simulate".to_owned(),
        seed: reports.first().map(|report| report.seed),
        directory: directory.to_owned(),
        commands: found
            .flat_map(|report| look_at(&trace_file(directory, &report.config.to_string())))
            .collect(),
        suites: reports.iter().map(suite).collect(),
    }
}

/// A report on mutants: a case for each, which passes if what became of it is as recorded.
#[must_use]
pub fn mutants_report(reports: &[MutantReport], directory: &Path) -> Report {
    let outcome = |report: &MutantReport| {
        if report.as_recorded {
            return Outcome::Passed;
        }
        let found = report.killed_by.as_deref().unwrap_or("no violation");
        Outcome::Failed {
            message: format!("{}: expected {}, found {found}", report.rule, report.expected),
            detail: report.written.as_ref().map_or(String::new(), |written| written.text.clone()),
        }
    };
    let cases = reports.iter().map(|report| Case {
        name: report.name.clone(),
        outcome: outcome(report),
        seconds: report.seconds,
        facts: Vec::new(),
    });
    let killed = reports.iter().filter(|report| report.killed && !report.equivalent).count();
    let equivalent = reports.iter().filter(|report| report.equivalent).count();
    let states: u64 = reports.iter().map(|report| report.states).sum();
    let property = |name: &str, value| (name.to_owned(), value);
    let suite = Suite {
        name: "mutants".to_owned(),
        seconds: reports.iter().map(|report| report.seconds).sum(),
        properties: vec![
            property("killed", killed.to_string()),
            property("equivalent", equivalent.to_string()),
            property("states", states.to_string()),
        ],
        cases: cases.collect(),
    };
    let odd = reports.iter().filter(|report| !report.as_recorded);
    let again = odd.map(|report| Command {
        purpose: "Hunt it again".to_owned(),
        line: format!("cargo mutants-of-model --traces --name {}", report.name),
    });
    Report {
        title: "pbft-model mutants".to_owned(),
        seed: None,
        directory: directory.to_owned(),
        commands: again.collect(),
        suites: vec![suite],
    }
}

fn case(name: &str, outcome: Outcome) -> Case {
    Case { name: name.to_owned(), outcome, seconds: 0.0, facts: Vec::new() }
}

fn detail(trace: &Trace) -> String {
    trace.model().map_or_else(|error| error.to_string(), |model| trace_text(trace, &model))
}
