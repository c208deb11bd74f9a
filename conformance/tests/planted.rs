//! Every bug that can be planted in the core is caught by the replay alone, and is the code's twin of a mutant of
//! the model. Runs with `cargo test -p pbft-conformance --features planted-bugs`.
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
fn planted_bugs_are_twins_of_mutants() {
    for bug in PlantedBug::ALL {
        let twin = RECORD.iter().any(|row| row.mutant.to_string() == bug.name());
        assert!(twin, "{} is no mutant of the model", bug.name());
    }
    // A mutant without a twin must be one that is no bug of the code.
    let twinless = RECORD.iter().map(|row| row.mutant.to_string());
    let twinless: Vec<_> =
        twinless.filter(|name| PlantedBug::ALL.iter().all(|bug| bug.name() != name)).collect();
    assert_eq!(twinless, ["checkpoint-stable-at-weak", "commits-matched-without-digest"]);
}
