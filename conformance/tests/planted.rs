//! Every bug that can be planted in the core is caught by the replay alone, and each mutant of the model is among
//! them. Runs with `cargo test -p pbft-conformance --features planted-bugs`.
#![cfg(feature = "planted-bugs")]

use pbft_conformance::plan::Plan;
use pbft_conformance::planted::hunt;
use pbft_core::planted::PlantedBug;
use pbft_model::mutant_record::RECORD;

#[test]
fn each_planted_bug_is_caught_with_a_report_that_names_the_step() {
    let plan = Plan::quick();
    for bug in PlantedBug::ALL {
        let found = hunt(*bug, 1, &plan).divergence;
        let Some(found) = found else { panic!("{} survives", bug.name()) };
        let text = found.to_string();
        assert!(text.contains(&format!("→ {:>3}. {}", found.step, found.action)), "{text}");
        assert!(found.reproduce.contains("cargo"), "{text}");
    }
}

#[test]
fn every_mutant_of_the_model_has_a_twin_in_the_code() {
    for row in RECORD {
        let name = row.mutant.to_string();
        assert!(PlantedBug::ALL.iter().any(|bug| bug.name() == name), "{name} cannot be planted");
    }
}
