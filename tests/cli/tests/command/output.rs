//! What the program has to say reaches its reader, or the program says that it did not.

#[path = "../../../../impl/output/tests/heard/mod.rs"]
mod heard;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pbft-sim");

/// Its main commands.
const COMMANDS: &[&str] = &["replay 7", "seeds --count 1 --format json", "--help"];

/// Outside fault F14: `pbft-sim` ends with an error where its result cannot be written.
#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let directory = tempfile::tempdir().expect("temporary directory");
    heard::what_is_lost_is_said(PROGRAM, directory.path(), COMMANDS);
}

/// Outside fault F14: `pbft-sim` ends without a word where its reader has seen enough.
#[test]
fn a_reader_may_go() {
    let directory = tempfile::tempdir().expect("temporary directory");
    heard::a_reader_may_go(PROGRAM, directory.path(), COMMANDS);
}
