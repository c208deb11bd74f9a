//! What goes wrong on the command line, and the exit codes.

use pbft_node::admin::AdminError;
use pbft_node::client::ClientError;
use pbft_node::config::ConfigError;
use pbft_node::driver::DriverError;
use pbft_node::keys::KeyError;
use pbft_node::node::StartError;
use pbft_node::recover::RecoverError;
use pbft_node::store::StoreError;
use pbft_node::trace::TraceError;
use rustix::io::Errno;
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
    /// Something passes by itself or by making room: the same again may work.
    TryAgain = 6,
    /// What was done is done, but it could not be said.
    OutputLost = pbft_output::OUTPUT_LOST as isize,
    /// A task panicked: a bug.
    Crashed = 101,
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
            Self::Config(_) | Self::Key(_) | Self::Usage { .. } | Self::Randomness(_) => {
                Exit::Usage
            }
            Self::Write { source, .. } | Self::Runtime(source) | Self::Spawn { source, .. } => {
                io_exit(source)
            }
            Self::Admin(AdminError::Listen { source, .. }) => io_exit(source),
            Self::Admin(_) => Exit::Usage,
            Self::Store(error) => store_exit(error),
            Self::Start(error) => start_exit(error),
            Self::Recover(error) => match error {
                RecoverError::Start(error) => start_exit(error),
                RecoverError::Sound { .. } => Exit::Finding,
                RecoverError::Unknown { .. } | RecoverError::Standstill { .. } => Exit::NoQuorum,
                RecoverError::Store(error) => store_exit(error),
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

/// What the operating system refuses may be wrong for good, or pass.
fn io_exit(error: &std::io::Error) -> Exit {
    use std::io::ErrorKind::{
        AddrInUse, AddrNotAvailable, OutOfMemory, QuotaExceeded, ResourceBusy, StorageFull,
        WouldBlock,
    };
    // What std has no kind for: too many open files, in the process and in the system.
    let crowded = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
    match error.kind() {
        AddrInUse | AddrNotAvailable | OutOfMemory | QuotaExceeded | ResourceBusy | StorageFull
        | WouldBlock => Exit::TryAgain,
        _ if crowded.contains(&error.raw_os_error()) => Exit::TryAgain,
        _ => Exit::Usage,
    }
}

/// A full disk and a store in use pass; damage does not.
fn store_exit(error: &StoreError) -> Exit {
    match error {
        StoreError::Locked { .. } => Exit::TryAgain,
        full if full.is_full() => Exit::TryAgain,
        _ => Exit::DataRefused,
    }
}

fn start_exit(error: &StartError) -> Exit {
    match error {
        StartError::Store(error) => store_exit(error),
        StartError::Listen { source, .. } | StartError::Trace(TraceError::Open { source, .. }) => {
            io_exit(source)
        }
        StartError::Resolve { .. } => Exit::TryAgain,
        StartError::Driver(error) => driver_exit(error),
        StartError::Config(_)
        | StartError::Key(_)
        | StartError::NotAReplica { .. }
        | StartError::OtherService { .. }
        | StartError::Tls(_)
        | StartError::Trace(_) => Exit::Usage,
    }
}

fn driver_exit(error: &DriverError) -> Exit {
    match error {
        DriverError::Store(error) => store_exit(error),
        DriverError::Crashed(_) => Exit::Crashed,
        DriverError::FramesTooLarge => Exit::Usage,
        DriverError::Thread(source) => io_exit(source),
        DriverError::Halted(_)
        | DriverError::HaltedUnrecorded { .. }
        | DriverError::ServicePanicked { .. }
        | DriverError::Completion(_)
        | DriverError::Codec(_) => Exit::Finding,
    }
}
