//! The command line. Data goes to standard output, logs and progress to standard error.

mod bank;
mod check;
mod error;
mod keys;
mod load;
mod logs;
mod start;
mod status;
mod testnet;
mod up;

pub use bank::{BankArguments, BankCommand};
pub use error::{CliError, Exit};
pub use load::LoadArguments;
pub use start::StartArguments;
pub use status::StatusArguments;
pub use testnet::TestnetArguments;
pub use up::UpArguments;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

/// Practical Byzantine Fault Tolerance: a replicated bank ledger that survives faulty replicas.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "pbft",
    version,
    after_help = "Examples:\n  \
        pbft up                             four replicas on this machine, ^C stops them\n  \
        pbft bank deposit alice 100         in another terminal\n  \
        pbft bank balance alice\n  \
        pbft status\n\n\
        Exit codes: 0 done, 1 refused or differing, 2 usage or configuration, 4 no quorum or timeout, \
        5 data refused.\n\
        NO_COLOR=1 turns colours off; PBFT_LOG=debug or --log debug shows more."
)]
pub struct Arguments {
    /// What to log: error, warn, info, debug, trace, or a filter such as pbft_node::transport=debug
    #[arg(long, global = true, env = "PBFT_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// A subcommand.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Writes keys, cluster file and data directories of a new cluster on this machine
    Testnet(TestnetArguments),
    /// Runs one replica
    Start(StartArguments),
    /// Runs all replicas of a cluster on this machine; makes the cluster if there is none
    Up(UpArguments),
    /// Operates on the bank ledger
    Bank(BankArguments),
    /// Asks every replica how it is
    Status(StatusArguments),
    /// Looks at configuration
    Config(ConfigArguments),
    /// Measures a running cluster
    Load(LoadArguments),
}

/// `pbft config`.
#[derive(Clone, Debug, Args)]
pub struct ConfigArguments {
    /// What to do
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// A subcommand of `pbft config`.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Checks a cluster file and shows what it says
    #[command(after_help = "Example:\n  pbft config check cluster/cluster.toml")]
    Check {
        /// The cluster file
        file: PathBuf,
        /// Form of the output
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Human,
    /// One JSON object
    Json,
}

/// Which cluster, as which client.
#[derive(Clone, Debug, Args)]
pub struct AsClient {
    /// The cluster's directory, with cluster.toml and clients/NAME.key
    #[arg(long, default_value = "cluster", value_name = "DIR")]
    pub dir: PathBuf,
    /// The client to act as [default: the first one whose key is here]
    #[arg(long, value_name = "NAME")]
    pub client: Option<String>,
}

/// Runs a command to its exit code.
pub fn run(arguments: Arguments) -> ExitCode {
    let result = logs::init(&arguments.log).and_then(|()| match arguments.command {
        Command::Testnet(arguments) => testnet::run(&arguments),
        Command::Start(arguments) => start::run(&arguments),
        Command::Up(arguments) => up::run(&arguments),
        Command::Bank(arguments) => bank::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Config(arguments) => match arguments.command {
            ConfigCommand::Check { file, format } => check::run(&file, format),
        },
        Command::Load(arguments) => load::run(&arguments),
    });
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("error: {error}");
            error.exit().into()
        }
    }
}

/// The runtime of the commands.
fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::Runtime)
}

/// Prints one JSON object.
fn print_json(value: &serde_json::Value) {
    println!("{value:#}");
}
