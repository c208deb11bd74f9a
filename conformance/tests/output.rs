//! What the program has to say reaches its reader, or the program says that it did not.

#[path = "../../impl/output/tests/heard/mod.rs"]
mod heard;

use std::path::Path;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pbft-conform");

/// Its main commands.
const COMMANDS: &[&str] = &[
    "replay --config n4-bnone-v0-s1-d1 --format json",
    "replay --config n4-bnone-v0-s1-d1",
    "--help",
];

/// Outside fault F14: `pbft-conform` ends with an error where its result cannot be written.
#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    heard::what_is_lost_is_said(PROGRAM, Path::new(env!("CARGO_TARGET_TMPDIR")), COMMANDS);
}

/// Outside fault F14: `pbft-conform` ends without a word where its reader has seen enough.
#[test]
fn a_reader_may_go() {
    heard::a_reader_may_go(PROGRAM, Path::new(env!("CARGO_TARGET_TMPDIR")), COMMANDS);
}
