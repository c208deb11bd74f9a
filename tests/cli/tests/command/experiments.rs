//! The command line of the experiments.

use std::path::Path;
use std::process::{Command, Output};

fn sim(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pbft-sim"));
    command.current_dir(directory).args(arguments).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn wrong_arguments_are_refused_with_a_remedy() {
    let directory = tempfile::tempdir().expect("temporary directory");
    std::fs::write(directory.path().join("plan.toml"), "[[fault]]\nwhat = 3\n").expect("written");
    let cases: [(&[&str], &str); 13] = [
        (&["--replicas", "3"], "at least 4"),
        (&["--requests", "0"], "at least 1"),
        (&["--fault", "replica 2 crash"], "write it like"),
        (&["--fault", "replica 2: explode"], "equivocate"),
        (&["--fault", "replica 9: crash"], "0 to 3"),
        (&["--faults", "plan.toml"], "what"),
        (&["--faults", "missing.toml"], "missing.toml"),
        (&["--drop", "2"], "from 0 to 1"),
        (&["--delay", "40..5"], "5..40"),
        (&["--delay", "1..5", "--network-delay", "1s"], "cannot be used with"),
        (&["--byzantine", "backups", "--strategy", "crash"], "equivocate"),
        (&["--byzantine", "primary", "--faulty", "5"], "there are not so many"),
        (&["--real", "--drop", "0.1"], "the network is the machine's"),
    ];
    for (arguments, words) in cases {
        let output = sim(directory.path(), &[&["run"], arguments].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_run_writes_what_it_is_asked_for_and_repeats_it_to_the_byte() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path();
    let arguments = [
        "run",
        "--delay",
        "5..40",
        "--drop",
        "0.05",
        "--reorder",
        "0.05",
        "--duplicate",
        "0.05",
        "--byzantine",
        "1",
        "--seed",
        "11",
        "--csv",
        "-",
    ];
    let (one, two) = (sim(path, &arguments), sim(path, &arguments));
    assert_eq!(one.status.code(), Some(0), "{}", text(&one.stderr));
    assert_eq!(one.stdout, two.stdout);
    let csv = text(&one.stdout);
    let names = csv.lines().next().expect("a line of names");
    for name in [
        "throughput_per_s",
        "total_time_s",
        "safe",
        "live",
        "primary_failed",
        "view_changed",
        "replica_messages",
    ] {
        assert!(names.split(',').any(|known| known == name), "{name}: {names}");
    }
    assert!(!names.contains("wall_clock_s"), "the machine's part is not there unless asked for");
    let files = ["run", "--measured", "--json", "-", "--html", "run.html", "--svg", "charts"];
    let output = sim(path, &files);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for name in ["wall_clock_s", "process_time_s", "memory_percent"] {
        assert!(json["runs"][0][name].is_number(), "{name}: {json}");
    }
    assert_eq!(json["runs"][0]["safe"], "yes");
    let html = std::fs::read_to_string(path.join("run.html")).expect("written");
    assert_eq!(html.matches("<svg").count(), 2, "charts are in the page");
    let elsewhere = html.replace("http://www.w3.org/2000/svg", "");
    assert!(!elsewhere.contains("http") && !elsewhere.contains("src="), "it needs nothing else");
    for name in ["latency.svg", "throughput.svg"] {
        let svg = std::fs::read_to_string(path.join("charts").join(name)).expect("written");
        assert!(roxmltree::Document::parse(&svg).is_ok(), "{name}");
    }
}

#[test]
fn beyond_f_the_exit_status_is_inconclusive() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let arguments =
        ["run", "--replicas", "7", "--byzantine", "backups", "--faulty", "4", "--limit", "10s"];
    let output = sim(directory.path(), &arguments);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("no safety claimed") && said.contains("no quorum"), "{said}");
    let lost = sim(directory.path(), &["run", "--fault", "replicas 2 3: crash", "--limit", "10s"]);
    assert_eq!(lost.status.code(), Some(1), "crashes are no excuse: {}", text(&lost.stdout));
    assert!(text(&lost.stdout).contains("no quorum: 2 correct replicas are up, 3 are needed"));
}
