//! Wrong files are refused with the file, the field and what to do about it, and nothing on disk changes.

use pbft_tests::cluster::{ProcessCluster, Shape};
use pbft_tests::process::run_pbft;
use pbft_tests::snapshot::{copy, differences, snapshot};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A way to spoil a cluster's directory, and what must come of it.
struct Case {
    name: &'static str,
    /// Is given the directory of the cluster, and beside it `other`, another cluster's.
    spoil: fn(&Path),
    /// The command that is refused.
    command: &'static str,
    exit_code: i32,
    /// The file, the field or problem, and the remedy.
    message: [&'static str; 3],
}

const START: &str = "start --dir cluster/replica-0";
const BALANCE: &str = "bank balance alice --timeout 2";

const CASES: &[Case] = &[
    Case {
        name: "three replicas",
        spoil: |dir| edit_all(dir, |text| without_table(&text, "[[replica]]\nid = 3\n")),
        command: START,
        exit_code: 2,
        message: ["replica-0/cluster.toml: ", "replica: 3 replicas", "at least 4"],
    },
    Case {
        name: "three replicas, to `up`",
        spoil: |dir| edit_all(dir, |text| without_table(&text, "[[replica]]\nid = 3\n")),
        command: "up",
        exit_code: 2,
        message: ["cluster/cluster.toml: ", "replica: 3 replicas", "at least 4"],
    },
    Case {
        name: "three replicas, to a client",
        spoil: |dir| edit_all(dir, |text| without_table(&text, "[[replica]]\nid = 3\n")),
        command: BALANCE,
        exit_code: 2,
        message: ["cluster/cluster.toml: ", "replica: 3 replicas", "at least 4"],
    },
    Case {
        name: "two replicas with the same key",
        spoil: |dir| edit_all(dir, |text| same_key(&text, 0, 2)),
        command: START,
        exit_code: 2,
        message: [
            "replica-0/cluster.toml: ",
            "replica[2].public_key: is the same key as replica[0].public_key",
            "its own key",
        ],
    },
    Case {
        name: "a client with a replica's key",
        spoil: |dir| edit_all(dir, |text| same_key(&text, 1, 4)),
        command: START,
        exit_code: 2,
        message: [
            "replica-0/cluster.toml: ",
            "client[0].public_key: is the same key as replica[1].public_key",
            "its own key",
        ],
    },
    Case {
        name: "a weak key",
        spoil: |dir| {
            edit_all(dir, |text| {
                let weak = format!("01{}", "0".repeat(62));
                text.replace(&public_keys(&text)[1], &weak)
            });
        },
        command: START,
        exit_code: 2,
        message: ["replica-0/cluster.toml: ", "replica[1].public_key: is a weak key", "new one"],
    },
    Case {
        name: "an unknown field",
        spoil: |dir| edit_all(dir, |text| text.replace("\nnonce", "\nquorum = 1\nnonce")),
        command: START,
        exit_code: 2,
        message: ["replica-0/cluster.toml: line 6", "`quorum`", "correct the line"],
    },
    Case {
        name: "a key that others can read",
        spoil: |dir| chmod(&dir.join("replica-0/replica.key"), 0o640),
        command: START,
        exit_code: 2,
        message: ["replica-0/replica.key: ", "mode is 0640", "chmod 600 "],
    },
    Case {
        name: "a client's key that others can read",
        spoil: |dir| chmod(&dir.join("clients/client-0.key"), 0o604),
        command: BALANCE,
        exit_code: 2,
        message: ["clients/client-0.key: ", "mode is 0604", "chmod 600 "],
    },
    Case {
        name: "a key that is a link",
        spoil: |dir| {
            let key = dir.join("replica-0/replica.key");
            std::fs::rename(&key, dir.join("elsewhere.key")).expect("moved");
            std::os::unix::fs::symlink("../elsewhere.key", key).expect("linked");
        },
        command: START,
        exit_code: 2,
        message: ["replica-0/replica.key: ", "not a regular file", "put the key itself there"],
    },
    Case {
        name: "another cluster's data",
        spoil: |dir| {
            for file in ["store.id", "data.redb"] {
                let from = dir.join("../other/replica-0").join(file);
                std::fs::copy(from, dir.join("replica-0").join(file)).expect("copied");
            }
        },
        command: START,
        exit_code: 5,
        message: ["replica-0/store.id: ", "cluster is ", "give the right --dir"],
    },
    Case {
        name: "another cluster's store alone",
        spoil: |dir| {
            let from = dir.join("../other/replica-0/data.redb");
            std::fs::copy(from, dir.join("replica-0/data.redb")).expect("copied");
        },
        command: START,
        exit_code: 5,
        message: ["replica-0/", "cluster is ", "give the right --dir"],
    },
    Case {
        name: "another replica's data",
        spoil: |dir| {
            for file in ["store.id", "data.redb"] {
                let from = dir.join("replica-1").join(file);
                std::fs::copy(from, dir.join("replica-0").join(file)).expect("copied");
            }
        },
        command: START,
        exit_code: 5,
        message: ["replica-0/store.id: ", "replica is 1, expected 0", "give the right --dir"],
    },
    Case {
        name: "no data directory",
        spoil: |dir| std::fs::remove_dir_all(dir.join("replica-0")).expect("removed"),
        command: START,
        exit_code: 2,
        message: ["replica-0/cluster.toml: ", "No such file", "give the right --dir"],
    },
    Case {
        name: "no store in the data directory",
        spoil: |dir| {
            for file in ["store.id", "data.redb"] {
                std::fs::remove_file(dir.join("replica-0").join(file)).expect("removed");
            }
        },
        command: START,
        exit_code: 5,
        message: ["replica-0/", "there is no store", "pbft recover"],
    },
    Case {
        name: "not a cluster file",
        spoil: |dir| {
            std::fs::write(dir.join("replica-0/cluster.toml"), [0xff; 9]).expect("written")
        },
        command: START,
        exit_code: 2,
        message: ["replica-0/cluster.toml: ", "UTF-8", "give the right --dir"],
    },
];

/// Changes the cluster file of all who have one.
fn edit_all(cluster: &Path, change: impl Fn(String) -> String) {
    let replicas = (0..4).map(|id| cluster.join(format!("replica-{id}")));
    for directory in replicas.chain([cluster.to_owned()]) {
        let file = directory.join("cluster.toml");
        let text = std::fs::read_to_string(&file).expect("what testnet wrote");
        let changed = change(text.clone());
        assert_ne!(changed, text, "the case changes something");
        std::fs::write(&file, changed).expect("written");
    }
}

/// The text without the table that begins with `start`.
fn without_table(text: &str, start: &str) -> String {
    let from = text.find(start).expect("the table is there");
    let after = from + start.len();
    let to = text[after..].find("[[").map_or(text.len(), |offset| after + offset);
    format!("{}{}", &text[..from], &text[to..])
}

/// All public keys, the replicas' first.
fn public_keys(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("public_key = \""));
    lines.filter_map(|rest| Some(rest.strip_suffix('"')?.to_owned())).collect()
}

/// The text with one public key in place of another.
fn same_key(text: &str, kept: usize, replaced: usize) -> String {
    let keys = public_keys(text);
    text.replace(&keys[replaced], &keys[kept])
}

fn chmod(file: &Path, mode: u32) {
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).expect("chmod");
}

#[test]
fn every_wrong_file_is_refused_and_nothing_changes() {
    let original = ProcessCluster::create(Shape::default());
    let other = tempfile::tempdir().expect("temporary directory");
    let made = run_pbft(other.path(), &["testnet", "--dir", "other", "--base-port", "10990"]);
    assert!(made.status.success(), "{made:?}");
    for case in CASES {
        let directory = tempfile::tempdir().expect("temporary directory");
        let cluster = directory.path().join("cluster");
        copy(&original.directory().join("cluster"), &cluster);
        copy(&other.path().join("other"), &directory.path().join("other"));
        (case.spoil)(&cluster);
        let before = snapshot(directory.path());
        let arguments: Vec<&str> = case.command.split(' ').collect();
        let output = run_pbft(directory.path(), &arguments);
        let message = String::from_utf8_lossy(&output.stderr);
        let name = case.name;
        assert_eq!(output.status.code(), Some(case.exit_code), "{name}: {message}");
        assert!(output.stdout.is_empty(), "{name}: errors go to standard error");
        for part in case.message {
            assert!(message.contains(part), "{name}: `{part}` is not in: {message}");
        }
        assert_eq!(message.lines().count(), 1, "{name}: one line says it all: {message}");
        let changed = differences(&before, &snapshot(directory.path()));
        assert!(changed.is_empty(), "{name}: changed on disk: {changed:?}");
    }
}
