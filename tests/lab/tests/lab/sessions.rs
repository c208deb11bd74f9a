//! Sessions: taken back, saved, loaded, and checked against the model.

use pbft_conformance::validate::{Options, Recording, Validation, Validity, validate};
use pbft_lab::cluster::Setup;
use pbft_lab::report::Report;
use pbft_lab::saved;
use pbft_lab::session::{LabError, Session, Step};
use std::path::PathBuf;

fn session(lines: &[&str]) -> Session {
    let mut session = Session::new(Setup::default()).expect("a session");
    for line in lines {
        reports(&mut session, line);
    }
    session
}

fn reports(session: &mut Session, line: &str) -> Vec<Report> {
    match session.run(line).expect(line) {
        Step::Reports(reports) => reports,
        Step::Quit => Vec::new(),
    }
}

fn status(session: &mut Session) -> Report {
    reports(session, "status").remove(0)
}

/// A session with faults, a lie and a view change.
const EVENTFUL: [&str; 11] = [
    "deposit alice 100",
    "deliver",
    "withhold commit from 1 2",
    "withdraw alice 20",
    "3 says prepare wrong to 0",
    "deliver",
    "timeout",
    "deliver",
    "release",
    "crash 2",
    "run 2s",
];

fn judged(recordings: &[(String, Vec<u8>)]) -> Validation {
    let recordings =
        recordings.iter().map(|(name, bytes)| Recording::new(PathBuf::from(name), &bytes[..]));
    let options = Options { byzantine: [3].into(), truncated_ok: true };
    validate(recordings.collect(), &options).expect("readable recordings")
}

#[test]
fn the_model_allows_a_saved_session_and_not_an_altered_one() {
    let eventful = session(&EVENTFUL);
    let mut recordings = saved::recordings(&eventful).expect("recordings");
    assert_eq!(recordings.len(), 3, "of the correct replicas");
    let validation = judged(&recordings);
    assert_eq!(validation.verdict, Validity::Valid, "{validation:?}");
    assert!(validation.steps > 50, "{} steps", validation.steps);

    // Replica 1 says that it prepared something else than it did.
    let (_, log) = &mut recordings[1];
    let text = String::from_utf8(log.clone()).expect("text");
    let said = r#"{"all":{"prepare":{"view":0,"seq":1,"digest":""#;
    let digest = text.find(said).expect("its first PREPARE") + said.len();
    log[digest] = if log[digest] == b'0' { b'1' } else { b'0' };
    assert_eq!(judged(&recordings).verdict, Validity::Divergence);
}

#[test]
fn every_case_is_a_behaviour_of_the_model() {
    for case in pbft_lab::cases() {
        let mut session = Session::new(Setup::default()).expect("a session");
        session.run_script(case.id, case.script).expect(case.id);
        let recordings = saved::recordings(&session).expect("recordings");
        let byzantine = session.cluster.setup.byzantine.iter().map(|id| *id as u32).collect();
        let options = Options { byzantine, truncated_ok: true };
        let logs = recordings
            .iter()
            .map(|(name, bytes)| Recording::new(name.into(), &bytes[..]))
            .collect();
        let validation = validate(logs, &options).expect("readable recordings");
        assert_eq!(validation.verdict, Validity::Valid, "{}: {:?}", case.id, validation.divergence);
    }
}

#[test]
fn a_saved_session_is_the_same_when_it_is_loaded() {
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path().join("mine");
    let mut first = session(&EVENTFUL);
    reports(&mut first, &format!("save {}", place.display()));
    let mut second = session(&["new 7"]);
    reports(&mut second, &format!("load {}", place.display()));
    assert_eq!(first.script, second.script);
    assert_eq!(status(&mut first), status(&mut second));
    for name in ["session.lab", "session.svg", "r0.jsonl", "r1.jsonl", "r2.jsonl"] {
        assert!(place.join(name).is_file(), "{name}");
    }
    // Saving there again is fine, and somewhere with other things in it is not.
    reports(&mut first, &format!("save {}", place.display()));
    let refused = first.run(&format!("save {}", directory.path().display()));
    assert!(refused.expect_err("not empty").to_string().contains("choose another name"));
}

#[test]
fn undo_takes_back_what_was_done_and_nothing_else() {
    let mut one = session(&EVENTFUL[..6]);
    let before = status(&mut one);
    reports(&mut one, "deposit bob 5");
    reports(&mut one, "deliver");
    assert_ne!(status(&mut one), before);
    reports(&mut one, "undo 2");
    assert_eq!(status(&mut one), before);
    let steps = EVENTFUL[..6].len();
    assert!(matches!(one.run("undo 9"), Err(LabError::NothingToUndo(count)) if count == steps));
    reports(&mut one, "undo 6");
    assert_eq!(status(&mut one), status(&mut session(&[])));
}

#[test]
fn what_cannot_be_done_changes_nothing() {
    let mut one = session(&["deposit alice 100", "crash 2"]);
    let before = (status(&mut one), one.script.clone());
    let refused = [
        ("crash 9", "there is no replica 9"),
        ("crash 0 2", "replica 2 is down already"),
        ("recover 0", "cannot be started"),
        ("deliver 99", "no message 99"),
        ("1 says commit to 0", "replica 1 is correct"),
        ("3 says commit to 0", "knows no such proposal"),
        ("3 says reply 5 for 7", "there is no request 7"),
        ("3 says reply 5", "needs a request"),
        ("withhold all from 7", "there is no replica 7"),
        ("expect answer 3 5", "there is no request 3"),
        ("case s9", "there is no case"),
        ("load nowhere.lab", "nowhere.lab"),
        ("new 4 byzantine 4", "there is no replica 4"),
        ("help xyzzy", "there is no `xyzzy`"),
    ];
    for (line, advice) in refused {
        let error = one.run(line).expect_err(line).to_string();
        assert!(error.contains(advice), "{line}: {error}");
        assert_eq!((status(&mut one), one.script.clone()), before, "{line}");
    }
}

#[test]
fn any_number_of_replicas_and_liars_can_be_had() {
    let mut seven = session(&["new 7 byzantine 5 6", "withhold all from 5", "withhold all from 6"]);
    reports(&mut seven, "deposit alice 100");
    reports(&mut seven, "deliver");
    assert_eq!(reports(&mut seven, "expect balance alice 100")[0].checked[0].seen, "100 at 0-4");
    let beyond = reports(&mut seven, "new 4 byzantine 2 3").remove(0);
    assert!(
        beyond.notes.iter().any(|note| note.contains("nothing is promised")),
        "{:?}",
        beyond.notes
    );
}

#[test]
fn a_script_that_loads_itself_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("loop.lab");
    std::fs::write(&file, format!("new\nload {}\n", file.display())).expect("written");
    let error =
        session(&[]).run(&format!("load {}", file.display())).expect_err("a loop").to_string();
    assert!(error.contains("line 2") && error.contains("cannot load another"), "{error}");
}
