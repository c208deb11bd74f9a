//! What is kept of the state at checkpoints, whatever happens afterwards.

use super::tables::{CHECKPOINTS, FORMER, SERVICE};
use super::tests::{execute, identity, stable};
use super::*;
use crate::state::chunk_pairs;
use pbft_core::manifest::{ChunkId, oldest_kept};
use proptest::prelude::*;
use std::collections::BTreeMap;

type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    /// Puts in a transaction that never happens.
    Lose(u8),
    Checkpoint,
    /// The checkpoint before so many others becomes stable.
    Stable(usize),
    Restart,
    /// The state of a kept checkpoint with this pair besides is fetched.
    Install(u8, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (any::<u8>(), any::<u8>()).prop_map(|(key, number)| Step::Put(key, number)),
        4 => any::<u8>().prop_map(Step::Delete),
        1 => any::<u8>().prop_map(Step::Lose),
        3 => Just(Step::Checkpoint),
        1 => (0..3usize).prop_map(Step::Stable),
        1 => Just(Step::Restart),
        1 => (any::<u8>(), 0..3usize).prop_map(|(key, back)| Step::Install(key, back)),
    ]
}

/// Large values, so that a few pairs make several chunks.
fn value(number: u8) -> Vec<u8> {
    vec![number; 2_000 + 90 * usize::from(number)]
}

fn chunks(pairs: &Pairs) -> Vec<Vec<u8>> {
    chunk_pairs(pairs.iter().map(|(key, value)| (&**key, &**value)))
}

/// A store beside what it should hold.
struct Compared {
    disk: MemoryDisk,
    store: Store,
    now: Pairs,
    seq: u64,
    kept: BTreeMap<SeqNum, Pairs>,
}

impl Compared {
    fn new() -> Self {
        let disk = MemoryDisk::default();
        let store = Store::in_memory(&disk, identity(0)).expect("opened");
        Self { disk, store, now: Pairs::new(), seq: 0, kept: BTreeMap::new() }
    }

    fn change(&mut self, key: u8, value: Option<Vec<u8>>) {
        let mut transaction = self.store.begin();
        let changed = transaction.with_state(|state| match &value {
            Some(value) => state.put(&[key], value),
            None => {
                state.delete(&[key]);
                Ok(())
            }
        });
        changed.expect("open").expect("small");
        transaction.commit().expect("committed");
        match value {
            Some(value) => self.now.insert(vec![key], value),
            None => self.now.remove(&[key][..]),
        };
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Put(key, number) => self.change(key, Some(value(number))),
            Step::Delete(key) => self.change(key, None),
            Step::Lose(key) => {
                let mut lost = self.store.begin();
                lost.with_state(|state| state.put(&[key], b"lost")).expect("open").expect("small");
                lost.chunks().expect("read");
            }
            Step::Checkpoint => {
                self.seq += 1;
                execute(&mut self.store, self.seq, &[]);
                self.kept.insert(SeqNum(self.seq), self.now.clone());
            }
            Step::Stable(back) => {
                let Some(seq) = self.kept.keys().rev().nth(back).copied() else { return };
                let mut transaction = self.store.begin();
                transaction.append(&stable(seq.0)).expect("appended");
                transaction.commit().expect("committed");
                self.kept = self.kept.split_off(&oldest_kept(self.kept.keys().copied(), seq));
            }
            Step::Restart => {
                let disk = self.disk.after_power_cut();
                self.store = Store::in_memory(&disk, identity(0)).expect("opened");
                self.disk = disk;
            }
            Step::Install(key, back) => self.install(key, back),
        }
    }

    /// What is new is staged; the rest is in one of the kept checkpoints.
    fn install(&mut self, key: u8, back: usize) {
        let Some(mut pairs) = self.kept.values().rev().nth(back).cloned() else { return };
        pairs.insert(vec![key], b"fetched".to_vec());
        self.seq += 1;
        let here: Vec<_> = self.kept.values().flat_map(chunks).collect();
        let mut transaction = self.store.begin();
        for bytes in chunks(&pairs).iter().filter(|bytes| !here.contains(bytes)) {
            transaction.stage(chunk_digest(bytes), bytes).expect("staged");
        }
        let ids = chunks(&pairs).iter().map(|bytes| ChunkId::of(bytes)).collect();
        let manifest = Manifest::new(SeqNum(self.seq), Vec::new(), ids);
        transaction.install(&manifest).expect("installed");
        transaction.commit().expect("committed");
        self.kept.insert(manifest.seq, pairs.clone());
        self.now = pairs;
    }

    fn check(&mut self) {
        let pairs = self.store.pairs(b"", 1000).expect("read");
        assert_eq!(pairs.into_iter().collect::<Pairs>(), self.now);
        let digests = chunks(&self.now).iter().flat_map(|bytes| chunk_digest(bytes).0).collect();
        let digests: Vec<u8> = digests;
        assert_eq!(self.store.state_digest().expect("read"), chunk_digest(&digests));
        let manifests = self.store.service_state().expect("read").manifests;
        let seqs: Vec<_> = manifests.iter().map(|manifest| manifest.seq).collect();
        assert_eq!(seqs, self.kept.keys().copied().collect::<Vec<_>>());
        for manifest in manifests {
            for (index, bytes) in chunks(&self.kept[&manifest.seq]).into_iter().enumerate() {
                let part = StatePart::Chunk(manifest.replies + index as u32);
                assert_eq!(self.store.state_part(manifest.seq, part).expect("whole"), Some(bytes));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Outside fault F19: Kept digests and states are not those of the state that there was.
    #[test]
    fn kept_states_and_digests_are_right_whatever_happens(steps in proptest::collection::vec(step(), 1..120)) {
        let mut compared = Compared::new();
        for (number, step) in steps.into_iter().enumerate() {
            let looks = !matches!(step, Step::Put(..) | Step::Delete(_)) || number % 8 == 0;
            compared.take(step);
            if looks {
                compared.check();
            }
        }
        compared.check();
    }
}

/// Pairs that fill many chunks.
fn filled() -> Store {
    let mut store = Store::in_memory(&MemoryDisk::default(), identity(0)).expect("opened");
    let keys: Vec<[u8; 4]> = (0..20_000u32).map(u32::to_be_bytes).collect();
    let pairs: Vec<(&[u8], &[u8])> = keys.iter().map(|key| (&key[..], &[7; 200][..])).collect();
    execute(&mut store, 1, &pairs);
    store
}

/// Outside fault F19: A checkpoint after changes all over the state copies all of it.
#[test]
fn a_checkpoint_keeps_what_changes_after_it_and_no_more() {
    let mut store = filled();
    let keys: Vec<[u8; 4]> = (0..20_000u32).step_by(100).map(u32::to_be_bytes).collect();
    let pairs: Vec<(&[u8], &[u8])> = keys.iter().map(|key| (&key[..], &[8; 200][..])).collect();
    for seq in 2..=4 {
        execute(&mut store, seq, &pairs);
    }
    let lengths = |store: &Store| {
        let read = store.database.begin_read().expect("begun");
        let former = read.open_table(FORMER).expect("open").len().expect("read");
        (former, read.open_table(CHECKPOINTS).expect("open").len().expect("read"))
    };
    assert_eq!(lengths(&store), (3 * 200, 4));
    let mut transaction = store.begin();
    transaction.append(&stable(4)).expect("appended");
    transaction.commit().expect("committed");
    assert_eq!(lengths(&store), (200, 2), "what checkpoints 1 and 2 had is not needed any more");
}

#[test]
fn a_fetched_state_changes_only_what_differs() {
    let mut source = filled();
    let mut store = filled();
    let manifest = execute(&mut source, 2, &[(&5_000u32.to_be_bytes(), b"other")]);
    let mut transaction = store.begin();
    let known = transaction.chunks().expect("read").ids;
    let (mut bytes, mut staged) = (0, 0);
    for (index, chunk) in manifest.chunks.iter().enumerate() {
        if !known.contains(chunk) {
            let part = StatePart::Chunk(index as u32);
            let part = source.state_part(SeqNum(2), part).expect("read").expect("there");
            (bytes, staged) = (bytes + part.len(), staged + 1);
            transaction.stage(chunk.digest, &part).expect("staged");
        }
    }
    assert!(staged <= 5, "{staged} chunks");
    transaction.install(&manifest).expect("installed");
    transaction.commit().expect("committed");
    assert_eq!(store.state_digest().expect("read"), source.state_digest().expect("read"));
    let read = store.database.begin_read().expect("begun");
    let former = read.open_table(FORMER).expect("open").len().expect("read");
    assert!(former as usize <= bytes / 200, "{former} pairs in {bytes} bytes");
}

#[test]
fn a_fetched_state_that_is_another_is_refused() {
    let mut store = filled();
    let bytes = chunks(&BTreeMap::from([(b"key".to_vec(), b"value".to_vec())])).remove(0);
    let twice = vec![ChunkId::of(&bytes); 2];
    let mut transaction = store.begin();
    transaction.stage(twice[0].digest, &bytes).expect("staged");
    let refused = transaction.install(&Manifest::new(SeqNum(9), Vec::new(), twice));
    assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "{refused:?}");
}

#[test]
fn damaged_pairs_of_a_kept_state_are_not_served() {
    let store = filled();
    let part = |store: &Store, index| store.state_part(SeqNum(1), StatePart::Chunk(index));
    let whole = part(&store, 1).expect("read");
    let write = store.database.begin_write().expect("begun");
    let mut service = write.open_table(SERVICE).expect("open");
    service.insert(&5u32.to_be_bytes()[..], &b"damage"[..]).expect("written");
    drop(service);
    write.commit().expect("committed");
    let refused = part(&store, 1).expect_err("damaged").to_string();
    assert!(refused.contains("chunk 1 of checkpoint #1 does not have its digest"), "{refused}");
    assert_ne!(part(&store, 3).expect("sound"), whole, "another one is served");
}

#[test]
fn a_damaged_digest_is_noticed() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join(STORE_FILE);
    let mut store = Store::create(directory.path(), identity(0)).expect("created");
    let manifest = execute(&mut store, 1, &[(b"a", b"1")]);
    drop(store);
    let mut file = std::fs::read(&path).expect("read");
    let digest = manifest.service_chunks()[0].digest.0;
    let at = file.windows(32).position(|bytes| bytes == digest).expect("it is on the disk");
    assert_eq!(file.windows(32).filter(|bytes| *bytes == digest).count(), 1);
    file[at] ^= 1;
    std::fs::write(&path, file).expect("written");
    let error = Store::open(directory.path(), identity(0)).expect_err("damaged");
    assert!(error.is_lost(), "{error}");
}
