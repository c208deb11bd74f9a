//! `pbft-model check`: every reachable state of some configurations.

use pbft_output::errln;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{ResultArgs, describe, print_json};
use crate::check::{CheckOptions, CheckReport, Verdict, check};
use crate::estimate::Estimate;
use crate::finished::Finished;
use crate::mutant_record::active;
use crate::preset::{Entry, Preset};
use crate::report::{CheckSummary, check_report};
use crate::run::{ExitCode, Format, RunDir, RunRecord, Stderr, say};
use crate::shard::Shard;
use crate::trace::write_trace;
use crate::{output, theorem};
use pbft_model::properties::PROPERTIES;
use pbft_model::{Config, Reductions};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// A set of configurations; `quick`, or `theorem` with --theorem, if no --config is given
    #[arg(long, value_enum, conflicts_with = "config")]
    preset: Option<Preset>,
    /// A configuration by name; may be repeated
    #[arg(long, value_name = "NAME", num_args = 1..)]
    config: Vec<Config>,
    /// List the configurations with their states and edges on record instead of checking them
    #[arg(long)]
    list: bool,
    /// A mutant to have on, in a build of its own; `list` names them
    #[arg(long, value_name = "NAME")]
    pub(super) mutant: Option<String>,
    /// The property whose violation ends the search [default: any]
    #[arg(long, value_name = "NAME", value_parser = property)]
    property: Option<&'static str>,
    /// Reductions: none, all that apply, or a list such as values,replicas
    #[arg(long, value_name = "LIST", default_value = "all")]
    reductions: Reductions,
    /// Compare every state and step with the theorem: its invariant holds, and each step is one of its system (forgets
    /// nothing, so the reduction `dead` is off)
    #[arg(long)]
    theorem: bool,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Count states and edges again with the second engine, under two hash seeds
    #[arg(long)]
    second_opinion: bool,
    /// Give up on a configuration after so many states: exit code 3
    #[arg(long, value_name = "N")]
    max_states: Option<u64>,
    /// Give up on a configuration after so many seconds: exit code 3
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Leave out what an interrupted run has finished, by its run directory
    #[arg(long, value_name = "DIRECTORY")]
    resume: Option<PathBuf>,
    /// Only a part of the configurations, for several machines: I/N is the I-th of N
    #[arg(long, value_name = "I/N", default_value = "1/1", conflicts_with = "merge")]
    shard: Shard,
    /// Check nothing, and put the results in these run directories, of all shards, together
    #[arg(long, value_name = "DIRECTORY", num_args = 1.., conflicts_with = "resume")]
    merge: Vec<PathBuf>,
    /// Start also when memory is not expected to be enough
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    results: ResultArgs,
}

pub(super) fn property(name: &str) -> Result<&'static str, String> {
    let found = PROPERTIES.iter().find(|one| one.name == name);
    found.map(|one| one.name).ok_or_else(|| {
        let names: Vec<_> = PROPERTIES.iter().map(|one| one.name).collect();
        format!("there is no such property; there are {}", names.join(", "))
    })
}

impl CheckArgs {
    fn entries(&self) -> Vec<Entry> {
        let all = self.all_entries().into_iter().enumerate();
        all.filter(|(place, _)| self.shard.has(*place)).map(|(_, entry)| entry).collect()
    }

    fn all_entries(&self) -> Vec<Entry> {
        match (self.preset, self.config.as_slice()) {
            (Some(preset), _) => preset.entries(),
            (None, []) if self.theorem => Preset::Theorem.entries(),
            (None, []) => Preset::Quick.entries(),
            (None, named) => {
                named.iter().map(|config| Entry { config: *config, property: None }).collect()
            }
        }
    }

    fn options(&self, entry: &Entry) -> CheckOptions {
        let options = CheckOptions {
            reductions: self.reductions,
            property: self.property.or(entry.property),
            threads: self.threads,
            max_states: self.max_states,
            timeout: self.timeout.map(Duration::from_secs),
            second_opinion: self.second_opinion,
            control: entry.property.is_some(),
            theorem: false,
        };
        if self.theorem { options.with_theorem() } else { options }
    }
}

/// Checks each configuration, writes a run directory and prints the results.
pub(super) fn run(args: &CheckArgs) -> Result<ExitCode, String> {
    let entries = args.entries();
    if args.list {
        return list(&entries, args.results.format);
    }
    if args.preset == Some(Preset::Deep) && args.merge.is_empty() {
        let estimate = Estimate::of(&entries);
        errln!("{estimate}");
        if !estimate.fits() && !args.force {
            errln!("not started: --force starts it all the same, --preset nightly is smaller");
            return Ok(ExitCode::Inconclusive);
        }
    }
    let files = args.results.reports.create()?;
    let directory = RunDir::create(&args.results.runs, "check")
        .map_err(describe("creating a run directory in", &args.results.runs))?;
    let reports = check_all(args, &entries, &directory)?;
    if reports.len() < entries.len() {
        return Ok(ExitCode::Inconclusive);
    }
    let complete = reports.iter().all(|report| report.complete || report.control);
    let names = entries.iter().map(|entry| entry.config.to_string()).collect();
    let record = RunRecord::new(names, None, &reports, complete);
    let written = describe("writing to", directory.path());
    directory.write_json("run.json", &record).map_err(&written)?;
    let mut counterexamples = Vec::new();
    for report in &reports {
        let Some(trace) = &report.counterexample else { continue };
        let file = write_trace(&directory, &report.config.to_string(), trace).map_err(&written)?;
        if report.verdict != Verdict::Holds {
            counterexamples.push(file);
        }
    }
    match args.results.format {
        Format::Json => print_json(&CheckSummary::new(&reports, directory.path()))?,
        Format::Human => {
            say(&format_args!("{}\n", output::check_table(&reports)));
            for report in &reports {
                say(&output::check_details(report));
            }
            say(&format_args!("{}\n", output::check_summary(&reports)));
            say(&output::closing(None, directory.path(), &counterexamples));
        }
    }
    files.write(&check_report("pbft-model check", &reports, directory.path()))?;
    Ok(overall(&reports))
}

fn list(entries: &[Entry], format: Format) -> Result<ExitCode, String> {
    let listed = output::Listed::all(entries);
    match format {
        Format::Json => print_json(&listed)?,
        Format::Human => listed.iter().for_each(|line| say(line)),
    }
    Ok(ExitCode::Holds)
}

/// Checks configuration by configuration. Each result is on disk before the next begins, so that an interrupted run can
/// be resumed. Of a merge, results that no shard has are missing.
fn check_all(
    args: &CheckArgs,
    entries: &[Entry],
    directory: &RunDir,
) -> Result<Vec<CheckReport>, String> {
    let mut finished = Finished::create(directory)?;
    let mut earlier = Vec::new();
    for directory in args.resume.iter().chain(&args.merge) {
        earlier.extend(Finished::read(directory)?);
    }
    let mut progress = Stderr::new();
    let mut reports = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        progress.count(at + 1, entries.len());
        let options = args.options(entry);
        let known = earlier.iter().find(|report| is_of(report, entry, &options));
        let report = match known {
            Some(report) => report.clone(),
            None if !args.merge.is_empty() => {
                errln!("{} is in none of the directories: its shard is missing", entry.config);
                continue;
            }
            None => check(&entry.config, options, &mut progress),
        };
        finished.add(&report)?;
        reports.push(report);
    }
    Ok(reports)
}

/// Whether a report of an earlier run answers the same question, to the end.
fn is_of(report: &CheckReport, entry: &Entry, options: &CheckOptions) -> bool {
    let asked = (entry.config, active(), options.reductions, options.control);
    let mutant = report.mutant.as_deref();
    let answered = (report.config, mutant, report.reductions, report.control);
    let compared = options.theorem == report.properties.contains_key(theorem::PROPERTY);
    let same_property = report.property.as_deref() == options.property;
    let counted = !options.second_opinion || !report.second_opinion.is_empty();
    let settled = report.complete || report.counterexample.is_some();
    asked == answered && compared && same_property && settled && (counted || report.control)
}

/// A violation outranks an inconclusive search.
fn overall(reports: &[CheckReport]) -> ExitCode {
    let any = |verdict| reports.iter().any(|report| report.verdict == verdict);
    if any(Verdict::Violated) {
        ExitCode::Finding
    } else if reports.is_empty() || any(Verdict::Inconclusive) {
        ExitCode::Inconclusive
    } else {
        ExitCode::Holds
    }
}
