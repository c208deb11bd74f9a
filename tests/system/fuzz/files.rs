//! What comes from disks: the store, the cluster file, trace files.

use crate::edit::edited;
use crate::{honest, turn};
use pbft_conformance::validate::recording::{Part, Refused};
use pbft_conformance::validate::{Options, Recording, Validity, validate};
use pbft_core::Params;
use pbft_core::types::{Digest, ReplicaId};
use pbft_node::config::{Cluster, ClusterFile};
use pbft_node::store::Store;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Random inputs of each target besides its corpus.
const ITERATIONS: usize = 200;

/// The same for stores, each of which is written to files and opened.
const ITERATIONS_STORE: usize = 100;

/// The bytes at the beginning of a database file that say where everything is, and which commit is the last.
const HEAD: usize = 320;

/// Of the others that are not 0 one in so many.
const STRIDE: usize = 37;

/// Writes a store's files. In memory where there is such a place: nobody waits for a disk.
fn written(files: &[(String, Vec<u8>)]) -> tempfile::TempDir {
    let place = Some(Path::new("/dev/shm")).filter(|place| place.is_dir());
    let directory = match place {
        Some(place) => tempfile::tempdir_in(place),
        None => tempfile::tempdir(),
    };
    let directory = directory.expect("temporary directory");
    for (name, content) in files {
        std::fs::write(directory.path().join(name), content).expect("written");
    }
    directory
}

/// The store is refused, or it remembers exactly what it remembered. Whether it is refused.
fn open_store(good: &honest::StoreFiles, files: &[(String, Vec<u8>)]) -> bool {
    let opened = Store::open(written(files).path(), honest::identity());
    match &opened {
        Ok(store) => assert_eq!(*store.durable(), good.durable, "another memory"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    opened.is_err()
}

/// A store that is only looked at is refused, or can be read.
fn examine_store(files: &[(String, Vec<u8>)]) {
    match Store::examine(written(files).path()) {
        Ok(store) => {
            store.service_state().expect("sound");
            assert_eq!(store.pairs(b"", 9).expect("sound").len() as u64, honest::COMMITS);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn good_store() -> &'static honest::StoreFiles {
    static GOOD: OnceLock<honest::StoreFiles> = OnceLock::new();
    GOOD.get_or_init(honest::store)
}

/// One of a store's files is changed.
#[test]
fn store() {
    let _turn = turn();
    bolero::check!().with_iterations(ITERATIONS_STORE).for_each(|input: &[u8]| {
        let Some((which, script)) = input.split_first() else { return };
        let mut files = good_store().ends[usize::from(*which >> 7)].clone();
        let number = usize::from(*which & 0x7f) % files.len();
        files[number].1 = edited(&files[number].1, script);
        examine_store(&files);
        open_store(good_store(), &files);
    });
}

/// Bytes changed alone: all that say where the rest is or whose store it is, and some of the rest.
#[test]
fn each_byte_of_a_stores_head_changed() {
    let _turn = turn();
    for good in &good_store().ends {
        assert!(!open_store(good_store(), good));
        for (number, (name, content)) in good.iter().enumerate() {
            let head = 0..content.len().min(HEAD);
            let in_use = (HEAD..content.len()).filter(|at| content[*at] != 0);
            for (nth, at) in head.chain(in_use.step_by(STRIDE)).enumerate() {
                let mut files = good.clone();
                files[number].1[at] ^= 1;
                if nth % 8 == 0 {
                    examine_store(&files);
                }
                let refused = open_store(good_store(), &files);
                assert!(refused || name != "store.id", "byte {at} of {name} says nothing");
            }
        }
    }
}

/// What must be the same everywhere, which is all but addresses.
fn shared(cluster: &Cluster, text: &str) -> impl PartialEq + use<> {
    let file: ClusterFile = toml::from_str(text).expect("it was read");
    let replicas: Vec<_> = cluster.replicas().iter().map(|replica| replica.key).collect();
    let params = Params { cluster: Digest::default(), ..cluster.params(ReplicaId(0)) };
    let clients = cluster.clients().to_vec();
    (file.cluster.nonce, cluster.name().to_owned(), replicas, clients, params)
}

/// A cluster file is refused with the reason, or its id says whether anything is different.
fn read_cluster_file(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let path = Path::new("cluster.toml");
    let good = Cluster::parse(honest::CLUSTER_FILE, path).expect("a good file");
    match Cluster::parse(&text, path) {
        Ok(cluster) => {
            assert!(cluster.replicas().len() >= 4);
            assert_eq!(Cluster::parse(&text, path).expect("again").id(), cluster.id());
            let same = shared(&good, honest::CLUSTER_FILE) == shared(&cluster, &text);
            assert_eq!(same, cluster.id() == good.id(), "the id covers what is shared: {text}");
            let keys: BTreeSet<_> = cluster.replicas().iter().map(|r| r.key.to_bytes()).collect();
            assert_eq!(keys.len(), cluster.replicas().len(), "two replicas have one key");
        }
        Err(error) => assert!(error.to_string().contains("cluster.toml"), "{error}"),
    }
}

#[test]
fn cluster_file() {
    let _turn = turn();
    bolero::check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        read_cluster_file(&edited(honest::CLUSTER_FILE.as_bytes(), input));
    });
}

/// Every byte of a cluster file, changed alone, and every key given to the replica before.
#[test]
fn each_byte_of_a_cluster_file_changed() {
    let _turn = turn();
    let good = honest::CLUSTER_FILE.as_bytes();
    for at in 0..good.len() {
        for value in [b'1', b'"', good[at] ^ 1] {
            let mut changed = good.to_vec();
            changed[at] = value;
            read_cluster_file(&changed);
        }
    }
    let lines: Vec<&str> = honest::CLUSTER_FILE.lines().collect();
    let keys: Vec<_> = lines.iter().filter(|line| line.starts_with("public_key")).collect();
    for pair in keys.windows(2) {
        read_cluster_file(honest::CLUSTER_FILE.replace(*pair[1], pair[0]).as_bytes());
    }
}

fn recording(bytes: &[u8]) -> Recording<&[u8]> {
    Recording::new(PathBuf::from("trace.jsonl"), bytes)
}

/// The steps in a trace file, or why it is refused.
fn read_trace(bytes: &[u8]) -> Result<usize, Refused> {
    let mut recording = recording(bytes);
    let mut steps = 0;
    loop {
        match recording.next_part()? {
            Part::Group(group) => steps += group.len(),
            Part::End { .. } => return Ok(steps),
            Part::Start(..) | Part::Gap(..) => {}
        }
    }
}

/// How many steps the model allows, if it allows all of a run in which one replica's file is this one.
fn judged_valid(bytes: &[u8]) -> Option<u64> {
    let options = Options { truncated_ok: true, ..Options::default() };
    let mut files = vec![recording(bytes)];
    files.extend(honest::other_traces().iter().map(|other| recording(other)));
    let judged = validate(files, &options).ok()?;
    (judged.verdict == Validity::Valid).then_some(judged.steps)
}

/// The steps in the other replicas' files.
fn other_steps() -> usize {
    static STEPS: OnceLock<usize> = OnceLock::new();
    let steps = |other: &&[u8]| read_trace(other).expect("a good file");
    *STEPS.get_or_init(|| honest::other_traces().iter().map(steps).sum())
}

/// A trace file is read to its end or refused, and all that is read is judged.
#[test]
fn trace_file() {
    let _turn = turn();
    bolero::check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        let bytes = edited(honest::trace(), input);
        let read = read_trace(&bytes);
        let steps = judged_valid(&bytes);
        match read {
            Ok(read) => {
                let all = (read + other_steps()) as u64;
                assert!(steps.is_none_or(|steps| steps == all), "not all steps are judged");
            }
            Err(refused) => {
                assert!(refused.to_string().starts_with("trace.jsonl:"), "{refused}");
                assert!(steps.is_none(), "a file that is refused is valid");
            }
        }
    });
}

/// A step left out, made unreadable, said twice, or said too late, or something unreadable between: the file is
/// refused, with the line.
#[test]
fn each_line_of_a_trace_file_moved() {
    let _turn = turn();
    let lines: Vec<&[u8]> = honest::trace().split_inclusive(|byte| *byte == b'\n').collect();
    let steps = read_trace(honest::trace()).expect("a good file");
    assert_eq!(judged_valid(honest::trace()), Some((steps + other_steps()) as u64));
    assert!(steps > 20 && lines.len() == steps + 2, "a header, {steps} steps and an end");
    for at in 1..=steps {
        let (before, after) = (&lines[..at], &lines[at + 1..]);
        let twice = [before, &[lines[at]; 2], after].concat();
        let late = [before, &after[..1], &[lines[at]], &after[1..]].concat();
        let unreadable = [before, &[b"{\n"], after].concat();
        let between = [before, &[b"{\n"], &lines[at..]].concat();
        for changed in [[before, after].concat(), unreadable, between, twice, late] {
            let refused =
                read_trace(&changed.concat()).expect_err("a step is not where it belongs");
            assert!(refused.line.abs_diff(at as u64 + 1) <= 1, "line {}: {refused}", at + 1);
        }
    }
}
