//! `pbft-model trace`: a recorded path, in another form.

use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Failure, describe};
use crate::run::{ExitCode, say};
use crate::trace::{Trace, itf};
use crate::{output, svg};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TraceArgs {
    /// A trace of a run directory, ITF JSON or plain JSON; - is standard input
    #[arg(value_name = "FILE")]
    trace: PathBuf,
    #[command(flatten)]
    target: Target,
}

const EXAMPLES: &str = "\
Examples:
  pbft-model trace runs/…/n4-b0-v1-s1-d2.trace.itf.json              step by step, with what each step changes
  pbft-model trace FILE --to svg --output trace.svg                  as a picture

Exit codes: 0 done, 2 bad usage, 5 the file is no trace of this model.";

#[derive(Debug, Args)]
struct Target {
    /// The form to write
    #[arg(long, value_enum, default_value_t = Form::Text, value_name = "FORM")]
    to: Form,
    /// Where to write it [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The forms of a trace.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// Numbered steps, with what each changes
    Text,
    /// A picture, a lane for each replica
    Svg,
    /// Informal Trace Format: JSON with every state
    Itf,
    /// JSON with the steps alone
    Json,
}

/// Reads a trace and writes it in the form asked for.
pub(super) fn run(args: &TraceArgs) -> Result<ExitCode, Failure> {
    let trace = Trace::read(&args.trace).map_err(|error| Failure::of_file(&args.trace, &error))?;
    args.target.write(&trace)?;
    Ok(ExitCode::Holds)
}

impl Target {
    fn write(&self, trace: &Trace) -> Result<(), Failure> {
        let text = form(trace, self.to)?;
        match &self.output {
            Some(file) => fs::write(file, text).map_err(describe("writing", file))?,
            None => say(&text),
        }
        Ok(())
    }
}

fn form(trace: &Trace, form: Form) -> Result<String, Failure> {
    let model = trace.model().map_err(|error| error.to_string())?;
    Ok(match form {
        Form::Text => output::trace_text(trace, &model),
        Form::Svg => svg::swim_lanes(&model, &trace.actions) + "\n",
        Form::Itf => itf::write(trace).map_err(|error| error.to_string())?,
        Form::Json => serde_json::to_string(trace).map_err(|error| error.to_string())? + "\n",
    })
}
