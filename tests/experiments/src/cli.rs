//! `pbft-sim run`, `distalgo`, `sweep` and `ledger`.

use super::knobs::Knobs;
use super::measure::{Measurement, Safety};
use super::real::{self, RealError};
use super::report::{Outputs, Report, Table};
use super::setup::SetupError;
use super::simulate::simulate;
use super::{distalgo, ledger, sweep, table};
use clap::{Args, Subcommand};
use pbft_checker::run::{ExitCode, Format, say};
use pbft_checker::run_args::{RunArgs, usage};
use pbft_output::errln;
use pbft_sim::keys::Scheme;

/// The experiments.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Runs one cluster as the knobs say, and gives a verdict on safety and liveness.
    #[command(after_help = RUN_HELP)]
    Run(Box<RunArguments>),
    /// All runs of a course report on PBFT in DistAlgo, theirs beside ours, and those that it could not make.
    #[command(after_help = DISTALGO_HELP)]
    Distalgo(DistalgoArguments),
    /// Ten replicas, none to nine of them malicious; loss; and colluding replicas at the bound and beyond.
    #[command(after_help = SWEEP_HELP)]
    Sweep(SweepArguments),
    /// Random reads and writes on a ledger while primaries are killed and cut off, theirs beside ours.
    #[command(after_help = LEDGER_HELP)]
    Ledger(LedgerArguments),
}

const DISTALGO_HELP: &str = "Examples:
  cargo sim distalgo
  cargo sim distalgo --timeout 25s                their timeout
  cargo sim distalgo --real                       on processes, up to ten replicas
  cargo sim distalgo --measured --csv distalgo.csv --svg charts --html distalgo.html

Thirty runs: five sizes, without faults, with a Byzantine primary, with Byzantine backups; without delay and with 0.05 s.
Then 50 replicas with 70 clients, every primary killed in turn, and more Byzantine replicas than f. The charts are nine:
processor time, messages, throughput and time on the wall, without and with delay, and total time.

Exit status: 0 as expected, 1 something was not, 2 wrong arguments.";

const SWEEP_HELP: &str = "Examples:
  cargo sim sweep
  cargo sim sweep --seed 12 --csv sweep.csv --svg charts --html sweep.html

Up to f every trial must succeed; beyond f nothing is claimed, and the table says what happened. Two charts: latency and
success, with spread.

Exit status: 0 as expected, 1 something was not, 2 wrong arguments.";

const LEDGER_HELP: &str = "Examples:
  cargo sim ledger
  cargo sim ledger --real --runs-of-each 1
  cargo sim ledger --runs-of-each 3 --csv ledger.csv --svg charts --html ledger.html

1,000, 5,000 and 10,000 operations, half reads and half writes, with at least as many view changes and crashes as theirs.
Consistent means that every answer is that of one ledger in the clients' order of time, and all replicas end with equal
accounts. The chart is the throughput while a killed replica is away and catches up.

Exit status: 0 as expected, 1 something was not, 2 wrong arguments.";

/// `pbft-sim distalgo`.
#[derive(Clone, Debug, Args)]
pub struct DistalgoArguments {
    /// How long a replica waits for a request before it suspects the primary
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = super::words::span)]
    timeout: core::time::Duration,
    /// Selects everything that is drawn
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run processes of the `pbft` command instead of the simulator: the six runs without delay and with at most ten
    /// replicas
    #[arg(long)]
    real: bool,
    #[command(flatten)]
    outputs: Outputs,
}

/// `pbft-sim sweep`.
#[derive(Clone, Debug, Args)]
pub struct SweepArguments {
    /// Selects everything that is drawn
    #[arg(long, default_value_t = 11)]
    seed: u64,
    #[command(flatten)]
    outputs: Outputs,
}

/// `pbft-sim ledger`.
#[derive(Clone, Debug, Args)]
pub struct LedgerArguments {
    /// Runs of each size
    #[arg(long, default_value_t = ledger::RUNS, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs_of_each: u32,
    /// Run processes of the `pbft` command instead of the simulator
    #[arg(long)]
    real: bool,
    #[command(flatten)]
    outputs: Outputs,
}

const RUN_HELP: &str = "Examples:
  cargo sim run --replicas 7 --clients 4 --requests 25
  cargo sim run --byzantine primary --timeout 2s          the first primary is silent: the view changes
  cargo sim run --byzantine 2 --strategy double-vote,random --replicas 10
  cargo sim run --delay 5..40 --drop 0.02 --reorder 0.05 --duplicate 0.01 --seed 11
  cargo sim run --requests 50 --think 100ms --fault 'replica 2: crash at 1s, back at 3s'
  cargo sim run --replicas 7 --byzantine backups --faulty 4      beyond f: stops, and claims nothing
  cargo sim run --requests 100 --csv - --svg charts --html report.html
  cargo sim run --real --clients 4 --requests 250 --fault 'replica 0: crash at 1s, back at 3s'

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
    /// Run processes of the `pbft` command instead of the simulator: up to ten replicas, without the knobs of the
    /// network; a Byzantine replica is a stopped process
    #[arg(long)]
    real: bool,
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
        Command::Distalgo(arguments) => {
            let DistalgoArguments { timeout, seed, real, outputs } = arguments;
            if *real {
                return match distalgo::processes::run(*timeout, *seed, &tell) {
                    Ok(all) => {
                        conclude(settings, outputs, Ok((all.wrong().is_empty(), all.report())))
                    }
                    Err(error) => not_run(&error),
                };
            }
            let results = distalgo::run(*timeout, *seed, settings.run.threads(), &tell);
            let results = results.map(|results| (results.wrong().is_empty(), results.report()));
            conclude(settings, outputs, results)
        }
        Command::Sweep(SweepArguments { seed, outputs }) => {
            let results = sweep::run(*seed, settings.run.threads(), &tell);
            let results = results.map(|results| (results.wrong().is_empty(), results.report()));
            conclude(settings, outputs, results)
        }
        Command::Ledger(arguments) => ledger(settings, arguments),
    }
}

/// Writes a report where it is to go.
fn publish(
    settings: Settings<'_>,
    outputs: &Outputs,
    report: &Report,
    text: &str,
) -> Option<ExitCode> {
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

/// Progress: a line a run.
fn tell(one: &Measurement) {
    let holds = if one.verdict.is_beyond() {
        "beyond f"
    } else if one.verdict.holds() {
        "holds"
    } else {
        "DIFFERENT"
    };
    errln!("{}: {holds}, {:.2} s", one.setup.name, one.cost.wall_clock_s);
}

fn ledger(settings: Settings<'_>, arguments: &LedgerArguments) -> ExitCode {
    let LedgerArguments { runs_of_each, real, outputs } = arguments;
    let results = match real {
        false => ledger::run(*runs_of_each, settings.run.threads(), &tell)
            .and_then(|results| Ok((results, simulate(&ledger::slowdown(1))?)))
            .map_err(RealError::from),
        true => ledger::run_real(*runs_of_each, &tell)
            .and_then(|results| Ok((results, real::run(&ledger::real_slowdown())?))),
    };
    match results {
        Ok((results, returning)) => {
            let holds = results.wrong().is_empty() && returning.verdict.holds();
            conclude(settings, outputs, Ok((holds, results.report(Some(&returning)))))
        }
        Err(error) => not_run(&error),
    }
}

/// What cannot be run is a wrong argument, or the machine's fault.
fn not_run(error: &RealError) -> ExitCode {
    match error {
        RealError::Failed(_) => {
            errln!("{error}");
            ExitCode::Inconclusive
        }
        RealError::Setup(_) | RealError::Refused { .. } => usage(error),
    }
}

fn conclude(
    settings: Settings<'_>,
    outputs: &Outputs,
    results: Result<(bool, Report), SetupError>,
) -> ExitCode {
    let (holds, report) = match results {
        Ok(results) => results,
        Err(error) => return usage(&error),
    };
    let code = if holds { ExitCode::Holds } else { ExitCode::Finding };
    publish(settings, outputs, &report, &report.to_text()).unwrap_or(code)
}

fn run(settings: Settings<'_>, arguments: &RunArguments) -> ExitCode {
    let setup = match arguments.knobs.setup(settings.scheme) {
        Ok(setup) => setup,
        Err(error) => return usage(&error),
    };
    let one = match arguments.real {
        false => simulate(&setup).map_err(RealError::from),
        true => real::run(&setup),
    };
    let one = match one {
        Ok(one) => one,
        Err(error) => return not_run(&error),
    };
    let verdict = &one.verdict;
    let code = match (&verdict.safety, verdict.is_live()) {
        (Safety::NotClaimed(_), _) => ExitCode::Inconclusive,
        (Safety::Broken(_), _) | (_, false) => ExitCode::Finding,
        (Safety::Holds, true) => ExitCode::Holds,
    };
    let text = format!("{}{}\n", table::lines(&one), verdict.reason);
    let report = report(one, arguments);
    publish(settings, &arguments.outputs, &report, &text).unwrap_or(code)
}

fn report(one: Measurement, arguments: &RunArguments) -> Report {
    let cells = table::cells(&one, arguments.outputs.measured).into_iter();
    let note = if arguments.real { super::REAL } else { super::VIRTUAL };
    let rows = cells.map(|(name, value)| {
        vec![name.to_owned(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)]
    });
    let head = vec!["quantity".to_owned(), "value".to_owned()];
    Report {
        title: format!("{} replicas, {} clients", one.setup.replicas, one.setup.clients),
        conclusion: one.verdict.reason.clone(),
        notes: vec![note.to_owned()],
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
