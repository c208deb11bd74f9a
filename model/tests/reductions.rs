//! A reduction may lose states, but no verdict and no fact.

use std::cell::RefCell;
use std::collections::BTreeSet;

use pbft_model::bfs::{self, Limits};
use pbft_model::properties::PROPERTIES;
use pbft_model::run::Silent;
use pbft_model::{Config, Mutant, Pbft, Reductions, ReplicaState, State};

const EACH: [Reductions; 3] = [
    Reductions { values: true, ..Reductions::NONE },
    Reductions { replicas: true, ..Reductions::NONE },
    Reductions::ALL,
];

fn config(name: &str) -> Config {
    name.parse().expect("a valid name")
}

/// What a state says about results: who executed what, who holds which certificate, where each stands.
fn facts(state: &State) -> State {
    let project = |replica: &ReplicaState| ReplicaState {
        view: replica.view,
        active: replica.active,
        low_water_mark: replica.low_water_mark,
        last_executed: replica.last_executed,
        executed: replica.executed,
        applied: replica.applied,
        certificates: replica.certificates,
        ..ReplicaState::default()
    };
    State { replicas: state.replicas.iter().map(project).collect() }
}

/// The facts of every reachable state, up to the names that the reductions may exchange.
fn reachable(model: &Pbft) -> (BTreeSet<State>, u64) {
    let judge = Pbft::new(*model.config()).with_reductions(Reductions::ALL);
    let seen = RefCell::new(BTreeSet::new());
    let visit = |_: &Pbft, state: &State| {
        seen.borrow_mut().insert(judge.least_renaming(&facts(state)));
        false
    };
    let search = bfs::search(model, Limits::default(), visit, &mut Silent);
    assert!(search.complete);
    (seen.into_inner(), search.unique_states)
}

#[test]
fn reduced_models_reach_the_same_facts() {
    for name in ["n4-bnone-v0-s1-d2", "n4-b0-v1-s1-d1", "n4-b3-v1-s1-d1-k1", "n4-b0-v0-s2-d2-k1"] {
        let (plain, states) = reachable(&Pbft::new(config(name)));
        for reductions in EACH {
            let model = Pbft::new(config(name)).with_reductions(reductions);
            let (reduced, fewer) = reachable(&model);
            assert!(reduced == plain, "{name} with {reductions}");
            assert!(fewer <= states, "{name} with {reductions}");
        }
    }
}

#[test]
fn reduced_models_find_violations_as_soon() {
    let planted = [
        (Mutant::CommitQuorumOneShort, "n4-b0-v1-s1-d2"),
        (Mutant::SecondConflictingPrePrepare, "n4-b0-v0-s1-d2"),
        (Mutant::NewViewNotRecomputed, "n4-b1-v1-s1-d1"),
        (Mutant::PrePrepareFromNonPrimary, "n4-b1-v1-s1-d2"),
        (Mutant::DuplicateExecution, "n4-b0-v0-s2-d1"),
        (Mutant::CheckpointStableAtOne, "n4-b0-v0-s1-d2-k1"),
        (Mutant::CommitsMatchedWithoutDigest, "n4-b3-v1-s1-d1"),
    ];
    for (mutant, name) in planted {
        for property in PROPERTIES {
            let length = |reductions| {
                let model =
                    Pbft::new(config(name)).with_mutant(Some(mutant)).with_reductions(reductions);
                let violates = |model: &Pbft, state: &State| !(property.holds)(model, state);
                let limits = Limits { max_states: 15_000, ..Limits::default() };
                let search = bfs::search(&model, limits, violates, &mut Silent);
                search.found.map(|path| path.len())
            };
            // Only what both searches reach within the limit can be compared.
            let Some(plain) = length(Reductions::NONE) else { continue };
            for reductions in EACH {
                assert_eq!(
                    length(reductions),
                    Some(plain),
                    "{mutant} at {name}, {} with {reductions}",
                    property.name
                );
            }
        }
    }
}
