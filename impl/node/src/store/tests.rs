//! One test body for both media, and what only files can get wrong.

use super::*;
use pbft_core::evidence::{Contradiction, SignedVote};
use pbft_core::manifest::{ChunkId, chunk_digest};
use pbft_core::message::{
    Batch, Checkpoint, PrePrepare, Proposal, Request, Signed, StableCertificate,
};
use pbft_core::types::{ReplicaId, Session, Signature, Timestamp, View};
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) fn identity(replica: u32) -> Identity {
    Identity::new(Digest([7; 32]), ReplicaId(replica))
}

pub(super) fn signed<B>(body: B) -> Signed<B> {
    Signed { body, signature: Signature::default() }
}

pub(super) fn accepted(seq: u64) -> Record {
    let pre_prepare = signed(PrePrepare {
        view: View(0),
        seq: SeqNum(seq),
        digest: Digest::default(),
        replica: ReplicaId(0),
    });
    Record::Accepted(Arc::new(Proposal { pre_prepare, batch: Arc::new(Batch::default()) }))
}

pub(super) fn stable(seq: u64) -> Record {
    let checkpoint =
        signed(Checkpoint { seq: SeqNum(seq), digest: Digest::default(), replica: ReplicaId(1) });
    Record::Stable(Arc::new(StableCertificate { checkpoints: vec![checkpoint] }))
}

fn request(client: u32, timestamp: u64) -> Request {
    Request {
        client: ClientId(client),
        lane: Lane(0),
        timestamp: Timestamp(timestamp),
        session: Session::default(),
        operation: Vec::new(),
    }
}

fn reply(timestamp: u64) -> LastReply {
    LastReply::to(&request(1, timestamp), Arc::from(&b"done"[..]))
}

/// A medium that can be opened again and again.
enum Medium {
    File(tempfile::TempDir),
    Memory(MemoryDisk),
}

impl Medium {
    fn both() -> [Self; 2] {
        let directory = tempfile::tempdir().expect("temporary directory");
        drop(Store::create(directory.path(), identity(0)).expect("created"));
        [Self::File(directory), Self::Memory(MemoryDisk::default())]
    }

    fn open(&self) -> Store {
        match self {
            Self::File(directory) => Store::open(directory.path(), identity(0)),
            Self::Memory(disk) => Store::in_memory(disk, identity(0)),
        }
        .expect("opened")
    }
}

/// The reply table after [`execute`].
fn reply_chunks(seq: u64) -> Vec<Arc<[u8]>> {
    let mut table = ReplyTable::default();
    table.record(ClientId(1), Lane(0), reply(seq));
    table.chunks().into_iter().map(Arc::from).collect()
}

/// Executes a batch that puts `pairs`, and takes a checkpoint after it.
pub(super) fn execute(store: &mut Store, seq: u64, pairs: &[(&[u8], &[u8])]) -> Manifest {
    let mut transaction = store.begin();
    transaction
        .with_state(|state| {
            pairs.iter().for_each(|(key, value)| state.put(key, value).expect("small"));
        })
        .expect("executed");
    let asked = request(1, seq);
    transaction.executed(SeqNum(seq), [(&asked, reply(seq))]).expect("recorded");
    let chunks = transaction.chunks().expect("read");
    let replies = reply_chunks(seq);
    let ids = replies.iter().map(|bytes| ChunkId::of(bytes)).collect();
    let manifest = Manifest::new(SeqNum(seq), ids, chunks.ids);
    transaction.store_checkpoint(&manifest, &replies, &chunks.starts).expect("stored");
    transaction.commit().expect("committed");
    manifest
}

#[test]
fn what_is_committed_survives_and_nothing_else() {
    for medium in Medium::both() {
        let mut store = medium.open();
        let mut transaction = store.begin();
        transaction.append(&accepted(1)).expect("appended");
        transaction.append(&accepted(2)).expect("appended");
        transaction.commit().expect("committed");
        let mut lost = store.begin();
        lost.append(&accepted(3)).expect("appended");
        lost.with_state(|state| state.put(b"lost", b"")).expect("open").expect("small");
        drop(lost);
        let before = store.durable().clone();
        drop(store);
        let store = medium.open();
        assert_eq!(store.durable(), &before);
        assert_eq!(before.accepted.keys().copied().collect::<Vec<_>>(), [SeqNum(1), SeqNum(2)]);
        assert_eq!(store.pairs(b"", 9).expect("read"), []);
    }
}

#[test]
fn the_service_state_returns_with_its_replies_and_checkpoints() {
    for medium in Medium::both() {
        let mut store = medium.open();
        let manifest = execute(&mut store, 2, &[(b"a", b"1"), (b"b", b"2")]);
        let digest = store.state_digest().expect("read");
        drop(store);
        let mut store = medium.open();
        let state = store.service_state().expect("read");
        assert_eq!(state.last_executed, SeqNum(2));
        assert_eq!(state.replies.last(ClientId(1), Lane(0)), Some(&reply(2)));
        assert_eq!(state.manifests, std::slice::from_ref(&manifest));
        assert_eq!(store.state_digest().expect("read"), digest);
        let part = |part| store.state_part(SeqNum(2), part).expect("read");
        assert_eq!(part(StatePart::Manifest), Some(manifest.encode()));
        assert_eq!(part(StatePart::Chunk(0)).as_deref(), Some(&*reply_chunks(2)[0]));
        assert_eq!(ChunkId::of(&part(StatePart::Chunk(1)).expect("there")), manifest.chunks[1]);
        assert_eq!(part(StatePart::Chunk(2)), None);
    }
}

#[test]
fn a_stable_checkpoint_cuts_the_log_and_lets_go_of_earlier_checkpoints() {
    for medium in Medium::both() {
        let mut store = medium.open();
        execute(&mut store, 2, &[(b"a", b"1")]);
        execute(&mut store, 4, &[(b"a", b"2")]);
        execute(&mut store, 6, &[(b"a", b"3")]);
        let mut transaction = store.begin();
        (1..=6).for_each(|seq| transaction.append(&accepted(seq)).expect("appended"));
        transaction.append(&stable(6)).expect("appended");
        transaction.append(&accepted(7)).expect("appended");
        transaction.commit().expect("committed");
        assert_eq!(store.log_records().expect("read"), 1);
        let before = store.durable().clone();
        assert_eq!(before.accepted.keys().map(|seq| seq.0).collect::<Vec<_>>(), [7]);
        drop(store);
        let store = medium.open();
        assert_eq!(store.durable(), &before);
        let state = store.service_state().expect("read");
        assert_eq!(state.manifests.iter().map(|m| m.seq.0).collect::<Vec<_>>(), [4, 6]);
        assert_eq!(store.state_part(SeqNum(2), StatePart::Chunk(1)).expect("read"), None);
        for seq in [4, 6] {
            assert!(store.state_part(SeqNum(seq), StatePart::Chunk(1)).expect("read").is_some());
        }
    }
}

/// Pairs that fill several chunks, all of which but the first keep `fill`.
fn chunkful(first: u8, fill: u8) -> Vec<(Vec<u8>, Vec<u8>)> {
    (0..8).map(|key| (vec![key], vec![if key == 0 { first } else { fill }; 30_000])).collect()
}

#[test]
fn chunks_that_checkpoints_share_are_kept_as_long_as_one_needs_them() {
    for medium in Medium::both() {
        let mut store = medium.open();
        let mut manifests = Vec::new();
        for (seq, first) in [(2, 1), (4, 2), (6, 3)] {
            let pairs = chunkful(first, 9);
            let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|(k, v)| (&**k, &**v)).collect();
            manifests.push(execute(&mut store, seq, &pairs));
        }
        assert!(manifests[0].chunks.len() > 3);
        assert_eq!(manifests[0].chunks[3..], manifests[2].chunks[3..], "unchanged");
        let mut transaction = store.begin();
        transaction.append(&stable(6)).expect("appended");
        transaction.commit().expect("committed");
        for manifest in &manifests[1..] {
            for index in 0..manifest.chunks.len() as u32 {
                let part = store.state_part(manifest.seq, StatePart::Chunk(index)).expect("read");
                assert!(part.is_some(), "{} of {}", index, manifest.seq);
            }
        }
    }
}

#[test]
fn a_checkpoint_that_was_stable_before_it_was_kept_is_whole() {
    let mut store = Medium::Memory(MemoryDisk::default()).open();
    execute(&mut store, 2, &[(b"a", b"1")]);
    let mut transaction = store.begin();
    // Nothing has changed, so there is nothing new to keep; and then what was kept goes.
    let chunks = transaction.chunks().expect("read");
    transaction.append(&stable(4)).expect("appended");
    let replies = reply_chunks(2).iter().map(|bytes| ChunkId::of(bytes)).collect();
    let manifest = Manifest::new(SeqNum(4), replies, chunks.ids);
    transaction.store_checkpoint(&manifest, &[], &chunks.starts).expect("stored");
    transaction.commit().expect("committed");
    assert!(store.state_part(SeqNum(4), StatePart::Chunk(1)).expect("read").is_some());
}

#[test]
fn a_transaction_that_never_happened_leaves_no_digest() {
    let mut store = Medium::Memory(MemoryDisk::default()).open();
    execute(&mut store, 2, &[(b"a", b"1")]);
    let before = store.state_digest().expect("read");
    let mut lost = store.begin();
    lost.with_state(|state| state.put(b"a", b"2")).expect("open").expect("small");
    let changed = lost.chunks().expect("read");
    drop(lost);
    assert_eq!(store.state_digest().expect("read"), before);
    let mut again = store.begin();
    assert_ne!(again.chunks().expect("read"), changed);
    again.with_state(|state| state.put(b"a", b"2")).expect("open").expect("small");
    assert_eq!(again.chunks().expect("read"), changed);
}

#[test]
fn a_reader_sees_what_is_committed_until_the_store_is_closed() {
    let mut store = Medium::Memory(MemoryDisk::default()).open();
    let reader = store.reader();
    execute(&mut store, 2, &[(b"a", b"1")]);
    let mut view = reader.view().expect("read").expect("open");
    let mut transaction = store.begin();
    transaction.with_state(|state| state.put(b"a", b"2")).expect("open").expect("small");
    assert_eq!((view.seq(), view.get(b"a")), (SeqNum(2), Some(b"1".to_vec())));
    transaction.commit().expect("committed");
    assert_eq!(view.get(b"a"), Some(b"1".to_vec()), "a view does not change");
    assert_eq!(reader.view().expect("read").expect("open").get(b"a"), Some(b"2".to_vec()));
    drop((view, store));
    assert!(reader.view().expect("read").is_none());
}

#[test]
fn a_fetched_state_replaces_what_was_there() {
    let mut source = Medium::both().map(|medium| medium.open());
    for (medium, source) in Medium::both().into_iter().zip(&mut source) {
        let large = vec![5; 40_000];
        let manifest = execute(source, 8, &[(b"a", &large), (b"b", &large), (b"c", b"3")]);
        let mut store = medium.open();
        execute(&mut store, 2, &[(b"old", b"gone"), (b"a", b"1")]);
        let mut replies = ReplyTable::default();
        replies.record(ClientId(2), Lane(1), reply(9));
        let mut transaction = store.begin();
        for index in 1..manifest.chunks.len() as u32 {
            let bytes = source.state_part(SeqNum(8), StatePart::Chunk(index)).expect("read");
            let digest = manifest.chunks[index as usize].digest;
            transaction.stage(digest, &bytes.expect("there")).expect("staged");
        }
        let table: Vec<Vec<u8>> = replies.chunks();
        transaction.stage(chunk_digest(&table[0]), &table[0]).expect("staged");
        let ids = vec![ChunkId::of(&table[0])];
        let manifest = Manifest::new(SeqNum(8), ids, manifest.service_chunks().to_vec());
        assert_eq!(transaction.install(&manifest).expect("installed"), replies);
        transaction.commit().expect("committed");
        let digest = store.state_digest().expect("read");
        drop(store);
        let mut store = medium.open();
        assert_eq!(store.state_digest().expect("read"), digest);
        assert_eq!(digest, source.state_digest().expect("read"));
        let state = store.service_state().expect("read");
        assert_eq!((state.last_executed, state.replies), (SeqNum(8), replies));
        assert!(state.manifests.contains(&manifest), "it can be served");
    }
}

/// Outside fault F3: What was fetched of a state is fetched again after a restart.
#[test]
fn fetched_chunks_survive_and_those_that_nobody_needs_are_dropped() {
    for medium in Medium::both() {
        let mut store = medium.open();
        let chunks: [&[u8]; 3] = [b"one", b"two", b"three"];
        let mut transaction = store.begin();
        for bytes in chunks {
            transaction.stage(chunk_digest(bytes), bytes).expect("staged");
        }
        transaction.commit().expect("committed");
        drop(store);
        let mut store = medium.open();
        let staged = |store: &Store| store.service_state().expect("read").staged;
        let mut expected = chunks.map(chunk_digest).to_vec();
        expected.sort_unstable();
        assert_eq!(staged(&store), expected);
        let mut transaction = store.begin();
        transaction.retain_staged(&BTreeSet::from([chunk_digest(b"two")])).expect("dropped");
        transaction.commit().expect("committed");
        assert_eq!(staged(&store), [chunk_digest(b"two")]);
    }
}

#[test]
fn an_incomplete_state_is_not_installed() {
    let mut store = Medium::Memory(MemoryDisk::default()).open();
    let missing = [0, 9].map(|byte| ChunkId { digest: Digest([byte; 32]), len: 1 });
    let manifest = Manifest::new(SeqNum(8), Vec::new(), missing.to_vec());
    let mut transaction = store.begin();
    let refused = transaction.install(&manifest);
    assert!(matches!(refused, Err(StoreError::Corrupt { .. })));
}

#[test]
fn each_opening_is_counted() {
    for medium in Medium::both() {
        let first = medium.open().incarnation();
        assert_eq!(medium.open().incarnation(), first + 1);
    }
}

#[test]
fn evidence_is_kept_once_a_slot() {
    let mut store = Medium::Memory(MemoryDisk::default()).open();
    let mut transaction = store.begin();
    let contradiction = |first: u8| {
        let vote = |digest| {
            let (digest, replica) = (Digest([digest; 32]), ReplicaId(3));
            SignedVote::Checkpoint(signed(Checkpoint { seq: SeqNum(1), digest, replica }))
        };
        Contradiction { first: vote(first), second: vote(0) }
    };
    for (seq, first) in [(1, 1), (1, 2), (2, 3)] {
        let (replica, view, seq) = (ReplicaId(3), View(0), SeqNum(seq));
        transaction.add_evidence(replica, view, seq, &contradiction(first)).expect("added");
    }
    transaction.commit().expect("committed");
    assert_eq!(store.evidence().expect("read"), [contradiction(1), contradiction(3)]);
}

#[test]
fn a_failing_disk_fails_the_commit() {
    let disk = MemoryDisk::default();
    let mut store = Store::in_memory(&disk, identity(0)).expect("opened");
    let mut transaction = store.begin();
    transaction.append(&accepted(1)).expect("appended");
    disk.set_failing(true);
    let failed = transaction.commit();
    assert!(matches!(failed, Err(StoreError::Io { .. })), "{failed:?}");
}

/// Everything in a directory, to show that nothing changed.
pub(super) fn snapshot(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .expect("listed")
        .map(|entry| entry.expect("read").path())
        .map(|path| (path.clone(), std::fs::read(path).expect("read")))
        .collect();
    files.sort();
    files
}

#[test]
fn foreign_missing_and_damaged_stores_are_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path();
    assert!(matches!(Store::open(path, identity(0)), Err(StoreError::Missing { .. })));
    assert_eq!(snapshot(path), []);
    drop(Store::create(path, identity(0)).expect("created"));
    let before = snapshot(path);
    let foreign = [identity(1), Identity::new(Digest([8; 32]), ReplicaId(0))];
    for (identity, field) in foreign.into_iter().zip(["replica", "cluster"]) {
        let error = Store::open(path, identity).expect_err("refused").to_string();
        assert!(error.contains(&format!("{field} is")) && error.contains("--dir"), "{error}");
    }
    assert!(matches!(Store::create(path, identity(0)), Err(StoreError::Exists { .. })));
    assert_eq!(snapshot(path), before);

    // A store of another replica under the right text file: the database itself says so too.
    let other = tempfile::tempdir().expect("temporary directory");
    drop(Store::create(other.path(), identity(1)).expect("created"));
    std::fs::copy(path.join("store.id"), other.path().join("store.id")).expect("copied");
    assert!(matches!(Store::open(other.path(), identity(0)), Err(StoreError::Foreign { .. })));

    std::fs::write(path.join(STORE_FILE), b"").expect("emptied");
    assert!(matches!(Store::open(path, identity(0)), Err(StoreError::Empty { .. })));
    std::fs::write(path.join(STORE_FILE), b"not a database").expect("overwritten");
    let error = Store::open(path, identity(0)).expect_err("refused");
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
}

#[test]
fn a_store_is_opened_by_one_process_at_a_time() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let _first = Store::create(directory.path(), identity(0)).expect("created");
    let second = Store::open(directory.path(), identity(0));
    assert!(matches!(second, Err(StoreError::Locked { .. })), "{second:?}");
}
