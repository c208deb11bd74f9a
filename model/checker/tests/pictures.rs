//! Pictures of what only a broken rule allows. `cargo plant test --mutants --package pbft-checker --test pictures` draws them, with each
//! mutant on; with none on it is a counterexample of more Byzantine replicas than are tolerated.

use pbft_checker::mutant_record::{active, row};
use pbft_checker::mutants::Found;
use roxmltree::Document;

const MUTANTS: [&str; 5] = [
    "commit-quorum-one-short",
    "p-omitted",
    "gc-before-stability",
    "new-view-not-recomputed",
    "restart-forgets-accepted",
];

/// A certificate that only a bug accepts shows as too small; all pictures are well formed and say what is violated.
#[test]
fn pictures_of_broken_rules_are_well_formed_and_mark_a_quorum_that_is_too_small() {
    let (config, by) = match active() {
        None => ("n4-b01-v0-s1-d2".parse().expect("a valid name"), Some("agreement")),
        Some(on) if MUTANTS.contains(&on) => {
            let row = row(on).expect("a record").expect("on record");
            (*row.fate.config(), row.fate.by())
        }
        Some(_) => return,
    };
    let found = Found::here(config, by).expect("a search");
    let svg = found.written.expect("a counterexample").svg;
    Document::parse(&svg).expect("XML");
    assert!(svg.contains("✗ VIOLATED agreement: no two honest"), "{svg}");
    let marked = svg.contains(">2 of 3!<");
    assert_eq!(marked, active() == Some("commit-quorum-one-short"), "{:?}", active());
    assert_eq!(svg.contains(" with "), active().is_some());
}
