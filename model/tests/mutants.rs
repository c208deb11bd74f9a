//! The model has teeth: the mutants that a small search finds out. `pbft-model mutants` runs all of them.

use std::collections::BTreeSet;

use clap::ValueEnum;
use pbft_model::bfs::{self, Limits};
use pbft_model::check::{CheckOptions, Verdict, check};
use pbft_model::mutant_record::{Fate, RECORD, Row};
use pbft_model::mutants::{exit_code, hunt, hunt_all};
use pbft_model::properties::PROPERTIES;
use pbft_model::run::{ExitCode, Silent};
use pbft_model::{Config, Mutant, Pbft, Reductions, State, View};

fn config(row: &Row) -> Config {
    let (Fate::Killed { config, .. } | Fate::Equivalent { config, .. }) = row.fate;
    config.parse().expect("a valid name")
}

/// Those with three views take minutes without optimisation.
fn quick() -> Vec<Row> {
    RECORD.iter().filter(|row| config(row).max_view() <= View(1)).copied().collect()
}

#[test]
fn every_mutant_is_on_record_once_in_order() {
    let recorded: Vec<_> = RECORD.iter().map(|row| row.mutant).collect();
    assert_eq!(recorded, Mutant::value_variants());
}

#[test]
fn quick_mutants_meet_the_fate_on_record() {
    let rows = quick();
    assert!(rows.len() >= 25);
    let reports = hunt_all(&rows, 2, |_| {}).expect("valid names");
    for report in &reports {
        assert!(report.as_recorded, "{report:?}");
        if let Some(trace) = &report.counterexample {
            let model = trace.model().expect("a valid name");
            assert_eq!(trace.first_disabled(&model), None, "{}", report.name);
        }
    }
    assert_eq!(exit_code(&rows, &reports), ExitCode::Holds);
}

/// Bounds from small to large. Where a mutant dies at the same bounds for several Byzantine positions, the record names
/// the lowest.
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
#[ignore = "minutes without optimisation: cargo test --release -p pbft-model -- --ignored"]
fn the_record_names_the_smallest_configuration() {
    let mut wrong = Vec::new();
    for row in RECORD {
        let Fate::Killed { by, config: recorded, .. } = row.fate else { continue };
        let each = |bounds: &str| ["0", "1", "3"].map(|byzantine| bounds.replace('X', byzantine));
        let mut names = LADDER.iter().flat_map(|bounds| each(bounds));
        let smallest = names.find(|name| {
            let config: Config = name.parse().expect("a valid name");
            let model =
                Pbft::new(config).with_mutant(Some(row.mutant)).with_reductions(Reductions::ALL);
            let property = PROPERTIES.iter().find(|one| one.name == by).expect("a property");
            let violates = |model: &Pbft, state: &State| !(property.holds)(model, state);
            bfs::search(&model, Limits::default(), violates, &mut Silent).found.is_some()
        });
        if smallest.as_deref() != Some(recorded) {
            wrong.push((row.mutant, recorded, smallest));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn the_correct_protocol_survives_where_mutants_die() {
    let configs: BTreeSet<_> = quick().iter().map(config).collect();
    for config in configs {
        let report = check(&config, CheckOptions::default(), &mut Silent);
        assert!(report.complete, "{config}");
        assert_ne!(report.verdict, Verdict::Violated, "{config}");
    }
}

#[test]
fn a_wrong_record_is_a_finding() {
    let survivor = Row {
        mutant: Mutant::POmitted,
        rule: "",
        fate: Fate::Killed { by: "validity", config: "n4-b3-v1-s1-d1", steps: 7 },
    };
    let not_equivalent = Row {
        mutant: Mutant::POmitted,
        rule: "",
        fate: Fate::Equivalent { reason: "", config: "n4-b0-v1-s1-d1" },
    };
    for row in [survivor, not_equivalent] {
        let report = hunt(&row).expect("a valid name");
        assert!(!report.as_recorded, "{report:?}");
        assert_eq!(exit_code(&[row], &[report]), ExitCode::Finding);
    }
    assert_eq!(exit_code(&[], &[]), ExitCode::Inconclusive);
}
