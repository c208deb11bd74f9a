//! The command of the hunt for mutants.

use super::{Asked, MutantsError, hunt_mutants, to_text};
use crate::planted::refused;
use clap::Args;
use pbft_checker::finished::Finished;
use pbft_checker::run::{ExitCode, RunDir};
use pbft_checker::run_args::{RunArgs, usage};
use pbft_checker::shard::Shard;
use pbft_output::errln;
use std::path::PathBuf;
use std::time::Duration;

/// What is asked for, as words.
#[derive(Clone, Debug, Args)]
pub struct MutantsArguments {
    /// Only those whose names contain one of these.
    names: Vec<String>,
    /// Only a part of them, for several machines: I/N is the I-th of N
    #[arg(long, value_name = "I/N", default_value = "1/1")]
    shard: Shard,
    /// Leave out what an interrupted run has finished, by its run directory
    #[arg(long, value_name = "DIRECTORY")]
    resume: Option<PathBuf>,
    /// Seconds for each but for the graphs; one that takes longer does not end
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    limit: u64,
    /// Seconds in which the graphs are replayed with each that survives the rest
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    graphs: u64,
}

/// Hunts them, and says what came of it.
pub fn run_mutants(arguments: &MutantsArguments, seed: u64, run: &RunArgs) -> ExitCode {
    let asked = Asked {
        names: arguments.names.clone(),
        shard: arguments.shard,
        resume: arguments.resume.clone(),
        limit: Duration::from_secs(arguments.limit),
        graphs: Duration::from_secs(arguments.graphs),
        seed,
        threads: run.threads(),
    };
    let created = RunDir::create(&run.runs, "mutants");
    let created = created.map_err(|error| format!("{}: {error}", run.runs.display()));
    let directory = match created {
        Ok(directory) => directory,
        Err(error) => return usage(&error),
    };
    errln!("results in {}", directory.path().display());
    let hunted = Finished::create(&directory).map_err(MutantsError::Results);
    match hunted.and_then(|kept| hunt_mutants(&asked, kept)) {
        Ok(hunted) => {
            run.print(&hunted, to_text);
            hunted.exit_code()
        }
        Err(MutantsError::Tool(error)) => refused(&error),
        Err(error) => usage(&error),
    }
}
