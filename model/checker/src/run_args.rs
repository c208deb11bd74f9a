//! Arguments that tools which run things have in common.

use crate::run::{ExitCode, Format};
use clap::Args;
use pbft_output::errln;
use serde::Serialize;
use std::fmt::Display;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// How much of the machine, and where and how results go.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// How results are written to standard output.
    #[arg(long, value_enum, default_value_t, global = true)]
    pub format: Format,
    /// Threads; as many as there are cores unless said.
    #[arg(long, global = true)]
    threads: Option<NonZeroUsize>,
    /// Directory for the results of runs.
    #[arg(long, default_value = "runs", global = true)]
    pub runs: PathBuf,
}

impl RunArgs {
    /// How many threads to use.
    #[must_use]
    pub fn threads(&self) -> NonZeroUsize {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.threads.unwrap_or(cores)
    }

    /// Writes a result to standard output in the form that was asked for.
    pub fn print<T: Serialize>(&self, value: &T, text: impl Fn(&T) -> String) {
        self.format.print(value, text);
    }
}

/// Says on standard error what is wrong with the arguments.
pub fn usage(message: &dyn Display) -> ExitCode {
    errln!("error: {message}");
    ExitCode::Usage
}
