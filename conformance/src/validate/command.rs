//! `pbft-conform validate` and `pbft-conform explain`.

use super::merge::{Options, ValidateError, validate};
use super::narrate;
use super::recording::Recording;
use clap::Args;
use pbft_checker::mutants;
use pbft_checker::report::ReportArgs;
use pbft_checker::run::{ExitCode, Format, say};
use pbft_checker::trace::Trace;
use pbft_node::trace::{LINE_BYTES_MAX, Line};
use pbft_output::{Stdout, errln};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// The longest trace of the model that is read.
const TRACE_BYTES_MAX: u64 = 64 << 20;

/// `pbft-conform validate`.
#[derive(Clone, Debug, Args)]
pub struct ValidateArguments {
    /// The trace files of a cluster, one a replica
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Replicas that may have done anything: their files are left out. Those without a file count as such, too
    #[arg(long, value_delimiter = ',', value_name = "REPLICA")]
    byzantine: Vec<u32>,
    /// A file may end without an end: its replica was killed and not started again, or still runs
    #[arg(long)]
    truncated_ok: bool,
    #[command(flatten)]
    report: ReportArgs,
}

impl ValidateArguments {
    fn command(&self) -> String {
        let files: Vec<_> = self.files.iter().map(|file| file.display().to_string()).collect();
        let ids: Vec<_> = self.byzantine.iter().map(u32::to_string).collect();
        let byzantine = match ids.is_empty() {
            true => String::new(),
            false => format!(" --byzantine {}", ids.join(",")),
        };
        let truncated = if self.truncated_ok { " --truncated-ok" } else { "" };
        format!("cargo conform validate{byzantine}{truncated} {}", files.join(" "))
    }
}

/// Decides whether the model allows a recorded run.
pub fn run_validate(arguments: &ValidateArguments, format: Format) -> ExitCode {
    let reports = match arguments.report.create() {
        Ok(reports) => reports,
        Err(message) => return usage(&message),
    };
    let options = Options {
        byzantine: arguments.byzantine.iter().copied().collect(),
        truncated_ok: arguments.truncated_ok,
    };
    let files = arguments.files.iter().map(|file| Recording::open(file));
    let outcome = files.collect::<Result<Vec<_>, _>>().map_err(ValidateError::from);
    let validation = match outcome.and_then(|recordings| validate(recordings, &options)) {
        Ok(validation) => validation,
        Err(ValidateError::Usage(message)) => return usage(&message),
        Err(ValidateError::Theorem(error)) => return usage(&error.to_string()),
        Err(ValidateError::Refused(refused)) => {
            errln!("error: {refused}");
            return ExitCode::DataRefused;
        }
    };
    format.print(&validation, ToString::to_string);
    let rate = validation.steps as f64 / validation.seconds.max(f64::EPSILON);
    errln!("{:.2} s, {rate:.0} steps/s", validation.seconds);
    errln!("again: {}", arguments.command());
    if let Some(found) = &validation.divergence {
        errln!("in words: cargo conform explain {}", found.path.display());
    }
    match reports.write(&validation.to_report(arguments.command())) {
        Ok(()) => validation.exit_code(),
        Err(message) => usage(&message),
    }
}

fn usage(message: &str) -> ExitCode {
    errln!("error: {message}");
    ExitCode::Usage
}

/// `pbft-conform explain`.
#[derive(Clone, Debug, Args)]
pub struct ExplainArguments {
    /// A replica's trace file, or a trace of the model (ITF JSON, or JSON with `config` and `actions`)
    file: PathBuf,
}

/// Tells a trace in words.
pub fn run_explain(arguments: &ExplainArguments) -> ExitCode {
    match explain(&arguments.file) {
        Ok(()) => ExitCode::Holds,
        Err(problem) => {
            errln!("error: {}: {problem}", arguments.file.display());
            ExitCode::DataRefused
        }
    }
}

fn explain(path: &Path) -> Result<(), String> {
    let open = || File::open(path).map_err(|error| error.to_string());
    let mut first = Vec::new();
    let mut limited = BufReader::new(open()?).take(LINE_BYTES_MAX as u64);
    limited.read_until(b'\n', &mut first).map_err(|error| error.to_string())?;
    match serde_json::from_slice::<Line>(&first) {
        Ok(_) => explain_recording(open()?),
        Err(_) => explain_trace(open()?),
    }
}

/// Line by line; a line that is cut off is said to be.
fn explain_recording(file: File) -> Result<(), String> {
    let mut input = BufReader::new(file);
    let mut out = Stdout;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let mut limited = (&mut input).take(LINE_BYTES_MAX as u64 + 1);
        limited.read_until(b'\n', &mut bytes).map_err(|error| error.to_string())?;
        if bytes.is_empty() {
            return Ok(());
        }
        let text = match serde_json::from_slice::<Line>(&bytes) {
            Ok(line) => narrate::line(&line),
            Err(error) => format!("a line that cannot be read: {error}"),
        };
        // The end of the program says so.
        if writeln!(out, "{text}").is_err() {
            return Ok(());
        }
    }
}

fn explain_trace(file: File) -> Result<(), String> {
    let mut text = String::new();
    let read = file.take(TRACE_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| error.to_string())?;
    if let Some(mutant) = mutants::of_another(text.as_bytes()) {
        let told = mutants::tell(&mutant, &["trace", "-"], text.as_bytes());
        say(&told.map_err(|error| error.to_string())?);
        return Ok(());
    }
    let trace = match serde_json::from_str::<crate::walk::Trace>(&text) {
        Ok(walk) => {
            Trace { config: walk.config, mutant: None, shows: vec![], actions: walk.actions }
        }
        Err(_) => Trace::parse(text.as_bytes()).map_err(|error| {
            format!("neither a recording nor a trace of the model: {error}; see docs/recording.md")
        })?,
    };
    let model = trace.model().map_err(|error| error.to_string())?;
    trace.states(&model).map_err(|error| error.to_string())?;
    say(&format_args!("{}\n{}", trace.headline(), trace.render(&model)));
    Ok(())
}
