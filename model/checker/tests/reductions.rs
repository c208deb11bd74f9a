//! A reduction may lose states, but no verdict and no fact.

use std::cell::RefCell;
use std::collections::BTreeSet;

use pbft_checker::bfs::{self, Limits};
use pbft_checker::run::Silent;
use pbft_model::properties::PROPERTIES;
use stateright::Model;

use pbft_checker::mutant_record::{active, unsound};
use pbft_model::{Config, Pbft, Reductions, ReplicaState, State};

const EACH: [Reductions; 4] = [
    Reductions { values: true, ..Reductions::NONE },
    Reductions { replicas: true, ..Reductions::NONE },
    Reductions { dead: true, ..Reductions::NONE },
    Reductions::ALL,
];

fn config(name: &str) -> Config {
    name.parse().expect("a valid name")
}

/// What a state says about results: who executed what, where each stands, and (unless they may have been
/// forgotten) who holds which certificate.
fn facts(state: &State, certificates: bool) -> State {
    let held = |replica: &ReplicaState| {
        if certificates { replica.certificates } else { ReplicaState::default().certificates }
    };
    let project = |replica: &ReplicaState| ReplicaState {
        view: replica.view,
        active: replica.active,
        low_water_mark: replica.low_water_mark,
        last_executed: replica.last_executed,
        executed: replica.executed,
        applied: replica.applied,
        certificates: held(replica),
        ..ReplicaState::default()
    };
    let replicas = state.replicas.iter().map(project).collect();
    State { replicas, disks: Vec::new(), wire: Vec::new() }
}

/// The facts of every reachable state, up to the names that the reductions may exchange.
fn reachable(model: &Pbft, certificates: bool) -> (BTreeSet<State>, u64) {
    let judge = Pbft::new(*model.config()).with_reductions(Reductions::ALL);
    let seen = RefCell::new(BTreeSet::new());
    let visit = |_: &Pbft, state: &State| {
        seen.borrow_mut().insert(judge.least_renaming(&facts(state, certificates)));
        false
    };
    let search = bfs::search(model, Limits::default(), visit, &mut Silent);
    assert!(search.complete);
    (seen.into_inner(), search.unique_states)
}

#[test]
fn reduced_models_reach_the_same_facts() {
    for name in [
        "n4-bnone-v0-s1-d2",
        "n4-b0-v1-s1-d1",
        "n4-b3-v1-s1-d1",
        "n4-b0-v0-s2-d1-k1",
        "n4-b0-v0-s2-d2-t2",
        "n4-b0-v0-s1-d2-r",
        "n7-b01-v0-s1-d2",
    ] {
        let plain = [false, true].map(|held| reachable(&Pbft::new(config(name)), held));
        for reductions in EACH {
            let model = Pbft::new(config(name)).with_reductions(reductions);
            let held = !reductions.dead;
            let (reduced, fewer) = reachable(&model, held);
            let (facts, states) = &plain[usize::from(held)];
            assert!(reduced == *facts, "{name} with {reductions}");
            assert!(fewer <= *states, "{name} with {reductions}");
        }
    }
}

/// The successors of a state, each as the least renaming of its canonical form.
fn successors(plain: &Pbft, reduced: &Pbft, state: &State) -> BTreeSet<State> {
    let least = |next: State| reduced.least_renaming(&reduced.canonical(next));
    plain.next_states(state).into_iter().map(least).collect()
}

/// In every reachable state: it and its canonical form have the same successors, up to what the reductions ignore, so
/// neither has a future that the other lacks; and `progress` runs its schedule from both or from neither, so what it reads
/// beyond the rules for steps (what is still repeated, kept and handed on) was not forgotten either.
fn assert_same_future(name: &str) {
    let plain = Pbft::new(config(name));
    let progress = PROPERTIES.iter().find(|one| one.name == "progress").expect("a property");
    for reductions in EACH {
        let reduced = Pbft::new(config(name)).with_reductions(reductions);
        let differs = |_: &Pbft, state: &State| {
            let canonical = reduced.canonical(state.clone());
            let is_judged = |model, state| (progress.exercised)(model, state);
            canonical != *state
                && (is_judged(&plain, state) != is_judged(&reduced, &canonical)
                    || successors(&plain, &reduced, state)
                        != successors(&plain, &reduced, &canonical))
        };
        let search = bfs::search(&plain, Limits::default(), differs, &mut Silent);
        assert_eq!(search.found, None, "{name} with {reductions}");
        assert!(search.complete);
    }
}

#[test]
fn canonical_states_have_the_same_future() {
    for name in [
        "n4-bnone-v0-s1-d2",
        "n4-b3-v1-s1-d1",
        "n4-b1-v0-s2-d2-k1",
        "n4-b0-v0-s2-d1-t2",
        "n4-b0-v0-s1-d2-r",
    ] {
        assert_same_future(name);
    }
}

#[test]
#[ignore = "minutes without optimisation: cargo test --release -p pbft-checker -- --ignored"]
fn canonical_states_have_the_same_future_at_larger_bounds() {
    for name in ["n4-bnone-v1-s1-d1-k1", "n4-b0-v1-s2-d1", "n4-b1-v2-s1-d1", "n4-b3-v2-s1-d1"] {
        assert_same_future(name);
    }
}

/// Mutants, and where the reductions are held against the plain model under them.
const BROKEN: [(&str, &str); 7] = [
    ("commit-quorum-one-short", "n4-b0-v1-s1-d2"),
    ("second-conflicting-pre-prepare", "n4-b0-v0-s1-d2"),
    ("new-view-not-recomputed", "n4-b1-v1-s1-d1"),
    ("pre-prepare-from-non-primary", "n4-b1-v1-s1-d2"),
    ("duplicate-execution", "n4-b0-v0-s2-d1"),
    ("checkpoint-stable-at-one", "n4-b0-v0-s1-d2-k1"),
    ("commits-matched-without-digest", "n4-b3-v1-s1-d1"),
];

/// With more Byzantine replicas than f there are violations without any mutant.
const CONTROL: &str = "n4-b01-v0-s1-d2";

/// `cargo plant test --mutants --package pbft-checker --test reductions` does this with each mutant on.
#[test]
fn reduced_models_find_violations_of_broken_rules_as_soon() {
    let of_mutant = |on| BROKEN.iter().find(|(mutant, _)| *mutant == on).map(|(_, name)| *name);
    let Some(name) = active().map_or(Some(CONTROL), of_mutant) else { return };
    let mut compared = 0;
    for property in PROPERTIES {
        let length = |reductions: Reductions| {
            let model = Pbft::new(config(name)).with_reductions(reductions.without(unsound()));
            let violates = |model: &Pbft, state: &State| !(property.holds)(model, state);
            let limits = Limits { max_states: 15_000, ..Limits::default() };
            let search = bfs::search(&model, limits, violates, &mut Silent);
            search.found.map(|path| path.len())
        };
        // Only what both searches reach within the limit can be compared.
        let Some(plain) = length(Reductions::NONE) else { continue };
        compared += 1;
        for reductions in EACH {
            let reduced = length(reductions);
            assert_eq!(reduced, Some(plain), "{name}, {} with {reductions}", property.name);
        }
    }
    let is_equivalent = active() == Some("commits-matched-without-digest");
    assert_eq!(compared == 0, is_equivalent, "{:?}", active());
}
