//! What runs tell while they last, and what is left of them.

use super::Common;
use pbft_checker::run::{RunDir, RunRecord};
use pbft_output::errln;
use serde::Serialize;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Tells progress now and then.
pub(super) struct Told(Mutex<Instant>);

impl Told {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    pub(super) fn now_and_then(&self, text: impl FnOnce() -> String) {
        if let Ok(mut told) = self.0.try_lock()
            && told.elapsed() >= TELL_EVERY
        {
            *told = Instant::now();
            errln!("{}", text());
        }
    }
}

/// Prints a report, keeps it in a run directory under this name, and has its failures explained there. The last of the
/// three says whether all was done that was asked for.
pub(super) fn keep<R: Serialize>(
    common: &Common,
    (name, report, complete): (&str, &R, bool),
    to_text: impl Fn(&R) -> String,
    explain: impl FnOnce(&RunDir),
) {
    common.run.print(report, &to_text);
    let record = RunRecord::new(vec![name.to_owned()], None, report, complete);
    match RunDir::create(&common.run.runs, "sim") {
        Ok(directory) => {
            let written = directory
                .write_json("run.json", &record)
                .and_then(|_| directory.write("report.txt", &to_text(report)));
            if let Err(error) = written {
                errln!("{}: {error}", directory.path().display());
            }
            explain(&directory);
            errln!("results in {}", directory.path().display());
        }
        Err(error) => errln!("no run directory: {error}; choose another with --runs DIR"),
    }
}
