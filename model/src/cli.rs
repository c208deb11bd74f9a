//! The command line of `pbft-model`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::{fs, io, thread};

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;

use crate::check::{CheckOptions, CheckReport, Verdict, check};
use crate::mutant_record::{RECORD, Row};
use crate::run::{ExitCode, Format, RunDir, RunRecord, Stderr, say};
use crate::trace::Trace;
use crate::{Config, Mutant, Reductions, explore, mutants, output};

/// Model-check PBFT: every behaviour of a small group with one Byzantine replica.
#[derive(Debug, Parser)]
#[command(name = "pbft-model", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Subcommands,
}

const EXAMPLES: &str = "\
A configuration is named by its bounds: n4-b0-v2-s1-d2 is four replicas of which replica 0 is Byzantine \
(bnone: none is), views 0 to 2, one slot, two clients with one request each; -k1-l2 adds a checkpoint \
every slot and a window of two.

Examples:
  pbft-model check                               the quick configurations, all of them exhaustively
  pbft-model check --config n4-b0-v1-s2-d2       one configuration
  pbft-model check --config n4-b0-v1-s1-d2 --mutant p-omitted
                                                 plant a bug and see the shortest counterexample
  pbft-model explore --config n4-b0-v1-s1-d2     walk through the states in a browser
  pbft-model mutants                             plant every bug in turn
  pbft-model list                                names of configurations, properties, witnesses, mutants

Exit codes: 0 everything holds, 1 a violation or a surviving mutant, 2 bad usage, 3 inconclusive.";

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Visit every reachable state and evaluate every property in it
    Check(CheckArgs),
    /// Walk through the states in a browser (Stateright Explorer)
    Explore(ExploreArgs),
    /// Print a recorded path step by step
    Replay(ReplayArgs),
    /// Plant each bug in turn and demand that its property finds it out
    Mutants(MutantsArgs),
    /// List configurations, properties, witnesses and mutants
    List(ListArgs),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Preset {
    /// Views 0 to 2 with one slot, views 0 to 1 with two slots, and with checkpoints
    Quick,
}

#[derive(Debug, Args)]
struct CheckArgs {
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

#[derive(Debug, Args)]
struct ResultArgs {
    /// How to write the results
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Where run directories are created
    #[arg(long, value_name = "DIRECTORY", default_value = "runs")]
    runs: PathBuf,
}

#[derive(Debug, Args)]
struct ExploreArgs {
    /// The configuration
    #[arg(long, value_name = "NAME")]
    config: Config,
    /// A bug to plant
    #[arg(long, value_enum, value_name = "NAME", hide_possible_values = true)]
    mutant: Option<Mutant>,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:3000")]
    address: SocketAddr,
}

#[derive(Debug, Args)]
struct ReplayArgs {
    /// A trace.json of a run directory
    trace: PathBuf,
}

#[derive(Debug, Args)]
struct MutantsArgs {
    /// One mutant only; may be repeated
    #[arg(long, value_enum, value_name = "NAME", hide_possible_values = true)]
    name: Vec<Mutant>,
    /// Print the shortest counterexamples too
    #[arg(long)]
    traces: bool,
    #[command(flatten)]
    results: ResultArgs,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// How to write the list
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Subcommands::Check(args) => check_all(&args),
        Subcommands::Explore(args) => explore_one(&args),
        Subcommands::Replay(args) => replay(&args),
        Subcommands::Mutants(args) => hunt(&args),
        Subcommands::List(args) => list(&args),
    };
    result.unwrap_or_else(|message| {
        eprintln!("error: {message}");
        ExitCode::Usage
    })
}

fn describe(what: &str, path: &Path) -> impl Fn(io::Error) -> String {
    let text = format!("{what} {}", path.display());
    move |error| format!("{text}: {error}")
}

fn print_json<T: Serialize>(value: &T) -> Result<(), String> {
    let text = serde_json::to_string(value).map_err(|error| error.to_string())?;
    say(&format_args!("{text}\n"));
    Ok(())
}

fn check_all(args: &CheckArgs) -> Result<ExitCode, String> {
    let configs = match (args.preset, args.config.as_slice()) {
        (Some(Preset::Quick), _) | (None, []) => Config::quick_preset(),
        (None, named) => named.to_vec(),
    };
    let options =
        CheckOptions { mutant: args.mutant, reductions: args.reductions, threads: args.threads };
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
    for report in &reports {
        let Some(trace) = &report.counterexample else { continue };
        let model = trace.model().map_err(|error| error.to_string())?;
        directory.write_json(&format!("{}.trace.json", report.config), trace).map_err(&written)?;
        let text = trace.render(&model);
        directory.write(&format!("{}.trace.txt", report.config), &text).map_err(&written)?;
    }
    match args.results.format {
        Format::Json => print_json(&reports)?,
        Format::Human => {
            say(&format_args!("{}\n", output::check_table(&reports)));
            for report in &reports {
                say(&output::check_details(report, directory.path()));
            }
            say(&format_args!("{}\n", output::check_summary(&reports)));
            say(&format_args!("run directory: {}\n", directory.path().display()));
        }
    }
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

fn explore_one(args: &ExploreArgs) -> Result<ExitCode, String> {
    explore::serve(&args.config, args.mutant, args.address)?;
    Ok(ExitCode::Holds)
}

fn replay(args: &ReplayArgs) -> Result<ExitCode, String> {
    let text = fs::read_to_string(&args.trace).map_err(describe("reading", &args.trace))?;
    let trace: Trace = serde_json::from_str(&text)
        .map_err(|error| format!("{} is not a trace: {error}", args.trace.display()))?;
    let model = trace.model().map_err(|error| format!("{}: {error}", args.trace.display()))?;
    say(&output::trace_text(&trace, &model));
    match trace.first_disabled(&model) {
        None => Ok(ExitCode::Holds),
        Some(step) => {
            let step = step + 1;
            say(&format_args!(
                "step {step} is not enabled in this model: the trace is of another version\n"
            ));
            Ok(ExitCode::Finding)
        }
    }
}

fn hunt(args: &MutantsArgs) -> Result<ExitCode, String> {
    let chosen = |row: &&Row| args.name.is_empty() || args.name.contains(&row.mutant);
    let rows: Vec<Row> = RECORD.iter().filter(chosen).copied().collect();
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let reports = mutants::hunt_all(&rows, threads, |report| {
        let fate = if report.as_recorded { "as recorded" } else { "NOT AS RECORDED" };
        eprintln!("{}: {fate}, {} states, {:.1} s", report.name, report.states, report.seconds);
    })
    .map_err(|error| error.to_string())?;
    let names = reports.iter().map(|report| report.config.clone()).collect();
    let record = RunRecord::new(names, None, &reports, reports.len() == rows.len());
    let directory = RunDir::create(&args.results.runs, "mutants")
        .map_err(describe("creating a run directory in", &args.results.runs))?;
    directory.write_json("run.json", &record).map_err(describe("writing to", directory.path()))?;
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
            say(&format_args!("run directory: {}\n", directory.path().display()));
        }
    }
    Ok(mutants::exit_code(&rows, &reports))
}

fn list(args: &ListArgs) -> Result<ExitCode, String> {
    let catalogue = output::Catalogue::new();
    match args.format {
        Format::Json => print_json(&catalogue)?,
        Format::Human => say(&catalogue),
    }
    Ok(ExitCode::Holds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
