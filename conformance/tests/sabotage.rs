//! The pipeline distrusts itself: each way in which it could show nothing and look as if it had shown everything must
//! turn the run red, with a reason that names the cause. `verdict.rs` does the same for each part of the report.

use pbft_checker::bfs::{Limits, search};
use pbft_checker::run::Silent;
use pbft_conformance::divergence::Kind;
use pbft_conformance::door;
use pbft_conformance::job::{self, JobError, Options};
use pbft_conformance::probe;
use pbft_conformance::refinement::keys::SealKeys;
use pbft_conformance::refinement::vocabulary::Vocabulary;
use pbft_conformance::replay::canary;
use pbft_conformance::replay::core::Replay;
use pbft_conformance::replay::core::step::{Step, Work};
use pbft_conformance::replay::corpus::{self, CorpusError};
use pbft_conformance::replay::node::{self, NodeReport};
use pbft_conformance::replay::plan::{Plan, Promise};
use pbft_conformance::report::{ConformReport, Conformity};
use pbft_conformance::subject::world::World;
use pbft_conformance::walk::{Trace, walk};
use pbft_model as model;
use std::num::NonZeroUsize;
use std::process::Command;
use std::sync::{Arc, LazyLock};

const CONFIG: &str = "n4-b3-v0-s1-d1";

fn config() -> model::Config {
    CONFIG.parse().expect("a valid name")
}

fn walked() -> Trace {
    walk(&model::Pbft::new(config()), &config(), 9, 20)
}

/// A plan that is done in no time.
fn plan(traces: &[Trace]) -> Plan {
    let lines = traces.iter().map(|trace| serde_json::to_string(trace).expect("JSON"));
    Plan {
        corpus: lines.collect::<Vec<_>>().join("\n"),
        promise: Promise::default(),
        checked: vec![config()],
        replayed: vec![config()],
        behind: Vec::new(),
        scheduled: vec![config()],
        walked: Vec::new(),
        witnessed: Vec::new(),
        carried: Vec::new(),
        paired: Vec::new(),
        core_walks: 0,
        carried_walks: 0,
        node_walks: 0,
    }
}

fn run(plan: &Plan) -> Result<ConformReport, JobError> {
    let options = Options { seed: 1, threads: NonZeroUsize::MIN };
    job::run(plan, &options, &mut Silent)
}

/// The run is red for this reason, and is not when nothing is sabotaged.
fn turns_red(plan: &Plan, reason: &str) {
    static HONEST: LazyLock<String> =
        LazyLock::new(|| run(&self::plan(&[walked()])).expect("a report").to_text());
    assert!(!HONEST.contains(reason), "{}", *HONEST);
    let report = run(plan).expect("a report");
    assert_ne!(report.verdict, Conformity::Holds);
    assert_ne!(report.verdict.exit_code() as u8, 0);
    assert!(report.to_text().contains(reason), "{}", report.to_text());
}

fn refused(corpus: &str) -> String {
    let error: CorpusError = corpus::parse(corpus).expect_err("no corpus");
    let stopped = run(&Plan { corpus: corpus.to_owned(), ..plan(&[]) });
    assert!(matches!(stopped, Err(JobError::Corpus(_))));
    error.to_string()
}

#[test]
fn a_generator_that_wrote_an_error_instead_of_traces() {
    let good = serde_json::to_string(&walked()).expect("JSON");
    let error = refused(&format!("{good}\nerror: out of memory\n"));
    assert!(error.contains("line 2") && error.contains("cargo conform corpus"), "{error}");
}

#[test]
fn a_generator_that_was_killed_while_it_wrote() {
    let good = serde_json::to_string(&walked()).expect("JSON");
    let error = refused(&good[..good.len() - 5]);
    assert!(error.contains("line 1"), "{error}");
}

#[test]
fn zero_traces() {
    turns_red(&plan(&[]), "no trace went through the node");
    turns_red(&plan(&[]), "0 of 0 steps of traces were replayed on the core");
}

#[test]
fn an_empty_trace() {
    let empty = Trace { actions: Vec::new(), ..walked() };
    let error = refused(&serde_json::to_string(&empty).expect("JSON"));
    assert!(error.contains("an empty trace"), "{error}");
    let divergence = Replay::new(config(), 1).follow(&empty.actions).expect_err("nothing shown");
    assert_eq!(divergence.kind, Kind::Harness);
    let runtime = node::runtime().expect("a runtime");
    let divergence = node::replay(&runtime, &empty, 1, &mut NodeReport::default());
    assert_eq!(divergence.map(|divergence| divergence.kind), Some(Kind::Harness));
}

#[test]
fn a_stale_corpus() {
    let mut stale = walked();
    stale.actions.reverse();
    turns_red(&plan(&[stale]), "a stale trace");
}

#[test]
fn an_action_that_nothing_maps() {
    let (pbft, state) = (model::Pbft::new(config()), model::State::initial(&config()));
    let vocabulary = Vocabulary::new(config(), Arc::new(SealKeys));
    let action = &model::Action::Restart { replica: model::ReplicaId(1) };
    let (before, after) = (&state, &state);
    let step = Step { model: &pbft, vocabulary: &vocabulary, before, action, after, choice: 1 };
    let replayed = step.replay(&World::new(&vocabulary), &mut Work::default());
    let difference = replayed.map(drop).expect_err("no deliveries for it");
    assert_eq!(difference.kind, Kind::Harness);
    assert!(difference.what.contains("Restart"), "{}", difference.what);
}

#[test]
fn a_limit_on_the_search() {
    let pbft = model::Pbft::new(config());
    let limits = Limits { max_states: 3, ..Limits::default() };
    let all = search(&pbft, Limits::default(), |_, _| false, &mut Silent);
    let limited = search(&pbft, limits, |_, _| false, &mut Silent);
    assert!(all.complete && !limited.complete);
    assert!(limited.unique_states < all.unique_states, "so the replayed edges are not the total");
}

#[test]
fn a_comparison_that_is_switched_off() {
    let (noticed, unnoticed) = canary::release(|_, world| Ok(world.clone()));
    assert_eq!(noticed, 0);
    assert!(unnoticed.len() >= 5, "{unnoticed:?}");
    let (noticed, unnoticed) =
        canary::release(|step, world| step.replay(world, &mut Work::default()));
    assert!(noticed >= 5);
    assert_eq!(unnoticed, Vec::<String>::new());
}

#[test]
fn a_probe_that_was_never_seen_to_fail() {
    let new = "a probe that somebody added yesterday";
    let names = || probe::all_names().chain(door::names());
    assert_eq!(probe::teeth::toothless(names()), Vec::<&str>::new());
    assert_eq!(probe::teeth::toothless(names().chain([new])), [new]);
    for (listed, _) in probe::teeth::TEETH {
        assert!(names().any(|name| name == *listed), "{listed} is no probe");
    }
}

#[test]
fn a_trace_file_that_was_cut_off() {
    let directory = std::env::temp_dir().join(format!("pbft-sabotage-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = directory.join("trace.json");
    let trace = serde_json::to_string(&walked()).expect("JSON");
    let replay = |text: &str| {
        std::fs::write(&file, text).expect("written");
        let program = env!("CARGO_BIN_EXE_pbft-conform");
        Command::new(program).arg("trace").arg(&file).output().expect("started")
    };
    let whole = replay(&trace);
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    let cut = replay(&trace[..trace.len() / 2]);
    assert_eq!(cut.status.code(), Some(2));
    let said = String::from_utf8_lossy(&cut.stderr).into_owned();
    assert!(said.contains("not JSON"), "{said}");
    std::fs::remove_dir_all(&directory).expect("removed");
}
