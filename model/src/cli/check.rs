//! `pbft-model check`: every reachable state of some configurations.

use std::num::NonZeroUsize;

use clap::{Args, ValueEnum};

use super::{ResultArgs, describe, print_json};
use crate::check::{CheckOptions, CheckReport, Verdict, check};
use crate::report::{CheckSummary, check_report};
use crate::run::{ExitCode, Format, RunDir, RunRecord, Stderr, say};
use crate::trace::write_trace;
use crate::{Config, Mutant, Reductions, output};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Preset {
    /// Views 0 to 2 with one slot, views 0 to 1 with two slots, and with checkpoints
    Quick,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// A set of configurations; the default if no --config is given
    #[arg(long, value_enum, conflicts_with = "config")]
    preset: Option<Preset>,
    /// A configuration by name; may be repeated
    #[arg(long, value_name = "NAME", num_args = 1..)]
    config: Vec<Config>,
    /// A bug to plant
    #[arg(long, value_enum, value_name = "NAME", hide_possible_values = true)]
    mutant: Option<Mutant>,
    /// Reductions: none, all, or a list such as values,replicas
    #[arg(long, value_name = "LIST", default_value = "all")]
    reductions: Reductions,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    results: ResultArgs,
}

/// Checks each configuration, writes a run directory and prints the results.
pub(super) fn run(args: &CheckArgs) -> Result<ExitCode, String> {
    let configs = match (args.preset, args.config.as_slice()) {
        (Some(Preset::Quick), _) | (None, []) => Config::quick_preset(),
        (None, named) => named.to_vec(),
    };
    let options = CheckOptions {
        mutant: args.mutant,
        reductions: args.reductions,
        threads: args.threads,
        ..CheckOptions::default()
    };
    let files = args.results.reports.create()?;
    let mut progress = Stderr::new();
    let reports: Vec<CheckReport> =
        configs.iter().map(|config| check(config, options, &mut progress)).collect();
    let complete = reports.iter().all(|report| report.complete);
    let names = configs.iter().map(Config::to_string).collect();
    let record = RunRecord::new(names, None, &reports, complete);
    let directory = RunDir::create(&args.results.runs, "check")
        .map_err(describe("creating a run directory in", &args.results.runs))?;
    let written = describe("writing to", directory.path());
    directory.write_json("run.json", &record).map_err(&written)?;
    let mut counterexamples = Vec::new();
    for report in &reports {
        let Some(trace) = &report.counterexample else { continue };
        let file = write_trace(&directory, &report.config.to_string(), trace).map_err(&written)?;
        counterexamples.push(file);
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
