//! `pbft-model mutants`: each planted bug must be found out.

use pbft_output::errln;
use std::num::NonZeroUsize;
use std::thread;

use clap::Args;

use super::{ResultArgs, describe, print_json};
use crate::mutant_record::{RECORD, Row};
use crate::report::mutants_report;
use crate::run::{ExitCode, Format, RunDir, RunRecord, say};
use crate::trace::write_trace;
use crate::{Mutant, mutants, output};

#[derive(Debug, Args)]
pub(super) struct MutantsArgs {
    /// One mutant only; may be repeated
    #[arg(long, value_enum, value_name = "NAME", hide_possible_values = true)]
    name: Vec<Mutant>,
    /// Print the shortest counterexamples too
    #[arg(long)]
    traces: bool,
    #[command(flatten)]
    results: ResultArgs,
}

/// Hunts the mutants, writes a run directory and prints the table.
pub(super) fn run(args: &MutantsArgs) -> Result<ExitCode, String> {
    let chosen = |row: &&Row| args.name.is_empty() || args.name.contains(&row.mutant);
    let rows: Vec<Row> = RECORD.iter().filter(chosen).copied().collect();
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let files = args.results.reports.create()?;
    let reports = mutants::hunt_all(&rows, threads, |report| {
        let fate = if report.as_recorded { "as recorded" } else { "NOT AS RECORDED" };
        errln!("{}: {fate}, {} states, {:.1} s", report.name, report.states, report.seconds);
    })
    .map_err(|error| error.to_string())?;
    let names = reports.iter().map(|report| report.config.clone()).collect();
    let record = RunRecord::new(names, None, &reports, reports.len() == rows.len());
    let directory = RunDir::create(&args.results.runs, "mutants")
        .map_err(describe("creating a run directory in", &args.results.runs))?;
    let written = describe("writing to", directory.path());
    directory.write_json("run.json", &record).map_err(&written)?;
    let mut odd = Vec::new();
    for report in &reports {
        let Some(trace) = &report.counterexample else { continue };
        let file = write_trace(&directory, &report.name, trace).map_err(&written)?;
        if !report.as_recorded {
            odd.push(file);
        }
    }
    match args.results.format {
        Format::Json => print_json(&reports)?,
        Format::Human => {
            say(&format_args!("{}\n", output::mutant_table(&reports)));
            if args.traces {
                for trace in reports.iter().filter_map(|report| report.counterexample.as_ref()) {
                    let model = trace.model().map_err(|error| error.to_string())?;
                    say(&format_args!("{}\n", output::trace_text(trace, &model)));
                }
            }
            say(&format_args!("{}\n", output::mutant_summary(&reports)));
            say(&output::closing(None, directory.path(), &odd));
        }
    }
    files.write(&mutants_report(&reports, directory.path()))?;
    Ok(mutants::exit_code(&rows, &reports))
}
