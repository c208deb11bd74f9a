//! The commands `pbft-sim elections` and `pbft-sim rows`, and the page that the latter writes.

use crate::commands;
use pbft_experiments::rows::ENTRIES;
use std::process::{Command, Output};

fn sim(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pbft-sim"));
    command.args(arguments).current_dir(commands::root()).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn rows_that_do_not_exist_are_refused_with_what_there_is() {
    for (arguments, words) in [
        (["elections", "--only", "S1.9"], "the rows are S1.1"),
        (["rows", "--only", "S5"], "--list"),
    ] {
        let output = sim(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && text(&output.stderr).contains(words), "{output:?}");
    }
    let listed = text(&sim(&["rows", "--list"]).stdout);
    assert_eq!(listed.lines().count(), ENTRIES.len(), "{listed}");
}

#[test]
fn scenes_and_rows_are_printed_and_put_into_the_page() {
    let output = sim(&["elections", "--only", "S1.3", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let scenes: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&scenes[0]["row"], &scenes[0]["kind"]), (&"S1.3".into(), &"simulation".into()));
    assert_eq!(scenes[0]["steps"].as_array().map(Vec::len), Some(3));

    let directory = tempfile::tempdir().expect("temporary directory");
    let copy = directory.path().join("page.md");
    std::fs::copy(commands::root().join("docs/experiments.md"), &copy).expect("copied");
    let page = copy.to_str().expect("text");
    let output = sim(&["rows", "--only", "S1.3,S1.9,S1.11", "--write", page]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let (table, page) = (text(&output.stdout), std::fs::read_to_string(&copy).expect("a page"));
    for line in table.lines().skip(2) {
        assert!(page.contains(line), "{line}");
    }
    assert!(table.contains("| planned: reconfiguration"), "{table}");
    std::fs::write(&copy, "# No table\n").expect("written");
    let refused = sim(&["rows", "--only", "S1.9", "--write", copy.to_str().expect("text")]);
    assert_eq!(refused.status.code(), Some(5), "{refused:?}");
}

#[test]
fn the_page_has_every_row_of_the_list_in_order_and_each_holds() {
    let page = std::fs::read_to_string(commands::root().join("docs/experiments.md"));
    let page = page.expect("the page");
    let is_row = |line: &&str| line.contains(" | holds: ") || line.contains(" | planned: ");
    let rows: Vec<&str> = page.lines().filter(is_row).collect();
    assert_eq!(rows.len(), ENTRIES.len());
    for (row, entry) in rows.into_iter().zip(ENTRIES) {
        let begins = format!("| {} | {} | ", entry.id, entry.title);
        assert!(row.starts_with(&begins), "{row}: expected {begins}");
        assert!(!row.contains("**fails**"), "{row}");
    }
}
