//! Model and theorem are about one system: every state satisfies the theorem's invariant, every step is one of its system;
//! and where one of the two is changed, that is found.
//!
//! The model is changed in a planted build: `cargo plant test --mutants --package pbft-checker --test theorem` runs the tests that are
//! called `broken` there with each mutant on. With none on they say that there is nothing to find.

use pbft_checker::check::{CheckOptions, PropertyResult, Verdict, check};
use pbft_checker::mutant_record::active;
use pbft_checker::run::Silent;
use pbft_checker::simulate::{SimulateOptions, simulate_with_theorem};
use pbft_checker::theorem::{Difference, PROPERTY, Theorem};
use pbft_model::{Action, Config, Pbft, ReplicaId, State, View};
use pbft_proof::instance::NoStep;
use pbft_proof::theory::{SOURCE, Theory};
use stateright::Model;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;

fn config(name: &str) -> Config {
    name.parse().expect("a valid name")
}

/// The first difference on the way through all states, breadth-first, between a model and a theory.
fn first_difference(model: &Pbft, theorem: &Theorem) -> Option<Difference> {
    let mut level = model.init_states();
    let mut seen: BTreeSet<State> = level.iter().cloned().collect();
    while !level.is_empty() {
        let mut next = Vec::new();
        for state in &level {
            let mut actions = Vec::new();
            model.actions(state, &mut actions);
            if let Err(difference) = theorem.compare(state, &actions) {
                return Some(difference);
            }
            let after = actions.iter().map(|action| model.stepped(state, *action));
            next.extend(after.filter(|state| seen.insert(state.clone())));
        }
        level = next;
    }
    None
}

/// What is found with a line of the theory changed.
fn with_theory(name: &str, from: &str, to: &str) -> Option<Difference> {
    assert_eq!(SOURCE.matches(from).count(), 1, "{from}");
    let theory = Theory::read(&SOURCE.replace(from, to)).expect("a theory");
    let model = Pbft::new(config(name));
    first_difference(&model, &Theorem::of(&model, &theory).expect("all relations"))
}

#[test]
fn every_state_satisfies_the_invariant_and_every_step_is_one_of_the_theorems() {
    let mut taken = BTreeSet::new();
    for name in [
        "n4-bnone-v0-s1-d1",
        "n4-b3-v1-s1-d2",
        "n4-b0-v1-s1-d1",
        "n4-b1-v0-s2-d1-k1",
        "n4-b3-v0-s1-d1-k1-r",
        "n5-b0-v1-s1-d1",
    ] {
        let options = CheckOptions::default().with_theorem();
        let report = check(&config(name), options, &mut Silent);
        assert_eq!(report.verdict, Verdict::Holds, "{name}: {:?}", report.remarks);
        assert_eq!(report.properties[PROPERTY], PropertyResult::Holds, "{name}");
        taken.extend(report.theorem_steps);
    }
    let theory = Theory::pbft().expect("a theory");
    let all: BTreeSet<_> = theory.actions.into_iter().map(|action| action.name).collect();
    assert_eq!(taken, all, "each step of the theorem's system is taken somewhere");
}

#[test]
fn the_system_begins_where_the_model_does() {
    let model = Pbft::new(config("n4-b3-v1-s2-d1-k1"));
    let theorem = Theorem::new(&model).expect("all relations");
    let start = State::initial(model.config());
    assert!(theorem.is_initial(&start));
    let action = Action::StartViewChange { replica: ReplicaId(0), to: View(1) };
    assert!(model.is_enabled(&start, &action));
    assert!(!theorem.is_initial(&model.stepped(&start, action)));
}

#[test]
fn a_conjunct_that_is_too_strong_is_found() {
    let honest = "honest(N) & commit(N,R,S,V) -> prepared(R,S,V)";
    let too_strong = format!("{honest} & committed(R,S,V)");
    let found = with_theory("n4-b3-v0-s1-d1", honest, &too_strong);
    assert_eq!(found, Some(Difference::Broken(vec!["commit-follows-certificate".to_owned()])));
}

#[test]
fn an_action_that_is_too_narrow_is_found() {
    let from = "requires vote(n,r,s,v)\n";
    let found = with_theory("n4-b3-v0-s1-d1", from, &format!("{from}  requires leads(n,r)\n"));
    let Some(Difference::Step { action, reason: NoStep::Unexplained(missing) }) = found else {
        panic!("{found:?}")
    };
    assert!(action.contains("Commit"), "{action}");
    assert!(missing.iter().any(|fact| fact.starts_with("commit(1,0,0,")), "{missing:?}");
}

#[test]
fn an_action_that_adds_too_much_is_found() {
    let from = "  adds commit(n,r,s,v)\n";
    let found = with_theory("n4-b3-v0-s1-d1", from, &format!("{from}  adds view_change(n,r)\n"));
    assert!(matches!(found, Some(Difference::Step { .. })), "{found:?}");
}

#[test]
fn what_a_state_forgets_is_found() {
    let model = Pbft::new(config("n4-b3-v0-s1-d1"));
    let theorem = Theorem::new(&model).expect("all relations");
    // As far as the first COMMIT, with the votes that it rests on gone.
    let mut state = State::initial(model.config());
    loop {
        let mut actions = Vec::new();
        model.actions(&state, &mut actions);
        let is_commit = |action: &&Action| matches!(action, Action::Commit { .. });
        let commit = actions.iter().find(is_commit);
        let action = *commit.or_else(|| actions.first()).expect("a step");
        let done = commit.is_some();
        state = model.stepped(&state, action);
        if done {
            break;
        }
    }
    assert_eq!(theorem.compare(&state, &[]), Ok(0));
    for replica in &mut state.replicas {
        replica.sent.prepares = Default::default();
    }
    let found = theorem.compare(&state, &[]);
    let broken = vec!["commit-follows-certificate".to_owned()];
    assert_eq!(found, Err(Difference::Broken(broken)));
}

const BROKEN: [(&str, &str); 14] = [
    ("no-prepare-phase", "n4-b3-v0-s1-d1"),
    ("prepare-quorum-one-short", "n4-b3-v0-s1-d1"),
    ("commit-quorum-one-short", "n4-b3-v0-s1-d1"),
    ("execute-on-prepared", "n4-b3-v0-s1-d1"),
    ("executes-out-of-order", "n4-b3-v0-s2-d2"),
    ("second-conflicting-pre-prepare", "n4-b0-v0-s1-d2"),
    ("p-omitted", "n4-b3-v1-s1-d1"),
    ("votes-after-view-change", "n4-b3-v1-s1-d1"),
    ("new-view-quorum-one-short", "n4-b3-v1-s1-d1"),
    ("new-view-not-recomputed", "n4-b1-v1-s1-d1"),
    ("checkpoint-stable-at-weak", "n4-b3-v0-s1-d1-k1"),
    ("duplicate-execution", "n4-b0-v0-s2-d1-k2"),
    ("restart-forgets-certificate", "n4-b3-v0-s1-d1"),
    ("commit-sent-before-durable", "n4-b3-v0-s1-d1-r"),
];

/// The configurations of a table for the mutant that is on; with none on, the one that `without` names.
fn chosen<'a>(table: &[(&str, &'a str)], without: &'a str) -> Option<&'a str> {
    match active() {
        None => Some(without),
        Some(on) => table.iter().find(|(mutant, _)| *mutant == on).map(|(_, name)| *name),
    }
}

#[test]
fn broken_rules_of_the_model_are_found() {
    let Some(name) = chosen(&BROKEN, "n4-b3-v0-s1-d1") else { return };
    let model = Pbft::new(config(name));
    let theorem = Theorem::new(&model).expect("all relations");
    let found = first_difference(&model, &theorem);
    assert_eq!(found.is_some(), active().is_some(), "{:?} at {name}: {found:?}", active());
}

#[test]
fn a_difference_by_a_broken_rule_ends_a_check_with_the_way_there() {
    let Some(name) = chosen(&[("p-omitted", "n4-b3-v1-s1-d1")], "n4-b3-v0-s1-d1") else { return };
    let options = CheckOptions::default().with_theorem();
    let report = check(&config(name), options, &mut Silent);
    if active().is_none() {
        assert_eq!(report.verdict, Verdict::Holds);
        assert_eq!(report.properties[PROPERTY], PropertyResult::Holds);
        return;
    }
    assert_eq!(report.verdict, Verdict::Violated);
    assert_eq!(report.properties[PROPERTY], PropertyResult::Violated);
    assert!(report.remarks.iter().any(|one| one.contains("StartViewChange")), "{report:?}");
    let trace = report.counterexample.expect("a way there");
    let model = trace.model().expect("a valid configuration");
    assert_eq!(trace.first_disabled(&model), None);
}

fn walks(states: usize) -> SimulateOptions {
    let (states, threads) = (NonZeroUsize::new(states).expect("some"), NonZeroUsize::MIN);
    SimulateOptions { property: None, seed: 7, states, threads, theorem: true }
}

#[test]
fn walks_within_larger_bounds_agree_with_the_theorem() {
    let mut taken = BTreeSet::new();
    for config in pbft_checker::preset::walks() {
        let walk = || simulate_with_theorem(&config, walks(1500), &mut Silent);
        let report = walk().expect("a theorem");
        assert_eq!(report.verdict, Verdict::Inconclusive, "{config}: walks prove nothing");
        let compared = report.theorem.expect("compared");
        assert_eq!(compared.difference, None, "{config}");
        assert!(report.visits >= 1500 && compared.steps > 2 * report.visits, "{config}");
        taken.extend(compared.taken);
    }
    let theory = Theory::pbft().expect("a theory");
    let all: BTreeSet<_> = theory.actions.into_iter().map(|action| action.name).collect();
    assert_eq!(taken, all, "each step of the theorem's system is taken on some walk");
}

#[test]
fn the_same_seed_walks_the_same_way() {
    let config = config("n5-b1-v2-s2-d2-k1");
    let walk = || simulate_with_theorem(&config, walks(500), &mut Silent).expect("walks");
    let (first, again) = (walk(), walk());
    assert_eq!((first.walks, first.visits, first.depth), (again.walks, again.visits, again.depth));
    assert_eq!(first.theorem, again.theorem);
    assert_eq!(first.witnesses, again.witnesses);
}

const BROKEN_ON_WALKS: [(&str, &str); 3] = [
    ("p-omitted", "n4-b3-v2-s2-d2"),
    ("checkpoint-stable-at-weak", "n7-b16-v1-s2-d2-k1"),
    ("votes-after-view-change", "n4-b1-v2-s2-d2-k1-r"),
];

#[test]
fn a_walk_finds_where_a_broken_model_and_the_theorem_differ() {
    let Some(name) = chosen(&BROKEN_ON_WALKS, "n4-b3-v2-s2-d2") else { return };
    let states = if active().is_some() { 20_000 } else { 1000 };
    let report = simulate_with_theorem(&config(name), walks(states), &mut Silent);
    let report = report.expect("a theorem");
    let difference = report.theorem.and_then(|compared| compared.difference);
    if active().is_none() {
        assert_eq!((report.verdict, difference), (Verdict::Inconclusive, None));
        return;
    }
    assert_eq!(report.verdict, Verdict::Violated);
    let trace = report.counterexample.expect("a way there");
    let model = trace.model().expect("its model");
    let end = trace.states(&model).expect("steps of the model").pop().expect("a state");
    let mut actions = Vec::new();
    model.actions(&end, &mut actions);
    let found = Theorem::new(&model).expect("all relations").compare(&end, &actions);
    assert_eq!(difference, Some(found.expect_err("a difference").to_string()));
}

#[test]
fn of_more_byzantine_replicas_than_are_tolerated_the_theorem_says_nothing() {
    let refused = simulate_with_theorem(&config("n4-b01-v0-s1-d2"), walks(10), &mut Silent);
    assert!(refused.is_err_and(|message| message.contains("more than f")));
}
