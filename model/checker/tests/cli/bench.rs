//! The binary in a directory of its own, and what it left.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The binary in a directory of its own.
pub(crate) struct Bench {
    pub(crate) directory: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pbft-model"));
        command.args(args).current_dir(self.directory.path());
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
        command
    }

    pub(crate) fn run(&self, line: &str) -> Output {
        self.command(line.split_whitespace()).output().expect("the binary runs")
    }

    /// The one file of all run directories with this ending.
    pub(crate) fn file_of_run(&self, ending: &str) -> PathBuf {
        let runs = fs::read_dir(self.path("runs")).expect("run directories");
        let files =
            runs.flat_map(|run| fs::read_dir(run.expect("an entry").path()).expect("files"));
        let mut files: Vec<_> = files
            .map(|file| file.expect("an entry").path())
            .filter(|path| path.to_string_lossy().ends_with(ending))
            .collect();
        assert_eq!(files.len(), 1, "{ending}: {files:?}");
        files.remove(0)
    }

    /// A counterexample, as `check` leaves it.
    pub(crate) fn counterexample(&self) -> PathBuf {
        let output = self.run("check --config n4-b0-v1-s1-d2 --mutant p-omitted");
        assert_eq!(output.status.code(), Some(1));
        self.file_of_run(".trace.itf.json")
    }
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// What it said, without the notices that a mutant is built, or that another process builds it.
pub(crate) fn stderr(output: &Output) -> String {
    let said = String::from_utf8(output.stderr.clone()).expect("UTF-8");
    let is_notice = |line: &str| {
        line.starts_with("building pbft-model-planted ")
            || line.starts_with("waiting for another program that writes or builds ")
    };
    said.split_inclusive('\n').skip_while(|line| is_notice(line)).collect()
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a file")
}
