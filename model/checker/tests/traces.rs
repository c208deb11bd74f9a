//! Trace files: what is written is read back the same, and nothing is believed that the model does not compute.

use std::io::Write;

use pbft_checker::mutant_record::{active, row};
use pbft_checker::mutants::Found;
use pbft_checker::run::ExitCode;
use pbft_checker::trace::compare::{Difference, Followed, compare};
use pbft_checker::trace::mermaid::sequence_diagram;
use pbft_checker::trace::read::BYTES_MAX;
use pbft_checker::trace::shrink::{ShrinkError, shrink};
use pbft_checker::trace::{Trace, TraceError, itf};
use pbft_model::{Pbft, State};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use stateright::Model;

/// A path of which each step has the label that is given.
fn path(config: &str, labels: &[&str]) -> Trace {
    let model = Pbft::new(config.parse().expect("a valid name"));
    let mut state = State::initial(model.config());
    let mut actions = Vec::new();
    for label in labels {
        let mut enabled = Vec::new();
        model.actions(&state, &mut enabled);
        let action = enabled.into_iter().find(|action| action.to_string() == **label);
        let action = action.unwrap_or_else(|| panic!("{label}"));
        state = model.next_state(&state, action).expect("an enabled step");
        actions.push(action);
    }
    Trace::new(&model, &actions)
}

/// One Byzantine replica more than is tolerated: the two others execute what the primary tells each.
const CONTROL: &str = "n4-b01-v1-s1-d2";

fn counterexample() -> Trace {
    let trace = path(
        CONTROL,
        &[
            "replica 2 Prepare R1 at slot 1",
            "replica 3 Prepare R2 at slot 1",
            "replica 2 Commit slot 1",
            "replica 3 Commit slot 1",
            "replica 2 Execute R1, committed in view 0",
            "replica 3 Execute R2, committed in view 0",
        ],
    );
    assert!(trace.shows.contains(&"agreement".to_owned()), "{:?}", trace.shows);
    trace
}

/// The same with a view change between the two.
fn counterexample_in_two_views() -> Trace {
    path(
        CONTROL,
        &[
            "replica 2 StartViewChange to view 1",
            "replica 3 Prepare R1 at slot 1",
            "replica 3 Commit slot 1",
            "replica 3 Execute R1, committed in view 0",
            "replica 2 EnterView view 1 with O=[]",
            "replica 2 Prepare R2 at slot 1",
            "replica 2 Commit slot 1",
            "replica 2 Execute R2, committed in view 1",
        ],
    )
}

fn itf_json(trace: &Trace) -> Json {
    serde_json::from_str(&itf::write(trace).expect("a valid trace")).expect("JSON")
}

fn parse(file: &Json) -> Result<Trace, TraceError> {
    Trace::parse(file.to_string().as_bytes())
}

/// The refusal of a file, as text.
fn refusal(file: &Json) -> String {
    let error = parse(file).expect_err("a file that must be refused");
    assert_eq!(error.exit_code(), ExitCode::DataRefused);
    error.to_string()
}

/// The steps that a model takes when `choices` decide.
fn walk(config: &str, choices: &[usize]) -> Trace {
    let model = Pbft::new(config.parse().expect("a valid name"));
    let mut state = State::initial(model.config());
    let mut actions = Vec::new();
    for choice in choices {
        let mut enabled = Vec::new();
        model.actions(&state, &mut enabled);
        let Some(action) = enabled.get(choice % enabled.len().max(1)) else { break };
        state = model.next_state(&state, *action).expect("an enabled step");
        actions.push(*action);
    }
    Trace::new(&model, &actions)
}

fn assert_comes_back(trace: &Trace) {
    let file = itf_json(trace);
    assert_eq!(parse(&file).expect("our own file"), *trace);
    assert_eq!(parse(&json!(trace)).expect("our own file"), *trace);
    let states = file["states"].as_array().expect("states");
    assert_eq!(states.len(), trace.actions.len() + 1);
    let vars = file["vars"].as_array().expect("vars");
    for state in states {
        let has = |name: &Json| state.get(name.as_str().expect("a name")).is_some();
        assert!(vars.iter().all(has));
        assert_eq!(state.as_object().expect("a record").len(), vars.len() + 1);
    }
}

/// `cargo plant test --mutants --package pbft-checker --test traces` does this with each mutant on, too.
#[test]
fn counterexamples_of_broken_rules_come_back_from_both_formats() {
    const MUTANTS: [&str; 3] = ["p-omitted", "new-view-not-recomputed", "gc-before-stability"];
    let Some(on) = active() else {
        assert_comes_back(&counterexample());
        assert_comes_back(&counterexample_in_two_views());
        return;
    };
    if MUTANTS.contains(&on) {
        let row = row(on).expect("a record").expect("on record");
        let found = Found::here(*row.fate.config(), row.fate.by()).expect("a search");
        let trace = found.counterexample.expect("killed");
        assert_eq!(trace.mutant.as_deref(), Some(on));
        assert_comes_back(&trace);
    }
}

#[test]
fn data_may_be_written_in_another_order_and_with_big_integers() {
    let trace = counterexample();
    let mut file = itf_json(&trace);
    for state in file["states"].as_array_mut().expect("states") {
        state["view"]["#map"].as_array_mut().expect("a map").reverse();
        state["#meta"]["index"] = json!({ "#bigint": state["#meta"]["index"].to_string() });
    }
    assert_eq!(parse(&file).expect("the same data"), trace);
}

#[test]
fn a_changed_variable_is_named_with_its_state() {
    let file = itf_json(&counterexample());
    let vars: Vec<_> =
        file["vars"].as_array().expect("vars").iter().filter_map(Json::as_str).collect();
    let last = file["states"].as_array().expect("states").len() - 1;
    for name in vars.iter().filter(|name| **name != "action") {
        let mut changed = file.clone();
        changed["states"][last][name] = json!({ "#map": [[1, "other"]] });
        let message = refusal(&changed);
        assert!(message.contains(&format!("state {last} differs from the model in `{name}`")));
        let mut absent = file.clone();
        absent["states"][1].as_object_mut().expect("a record").remove(*name);
        let message = refusal(&absent);
        assert!(message.contains(&format!("state 1 differs from the model in `{name}`")));
        assert!(message.contains("the file has absent"), "{message}");
    }
    let mut added = file;
    added["states"][2]["weather"] = json!("fine");
    assert!(refusal(&added).contains("state 2 differs from the model in `weather`"));
}

#[test]
fn files_that_are_no_trace_of_this_model_are_refused() {
    let file = itf_json(&counterexample());
    let changed = |pointer: &str, value: Json| {
        let mut file = file.clone();
        *file.pointer_mut(pointer).expect(pointer) = value;
        refusal(&file)
    };
    assert!(
        changed("/#meta/trace-version", json!("2")).contains("trace-version in #meta is \"2\"")
    );
    assert!(changed("/#meta/config", json!("n3-b0-v1-s1-d2")).contains("n (replicas) is 3"));
    for (mutant, said) in
        [("no-such", "the mutant `no-such`"), ("p-omitted", "those of the protocol")]
    {
        let mut of_mutant = file.clone();
        of_mutant["#meta"]["mutant"] = json!(mutant);
        assert!(refusal(&of_mutant).contains(said), "{mutant}");
    }
    assert!(changed("/#meta/shows", json!("")).contains("claims to violate []"));
    assert!(changed("/vars", json!(["view"])).contains("`vars`"));
    assert!(changed("/states", json!([])).contains("no state"));
    assert!(changed("/states/3/action/tag", json!("Dance")).contains("step 3"));
    assert!(changed("/states/3/action/value/replica", json!(99)).contains("step 3"));
    assert!(changed("/states/0/action/tag", json!("Commit")).contains("state 0"));
    let mut of_fewer = file.clone();
    of_fewer["#meta"]["config"] = json!("n4-b0-v1-s1-d2");
    assert!(refusal(&of_fewer).contains("differs from the model in"));
    let mut unknown = file.clone();
    unknown["#meta"]["colour"] = json!("red");
    assert!(refusal(&unknown).contains("colour"));
    for other in [json!(null), json!([]), json!({}), json!({ "actions": [] }), json!(7)] {
        assert!(refusal(&other).contains("not a trace"), "{other}");
    }
}

#[test]
fn plain_json_is_checked_too() {
    let trace = counterexample();
    let mut other_claim = json!(trace);
    other_claim["shows"] = json!(["validity"]);
    assert!(refusal(&other_claim).contains("claims to violate [validity]"));
    let mut not_enabled = json!(trace);
    not_enabled["actions"].as_array_mut().expect("steps").remove(0);
    assert!(refusal(&not_enabled).contains("is not enabled there"));
    let far = json!({ "min_s": 200, "max_s": 255, "order": vec![0; trace_slots(&trace)] });
    let mut hostile = json!(trace);
    hostile["actions"] = json!([{ "NewView": { "replica": 250, "outcome": far } }]);
    assert!(refusal(&hostile).contains("step 1, `replica 250 NewView`"));
}

/// How many slots a NEW-VIEW of this version has.
fn trace_slots(trace: &Trace) -> usize {
    let model = trace.model().expect("a valid name");
    let sent = &State::initial(model.config()).replicas[0].sent;
    sent.checkpoints.len()
}

#[test]
fn too_long_and_too_deep_files_are_refused() {
    let long = vec![b' '; BYTES_MAX as usize + 1];
    assert!(matches!(Trace::parse(&long), Err(TraceError::TooLong)));
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(&long).expect("written");
    assert!(matches!(Trace::read(file.path()), Err(TraceError::TooLong)));
    let deep = "[".repeat(100_000);
    assert!(matches!(Trace::parse(deep.as_bytes()), Err(TraceError::NotJson(_))));
    let missing = file.path().with_extension("missing");
    let error = Trace::read(&missing).expect_err("no such file");
    assert_eq!(error.exit_code(), ExitCode::Usage);
}

/// A counterexample with steps put in that do not matter to it.
fn padded(trace: &Trace, choices: &[usize]) -> Trace {
    let model = trace.model().expect("a valid name");
    let mut padded = trace.clone();
    for choice in choices {
        let at = choice % padded.actions.len();
        let before = Trace { actions: padded.actions[..at].to_vec(), ..trace.clone() };
        let state = before.states(&model).expect("a prefix").pop().expect("a state");
        let mut enabled = Vec::new();
        model.actions(&state, &mut enabled);
        for action in enabled {
            let mut longer = padded.clone();
            longer.actions.insert(at, action);
            let shows = Trace::new(&model, &longer.actions).shows;
            if longer.first_disabled(&model).is_none() && shows == trace.shows {
                padded = longer;
                break;
            }
        }
    }
    padded
}

#[test]
fn shrinking_leaves_only_steps_that_matter() {
    let shortest = counterexample();
    let model = shortest.model().expect("a valid name");
    let long = padded(&shortest, &[3, 9, 5, 0, 7, 2, 11]);
    assert!(long.actions.len() > shortest.actions.len());
    let short = shrink(&long).expect("something is violated");
    assert!(short.actions.len() < long.actions.len());
    assert!(shortest.shows.iter().all(|shown| short.shows.contains(shown)));
    assert_eq!(short.first_disabled(&model), None);
    for at in 0..short.actions.len() {
        let mut shorter = short.clone();
        shorter.actions.remove(at);
        let shows = Trace::new(&model, &shorter.actions).shows;
        assert!(shorter.first_disabled(&model).is_some() || shows != short.shows, "step {at}");
    }
    assert_eq!(shrink(&short).expect("something is violated"), short);
}

#[test]
fn shrinking_brings_other_orders_to_the_same_one() {
    let shortest = counterexample();
    let expected = shrink(&shortest).expect("something is violated");
    let mut swapped = expected.clone();
    swapped.actions.swap(0, 1);
    assert_eq!(swapped.first_disabled(&swapped.model().expect("a valid name")), None);
    assert_ne!(swapped, expected);
    assert_eq!(shrink(&swapped).expect("something is violated"), expected);
    let harmless = walk("n4-b0-v1-s1-d2", &[0, 0]);
    assert!(matches!(shrink(&harmless), Err(ShrinkError::NothingViolated)));
}

fn difference(first: &Trace, second: &Trace) -> Option<Difference> {
    let followed =
        [first, second].map(|trace| Followed::new(trace.clone()).expect("a valid trace"));
    compare(&followed[0], &followed[1])
}

#[test]
fn traces_are_compared_up_to_the_first_difference() {
    let trace = counterexample();
    assert_eq!(difference(&trace, &trace), None);
    let mut swapped = trace.clone();
    swapped.actions.swap(0, 1);
    let differs = difference(&trace, &swapped).expect("they differ");
    assert_eq!(differs.step, Some(1));
    let names: Vec<_> = differs.rows.iter().map(|row| row.name.as_str()).collect();
    let expected = [
        "step",
        "replica 2 accepted",
        "replica 2 prepares",
        "replica 3 accepted",
        "replica 3 prepares",
    ];
    assert_eq!(names, expected);
    assert_eq!(differs.rows[1].first, "{slot 1: R1}");
    assert_eq!(differs.rows[4].second, "{view 0: {slot 1: {R2}}}");
    let mut prefix = trace.clone();
    prefix.actions.truncate(3);
    let differs = difference(&trace, &prefix).expect("they differ");
    assert_eq!((differs.step, differs.rows[0].second.as_str()), (Some(4), "ends"));
    let other = Trace { mutant: Some("p-omitted".to_owned()), ..prefix.clone() };
    let differs = difference(&prefix, &other).expect("they differ");
    assert_eq!((differs.step, differs.rows.len()), (None, 1));
}

#[test]
fn a_sequence_diagram_has_every_step_and_the_messages_that_were_used() {
    let trace = counterexample_in_two_views();
    let model = trace.model().expect("a valid name");
    let diagram = sequence_diagram(&trace, &model).expect("a valid trace");
    assert!(diagram.starts_with("sequenceDiagram\n"));
    assert!(diagram.contains("participant p0 as replica 0 (Byzantine)"));
    for (index, action) in trace.actions.iter().enumerate() {
        let note = format!("Note over p{}: {}. {}", action.replica().0, index + 1, action.name());
        assert!(diagram.contains(&note), "{note}");
    }
    // Replicas 0 and 1 lead views 0 and 1, and are Byzantine: what they say is dashed, where somebody used it.
    for message in [
        "p0-->>p3: PRE-PREPARE(view 0, slot 1, R1), Byzantine",
        "p1-->>p3: PREPARE(view 0, slot 1, R1), Byzantine",
        "p2->>p1: VIEW-CHANGE(view 1), sent in step 1",
        "p1-->>p2: NEW-VIEW(view 1, O=#91;#93;), Byzantine",
        "p1-->>p2: PRE-PREPARE(view 1, slot 1, R2), Byzantine",
    ] {
        assert_eq!(diagram.matches(message).count(), 1, "{message}: {diagram}");
    }
    // Nobody used the VIEW-CHANGE elsewhere, nor the COMMIT of a replica that executed alone.
    assert!(!diagram.contains("p2->>p0") && !diagram.contains("p3->>"), "{diagram}");
    assert!(diagram.trim_end().ends_with(&format!("violated: {}", trace.shows.join(", "))));
}

fn configs() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "n4-b0-v2-s1-d2",
        "n4-bnone-v1-s2-d2-k1",
        "n4-b1-v2-s2-d2-k1-l1",
        "n5-b4-v1-s1-d1",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn walks_come_back(config in configs(), choices in prop::collection::vec(0usize..1000, 0..40)) {
        let trace = walk(config, &choices);
        prop_assert_eq!(parse(&itf_json(&trace)).expect("our own file"), trace.clone());
        prop_assert_eq!(parse(&json!(trace)).expect("our own file"), trace);
    }

    #[test]
    fn a_file_with_other_bytes_is_the_same_trace_or_refused(
        choices in prop::collection::vec(0usize..1000, 1..12),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let trace = walk("n4-b0-v1-s1-d2", &choices);
        let mut bytes = itf::write(&trace).expect("a valid trace").into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // What is there for people may differ, and bounds that allow the same path.
        if let Ok(read) = Trace::parse(&bytes) {
            prop_assert_eq!(read.actions, trace.actions);
            prop_assert_eq!(read.shows, trace.shows);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Trace::parse(&bytes).is_err());
    }
}
