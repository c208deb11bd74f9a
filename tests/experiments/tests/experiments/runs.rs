//! What runs come to: verdicts, messages, tables and charts.

use core::time::Duration;
use pbft_experiments::distalgo::{self, keeps_to_the_formula};
use pbft_experiments::ledger;
use pbft_experiments::measure::{Measurement, Safety};
use pbft_experiments::setup::{Byzantine, Setup};
use pbft_experiments::simulate::{simulate, simulate_prepared};
use pbft_experiments::sweep::{colluding, trial};
use pbft_experiments::{figures, rows, table};
use pbft_plant::switch::active_bug;
use pbft_sim::fault::{Fault, FaultKind};
use std::collections::BTreeSet;

fn run(setup: &Setup) -> Measurement {
    simulate(setup).expect("it can be made")
}

fn small(replicas: u32) -> Setup {
    Setup { replicas, clients: 2, requests: 3, ..Setup::default() }
}

#[test]
fn fault_free_runs_take_the_messages_of_the_formula_and_no_more() {
    for replicas in [4, 5, 10] {
        let one = run(&small(replicas));
        assert!(one.verdict.holds(), "{}", one.verdict.reason);
        assert_eq!(one.wire().ordering, one.formula(), "n = {replicas}");
        assert_eq!(one.view_changes, 0);
    }
    let slow = Setup { delay: (Duration::from_millis(50), Duration::from_millis(50)), ..small(5) };
    let one = run(&slow);
    assert!(keeps_to_the_formula(&one), "{:?}, not {}", one.wire(), one.formula());
    let faulty = run(&Setup { byzantine: Byzantine::Backups, ..small(5) });
    assert!(faulty.verdict.holds() && faulty.view_changes == 0, "{}", faulty.verdict.reason);
}

#[test]
fn quorums_are_those_of_every_size_and_not_of_3f_plus_1_only() {
    let sizes = [(5, 4), (10, 7), (15, 10), (22, 15), (25, 17), (50, 34)];
    for (replicas, quorum) in sizes {
        let membership = small(replicas).membership().expect("a size");
        let least = (replicas as usize + membership.faults()).div_euclid(2) + 1;
        assert_eq!((membership.quorum(), quorum), (least, least), "n = {replicas}");
    }
}

#[test]
fn a_silent_primary_costs_a_view_and_nothing_else() {
    let one = run(&Setup { byzantine: Byzantine::Primary, ..small(4) });
    assert!(one.verdict.holds() && one.primary_failed, "{}", one.verdict.reason);
    assert_eq!((one.view, one.view_changes), (1, 1));
    assert!(one.total >= one.setup.timeout, "timeouts dominate: {:?}", one.total);
}

#[test]
fn a_service_that_diverges_at_a_trusted_replica_is_unsafe() {
    let setup = small(4);
    let mut prepared = setup.prepare().expect("a plan");
    let kind = FaultKind::Diverge { host: 2 };
    prepared.plan.faults.push(Fault { from: Duration::ZERO, until: prepared.limit, kind });
    let one = simulate_prepared(&setup, &prepared).expect("it can be made");
    assert!(matches!(one.verdict.safety, Safety::Broken(_)), "{}", one.verdict.reason);
    assert!(one.verdict.reason.starts_with("UNSAFE: equal-states"), "{}", one.verdict.reason);
    assert!(!one.verdict.agrees() && one.verdict.safe() == "no");
}

#[test]
fn beyond_f_a_run_stops_and_claims_nothing() {
    let limit = Some(Duration::from_secs(15));
    let one = run(&Setup { limit, ..distalgo::too_many(1) });
    assert!(one.verdict.is_beyond() && !one.verdict.is_live());
    let said = &one.verdict.reason;
    for words in ["4 Byzantine > f = 2", "no safety claimed", "no quorum", "5 are needed"] {
        assert!(said.contains(words), "{said}");
    }
    assert!(one.total <= Duration::from_secs(16), "{:?}", one.total);
}

/// f colluding replicas break nothing; with one more the halves decide differently, and contradictions are seen.
#[test]
fn agreement_breaks_one_replica_beyond_the_bound() {
    let disagree = |replicas, malicious| {
        let runs: Vec<Measurement> =
            (1..=3).map(|seed| run(&colluding(replicas, malicious, seed))).collect();
        runs.iter().filter(|one| !one.verdict.agrees()).count()
    };
    assert_eq!(disagree(4, 1), 0);
    assert!(disagree(4, 2) > 0);
}

#[test]
fn an_equivocating_primary_within_f_is_replaced() {
    let one = run(&trial(11, 1, 0));
    assert!(one.verdict.holds(), "{}", one.verdict.reason);
}

#[test]
fn a_crashed_replica_is_waited_for_and_catches_up() {
    let setup = Setup {
        requests: 20,
        think: Duration::from_millis(50),
        interval: 4,
        faults: vec!["replica 2: crash at 200ms, back at 1500ms".parse().expect("a fault")],
        ..small(4)
    };
    let one = run(&setup);
    assert!(one.verdict.holds() && one.crashes == 1, "{}", one.verdict.reason);
    let svg = figures::timeline(&one, None).to_svg();
    assert!(svg.contains("replica 2 killed"), "{svg}");
}

#[test]
fn the_same_seed_gives_the_same_table() {
    let setup = |seed| {
        let mut setup = small(4);
        (setup.seed, setup.link.drop) = (seed, 50_000);
        setup.delay = (Duration::from_millis(1), Duration::from_millis(20));
        setup
    };
    let csv = |seed| table::csv(&[run(&setup(seed))], false);
    assert_eq!(csv(3), csv(3));
    assert_ne!(csv(3), csv(4).replace(",4,6,", ",3,6,"), "another seed is another run");
}

#[test]
fn the_thirty_runs_are_thirty() {
    let names: BTreeSet<String> =
        distalgo::thirty(Duration::from_secs(2), 1).into_iter().map(|setup| setup.name).collect();
    assert_eq!(names.len(), 30);
    let ids: BTreeSet<&str> = rows().iter().map(|row| row.id).collect();
    assert_eq!(ids.len(), rows().len(), "each row once");
}

#[test]
fn a_short_ledger_is_consistent_through_view_changes_and_crashes() {
    let size = ledger::Size { operations: 200, ..ledger::SIZES[2] };
    let one = run(&size.setup(0));
    assert!(ledger::consistent(&one), "{}", one.verdict.reason);
    assert!(one.crashes >= u64::from(size.crashes), "{} crashes", one.crashes);
}

#[test]
fn charts_are_xml_with_their_words() {
    let one = run(&small(4));
    for (chart, words) in [
        (figures::latencies(&one), ["latency, ms", "% of the operations, at most"]),
        (figures::timeline(&one, None), ["seconds since the start", "answered operations/s"]),
    ] {
        let svg = chart.to_svg();
        let document = roxmltree::Document::parse(&svg).expect("XML");
        let texts: Vec<&str> = document
            .descendants()
            .filter(|node| node.has_tag_name("text"))
            .filter_map(|node| node.text())
            .collect();
        for word in words {
            assert!(texts.contains(&word), "{word}: {texts:?}");
        }
    }
}

/// In a planted build with this bug on.
#[test]
fn a_run_is_safe_unless_a_rule_is_broken_which_is_named() {
    let verdict = |seed| {
        let mut setup = small(4);
        (setup.clients, setup.requests, setup.seed) = (4, 10, seed);
        setup.link.drop = 100_000;
        setup.delay = (Duration::from_millis(1), Duration::from_millis(30));
        run(&setup).verdict.reason
    };
    let all: Vec<String> = (1..=5).map(verdict).collect();
    match active_bug().expect("a build that can have it").as_deref() {
        None => assert!(all.iter().all(|reason| !reason.starts_with("UNSAFE")), "{all:#?}"),
        Some("reply-for-another-timestamp") => {
            assert!(all.iter().any(|reason| reason.starts_with("UNSAFE: results")), "{all:#?}");
        }
        Some(_) => {}
    }
}
