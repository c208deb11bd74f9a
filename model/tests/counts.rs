//! Golden counts. A change in any of them is a change of the model, to be understood before it is accepted.

use pbft_model::check::{CheckOptions, CheckReport, Verdict, check};
use pbft_model::run::Silent;
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

#[test]
fn every_witness_that_applies_is_found_with_checkpoints() {
    let report = exhaust("n4-b0-v1-s1-d2-k1", Reductions::ALL);
    let found: Vec<_> = report.witnesses.iter().filter(|(_, found)| **found).collect();
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "equivocation-healed",
            "executed",
            "executed-from-certificate",
            "last-view-entered",
            "stable-checkpoint",
            "state-transfer",
            "view-1-entered",
        ]
    );
    assert_eq!(report.verdict, Verdict::Holds);
}
