//! The lists of bugs name what the model's mutants and the probes do. That each bug is caught is shown by
//! `cargo planted-bugs`.

use pbft_checker::mutant_record::record;
use pbft_conformance::probe::teeth::TEETH;
use pbft_plant::tool::catalogue;
use pbft_plant::workspace::Kind;
use std::process::Command;

/// Mutants that only the model's `progress` or `batch-obtainable` find out, if any: each leaves the single steps as they
/// are, so a replay cannot tell; tests of the core and the simulator hold the code to these rules.
const NO_STEP_DIFFERS: [&str; 6] = [
    "batches-dropped",
    "v-fixed",
    "batches-dropped-and-v-fixed",
    "restart-forgets-commit-certificates",
    "timer-stopped-by-pre-prepare",
    "timer-without-quorum",
];

/// Mutants that nobody has written a twin for.
const WITHOUT_TWIN: [&str; 25] = [
    "restart-in-view-2-forgets-certificates",
    "restart-above-a-checkpoint-forgets-certificates",
    "disk-keeps-first-certificate",
    "restart-forgets-slot-2",
    "restart-forgets-low-water-mark",
    "restart-forgets-checkpoint",
    "restart-forgets-service-state",
    "restart-enters-view",
    "p-without-null",
    "null-executed-uncommitted",
    "transfer-forgets-accepted",
    "transfer-forgets-certificates",
    "transfer-keeps-old-state",
    "transfer-forgets-second-requests",
    "checkpoint-digest-before-execution",
    "garbage-above-checkpoint",
    "old-pre-prepares-kept",
    "certificates-dropped-on-entry",
    "o-ends-at-the-first-gap",
    "null-applied",
    "later-request-answered-by-earlier",
    "timestamp-answered-with-each-operation",
    "quorum-simple-majority",
    "quorum-all-that-must-answer",
    "client-accepts-two-replies",
];

/// Whether a mutant makes the adversary weaker, which is no bug of the code.
fn weakens_the_adversary(mutant: &str) -> bool {
    mutant.starts_with("adversary-")
        || ["client-waits-for-its-answer", "client-sends-one-operation-a-timestamp"]
            .contains(&mutant)
}

#[test]
fn every_mutant_of_the_model_that_shows_in_a_step_has_a_twin_in_the_code() {
    let bugs = catalogue(Kind::Bugs).expect("a catalogue");
    for row in record().expect("a record") {
        let name = &*row.name;
        let has_none = NO_STEP_DIFFERS.contains(&name) || WITHOUT_TWIN.contains(&name);
        let has_twin = !has_none && !weakens_the_adversary(name);
        assert_eq!(bugs.entry(name).is_some(), has_twin, "{name}");
    }
}

#[test]
fn every_probe_has_a_bug_that_exists() {
    let bugs = catalogue(Kind::Bugs).expect("a catalogue");
    for (probe, bug) in TEETH {
        assert!(bugs.entry(bug).is_some(), "{probe}: {bug}");
    }
}

#[test]
fn a_bug_that_does_not_exist_is_refused_before_anything_is_built() {
    for words in [&["planted-bugs", "nonsense"][..], &["--planted", "nonsense"]] {
        let run = Command::new(env!("CARGO_BIN_EXE_pbft-conform")).args(words).output();
        let output = run.expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("there is no bug `nonsense`") && !said.contains("building"),
            "{said}"
        );
    }
}
