//! The guided search: it can be repeated, it is guided, and what it finds is a finding.

use pbft_sim::hunt::{End, Hunt, Report, alone, hunt};
use std::num::NonZeroUsize;
use std::time::Duration;

const HUNT: Hunt = Hunt { seed: 1, n: 4, model: false };

fn threads(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).expect("not zero")
}

fn hunted(end: End, number: usize) -> Report {
    hunt(HUNT, end, false, threads(number), &|_| {})
}

#[test]
fn the_same_seed_shows_the_same_on_any_number_of_threads() {
    let (one, two) = (hunted(End::Runs(64), 1), hunted(End::Runs(64), 2));
    let shown = |report: &Report| {
        let shown = report.guided;
        (shown.runs, shown.deliveries, shown.states, shown.cores, shown.refusals, shown.pairs)
    };
    assert_eq!(shown(&one), shown(&two));
    assert_eq!(one.guided.runs, 64);
    assert!(one.guided.states > 500, "{} states", one.guided.states);
    assert!(one.guided.refusals > 20, "{} refusals", one.guided.refusals);
    assert!(one.findings.is_empty());
}

#[test]
fn a_comparison_gives_both_the_same_time() {
    let report = hunt(HUNT, End::Runs(32), true, threads(2), &|_| {});
    let random = report.random.expect("asked for");
    assert!(random.processor_seconds >= report.guided.processor_seconds);
    assert!(random.runs >= 32 && report.ratio().is_some_and(|ratio| ratio > 0.0));
}

#[test]
fn a_replica_alone_goes_through_everything_and_keeps_its_promises() {
    let report = alone::hunt(1, 4, Duration::ZERO, threads(2), &|_| {});
    assert_eq!(report.replicas, 32, "a round");
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert!(report.inputs > 40_000, "{} inputs", report.inputs);
    assert!(report.executed > 500, "{} batches", report.executed);
    assert!(report.view > 5, "up to view {}", report.view);
    for kind in ["equivocation", "outside-window", "unproven-checkpoint", "wrong-new-view"] {
        assert!(report.rejections.contains(kind), "{kind}: {:?}", report.rejections);
    }
    // Both ways in which a quorum can lie are noticed.
    assert!(report.stopped.len() >= 2, "{:?}", report.stopped);
}
