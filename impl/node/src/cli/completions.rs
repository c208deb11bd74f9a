//! `pbft completions`: completion of commands and options in a shell.

use super::{Arguments, Exit};
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

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
    clap_complete::generate(
        arguments.shell,
        &mut Arguments::command(),
        "pbft",
        &mut std::io::stdout(),
    );
    Exit::Done
}
