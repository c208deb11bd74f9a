//! `pbft-model replay`: a recorded path, step by step.

use std::fs;
use std::path::PathBuf;

use clap::Args;

use super::describe;
use crate::output;
use crate::run::{ExitCode, say};
use crate::trace::Trace;

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// A trace.json of a run directory
    trace: PathBuf,
}

/// Prints the steps of a trace.
pub(super) fn run(args: &ReplayArgs) -> Result<ExitCode, String> {
    let text = fs::read_to_string(&args.trace).map_err(describe("reading", &args.trace))?;
    let trace: Trace = serde_json::from_str(&text)
        .map_err(|error| format!("{} is not a trace: {error}", args.trace.display()))?;
    let model = trace.model().map_err(|error| format!("{}: {error}", args.trace.display()))?;
    say(&output::trace_text(&trace, &model));
    match trace.first_disabled(&model) {
        None => Ok(ExitCode::Holds),
        Some(step) => {
            let step = step + 1;
            say(&format_args!(
                "step {step} is not enabled in this model: the trace is of another version\n"
            ));
            Ok(ExitCode::Finding)
        }
    }
}
