//! Green means something: each way of doing less than everything must turn the verdict.

use pbft_checker::check::{CheckOptions, CheckReport, Verdict, check};
use pbft_checker::run::Silent;
use pbft_conformance::beyond;
use pbft_conformance::divergence::{Difference, Divergence, Kind};
use pbft_conformance::door;
use pbft_conformance::probe;
use pbft_conformance::probe::frame::FRAME_PROBES;
use pbft_conformance::probe::handshake::HANDSHAKES;
use pbft_conformance::refinement::kind::ActionKind;
use pbft_conformance::replay::carry::leftover::Leftover;
use pbft_conformance::replay::carry::product::ProductReport;
use pbft_conformance::replay::carry::walks::{self, CarryReport};
use pbft_conformance::replay::core::ReplayReport;
use pbft_conformance::replay::core::schedule::SCHEDULES;
use pbft_conformance::replay::landmark::Landmark;
use pbft_conformance::replay::node::NodeReport;
use pbft_conformance::replay::plan::Promise;
use pbft_conformance::report::{ConformReport, Conformity, CoreReport};
use pbft_conformance::signpost::deeds::Deed;
use pbft_conformance::signpost::given::Given;
use pbft_conformance::signpost::{Arm, Fact};
use pbft_conformance::statement::StatementKind;
use pbft_conformance::wide;
use pbft_model as model;
use std::path::Path;

struct Parts {
    model: Vec<CheckReport>,
    core: CoreReport,
    node: NodeReport,
    divergences: Vec<Divergence>,
}

/// Parts that hold.
fn parts() -> Parts {
    let config = "n4-b3-v0-s1-d1".parse().expect("a valid name");
    let checked = check(&config, CheckOptions::default(), &mut Silent);
    let replayed = ReplayReport {
        config: config.to_string(),
        // The check's reductions save a state.
        states: checked.unique_states + 1,
        edges: 20,
        complete: true,
        actions: ActionKind::REPLAYED.into_iter().map(|kind| (kind, 1)).collect(),
        probes: probe::names().map(|name| (name, 1)).collect(),
        declined: 1,
        landmarks: Landmark::ALL.map(|landmark| (landmark.name(), 20)).into(),
        scheduled: 20,
        schedules: SCHEDULES.into_iter().map(|name| (name, 20)).collect(),
        ..ReplayReport::default()
    };
    let mut core =
        CoreReport { edges_total: 20, states_total: replayed.states, ..CoreReport::default() };
    core.add(replayed);
    (core.walked_steps, core.walked_total, core.canaries) = (5, 5, 1);
    let leftover = |kind: Leftover| (kind.name(), walks::Given { given: 2, stayed: 1 });
    let leftovers = Leftover::ALL.map(leftover).into();
    core.carried = CarryReport { walks: 3, leftovers, ..CarryReport::default() };
    let on_record = (7, 9);
    let complete = true;
    let pairs = ProductReport { states: 7, edges: 9, on_record, complete, ..Default::default() };
    (core.carried_total, core.paired_total, core.paired) = (3, 1, vec![pairs]);
    core.scenarios = beyond::names().count() as u64;
    let probes = probe::at_the_node().chain(door::names()).map(|name| (name, 1)).collect();
    let scenarios = beyond::count_at_nodes();
    let wide = wide::names().count() as u64;
    let node =
        NodeReport { traces: 1, crashes: 1, probes, scenarios, wide, ..NodeReport::default() };
    Parts { model: vec![checked], core, node, divergences: Vec::new() }
}

fn decide(change: impl FnOnce(&mut Parts)) -> ConformReport {
    let mut parts = parts();
    change(&mut parts);
    ConformReport::new(1, parts.model, parts.core, parts.node, parts.divergences, 1.0)
}

fn divergence() -> Divergence {
    Divergence {
        arm: "core",
        config: "n4-b3-v0-s1-d1".to_owned(),
        seed: 1,
        step: 1,
        replica: 0,
        action: String::new(),
        kind: Kind::State,
        what: String::new(),
        diff: Vec::new(),
        signpost: Difference::new(Kind::State, "").signpost(Arm::Core, None),
        probe: None,
        shrunk_from: None,
        path: Vec::new(),
        actions: Vec::new(),
        reproduce: String::new(),
        explore: String::new(),
    }
}

#[test]
fn everything_done_and_nothing_found_holds() {
    let report = decide(|_| {});
    assert_eq!(report.verdict, Conformity::Holds, "{:?}", report.reasons);
    assert!(report.reasons.is_empty());
}

#[test]
fn a_finding_is_a_finding() {
    let report = decide(|parts| parts.divergences.push(divergence()));
    assert_eq!(report.verdict, Conformity::Finding);
    let report = decide(|parts| parts.model[0].verdict = Verdict::Violated);
    assert_eq!(report.verdict, Conformity::Finding);
    let report = decide(|parts| {
        parts.divergences.push(divergence());
        parts.node.traces = 0;
    });
    assert_eq!(report.verdict, Conformity::Finding, "also when something is missing besides");
}

#[test]
fn doing_less_than_everything_is_inconclusive() {
    type Change = fn(&mut Parts);
    let changes: [(&str, Change); 30] = [
        ("no model was checked", |parts| parts.model.clear()),
        ("a limit on the search", |parts| parts.model[0].verdict = Verdict::Inconclusive),
        ("an edge that was not replayed", |parts| parts.core.edges_replayed -= 1),
        ("a state that was not visited", |parts| parts.core.states_visited -= 1),
        ("steps that were skipped on the core", |parts| parts.core.walked_steps -= 1),
        ("steps that were skipped at the node", |parts| parts.node.steps_total += 1),
        ("no walk at all", |parts| (parts.core.walked_steps, parts.core.walked_total) = (0, 0)),
        ("no wrong step was shown to the comparison", |parts| parts.core.canaries = 0),
        ("a wrong step went unnoticed", |parts| parts.core.blind_spots.push(String::new())),
        ("reductions that were ignored", |parts| {
            parts.model[0].unique_states = parts.core.configurations[0].states;
        }),
        ("a replay that stopped", |parts| parts.core.configurations[0].complete = false),
        ("an action that never came", |parts| {
            parts.core.actions.remove(&ActionKind::NewView);
        }),
        ("a probe that was never made", |parts| {
            parts.core.probes.insert(probe::PROBES[3].0, 0);
        }),
        ("a frame that was never tried", |parts| {
            parts.node.probes.remove(FRAME_PROBES[2].0);
        }),
        ("a handshake that was never tried", |parts| {
            parts.node.probes.remove(HANDSHAKES[1].0);
        }),
        ("a scenario of the door that was never played", |parts| {
            parts.node.probes.remove(door::names().next().expect("there are some"));
        }),
        ("a schedule that was never tried", |parts| {
            parts.core.schedules.remove("eager");
        }),
        ("an edge on which rules meet that no graph has", |parts| {
            parts.core.landmarks.remove(Landmark::NullInNewView.name());
        }),
        ("no request of a client that has a later one", |parts| parts.core.declined = 0),
        ("a leftover that was never given", |parts| {
            parts.core.carried.leftovers.remove(Leftover::VoteAgain.name());
        }),
        ("a leftover that never stayed", |parts| {
            let gone = walks::Given { given: 2, stayed: 0 };
            parts.core.carried.leftovers.insert(Leftover::EarlyVote.name(), gone);
        }),
        ("a walk with leftovers that was not made", |parts| parts.core.carried.walks -= 1),
        ("a graph of pairs that is not there", |parts| parts.core.paired_total += 1),
        ("a graph of pairs that was not walked whole", |parts| {
            parts.core.paired[0].complete = false;
        }),
        ("other pairs than on record", |parts| parts.core.paired[0].states += 1),
        ("a scenario that was not played on the core", |parts| parts.core.scenarios -= 1),
        ("no scenario at the node", |parts| parts.node.scenarios = 0),
        ("a scenario at the node's full width", |parts| parts.node.wide -= 1),
        ("no trace", |parts| parts.node.traces = 0),
        ("no crash", |parts| parts.node.crashes = 0),
    ];
    for (what, change) in changes {
        let report = decide(change);
        assert_eq!(report.verdict, Conformity::Inconclusive, "{what}");
        assert_eq!(report.reasons.len(), 1, "{what}: {:?}", report.reasons);
    }
}

#[test]
fn a_run_is_held_to_what_its_preset_promises() {
    let kept = Promise { edges: 20, two_slots: 20, scheduled: 20, traces: 1 };
    let hold = |promise| {
        let mut report = decide(|_| {});
        report.hold_to(&promise);
        (report.verdict, report.reasons.len())
    };
    assert_eq!(hold(kept), (Conformity::Holds, 0));
    assert_eq!(hold(Promise { edges: 21, ..kept }), (Conformity::Inconclusive, 1));
    assert_eq!(hold(Promise { two_slots: 21, ..kept }), (Conformity::Inconclusive, 1));
    assert_eq!(hold(Promise { scheduled: 21, ..kept }), (Conformity::Inconclusive, 1));
    assert_eq!(hold(Promise { traces: 2, ..kept }), (Conformity::Inconclusive, 1));
}

#[test]
fn nothing_at_all_is_inconclusive() {
    let report = decide(|parts| {
        parts.core = CoreReport::default();
        parts.model.clear();
        parts.node = NodeReport::default();
    });
    assert_eq!(report.verdict, Conformity::Inconclusive);
}

#[test]
fn the_json_has_the_fields_that_programs_read() {
    let report = decide(|_| {});
    let json = serde_json::to_value(&report).expect("JSON");
    assert_eq!(json["verdict"], "holds");
    for pointer in [
        "/seed",
        "/model/0/config",
        "/model/0/unique_states",
        "/model/0/edges",
        "/model/0/depth",
        "/model/0/complete",
        "/model/0/collision_bound",
        "/model/0/properties/agreement",
        "/model/0/witnesses/executed",
        "/core/edges_total",
        "/core/edges_replayed",
        "/core/landmarks/O above min-s",
        "/core/carried/leftovers/a vote after its quorum/given",
        "/core/paired/0/states",
        "/core/steps",
        "/core/negative_probes",
        "/core/seconds",
        "/node/traces",
        "/node/steps",
        "/node/seconds",
        "/divergences",
    ] {
        assert!(json.pointer(pointer).is_some(), "{pointer} is missing");
    }
}

/// The COMMIT of a step is lacking.
fn without_its_commit() -> Divergence {
    let step = model::Action::Commit { replica: model::ReplicaId(2), slot: model::Slot(1) };
    let lacking = Difference::new(Kind::Messages, "the messages differ")
        .with(Fact::Lacks(Deed::Says(StatementKind::Commit)))
        .given(Given::Prepare);
    let signpost = lacking.signpost(Arm::Core, Some(&step));
    Divergence { kind: Kind::Messages, replica: 2, step: 3, signpost, ..divergence() }
}

/// The line at which a file of the workspace has this text.
fn line_of(file: &str, text: &str) -> u64 {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let source = std::fs::read_to_string(Path::new(root).join(file)).expect("the file is there");
    1 + source.lines().position(|line| line.contains(text)).expect("it has the text") as u64
}

#[test]
fn a_divergence_names_replica_step_handler_and_rule_in_json_and_for_continuous_integration() {
    let report = decide(|parts| parts.divergences.push(without_its_commit()));
    let json = serde_json::to_value(&report).expect("JSON");
    let found = &json["divergences"][0];
    let core = "impl/core/src/normal_case.rs";
    let handler = serde_json::json!({
        "file": core, "function": "Replica::on_prepare", "line": line_of(core, "fn on_prepare(")
    });
    let model = "model/spec/src/rules.rs";
    let rule = serde_json::json!({
        "section": "4.2", "file": model, "function": "commit", "line": line_of(model, "fn commit(")
    });
    let seen = (&found["replica"], &found["step"], &found["handler"], &found["rule"]);
    assert_eq!(seen, (&2.into(), &3.into(), &handler, &rule));
    assert_eq!(found["look_at"][0]["function"], "Replica::advance");

    let report = report.to_report(Path::new("runs/one"), "cargo conform");
    let junit = report.to_junit().expect("XML");
    let handler_line = line_of(core, "fn on_prepare(").to_string();
    for (name, value) in [
        ("replica", "2"),
        ("step", "3"),
        ("handler.file", core),
        ("handler.function", "Replica::on_prepare"),
        ("handler.line", &handler_line),
        ("rule.section", "4.2"),
        ("rule.file", model),
        ("rule.function", "commit"),
    ] {
        let property = format!("<property name=\"{name}\" value=\"{value}\"/>");
        assert!(junit.contains(&property), "{property} is missing in {junit}");
    }
}
