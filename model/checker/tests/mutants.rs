//! The model has teeth: the mutants that a small search finds out. `cargo mutants-of-model` runs all of them.
//!
//! Where a mutant is on, that is in a build of its own, which takes minutes the first time.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use pbft_checker::check::{CheckOptions, Verdict, check};
use pbft_checker::golden;
use pbft_checker::mutant_record::{Fate, Row, record, row};
use pbft_checker::mutants::{Found, MutantReport, exit_code, hunt_all, planted};
use pbft_checker::preset::Preset;
use pbft_checker::run::{ExitCode, Silent};
use pbft_model::{Config, Pbft, View};
use pbft_plant::tool::Planted;

/// The program with the mutants.
fn program() -> &'static Planted {
    static PLANTED: OnceLock<Planted> = OnceLock::new();
    PLANTED.get_or_init(|| planted().expect("a planted build"))
}

fn rows() -> Vec<Row> {
    record().expect("a record")
}

/// Those with three views take minutes without optimisation, where the correct protocol is searched beside them.
fn quick() -> Vec<Row> {
    rows().into_iter().filter(|row| row.fate.config().max_view() <= View(1)).collect()
}

fn ask(mutant: Option<&str>, config: &str, property: &str) -> Found {
    let arguments = ["hunt", "--config", config, "--property", property];
    program().ask(mutant, arguments).expect("an answer")
}

#[test]
fn every_mutant_is_on_record() {
    let rows = rows();
    assert_eq!(rows.len(), 129);
    let equivalent = rows.iter().filter(|row| !row.fate.is_found_out());
    assert_eq!(equivalent.count(), 6);
}

#[test]
fn quick_mutants_meet_the_fate_on_record() {
    let rows = quick();
    assert!(rows.len() >= 25);
    let reports = hunt_all(program(), &rows, 2, |_| {}).expect("answers");
    for report in &reports {
        assert!(report.as_recorded, "{report:?}");
        assert!(report.diff.starts_with("@@ model/spec/src/"), "{}", report.diff);
    }
    assert_eq!(exit_code(&rows, &reports), ExitCode::Holds);
}

/// The build that has the mutants is the protocol as long as none is on.
#[test]
fn with_no_mutant_on_the_planted_build_searches_what_the_plain_one_does() {
    let name = "n5-b0-v1-s1-d2";
    let found: Found = program().ask(None, ["hunt", "--config", name]).expect("an answer");
    let config: Config = name.parse().expect("a valid name");
    assert_eq!(Some(found.states), golden::counts(&config).map(|(states, _)| states));
    assert!(found.complete && found.counterexample.is_none());
}

/// Bounds from small to large. Where a mutant dies at the same bounds for several Byzantine positions, the record names
/// the lowest; or the first among those in a preset. Of a mutant that dies elsewhere it names one of a preset.
const LADDER: [&str; 23] = [
    "n4-bX-v0-s1-d1",
    "n4-bX-v0-s1-d2",
    "n4-bX-v1-s1-d1",
    "n4-bX-v1-s1-d2",
    "n4-bX-v0-s1-d1-k1",
    "n4-bX-v0-s1-d2-k1",
    "n4-bX-v1-s1-d1-k1",
    "n4-bX-v1-s1-d2-k1",
    "n4-bX-v0-s2-d1",
    "n4-bX-v0-s2-d2",
    "n4-bX-v0-s2-d1-t2",
    "n4-bX-v0-s2-d1-k1",
    "n4-bX-v0-s2-d1-k1-l1",
    "n4-bX-v0-s1-d1-k1-r",
    "n4-bX-v0-s1-d2-r",
    "n4-bX-v1-s1-d1-r",
    "n4-bX-v1-s1-d2-r",
    "n4-bX-v2-s1-d1",
    "n4-bX-v2-s1-d2",
    "n4-bX-v3-s1-d1",
    "n5-bX-v0-s1-d1",
    "n5-bX-v0-s1-d2",
    "n7-b01-v0-s1-d2",
];

#[test]
#[ignore = "minutes: cargo test --release -p pbft-checker -- --ignored"]
fn the_record_names_the_smallest_configuration() {
    let mut wrong = Vec::new();
    let presets = [Preset::Nightly, Preset::Theorem].map(Preset::entries).concat();
    let presets: Vec<_> = presets.iter().map(|entry| entry.config.to_string()).collect();
    for row in rows() {
        let Fate::Killed { by, config: recorded, .. } = row.fate else { continue };
        let each = |bounds: &str| ["0", "1", "3"].map(|byzantine| bounds.replace('X', byzantine));
        let names = LADDER.iter().flat_map(|bounds| each(bounds));
        let names: Vec<_> = names.collect();
        if !names.contains(&recorded.to_string()) {
            continue;
        }
        let finds = |name: &&String| ask(Some(&row.name), name, by).counterexample.is_some();
        let smallest = names.iter().find(finds).cloned();
        let is_recorded = |found: Option<&String>| found == Some(&recorded.to_string());
        let in_preset = || names.iter().filter(|name| presets.contains(*name)).find(finds);
        if !is_recorded(smallest.as_ref()) && !is_recorded(in_preset()) {
            wrong.push((row.name, recorded, smallest));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// The larger of them are in the quick preset.
#[test]
fn the_correct_protocol_survives_where_mutants_die() {
    let configs: BTreeSet<_> = quick().iter().map(|row| *row.fate.config()).collect();
    let is_small =
        |config: &Config| golden::counts(config).is_none_or(|(states, _)| states < 100_000);
    for config in configs.into_iter().filter(is_small) {
        let report = check(&config, CheckOptions::default(), &mut Silent);
        assert!(report.complete, "{config}");
        assert_ne!(report.verdict, Verdict::Violated, "{config}");
    }
}

#[test]
fn a_wrong_record_is_a_finding() {
    let right = row("p-omitted").expect("a record").expect("on record");
    for (caught, found_by) in [
        ("validity in 7 steps at n4-b3-v1-s1-d1", "validity"),
        ("nothing at n4-b0-v1-s1-d1: so they say", "committed-survives"),
        ("agreement in 13 steps at n4-b0-v1-s1-d2", "agreement"),
    ] {
        let wrong = Row { fate: caught.parse().expect("a fate"), ..right.clone() };
        let config = wrong.fate.config().to_string();
        let found = ask(Some("p-omitted"), &config, found_by);
        let report = MutantReport::new(&wrong, String::new(), found);
        assert!(!report.as_recorded, "{report:?}");
        assert_eq!(exit_code(&[wrong], &[report]), ExitCode::Finding);
    }
    assert_eq!(exit_code(&[], &[]), ExitCode::Inconclusive);
}

/// A mutant that makes the adversary weaker violates nothing: something is not seen any more.
#[test]
fn a_weaker_adversary_is_found_out_by_what_is_missing() {
    let name = "adversary-shows-no-certificate";
    let right = row(name).expect("a record").expect("on record");
    let config = right.fate.config().to_string();
    let found: Found = program().ask(Some(name), ["hunt", "--config", &config]).expect("an answer");
    let report = MutantReport::new(&right, String::new(), found.clone());
    assert!(report.as_recorded && report.killed, "{report:?}");
    for caught in
        ["witness executed missing at n4-b0-v1-s1-d2", "nothing at n4-b0-v1-s1-d2: so they say"]
    {
        let wrong = Row { fate: caught.parse().expect("a fate"), ..right.clone() };
        let report = MutantReport::new(&wrong, String::new(), found.clone());
        assert!(!report.as_recorded, "{report:?}");
    }
    let half = Found { complete: false, ..found };
    assert!(!MutantReport::new(&right, String::new(), half).as_recorded);
}

/// A record that names a configuration that no preset has would not be searched without the mutant.
#[test]
fn mutants_of_the_adversary_die_in_configurations_of_a_preset() {
    let presets = [Preset::Nightly, Preset::Theorem].map(Preset::entries).concat();
    for row in rows().iter().filter(|row| row.name.starts_with("adversary-")) {
        let config = row.fate.config();
        assert!(presets.iter().any(|entry| entry.config == *config), "{}: {config}", row.name);
    }
}

/// Whatever a mutant does, its counterexample is none for the protocol: some step is refused, or the end is harmless.
#[test]
fn a_counterexample_of_a_mutant_is_none_of_the_protocol() {
    let found = ask(Some("p-omitted"), "n4-b0-v1-s1-d2", "agreement");
    let trace = found.counterexample.expect("killed");
    assert_eq!(trace.mutant.as_deref(), Some("p-omitted"));
    let model = Pbft::new(trace.config.parse().expect("a valid name"));
    assert_eq!(trace.first_disabled(&model), Some(5));
}
