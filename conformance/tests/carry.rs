//! What replicas hold beside the model's state: carried along on walks, and in graphs of pairs. And the edges on which rules
//! meet.

use pbft_conformance::replay::carry::leftover::Leftover;
use pbft_conformance::replay::carry::product::Ways;
use pbft_conformance::replay::carry::walks::CarryReport;
use pbft_conformance::replay::core::{Counters, Replay, ReplayReport};
use pbft_conformance::replay::landmark::Landmark;
use pbft_conformance::replay::plan::{Plan, WALK_STEPS};
use pbft_model as model;
use std::sync::atomic::Ordering;

fn replay(config: &str, seed: u64) -> Replay {
    Replay::new(config.parse().expect("a valid name"), seed)
}

fn whole(config: &str) -> ReplayReport {
    let (report, divergence) = replay(config, 3).run(&Counters::default());
    assert_eq!(divergence.map(|found| found.to_string()), None, "{config}");
    assert!(report.complete, "{config}");
    report
}

fn carried(walks: impl Iterator<Item = (model::Config, u64)>) -> CarryReport {
    let mut all = CarryReport::default();
    for (config, seed) in walks {
        let (report, divergence) = Replay::new(config, seed).carry_along(seed, WALK_STEPS);
        assert_eq!(divergence.map(|found| found.to_string()), None, "{config}, seed {seed}");
        all.add(&report);
    }
    all
}

#[test]
fn some_walks_leave_over_something_of_each_kind() {
    let plan = Plan { carried_walks: 40, ..Plan::quick() };
    let report = carried(plan.carried_walks(1).into_iter());
    assert_eq!(report.missing().collect::<Vec<_>>(), Vec::<String>::new());
    assert!(report.followed > 0, "steps followed from what was held");
    assert!(report.walks == 40 * plan.carried.len() as u64 && report.steps > report.walks);
    for kind in Leftover::ALL {
        let count = report.leftovers[kind.name()];
        assert!(count.stayed <= count.given, "{}", kind.name());
    }
}

#[test]
fn the_same_seed_leaves_over_the_same() {
    let walk = |seed| replay("n4-b0-v2-s2-d2-k1", 1).carry_along(seed, WALK_STEPS).0;
    assert_eq!(walk(7), walk(7));
    assert_ne!(walk(7), walk(8));
}

#[test]
fn what_was_never_given_or_never_stayed_is_named() {
    let none = CarryReport::default();
    assert_eq!(none.missing().count(), Leftover::ALL.len());
    let mut all = none.clone();
    for kind in Leftover::ALL {
        all.leftovers.entry(kind.name()).or_default().given = 1;
    }
    let staying = Leftover::ALL.into_iter().filter(|kind| kind.stays());
    assert_eq!(all.missing().count(), staying.count());
    assert!(all.missing().all(|missing| missing.starts_with("never stayed: ")));
}

/// The smallest graph of pairs on record, whole: it has several pairs to a state, and each edge of the model.
#[test]
fn a_graph_of_pairs_is_as_on_record() {
    let plan = Plan::quick();
    let (config, ways, on_record) = plan.paired.last().expect("there are some");
    let (report, divergence) = Replay::new(*config, 1).product(*ways, &Counters::default());
    assert_eq!(divergence.map(|found| found.to_string()), None);
    assert!(report.complete);
    assert_eq!((report.states, report.edges), *on_record);
    assert!(report.states > 2 * report.model_states, "{} states", report.model_states);
    assert_eq!(report.joins, report.edges - (report.states - 1), "each pair is reached first once");
    let graph = whole(&config.to_string());
    assert_eq!(report.model_states, graph.states, "the model's states are all there");
}

#[test]
fn a_graph_of_pairs_that_was_stopped_is_not_complete() {
    let counters = Counters::default();
    counters.stop.store(true, Ordering::Relaxed);
    let (report, divergence) = replay("n4-b0-v1-s1-d1", 1).product(Ways::Selections, &counters);
    assert!(!report.complete && divergence.is_none());
}

/// What a graph cannot have is not counted there, and what it must have is.
#[test]
fn edges_on_which_rules_meet_are_counted_where_they_are() {
    let has = |report: &ReplayReport, landmark: Landmark| {
        report.landmarks.get(landmark.name()).is_some_and(|count| *count > 0)
    };
    let one_slot = whole("n4-b3-v1-s1-d1-k1");
    for landmark in Landmark::ALL {
        assert!(!has(&one_slot, landmark), "one slot, one request: {}", landmark.name());
    }
    let two_slots = whole("n4-b3-v0-s2-d2");
    for landmark in Landmark::ALL {
        let found =
            matches!(landmark, Landmark::TwoSlots | Landmark::SecondPrePrepare | Landmark::Restart);
        assert_eq!(has(&two_slots, landmark), found, "{}", landmark.name());
    }
    assert!(two_slots.landmarks["two slots in use"] < two_slots.edges);
    assert_eq!(two_slots.declined, 0, "each client has one request");
    let two_requests = whole("n4-b0-v0-s2-d1-t2");
    assert!(has(&two_requests, Landmark::BothTimestamps));
    assert!(has(&two_requests, Landmark::AnsweredBefore));
    assert!(!has(&two_requests, Landmark::SecondPrePrepare), "its primary lies");
}

#[test]
fn a_request_is_declined_after_a_later_one_of_its_client() {
    let report = whole("n4-b3-v0-s2-d1-t2");
    assert!(report.declined > 0);
    let later_first = report.landmarks.get(Landmark::AnsweredBefore.name());
    assert_eq!(later_first, None, "nobody orders it");
}
