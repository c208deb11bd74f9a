//! Good things, for scripts to spoil.

use crate::lone_replica::craft;
use pbft_core::message::{PreparedCertificate, Proposal};
use pbft_core::types::{Digest, ReplicaId};
use pbft_core::{Durable, Membership, Params, Record};
use pbft_node::store::{Identity, Store};
use pbft_tests::binary::workspace_root;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A cluster file with four replicas and two clients.
pub(crate) const CLUSTER_FILE: &str = include_str!("honest/cluster.toml");

/// The replica of a simulated cluster whose trace file is spoiled.
pub(crate) const SPOILED: usize = 1;

/// What it recorded; made with the corpora.
pub(crate) fn trace() -> &'static [u8] {
    &traces()[SPOILED]
}

/// What the other replicas recorded of the same run.
pub(crate) fn other_traces() -> Vec<&'static [u8]> {
    let others = traces().iter().enumerate().filter(|(replica, _)| *replica != SPOILED);
    others.map(|(_, bytes)| &bytes[..]).collect()
}

fn traces() -> &'static [Vec<u8>; 4] {
    static TRACES: OnceLock<[Vec<u8>; 4]> = OnceLock::new();
    let read = |replica| std::fs::read(trace_path(replica)).expect("a trace file");
    TRACES.get_or_init(|| [0, 1, 2, 3].map(read))
}

/// Where a replica's is.
pub(crate) fn trace_path(replica: usize) -> PathBuf {
    workspace_root().join(format!("tests/system/fuzz/honest/r{replica}.jsonl"))
}

/// The parameters of the cluster whose messages are in the corpora.
pub(crate) fn params() -> Params {
    let plan = pbft_sim::fault::Plan::calm(1, 4);
    let membership = Membership::new(4).expect("a size");
    pbft_sim::world::params(&plan, membership, ReplicaId(0))
}

/// Whose store it is.
pub(crate) fn identity() -> Identity {
    Identity::new(Digest([7; 32]), ReplicaId(1))
}

/// The files of a store, as a replica that was killed leaves them and as one that stopped does, and what it remembers.
pub(crate) struct StoreFiles {
    /// Of each the files with their names.
    pub(crate) ends: [Vec<(String, Vec<u8>)>; 2],
    /// What they say.
    pub(crate) durable: Durable,
}

/// The commits of a good store, each with a pair of the service's state.
pub(crate) const COMMITS: u64 = 8;

/// A store after some commits.
pub(crate) fn store() -> StoreFiles {
    let directory = tempfile::tempdir().expect("temporary directory");
    let mut store = Store::create(directory.path(), identity()).expect("created");
    for seq in 1..=COMMITS {
        let batch = craft::batch(seq as u32);
        let pre_prepare = craft::pre_prepare(0, seq, batch.digest(), 0);
        let prepares = [2, 3].map(|id| craft::signed_prepare(0, seq, batch.digest(), id)).to_vec();
        let certificate = PreparedCertificate { pre_prepare: pre_prepare.clone(), prepares };
        let mut transaction = store.begin();
        let proposal = Arc::new(Proposal { pre_prepare, batch });
        transaction.append(&Record::Accepted(proposal)).expect("appended");
        transaction.append(&Record::Prepared(Arc::new(certificate))).expect("appended");
        let put = transaction.with_state(|state| state.put(&seq.to_be_bytes(), b"value"));
        put.expect("written").expect("small");
        transaction.commit().expect("committed");
    }
    let durable = store.durable().clone();
    let killed = files(directory.path());
    drop(store);
    StoreFiles { ends: [killed, files(directory.path())], durable }
}

fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(directory).expect("listed").map(|entry| entry.expect("one"));
    let mut files: Vec<_> = entries
        .map(|entry| {
            let name = entry.file_name().into_string().expect("a name in ASCII");
            (name, std::fs::read(entry.path()).expect("read"))
        })
        .collect();
    files.sort();
    files
}
