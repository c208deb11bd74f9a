//! `pbft-conform coverage`.

use super::measured::{self, Measured};
use super::recorded::{Recorded, RecordedError};
use super::{CoverageReport, judge};
use crate::job::{self, Options};
use crate::replay::plan::Plan;
use clap::Args;
use pbft_checker::run::{ExitCode, Format, Stderr};
use pbft_output::errln;
use std::fs;
use std::path::{Path, PathBuf};

/// `pbft-conform coverage`.
#[derive(Clone, Debug, Args)]
pub struct CoverageArguments {
    /// Recorded runs: directories of trace files, one a run, and the trace files of one more
    #[arg(value_name = "PATH")]
    recorded: Vec<PathBuf>,
    /// Take the counts of this run directory of `cargo conform`, instead of replaying everything once more
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Write the tables as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// Why there is no judgement.
enum Stopped {
    /// With this status, and a word to the user.
    Because(ExitCode, String),
}

/// Says what was exercised, and fails where nothing was.
pub fn run_coverage(
    arguments: &CoverageArguments,
    plan: &Plan,
    options: &Options,
    format: Format,
) -> ExitCode {
    match report(arguments, plan, options) {
        Ok(report) => {
            format.print(&report, |report| report.to_text());
            match write_markdown(arguments.markdown.as_deref(), &report) {
                Ok(()) => report.exit_code(),
                Err(message) => {
                    errln!("error: {message}");
                    ExitCode::Usage
                }
            }
        }
        Err(Stopped::Because(status, message)) => {
            errln!("error: {message}");
            status
        }
    }
}

fn report(
    arguments: &CoverageArguments,
    plan: &Plan,
    options: &Options,
) -> Result<CoverageReport, Stopped> {
    // What can be refused is looked at before minutes are spent.
    let recorded = match arguments.recorded.is_empty() {
        true => None,
        false => Some(Recorded::read(&arguments.recorded).map_err(|error| {
            let status = match &error {
                RecordedError::Divergence(_) => ExitCode::Finding,
                RecordedError::Refused(_) => ExitCode::DataRefused,
                RecordedError::Directory { .. }
                | RecordedError::Empty { .. }
                | RecordedError::Usage(_) => ExitCode::Usage,
            };
            Stopped::Because(status, error.to_string())
        })?),
    };
    let measured = match &arguments.from {
        Some(directory) => {
            read(directory).map_err(|message| Stopped::Because(ExitCode::DataRefused, message))?
        }
        None => measure(plan, options)?,
    };
    Ok(judge(&measured, recorded.as_ref()))
}

fn measure(plan: &Plan, options: &Options) -> Result<Measured, Stopped> {
    let replayed = job::replay(plan, options, &mut Stderr::new());
    let (core, node, divergences) =
        replayed.map_err(|error| Stopped::Because(ExitCode::Usage, error.to_string()))?;
    match divergences.first() {
        Some(found) => Err(Stopped::Because(ExitCode::Finding, found.to_string())),
        None => Ok(Measured::of(&core, &node)),
    }
}

fn read(directory: &Path) -> Result<Measured, String> {
    let file = directory.join(measured::FILE);
    let because = |what: String| {
        let file = file.display();
        format!("{file}: {what}; `cargo conform` says where its run directory is")
    };
    let text = fs::read_to_string(&file).map_err(|error| because(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| because(error.to_string()))
}

fn write_markdown(file: Option<&Path>, report: &CoverageReport) -> Result<(), String> {
    let Some(file) = file else { return Ok(()) };
    let failed = |error| format!("writing {}: {error}", file.display());
    fs::write(file, report.to_markdown()).map_err(failed)
}
