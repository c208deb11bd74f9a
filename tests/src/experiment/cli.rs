//! `pbft-sim run`, `distalgo`, `sweep` and `ledger`.

use super::knobs::Knobs;
use super::measure::{Measurement, Safety};
use super::report::{Outputs, Report, Table};
use super::setup::SetupError;
use super::simulate::simulate;
use super::table;
use crate::sim::keys::Scheme;
use clap::{Args, Subcommand};
use pbft_model::run::{ExitCode, Format, say};
use pbft_model::run_args::{RunArgs, usage};

/// The experiments.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Runs one cluster as the knobs say, and gives a verdict on safety and liveness.
    #[command(after_help = RUN_HELP)]
    Run(Box<RunArguments>),
}

const RUN_HELP: &str = "Examples:
  cargo sim run --replicas 7 --clients 4 --requests 25
  cargo sim run --byzantine primary --timeout 2s          the first primary is silent: the view changes
  cargo sim run --byzantine 2 --strategy double-vote,random --replicas 10
  cargo sim run --delay 5..40 --drop 0.02 --reorder 0.05 --duplicate 0.01 --seed 11
  cargo sim run --requests 50 --think 100ms --fault 'replica 2: crash at 1s, back at 3s'
  cargo sim run --replicas 7 --byzantine backups --faulty 4      beyond f: stops, and claims nothing
  cargo sim run --requests 100 --csv - --svg charts --html report.html

A fault plan (--faults FILE) is TOML, a table a fault:
  [[fault]]
  replicas = [2]
  how = \"crash\"              or pause, cut-off, slow, lose-disk, diverge, or a strategy of Byzantine replicas
  from = \"1s\"
  until = \"3s\"

Time is virtual: a message takes its delay and 0.1 ms, computing takes nothing. Signatures are keyed hashes unless
--signatures ed25519. The same arguments give the same CSV, byte for byte; with --measured it also has the time on the
wall, processor time and memory, which differ.

Exit status: 0 safe and live, 1 a rule was broken or operations were not answered, 2 wrong arguments, 3 beyond f: nothing
is claimed.";

/// `pbft-sim run`.
#[derive(Clone, Debug, Args)]
pub struct RunArguments {
    #[command(flatten)]
    knobs: Knobs,
    #[command(flatten)]
    outputs: Outputs,
}

/// What is said of all experiments at once.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Threads, and the form of the output.
    pub run: &'a RunArgs,
    /// How signatures are made.
    pub scheme: Scheme,
}

/// Does what the command says.
#[must_use]
pub fn main(settings: Settings<'_>, command: &Command) -> ExitCode {
    match command {
        Command::Run(arguments) => run(settings, arguments),
    }
}

/// Writes a report where it is to go.
fn publish(settings: Settings<'_>, outputs: &Outputs, report: &Report, text: &str) -> Option<ExitCode> {
    match report.write(outputs) {
        Err(error) => Some(usage(&error)),
        Ok(true) => None,
        Ok(false) => {
            match settings.run.format {
                Format::Human => say(&text),
                Format::Json => say(&format_args!("{}\n", report.to_json(outputs.measured))),
            }
            None
        }
    }
}

fn run(settings: Settings<'_>, arguments: &RunArguments) -> ExitCode {
    let setup = match arguments.knobs.setup(settings.scheme) {
        Ok(setup) => setup,
        Err(error) => return usage(&error),
    };
    if let Some(bug) = &setup.planted
        && let Err(message) = crate::sim::cli::check_planted(bug)
    {
        return usage(&message);
    }
    let one = match simulate(&setup) {
        Ok(one) => one,
        Err(error) => return refuse(&error),
    };
    let verdict = &one.verdict;
    let code = match (&verdict.safety, verdict.is_live()) {
        (Safety::NotClaimed(_), _) => ExitCode::Inconclusive,
        (Safety::Broken(_), _) | (_, false) => ExitCode::Finding,
        (Safety::Holds, true) => ExitCode::Holds,
    };
    let text = format!("{}{}\n", table::lines(&one), verdict.reason);
    let report = report(one, arguments.outputs.measured);
    publish(settings, &arguments.outputs, &report, &text).unwrap_or(code)
}

fn refuse(error: &SetupError) -> ExitCode {
    usage(error)
}

fn report(one: Measurement, measured: bool) -> Report {
    let cells = table::cells(&one, measured).into_iter();
    let rows = cells.map(|(name, value)| {
        vec![name.to_owned(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)]
    });
    let head = vec!["quantity".to_owned(), "value".to_owned()];
    Report {
        title: format!("{} replicas, {} clients", one.setup.replicas, one.setup.clients),
        conclusion: one.verdict.reason.clone(),
        notes: vec![super::VIRTUAL.to_owned()],
        tables: vec![Table {
            title: "What was measured".to_owned(),
            rows: std::iter::once(head).chain(rows).collect(),
        }],
        charts: vec![
            ("latency".to_owned(), super::figures::latencies(&one)),
            ("throughput".to_owned(), super::figures::timeline(&one, None)),
        ],
        measurements: vec![one],
    }
}
