//! The command line of `pbft-model`.

mod check;
mod explore;
mod generated;
mod graph;
mod list;
mod mutants;
mod simulate;
mod trace;

use pbft_output::errln;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use pbft_plant::switch::planted_build;
use pbft_plant::tool::{self, ToolError};
use pbft_plant::workspace::Kind;
use serde::Serialize;

use crate::mutants::PROGRAM;
use crate::report::ReportArgs;
use crate::run::{ExitCode, Format, say};
use crate::trace::TraceError;

/// Model-check PBFT: every behaviour of a small group with one Byzantine replica.
#[derive(Debug, Parser)]
#[command(name = "pbft-model", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Subcommands,
}

const EXAMPLES: &str = "\
A configuration is named by its bounds: n4-b0-v2-s1-d2 is four replicas of which replica 0 is Byzantine \
(bnone: none is; b01: replicas 0 and 1), views 0 to 2, one slot, two clients with one request each; -t2 \
gives each client a second request, -k1-l2 adds a checkpoint every slot and a window of two, -r adds \
crashes between a step and its write to the disk.

Examples:
  pbft-model check                               the quick configurations, all of them exhaustively
  pbft-model check --preset nightly              larger bounds; `list --preset nightly` names them
  pbft-model check --config n4-b0-v1-s2-d2       one configuration
  pbft-model check --config n4-b0-v1-s1-d2 --mutant p-omitted
                                                 plant a bug and see the shortest counterexample
  pbft-model explore --config n4-b0-v1-s1-d2     walk through the states in a browser
  pbft-model trace FILE                          a recorded counterexample, step by step
  pbft-model mutants                             plant every bug in turn
  pbft-model simulate --config n7-b01-v4-s3-d2   walk at random where there is too much to visit
  pbft-model graph --config n4-b1-v0-s1-d1 --format dot
                                                 states and steps as a graph
  pbft-model list                                names of configurations, properties, witnesses, mutants

Exit codes: 0 everything holds, 1 a violation or a surviving mutant, 2 bad usage, 3 inconclusive, \
5 a file was refused, 7 the result could not be written.";

const CHECK_EXAMPLES: &str = "\
Examples:
  pbft-model check                                   the quick configurations
  pbft-model check --preset nightly --second-opinion more of them, each counted by two engines
  pbft-model check --resume runs/20260131T235959Z-check --preset nightly
                                                     go on where a run was interrupted
  pbft-model check --config n4-b0-v1-s1-d2 --mutant p-omitted
                                                     the shortest way to a violation under a bug
  pbft-model check --junit check.xml --markdown check.md
                                                     reports for continuous integration
  pbft-model check --format json | jq .verdict       one JSON object

Exit codes: 0 everything holds, 1 a violation, 2 bad usage, 3 inconclusive.";

const MUTANTS_EXAMPLES: &str = "\
Examples:
  pbft-model mutants                                 all of them, as a table
  pbft-model mutants --name p-omitted --traces       one of them, with its counterexample
  pbft-model mutants --format json | jq '.[].name'   a JSON list
  pbft-model mutants --generated --threads 1         those that are made by rule: each condition dropped, each
                                                     comparison shifted, each part of a step left out
  pbft-model mutants --generated --name rules.rs:accept:check-1-passes
                                                     one of them; `cargo plant show --generated NAME` is its diff
  pbft-model mutants --generated --resume runs/20260131T235959Z-mutants-generated
                                                     go on where a run was interrupted
  pbft-model mutants --generated --shard 2/4         the second quarter; --merge puts the results together
  pbft-model mutants --generated --record            put what came of them on record: model/spec/generated.txt

A mutant of the list is killed by the property on record. One that is made by rule is killed by any property that is \
violated, by any witness that is never seen any more, and by a panic.

Exit codes: 0 all as recorded, 1 a mutant is not as recorded or survives without a reason, 2 bad usage, 3 not finished.";

const SIMULATE_EXAMPLES: &str = "\
Examples:
  pbft-model simulate --config n7-b01-v4-s3-d2-k1    a million states, one walk after another
  pbft-model simulate --config n4-b0-v3-s1-d2 --mutant commits-matched-without-view --property agreement
                                                     look for a deep bug
  pbft-model simulate --config n4-b0-v4-s3-d2 --seed 7 --states 50000000 --threads 2

Exit codes: 1 a violation, 2 bad usage, 3 no violation, which walks cannot prove.";

const GRAPH_EXAMPLES: &str = "\
Examples:
  pbft-model graph --config n4-b1-v0-s1-d1 --format dot | dot -Tsvg > graph.svg
  pbft-model graph --config n4-b0-v1-s1-d2 --output edges.jsonl

Exit codes: 0 the whole graph was written, 2 bad usage, 3 the limit on states was hit.";

const LIST_EXAMPLES: &str = "\
Examples:
  pbft-model list                                    for people
  pbft-model list --format json | jq -r '.mutants[].name'";

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Visit every reachable state and evaluate every property in it
    #[command(after_help = CHECK_EXAMPLES)]
    Check(check::CheckArgs),
    /// Walk through the states in a browser, or write a path as a page
    Explore(explore::ExploreArgs),
    /// Walk at random, beyond the bounds that can be searched exhaustively
    #[command(after_help = SIMULATE_EXAMPLES)]
    Simulate(simulate::SimulateArgs),
    /// Write the states and steps of a small configuration as a graph
    #[command(after_help = GRAPH_EXAMPLES)]
    Graph(graph::GraphArgs),
    /// Read a recorded path, check it against the model and write it in another form
    Trace(trace::TraceArgs),
    /// Plant each bug in turn and demand that its property finds it out
    #[command(after_help = MUTANTS_EXAMPLES)]
    Mutants(mutants::MutantsArgs),
    /// List configurations, properties, witnesses and mutants
    #[command(after_help = LIST_EXAMPLES)]
    List(list::ListArgs),
    /// Search under the rules as they are in this process, and print what was found as JSON
    #[command(hide = true)]
    Hunt(mutants::HuntArgs),
    /// Go through the configurations under the rules as they are in this process, and print what was found as JSON
    #[command(hide = true)]
    HuntGenerated(generated::SearchArgs),
    /// Follow a path under the rules as they are in this process, and print its states as JSON
    #[command(hide = true)]
    Follow(trace::FollowArgs),
}

impl Subcommands {
    /// The mutant that is to be on in this process. Traces are followed where theirs is, by the command itself.
    fn mutant(&self) -> Option<String> {
        match self {
            Self::Check(args) => args.mutant.clone(),
            Self::Explore(args) => args.mutant(),
            Self::Simulate(args) => args.mutant.clone(),
            Self::Graph(args) => args.mutant.clone(),
            Self::Trace(_) | Self::Mutants(_) | Self::List(_) => None,
            Self::Hunt(_) | Self::HuntGenerated(_) | Self::Follow(_) => None,
        }
    }
}

#[derive(Debug, Args)]
struct ResultArgs {
    /// How to write the results
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Where run directories are created
    #[arg(long, value_name = "DIRECTORY", default_value = "runs")]
    runs: PathBuf,
    #[command(flatten)]
    reports: ReportArgs,
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> std::process::ExitCode {
    match pbft_output::arguments() {
        Ok(cli) => pbft_output::finish(here_or_elsewhere(cli)),
        Err(code) => code,
    }
}

/// Does it in this process, unless it is to be done with a mutant on, which this build has not.
fn here_or_elsewhere(cli: Cli) -> u8 {
    let mutant = cli.command.mutant();
    let kind = mutant.as_deref().map_or(Kind::Mutants, Kind::of_mutant);
    let elsewhere = || {
        if let (Some(mutant), false) = (&mutant, planted_build()) {
            errln!("{}", tool::diff(kind, mutant)?);
        }
        tool::elsewhere(mutant.as_deref(), kind, PROGRAM.0, PROGRAM.1)
    };
    match elsewhere() {
        Ok(None) => run(cli) as u8,
        Ok(Some(status)) => status,
        Err(error) => failed(Failure::from(error)) as u8,
    }
}

fn failed(Failure { code, message }: Failure) -> ExitCode {
    errln!("error: {message}");
    code
}

fn run(cli: Cli) -> ExitCode {
    let result = match cli.command {
        Subcommands::Check(args) => check::run(&args).map_err(Failure::from),
        Subcommands::Explore(args) => explore::run(&args),
        Subcommands::Simulate(args) => simulate::run(&args).map_err(Failure::from),
        Subcommands::Graph(args) => graph::run(&args).map_err(Failure::from),
        Subcommands::Trace(args) => trace::run(&args),
        Subcommands::Mutants(args) => mutants::run(&args),
        Subcommands::List(args) => list::run(&args).map_err(Failure::from),
        Subcommands::Hunt(args) => mutants::hunt(&args).map_err(Failure::from),
        Subcommands::HuntGenerated(args) => Ok(generated::search(&args)),
        Subcommands::Follow(args) => trace::follow(&args),
    };
    result.unwrap_or_else(failed)
}

/// Why a subcommand has no result.
#[derive(Debug)]
struct Failure {
    code: ExitCode,
    message: String,
}

impl Failure {
    /// A trace file that is not there, or that is refused.
    fn of_file(file: &Path, error: &TraceError) -> Self {
        let message = match error {
            TraceError::Io { .. } => error.to_string(),
            _ => format!("{} is refused: {error}", file.display()),
        };
        Self { code: error.exit_code(), message }
    }
}

impl From<ToolError> for Failure {
    fn from(error: ToolError) -> Self {
        let code = if error.is_usage() { ExitCode::Usage } else { ExitCode::DataRefused };
        Self { code, message: error.to_string() }
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self { code: ExitCode::Usage, message }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
