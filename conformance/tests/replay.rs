//! The replay on small configurations, and what it must say when something is wrong with itself.

use pbft_checker::bfs::{Limits, search};
use pbft_checker::run::Silent;
use pbft_conformance::divergence::Kind;
use pbft_conformance::refinement::vocabulary::replayable;
use pbft_conformance::replay::core::schedule::SCHEDULES;
use pbft_conformance::replay::core::{Counters, Replay};
use pbft_conformance::replay::grain::Walked;
use pbft_conformance::replay::node::{self, NodeReport};
use pbft_conformance::walk::{Trace, walk, witnesses};
use pbft_model as model;
use std::sync::atomic::Ordering;

fn config(name: &str) -> model::Config {
    name.parse().expect("a valid name")
}

#[test]
fn every_edge_of_small_graphs_is_replayed() {
    for name in ["n4-bnone-v0-s1-d2", "n4-b0-v1-s1-d1", "n4-b3-v1-s1-d1", "n5-b0-v0-s1-d2"] {
        let config = config(name);
        let (report, divergence) = Replay::new(config, 3).run(&Counters::default());
        assert_eq!(divergence.map(|divergence| divergence.to_string()), None, "{name}");
        let walked = Walked { model: model::Pbft::new(config) };
        let all = search(&walked, Limits::default(), |_, _| false, &mut Silent);
        assert!(report.complete, "{name}");
        assert_eq!((report.states, report.edges), (all.unique_states, all.edges), "{name}");
    }
}

#[test]
fn every_edge_is_taken_under_every_schedule() {
    let mut tried = std::collections::BTreeMap::new();
    for name in ["n4-b1-v0-s2-d1", "n4-b3-v0-s1-d1-k1"] {
        let replay = Replay::new(config(name), 3).under_all_schedules();
        let (report, divergence) = replay.run(&Counters::default());
        assert_eq!(divergence.map(|divergence| divergence.to_string()), None, "{name}");
        assert_eq!(report.scheduled, report.edges, "{name}");
        for (schedule, count) in report.schedules {
            *tried.entry(schedule).or_default() += count;
        }
        for schedule in ["selection", "crash"] {
            assert!(tried[schedule] > report.edges, "{schedule}: more than one an edge");
        }
    }
    for schedule in SCHEDULES {
        let count: u64 = tried.get(schedule).copied().unwrap_or_default();
        assert!(count > 0, "{schedule} was never tried");
    }
}

#[test]
fn another_seed_takes_other_schedules_to_the_same_end() {
    let replay = |seed| Replay::new(config("n4-b0-v1-s1-d1"), seed).run(&Counters::default()).0;
    let (first, second) = (replay(1), replay(2));
    assert_eq!((first.states, first.edges), (second.states, second.edges));
    assert_ne!(first.steps, second.steps, "other quorums and certificates were delivered");
}

#[test]
fn a_replay_that_was_stopped_is_not_complete() {
    let counters = Counters::default();
    counters.stop.store(true, Ordering::Relaxed);
    let (report, divergence) = Replay::new(config("n4-b0-v1-s1-d1"), 1).run(&counters);
    assert!(!report.complete);
    assert!(divergence.is_none());
}

fn stale(trace: &Trace) -> Trace {
    let mut stale = trace.clone();
    stale.actions.swap(0, trace.actions.len() - 1);
    stale
}

#[test]
fn a_trace_that_the_model_does_not_allow_is_an_error_of_the_harness() {
    let config = config("n4-b0-v1-s1-d1");
    let trace = walk(&model::Pbft::new(config), &config, 9, 20);
    let replay = Replay::new(config, 1);
    assert_eq!(replay.follow(&trace.actions), Ok(trace.actions.len()));
    let divergence = replay.follow(&stale(&trace).actions).expect_err("a stale trace");
    assert_eq!(divergence.kind, Kind::Harness);

    let runtime = node::runtime().expect("a runtime");
    let mut report = NodeReport::default();
    let divergence = node::replay(&runtime, &stale(&trace), 1, &mut report);
    assert_eq!(divergence.map(|divergence| divergence.kind), Some(Kind::Harness));
    assert_eq!(report.traces, 0, "what diverged was not replayed");
}

#[test]
fn witnesses_go_through_the_node_with_crashes() {
    let config = config("n4-b3-v1-s1-d1-k1");
    let pbft = model::Pbft::new(config);
    let traces = witnesses(&Walked { model: pbft.clone() }, &pbft);
    assert!(traces.iter().any(|trace| trace.origin == "witness state-transfer"));
    let runtime = node::runtime().expect("a runtime");
    let mut report = NodeReport::default();
    for trace in &traces {
        let divergence = node::replay(&runtime, trace, 1, &mut report);
        assert_eq!(divergence.map(|divergence| divergence.to_string()), None, "{}", trace.origin);
    }
    assert_eq!(report.traces, traces.len() as u64);
    assert!(report.crashes > 0);
}

#[test]
fn bounds_that_the_core_cannot_have_are_refused_with_a_reason() {
    let error = replayable("n4-b0-v1-s2-d1-k1-l1").expect_err("a window of one interval");
    assert!(error.contains("l1") && error.contains("k1"), "{error}");
    assert!(replayable("n4-b0-v1-s2-d1-k1").is_ok());
    assert!(replayable("n3-b0-v1-s2-d1").is_err());
}
