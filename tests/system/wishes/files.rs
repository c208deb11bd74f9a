//! Wishes about files.

use pbft_tests::binary::pbft_binary;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a system call did to names and files, as `strace -y` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    /// There is a new name at this path.
    Named(PathBuf),
    /// The entries of this directory, or the bytes of this file, are on the disk.
    Synced(PathBuf),
}

/// The calls in a log of strace, in order; those that failed are left out.
fn calls(log: &str, directory: &Path) -> Vec<Call> {
    log.lines().filter_map(|line| call(line, directory)).collect()
}

fn call(line: &str, directory: &Path) -> Option<Call> {
    let (before, result) = line.rsplit_once(" = ")?;
    if !result.trim().starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    // `PID name(arguments)`
    let (name, arguments) =
        before.trim_start_matches(|c: char| c.is_ascii_digit()).split_once('(')?;
    let in_brackets = || {
        let (_, rest) = arguments.split_once('<')?;
        Some(PathBuf::from(rest.split_once('>')?.0))
    };
    let in_quotes = |which: usize| {
        let quoted = arguments.split('"').skip(1).step_by(2).nth(which)?;
        Some(directory.join(quoted))
    };
    match name.trim() {
        "fsync" | "fdatasync" => Some(Call::Synced(in_brackets()?)),
        "rename" | "renameat" | "renameat2" => Some(Call::Named(in_quotes(1)?)),
        "mkdir" | "mkdirat" => Some(Call::Named(in_quotes(0)?)),
        "open" | "openat" if arguments.contains("O_CREAT") => Some(Call::Named(in_quotes(0)?)),
        _ => None,
    }
}

/// The names below `directory` whose parent directory was not synced after they came to be there.
fn lost_in_a_power_cut(calls: &[Call], directory: &Path) -> Vec<PathBuf> {
    let mut unsynced: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for call in calls {
        match call {
            Call::Named(path) if path.starts_with(directory) => {
                if let Some(parent) = path.parent() {
                    unsynced.insert(path.clone(), parent.to_owned());
                }
            }
            Call::Named(_) => {}
            Call::Synced(path) => unsynced.retain(|_, parent| parent != path),
        }
    }
    unsynced.into_keys().collect()
}

/// Runs `pbft` under strace; `None` where there is none, or it may not trace.
fn traced(directory: &Path, words: &str) -> Option<Vec<Call>> {
    let log = directory.join("strace.log");
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-s", "4096", "-o"]).arg(&log);
    command
        .args(["-e", "trace=fsync,fdatasync,rename,renameat,renameat2,mkdir,mkdirat,open,openat"]);
    command.arg(pbft_binary()).args(words.split(' ')).current_dir(directory);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    let text = std::fs::read_to_string(&log).ok()?;
    assert!(status.success(), "pbft {words}");
    Some(calls(&text, directory))
}

/// What lets a replica start must be as durable as the votes that it then sends: a name that a power cut takes away
/// takes the file with it.
#[test]
fn i9_every_new_name_is_synced_with_its_directory() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let directory = directory.path().canonicalize().expect("it is there");
    let Some(made) = traced(&directory, "testnet --base-port 10930") else {
        eprintln!("not tested: there is no strace here, or it may not trace");
        return;
    };
    assert!(made.contains(&Call::Named(directory.join("cluster"))), "{made:#?}");
    let store = |name: &Path| name.ends_with("data.redb");
    let stores = made.iter().filter(|one| matches!(one, Call::Named(name) if store(name)));
    assert!(stores.count() >= 4, "{made:#?}");
    assert_eq!(lost_in_a_power_cut(&made, &directory), Vec::<PathBuf>::new());

    let init =
        "init --cluster cluster/cluster.toml --key cluster/replica-1/replica.key --never-ran";
    let made = traced(&directory, &format!("{init} --dir new")).expect("as before");
    assert!(made.contains(&Call::Named(directory.join("new/replica.key"))), "{made:#?}");
    assert_eq!(lost_in_a_power_cut(&made, &directory), Vec::<PathBuf>::new());
}

#[test]
fn a_name_without_a_sync_of_its_directory_is_found() {
    let log = r#"7 openat(AT_FDCWD</d>, "c.partial/store.id", O_WRONLY|O_CREAT|O_EXCL, 0666) = 3</d/c.partial/store.id>
7 fsync(3</d/c.partial/store.id>)    = 0
7 rename("c.partial", "c")           = 0
8 openat(AT_FDCWD</d>, "absent", O_RDONLY) = -1 ENOENT (No such file or directory)
"#;
    let directory = Path::new("/d");
    let seen = calls(log, directory);
    let lost = lost_in_a_power_cut(&seen, directory);
    assert_eq!(lost, [PathBuf::from("/d/c"), PathBuf::from("/d/c.partial/store.id")]);
    let synced = format!("7 fsync(4</d/c.partial>) = 0\n{log}7 fsync(5</d>) = 0\n");
    let lost = lost_in_a_power_cut(&calls(&synced, directory), directory);
    assert_eq!(lost, [PathBuf::from("/d/c.partial/store.id")], "that sync came too early");
}
