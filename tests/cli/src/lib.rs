//! The command line of `pbft-sim`.

mod case;
mod hunt;
mod matrix;
mod planted;
mod results;
mod seeds;

use clap::{Args, Parser, Subcommand};
use pbft_checker::run::ExitCode;
use pbft_checker::run_args::{RunArgs, usage};
use pbft_experiments::cli::Settings;
use pbft_experiments::{elections, rows as all_rows};
use pbft_plant::tool;
use pbft_plant::workspace::Kind;
use pbft_sim::campaign::{Preset, Shard, Task};
use pbft_sim::keys::Scheme;
use std::path::PathBuf;

/// Simulates whole clusters of the production core: seeded faults of network, disks and clocks, Byzantine replicas and
/// clients, and oracles that look at every step.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  cargo sim seeds --preset quick          every kind of fault and lie, in minutes
  cargo sim seeds --from 7 --count 100 --replicas 5
  cargo sim hunt                          towards what no run has shown yet
  cargo sim replay 7                      one run, an event a line
  cargo sim shrink 7                      a failing run made small
  cargo sim twins --preset quick          one replica twice under one key
  cargo sim matrix                        the fault matrix, as in docs/reliability.md
  cargo sim run --byzantine primary       an experiment of your own, with measurements and charts
  cargo sim seeds --preset nightly --shard 2/8 --report shard-2.json
  cargo sim merge shard-*.json

Exit status: 0 holds, 1 a rule was broken, 2 wrong arguments, 3 something that must happen did not, 5 a file is refused."
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Args)]
struct Common {
    #[command(flatten)]
    run: RunArgs,
    /// How signatures are made: a fast keyed hash, or Ed25519 as in production.
    #[arg(long, value_enum, default_value_t, global = true)]
    signatures: Scheme,
    /// Each replica writes with the node's store, on a disk in memory.
    #[arg(long, global = true)]
    store: bool,
    /// Do this with a bug of `cargo plant list` on, in a build of its own.
    #[arg(long, value_name = "BUG", global = true)]
    planted: Option<String>,
}

/// Which runs.
#[derive(Clone, Debug, Args)]
struct Extent {
    /// A named set of runs.
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    /// The first of them, without a preset.
    #[arg(long, default_value_t = 1, conflicts_with = "preset")]
    from: u64,
    /// How many, without a preset.
    #[arg(long, default_value_t = 100, conflicts_with = "preset")]
    count: u64,
    /// Only a part of them: I/N is the I-th of N.
    #[arg(long, default_value = "1/1")]
    shard: Shard,
    /// Write the report as JSON, to be merged with those of other shards.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Runs many seeds, and says what they came to together.
    #[command(after_help = "Examples:
  cargo sim seeds --preset quick
  cargo sim seeds --from 1 --count 1000 --replicas 7")]
    Seeds {
        #[command(flatten)]
        extent: Extent,
        /// The number of replicas, without a preset.
        #[arg(long, default_value_t = 4)]
        replicas: u32,
    },
    /// Searches for runs that show what no run has shown yet: plans that do are kept, changed and run again.
    ///
    /// What is looked at are the correct replicas' states in the model's words, what else they hold, what they refuse, and
    /// which steps follow one another. The search ends at the first run that breaks a rule, and makes it small.
    #[command(after_help = "Examples:
  cargo sim hunt                           two minutes
  cargo sim hunt --minutes 60 --replicas 7 --seed 2
  cargo sim hunt --compare                 random seeds beside it, in the same time of the processor
  cargo sim hunt --runs-at-least 320       as long as it takes; the same seed gives the same runs

Exit status: 0 holds, 1 a rule was broken, 2 wrong arguments.")]
    Hunt(hunt::Arguments),
    /// Shows one run, an event a line and a column a replica.
    #[command(after_help = "Examples:
  cargo sim replay 7 --replicas 4
  cargo sim replay --case runs/…/case.json      a run that was made small")]
    Replay {
        #[command(flatten)]
        which: Which,
    },
    /// Makes a failing run small: leaves out faults, operations and events as long as it fails in the same way.
    #[command(after_help = "Example:
  cargo sim shrink 7 --replicas 4")]
    Shrink {
        #[command(flatten)]
        which: Which,
    },
    /// Runs scenarios in which one replica runs twice under one key.
    #[command(after_help = "Examples:
  cargo sim twins --preset quick
  cargo sim twins --scenario 1234               one of them, an event a line")]
    Twins {
        #[command(flatten)]
        extent: Extent,
        /// Only this one, shown as `replay` shows a seed.
        #[arg(long)]
        scenario: Option<u64>,
    },
    /// Runs a plan in which one certain lie is told, shown as `replay` shows a seed: each lie of a replica or a client has
    /// its turn, and what else goes wrong is drawn.
    #[command(after_help = "Example:
  cargo sim lie 53")]
    Lie {
        /// Which.
        number: u64,
    },
    /// Runs the scenarios of the fault matrix, and prints it.
    Matrix {
        /// Only these rows.
        rows: Vec<u8>,
    },
    /// Named experiments, and one of your own.
    #[command(flatten)]
    Experiment(pbft_experiments::cli::Command),
    /// Steps through a cluster by hand: who hears what, who withholds its vote, what the Byzantine replica says to whom.
    #[command(after_help = "Examples:
  cargo sim lab                            at a terminal; `help` lists the verbs
  cargo sim lab -c 'case s3.4'             one of the cases; exit status 1 if it does not end as it should
  cargo sim lab --script FILE --svg OUT.svg
  cargo sim lab --replay DIRECTORY         a saved session")]
    Lab(pbft_lab::cli::LabArgs),
    /// Puts the reports of all shards together; fails if one is missing.
    #[command(after_help = "Example:
  cargo sim merge shard-1.json shard-2.json")]
    Merge {
        /// What the shards wrote with --report.
        #[arg(required = true)]
        reports: Vec<PathBuf>,
    },
    /// Tells on real processes how primaries come and go, and checks what is seen.
    Elections(elections::cli::ElectionsArguments),
    /// Shows what readers of other systems expect, row by row.
    Rows(all_rows::cli::RowsArguments),
    /// Has each bug on that the simulator must find, one after the other, and looks how soon a run finds it.
    #[command(after_help = "Examples:
  cargo planted-bugs-sim
  cargo planted-bugs-sim join-on-one --seeds 1000

Exit status: 0 each is found, 1 one is not, 2 wrong arguments, 5 a list is refused, or a bug does not compile.")]
    PlantedBugs {
        /// Only these.
        bugs: Vec<String>,
        /// Also those that are out of the simulator's reach, or were never seen.
        #[arg(long, conflicts_with = "bugs")]
        all: bool,
        /// The most runs of each kind (a drawn plan, one lie, twins) for each bug.
        #[arg(long, default_value_t = 1000)]
        seeds: u64,
    },
    /// Looks for the bug that is on in this process, and prints the run that shows it as JSON.
    #[command(hide = true)]
    LookForBug {
        /// The most runs of each kind.
        #[arg(long)]
        seeds: u64,
    },
}

/// One run.
#[derive(Clone, Debug, Args)]
struct Which {
    /// The seed.
    #[arg(required_unless_present = "case")]
    seed: Option<u64>,
    /// The number of replicas.
    #[arg(long, default_value_t = 4)]
    replicas: u32,
    /// A case file that an earlier run left.
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    case: Option<PathBuf>,
}

/// Parses the arguments and does what they say.
#[must_use]
pub fn main() -> std::process::ExitCode {
    match pbft_output::arguments() {
        Ok(cli) => pbft_output::finish(here_or_elsewhere(cli)),
        Err(code) => code,
    }
}

/// The bug that is to be on: the one named, or the one that a case file was made with.
fn asked(cli: &Cli) -> Option<String> {
    let case = match &cli.command {
        Command::Replay { which: Which { case: Some(path), .. } } => case::bug_of(path),
        _ => None,
    };
    cli.common.planted.clone().or(case)
}

/// Does it in this process, unless it is to be done with a bug on, which this build has not.
fn here_or_elsewhere(cli: Cli) -> u8 {
    let (package, program) = planted::PROGRAM;
    match tool::elsewhere(asked(&cli).as_deref(), Kind::Bugs, package, program) {
        Ok(None) => run(cli) as u8,
        Ok(Some(status)) => status,
        Err(error) => planted::refused(&error) as u8,
    }
}

fn run(cli: Cli) -> ExitCode {
    // A panic of a replica is a finding like any other, and reported as one.
    std::panic::set_hook(Box::new(|_| {}));
    match cli.command {
        Command::Seeds { extent, replicas } => seeds::seeds(&cli.common, &extent, replicas),
        Command::Replay { which } => case::replay(&cli.common, &which),
        Command::Shrink { which } => case::shrink(&cli.common, &which),
        Command::Twins { extent, scenario: None } => seeds::twins(&cli.common, &extent),
        Command::Twins { scenario: Some(scenario), .. } => {
            case::task(&cli.common, Task::Twins { scenario })
        }
        Command::Lie { number } => case::task(&cli.common, Task::Lie { number }),
        Command::Matrix { rows } => matrix::matrix(&cli.common, &rows),
        Command::Elections(arguments) => elections::cli::run(&arguments, cli.common.run.format),
        Command::Experiment(command) => {
            let settings = Settings { run: &cli.common.run, scheme: cli.common.signatures };
            pbft_experiments::cli::main(settings, &command)
        }
        Command::Lab(args) => pbft_lab::cli::main(&args, cli.common.run.format),
        Command::Rows(arguments) => all_rows::cli::run(&arguments, cli.common.run.format),
        Command::Merge { reports } => seeds::merge(&cli.common, &reports),
        Command::PlantedBugs { bugs, all, seeds } => {
            planted::planted(&cli.common, &bugs, all, seeds)
        }
        Command::LookForBug { seeds } => planted::here(seeds),
        Command::Hunt(arguments) => hunt::hunt(&cli.common, &arguments),
    }
}
