//! Every bug that can be planted in core and node is caught, by the arm and the check on record. Runs with
//! `cargo test -p pbft-conformance --features planted-bugs`.
#![cfg(feature = "planted-bugs")]

use pbft_conformance::keys::NameKeys;
use pbft_conformance::plan::Plan;
use pbft_conformance::planted::{Grounds, RECORD_SEED, hunt, hunt_nothing, record};
use pbft_conformance::probe::Probes;
use pbft_conformance::probe::teeth::TEETH;
use pbft_conformance::refinement::vocabulary::{Vocabulary, replayable};
use pbft_conformance::replay::{Counters, Replay};
use pbft_conformance::shrink::shrink;
use pbft_conformance::step::{Step, Work, World};
use pbft_conformance::walk::Trace;
use pbft_core::planted::PlantedBug;
use pbft_model as model;
use pbft_model::Mutant;
use pbft_model::mutant_record::RECORD;
use stateright::Model as _;
use std::path::Path;
use std::sync::Arc;

#[test]
fn each_planted_bug_is_caught_as_on_record_with_a_report_that_names_the_step() {
    let grounds = Grounds::new(&Plan::quick(), RECORD_SEED).expect("a corpus");
    let without = hunt_nothing(&grounds).map(|divergence| divergence.to_string());
    assert_eq!(without, None, "or a bug could seem caught by what is wrong without it");
    for bug in PlantedBug::ALL {
        let hunt = hunt(*bug, &grounds);
        let Some(found) = &hunt.divergence else { panic!("{} survives", bug.name()) };
        let text = found.to_string();
        assert!(text.contains(&format!("→ {:>3}. {}", found.step, found.action)), "{text}");
        assert!(found.reproduce.contains("cargo"), "{text}");
        let recorded = hunt.record.as_ref().map(|row| row.caught_by.as_str());
        assert_eq!(hunt.caught_by.as_deref(), recorded, "{}", bug.name());
    }
}

#[test]
fn the_record_has_each_bug_once_and_says_where_it_is() {
    let rows = record::rows().expect("a record");
    let recorded: Vec<&str> = rows.iter().map(|row| row.bug.as_str()).collect();
    let mut planted: Vec<&str> = PlantedBug::ALL.iter().map(|bug| bug.name()).collect();
    planted.sort_unstable();
    assert_eq!(recorded, planted);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    for row in &rows {
        let camel: String = row.bug.split('-').map(capitalised).collect();
        for place in row.place.split(' ') {
            let source = std::fs::read_to_string(root.join(place)).expect("a source file");
            let code: String = source.split_whitespace().collect();
            assert!(code.contains(&format!(",{camel})")), "{} is not in {place}", row.bug);
        }
        assert!(!row.rule.is_empty() && row.rule != "?", "{} breaks which rule?", row.bug);
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// Mutants that only the model's `progress` or `batch-obtainable` find out, if any: each leaves the single steps as they
/// are, so a replay cannot tell; tests of the core and the simulator hold the code to these rules.
const NO_STEP_DIFFERS: [Mutant; 6] = [
    Mutant::BatchesDropped,
    Mutant::VFixed,
    Mutant::BatchesDroppedAndVFixed,
    Mutant::RestartForgetsCommitCertificates,
    Mutant::TimerStoppedByPrePrepare,
    Mutant::TimerWithoutQuorum,
];

#[test]
fn every_mutant_of_the_model_that_shows_in_a_step_has_a_twin_in_the_code() {
    for row in RECORD {
        let name = row.mutant.to_string();
        let shows = !NO_STEP_DIFFERS.contains(&row.mutant);
        assert_eq!(PlantedBug::named(&name).is_some(), shows, "{name}");
    }
}

/// The replicas come to each state without a bug; then the bug is planted with a restart, and the probe is made.
fn fails_at_the_core(name: &str, bug: PlantedBug, traces: &[Trace]) -> bool {
    traces.iter().any(|trace| {
        let config = replayable(&trace.config).expect("a replayable configuration");
        let pbft = model::Pbft::new(config);
        let healthy = Vocabulary::new(config, Arc::new(NameKeys));
        let plant = |params: &mut pbft_core::Params| params.planted = Some(bug);
        let planted = Vocabulary::with_params(config, Arc::new(NameKeys), plant);
        let probes = Probes { model: &pbft, vocabulary: &planted };
        let (mut world, mut state) = (World::new(&healthy), model::State::initial(&config));
        trace.actions.iter().any(|action| {
            let after = pbft.next_state(&state, *action).expect("allowed");
            let (model, vocabulary, before) = (&pbft, &healthy, &state);
            let step = Step { model, vocabulary, before, action, after: &after, choice: 1 };
            world = step.replay(&world, &mut Work::default()).expect("no bug, no difference");
            state = after;
            let mut host = world.host(action.replica()).clone();
            host.restart(&planted);
            let outcome = probes.run_one(&state, &world.network, &host, action, name);
            outcome.is_some_and(|outcome| outcome.is_err())
        })
    })
}

#[test]
fn every_probe_fails_with_the_bug_on_its_list() {
    let grounds = Grounds::new(&Plan::quick(), RECORD_SEED).expect("a corpus");
    let rows = record::rows().expect("a record");
    for (name, bug) in TEETH {
        let recorded = rows.iter().any(|row| row.bug == *bug && row.caught_by.contains(name));
        let planted = PlantedBug::named(bug).expect("a bug");
        let fails = recorded || fails_at_the_core(name, planted, grounds.core());
        assert!(fails, "{name} does not fail with {bug}");
    }
}

/// The worked example of docs/conformance.md is what the replay prints.
#[test]
fn the_worked_example_is_a_real_report() {
    let config = replayable("n4-b3-v1-s1-d1").expect("a replayable configuration");
    let (_, divergence) = Replay::planted(config, 1, Some("p-omitted")).run(&Counters::default());
    let found = shrink(&divergence.expect("the bug shows"), Some("p-omitted"));
    let report = found.to_string();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/conformance.md");
    let document = std::fs::read_to_string(path).expect("docs/conformance.md");
    assert!(document.contains(&format!("```text\n{report}\n```")), "the page must show:\n{report}");
}
