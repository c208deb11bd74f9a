//! The `pbft` command: parses its arguments and calls the library.

use pbft_cli::{Arguments, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    match pbft_output::arguments::<Arguments>() {
        Ok(arguments) => run(arguments),
        Err(code) => code,
    }
}
