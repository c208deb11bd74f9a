//! `pbft-model mutants`: each planted bug must be found out. And `hunt`, what each of its processes does.

use pbft_output::errln;
use std::num::NonZeroUsize;
use std::thread;

use clap::Args;

use super::check::property;
use super::generated::{self, GeneratedArgs};
use super::{Failure, ResultArgs, describe, print_json};
use crate::mutant_record::{Row, record};
use crate::mutants::{self, Found};
use crate::output;
use crate::report::mutants_report;
use crate::run::{ExitCode, Format, RunDir, RunRecord, say};
use pbft_model::Config;

#[derive(Debug, Args)]
pub(super) struct MutantsArgs {
    /// One mutant only; may be repeated
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,
    /// Print the shortest counterexamples too
    #[arg(long, conflicts_with = "generated")]
    traces: bool,
    #[command(flatten)]
    made: GeneratedArgs,
    #[command(flatten)]
    results: ResultArgs,
}

#[derive(Debug, Args)]
pub(super) struct HuntArgs {
    /// The configuration
    #[arg(long, value_name = "NAME")]
    config: Config,
    /// The property [default: any]
    #[arg(long, value_name = "NAME", value_parser = property)]
    property: Option<&'static str>,
}

/// Searches under the rules as they are in this process, and prints what it found as JSON.
pub(super) fn hunt(args: &HuntArgs) -> Result<ExitCode, String> {
    let found = Found::here(args.config, args.property).map_err(|error| error.to_string())?;
    print_json(&found)?;
    Ok(ExitCode::Holds)
}

/// Hunts the mutants, writes a run directory and prints the table.
pub(super) fn run(args: &MutantsArgs) -> Result<ExitCode, Failure> {
    if args.made.generated {
        return generated::run(&args.made, &args.name, &args.results);
    }
    let rows = chosen(&args.name)?;
    let files = args.results.reports.create()?;
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let planted = mutants::planted()?;
    let reports = mutants::hunt_all(&planted, &rows, threads, |report| {
        let fate = if report.as_recorded { "as recorded" } else { "NOT AS RECORDED" };
        errln!("{}: {fate}, {} states, {:.1} s", report.name, report.states, report.seconds);
    })?;
    let names = reports.iter().map(|report| report.config.clone()).collect();
    let record = RunRecord::new(names, None, &reports, reports.len() == rows.len());
    let directory = RunDir::create(&args.results.runs, "mutants")
        .map_err(describe("creating a run directory in", &args.results.runs))?;
    let written = describe("writing to", directory.path());
    directory.write_json("run.json", &record).map_err(&written)?;
    let mut odd = Vec::new();
    for report in &reports {
        let Some(trace) = &report.written else { continue };
        let file = trace.keep(&directory, &report.name).map_err(&written)?;
        if !report.as_recorded {
            odd.push(file);
        }
    }
    match args.results.format {
        Format::Json => print_json(&reports)?,
        Format::Human => {
            say(&format_args!("{}\n", output::mutant_table(&reports)));
            if !args.name.is_empty() {
                reports.iter().for_each(|report| say(&format_args!("{}\n", report.diff)));
            }
            if args.traces {
                let written = reports.iter().filter_map(|report| report.written.as_ref());
                written.for_each(|trace| say(&format_args!("{}\n", trace.text)));
            }
            say(&format_args!("{}\n", output::mutant_summary(&reports)));
            say(&output::closing(None, directory.path(), &odd));
        }
    }
    files.write(&mutants_report(&reports, directory.path()))?;
    Ok(mutants::exit_code(&rows, &reports))
}

/// The mutants of these names, or all.
fn chosen(names: &[String]) -> Result<Vec<Row>, String> {
    let rows = record().map_err(|error| error.to_string())?;
    let is_known = |name: &&String| rows.iter().any(|row| row.name == **name);
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        return Err(format!("there is no mutant `{unknown}`; `pbft-model list` names them"));
    }
    let is_chosen = |row: &Row| names.is_empty() || names.contains(&row.name);
    Ok(rows.into_iter().filter(is_chosen).collect())
}
