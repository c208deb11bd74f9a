//! The `pbft` command: parses its arguments and calls the library.

use pbft_node::cli::{Arguments, run};
use std::process::ExitCode;

// The planted bugs are for conformance to find; a binary that has them must not exist.
const _: () =
    assert!(!pbft_core::PLANTED_BUGS, "build pbft without pbft-core's feature `planted-bugs`");

fn main() -> ExitCode {
    match pbft_output::arguments::<Arguments>() {
        Ok(arguments) => run(arguments),
        Err(code) => code,
    }
}
