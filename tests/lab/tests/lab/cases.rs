//! Every case ends as it says, and says nothing that does not fit a terminal.

use pbft_lab::text::WIDTH;
use pbft_lab::{Case, cases, run};
use pbft_plant::switch::active_bug;

#[test]
fn all_cases_end_as_expected() {
    assert_eq!(cases().len(), 16, "nine, the restarts, and six attacks");
    for case in cases() {
        let outcome = run(case);
        assert!(outcome.holds, "{}", outcome.said);
        for line in outcome.said.lines() {
            assert!(line.chars().count() <= WIDTH, "{}: {line}", case.id);
        }
    }
}

#[test]
fn a_case_whose_end_is_another_fails_and_says_what_was_seen() {
    let tampered = |id: &'static str, from: &str, to: &str| {
        let case = pbft_lab::cases::named(id).expect("a case");
        assert!(case.script.contains(from), "{id} has no {from}");
        let script: &'static str = case.script.replacen(from, to, 1).leak();
        run(&Case { script, ..*case })
    };
    let outcome = tampered("S3.1", "expect balance alice 100", "expect balance alice 99");
    assert!(!outcome.holds);
    assert!(
        outcome.said.contains("NOT AS EXPECTED: balance alice 99 (seen: 100 at 0 1 2)"),
        "{}",
        outcome.said
    );
    // Without those who withhold, what must not prepare does.
    let outcome = tampered("S3.3", "withhold prepare from 1 2\n", "");
    assert!(outcome.said.contains("NOT AS EXPECTED: not prepared #2 at 0"), "{}", outcome.said);
    // Without a fault, the view does not change.
    assert!(!tampered("S3.6", "crash 0\n", "").holds);
    // The primary that proposes the same to all is followed.
    assert!(
        !tampered("S3.11a", "pre-prepare for 2 seq 1 to 2 3", "pre-prepare for 1 seq 1 to 2 3")
            .holds
    );
    let outcome =
        run(&Case { id: "none", title: "nothing is expected", script: "new\ndeposit alice 1\n" });
    assert!(!outcome.holds, "a case that expects nothing shows nothing");
}

/// Rules broken in the core, and the case that ends otherwise then.
const BROKEN: [(&str, &str); 15] = [
    ("S3.1", "execute-on-prepared"),
    ("S3.2", "prepare-needs-all-backups"),
    ("S3.3", "prepare-quorum-one-short"),
    ("S3.4", "commit-quorum-one-short"),
    ("S3.5", "committed-not-handed-on"),
    ("S3.6", "timer-not-started"),
    ("S3.7", "checkpoint-stable-at-weak"),
    ("S3.8", "prepare-quorum-one-short"),
    ("S3.9", "commit-needs-all"),
    ("S3.10", "restart-forgets-replies"),
    ("S3.11a", "prepares-matched-without-digest"),
    ("S3.11b", "view-change-sender-counted-twice"),
    ("S3.11c", "new-view-from-non-primary"),
    ("S3.11e", "commit-needs-all"),
    ("S3.11f", "p-omitted"),
];

/// In a planted build with one of them on, its cases fail.
#[test]
fn a_case_holds_unless_its_rule_is_broken() {
    let on = active_bug().expect("a build that can have it");
    for (id, bug) in BROKEN {
        let case = pbft_lab::cases::named(id).expect("a case");
        match on.as_deref() {
            None => assert!(run(case).holds, "{id}"),
            Some(on) if on == bug => assert!(!run(case).holds, "{id} does not notice {bug}"),
            Some(_) => {}
        }
    }
}
