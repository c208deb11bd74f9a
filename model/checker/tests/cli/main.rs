//! The binary: exit codes, what goes to which stream, files, and help that teaches.

mod bench;
mod generated;
mod shards;

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::process::Stdio;

use roxmltree::Document;
use serde_json::Value as Json;

use bench::{Bench, read, stderr, stdout};

#[test]
fn what_holds_exits_with_0() {
    let bench = Bench::new();
    let output = bench.run("check --config n4-b0-v1-s1-d2 --junit r.xml --markdown r.md");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("holds: 1 configurations, 2 116 states"), "{text}");
    let last = text.lines().last().expect("lines");
    assert!(last.starts_with("run directory: runs/"), "{last}");
    let record: Json = serde_json::from_str(&read(&bench.file_of_run("run.json"))).expect("JSON");
    assert_eq!(record["complete"], true);
    let junit = read(&bench.path("r.xml"));
    let junit = Document::parse(&junit).expect("XML");
    let suites = junit.root_element();
    assert_eq!(suites.attribute("failures"), Some("0"));
    assert_eq!(suites.attribute("errors"), Some("0"));
    let cases = junit.descendants().filter(|node| node.has_tag_name("testcase"));
    assert_eq!(suites.attribute("tests"), Some(cases.count().to_string().as_str()));
    let markdown = read(&bench.path("r.md"));
    assert!(markdown.starts_with("## pbft-model check: holds\n"), "{markdown}");
    assert!(markdown.contains("| n4-b0-v1-s1-d2 |"), "{markdown}");
}

#[test]
fn a_violation_exits_with_1_and_says_how_to_look_at_it() {
    let bench = Bench::new();
    let output =
        bench.run("check --config n4-b0-v1-s1-d2 --mutant p-omitted --threads 1 --junit r.xml --markdown r.md");
    assert_eq!(output.status.code(), Some(1));
    let file = bench.file_of_run(".trace.itf.json");
    let file = file.strip_prefix(bench.directory.path()).expect("inside").display().to_string();
    let text = stdout(&output);
    let last: Vec<_> = text.lines().rev().take(3).collect();
    assert!(last[2].starts_with("run directory: runs/"), "{text}");
    assert_eq!(last[1], format!("again:   cargo trace {file}"));
    assert_eq!(last[0], format!("explore: cargo explore --trace {file}"));
    assert!(read(&bench.file_of_run(".trace.txt")).contains("1. replica 1 Prepare R1 at slot 1"));
    assert!(read(&bench.file_of_run(".trace.html")).starts_with("<!doctype html>"));
    let svg = read(&bench.file_of_run(".trace.svg"));
    assert!(
        Document::parse(&svg)
            .expect("XML")
            .root_element()
            .has_tag_name(("http://www.w3.org/2000/svg", "svg"))
    );
    let junit = read(&bench.path("r.xml"));
    let junit = Document::parse(&junit).expect("XML");
    let failure = junit.descendants().find(|node| node.has_tag_name("failure")).expect("one");
    let case = failure.parent().expect("a case");
    assert_eq!(case.attribute("name"), Some("property committed-survives"));
    assert!(failure.text().expect("detail").contains("7. replica 2 Commit slot 1"));
    let markdown = read(&bench.path("r.md"));
    assert!(markdown.starts_with("## pbft-model check: VIOLATED\n"), "{markdown}");
    assert!(markdown.contains("\n- FAILED: n4-b0-v1-s1-d2"), "{markdown}");
    assert!(markdown.contains(&format!("\n    cargo trace {file}\n")), "{markdown}");
}

#[test]
fn json_is_one_object_for_check_and_a_list_for_mutants() {
    let bench = Bench::new();
    let output = bench.run("check --config n4-b0-v0-s1-d1 --format json");
    assert_eq!(output.status.code(), Some(0));
    let check: Json = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(check["verdict"], "holds");
    assert_eq!(check["complete"], true);
    assert_eq!(check["seed"], Json::Null);
    assert_eq!(check["counts"]["states"], check["configurations"][0]["unique_states"]);
    assert!(check["collision_bound"].as_f64().expect("a number") > 0.0);
    let directory = check["run_directory"].as_str().expect("a path");
    assert!(bench.path(directory).join("run.json").is_file());

    let output = bench.run("mutants --name second-conflicting-pre-prepare --format json");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mutants: Json = serde_json::from_str(&stdout(&output)).expect("JSON");
    let fields =
        ["name", "rule", "killed", "equivalent", "killed_by", "config", "length", "seconds"];
    assert!(fields.iter().all(|field| mutants[0].get(field).is_some()), "{mutants}");
    assert_eq!(mutants[0]["killed"], true);
    bench.file_of_run("second-conflicting-pre-prepare.trace.itf.json");
}

#[test]
fn mutants_are_reported_one_by_one() {
    let bench = Bench::new();
    let line = "mutants --name p-omitted --name second-conflicting-pre-prepare --junit r.xml";
    assert_eq!(bench.run(line).status.code(), Some(0));
    let junit = read(&bench.path("r.xml"));
    let junit = Document::parse(&junit).expect("XML");
    let cases = junit.descendants().filter(|node| node.has_tag_name("testcase"));
    let names: Vec<_> = cases.filter_map(|case| case.attribute("name")).collect();
    assert_eq!(names, ["p-omitted", "second-conflicting-pre-prepare"]);
}

#[test]
fn bad_usage_exits_with_2_and_leaves_standard_output_empty() {
    let bench = Bench::new();
    let cases = [
        ("check --config n3-b0-v1-s1-d2", "n (replicas) is 3"),
        ("check --config n4-b0-v1-s1-d2 --mutant nonsense", "nonsense"),
        ("check --config n4-b0-v1-s1-d2 --reductions some", "`some` is not a reduction"),
        ("check --config n4-b0-v0-s1-d1 --junit no/such/r.xml", "no/such/r.xml"),
        ("mutants --markdown no/such/r.md", "no/such/r.md"),
        ("trace no-such-file.json", "no-such-file.json"),
        ("trace", "FILE"),
        ("trace diff one.json", "SECOND"),
        ("dance", "dance"),
    ];
    for (line, expected) in cases {
        let output = bench.run(line);
        assert_eq!(output.status.code(), Some(2), "{line}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{line}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{line}");
    }
    assert!(!bench.path("runs").exists(), "nothing ran");
}

#[test]
fn refused_data_exits_with_5() {
    let bench = Bench::new();
    let file = bench.counterexample();
    let changed = read(&file).replacen(
        "\"active\": {\"#map\":[[1,true]",
        "\"active\": {\"#map\":[[1,false]",
        2,
    );
    fs::write(bench.path("changed.json"), changed).expect("written");
    fs::write(bench.path("other.json"), "{\"weather\":\"fine\"}").expect("written");
    for (line, expected) in [
        ("trace changed.json", "state 0 differs from the model in `active`"),
        ("trace other.json --to svg", "not a trace"),
        ("trace diff other.json other.json", "not a trace"),
        ("trace shrink changed.json", "state 0 differs from the model in `active`"),
    ] {
        let output = bench.run(line);
        assert_eq!(output.status.code(), Some(5), "{line}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{line}: {}", stderr(&output));
        assert!(stderr(&output).starts_with("error: "), "{line}");
        assert!(output.stdout.is_empty(), "{line}");
    }
}

#[test]
fn every_form_of_a_trace_is_written_and_two_are_read_again() {
    let bench = Bench::new();
    let file = bench.counterexample();
    fs::copy(&file, bench.path("trace.itf.json")).expect("copied");
    for (form, expected) in [
        ("text", "  7. replica 2 Commit slot 1\n"),
        ("svg", "<svg "),
        ("mermaid", "sequenceDiagram\n"),
        ("itf", "\"format\": \"ITF\""),
        ("test", "#[test]\n"),
        ("json", "{\"config\":\"n4-b0-v1-s1-d2\""),
    ] {
        let output = bench.run(&format!("trace trace.itf.json --to {form}"));
        assert_eq!(output.status.code(), Some(0), "{form}: {}", stderr(&output));
        let text = stdout(&output);
        assert!(text.contains(expected), "{form}: {text}");
        assert!(text.ends_with('\n'), "{form}");
        let written = bench.run(&format!("trace trace.itf.json --to {form} --output {form}.out"));
        assert_eq!((written.status.code(), written.stdout.len()), (Some(0), 0), "{form}");
        assert_eq!(read(&bench.path(&format!("{form}.out"))), text, "{form}");
    }
    let again = bench.run("trace json.out --to itf");
    assert_eq!(stdout(&again), read(&file));
    assert_eq!(bench.run("trace diff json.out itf.out").status.code(), Some(0));
    let mut command = bench.command(["trace", "-", "--to", "json"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the binary runs");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(read(&file).as_bytes()).expect("written");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(stdout(&output), read(&bench.path("json.out")));
}

#[test]
fn traces_are_compared_and_shortened() {
    let bench = Bench::new();
    let file = bench.counterexample().display().to_string();
    let output = bench.run(&format!("trace shrink {file} --output short.json"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "7 steps, 7 are enough\n");
    let output = bench.run(&format!("trace diff {file} short.json"));
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).starts_with("the traces differ at step "), "{}", stdout(&output));
    let correct =
        r#"{"config":"n4-b0-v1-s1-d2","actions":[{"StartViewChange":{"replica":1,"to":1}}]}"#;
    fs::write(bench.path("correct.json"), correct).expect("written");
    let output = bench.run("trace shrink correct.json");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("violates no property"), "{}", stderr(&output));
}

#[test]
fn help_teaches_with_examples() {
    let bench = Bench::new();
    for line in [
        "--help",
        "check --help",
        "explore --help",
        "trace --help",
        "trace diff --help",
        "trace shrink --help",
        "mutants --help",
        "list --help",
    ] {
        let output = bench.run(line);
        assert_eq!(output.status.code(), Some(0), "{line}");
        let text = stdout(&output);
        let (_, examples) = text.split_once("\nExamples:\n").expect(line);
        assert!(examples.contains("  pbft-model "), "{line}: {text}");
    }
}

#[test]
fn no_color_is_obeyed() {
    let bench = Bench::new();
    for line in ["--help", "check --config nonsense"] {
        let bytes = |no_color: bool| {
            let mut command = bench.command(line.split_whitespace());
            command.env("CLICOLOR_FORCE", "1");
            if no_color {
                command.env("NO_COLOR", "1");
            }
            let output = command.output().expect("the binary runs");
            [output.stdout, output.stderr].concat()
        };
        assert!(bytes(false).contains(&0x1b), "{line}: colour where it is forced");
        assert!(!bytes(true).contains(&0x1b), "{line}: none where it is refused");
    }
}

#[test]
fn a_reader_that_went_away_changes_no_verdict() {
    let bench = Bench::new();
    for (line, code) in [
        ("list", 0),
        ("check --config n4-b0-v0-s1-d1", 0),
        ("check --config n4-b0-v0-s1-d2 --mutant second-conflicting-pre-prepare", 1),
    ] {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let output = bench
            .command(line.split_whitespace())
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .expect("the binary runs");
        assert_eq!(output.status.code(), Some(code), "{line}");
        assert!(!stderr(&output).contains("panicked"), "{line}: {}", stderr(&output));
    }
}

#[test]
fn a_limit_that_was_hit_exits_with_3_and_says_which() {
    let bench = Bench::new();
    for (limit, said) in [
        ("--max-states 1000", "the limit of 1000 states was hit"),
        ("--timeout 0", "the limit of 0 s was hit"),
    ] {
        let output = bench.run(&format!("check --config n4-b0-v2-s1-d2 {limit} --format json"));
        assert_eq!(output.status.code(), Some(3), "{limit}");
        let json: Json = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((&json["verdict"], &json["complete"]), (&"inconclusive".into(), &false.into()));
        let remarks = json["configurations"][0]["remarks"].to_string();
        assert!(remarks.contains(said), "{remarks}");
    }
    let graph = bench.run("graph --config n4-b0-v1-s1-d2 --max-states 10");
    assert_eq!(graph.status.code(), Some(3), "{}", stderr(&graph));
}

#[test]
fn a_step_that_nobody_took_exits_with_3_and_is_named() {
    let bench = Bench::new();
    let output = bench.run("check --config n4-b0-v2-s1-d1 --mutant no-join");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stdout(&output).contains("view-change-by-joining was not reached"));
}

#[test]
fn a_reduction_that_the_search_ignores_exits_with_3_and_is_named() {
    let bench = Bench::new();
    for (line, ignored) in [
        ("--config n4-b0-v0-s1-d1 --reductions values", "values"),
        ("--config n4-b3-v1-s1-d1 --reductions replicas", "replicas"),
        ("--config n4-b0-v1-s1-d2 --reductions dead --mutant stale-view-change-in-v", "dead"),
        ("--config n4-b0-v0-s1-d2-r --reductions dead,values", "dead"),
    ] {
        let output = bench.run(&format!("check {line}"));
        assert_eq!(output.status.code(), Some(3), "{line}: {}", stdout(&output));
        let said = format!("asked for the reduction {ignored}, which this search ignores");
        assert!(stdout(&output).contains(&said), "{line}: {}", stdout(&output));
    }
}

#[test]
fn walks_without_a_violation_exit_with_3_and_the_seed_draws_them() {
    let bench = Bench::new();
    let walks = |seed: u32| {
        let line = format!(
            "simulate --config n4-b0-v1-s1-d2-k1 --states 3000 --seed {seed} --format json"
        );
        let output = bench.run(&line);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        let json: Json = serde_json::from_slice(&output.stdout).expect("JSON");
        (json[0]["walks"].clone(), json[0]["visits"].clone(), json[0]["depth"].clone())
    };
    assert_eq!(walks(7), walks(7));
    assert_ne!(walks(7), walks(8));
    let line = "simulate --config n4-b0-v0-s1-d2 --mutant second-conflicting-pre-prepare --property agreement";
    let output = bench.run(line);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).lines().any(|line| line == "seed: 1"), "{}", stdout(&output));
    let trace = bench.file_of_run(".trace.itf.json");
    let read = bench.command([OsStr::new("trace"), trace.as_os_str()]).output().expect("runs");
    assert!(stdout(&read).contains("agreement"), "{}", stdout(&read));
}

#[test]
fn walks_beside_the_theorem_exit_with_3_or_with_where_they_differ() {
    let bench = Bench::new();
    let output = bench.run("simulate --theorem --states 300");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let text = stdout(&output);
    let compared = text.lines().filter(|line| line.starts_with("  beside the theorem: "));
    assert_eq!(compared.count(), 12, "{text}");
    assert!(text.contains("14 of its 14 kinds of steps taken\n"), "{text}");
    let line = "simulate --theorem --config n4-b3-v2-s2-d2 --mutant p-omitted";
    let output = bench.run(line);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("  THEY DIFFER: ") && text.contains("StartViewChange"), "{text}");
    let output = bench.run("simulate --theorem --config n4-b01-v0-s1-d2");
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
}

#[test]
fn more_byzantine_replicas_than_f_are_found_out_at_once() {
    let bench = Bench::new();
    let output = bench.run("check --config n4-b01-v0-s1-d2 --property agreement");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("more than f = 1: the protocol claims nothing here"), "{text}");
    assert!(text.contains("agreement"), "{text}");
}

#[test]
fn each_preset_is_listed_with_the_counts_on_record() {
    let bench = Bench::new();
    for (preset, least, unknown) in [("quick", 82, 0), ("nightly", 118, 0), ("deep", 130, 12)] {
        let output = bench.run(&format!("check --list --preset {preset} --format json"));
        let json: Json = serde_json::from_slice(&output.stdout).expect("JSON");
        let configurations = json.as_array().expect("a list");
        let names = stdout(&bench.run(&format!("list --preset {preset}")));
        let name = configurations[least - 1]["config"].as_str().expect("a name");
        assert!(names.contains(name), "{names}");
        assert_eq!(configurations.len(), least, "{preset}");
        let missing = configurations.iter().filter(|one| one["states"].is_null());
        let missing = missing.filter(|one| one["control"] == false).count();
        assert!(missing <= unknown, "{preset}: {missing} are not on record");
    }
}
