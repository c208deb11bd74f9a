//! `pbft-model simulate`: random walks.

use std::num::NonZeroUsize;

use clap::Args;

use super::check::property;
use super::{ResultArgs, describe, print_json};
use crate::check::Verdict;
use crate::report::simulate_report;
use crate::run::{ExitCode, Format, RunDir, RunRecord, Stderr, say};
use crate::simulate::{SimulateOptions, SimulateReport, simulate, simulate_with_theorem};
use crate::trace::write_trace;
use crate::{output, preset};
use pbft_model::Config;

#[derive(Debug, Args)]
pub(super) struct SimulateArgs {
    /// A configuration by name; may be repeated
    #[arg(long, value_name = "NAME", num_args = 1.., required_unless_present = "theorem")]
    config: Vec<Config>,
    /// A mutant to have on, in a build of its own; `list` names them
    #[arg(long, value_name = "NAME")]
    pub(super) mutant: Option<String>,
    /// The property whose violation ends the walks [default: any]
    #[arg(long, value_name = "NAME", value_parser = property)]
    property: Option<&'static str>,
    /// Draws the walks; with one thread the same seed gives the same walks
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// States to visit in each configuration
    #[arg(long, value_name = "N", default_value = "1000000")]
    states: NonZeroUsize,
    /// Threads
    #[arg(long, value_name = "N", default_value = "1")]
    threads: NonZeroUsize,
    /// Compare each state, and each step from it, with the theorem [default configurations: larger ones than `check --theorem`
    /// compares exhaustively]
    #[arg(long)]
    theorem: bool,
    #[command(flatten)]
    results: ResultArgs,
}

/// Walks through each configuration, writes a run directory and prints the results.
pub(super) fn run(args: &SimulateArgs) -> Result<ExitCode, String> {
    let files = args.results.reports.create()?;
    let options = SimulateOptions {
        property: args.property,
        seed: args.seed,
        states: args.states,
        threads: args.threads,
        theorem: args.theorem,
    };
    let configs = if args.config.is_empty() { preset::walks() } else { args.config.clone() };
    let mut progress = Stderr::new();
    let walk = |config: &Config| match options.theorem {
        true => simulate_with_theorem(config, options, &mut progress),
        false => Ok(simulate(config, options, &mut progress)),
    };
    let reports = configs.iter().map(walk).collect::<Result<Vec<SimulateReport>, _>>()?;
    let names = configs.iter().map(Config::to_string).collect();
    let record = RunRecord::new(names, Some(args.seed), &reports, false);
    let directory = RunDir::create(&args.results.runs, "simulate")
        .map_err(describe("creating a run directory in", &args.results.runs))?;
    let written = describe("writing to", directory.path());
    directory.write_json("run.json", &record).map_err(&written)?;
    let mut counterexamples = Vec::new();
    for report in &reports {
        let Some(trace) = &report.counterexample else { continue };
        let name = report.config.to_string();
        counterexamples.push(write_trace(&directory, &name, trace).map_err(&written)?);
    }
    match args.results.format {
        Format::Json => print_json(&reports)?,
        Format::Human => {
            for report in &reports {
                say(&output::simulate_text(report));
            }
            say(&output::closing(Some(args.seed), directory.path(), &counterexamples));
        }
    }
    files.write(&simulate_report(&reports, directory.path()))?;
    let violated = reports.iter().any(|report| report.verdict == Verdict::Violated);
    Ok(if violated { ExitCode::Finding } else { ExitCode::Inconclusive })
}
