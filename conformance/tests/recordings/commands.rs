//! `pbft-conform validate` and `pbft-conform explain`, as they are called.

use crate::cluster::{Memory, orderly};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Four files of a run, in a directory of their own.
fn recorded(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&directory).expect("a directory");
    for (id, file) in orderly(4, 20).files.iter().map(Memory::bytes).enumerate() {
        std::fs::write(directory.join(format!("replica-{id}.jsonl")), file).expect("written");
    }
    directory
}

fn conform(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pbft-conform"));
    command.current_dir(directory).args(arguments).output().expect("pbft-conform runs")
}

const FILES: [&str; 4] =
    ["replica-0.jsonl", "replica-1.jsonl", "replica-2.jsonl", "replica-3.jsonl"];

fn validate(directory: &Path, options: &[&str], files: &[&str]) -> (Option<i32>, String, String) {
    let arguments = [&["validate"], options, files].concat();
    let output = conform(directory, &arguments);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_exit_status_says_what_came_out() {
    let directory = recorded("exit-status");
    let (code, out, err) = validate(&directory, &[], &FILES);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("VALID: the model allows this run"), "{out}");
    assert!(out.contains(" instances evaluated, the invariant holds\n"), "{out}");
    assert!(err.contains("again: cargo conform validate replica-0.jsonl"), "{err}");

    let (code, out, _) = validate(&directory, &[], &FILES[..2]);
    assert_eq!(code, Some(3), "{out}");
    let (code, _, err) = validate(&directory, &["--byzantine", "1,2"], &FILES);
    assert_eq!(code, Some(2), "{err}");
    let (code, _, err) = validate(&directory, &[], &["no-such-file"]);
    assert_eq!(code, Some(5), "{err}");
    assert!(err.contains("no-such-file:0: No such file"), "{err}");

    let path = directory.join(FILES[2]);
    let text = std::fs::read_to_string(&path).expect("a recording");
    let at = text.find("{\"all\":{\"commit\"").expect("a COMMIT");
    let (before, commit) = text.split_at(at);
    let forged = commit.replacen("\"view\":0", "\"view\":1", 1);
    std::fs::write(&path, [before, &forged].concat()).expect("written");
    let reports = ["--format", "json", "--junit", "report.xml", "--markdown", "report.md"];
    let (code, out, err) = validate(&directory, &reports, &FILES);
    assert_eq!(code, Some(1), "{out}{err}");
    let json: serde_json::Value = serde_json::from_str(&out).expect("one object");
    assert_eq!(json["verdict"], "divergence");
    assert_eq!(json["divergence"]["replica"], 2);
    assert_eq!(json["divergence"]["path"], FILES[2]);
    // A COMMIT of view 1 without a certificate there.
    let broken = &json["divergence"]["broken"];
    assert_eq!(broken[0]["conjunct"], "commit-follows-certificate");
    assert_eq!(broken[0]["missing"].as_array().map(Vec::len), Some(1), "{broken}");
    assert!(json["theorem"]["conjuncts"]["one-vote"].as_u64() > Some(0), "{json}");
    assert!(err.contains("in words: cargo conform explain replica-2.jsonl"), "{err}");
    for report in ["report.xml", "report.md"] {
        let report = std::fs::read_to_string(directory.join(report)).expect("a report");
        assert!(
            report.contains("sends COMMIT for ") && report.contains("1 in v1: a replica votes"),
            "{report}"
        );
    }
}

#[test]
fn any_trace_is_told_in_words() {
    let directory = recorded("in-words");
    let output = conform(&directory, &["explain", FILES[1]]);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.starts_with("replica 1 of 4 starts"), "{text}");
    for part in ["sends PREPARE #1 in v0", "has executed #20", "CHECKPOINT #8", "stops after"] {
        assert!(text.contains(part), "{part}: {text}");
    }

    // A trace of the model, as the corpus has them.
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/traces.jsonl");
    let corpus = std::fs::read_to_string(corpus).expect("the corpus");
    let first = corpus.lines().next().expect("a trace");
    std::fs::write(directory.join("trace.json"), first).expect("written");
    let output = conform(&directory, &["explain", "trace.json"]);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success() && text.contains("1. "), "{text}");

    std::fs::write(directory.join("nothing"), "{}").expect("written");
    let output = conform(&directory, &["explain", "nothing"]);
    assert_eq!(output.status.code(), Some(5));
}
