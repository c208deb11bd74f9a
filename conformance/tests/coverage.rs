//! Coverage is red where anything that has a name was not exercised, and green where everything was.

use pbft_checker::run::ExitCode;
use pbft_conformance::coverage::clauses::{PAPER, clauses};
use pbft_conformance::coverage::measured::Edges;
use pbft_conformance::coverage::{CoverageReport, Measured, Recorded, excuses, judge};
use pbft_conformance::door;
use pbft_conformance::probe;
use pbft_conformance::refinement::kind::ActionKind;
use pbft_conformance::replay::carry::leftover::Leftover;
use pbft_conformance::replay::landmark::Landmark;
use pbft_conformance::subject::tally::{Kind, Phase, Role, Seen};
use pbft_core::RejectionKind;
use std::path::PathBuf;
use std::process::{Command, Output};

fn kind(action: ActionKind, phase: Phase) -> Kind {
    Kind { action, phase, role: Role::Backup, on: "commit".to_owned() }
}

/// Everything once, what is excused left out.
fn full() -> Measured {
    let possible =
        |action: ActionKind, phase: &Phase| excuses::impossible(action, *phase).is_none();
    let steps = ActionKind::REPLAYED.into_iter().flat_map(|action| {
        let phases = Phase::ALL.into_iter().filter(move |phase| possible(action, phase));
        phases.map(move |phase| (kind(action, phase), 1))
    });
    let kinds = RejectionKind::ALL.iter().filter(|kind| excuses::refusal(**kind).is_none());
    let clauses = clauses(PAPER);
    let effects = clauses
        .iter()
        .flat_map(|clause| &clause.shows)
        .filter(|name| name.parse::<RejectionKind>().is_err() && excuses::effect(name).is_none());
    let seen = Seen {
        steps: steps.collect(),
        rejections: kinds.map(|kind| (kind.to_string(), 1)).collect(),
        effects: effects.map(|name| (name.clone(), 1)).collect(),
    };
    Measured {
        edges: vec![Edges { config: "n4-b0-v1-s1-d1".to_owned(), replayed: 7, total: 7 }],
        landmarks: Landmark::ALL.map(|landmark| (landmark.name().to_owned(), 1)).into(),
        leftovers: Leftover::ALL.map(|kind| (kind.name().to_owned(), 1)).into(),
        probes: probe::all_names().chain(door::names()).map(|name| (name.to_owned(), 1)).collect(),
        seen,
    }
}

/// A recorded run with all that the replay has.
fn recorded() -> Recorded {
    Recorded { steps: 1, kinds: full().seen.steps.into_iter().collect() }
}

fn judged(change: impl FnOnce(&mut Measured, &mut Recorded)) -> CoverageReport {
    let (mut measured, mut recorded) = (full(), recorded());
    change(&mut measured, &mut recorded);
    judge(&measured, Some(&recorded))
}

#[test]
fn everything_exercised_is_covered() {
    let report = judged(|_, _| {});
    assert_eq!(report.missing, Vec::<String>::new());
    assert_eq!(report.exit_code(), ExitCode::Holds);
    assert!(report.to_text().contains("COVERED"));
    assert_eq!(judge(&full(), None).missing, Vec::<String>::new(), "without recorded runs, too");
}

#[test]
fn each_thing_that_is_zero_is_named() {
    type Change = fn(&mut Measured, &mut Recorded);
    let changes: [(&str, Change); 9] = [
        ("n4-b0-v1-s1-d1: 6 of 7 edges", |measured, _| measured.edges[0].replayed = 6),
        ("no edge was replayed", |measured, _| measured.edges.clear()),
        ("no replica replayed Execute in its later view", |measured, _| {
            measured.seen.steps.retain(|(k, _)| *k != kind(ActionKind::Execute, Phase::LaterView));
        }),
        ("no edge of graphs and walks is O above min-s", |measured, _| {
            measured.landmarks.remove("O above min-s");
        }),
        ("never left over: a vote after its quorum", |measured, _| {
            measured.leftovers.insert("a vote after its quorum".to_owned(), 0);
        }),
        ("never probed: a PREPARE of the primary", |measured, _| {
            measured.probes.remove("a PREPARE of the primary");
        }),
        ("never refused as wrong-new-view", |measured, _| {
            measured.seen.rejections.insert("wrong-new-view".to_owned(), 0);
        }),
        ("clause N12: never execute", |measured, _| {
            measured.seen.effects.remove("execute");
        }),
        ("no recorded replica did NewView in its between views", |_, recorded| {
            recorded.kinds.remove(&kind(ActionKind::NewView, Phase::BetweenViews));
        }),
    ];
    for (named, change) in changes {
        let report = judged(change);
        assert_eq!(report.exit_code(), ExitCode::Finding, "{named}");
        let missing = report.missing.iter().any(|missing| missing.starts_with(named));
        assert!(missing, "{named}: {:?}", report.missing);
        assert!(report.to_markdown().contains(named), "{named}");
    }
}

/// What recorded runs have is not enough by itself: the kind of step counts.
#[test]
fn a_kind_of_step_that_no_run_has_is_named() {
    let report = judged(|_, recorded| {
        let all = std::mem::take(&mut recorded.kinds);
        let other =
            |(kind, count): (Kind, u64)| (Kind { on: "committed".to_owned(), ..kind }, count);
        recorded.kinds = all.into_iter().map(other).collect();
    });
    let named = "no recorded run has Commit by a backup on commit".to_owned();
    assert!(report.missing.contains(&named), "{:?}", report.missing);
}

/// An excuse for what is exercised all the same would hide that it stops being so.
#[test]
fn excuses_name_what_there_is() {
    for (action, _, _) in excuses::IMPOSSIBLE {
        assert!(ActionKind::REPLAYED.contains(action), "{action}");
    }
    let clauses = clauses(PAPER);
    for (id, _) in excuses::BY_ACTION {
        assert!(clauses.iter().any(|clause| clause.id == *id), "{id}");
    }
    for (_, action) in excuses::BY_ACTION {
        assert!(ActionKind::REPLAYED.contains(action), "{action}");
    }
}

fn coverage(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_pbft-conform");
    Command::new(program).arg("coverage").args(arguments).output().expect("started")
}

#[test]
fn the_command_says_it_with_its_status() {
    let directory = std::env::temp_dir().join(format!("pbft-coverage-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let from = directory.display().to_string();
    let markdown: PathBuf = directory.join("coverage.md");
    let keep = |measured: &Measured| {
        let json = serde_json::to_string(measured).expect("JSON");
        std::fs::write(directory.join("coverage.json"), json).expect("written");
    };
    let missing = coverage(&["--from", &from]);
    assert_eq!(missing.status.code(), Some(5), "no file there");
    keep(&full());
    let file = markdown.display().to_string();
    let covered = coverage(&["--from", &from, "--markdown", &file]);
    assert_eq!(covered.status.code(), Some(0), "{}", String::from_utf8_lossy(&covered.stderr));
    let text = std::fs::read_to_string(&markdown).expect("written");
    assert!(text.contains("## Clauses of docs/paper.md"), "{text}");
    let mut measured = full();
    measured.seen.rejections.remove("wrong-view");
    keep(&measured);
    let uncovered = coverage(&["--from", &from, "--format", "json"]);
    assert_eq!(uncovered.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&uncovered.stdout).expect("JSON");
    let all = json["missing"].as_array().expect("a list");
    assert!(all.iter().any(|one| one == "never refused as wrong-view"), "{all:?}");
    std::fs::remove_dir_all(&directory).expect("removed");
}
