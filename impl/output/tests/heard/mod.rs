//! Runs a program whose standard output cannot be written. Shared by the tests of the crates that have programs.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Its work is done, and what it said is lost.
const OUTPUT_LOST: i32 = 7;

fn run(program: &str, directory: &Path, words: &str, stdout: impl Into<Stdio>) -> Output {
    let mut command = Command::new(program);
    command.args(words.split(' ')).current_dir(directory).env("NO_COLOR", "1");
    command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
    command.output().expect("it runs")
}

/// `program` with each of these commands, which ends with 0 where its output can be written, says so on a full disk.
pub(crate) fn what_is_lost_is_said(program: &str, directory: &Path, commands: &[&str]) {
    for command in commands {
        let good = run(program, directory, command, Stdio::piped());
        assert_eq!(good.status.code(), Some(0), "{command}: {good:?}");
        assert!(!good.stdout.is_empty(), "{command} prints nothing");
        let full = File::options().write(true).open("/dev/full").expect("a full disk");
        let lost = run(program, directory, command, full);
        let error = String::from_utf8_lossy(&lost.stderr);
        assert_eq!(lost.status.code(), Some(OUTPUT_LOST), "{command}: {error}");
        let lines: Vec<&str> = error.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(lines.len(), 1, "{command}: {error}");
        assert!(lines[0].contains("standard output cannot be written"), "{command}: {error}");
        assert!(lines[0].contains("No space left"), "{command}: {error}");
    }
}

/// The same where the reader has seen enough: nobody complains, and nobody panics.
pub(crate) fn a_reader_may_go(program: &str, directory: &Path, commands: &[&str]) {
    for command in commands {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ended = run(program, directory, command, writer);
        let error = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(0), "{command}: {error}");
        assert!(!error.contains("panicked") && !error.contains("error"), "{command}: {error}");
    }
}
