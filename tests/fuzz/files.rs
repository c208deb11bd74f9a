//! What comes from disks: the store, the cluster file, trace files.

use crate::edit::edited;
use crate::{honest, turn};
use pbft_conformance::validate::recording::Part;
use pbft_conformance::validate::{Options, Recording, Verdict, validate};
use pbft_node::config::Cluster;
use pbft_node::store::Store;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Random inputs of each target besides its corpus.
const ITERATIONS: usize = 200;

/// The same for stores, each of which is written to a disk and opened.
const ITERATIONS_STORE: usize = 20;

/// One of a store's files is changed: the store is refused, or it remembers exactly what it remembered.
#[test]
fn store() {
    let _turn = turn();
    bolero::check!().with_iterations(ITERATIONS_STORE).for_each(|input: &[u8]| {
        static GOOD: OnceLock<honest::StoreFiles> = OnceLock::new();
        let good = GOOD.get_or_init(honest::store);
        let Some((which, script)) = input.split_first() else { return };
        let directory = tempfile::tempdir().expect("temporary directory");
        let files = &good.ends[usize::from(*which >> 7)];
        for (number, (name, content)) in files.iter().enumerate() {
            let changed = number == usize::from(*which & 0x7f) % files.len();
            let content = if changed { edited(content, script) } else { content.clone() };
            std::fs::write(directory.path().join(name), content).expect("written");
        }
        match Store::open(directory.path(), honest::identity()) {
            Ok(store) => assert_eq!(*store.durable(), good.durable, "another memory"),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
}

/// A cluster file is refused with the reason, or says the same each time that it is read.
#[test]
fn cluster_file() {
    let _turn = turn();
    bolero::check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        let bytes = edited(honest::CLUSTER_FILE.as_bytes(), input);
        let text = String::from_utf8_lossy(&bytes);
        let path = Path::new("cluster.toml");
        match Cluster::parse(&text, path) {
            Ok(cluster) => {
                assert!(cluster.replicas().len() >= 4);
                assert_eq!(Cluster::parse(&text, path).expect("again").id(), cluster.id());
            }
            Err(error) => assert!(error.to_string().contains("cluster.toml"), "{error}"),
        }
    });
}

/// A trace file is read to its end or refused, and what is read is judged.
#[test]
fn trace_file() {
    let _turn = turn();
    bolero::check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        let bytes = edited(honest::trace(), input);
        let open = || Recording::new(PathBuf::from("trace.jsonl"), &bytes[..]);
        let mut recording = open();
        let mut steps = 0;
        let refused = loop {
            match recording.next_part() {
                Ok(Part::Group(group)) => steps += group.len(),
                Ok(Part::End { .. }) => break false,
                Ok(Part::Start(..) | Part::Gap(..)) => {}
                Err(refused) => {
                    assert!(refused.to_string().starts_with("trace.jsonl:"), "{refused}");
                    break true;
                }
            }
        };
        assert!(steps <= bytes.len(), "{steps} steps in {} bytes", bytes.len());
        let options = Options { truncated_ok: true, ..Options::default() };
        let judged = validate(vec![open()], &options);
        let valid = judged.is_ok_and(|judged| judged.verdict == Verdict::Valid);
        assert!(!refused || !valid, "a file that is refused is valid");
    });
}
