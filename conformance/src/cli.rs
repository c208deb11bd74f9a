//! The command line of `pbft-conform`.

use crate::corpus;
use crate::divergence::Divergence;
use crate::grain::Walked;
use crate::job::{self, Options};
use crate::node_replay::{self, NodeReport};
use crate::plan::Plan;
use crate::refinement::vocabulary::replayable;
use crate::replay::{Counters, Replay};
use crate::report::ConformReport;
use crate::validate::command::{ExplainArguments, ValidateArguments, run_explain, run_validate};
use crate::walk::{Trace, walk};
use clap::{Args, Parser, Subcommand};
use pbft_model as model;
use pbft_model::run::{ExitCode, Format, RunDir, RunRecord, Stderr, say};
use serde::Serialize;
use std::io::Read as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Shows that the model of PBFT and the production replica are the same protocol.
///
/// Without a subcommand it does the main job: it checks the model exhaustively at the quick bounds, replays every
/// edge of the model's graph on the production core, replays traces through the production node, and gives one
/// verdict.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  cargo conform                                    the main job
  cargo conform --format json > conform.json       the same, for a program
  cargo conform replay --config n4-b0-v1-s1-d2     one configuration on the core
  cargo conform node --config n4-b0-v1-s1-d2 --seed 7
  cargo conform validate traces/*.jsonl            a recorded run
  cargo conform trace runs/…/divergence-0.json     one trace, on the core and through the node

Exit status: 0 holds, 1 a violation or a divergence, 2 wrong arguments, 3 not everything was done."
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Debug, Args)]
struct Common {
    /// Selects schedules, quorums and random walks; the same seed does the same.
    #[arg(long, default_value_t = 1, global = true)]
    seed: u64,
    /// How results are written to standard output.
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Format,
    /// Threads; as many as there are cores unless said.
    #[arg(long, global = true)]
    threads: Option<NonZeroUsize>,
    /// Directory for the results of runs.
    #[arg(long, default_value = "runs", global = true)]
    runs: PathBuf,
    /// Plant a bug in the core, to see it caught (only in builds with `--features planted-bugs`).
    #[arg(long, global = true)]
    planted: Option<String>,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Replays every edge of one configuration on the core.
    Replay {
        /// The configuration: n4-b0-v1-s1-d2 is four replicas, replica 0 Byzantine, views 0 to 1, one slot, two
        /// values; -k1 adds checkpoints at every slot.
        #[arg(long, value_parser = replayable)]
        config: model::Config,
    },
    /// Replays random walks of one configuration through the production node.
    Node {
        /// The configuration.
        #[arg(long, value_parser = replayable)]
        config: model::Config,
        /// Number of walks.
        #[arg(long, default_value_t = 20)]
        walks: u64,
    },
    /// Replays one trace, as a run directory keeps it beside a divergence, on the core and through the node.
    Trace {
        /// The file: JSON with `config`, `origin` and `actions`, or a counterexample of the model as ITF JSON.
        file: PathBuf,
    },
    /// Decides whether the model allows a recorded run: the trace files of a cluster's replicas.
    #[command(after_help = "Example:
  cargo cluster --trace traces           a cluster that records; ^C stops it
  cargo conform validate traces/*.jsonl

Exit status: 0 valid, 1 a divergence, 2 wrong arguments, 3 something is missing, 5 a file is refused.")]
    Validate(ValidateArguments),
    /// Tells a recorded run or a trace of the model in words.
    Explain(ExplainArguments),
    /// Makes the corpus of traces again, from the model's mutants; for conformance/corpus/traces.jsonl.
    Corpus,
    /// Plants each known bug in core and node, one after the other, and looks whether conformance catches it.
    #[cfg(feature = "planted-bugs")]
    PlantedBugs {
        /// Only these.
        bugs: Vec<String>,
        /// Print the record of what caught what, for conformance/planted.tsv.
        #[arg(long)]
        record: bool,
    },
}

/// Parses the arguments and does what they say.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(message) = check_planted(cli.common.planted.as_deref()) {
        eprintln!("{message}");
        return ExitCode::Usage;
    }
    match &cli.command {
        None => main_job(&cli.common),
        Some(Command::Replay { config }) => replay(&cli.common, *config),
        Some(Command::Node { config, walks }) => node(&cli.common, *config, *walks),
        Some(Command::Trace { file }) => replay_file(&cli.common, file),
        Some(Command::Validate(arguments)) => run_validate(arguments, cli.common.format),
        Some(Command::Explain(arguments)) => run_explain(arguments),
        Some(Command::Corpus) => make_corpus(&cli.common),
        #[cfg(feature = "planted-bugs")]
        Some(Command::PlantedBugs { bugs, record }) => planted_bugs(&cli.common, bugs, *record),
    }
}

#[cfg(feature = "planted-bugs")]
fn check_planted(bug: Option<&str>) -> Result<(), String> {
    let all: Vec<_> = pbft_core::planted::PlantedBug::ALL.iter().map(|bug| bug.name()).collect();
    match bug {
        Some(bug) if !all.contains(&bug) => {
            Err(format!("there is no bug `{bug}`; known are: {}", all.join(", ")))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(not(feature = "planted-bugs"))]
fn check_planted(bug: Option<&str>) -> Result<(), String> {
    bug.map_or(Ok(()), |bug| {
        Err(format!(
            "this build cannot plant `{bug}`; build one that can: \
             cargo run --release -p pbft-conformance --features planted-bugs -- --planted {bug}"
        ))
    })
}

fn threads(common: &Common) -> NonZeroUsize {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    common.threads.unwrap_or(cores)
}

fn main_job(common: &Common) -> ExitCode {
    let plan = Plan::quick();
    let options =
        Options { seed: common.seed, threads: threads(common), planted: common.planted.clone() };
    let report = match job::run(&plan, &options, &mut Stderr::new()) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::Usage;
        }
    };
    print(common, &report, ConformReport::to_text);
    keep(common, &report);
    report.verdict.exit_code()
}

fn print<T: Serialize>(common: &Common, value: &T, text: impl Fn(&T) -> String) {
    match common.format {
        Format::Human => say(&text(value)),
        Format::Json => match serde_json::to_string(value) {
            Ok(json) => say(&format_args!("{json}\n")),
            Err(error) => eprintln!("the report cannot be written as JSON: {error}"),
        },
    }
}

/// Writes the run directory, and says where it is and how to do the same again.
fn keep(common: &Common, report: &ConformReport) {
    let configurations = report.model.iter().map(|check| check.config.to_string()).collect();
    let complete = report.model.iter().all(|check| check.complete)
        && report.core.configurations.iter().all(|one| one.complete);
    let record = RunRecord::new(configurations, Some(common.seed), report, complete);
    let written = RunDir::create(&common.runs, "conform").and_then(|run| {
        run.write_json("run.json", &record)?;
        run.write("report.txt", &report.to_text())?;
        for (index, divergence) in report.divergences.iter().enumerate() {
            run.write_json(&format!("divergence-{index}.json"), &divergence.trace())?;
        }
        Ok(run)
    });
    match written {
        Ok(run) => {
            eprintln!("seed {}; results in {}", common.seed, run.path().display());
            if !report.divergences.is_empty() {
                let path = run.path().display();
                eprintln!("one divergence: cargo conform trace {path}/divergence-0.json");
            }
        }
        Err(error) => eprintln!("no run directory: {error}; choose another with --runs DIR"),
    }
    eprintln!("again: cargo conform --seed {}", common.seed);
    let explore = report.divergences.first().map(|divergence| divergence.explore.as_str());
    eprintln!("explore: {}", explore.unwrap_or("cargo explore --config n4-b0-v1-s1-d2"));
}

fn replay(common: &Common, config: model::Config) -> ExitCode {
    let replay = Replay::planted(config, common.seed, common.planted.as_deref());
    let (report, divergence) = replay.run(&Counters::default());
    print(common, &(&report, &divergence), |(report, divergence)| {
        let rate = report.edges as f64 / report.seconds;
        let summary = format!(
            "{}: {} states, {} edges, {} inputs, {:.1} s, {rate:.0} edges/s\n",
            report.config, report.states, report.edges, report.steps, report.seconds
        );
        divergence.iter().fold(summary, |text, divergence| format!("{text}{divergence}\n"))
    });
    match (divergence, report.complete) {
        (Some(_), _) => ExitCode::Finding,
        (None, true) => ExitCode::Holds,
        (None, false) => ExitCode::Inconclusive,
    }
}

fn node(common: &Common, config: model::Config, walks: u64) -> ExitCode {
    let runtime = match node_replay::runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start a runtime for the node: {error}");
            return ExitCode::Usage;
        }
    };
    let walked = Walked { model: model::Pbft::new(config) };
    let started = std::time::Instant::now();
    let mut report = NodeReport::default();
    let mut divergence: Option<Divergence> = None;
    for number in 0..walks {
        let trace = walk(&walked, &config, common.seed.wrapping_add(number), 60);
        divergence = node_replay::replay(&runtime, &trace, common.seed, &mut report);
        if divergence.is_some() {
            break;
        }
    }
    report.seconds = started.elapsed().as_secs_f64();
    print(common, &(&report, &divergence), |(report, divergence)| {
        let summary = format!(
            "{config}: {} traces, {} steps, {} crashes, {:.1} s\n",
            report.traces, report.steps, report.crashes, report.seconds
        );
        divergence.iter().fold(summary, |text, divergence| format!("{text}{divergence}\n"))
    });
    match (divergence, walks) {
        (Some(_), _) => ExitCode::Finding,
        (None, 0) => ExitCode::Inconclusive,
        (None, _) => ExitCode::Holds,
    }
}

fn replay_file(common: &Common, file: &Path) -> ExitCode {
    match read_trace(file).and_then(|trace| replay_trace(common, &trace)) {
        Ok(None) => {
            say(&"code and model agree along this trace\n");
            ExitCode::Holds
        }
        Ok(Some(divergence)) => {
            print(common, &divergence, |divergence| format!("{divergence}\n"));
            ExitCode::Finding
        }
        Err(message) => {
            eprintln!("{}: {message}", file.display());
            ExitCode::Usage
        }
    }
}

/// The longest trace file that is read: a trace of the model's bounds is a hundred times smaller.
const TRACE_BYTES_MAX: u64 = 1 << 20;

fn read_trace(file: &Path) -> Result<Trace, String> {
    let open = std::fs::File::open(file).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let read = open.take(TRACE_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| error.to_string())?;
    if let Ok(trace) = serde_json::from_str(&text) {
        return Ok(trace);
    }
    let counterexample =
        model::trace::Trace::parse(text.as_bytes()).map_err(|error| error.to_string())?;
    let origin = counterexample.headline();
    Ok(Trace { config: counterexample.config, origin, actions: counterexample.actions })
}

/// The first divergence on the core, then through the node.
fn replay_trace(common: &Common, trace: &Trace) -> Result<Option<Divergence>, String> {
    let config = replayable(&trace.config)?;
    let replay = Replay::planted(config, common.seed, common.planted.as_deref());
    if let Err(divergence) = replay.follow(&trace.actions) {
        return Ok(Some(*divergence));
    }
    if common.planted.is_some() {
        return Ok(None);
    }
    let runtime = node_replay::runtime().map_err(|error| error.to_string())?;
    Ok(node_replay::replay(&runtime, trace, common.seed, &mut NodeReport::default()))
}

fn make_corpus(common: &Common) -> ExitCode {
    let made = match corpus::make(threads(common)) {
        Ok(made) => made,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::Usage;
        }
    };
    for trace in &made {
        match serde_json::to_string(trace) {
            Ok(line) => say(&format_args!("{line}\n")),
            Err(error) => eprintln!("{}: {error}", trace.origin),
        }
    }
    if made.is_empty() { ExitCode::Inconclusive } else { ExitCode::Holds }
}

#[cfg(feature = "planted-bugs")]
fn planted_bugs(common: &Common, names: &[String], record: bool) -> ExitCode {
    use crate::planted::{hunt_all, record::to_file, to_text};
    use pbft_core::planted::PlantedBug;
    if let Some(unknown) = names.iter().find(|name| PlantedBug::named(name).is_none()) {
        eprintln!("there is no bug `{unknown}`; `cargo planted-bugs` lists them all");
        return ExitCode::Usage;
    }
    let chosen = |bug: &&PlantedBug| names.is_empty() || names.iter().any(|n| n == bug.name());
    let bugs: Vec<_> = PlantedBug::ALL.iter().filter(chosen).copied().collect();
    let teeth = match hunt_all(&bugs, common.seed, threads(common), &mut Stderr::new()) {
        Ok(teeth) => teeth,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::Usage;
        }
    };
    match record {
        true => say(&to_file(&teeth)),
        false => print(common, &teeth, to_text),
    }
    match teeth.hold() {
        true => ExitCode::Holds,
        false => ExitCode::Finding,
    }
}
