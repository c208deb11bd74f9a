//! What operators use: comparison of replicas, the admin endpoint, logs for machines, bundles, keys, sessions.

use crate::readme::{say, up};
use pbft_core::types::ReplicaId;
use pbft_ledger::{Account, Record};
use pbft_node::admin;
use pbft_node::store::{Identity, Store};
use pbft_tests::cluster::{ProcessCluster, Shape, Turn, agreement, wait_for};
use pbft_tests::ports::free_ports;
use pbft_tests::process::{pbft, run_pbft, wait_until};
use pbft_tests::workload::bank;
use rustix::process::Signal;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Changes an account behind the protocol's back, as a broken disk or a faulty service would.
fn falsify(cluster: &ProcessCluster, id: u32, account: &str, balance: u64) {
    let identity = Identity::new(cluster.cluster.id(), ReplicaId(id));
    let mut store = Store::open(&cluster.replica_directory(id), identity).expect("a store");
    let key = Record::key(&Account::new(account).expect("a name"));
    let record = Record { balance, count: 1, entries: Vec::new() };
    let mut transaction = store.begin();
    let put = transaction.with_state(|state| state.put(&key, &record.encode())).expect("open");
    put.expect("small");
    transaction.commit().expect("committed");
}

/// Outside fault F7: A supervisor that starts a halted replica again lets it vote until the next proof.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_differs_is_shown_and_halts_at_the_next_checkpoint() {
    let shape = Shape { checkpoint_interval: 8, ..Shape::default() };
    let mut cluster = ProcessCluster::start(shape).await;
    let directory = cluster.directory().to_owned();
    let client = cluster.client(0);
    for operation in ["deposit alice 5", "deposit bob 6"] {
        bank(&client, operation).await.expect("executed");
    }
    agreement(&client, 4).await;
    let (code, table) = say(&directory, "status --all");
    assert_eq!(code, Some(0), "{table}");
    let alice = table.lines().find(|line| line.contains("alice")).expect("a line");
    assert_eq!(alice.split_whitespace().collect::<Vec<_>>(), ["alice", "5", "5", "5", "5"]);
    let (code, text) = say(&directory, "hash --format json");
    assert_eq!(code, Some(0), "{text}");
    let hashes = json(&text);
    assert_eq!(hashes["agree"], true);
    let digests: Vec<_> =
        hashes["replicas"].as_array().expect("a list").iter().map(|r| &r["state"]).collect();
    assert!(digests.len() == 4 && digests.iter().all(|digest| *digest == digests[0]), "{text}");

    cluster.stop_replica(2);
    falsify(&cluster, 2, "alice", 5000);
    cluster.start_replica(2);
    wait_for(&client, "all answer", |all| all.len() == 4).await;
    let (code, table) = say(&directory, "status --all --wait 3000");
    assert_eq!(code, Some(1), "{table}");
    assert!(table.contains("5000") && table.contains("DIFFERS"), "{table}");
    let (code, text) = say(&directory, "status --all --format json --wait 3000");
    assert_eq!((code, &json(&text)["differing"]), (Some(1), &serde_json::json!(["alice"])));
    assert_eq!(say(&directory, "hash --wait 3000").0, Some(1));
    assert_eq!(say(&directory, "status --wait 3000").0, Some(1));

    // What clients are told is what f+1 say, and at the next checkpoint the odd one out knows.
    for balance in 7..=16 {
        let outcome = bank(&client, "deposit bob 1").await;
        assert_eq!(outcome, Ok(pbft_ledger::Outcome::Balance(balance)));
    }
    assert_eq!(cluster.process(2).wait().code(), Some(1), "halted");
    let words = cluster.process(2).last_words();
    assert!(words.contains("has halted") && words.contains("not deterministic"), "{words}");
    // Whoever starts it again gets the same answer.
    for _ in 0..2 {
        cluster.kill_replica(2);
        cluster.start_replica(2);
        assert_eq!(cluster.process(2).wait().code(), Some(1), "still halted");
        let words = cluster.process(2).last_words();
        assert!(words.contains("has halted") && words.contains("pbft recover"), "{words}");
    }
    let (code, inside) = say(&directory, "inspect --dir cluster/replica-2");
    assert!(code == Some(0) && inside.contains("it has halted: checkpoint #"), "{inside}");
    assert_eq!(say(&directory, "bank balance alice"), (Some(0), "alice: 5\n".into()));
    assert_eq!(say(&directory, "bank audit").0, Some(0));
    let (code, text) = say(&directory, "recover --dir cluster/replica-2 --wait 30");
    assert_eq!(code, Some(0), "{text}");
    cluster.kill_replica(2);
    cluster.start_replica(2);
    agreement(&client, 4).await;
    assert_eq!(say(&directory, "status --all --wait 3000").0, Some(0), "it has fetched the state");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_endpoint_tells_how_a_replica_is() {
    let mut cluster = ProcessCluster::start(Shape::default()).await;
    let address = cluster.admin_address(1);
    let client = cluster.client(0);
    bank(&client, "deposit alice 5").await.expect("executed");
    agreement(&client, 4).await;
    let get = async |path: &str| admin::get(&address, path).await.expect("an answer");
    assert_eq!(get("/live").await, (200, "live\n".into()));
    assert_eq!(get("/ready").await, (200, "ready\n".into()));
    assert_eq!(get("/elsewhere").await.0, 404);
    let (code, status) = get("/status").await;
    assert_eq!((code, &json(&status)["replica"]), (200, &1.into()), "{status}");
    let (code, metrics) = get("/metrics").await;
    assert_eq!(code, 200);
    for line in ["pbft_view 0", "pbft_view_active 1", "pbft_requests_executed_total 1"] {
        assert!(metrics.lines().any(|other| other == line), "no `{line}` in\n{metrics}");
    }
    let starts =
        |line: &str| ["# ", "pbft_", "process_"].iter().any(|start| line.starts_with(start));
    assert!(metrics.lines().all(starts), "{metrics}");

    // Nothing but GET and HEAD is answered, for no unknown name, and junk ends the connection, not the replica.
    let post =
        raw(&address, b"POST /live HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
    assert!(post.starts_with("HTTP/1.1 405") && post.contains("allow: GET, HEAD"), "{post}");
    let head = raw(&address, b"HEAD /live HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && !head.contains("live"), "{head}");
    let evil = raw(&address, b"GET /status HTTP/1.1\r\nhost: evil.example\r\n\r\n");
    assert!(evil.starts_with("HTTP/1.1 421") && !evil.contains("executed"), "{evil}");
    let junk = raw(&address, &[0xff; 100_000]);
    assert!(junk.is_empty() || junk.starts_with("HTTP/1.1 4"), "{junk}");
    assert_eq!(get("/live").await.0, 200);

    // A quorum is gone: the replica lives, but it is not in a view for long.
    cluster.kill_replica(0);
    cluster.kill_replica(2);
    let submitting = tokio::spawn(async move { bank(&client, "deposit alice 5").await });
    let mut ready = get("/ready").await;
    for _ in 0..600 {
        if ready.0 == 503 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        ready = get("/ready").await;
    }
    assert_eq!(ready.0, 503);
    let words = "not ready: waiting for view ";
    assert!(
        ready.1.starts_with(words) && ready.1.ends_with(" or a later one to begin\n"),
        "{ready:?}"
    );
    assert_eq!(get("/live").await.0, 200);
    cluster.start_replica(0);
    cluster.start_replica(2);
    submitting.await.expect("no panic").expect("executed in the end");
    cluster.finish();
}

/// What comes back for these bytes, until the connection ends.
fn raw(address: &str, bytes: &[u8]) -> String {
    use std::io::Read as _;
    let mut stream = std::net::TcpStream::connect(address).expect("listened on");
    // It may be closed before all is written.
    stream.write_all(bytes).ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_json_and_remote_admin_addresses_are_refused() {
    let mut cluster = ProcessCluster::create(Shape::default());
    let directory = cluster.directory().to_owned();
    let settings = cluster.replica_directory(0).join("node.toml");
    let text = std::fs::read_to_string(&settings).expect("what testnet wrote");
    std::fs::write(&settings, format!("{text}log_format = \"json\"\n")).expect("written");
    cluster.start_replica(0);
    wait_until("the replica listens", || cluster.process(0).log().contains("listening"));
    cluster.stop_replica(0);
    let log = std::fs::read_to_string(directory.join("replica-0.log")).expect("a log");
    let listening = log.lines().map(json).find(|line| line["message"] == "listening");
    let listening = listening.expect("it says that it listens");
    assert_eq!((&listening["level"], &listening["replica"]), (&"INFO".into(), &"r0".into()));
    assert!(log.lines().all(|line| json(line).is_object()), "{log}");

    let start = ["start", "--dir", "cluster/replica-1", "--admin", "0.0.0.0:0"];
    let refused = run_pbft(&directory, &start);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(message.contains("other machines") && message.contains("--admin-remote"), "{message}");
}

/// Runs a session with these lines.
fn session(directory: &Path, lines: &str) -> (Option<i32>, String, String) {
    let mut command = pbft(directory, &["repl"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("pbft runs");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(lines.as_bytes()).expect("written");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_queries_statements_and_bundles() {
    let cluster = ProcessCluster::start(Shape::default()).await;
    let directory = cluster.directory();
    let lines = "# a comment\nopen alice\n\ndeposit  alice 70\nwithdraw alice 20\nbalance alice\nquit\nopen bob\n";
    let (code, out, error) = session(directory, lines);
    assert_eq!((code, &*out), (Some(0), "alice: 0\nalice: 70\nalice: 50\nalice: 50\n"), "{error}");
    let (code, out, error) = session(directory, "withdraw alice 51\nrob alice\nbalance alice\n");
    assert_eq!(out, "alice: 50\n", "a session goes on");
    assert_ne!(code, Some(0));
    assert!(error.contains("cannot be taken") && error.contains("not an operation"), "{error}");

    let (code, statement) = say(directory, "bank statement alice --format json");
    assert_eq!(code, Some(0), "{statement}");
    let entries = &json(&statement)["entries"];
    assert_eq!(entries[2]["kind"], "withdrawal");
    assert_eq!((&entries[1]["balance"], &entries[2]["balance"]), (&70.into(), &50.into()));
    let (code, audit) = say(directory, "bank audit --format json");
    assert_eq!((code, &json(&audit)["balanced"]), (Some(0), &true.into()), "{audit}");
    let query = run_pbft(directory, &["submit", "--query", "balance alice"]);
    assert_eq!(String::from_utf8_lossy(&query.stdout), "ok 50\n", "{query:?}");
    let forbidden = run_pbft(directory, &["submit", "--query", "deposit alice 1"]);
    assert_eq!(String::from_utf8_lossy(&forbidden.stdout), "refused not-a-query\n");

    let (code, _) = say(directory, "debug bundle --log-file replica-0.log --out bundle.json");
    assert_eq!(code, Some(0));
    let text = std::fs::read_to_string(directory.join("bundle.json")).expect("written");
    let bundle = json(&text);
    assert_eq!(bundle["status"]["reachable"], 4, "{text}");
    let metrics = bundle["metrics"]["replica-3"].as_str().expect("text");
    assert!(metrics.contains("pbft_requests_executed_total"), "{metrics}");
    assert!(bundle["logs"]["replica-0.log"].as_str().expect("text").contains("listening"));
    assert_eq!(bundle["files"]["replica-0/replica.key"]["mode"], "0600");
    for file in ["replica-0/replica.key", "clients/client-0.key"] {
        let key = std::fs::read_to_string(directory.join("cluster").join(file)).expect("a key");
        let secret = key.lines().nth(1).expect("the second line");
        assert!(!text.contains(secret), "a secret is in the bundle");
    }
    assert_eq!(
        say(directory, "debug bundle --out bundle.json").0,
        Some(2),
        "nothing is overwritten"
    );
    cluster.finish();
}

#[test]
fn a_replica_is_made_once_from_its_files() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let directory = directory.path();
    assert_eq!(say(directory, "testnet --base-port 10970").0, Some(0));
    let (code, public) = say(directory, "key new other.key");
    assert_eq!(code, Some(0));
    assert_eq!(say(directory, "key public other.key"), (Some(0), public.clone()));
    assert_eq!(public.trim().len(), 64);
    assert_eq!(say(directory, "key new other.key").0, Some(2), "never overwritten");

    let init = "init --cluster cluster/cluster.toml --dir new --key";
    let key = "cluster/replica-1/replica.key";
    let refused = |words: String| {
        let output = run_pbft(directory, &words.split(' ').collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(!directory.join("new").exists());
        String::from_utf8(output.stderr).expect("text")
    };
    assert!(refused(format!("{init} {key}")).contains("--never-ran"));
    assert!(refused(format!("{init} other.key --never-ran")).contains("no replica's"));
    assert_eq!(say(directory, &format!("{init} {key} --never-ran")).0, Some(0));
    for file in ["cluster.toml", "replica.key", "data.redb", "store.id"] {
        assert!(directory.join("new").join(file).exists(), "{file}");
    }
    let again = say(directory, &format!("{init} {key} --never-ran"));
    assert_eq!(again.0, Some(2), "nothing is overwritten");
}

#[test]
fn top_shows_every_replica_with_its_rates() {
    let _turn = Turn::take();
    let directory = tempfile::tempdir().expect("temporary directory");
    let (mut cluster, _) = up(directory.path(), free_ports(16));
    let top = |words: &str| say(directory.path(), &format!("top --once --interval 1500{words}"));
    let deposits = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let deposit = |_| say(directory.path(), "bank deposit alice 1").0 == Some(0);
            (0..40).map(deposit).filter(|done| *done).count()
        });
        let (code, text) = top(" --format json");
        assert_eq!(code, Some(0), "{text}");
        let shown = json(&text);
        assert_eq!((&shown["voters"], &shown["quorum"]), (&4.into(), &3.into()), "{shown}");
        let replicas = shown["replicas"].as_array().expect("a list");
        let ids: Vec<_> = replicas.iter().map(|one| one["replica"].as_u64()).collect();
        assert_eq!(ids, [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!(replicas[0]["primary"], true, "of view 0");
        for one in replicas {
            assert!(one["requests_per_second"].as_f64().is_some_and(|rate| rate > 0.0), "{one}");
            let disk = one["disk_commit_p99_seconds"].as_f64();
            assert!(disk.is_none_or(|seconds| seconds > 0.0 && seconds < 10.0), "{one}");
            assert!(one["resident_memory_bytes"].as_f64().is_some_and(|b| b > 1e6), "{one}");
        }
        load.join().expect("it ends")
    });
    assert_eq!(deposits, 40);
    let (code, table) = top("");
    assert_eq!(code, Some(0), "{table}");
    assert!(
        table.contains("0 primary") && table.contains("4 of 4 replicas vote in view"),
        "{table}"
    );
    cluster.signal_group(Signal::INT);
    assert_eq!(cluster.wait().code(), Some(0), "{}", cluster.last_words());
    let (code, text) = top(" --format json");
    assert_eq!(code, Some(4), "nobody is there: {text}");
    assert_eq!(say(directory.path(), "top --once --dir nowhere").0, Some(2));
}
