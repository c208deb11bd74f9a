//! What goes wrong on the command line, and the exit codes.

use crate::admin::AdminError;
use crate::client::ClientError;
use crate::config::ConfigError;
use crate::driver::DriverError;
use crate::keys::KeyError;
use crate::node::StartError;
use crate::recover::RecoverError;
use crate::store::StoreError;
use std::path::PathBuf;
use std::process::ExitCode;
use thiserror::Error;

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what it was asked for.
    Done = 0,
    /// The ledger refused, replicas differ, or a replica halted.
    Finding = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// Nothing could be found out for certain.
    Inconclusive = 3,
    /// Not enough replicas in time.
    NoQuorum = 4,
    /// Data that is corrupt or somebody else's.
    DataRefused = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command fails. Every message says what to do.
#[derive(Debug, Error)]
pub enum CliError {
    /// The cluster file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A key file.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A replica does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A replica ended by itself.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// A replica was not recovered.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// A client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The admin endpoint.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// Arguments that make no sense together.
    #[error("{problem}; {remedy}")]
    Usage {
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// A file cannot be written.
    #[error("{path}: {source}; {remedy}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// There is no randomness.
    #[error("the operating system gives no randomness for keys: {0}; check /dev/urandom")]
    Randomness(#[from] getrandom::Error),
    /// There are no threads.
    #[error("cannot start threads: {0}; check ulimit -u")]
    Runtime(std::io::Error),
    /// A replica process cannot be started.
    #[error("cannot start {what}: {source}; check that this program can be executed")]
    Spawn {
        /// The process.
        what: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The cluster answers something that the ledger does not say.
    #[error(
        "the cluster answered something that is no ledger's answer; is it another service's cluster?"
    )]
    NotALedger,
    /// Not enough replicas in time.
    #[error("{problem}; {remedy}")]
    NoQuorum {
        /// What is missing.
        problem: String,
        /// What to do.
        remedy: String,
    },
}

impl CliError {
    /// Wrong usage, with what to do.
    pub(super) fn usage(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Usage { problem: problem.into(), remedy: remedy.into() }
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_)
            | Self::Key(_)
            | Self::Admin(_)
            | Self::Usage { .. }
            | Self::Write { .. }
            | Self::Randomness(_)
            | Self::Runtime(_)
            | Self::Spawn { .. } => Exit::Usage,
            Self::Store(_) => Exit::DataRefused,
            Self::Start(error) => start_exit(error),
            Self::Recover(error) => match error {
                RecoverError::Start(error) => start_exit(error),
                RecoverError::Sound { .. } => Exit::Finding,
                RecoverError::Unknown { .. } => Exit::NoQuorum,
                RecoverError::Store(_) => Exit::DataRefused,
            },
            Self::Driver(error) => driver_exit(error),
            Self::Client(error) => match error {
                ClientError::Timeout { .. } | ClientError::Overloaded => Exit::NoQuorum,
                ClientError::Refused(_) | ClientError::Overtaken { .. } => Exit::Finding,
                ClientError::BadTimestamps { .. } | ClientError::NoTimestampLeft { .. } => {
                    Exit::DataRefused
                }
                ClientError::NotAClient(_)
                | ClientError::TooLarge { .. }
                | ClientError::KeyInUse { .. }
                | ClientError::Timestamps { .. }
                | ClientError::Randomness(_)
                | ClientError::Tls(_) => Exit::Usage,
            },
            Self::NotALedger => Exit::Finding,
            Self::NoQuorum { .. } => Exit::NoQuorum,
        }
    }
}

fn start_exit(error: &StartError) -> Exit {
    match error {
        StartError::Store(_) => Exit::DataRefused,
        StartError::Driver(error) => driver_exit(error),
        StartError::Config(_)
        | StartError::Key(_)
        | StartError::NotAReplica { .. }
        | StartError::OtherService { .. }
        | StartError::Listen { .. }
        | StartError::Tls(_)
        | StartError::Trace(_) => Exit::Usage,
    }
}

fn driver_exit(error: &DriverError) -> Exit {
    match error {
        DriverError::Store(_) => Exit::DataRefused,
        DriverError::FramesTooLarge | DriverError::Thread(_) => Exit::Usage,
        DriverError::Halted(_)
        | DriverError::ServicePanicked { .. }
        | DriverError::Completion(_)
        | DriverError::Codec(_) => Exit::Finding,
    }
}
