//! What the README shows, as it shows it.

use crate::commands;
use pbft_conformance::refinement::kind::ActionKind;
use pbft_tests::cluster::{ProcessCluster, Shape, Turn, validated, wait_for};
use pbft_tests::ports::free_ports;
use pbft_tests::process::{Process, children_of, is_running, pbft, run_pbft, wait_until};
use rustix::process::Signal;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;

/// Runs `pbft` with these words, and returns its exit code and standard output.
pub(crate) fn say(directory: &Path, words: &str) -> (Option<i32>, String) {
    let arguments: Vec<&str> = words.split(' ').collect();
    let output = run_pbft(directory, &arguments);
    (output.status.code(), String::from_utf8(output.stdout).expect("text"))
}

/// `pbft up`, as a terminal starts it: in a process group of its own. Returns when it is ready, with the ids of its
/// replicas' processes.
pub(crate) fn up(directory: &Path, base_port: u16) -> (Process, Vec<u32>) {
    let admin_base_port = (base_port + 8).to_string();
    let base_port = base_port.to_string();
    let ports = ["--base-port", &base_port, "--admin-base-port", &admin_base_port];
    let arguments = [&["up", "--trace", "traces"], &ports[..]].concat();
    let mut command = pbft(directory, &arguments);
    command.stdout(Stdio::piped()).process_group(0);
    let mut up = Process::spawn(&mut command, &directory.join("up.log"));
    let mut first_line = String::new();
    let mut output = BufReader::new(up.take_stdout());
    output.read_line(&mut first_line).expect("text");
    assert!(first_line.starts_with("ready: "), "{first_line:?}\n{}", up.last_words());
    let replicas = children_of(up.id());
    assert_eq!(replicas.len(), 4, "four processes: {replicas:?}");
    (up, replicas)
}

fn assert_gone(replicas: &[u32], base_port: u16) {
    wait_until("all replicas are gone", || !replicas.iter().any(|id| is_running(*id)));
    for port in base_port..base_port + 4 {
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "{port} is still listened on");
    }
}

#[test]
fn the_commands_of_the_cluster_in_the_documentation_are_there() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let help = |words: &[String]| {
        let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = run_pbft(directory.path(), &arguments);
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let shown = commands::shown(&commands::root());
    let names = shown.iter().filter_map(|one| one.tool.as_ref()).filter(|(name, _)| name == "pbft");
    assert!(names.count() >= 5);
    let outdated = commands::outdated(&shown, "pbft", help);
    assert!(outdated.is_empty(), "{outdated:#?}");
}

#[test]
fn up_bank_status_and_interrupt_do_what_the_readme_says() {
    let _turn = Turn::take();
    let directory = tempfile::tempdir().expect("temporary directory");
    let (directory, base_port) = (directory.path(), free_ports(16));

    let (mut first, replicas) = up(directory, base_port);
    assert_eq!(say(directory, "bank deposit alice 100"), (Some(0), "alice: 100\n".into()));
    assert_eq!(say(directory, "bank balance alice"), (Some(0), "alice: 100\n".into()));
    let (code, json) = say(directory, "bank transfer alice bob 30 --format json");
    assert_eq!(code, Some(1), "there is no bob: {json}");
    let answer: serde_json::Value = serde_json::from_str(&json).expect("one JSON object");
    assert!(answer["refused"].as_str().expect("a reason").contains("bob"), "{json}");
    assert_eq!(say(directory, "bank open bob"), (Some(0), "bob: 0\n".into()));
    let transferred = say(directory, "bank transfer alice bob 30");
    assert_eq!(transferred, (Some(0), "alice: 70\nbob: 30\n".into()));
    let (code, table) = say(directory, "status");
    assert_eq!(code, Some(0), "{table}");
    assert!(table.contains("4 of 4 replicas answer") && table.contains("in agreement"), "{table}");

    // ^C reaches the whole group.
    first.signal_group(Signal::INT);
    let status = first.wait();
    assert_eq!(status.code(), Some(0), "{}", first.last_words());
    assert_gone(&replicas, base_port);
    assert_eq!(say(directory, "status --wait 300").0, Some(4), "nobody is there");

    // The data stayed. This time only the supervisor is told.
    let (mut second, replicas) = up(directory, base_port);
    assert_eq!(say(directory, "bank balance alice"), (Some(0), "alice: 70\n".into()));
    second.signal(Signal::INT);
    assert_eq!(second.wait().code(), Some(0), "{}", second.last_words());
    assert_gone(&replicas, base_port);

    // A supervisor that is killed leaves nobody behind.
    let (mut third, replicas) = up(directory, base_port);
    third.kill();
    assert_gone(&replicas, base_port);

    let traces: Vec<_> =
        (0..4).map(|id| directory.join(format!("traces/replica-{id}.jsonl"))).collect();
    let validation = validated(&traces, true);
    assert_eq!(validation.coverage.of(ActionKind::Restart), 8, "each was started three times");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exit_code_of_status_tells_whether_there_is_a_quorum() {
    let mut cluster = ProcessCluster::start(Shape::default()).await;
    let client = cluster.client(0);
    let directory = cluster.directory().to_owned();
    let status = || {
        let (code, json) = say(&directory, "status --format json --wait 2000");
        let answer: serde_json::Value = serde_json::from_str(&json).expect("one JSON object");
        (code, answer["reachable"].clone(), answer["agree"].clone())
    };
    assert_eq!(status(), (Some(0), 4.into(), true.into()));
    assert_eq!(say(&directory, "bank deposit alice 5"), (Some(0), "alice: 5\n".into()));
    cluster.kill_replica(3);
    assert_eq!(status(), (Some(0), 3.into(), true.into()), "one may be gone");
    cluster.kill_replica(2);
    assert_eq!(status(), (Some(4), 2.into(), true.into()), "two may not");
    let stuck = run_pbft(&directory, &["bank", "deposit", "alice", "7", "--timeout", "1"]);
    assert_eq!(stuck.status.code(), Some(4), "{stuck:?}");
    let message = String::from_utf8_lossy(&stuck.stderr).into_owned();
    assert!(message.contains("pbft status") && message.contains("may still be"), "{message}");

    // The client said that it may still be executed, and nothing that has been answered is undone.
    cluster.start_replica(2);
    wait_for(&client, "three replicas answer", |all| all.len() == 3).await;
    let (code, balance) = say(&directory, "bank balance alice");
    assert_eq!(code, Some(0));
    assert!(["alice: 5\n", "alice: 12\n"].contains(&balance.as_str()), "{balance}");
    cluster.finish();
}
