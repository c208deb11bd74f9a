//! A list of searches in parts: resumed after an interruption, or spread over machines and merged.

use std::fs;
use std::path::PathBuf;

use serde_json::Value as Json;

use super::bench::{Bench, read, stderr};

#[test]
fn an_interrupted_run_is_resumed_where_it_stopped() {
    let bench = Bench::new();
    let output = bench.run("check --config n4-b3-v0-s1-d2 n4-b0-v0-s1-d2");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let finished = bench.file_of_run("finished.jsonl");
    let lines = read(&finished);
    assert_eq!(lines.lines().count(), 2);
    // As if it had been interrupted while the second result was written.
    let first = lines.lines().next().expect("a line");
    let altered = first.replace("\"unique_states\":", "\"unique_states\":9");
    fs::write(&finished, format!("{altered}\n{{\"build\":\"cut o")).expect("written");
    let directory = finished.parent().expect("a directory").display().to_string();
    let output = bench.run(&format!(
        "check --config n4-b3-v0-s1-d2 n4-b0-v0-s1-d2 --resume {directory} --format json"
    ));
    let json: Json = serde_json::from_slice(&output.stdout).expect("JSON");
    let states = |at: usize| json["configurations"][at]["unique_states"].to_string();
    assert!(states(0).starts_with('9'), "the first result is taken over: {}", states(0));
    assert_eq!(states(1), "36", "the second is found again");
    let output = bench.run(&format!(
        "check --config n4-b3-v0-s1-d2 --property agreement --resume {directory} --format json"
    ));
    let json: Json = serde_json::from_slice(&output.stdout).expect("JSON");
    let states = json["configurations"][0]["unique_states"].to_string();
    assert!(!states.starts_with('9'), "a search for another violation is another search: {states}");
    fs::write(&finished, first.replace("\"build\":\"", "\"build\":\"another ") + "\n")
        .expect("written");
    let output = bench.run(&format!("check --config n4-b3-v0-s1-d2 --resume {directory}"));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("of another build"), "{}", stderr(&output));
}

#[test]
fn shards_are_merged_and_a_missing_one_is_no_verdict() {
    let bench = Bench::new();
    let configs = "--config n4-b3-v0-s1-d2 n4-b0-v0-s1-d2 n4-b1-v0-s1-d2";
    for shard in ["1/2", "2/2"] {
        let runs = shard.replace('/', "-of-");
        let line = format!("check {configs} --shard {shard} --runs {runs}");
        let output = bench.run(&line);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    let run_of = |shard: &str| {
        let mut runs = fs::read_dir(bench.path(shard)).expect("a run directory");
        runs.next().expect("a run").expect("an entry").path().display().to_string()
    };
    let (one, two) = (run_of("1-of-2"), run_of("2-of-2"));
    let output = bench.run(&format!("check {configs} --merge {one} {two} --format json"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let json: Json = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["configurations"].as_array().map(Vec::len), Some(3));
    let output = bench.run(&format!("check {configs} --merge {one}"));
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("n4-b0-v0-s1-d2 is in none"), "{}", stderr(&output));
    let output = bench.run(&format!("check {configs} --shard 3/2"));
    assert_eq!(output.status.code(), Some(2));
}

/// The line that each shard runs in Kubernetes, with eight small configurations in place of a preset.
#[test]
fn the_shards_of_the_job_are_a_whole() {
    let bench = Bench::new();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = read(&root.join("deploy/kubernetes/verify.yaml"));
    let line = file.lines().find_map(|line| line.trim().strip_prefix("- pbft-model check "));
    let line = line.expect("the job runs the tool");
    let configs: Vec<String> =
        [0, 1].iter().flat_map(|v| (0..4).map(move |b| format!("n4-b{b}-v{v}-s1-d1"))).collect();
    let what = format!("--config {}", configs.join(" "));
    for index in 0..8 {
        let shard = format!("{}/8", index + 1);
        let line = line.replace("$((JOB_COMPLETION_INDEX + 1))/8", &shard);
        let line = line.replace("$JOB_COMPLETION_INDEX", &index.to_string());
        let line = line.replace("--preset nightly", &what);
        let output = bench.run(&format!("check {line}"));
        assert_eq!(output.status.code(), Some(0), "{line}: {}", stderr(&output));
    }
    let run_of = |index: u32| {
        let mut runs = fs::read_dir(bench.path(&format!("model-{index}"))).expect("a shard's run");
        runs.next().expect("a run").expect("an entry").path().display().to_string()
    };
    let all = (0..8).map(run_of).collect::<Vec<_>>().join(" ");
    let output = bench.run(&format!("check {what} --merge {all}"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}
