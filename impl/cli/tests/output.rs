//! What the program has to say reaches its reader, or the program says that it did not.

#[path = "../../output/tests/heard/mod.rs"]
mod heard;

use std::fs::File;
use std::process::{Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_pbft");

/// Its main commands.
const COMMANDS: &[&str] = &[
    "config check cluster/cluster.toml --format json",
    "config check cluster/cluster.toml",
    "inspect --dir cluster/replica-0 --format json",
    "inspect --dir cluster/replica-0",
    "key public cluster/replica-0/replica.key",
    "completions bash",
    "--help",
    "status --help",
];

fn testnet() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("temporary directory");
    let made = Command::new(PROGRAM).arg("testnet").current_dir(directory.path()).output();
    assert!(made.expect("it runs").status.success());
    directory
}

/// Outside fault F14: `pbft` ends with an error where its result cannot be written.
#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let directory = testnet();
    heard::what_is_lost_is_said(PROGRAM, directory.path(), COMMANDS);
}

/// Outside fault F14: `pbft` ends without a word where its reader has seen enough.
#[test]
fn a_reader_may_go() {
    let directory = testnet();
    heard::a_reader_may_go(PROGRAM, directory.path(), COMMANDS);
}

/// Outside fault F14: A refusal stays a refusal when nobody can read it.
#[test]
fn a_failure_keeps_its_exit_code_when_nobody_reads() {
    let directory = testnet();
    for (words, code) in [("status", 4), ("config check nothing.toml", 2)] {
        let full = File::options().write(true).open("/dev/full").expect("a full disk");
        let mut command = Command::new(PROGRAM);
        command.args(words.split(' ')).current_dir(directory.path()).stdin(Stdio::null());
        // Neither stream can be written.
        command.stderr(full.try_clone().expect("once more")).stdout(full);
        assert_eq!(command.status().expect("it runs").code(), Some(code), "{words}");
    }
}
