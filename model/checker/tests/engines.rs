//! Two engines that share nothing but the model must count alike, and neither may pass off half a search as whole.

use pbft_checker::bfs::{self, Limits, SEEDS};
use pbft_checker::check::{CheckOptions, Verdict, check};
use pbft_checker::run::Silent;
use pbft_model::{Config, Pbft, Reductions, State};
use std::sync::atomic::AtomicBool;

fn config(name: &str) -> Config {
    name.parse().expect("a valid name")
}

#[test]
fn both_engines_find_the_same_states_and_edges_under_both_seeds() {
    for name in ["n4-bnone-v0-s1-d2", "n4-b0-v1-s1-d1", "n4-b3-v1-s1-d2", "n4-b1-v0-s2-d2-k1"] {
        for reductions in [Reductions::NONE, Reductions::ALL] {
            let options = CheckOptions { reductions, ..CheckOptions::default() };
            let stateright = check(&config(name), options, &mut Silent);
            assert!(stateright.complete, "{name}");
            let model = Pbft::new(config(name)).with_reductions(reductions);
            let expected = (stateright.unique_states, stateright.edges);
            for seed in SEEDS {
                let limits = Limits { seed, ..Limits::default() };
                let own = bfs::search(&model, limits, |_, _| false, &mut Silent);
                assert!(own.complete, "{name}");
                assert_eq!((own.unique_states, own.edges), expected, "{name}");
            }
            let counted = bfs::count(&model, SEEDS, &AtomicBool::new(false));
            assert_eq!(counted, [expected; 2], "{name}");
            let stopped = bfs::count(&model, SEEDS, &AtomicBool::new(true));
            assert_eq!(stopped, [(1, 0); 2], "{name}");
        }
    }
}

#[test]
fn a_limited_search_is_not_complete() {
    let model = Pbft::new(config("n4-b3-v1-s1-d1"));
    let limits = Limits { max_states: 1000, ..Limits::default() };
    let search = bfs::search(&model, limits, |_, _| false, &mut Silent);
    assert!(!search.complete && search.found.is_none());
    assert!(search.unique_states >= 1000 && search.unique_states < 6898);
}

#[test]
fn a_violation_ends_the_search_with_a_path_that_can_be_walked() {
    for reductions in [Reductions::NONE, Reductions::ALL] {
        let property = Some("agreement");
        let options = CheckOptions { reductions, property, ..CheckOptions::default() };
        // One Byzantine replica more than is tolerated.
        let report = check(&config("n4-b01-v0-s1-d2"), options, &mut Silent);
        assert_eq!(report.verdict, Verdict::Violated);
        assert!(!report.complete);
        let trace = report.counterexample.expect("a counterexample");
        let model = trace.model().expect("a valid configuration");
        assert_eq!(trace.first_disabled(&model), None);
        assert_eq!(trace.actions.len(), 6);
        assert!(trace.shows.contains(&"agreement".to_owned()), "{:?}", trace.shows);
        let fragment = trace.explorer_fragment(&model);
        assert_eq!(fragment.matches('/').count(), 2 + trace.actions.len());
    }
}

#[test]
fn the_shortest_path_to_execution_is_the_normal_case() {
    let model = Pbft::new(config("n4-bnone-v1-s1-d2"));
    let executed = |_: &Pbft, state: &State| state.replicas[3].last_executed.0 == 1;
    let search = bfs::search(&model, Limits::default(), executed, &mut Silent);
    let path = search.found.expect("reachable");
    let names: Vec<_> = path.iter().map(pbft_model::Action::name).collect();
    // One PRE-PREPARE, two PREPAREs, three COMMITs, one execution.
    let count = |name: &str| names.iter().filter(|one| **one == name).count();
    assert_eq!(path.len(), 7);
    assert_eq!(
        [count("PrePrepare"), count("Prepare"), count("Commit"), count("Execute")],
        [1, 2, 3, 1]
    );
}
