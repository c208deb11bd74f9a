//! The command `pbft-sim`.

use crate::commands;
use pbft_sim::behaviour::Behaviour;
use pbft_sim::client::ClientLie;
use pbft_sim::coverage::UNREACHABLE;
use pbft_sim::matrix::ROWS;
use pbft_sim::oracle::Rule;
use std::path::Path;
use std::process::{Command, Output};

fn sim(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pbft-sim"));
    command.current_dir(directory).args(arguments).output().expect("the binary runs")
}

fn refused(directory: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = sim(directory, arguments);
    assert!(output.stdout.is_empty(), "nothing on stdout: {arguments:?}");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_commands_of_the_simulator_in_the_documentation_are_there() {
    let help = |words: &[String]| {
        let run = Command::new(env!("CARGO_BIN_EXE_pbft-sim")).args(words).output();
        let output = run.expect("the binary runs");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let mut shown = commands::shown(&commands::root());
    shown.retain(|one| one.tool.as_ref().is_some_and(|(name, _)| name == "pbft-sim"));
    assert!(shown.len() >= 5, "only {} commands", shown.len());
    let outdated = commands::outdated(&shown, "pbft-sim", help);
    assert!(outdated.is_empty(), "{outdated:#?}");
}

#[test]
fn the_page_on_reliability_has_the_rules_and_the_numbers() {
    let page =
        std::fs::read_to_string(commands::root().join("docs/reliability.md")).expect("the page");
    for rule in Rule::ALL {
        let row = format!("| `{}` | {} |", rule.name(), rule.text());
        assert!(page.contains(&row), "{row}");
    }
    let read = |path| {
        let text = std::fs::read_to_string(commands::root().join(path)).expect("a page");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let rules = format!("{} rules", Rule::ALL.len());
    assert!(read("README.md").contains(&format!("simulated clusters, {rules}")), "{rules}");
    assert!(
        read("docs/claims.md").contains(&format!("In every run {rules} are checked")),
        "{rules}"
    );
    for rule in Rule::OF_ONE {
        assert!(page.contains(&format!("`{}`,", rule.name())), "{} holds alone", rule.name());
    }
    assert!(page.contains(&format!("{} of them", Behaviour::ALL.len())), "strategies of liars");
    assert_eq!(ClientLie::ALL.len(), 11, "and what the page says of clients");
    for (name, _) in UNREACHABLE {
        assert!(page.contains(&format!("`{name}`")), "{name} and why no run shows it");
    }
    for row in ROWS {
        let start = format!("| {} | {} | {} |", row.number, row.fault, row.expected);
        assert!(page.contains(&start), "{start}");
    }
}

#[test]
fn wrong_arguments_and_files_are_refused_with_a_remedy() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path();
    std::fs::write(path.join("junk.json"), "{\"plan\": 3}").expect("written");
    let cases: [(&[&str], i32, &str); 7] = [
        (&["seeds", "--replicas", "3"], 2, "at least 4"),
        (&["replay"], 2, "<SEED>"),
        (&["seeds", "--shard", "3/2"], 2, "2/8"),
        (&["matrix", "99"], 2, "1 to 53"),
        (&["replay", "--case", "junk.json"], 5, "not a case"),
        (&["merge", "junk.json"], 5, "--report"),
        (&["merge", "missing.json"], 5, "missing.json"),
    ];
    for (arguments, code, words) in cases {
        let (status, text) = refused(path, arguments);
        assert_eq!(status, Some(code), "{arguments:?}: {text}");
        assert!(text.contains(words), "{arguments:?}: {text}");
    }
}

#[test]
fn a_run_is_shown_and_a_shard_that_is_missing_is_no_verdict() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path();
    let report: &[&str] = &["seeds", "--count", "1", "--shard", "1/2", "--report", "one.json"];
    let output = sim(path, report);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("1 runs") && text.contains("HOLDS"), "{text}");
    let (status, text) = refused(path, &["merge", "one.json"]);
    assert_eq!(status, Some(3));
    assert!(text.contains("missing: [2]"), "{text}");
    let shown = sim(path, &["twins", "--scenario", "5", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert!(json["rows"].as_array().is_some_and(|rows| rows.len() > 100));
    assert_eq!(json["violation"], serde_json::Value::Null);
}
