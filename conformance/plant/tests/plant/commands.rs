//! The command: what it prints, and how it ends.

use crate::fixture::Fixture;
use serde_json::Value;
use std::fs;
use std::process::{Command, Output};

fn run(fixture: &Fixture, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pbft-plant"));
    command
        .args(words)
        .current_dir(fixture.root())
        .env("CARGO_TARGET_DIR", fixture.root().join("target"));
    command.output().expect("it runs")
}

/// What is printed, where it ends as it should.
fn ends(fixture: &Fixture, words: &[&str], code: i32) -> (String, String) {
    let Output { status, stdout, stderr } = run(fixture, words);
    let [out, err] = [stdout, stderr].map(|text| String::from_utf8(text).expect("text"));
    assert_eq!(status.code(), Some(code), "{words:?}: {out}{err}");
    (out, err)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn bugs_are_listed_shown_and_checked() {
    let fixture = Fixture::new();
    let (listed, _) = ends(&fixture, &["list"], 0);
    let lines: Vec<_> = listed.lines().collect();
    assert_eq!(lines[1], "smallest         the smallest passes for the largest.");
    let (listed, _) = ends(&fixture, &["list", "--format", "json"], 0);
    assert_eq!(json(&listed)[2]["caught"], "largest 6");
    let (shown, _) = ends(&fixture, &["show", "smallest"], 0);
    assert!(
        shown.starts_with("smallest (code/count/bugs.txt:11)\n  what:   the smallest"),
        "{shown}"
    );
    assert!(shown.contains("@@ code/count/src/list.rs:29 List::largest::larger @@\n"), "{shown}");
    assert!(shown.contains("\n+            if one < other { one } else { other }\n"), "{shown}");
    let (_, said) = ends(&fixture, &["show", "greatest"], 2);
    assert!(said.contains("there is no bug `greatest`"), "{said}");
    let (checked, _) = ends(&fixture, &["check"], 0);
    assert_eq!(checked, "3 bugs can be planted (hunks: 3, functions: 2, files: 1)\n");
    for kind in ["--mutants", "--generated"] {
        let (checked, _) = ends(&fixture, &["check", kind], 0);
        assert_eq!(checked, "0 bugs can be planted (hunks: 0, functions: 0, files: 0)\n");
    }
}

#[test]
fn a_bug_or_a_list_that_is_wrong_decides_how_it_ends() {
    let fixture = Fixture::new();
    let list = fs::read_to_string(fixture.root().join("code/count/bugs.txt")).expect("a list");
    fixture.write("code/count/bugs.txt", &list.replace("- one > other", "- one >= other"));
    let (checked, _) = ends(&fixture, &["check"], 1);
    assert!(
        checked.contains(
            "code/count/bugs.txt:15: bug `smallest`: code/count/src/list.rs larger: line 28: "
        ),
        "{checked}"
    );
    assert!(checked.ends_with("\n1 of 3 bugs cannot be planted\n"), "{checked}");
    let (checked, _) = ends(&fixture, &["check", "--format", "json"], 1);
    assert_eq!(json(&checked)["errors"][0]["bug"], "smallest");
    let (_, said) = ends(&fixture, &["write", "copy"], 5);
    assert!(said.contains("bug `smallest`"), "{said}");
    fixture.write("code/count/other.txt", "# nothing\n");
    let (_, said) = ends(&fixture, &["check", "--bugs", "code/count/other.txt"], 0);
    assert_eq!(said, "");
    fixture.write("code/count/bugs.txt", "a\nb");
    let (_, said) = ends(&fixture, &["check"], 5);
    assert!(said.contains("code/count/bugs.txt:2: `b` is neither a field"), "{said}");
    ends(&fixture, &["check", "--bugs", "none.txt"], 2);
    ends(&fixture, &["build", "--package", "show", "--bin", "none"], 5);
}

#[test]
fn what_is_built_is_printed() {
    let fixture = Fixture::new();
    let words = ["build", "--package", "show", "--bin", "show", "--debug"];
    let (built, said) = ends(&fixture, &words, 0);
    let program = fixture.root().join("target/debug/show-planted");
    assert_eq!(built, format!("{}\n", program.display()));
    assert_eq!(said.lines().count(), 1, "{said}");
    let list = fs::read_to_string(fixture.root().join("code/count/bugs.txt")).expect("a list");
    fixture.write("code/count/bugs.txt", &list.replace("all.next()", "all.skip()"));
    let (built, said) = ends(&fixture, &words, 5);
    assert_eq!(built, "");
    assert!(said.contains("\nerror: bug skips-first: error"), "{said}");
    ends(&fixture, &["build", "--package", "show", "--bin", "none"], 2);
}
