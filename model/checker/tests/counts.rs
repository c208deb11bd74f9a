//! Golden counts. A change in any of them is a change of the model, to be understood before it is accepted.

use pbft_checker::check::{CheckOptions, CheckReport, Verdict, check};
use pbft_checker::run::Silent;
use pbft_model::{Config, Reductions};

fn exhaust(name: &str, reductions: Reductions) -> CheckReport {
    let config: Config = name.parse().expect("a valid name");
    check(&config, CheckOptions { reductions, ..CheckOptions::default() }, &mut Silent)
}

#[test]
fn the_plain_model_has_these_states_and_edges() {
    for (name, states, edges) in [
        ("n4-bnone-v0-s1-d2", 329, 926),
        ("n4-b0-v0-s1-d2", 217, 528),
        ("n4-b1-v0-s1-d2", 119, 276),
        ("n4-b0-v1-s1-d1", 8909, 25_998),
        ("n4-b1-v1-s1-d1", 10_018, 32_670),
        ("n4-b3-v1-s1-d1", 6898, 20_347),
        ("n4-b3-v1-s1-d2", 17_472, 50_053),
        ("n4-b3-v1-s1-d1-k1", 38_770, 106_860),
    ] {
        let report = exhaust(name, Reductions::NONE);
        assert_eq!((report.unique_states, report.edges), (states, edges), "{name}");
        assert_eq!(report.verdict, Verdict::Holds, "{name}: {report:?}");
    }
}

#[test]
fn other_group_sizes_are_safe_too() {
    for name in ["n5-b0-v0-s1-d2", "n5-b4-v1-s1-d1", "n6-b0-v0-s1-d1", "n7-b0-v0-s1-d1"] {
        let report = exhaust(name, Reductions::ALL);
        assert_eq!(report.verdict, Verdict::Holds, "{name}: {report:?}");
    }
}

/// Whatever can be seen in a configuration is seen, and nothing is asked for that cannot: all small ones hold.
#[test]
fn everything_that_applies_is_seen_in_every_small_configuration() {
    let (mut configs, mut wrong) = (0, Vec::new());
    for (bounds, positions) in [
        ("v0-s1-d1", 5),
        ("v0-s1-d2", 5),
        ("v0-s2-d1", 5),
        ("v0-s1-d1-k1", 5),
        ("v0-s2-d1-k1-l1", 5),
        ("v0-s2-d1-k2", 5),
        ("v0-s1-d2-r", 4),
        ("v0-s2-d1-t2", 4),
        ("v1-s1-d1", 5),
        ("v1-s1-d2", 5),
        ("v1-s1-d1-k1", 5),
        ("v2-s1-d1", 5),
    ] {
        for byzantine in ["3", "2", "1", "0", "none"].iter().take(positions) {
            let name = format!("n4-b{byzantine}-{bounds}");
            let report = exhaust(&name, Reductions::ALL);
            let missing: Vec<_> = report.witnesses.iter().filter(|(_, seen)| !**seen).collect();
            if !missing.is_empty() || report.verdict != Verdict::Holds {
                wrong.push(format!("{name}: {:?}, not seen: {missing:?}", report.verdict));
            }
            configs += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(configs, 58);
}

#[test]
fn more_than_f_byzantine_replicas_break_agreement() {
    for (name, steps) in [("n4-b01-v0-s1-d2", 6), ("n4-b23-v1-s1-d2", 8)] {
        let options = CheckOptions { property: Some("agreement"), ..CheckOptions::default() };
        let report = check(&name.parse().expect("a valid name"), options, &mut Silent);
        let trace = report.counterexample.expect("a violation");
        assert_eq!((report.verdict, trace.actions.len()), (Verdict::Violated, steps), "{name}");
        assert!(trace.shows.contains(&"agreement".to_owned()), "{name}: {:?}", trace.shows);
    }
}
