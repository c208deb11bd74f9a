//! `pbft completions`: completion of commands and options in a shell.

use super::{Arguments, Exit};
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use pbft_output::out;

/// `pbft completions`.
#[derive(Clone, Copy, Debug, Args)]
#[command(after_help = "Examples:\n  \
    pbft completions bash                prints a script for bash\n  \
    source <(pbft completions bash)      in ~/.bashrc")]
pub struct CompletionsArguments {
    /// The shell
    pub shell: Shell,
}

pub(super) fn run(arguments: CompletionsArguments) -> Exit {
    // Into memory first: it panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "pbft", &mut script);
    out!("{}", String::from_utf8_lossy(&script));
    Exit::Done
}
