//! The files that cut long lists into shards: they parse, and what they run together is the whole list.

use crate::commands;
use std::path::Path;
use std::process::Command;
use yaml_rust2::{Yaml, YamlLoader};

fn documents(file: &str) -> Vec<Yaml> {
    let path = commands::root().join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{file}: {e}"));
    YamlLoader::load_from_str(&text).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn text(yaml: &Yaml) -> &str {
    yaml.as_str().unwrap_or_else(|| panic!("not a text: {yaml:?}"))
}

/// The Jobs of the file for Kubernetes: name, number of shards, and what a shard runs.
fn jobs() -> Vec<(String, i64, String)> {
    let all = documents("deploy/kubernetes/verify.yaml");
    let jobs = all.iter().filter(|one| one["kind"].as_str() == Some("Job"));
    jobs.map(|job| {
        let spec = &job["spec"];
        assert_eq!(text(&spec["completionMode"]), "Indexed");
        let shards = spec["completions"].as_i64().expect("a number");
        let container = &spec["template"]["spec"]["containers"][0];
        assert_eq!(text(&container["command"][1]), "-c", "a shell runs it");
        (text(&job["metadata"]["name"]).to_owned(), shards, text(&container["args"][0]).to_owned())
    })
    .collect()
}

/// Outside fault F14: What passes by itself is started again, a halt and a wrong configuration are not.
#[test]
fn supervisors_agree_with_the_exit_codes() {
    let unit = std::fs::read_to_string(commands::root().join("deploy/pbft@.service"));
    let unit = unit.expect("the unit");
    let value = |name: &str| {
        let mut values = unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        values.next().unwrap_or_else(|| panic!("{name} is not in the unit")).to_owned()
    };
    assert_eq!(value("Restart"), "on-failure");
    assert_eq!(value("RestartPreventExitStatus"), "1 2 5");
    assert_eq!(value("StartLimitIntervalSec"), "0", "what passes may take long");
    let compose = &documents("deploy/compose.yaml")[0];
    for id in 0..4 {
        let replica = &compose["services"][format!("replica-{id}").as_str()];
        let restart = replica["<<"]["restart"].as_str().or(replica["restart"].as_str());
        assert_eq!(restart, Some("on-failure:20"), "not for ever: {replica:?}");
    }
}

/// Runs a line as a shell in the container would, with the simulator in the path.
fn shell(directory: &Path, line: &str, index: i64) -> (Option<i32>, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_pbft-sim")).parent().expect("a directory");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).current_dir(directory).env("PATH", path);
    let run = command.env("JOB_COMPLETION_INDEX", index.to_string()).output();
    let output = run.expect("a shell");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn the_shards_of_the_jobs_are_a_whole_and_a_missing_one_is_noticed() {
    let jobs = jobs();
    let names: Vec<&str> = jobs.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["pbft-sim-seeds", "pbft-sim-twins", "pbft-check-model"]);
    for (name, shards, line) in &jobs[..2] {
        assert!(line.contains(&format!("/{shards} ")), "{name}: {line}");
        let directory = tempfile::tempdir().expect("temporary directory");
        let short = line.replace("--preset nightly", &format!("--count {shards}"));
        assert_ne!(short, *line);
        for index in 0..*shards {
            let (code, said) = shell(directory.path(), &short, index);
            assert_eq!(code, Some(0), "{name}, index {index}: {said}");
            assert!(said.contains(": 1 runs"), "{said}");
        }
        let what = name.trim_start_matches("pbft-sim-");
        let merge = format!("pbft-sim merge {what}-*.json");
        let (code, said) = shell(directory.path(), &merge, 0);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(&format!(": {shards} runs")), "{said}");
        std::fs::remove_file(directory.path().join(format!("{what}-3.json"))).expect("removed");
        let (code, said) = shell(directory.path(), &merge, 0);
        assert_eq!(code, Some(3), "{said}");
    }
}

#[test]
fn the_nightly_workflow_runs_commands_that_exist_on_all_shards() {
    let workflow = &documents(".github/workflows/nightly.yml")[0];
    let matrix = &workflow["jobs"]["shard"]["strategy"]["matrix"];
    let shards: Vec<_> =
        matrix["shard"].as_vec().expect("a list").iter().map(Yaml::as_i64).collect();
    assert_eq!(shards, (1..=8).map(Some).collect::<Vec<_>>());
    let jobs = [&workflow["jobs"]["shard"], &workflow["jobs"]["merge"]];
    let steps = jobs.iter().flat_map(|job| job["steps"].as_vec().expect("a list"));
    let lines: Vec<&str> = steps.filter_map(|step| step["run"].as_str()).collect();
    for command in ["cargo sim seeds", "cargo sim twins", "cargo check-model"] {
        let sharded = format!("/{} ", shards.len());
        let runs = lines.iter().any(|line| line.contains(command) && line.contains(&sharded));
        assert!(runs, "{command}: {lines:#?}");
    }
    let aliases = std::fs::read_to_string(commands::root().join(".cargo/config.toml"));
    let aliases = aliases.expect("the aliases");
    for line in lines.iter().flat_map(|line| line.split("&&")) {
        let Some(alias) = line.trim().strip_prefix("cargo ") else { continue };
        let alias = alias.split(' ').next().unwrap_or_default();
        assert!(aliases.contains(&format!("\n{alias} = ")), "{line}");
    }
}
