//! `pbft-sim lab` as a command: what it prints, and its exit status.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn lab(directory: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pbft-sim"));
    command.arg("lab").args(arguments).current_dir(directory);
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    process.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("read or closed");
    process.wait_with_output().expect("it ends")
}

fn said(arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let output = lab(directory.path(), arguments, input);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_exit_status_says_how_it_went() {
    let ends = |commands: &str| said(&["-c", commands], "").0;
    assert_eq!(ends("deposit alice 100; deliver; expect balance alice 100"), Some(0));
    assert_eq!(ends("deposit alice 100; deliver; expect balance alice 99"), Some(1));
    assert_eq!(ends("case s3.2; quit; nonsense"), Some(0), "nothing follows `quit`");
    assert_eq!(ends("deposit alice"), Some(2));
    assert_eq!(said(&["--replicas", "3"], "").0, Some(2));
    assert_eq!(said(&["--script", "nowhere.lab"], "").0, Some(5));
    let (code, _, error) = said(&["-c", "prepare no"], "");
    assert_eq!(code, Some(2));
    assert!(error.contains("withholds its vote"), "{error}");
}

#[test]
fn standard_input_is_as_good_as_a_script() {
    let input = "deposit alice 100\ndeliver\nexpect balance alice 100\n";
    let (code, from_input, _) = said(&[], input);
    assert_eq!(code, Some(0));
    let (_, from_words, _) = said(&["-c", &input.replace('\n', ";")], "");
    assert_eq!(from_input, from_words);
    assert!(from_input.contains("as expected: balance alice 100"), "{from_input}");
    let (code, _, error) = said(&[], "deposit alice 100\ndelivr\ndeliver\n");
    assert_eq!(code, Some(2));
    assert!(error.contains("did you mean `deliver`"), "{error}");
}

#[test]
fn a_session_is_saved_replayed_drawn_and_validated() {
    let directory = tempfile::tempdir().expect("a directory");
    let here = directory.path();
    let commands = "deposit alice 100; crash 2; deliver; save mine; log logs/last.log";
    assert_eq!(lab(here, &["-c", commands], "").status.code(), Some(0));
    assert!(std::fs::read_to_string(here.join("logs/last.log")).expect("a dump").contains("alice"));
    let replayed = lab(here, &["--replay", "mine", "--svg", "mine.svg"], "");
    assert_eq!(replayed.status.code(), Some(0));
    let drawn = |file: &str| std::fs::read(here.join(file)).expect("a picture");
    assert_eq!(drawn("mine.svg"), drawn("mine/session.svg"));
    std::fs::write(here.join("mine/session.lab"), "new\nfly 3\n").expect("written");
    let broken = lab(here, &["--replay", "mine"], "");
    assert_eq!(broken.status.code(), Some(5));
    let error = String::from_utf8_lossy(&broken.stderr).into_owned();
    assert!(error.contains("line 2") && error.contains("`fly`"), "{error}");
}

#[test]
fn json_is_one_object_a_command() {
    let (code, lines, _) = said(
        &["--format", "json", "-c", "deposit alice 100; deliver; expect balance alice 100"],
        "",
    );
    assert_eq!(code, Some(0));
    let values: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(values.len(), 3);
    assert_eq!(values[1]["command"], "deliver");
    assert_eq!(values[1]["replicas"][2]["ledger"]["alice"], 100);
    assert_eq!(values[1]["replicas"][0]["slot"]["certificate"], "committed");
    assert_eq!(values[2]["checked"][0]["holds"], true);
}
