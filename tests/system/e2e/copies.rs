//! A client's directory that was copied, or restored from an old copy: two processes with one key.

use pbft_ledger::Outcome;
use pbft_tests::cluster::{ProcessCluster, Shape};
use pbft_tests::process::run_pbft;
use pbft_tests::workload::bank;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const CLOCK: &str = "cluster/clients/client-0.clock";

/// The exit code of a command, and all that it prints.
fn say(directory: &Path, words: &str) -> (Option<i32>, String) {
    let arguments: Vec<&str> = words.split(' ').collect();
    let output = run_pbft(directory, &arguments);
    let all = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(all).expect("text"))
}

/// A second place that has what the first one has: the cluster file, the clients' keys and clocks.
fn copy(from: &Path, to: &str) -> PathBuf {
    let place = from.join(to);
    let clients = place.join("cluster/clients");
    std::fs::create_dir_all(&clients).expect("made");
    let file = "cluster/cluster.toml";
    std::fs::copy(from.join(file), place.join(file)).expect("copied");
    for entry in std::fs::read_dir(from.join("cluster/clients")).expect("read") {
        let path = entry.expect("an entry").path();
        std::fs::copy(&path, clients.join(path.file_name().expect("a name"))).expect("copied");
    }
    place
}

/// A clock that runs ahead, so that processes with the same file use the same timestamps.
fn set_clock(place: &Path, microseconds: u64) {
    std::fs::write(place.join(CLOCK), format!("{microseconds:020}\n")).expect("written");
}

fn an_hour_ahead() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    (now + Duration::from_secs(3600)).as_micros() as u64
}

fn balance(directory: &Path, account: &str) -> u64 {
    let (code, text) = say(directory, &format!("bank --client client-1 balance {account}"));
    assert_eq!(code, Some(0), "{text}");
    text.trim().rsplit_once(": ").expect("name: balance").1.parse().expect("a number")
}

/// Outside fault F9: A copy of a client's directory is acknowledged another operation's result.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_copied_client_is_acknowledged_was_executed() {
    let cluster = ProcessCluster::start(Shape::default()).await;
    let here = cluster.directory().to_owned();
    set_clock(&here, an_hour_ahead());
    let there = copy(&here, "there");
    assert_eq!(say(&here, "bank deposit dave 100"), (Some(0), "dave: 100\n".into()));
    assert_eq!(say(&here, "bank deposit erin 100"), (Some(0), "erin: 100\n".into()));
    // The copy's next timestamps are those that the first one has used.
    let (code, text) = say(&there, "bank deposit dave 5000");
    assert_eq!(code, Some(1), "another process has gone on: {text}");
    assert!(text.contains("another process uses its key"), "{text}");
    assert_eq!(balance(&here, "dave"), 100);
    // It has learned where the other one is.
    assert_eq!(say(&there, "bank deposit dave 5000"), (Some(0), "dave: 5100\n".into()));
    // The first one's next timestamp was used for that: it was not executed, and is asked for again.
    assert_eq!(say(&here, "bank deposit erin 1"), (Some(0), "erin: 101\n".into()));
    assert_eq!((balance(&here, "dave"), balance(&here, "erin")), (5100, 101));
}

/// Outside fault F9: Of equal operations of two copies some are acknowledged and not executed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_operations_of_two_copies_are_two_operations() {
    let cluster = ProcessCluster::start(Shape::default()).await;
    let here = cluster.directory().to_owned();
    set_clock(&here, an_hour_ahead());
    let there = copy(&here, "there");
    let deposits = |place: PathBuf| {
        std::thread::spawn(move || {
            let done = (0..8).filter(|_| say(&place, "bank deposit carol 100").0 == Some(0));
            done.count() as u64
        })
    };
    let [one, other] = [deposits(here.clone()), deposits(there)];
    let acknowledged = one.join().expect("no panic") + other.join().expect("no panic");
    let executed = balance(&here, "carol") / 100;
    assert!(acknowledged >= 8, "one of the two gets on: {acknowledged}");
    assert!(executed >= acknowledged, "{executed} of {acknowledged} acknowledged were executed");
    assert!(executed <= 16, "none twice: {executed}");
}

/// Outside fault F9: A client whose clock file is lost, or holds a wrong number, is answered with old results.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_finds_its_place_again() {
    let cluster = ProcessCluster::start(Shape::default()).await;
    let here = cluster.directory().to_owned();
    let ahead = an_hour_ahead();
    set_clock(&here, ahead);
    assert_eq!(say(&here, "bank deposit dave 1"), (Some(0), "dave: 1\n".into()));
    let given_back = std::fs::read_to_string(here.join(CLOCK)).expect("read");
    assert_eq!(given_back.trim().parse(), Ok(ahead + 1), "what was not used was given back");
    std::fs::remove_file(here.join(CLOCK)).expect("lost");
    let (code, text) = say(&here, "bank deposit dave 1");
    assert_eq!(code, Some(1), "it cannot know: {text}");
    assert!(text.contains("clock file was lost"), "{text}");
    assert_eq!(say(&here, "bank deposit dave 1"), (Some(0), "dave: 2\n".into()));

    // Numbers end, and the last ones are refused before they are used.
    set_clock(&here, u64::MAX);
    let (code, text) = say(&here, "bank deposit dave 1");
    assert_eq!(code, Some(5), "{text}");
    assert!(text.contains("no timestamp is left") && text.contains("clock file"), "{text}");
    set_clock(&here, ahead + 10);
    let client = cluster.client(1);
    assert_eq!(bank(&client, "deposit dave 1").await, Ok(Outcome::Balance(3)));
    assert_eq!(say(&here, "bank deposit dave 1"), (Some(0), "dave: 4\n".into()));
}
