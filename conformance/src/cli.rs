//! The command line of `pbft-conform`.

use crate::coverage::command::{CoverageArguments, run_coverage};
use crate::coverage::measured::{self, Measured};
use crate::divergence::Divergence;
use crate::job::{self, Options};
use crate::planted::command::{hunt_here, planted_bugs};
use crate::planted::mutants::command::{MutantsArguments, run_mutants};
use crate::planted::{PROGRAM, Parts, refused};
use crate::refinement::vocabulary::replayable;
use crate::replay::carry::command::{CarryArguments, run_carry};
use crate::replay::core::Replay;
use crate::replay::core::command::{ReplayArguments, run_replay};
use crate::replay::corpus;
use crate::replay::grain::Walked;
use crate::replay::node::{self, NodeReport};
use crate::replay::plan::{Plan, Preset};
use crate::replay::shrink::shrink;
use crate::report::ConformReport;
use crate::validate::command::{ExplainArguments, ValidateArguments, run_explain, run_validate};
use crate::walk::{Trace, walk};
use clap::{Args, Parser, Subcommand, ValueEnum as _};
use pbft_checker::report::ReportArgs;
use pbft_checker::run::{ExitCode, RunDir, RunRecord, Stderr, say};
use pbft_checker::run_args::{RunArgs, usage};
use pbft_checker::trace::mermaid::sequence_diagram;
use pbft_checker::trace::write_trace;
use pbft_model as model;
use pbft_output::errln;
use pbft_plant::tool;
use pbft_plant::workspace::Kind;
use stateright::Model as _;
use std::io::{self, Read as _};
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
  cargo conform --preset release --junit out.xml   before a release, with a report for continuous integration
  cargo conform replay --config n4-b0-v1-s1-d2     one configuration on the core
  cargo conform node --config n4-b0-v1-s1-d2 --seed 7
  cargo conform validate traces/*.jsonl            a recorded run
  cargo conform trace runs/…/divergence-0.json     one trace, on the core and through the node

Exit status: 0 holds, 1 a violation or a divergence, 2 wrong arguments, 3 not everything was done,
7 the result could not be written."
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    /// How much the main job does
    #[arg(long, value_enum, default_value_t)]
    preset: Preset,
    #[command(flatten)]
    report: ReportArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Debug, Args)]
struct Common {
    /// Selects schedules, quorums and random walks; the same seed does the same.
    #[arg(long, default_value_t = 1, global = true)]
    seed: u64,
    #[command(flatten)]
    run: RunArgs,
    /// Do this with a bug of `cargo plant list` on, in a build of its own.
    #[arg(long, value_name = "BUG", global = true)]
    planted: Option<String>,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Replays every edge of one configuration on the core.
    Replay(ReplayArguments),
    /// Replays random walks of one configuration through the production node.
    Node {
        /// The configuration.
        #[arg(long, value_parser = replayable)]
        config: model::Config,
        /// Number of walks.
        #[arg(long, default_value_t = 20)]
        walks: u64,
    },
    /// Replays random walks of one configuration on the core, on which replicas are given more than they need.
    Carry(CarryArguments),
    /// Replays one trace, as a run directory keeps it beside a divergence, on the core and through the node.
    Trace {
        /// The file: JSON with `config`, `origin` and `actions`, or a counterexample of the model as ITF JSON. One of a
        /// model with a planted bug is compared as far as the protocol goes.
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
    /// Says what the replays, and recorded runs, have exercised, and fails where nothing was.
    #[command(after_help = "Examples:
  cargo conform coverage                              replays everything, and says what it exercised
  cargo conform coverage --from runs/…-conform        the same of a run that was made before
  cargo conform coverage --from runs/…-conform traces  and what recorded runs have not reached

Exit status: 0 everything that has a name was exercised, 1 something was not, or a divergence; 2 wrong arguments,
5 a file is refused.")]
    Coverage(CoverageArguments),
    /// Makes the corpus of traces again, from the model's mutants; for conformance/corpus/traces.jsonl.
    Corpus,
    /// Has each bug of `cargo plant list` on, one after the other, and looks whether conformance catches it.
    #[command(after_help = "Examples:
  cargo planted-bugs                     all of them
  cargo planted-bugs p-omitted           one, with its diff and the whole report

Exit status: 0 each is caught as its entry in impl/*/bugs.txt says, 1 one is not, 2 wrong arguments,
5 a list is refused, or a bug does not compile.")]
    PlantedBugs {
        /// Only these.
        bugs: Vec<String>,
        /// Write what caught each bug into its entry. A change there is to be reviewed like one of the code.
        #[arg(long)]
        record: bool,
    },
    /// Has each mutant that cargo-mutants makes of core and host on, and looks whether conformance notices it.
    #[command(after_help = "Examples:
  cargo mutants-of-code                          all of them: hours
  cargo mutants-of-code Replica::on_commit       those whose names contain this
  cargo mutants-of-code --shard 2/8              a part, for several machines
  cargo mutants-of-code --resume runs/…-mutants  what an interrupted run has left

Exit status: 0 each is noticed, or its reason is in impl/survivors.txt; 1 one survives without a reason, 2 wrong arguments,
3 not all were tried, 5 there is no build with them.")]
    Mutants(MutantsArguments),
    /// Looks for the bug that is on in this process, and prints what came of it as JSON.
    #[command(hide = true)]
    Hunt {
        /// Begin with this scenario at the node.
        #[arg(long)]
        begin: Option<String>,
        /// Only these parts.
        #[arg(long, value_enum, default_value_t = Parts::All)]
        only: Parts,
    },
}

/// Parses the arguments and does what they say.
pub fn main() -> std::process::ExitCode {
    match pbft_output::arguments() {
        Ok(cli) => pbft_output::finish(here_or_elsewhere(&cli)),
        Err(code) => code,
    }
}

/// Does it in this process, unless it is to be done with a bug on, which this build has not.
fn here_or_elsewhere(cli: &Cli) -> u8 {
    let (package, program) = PROGRAM;
    match tool::elsewhere(cli.common.planted.as_deref(), Kind::Bugs, package, program) {
        Ok(None) => run(cli) as u8,
        Ok(Some(status)) => status,
        Err(error) => refused(&error) as u8,
    }
}

fn run(cli: &Cli) -> ExitCode {
    match &cli.command {
        None => main_job(cli),
        Some(Command::Replay(one)) => run_replay(one, cli.common.seed, cli.common.run.format),
        Some(Command::Node { config, walks }) => node(&cli.common, *config, *walks),
        Some(Command::Carry(one)) => run_carry(one, cli.common.seed, cli.common.run.format),
        Some(Command::Trace { file }) => replay_file(&cli.common, file),
        Some(Command::Validate(arguments)) => run_validate(arguments, cli.common.run.format),
        Some(Command::Explain(arguments)) => run_explain(arguments),
        Some(Command::Coverage(arguments)) => {
            let options = options(&cli.common);
            run_coverage(arguments, &Plan::quick(), &options, cli.common.run.format)
        }
        Some(Command::Corpus) => make_corpus(&cli.common),
        Some(Command::PlantedBugs { bugs, record }) => {
            planted_bugs(bugs, *record, cli.common.seed, &cli.common.run)
        }
        Some(Command::Hunt { begin, only }) => hunt_here(begin.as_deref(), *only, cli.common.seed),
        Some(Command::Mutants(arguments)) => {
            run_mutants(arguments, cli.common.seed, &cli.common.run)
        }
    }
}

fn options(common: &Common) -> Options {
    Options { seed: common.seed, threads: common.run.threads() }
}

fn main_job(cli: &Cli) -> ExitCode {
    let Cli { common, preset, report: reports, .. } = cli;
    let reports = match reports.create() {
        Ok(reports) => reports,
        Err(message) => return usage(&message),
    };
    let report = match job::run(&Plan::of(*preset), &options(common), &mut Stderr::new()) {
        Ok(report) => report,
        Err(error) => return usage(&error),
    };
    common.run.print(&report, ConformReport::to_text);
    let again = again(common, *preset);
    let directory = keep(common, &report, &again);
    match reports.write(&report.to_report(&directory, &again)) {
        Ok(()) => report.verdict.exit_code(),
        Err(message) => usage(&message),
    }
}

/// The command that does the same again.
fn again(common: &Common, preset: Preset) -> String {
    let preset = preset.to_possible_value().map(|value| value.get_name().to_owned());
    let preset = preset.filter(|name| name != "quick");
    let preset = preset.map_or_else(String::new, |name| format!(" --preset {name}"));
    format!("cargo conform{preset} --seed {}", common.seed)
}

/// Writes the run directory, and says where it is and how to do the same again.
fn keep(common: &Common, report: &ConformReport, again: &str) -> PathBuf {
    let configurations = report.model.iter().map(|check| check.config.to_string()).collect();
    let complete = report.model.iter().all(|check| check.complete)
        && report.core.configurations.iter().all(|one| one.complete);
    let record = RunRecord::new(configurations, Some(common.seed), report, complete);
    let mut explore = "cargo explore --config n4-b0-v1-s1-d2".to_owned();
    let mut directory = common.run.runs.clone();
    let written = RunDir::create(&common.run.runs, "conform").and_then(|run| {
        run.write_json("run.json", &record)?;
        run.write("report.txt", &report.to_text())?;
        run.write_json(measured::FILE, &Measured::of(&report.core, &report.node))?;
        for (index, divergence) in report.divergences.iter().enumerate() {
            run.write_json(&format!("divergence-{index}.json"), &divergence.trace())?;
            let file = picture(&run, index, divergence)?;
            if index == 0 {
                explore = format!("cargo explore --trace {}", file.display());
            }
        }
        Ok(run)
    });
    match written {
        Ok(run) => {
            errln!("seed {}; results in {}", common.seed, run.path().display());
            if !report.divergences.is_empty() {
                let path = run.path().display();
                errln!("one divergence: cargo conform trace {path}/divergence-0.json");
                errln!("its picture: {path}/divergence-0.trace.svg, divergence-0.mmd");
            }
            directory = run.path().to_path_buf();
        }
        Err(error) => errln!("no run directory: {error}; choose another with --runs DIR"),
    }
    errln!("again: {again}");
    errln!("explore: {explore}");
    directory
}

/// Draws the way to a divergence: as the model's own trace with its picture, and as a sequence diagram.
fn picture(run: &RunDir, index: usize, divergence: &Divergence) -> io::Result<PathBuf> {
    let config: model::Config = divergence.config.parse().map_err(io::Error::other)?;
    let model = model::Pbft::new(config);
    let trace = pbft_checker::trace::Trace::new(&model, &divergence.actions);
    let diagram = sequence_diagram(&trace, &model).map_err(io::Error::other)?;
    run.write(&format!("divergence-{index}.mmd"), &diagram)?;
    write_trace(run, &format!("divergence-{index}"), &trace)
}

fn node(common: &Common, config: model::Config, walks: u64) -> ExitCode {
    let runtime = match node::runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            errln!("cannot start a runtime for the node: {error}");
            return ExitCode::Usage;
        }
    };
    let walked = Walked { model: model::Pbft::new(config) };
    let started = std::time::Instant::now();
    let mut report = NodeReport::default();
    let mut divergence: Option<Divergence> = None;
    for number in 0..walks {
        let trace = walk(&walked, &config, common.seed.wrapping_add(number), 60);
        divergence = node::replay(&runtime, &trace, common.seed, &mut report);
        if divergence.is_some() {
            break;
        }
    }
    report.seconds = started.elapsed().as_secs_f64();
    let divergence = divergence.map(|found| shrink(&found));
    common.run.print(&(&report, &divergence), |(report, divergence)| {
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
    let replayed = read_trace(file).and_then(|read| {
        let end = Comparable::of(&read)?;
        let trace = Trace { actions: end.steps.clone(), ..read.trace };
        Ok((replay_trace(common, &trace)?, end))
    });
    match replayed {
        Ok((None, end)) => {
            say(&format_args!("code and model agree along {}\n", end.what));
            ExitCode::Holds
        }
        Ok((Some(divergence), _)) => {
            common.run.print(&divergence, |divergence| format!("{divergence}\n"));
            ExitCode::Finding
        }
        Err(message) => {
            errln!("{}: {message}", file.display());
            ExitCode::Usage
        }
    }
}

/// The longest trace file that is read: a trace of the model's bounds is a hundred times smaller.
const TRACE_BYTES_MAX: u64 = 1 << 20;

/// A trace from a file.
struct Read {
    trace: Trace,
    /// The rule that the model was without when it made it.
    mutant: Option<String>,
}

fn read_trace(file: &Path) -> Result<Read, String> {
    let open = std::fs::File::open(file).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let read = open.take(TRACE_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| error.to_string())?;
    if let Ok(trace) = serde_json::from_str(&text) {
        return Ok(Read { trace, mutant: None });
    }
    let bytes = text.as_bytes();
    let counterexample = match pbft_checker::mutants::of_another(bytes) {
        Some(mutant) => {
            let followed = pbft_checker::mutants::followed(&mutant, bytes);
            followed.map_err(|error| error.to_string())?.trace
        }
        None => pbft_checker::trace::Trace::parse(bytes).map_err(|error| error.to_string())?,
    };
    let origin = counterexample.headline();
    let (mutant, config) = (counterexample.mutant, counterexample.config);
    Ok(Read { trace: Trace { config, origin, actions: counterexample.actions }, mutant })
}

/// What of a trace the code can be held against: the steps that the protocol takes. A mutant's counterexample leaves
/// it somewhere.
struct Comparable {
    steps: Vec<model::Action>,
    what: String,
}

impl Comparable {
    fn of(read: &Read) -> Result<Self, String> {
        let steps = &read.trace.actions;
        let model = model::Pbft::new(replayable(&read.trace.config)?);
        let mut state = model::State::initial(model.config());
        let allowed = steps.iter().take_while(|step| {
            let next = model.is_enabled(&state, step).then(|| model.next_state(&state, **step));
            next.flatten().map(|next| state = next).is_some()
        });
        let allowed = allowed.count();
        let Some(foreign) = steps.get(allowed) else {
            return Ok(Self { steps: steps.clone(), what: "this trace".to_owned() });
        };
        let at = format!("step {}, `{foreign}`,", allowed + 1);
        match &read.mutant {
            Some(mutant) if allowed > 0 => Ok(Self {
                steps: steps[..allowed].to_vec(),
                what: format!(
                    "the first {allowed} steps of this trace; {at} is taken only by a model with the bug {mutant}, \
                     so the code has nothing to do with the rest: see it with `cargo trace FILE`"
                ),
            }),
            Some(mutant) => Err(format!(
                "{at} is taken only by a model with the bug {mutant}, so there is nothing to hold the code against; \
                 see it with `cargo trace FILE`"
            )),
            None => Err(format!(
                "{at} is not one that this model allows there; the trace is of another version: make it again"
            )),
        }
    }
}

/// The first divergence on the core, then through the node.
fn replay_trace(common: &Common, trace: &Trace) -> Result<Option<Divergence>, String> {
    let config = replayable(&trace.config)?;
    let replay = Replay::new(config, common.seed);
    if let Err(divergence) = replay.follow(&trace.actions) {
        return Ok(Some(*divergence));
    }
    let runtime = node::runtime().map_err(|error| error.to_string())?;
    Ok(node::replay(&runtime, trace, common.seed, &mut NodeReport::default()))
}

fn make_corpus(common: &Common) -> ExitCode {
    let made = match corpus::make(common.run.threads()) {
        Ok(made) => made,
        Err(error) => {
            errln!("{error}");
            return ExitCode::Usage;
        }
    };
    for trace in &made {
        match serde_json::to_string(trace) {
            Ok(line) => say(&format_args!("{line}\n")),
            Err(error) => errln!("{}: {error}", trace.origin),
        }
    }
    if made.is_empty() { ExitCode::Inconclusive } else { ExitCode::Holds }
}
