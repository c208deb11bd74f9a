//! The command line. Data goes to standard output, logs and progress to standard error.

mod bank;
mod bundle;
pub mod chart;
mod check;
mod compare;
mod completions;
mod error;
mod init;
mod inspect;
mod key;
mod keys;
mod load;
mod logs;
mod probe;
mod recover;
mod repl;
mod settings;
mod start;
mod status;
mod submit;
mod suspect;
mod testnet;
mod top;
mod up;

pub use bank::{BankArguments, BankCommand};
pub use bundle::{BundleArguments, DebugArguments, DebugCommand};
pub use compare::HashArguments;
pub use completions::CompletionsArguments;
pub use error::{CliError, Exit};
pub use init::InitArguments;
pub use inspect::InspectArguments;
pub use key::{KeyArguments, KeyCommand};
pub use load::LoadArguments;
use pbft_output::{errln, outln};
pub use probe::{Probe, ProbeArguments};
pub use recover::RecoverArguments;
pub use repl::ReplArguments;
pub use settings::{LogFormat, SETTINGS_FILE, Settings};
pub use start::StartArguments;
pub use status::StatusArguments;
pub use submit::SubmitArguments;
pub use suspect::SuspectArguments;
pub use testnet::TestnetArguments;
pub use top::TopArguments;
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
        Exit codes: 0 done, 1 refused, differing or halted, 2 usage or configuration, 3 inconclusive, 4 no quorum or \
        timeout, 5 data refused, 6 try again, 7 done but the output could not be written, 101 a bug.\n\
        NO_COLOR=1 turns colours off; PBFT_LOG=debug or --log debug shows more."
)]
pub struct Arguments {
    /// What to log: error, warn, info, debug, trace, or a filter such as pbft_node::transport=debug [default: info]
    #[arg(long, global = true, env = "PBFT_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// How to log: lines for people, or one JSON object a line [default: text]
    #[arg(long, global = true, env = "PBFT_LOG_FORMAT", value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// A subcommand.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Writes keys, cluster file and data directories of a new cluster on this machine
    Testnet(TestnetArguments),
    /// Makes the directory of one replica of a cluster that is spread over machines
    Init(InitArguments),
    /// Runs one replica
    Start(StartArguments),
    /// Lets a replica that lost its store come back
    Recover(RecoverArguments),
    /// Lets replicas leave their primary, although it seems to be well
    Suspect(SuspectArguments),
    /// Shows what is in the store of a replica that is not running
    Inspect(InspectArguments),
    /// Runs all replicas of a cluster on this machine; makes the cluster if there is none
    Up(UpArguments),
    /// Operates on the bank ledger
    Bank(BankArguments),
    /// Submits one operation of any service
    Submit(SubmitArguments),
    /// Operates on the bank ledger, line by line
    Repl(ReplArguments),
    /// Asks every replica how it is
    Status(StatusArguments),
    /// Shows all replicas side by side, with rates and latencies, again and again
    Top(TopArguments),
    /// Compares the digests of all replicas' states
    Hash(HashArguments),
    /// Asks the admin endpoint of a replica
    Probe(ProbeArguments),
    /// Makes keys, and shows public ones
    Key(KeyArguments),
    /// Looks at configuration
    Config(ConfigArguments),
    /// Measures a running cluster
    Load(LoadArguments),
    /// Helps to find out what is wrong
    Debug(DebugArguments),
    /// Prints a script that completes commands in a shell
    Completions(CompletionsArguments),
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
    #[arg(long, default_value = "cluster", value_name = "DIR", global = true)]
    pub dir: PathBuf,
    /// The client to act as [default: the first one whose key is here]
    #[arg(long, value_name = "NAME", global = true)]
    pub client: Option<String>,
}

/// Runs a command to its exit code.
pub fn run(arguments: Arguments) -> ExitCode {
    let exit = execute(arguments).unwrap_or_else(|error| {
        errln!("error: {error}");
        error.exit()
    });
    pbft_output::finish(exit as u8)
}

fn execute(arguments: Arguments) -> Result<Exit, CliError> {
    let settings = match &arguments.command {
        Command::Start(start) => Settings::load(&start.dir)?,
        _ => Settings::default(),
    };
    let filter = arguments.log.or(settings.log.clone()).unwrap_or_else(|| "info".to_owned());
    let format = arguments.log_format.or(settings.log_format).unwrap_or_default();
    // Written to its end before an error is printed.
    let _logs = logs::init(&filter, format)?;
    match arguments.command {
        Command::Testnet(arguments) => testnet::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Start(arguments) => start::run(&arguments, settings),
        Command::Recover(arguments) => recover::run(&arguments),
        Command::Suspect(arguments) => suspect::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Up(arguments) => up::run(&arguments),
        Command::Bank(arguments) => bank::run(&arguments),
        Command::Submit(arguments) => submit::run(&arguments),
        Command::Repl(arguments) => repl::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Top(arguments) => top::run(&arguments),
        Command::Hash(arguments) => compare::hash(&arguments),
        Command::Probe(arguments) => probe::run(&arguments),
        Command::Key(arguments) => key::run(&arguments),
        Command::Config(ConfigArguments { command: ConfigCommand::Check { file, format } }) => {
            check::run(&file, format)
        }
        Command::Load(arguments) => load::run(&arguments),
        Command::Debug(DebugArguments { command: DebugCommand::Bundle(arguments) }) => {
            bundle::run(&arguments)
        }
        Command::Completions(arguments) => Ok(completions::run(arguments)),
    }
}

/// The runtime of the commands.
fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::Runtime)
}

/// Prints one JSON object.
fn print_json(value: &serde_json::Value) {
    outln!("{value:#}");
}
