//! `pbft-model trace`: recorded paths, checked, written in another form, compared, shortened.

use pbft_output::errln;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::{Failure, describe, print_json};
use crate::explore::{self, Opening};
use crate::mutants::{self, TellError};
use crate::run::{ExitCode, say};
use crate::trace::compare::{Followed, compare};
use crate::trace::shrink::{ShrinkError, shrink};
use crate::trace::{Trace, itf, mermaid, test_source};
use crate::{output, svg};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(super) struct TraceArgs {
    #[command(subcommand)]
    command: Option<Command>,
    /// A trace of a run directory: ITF JSON or plain JSON; - is standard input
    #[arg(value_name = "FILE", required = true)]
    trace: Option<PathBuf>,
    /// The form to write
    #[arg(long, value_enum, default_value_t = Form::Text, value_name = "FORM")]
    to: Form,
    #[command(flatten)]
    output: Output,
}

const EXAMPLES: &str = "\
Whatever the file says is computed again: steps that the model does not allow, and states that differ, are refused.

Examples:
  pbft-model trace FILE                            step by step, with what each step changes
  pbft-model trace FILE --to svg --output path.svg a picture
  pbft-model trace FILE --to html --output path.html
                                                   the Explorer's page of it in one file
  pbft-model trace FILE --to test                  a Rust test that takes the same steps
  pbft-model trace shrink FILE --output short.json without the steps that do not matter
  pbft-model trace diff FILE short.json            the first step at which two traces differ
Files are in the run directories of `check` and `mutants`: runs/…/n4-b0-v1-s1-d2.trace.itf.json.

Exit codes: 0 done, 2 bad usage, 5 the file is no trace of this model.";

const DIFF_EXAMPLES: &str = "\
Examples:
  pbft-model trace diff one.trace.itf.json other.trace.itf.json

Exit codes: 0 the same steps and states, 1 they differ, 2 bad usage, 5 a file is no trace of this model.";

const SHRINK_EXAMPLES: &str = "\
Examples:
  pbft-model trace shrink FILE --output short.trace.itf.json
  pbft-model trace shrink FILE | pbft-model trace -

Exit codes: 0 done, 2 bad usage or nothing is violated, 5 the file is no trace of this model.";

#[derive(Debug, Subcommand)]
enum Command {
    /// The first step at which two traces differ, with both states
    #[command(after_help = DIFF_EXAMPLES)]
    Diff {
        /// A trace
        first: PathBuf,
        /// Another one
        second: PathBuf,
    },
    /// Leave out the steps that a violation does not need
    #[command(after_help = SHRINK_EXAMPLES)]
    Shrink {
        /// A trace to a violation
        #[arg(value_name = "FILE")]
        trace: PathBuf,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, Args)]
struct Output {
    /// Where to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Output {
    fn write(&self, text: &str) -> Result<(), Failure> {
        match &self.output {
            Some(file) => fs::write(file, text).map_err(describe("writing", file))?,
            None => say(&text),
        }
        Ok(())
    }
}

/// The forms of a trace.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// Numbered steps, with what each changes
    Text,
    /// A picture, a lane for each replica
    Svg,
    /// A Mermaid sequence diagram
    Mermaid,
    /// Informal Trace Format: JSON with every state
    Itf,
    /// A Rust test that takes the same steps
    Test,
    /// The Explorer's page in one file, which needs no server
    Html,
    /// JSON with the steps alone
    Json,
}

#[derive(Debug, Args)]
pub(super) struct FollowArgs {
    /// A trace
    #[arg(value_name = "FILE")]
    trace: PathBuf,
}

/// A trace file.
struct File<'a> {
    path: &'a Path,
    bytes: Vec<u8>,
    /// The mutant that it is of, if it is not on in this process: then the file is followed in another one.
    elsewhere: Option<String>,
}

impl<'a> File<'a> {
    fn read(path: &'a Path) -> Result<Self, Failure> {
        let bytes = Trace::bytes(path).map_err(|error| Failure::of_file(path, &error))?;
        let elsewhere = mutants::of_another(&bytes);
        Ok(Self { path, bytes, elsewhere })
    }

    /// The trace, of a file that is followed here.
    fn trace(&self) -> Result<Trace, Failure> {
        Trace::parse(&self.bytes).map_err(|error| Failure::of_file(self.path, &error))
    }

    /// What this program prints with the mutant on for these arguments, in which `-` is the file.
    fn told(&self, mutant: &str, arguments: &[&str]) -> Result<String, Failure> {
        mutants::tell(mutant, arguments, &self.bytes).map_err(|error| self.untold(error))
    }

    fn untold(&self, error: TellError) -> Failure {
        match error {
            TellError::Tool(error) => error.into(),
            TellError::Refused { code: Some(2), said } => said.into(),
            TellError::Refused { said, .. } => {
                let message = format!("{} is refused: {said}", self.path.display());
                Failure { code: ExitCode::DataRefused, message }
            }
        }
    }

    fn followed(&self) -> Result<Followed, Failure> {
        match &self.elsewhere {
            None => {
                let followed = Followed::new(self.trace()?);
                followed.map_err(|error| Failure::of_file(self.path, &error))
            }
            Some(mutant) => {
                mutants::followed(mutant, &self.bytes).map_err(|error| self.untold(error))
            }
        }
    }
}

/// Does what is asked with a trace.
pub(super) fn run(args: &TraceArgs) -> Result<ExitCode, Failure> {
    match (&args.command, &args.trace) {
        (Some(Command::Diff { first, second }), _) => diff(first, second),
        (Some(Command::Shrink { trace, output }), _) => shorten(trace, output),
        (None, Some(file)) => {
            args.output.write(&form(&File::read(file)?, args.to)?)?;
            let shown = matches!((args.to, &args.output.output), (Form::Text, None));
            if shown && file != Path::new("-") {
                errln!("explore: cargo explore --trace {}", file.display());
            }
            Ok(ExitCode::Holds)
        }
        (None, None) => Err(Failure::from("no trace is named".to_owned())),
    }
}

/// Follows a trace, and prints its states as JSON.
pub(super) fn follow(args: &FollowArgs) -> Result<ExitCode, Failure> {
    print_json(&File::read(&args.trace)?.followed()?)?;
    Ok(ExitCode::Holds)
}

/// The Explorer's page of a trace.
pub(super) fn page_of(file: &Path) -> Result<String, Failure> {
    form(&File::read(file)?, Form::Html)
}

fn form(file: &File<'_>, form: Form) -> Result<String, Failure> {
    let Some(mutant) = &file.elsewhere else {
        return form_here(&file.trace()?, form);
    };
    match form {
        // Its half about the protocol without the mutant is found out here.
        Form::Test => form_here(&file.followed()?.trace, form),
        _ => {
            let name = form.to_possible_value();
            let name = name.as_ref().map_or("text", |name| name.get_name());
            file.told(mutant, &["trace", "-", "--to", name])
        }
    }
}

fn form_here(trace: &Trace, form: Form) -> Result<String, Failure> {
    let model = trace.model().map_err(|error| error.to_string())?;
    Ok(match form {
        Form::Text => output::trace_text(trace, &model),
        Form::Svg => svg::swim_lanes(&model, &trace.actions) + "\n",
        Form::Mermaid => {
            mermaid::sequence_diagram(trace, &model).map_err(|error| error.to_string())?
        }
        Form::Itf => itf::write(trace).map_err(|error| error.to_string())?,
        Form::Test => test_source::rust_test(trace).map_err(|error| error.to_string())?,
        Form::Html => {
            let opening = Opening::at_trace(&model, trace).map_err(|error| error.to_string())?;
            explore::page(&opening)?
        }
        Form::Json => serde_json::to_string(trace).map_err(|error| error.to_string())? + "\n",
    })
}

fn diff(first: &Path, second: &Path) -> Result<ExitCode, Failure> {
    let traces = [File::read(first)?.followed()?, File::read(second)?.followed()?];
    match compare(&traces[0], &traces[1]) {
        None => {
            say(&format_args!("the same {} steps\n", traces[0].trace.actions.len()));
            Ok(ExitCode::Holds)
        }
        Some(difference) => {
            say(&difference);
            Ok(ExitCode::Finding)
        }
    }
}

fn shorten(file: &Path, output: &Output) -> Result<ExitCode, Failure> {
    let file = File::read(file)?;
    if let Some(mutant) = &file.elsewhere {
        output.write(&file.told(mutant, &["trace", "shrink", "-"])?)?;
        return Ok(ExitCode::Holds);
    }
    let long = file.trace()?;
    let short = shrink(&long).map_err(|error: ShrinkError| error.to_string())?;
    output.write(&itf::write(&short).map_err(|error| error.to_string())?)?;
    errln!("{} steps, {} are enough", long.actions.len(), short.actions.len());
    Ok(ExitCode::Holds)
}
