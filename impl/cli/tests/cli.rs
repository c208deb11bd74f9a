//! The `pbft` command refuses what it must refuse: with the file, the field, the remedy and the right exit code, and
//! without touching the disk.

use pbft_node::hex;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn pbft(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pbft"))
        .args(arguments)
        .current_dir(directory)
        .env("NO_COLOR", "1")
        .output()
        .expect("the binary runs")
}

/// The exit code, and what was said on standard error.
fn refused(directory: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = pbft(directory, arguments);
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

/// A fresh cluster on ports that nobody listens on.
fn testnet() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("temporary directory");
    let output = pbft(directory.path(), &["testnet", "--base-port", "17900"]);
    assert!(output.status.success(), "{output:?}");
    directory
}

/// Every file below a directory, with its content.
fn snapshot(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).expect("listed") {
        let path = entry.expect("read").path();
        match path.is_dir() {
            true => files.extend(snapshot(&path)),
            false => files.push((path.clone(), std::fs::read(&path).expect("read"))),
        }
    }
    files.sort();
    files
}

#[test]
fn a_testnet_with_many_clients_gives_each_fewer_lanes() {
    let directory = tempfile::tempdir().expect("a directory");
    let made = pbft(directory.path(), &["testnet", "--clients", "200", "--base-port", "17900"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let checked = pbft(directory.path(), &["config", "check", "cluster/cluster.toml"]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let file = std::fs::read_to_string(directory.path().join("cluster/cluster.toml"));
    assert!(file.expect("written").contains("lanes_max = 10\n"));
}

#[test]
fn a_testnet_is_complete_private_and_never_overwritten() {
    let directory = testnet();
    let cluster = directory.path().join("cluster");
    let before = snapshot(&cluster);
    for file in ["replica-3/replica.key", "clients/client-0.key"] {
        let mode = std::fs::metadata(cluster.join(file)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let (code, error) = refused(directory.path(), &["testnet"]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("exists already") && error.contains("--dir"), "{error}");
    assert_eq!(snapshot(&cluster), before);
    let output = pbft(directory.path(), &["config", "check", "cluster/cluster.toml"]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("quorum 3"), "{output:?}");
}

#[test]
fn too_few_replicas_are_refused_before_anything_is_written() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let (code, error) = refused(directory.path(), &["testnet", "--replicas", "3"]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("cluster.toml: replica: ") && error.contains("at least 4"), "{error}");
    assert_eq!(snapshot(directory.path()), []);
}

/// One way to spoil replica 0's directory, the exit code, and words of the message.
type Spoiler = (&'static str, fn(&Path), i32, [&'static str; 2]);

fn edit(file: &Path, change: impl Fn(String) -> String) {
    let text = std::fs::read_to_string(file).expect("read");
    std::fs::write(file, change(text)).expect("written");
}

fn chmod(file: &Path, mode: u32) {
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).expect("chmod");
}

const SPOILERS: [Spoiler; 10] = [
    (
        "unknown field",
        |dir| edit(&dir.join("cluster.toml"), |text| text.replace("nonce", "colour = 1\nnonce")),
        2,
        ["cluster.toml: line", "colour"],
    ),
    (
        "three replicas",
        |dir| {
            edit(&dir.join("cluster.toml"), |text| {
                let tables: Vec<&str> = text.split("[[").collect();
                let fourth =
                    tables.iter().position(|table| table.contains("id = 3")).expect("there");
                let kept = tables.iter().enumerate().filter(|(i, _)| *i != fourth);
                kept.map(|(_, table)| *table).collect::<Vec<_>>().join("[[")
            });
        },
        2,
        ["cluster.toml: replica: ", "at least 4"],
    ),
    (
        "weak key",
        |dir| {
            edit(&dir.join("cluster.toml"), |text| {
                let weak = format!("public_key = \"01{}\"\n", "0".repeat(62));
                let line = text.lines().find(|line| line.starts_with("public_key")).expect("there");
                text.replacen(&format!("{line}\n"), &weak, 1)
            });
        },
        2,
        ["replica[0].public_key", "weak"],
    ),
    ("readable key", |dir| chmod(&dir.join("replica.key"), 0o644), 2, ["replica.key", "chmod 600"]),
    (
        "no key",
        |dir| std::fs::remove_file(dir.join("replica.key")).expect("removed"),
        2,
        ["replica.key", "pbft testnet"],
    ),
    (
        "another replica's key",
        |dir| {
            std::fs::copy(dir.join("../replica-1/replica.key"), dir.join("replica.key"))
                .expect("copied");
        },
        5,
        ["store.id: replica is 0, expected 1", "--dir"],
    ),
    (
        "another cluster",
        |dir| {
            edit(&dir.join("cluster.toml"), |text| {
                let nonce = text.lines().find(|line| line.starts_with("nonce")).expect("there");
                text.replace(nonce, &format!("nonce = \"{}\"", hex::encode(&[9; 16])))
            });
        },
        5,
        ["store.id: cluster is", "--dir"],
    ),
    (
        "no store",
        |dir| std::fs::remove_file(dir.join("data.redb")).expect("removed"),
        5,
        ["data.redb: there is no store", "pbft recover"],
    ),
    (
        "empty store",
        |dir| std::fs::write(dir.join("data.redb"), b"").expect("emptied"),
        5,
        ["data.redb: the store is empty", "must not vote"],
    ),
    (
        "no seal",
        |dir| std::fs::remove_file(dir.join("store.seal")).expect("removed"),
        5,
        ["store.seal: the store is damaged", "pbft recover"],
    ),
];

/// Outside fault F15: A store whose `store.id` is gone says itself whose it is, and starts.
#[test]
fn a_store_without_its_id_file_is_not_lost() {
    let directory = testnet();
    let replica = directory.path().join("cluster/replica-0");
    let id = replica.join("store.id");
    let text = std::fs::read_to_string(&id).expect("what testnet wrote");
    std::fs::remove_file(&id).expect("removed");
    // The store is in order, and whoever looks says so; the file is there again.
    let recover = ["recover", "--dir", "cluster/replica-0", "--wait", "0"];
    let (code, error) = refused(directory.path(), &recover);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("store.id was missing: it is written again"), "{error}");
    assert!(error.contains("this store is in order"), "{error}");
    assert_eq!(std::fs::read_to_string(&id).expect("written again"), text);
    // Another replica's store is refused all the same, and nothing is written.
    std::fs::remove_file(&id).expect("removed");
    for file in ["data.redb", "store.seal"] {
        let other = directory.path().join("cluster/replica-1").join(file);
        std::fs::copy(other, replica.join(file)).expect("copied");
    }
    let (code, error) = refused(directory.path(), &["start", "--dir", "cluster/replica-0"]);
    assert_eq!(code, Some(5), "{error}");
    assert!(error.contains("replica is 1, expected 0"), "{error}");
    assert!(!id.exists(), "nothing was written");
}

/// Outside fault F15: A check of the configuration names the field that is wrong.
#[test]
fn the_field_that_is_wrong_is_named() {
    let directory = testnet();
    let file = directory.path().join("cluster/cluster.toml");
    let good = std::fs::read_to_string(&file).expect("what testnet wrote");
    let cases = [
        (
            "view_timeout_ms = 90000",
            "cluster.view_timeout_ms: 90000 is above 60000, which is view_timeout_max_ms; lower it, or raise \
             view_timeout_max_ms",
        ),
        (
            "view_timeout_max_ms = 18446744073709551615",
            "cluster.view_timeout_max_ms: 18446744073709551615 is above 86400000, a day; lower it",
        ),
        (
            "status_interval_ms = 10001",
            "cluster.status_interval_ms: 10001 is above 10000, and replicas that are silent for 30s are cut off; \
             lower it",
        ),
        ("status_interval_ms = 0", "status_interval is 0"),
    ];
    for (line, expected) in cases {
        let field = line.split(' ').next().expect("a field");
        let mut lines: Vec<&str> = good.lines().filter(|l| !l.starts_with(field)).collect();
        let table = lines.iter().position(|l| *l == "[cluster]").expect("the table");
        lines.insert(table + 1, line);
        // 64 bits are more than TOML's integers have.
        let text = lines.join("\n").replace("18446744073709551615", "9223372036854775807");
        std::fs::write(&file, text).expect("written");
        let expected = expected.replace("18446744073709551615", "9223372036854775807");
        let (code, error) = refused(directory.path(), &["config", "check", "cluster/cluster.toml"]);
        assert_eq!(code, Some(2), "{line}: {error}");
        assert!(error.contains(&expected), "{line}: {error}");
    }
    let longest = good.replace("[cluster]", "[cluster]\nstatus_interval_ms = 10000");
    std::fs::write(&file, longest).expect("written");
    let (code, error) = refused(directory.path(), &["config", "check", "cluster/cluster.toml"]);
    assert_eq!(code, Some(0), "{error}");
}

/// Outside fault F8: Sizes that cannot work together are found out when views change, and not when a replica starts.
#[test]
fn sizes_that_cannot_work_together_start_nothing() {
    let directory = testnet();
    let (code, error) =
        refused(directory.path(), &["testnet", "--replicas", "128", "--dir", "many"]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("a NEW-VIEW holds up to 954299 signatures"), "{error}");
    assert!(!directory.path().join("many").exists(), "nothing was written");
    let good = ["config", "check", "cluster/cluster.toml"];
    let said = pbft(directory.path(), &good);
    let said = String::from_utf8(said.stdout).expect("text");
    // (3 + 3) · (4 + 3 · 128) + 129.
    assert!(said.contains("a view change holds up to 2457 signatures, 0.1 s of work"), "{said}");
    for file in ["cluster/cluster.toml", "cluster/replica-0/cluster.toml"] {
        let file = directory.path().join(file);
        let text = std::fs::read_to_string(&file).expect("what testnet wrote");
        let sizes = "[cluster]\nwindow = 4096\nview_timeout_max_ms = 2000";
        std::fs::write(&file, text.replace("[cluster]", sizes)).expect("written");
    }
    for words in [&good[..], &["start", "--dir", "cluster/replica-0"]] {
        let (code, error) = refused(directory.path(), words);
        assert_eq!(code, Some(2), "{words:?}: {error}");
        // (3 + 3) · (4 + 3 · 4,096) + 4,097 are 77,849; with 1,051 it is 19,994, one second of work.
        assert!(error.contains("a view change 77849"), "{words:?}: {error}");
        assert!(error.contains("lower window to at most 1051"), "{words:?}: {error}");
    }
}

/// Outside fault F15: Which cluster and which client may be said behind the operation, too.
#[test]
fn the_cluster_may_be_named_behind_the_operation() {
    let directory = testnet();
    for words in ["bank balance alice --dir nowhere", "bank --dir nowhere balance alice"] {
        let (code, error) = refused(directory.path(), &words.split(' ').collect::<Vec<_>>());
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains("nowhere/cluster.toml"), "{words}: {error}");
    }
    let words = "bank balance alice --client nobody --dir cluster";
    let (code, error) = refused(directory.path(), &words.split(' ').collect::<Vec<_>>());
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("--client nobody") && error.contains("client-0"), "{error}");
}

/// Outside fault F14: What passes by itself has an exit code of its own.
#[test]
fn what_passes_by_itself_is_to_be_tried_again() {
    let directory = testnet();
    let busy = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let busy = busy.local_addr().expect("bound").to_string();
    let start = |more: &[&str]| {
        refused(directory.path(), &[&["start", "--dir", "cluster/replica-0"], more].concat())
    };
    let (code, error) = start(&["--listen", &busy]);
    assert_eq!(code, Some(6), "{error}");
    assert!(error.contains(&format!("cannot listen on {busy}")), "{error}");
    let (code, error) = start(&["--listen", "127.0.0.1:0", "--admin", &busy]);
    assert_eq!(code, Some(6), "{error}");
    // The name can never be one (RFC 6761).
    let (code, error) = start(&["--listen", "replica-0.invalid:7000"]);
    assert_eq!(code, Some(6), "{error}");
    assert!(error.contains("replica-0.invalid:7000 does not resolve"), "{error}");
    // What is wrong for good stays so.
    for wrong in ["127.0.0.1", "127.0.0.1:port"] {
        let (code, error) = start(&["--listen", wrong]);
        assert_eq!(code, Some(2), "{wrong}: {error}");
    }
    let (code, error) = start(&["--admin", "localhost"]);
    assert_eq!(code, Some(2), "{error}");
}

#[test]
fn a_store_is_inspected_and_left_alone() {
    let directory = testnet();
    let before = snapshot(directory.path());
    let replica = "cluster/replica-2";
    let output = pbft(directory.path(), &["inspect", "--dir", replica, "--format", "json"]);
    assert!(output.status.success(), "{output:?}");
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&shown["replica"], &shown["view"]), (&2.into(), &0.into()));
    assert_eq!(shown["stable"]["seq"], 0);
    let output = pbft(directory.path(), &["inspect", "--dir", replica]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("0: the initial state"), "{output:?}");
    assert_eq!(snapshot(directory.path()), before);
    std::fs::write(directory.path().join(replica).join("data.redb"), [7; 9000]).expect("written");
    let (code, error) = refused(directory.path(), &["inspect", "--dir", replica]);
    assert_eq!(code, Some(5), "{error}");
    assert!(error.contains("the store is damaged"), "{error}");
}

#[test]
fn recovery_needs_a_lost_store_and_the_others() {
    let directory = testnet();
    let recover = ["recover", "--dir", "cluster/replica-0", "--wait", "0"];
    let (code, error) = refused(directory.path(), &recover);
    assert_eq!(code, Some(1), "{error}");
    assert!(
        error.contains("this store is in order") && error.contains("start the replica"),
        "{error}"
    );
    std::fs::remove_file(directory.path().join("cluster/replica-0/data.redb")).expect("removed");
    let before = snapshot(directory.path());
    let (code, error) = refused(directory.path(), &recover);
    assert_eq!(code, Some(4), "{error}");
    assert!(error.contains("2 must") && error.contains("start the others"), "{error}");
    assert_eq!(snapshot(directory.path()), before);
}

#[test]
fn a_replica_refuses_a_spoilt_directory_and_changes_nothing() {
    for (name, spoil, code, words) in SPOILERS {
        let directory = testnet();
        let replica = directory.path().join("cluster/replica-0");
        spoil(&replica);
        let before = snapshot(directory.path());
        let (got, error) = refused(directory.path(), &["start", "--dir", "cluster/replica-0"]);
        assert_eq!(got, Some(code), "{name}: {error}");
        assert!(words.iter().all(|word| error.contains(word)), "{name}: {error}");
        assert!(snapshot(directory.path()) == before, "{name}");
    }
}

#[test]
fn without_a_quorum_commands_end_with_4() {
    let directory = testnet();
    let (code, error) = refused(directory.path(), &["bank", "balance", "alice", "--timeout", "1"]);
    assert_eq!(code, Some(4), "{error}");
    assert!(error.contains("pbft status"), "{error}");
    let output = pbft(directory.path(), &["status", "--format", "json", "--wait", "200"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(status["reachable"], 0);
    assert_eq!(status["quorum"], 3);
}

#[test]
fn wrong_usage_ends_with_2_and_help_has_examples() {
    let directory = testnet();
    let cases: [&[&str]; 5] = [
        &["bank", "deposit", "alice", "0"],
        &["bank", "deposit", "a b", "1"],
        &["bank", "--client", "nobody", "balance", "alice"],
        &["bank", "--dir", "elsewhere", "balance", "alice"],
        &["load", "--clients", "9"],
    ];
    for arguments in cases {
        let (code, error) = refused(directory.path(), arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {error}");
        assert!(!error.is_empty());
    }
    for command in
        ["testnet", "start", "up", "bank", "status", "load", "recover", "suspect", "inspect"]
    {
        let output = pbft(directory.path(), &[command, "--help"]);
        let help = String::from_utf8(output.stdout).expect("text");
        assert!(help.contains(&format!("pbft {command}")) && help.contains("Example"), "{help}");
    }
}
