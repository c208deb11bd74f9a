//! `pbft-model mutants --generated`: the mutants that are made from the specification by rule. And what each of its processes
//! does.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;

use clap::Args;
use pbft_output::errln;
use pbft_plant::build::BuildError;
use pbft_plant::tool::{Planted, ToolError};

use super::{Failure, ResultArgs, describe, print_json};
use crate::finished::Finished;
use crate::generated::record::{self, Row};
use crate::generated::{self, Fate, Report, search};
use crate::output;
use crate::run::{ExitCode, Format, RunDir, RunRecord, say};
use crate::shard::Shard;
use pbft_model::Config;

#[derive(Debug, Args)]
pub(super) struct GeneratedArgs {
    /// Instead of the list: every mutant that can be made from the specification by rule (half an hour and more)
    #[arg(long)]
    pub(super) generated: bool,
    /// States for each mutant, over all configurations
    #[arg(long, value_name = "STATES", default_value_t = generated::BUDGET, requires = "generated")]
    #[arg(value_parser = clap::value_parser!(u64).range(1_000..))]
    budget: u64,
    /// Processes at a time [default: one for each core]
    #[arg(long, value_name = "N", requires = "generated")]
    threads: Option<NonZeroUsize>,
    /// Only a part of the mutants, for several machines: I/N is the I-th of N
    #[arg(long, value_name = "I/N", default_value = "1/1", requires = "generated")]
    shard: Shard,
    /// Leave out what an interrupted run has finished, by its run directory
    #[arg(long, value_name = "DIRECTORY", requires = "generated")]
    resume: Option<PathBuf>,
    /// Search nothing, and put the results in these run directories, of all shards, together
    #[arg(long, value_name = "DIRECTORY", num_args = 1.., requires = "generated")]
    #[arg(conflicts_with_all = ["resume", "shard"])]
    merge: Vec<PathBuf>,
    /// Write what came of them into model/spec/generated.txt; reasons stay where the fate does
    #[arg(long, requires = "generated")]
    record: bool,
}

#[derive(Debug, Args)]
pub(super) struct SearchArgs {
    /// States, over all configurations
    #[arg(long, value_name = "STATES", default_value_t = generated::BUDGET)]
    budget: u64,
    /// A configuration to search first, whatever the budget
    #[arg(long, value_name = "NAME")]
    first: Option<Config>,
}

/// Searches under the rules as they are in this process, and prints what it found as JSON.
pub(super) fn search(args: &SearchArgs) -> ExitCode {
    search::print_all(args.budget, args.first);
    ExitCode::Holds
}

/// Hunts them, writes a run directory and prints the survivors.
pub(super) fn run(
    args: &GeneratedArgs,
    names: &[String],
    results: &ResultArgs,
) -> Result<ExitCode, Failure> {
    let rows = chosen(args, names)?;
    let directory = RunDir::create(&results.runs, "mutants-generated")
        .map_err(describe("creating a run directory in", &results.runs))?;
    let reports = hunt_all(args, &rows, &directory)?;
    let whole = reports.len() == rows.len();
    let configs = generated::ladder().iter().map(ToString::to_string).collect();
    let run_record = RunRecord::new(configs, None, &reports, whole);
    let written = describe("writing to", directory.path());
    directory.write_json("run.json", &run_record).map_err(written)?;
    if args.record {
        write_record(&reports)?;
    }
    match results.format {
        Format::Json => print_json(&reports)?,
        Format::Human => {
            say(&format_args!("{}\n", output::generated_table(&reports)));
            say(&format_args!("{}\n", output::generated_summary(rows.len(), &reports)));
            say(&output::closing(None, directory.path(), &[]));
        }
    }
    Ok(generated::exit_code(rows.len(), &reports))
}

/// The mutants of these names, or all of the shard, with what is on record.
fn chosen(args: &GeneratedArgs, names: &[String]) -> Result<Vec<(Row, Option<Fate>)>, String> {
    let recorded = record::read().map_err(|error| error.to_string())?;
    let all = generated::all().map_err(|error| error.to_string())?;
    if let Some(unknown) = names.iter().find(|name| all.iter().all(|row| row.name != **name)) {
        return Err(format!(
            "there is no mutant `{unknown}`; `cargo plant list --generated` names them"
        ));
    }
    let is_chosen = |row: &Row| names.is_empty() || names.contains(&row.name);
    let chosen = all.into_iter().filter(is_chosen).enumerate();
    let chosen = chosen.filter(|(place, _)| args.shard.has(*place)).map(|(_, row)| row);
    Ok(chosen.map(|row| with_fate(&recorded, row)).collect())
}

fn with_fate(recorded: &[(Row, Fate)], row: Row) -> (Row, Option<Fate>) {
    let fate = recorded.iter().find(|(one, _)| *one == row).map(|(_, fate)| fate.clone());
    (row, fate)
}

/// Hunts mutant by mutant. Each result is on disk before the next begins, so that an interrupted run can be resumed.
fn hunt_all(
    args: &GeneratedArgs,
    rows: &[(Row, Option<Fate>)],
    directory: &RunDir,
) -> Result<Vec<Report>, Failure> {
    let mut finished = Finished::create(directory)?;
    let mut reports: Vec<Report> = Vec::new();
    for earlier in args.resume.iter().chain(&args.merge) {
        let known = Finished::read::<Report>(earlier)?;
        reports.extend(known.into_iter().filter(|report| {
            rows.iter().any(|(row, _)| row.name == report.name && row.change == report.change)
        }));
    }
    reports.iter().try_for_each(|report| finished.add(report))?;
    let is_open = |(row, _): &&(Row, Option<Fate>)| {
        args.merge.is_empty() && reports.iter().all(|report| report.name != row.name)
    };
    let open: Vec<_> = rows.iter().filter(is_open).cloned().collect();
    if open.is_empty() {
        return Ok(reports);
    }
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = args.threads.map_or(cores, NonZeroUsize::get);
    let (planted, refused) = planted(args.record)?;
    let (of, sink) = (open.len(), Mutex::new((0, finished)));
    let with_refused = |(row, fate): (Row, Option<Fate>)| {
        let fate = if refused.contains(&row.name) { Some(Fate::Refused) } else { fate };
        (row, fate)
    };
    let open: Vec<_> = open.into_iter().map(with_refused).collect();
    let found = generated::hunt_all(&planted, &open, args.budget, threads, |report| {
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink.0 += 1;
        let odd = if report.as_recorded { "" } else { " (NOT AS RECORDED)" };
        let (at, states) = (sink.0, report.states());
        errln!(
            "[{at}/{of}] {}: {}{odd}, {states} states, {:.1} s",
            report.name,
            report.fate,
            report.seconds
        );
        if let Err(error) = sink.1.add(report) {
            errln!("{error}");
        }
    })?;
    reports.extend(found);
    Ok(reports)
}

/// The program with those that compile. The names of those that do not go on record, if there is to be one, and the rest is
/// built without them; the compiler may refuse more then.
fn planted(may_record: bool) -> Result<(Planted, Vec<String>), Failure> {
    let mut names = Vec::new();
    loop {
        match generated::planted() {
            Ok(planted) => return Ok((planted, names)),
            Err(ToolError::Build(BuildError::Refused(refused))) if may_record => {
                let more = refused.into_iter().map(|one| one.bug).collect::<Vec<_>>();
                errln!("do not compile: {}", more.join(", "));
                let rows = generated::all().map_err(|error| error.to_string())?;
                let rows = rows.into_iter().filter(|row| more.contains(&row.name));
                put(rows.map(|row| (row, Fate::Refused)).collect())?;
                names.extend(more);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Puts what was found on record.
fn write_record(reports: &[Report]) -> Result<(), String> {
    let row = |report: &Report| Row { name: report.name.clone(), change: report.change.clone() };
    put(reports.iter().map(|report| (row(report), report.fate.clone())).collect())
}

/// Changes the record where something new came of a mutant, and drops those that are not made any more.
fn put(found: Vec<(Row, Fate)>) -> Result<(), String> {
    let changed = || -> Result<(), record::RecordError> {
        let recorded = record::read()?;
        let new = |row: &Row| {
            let mut all = found.iter().chain(&recorded);
            let fate = all.find(|(one, _)| one == row).map(|(_, fate)| fate.clone());
            fate.unwrap_or(Fate::NotSearched)
        };
        let all = generated::all()?.into_iter();
        let rows = all.map(|row| {
            let fate = new(&row);
            (row, fate)
        });
        record::write(&rows.collect::<Vec<_>>())
    };
    changed().map_err(|error| error.to_string())
}
