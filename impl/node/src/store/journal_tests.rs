//! The journal on disks that cut off, mix and change what is written.

use super::*;
use crate::store::tests::{accepted, identity, stable};
use crate::store::{MemoryDisk, Store};
use pbft_core::Durable;
use proptest::prelude::*;

fn bytes(disk: &MemoryDisk) -> Vec<u8> {
    let journal = disk.journal();
    let mut bytes = vec![0; journal.len().expect("known") as usize];
    journal.read(0, &mut bytes).expect("read");
    bytes
}

fn database(disk: &MemoryDisk) -> Vec<u8> {
    let database = disk.database();
    let mut bytes = vec![0; database.len().expect("known") as usize];
    database.read(0, &mut bytes).expect("read");
    bytes
}

fn open(disk: &MemoryDisk) -> Result<Store, StoreError> {
    Store::in_memory(disk, identity(0))
}

/// Accepts a batch, and puts a pair.
fn commit(store: &mut Store, seq: u64) {
    let mut transaction = store.begin();
    transaction.append(&accepted(seq)).expect("appended");
    let put = transaction.with_state(|state| state.put(&seq.to_be_bytes(), b"value"));
    put.expect("open").expect("small");
    transaction.commit().expect("committed");
}

/// What a store holds: the fold of its records, and its pairs.
fn held(store: &Store) -> (Durable, usize) {
    (store.durable().clone(), store.pairs(b"", 100).expect("read").len())
}

/// A disk with some commits in the journal, one that is written to the database as a whole before them; and the journal
/// before and after one more commit.
struct Scene {
    database: Vec<u8>,
    before: (Vec<u8>, (Durable, usize)),
    after: (Vec<u8>, (Durable, usize)),
}

impl Scene {
    fn new(last: u64) -> Self {
        let disk = MemoryDisk::default();
        let mut store = open(&disk).expect("opened");
        (1..=8).for_each(|seq| commit(&mut store, seq));
        let mut transaction = store.begin();
        transaction.append(&stable(3)).expect("appended");
        transaction.commit().expect("committed");
        (9..=last).for_each(|seq| commit(&mut store, seq));
        let before = (bytes(&disk), held(&store));
        commit(&mut store, last + 1);
        let after = (bytes(&disk), held(&store));
        let disk = disk.after_power_cut();
        Self { database: database(&disk), before, after }
    }

    /// Opens the store with this journal.
    fn with(&self, journal: Vec<u8>) -> Result<Store, StoreError> {
        open(&MemoryDisk::holding(self.database.clone(), journal))
    }

    /// The bytes of the last commit's entry.
    fn last(&self) -> std::ops::Range<usize> {
        let journal = &self.after.0;
        let (mut start, mut number) = (0, 0);
        loop {
            let word = |at: usize| u32::from_le_bytes(*journal[at..].first_chunk().expect("there"));
            let end = start + HEADER + word(start) as usize;
            // Behind the last one are zeros, or an entry of the time before.
            number = word(start + 4).max(number + 1);
            if end + HEADER > journal.len() || word(end + 4) != number + 1 {
                return start..end;
            }
            start = end;
        }
    }
}

#[test]
fn most_commits_write_nothing_to_the_database_and_wait_once() {
    let disk = MemoryDisk::default();
    let mut store = open(&disk).expect("opened");
    commit(&mut store, 1);
    let (syncs, before) = (disk.syncs(), database(&disk));
    for seq in 2..=20 {
        commit(&mut store, seq);
    }
    assert_eq!(disk.syncs() - syncs, 19, "one wait a commit");
    assert_eq!(database(&disk), before);
    assert_eq!(store.pairs(b"", 100).expect("read").len(), 20, "readers see them");
    let reopened = open(&disk.after_power_cut()).expect("opened");
    assert_eq!((held(&reopened), reopened.commits()), (held(&store), 20));
}

#[test]
fn a_commit_that_is_cut_off_at_any_byte_has_happened_or_not() {
    for last in [12, 8] {
        let scene = Scene::new(last);
        let last = scene.last();
        for cut in last.start..=last.end {
            let journal = [&scene.after.0[..cut], &scene.before.0[cut..]].concat();
            let is_whole = journal == scene.after.0;
            let store = scene.with(journal).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
            let expected = if is_whole { &scene.after.1 } else { &scene.before.1 };
            assert_eq!(&held(&store), expected, "cut at {cut}");
        }
    }
}

#[test]
fn a_commit_whose_sectors_reach_the_disk_in_any_order_has_happened_or_not() {
    // Sectors of 64 bytes, so that the commit has several.
    const SECTOR: usize = 64;
    let scene = Scene::new(12);
    let last = scene.last();
    let sectors: Vec<usize> = (last.start / SECTOR..last.end.div_ceil(SECTOR)).collect();
    assert!((3..12).contains(&sectors.len()), "{sectors:?}");
    for reached in 0..1_u32 << sectors.len() {
        let mut journal = scene.before.0.clone();
        let there = (0..sectors.len()).filter(|index| reached >> index & 1 == 1);
        for sector in there.map(|index| sectors[index]) {
            let place = sector * SECTOR..(sector + 1) * SECTOR;
            journal[place.clone()].copy_from_slice(&scene.after.0[place]);
        }
        let is_whole = journal == scene.after.0;
        let store = scene.with(journal).expect("opened");
        let expected = if is_whole { &scene.after.1 } else { &scene.before.1 };
        assert_eq!(&held(&store), expected, "{reached:b}");
    }
}

#[test]
fn damage_before_the_last_commit_is_refused() {
    let scene = Scene::new(12);
    let whole = &scene.after.0;
    for at in (0..scene.last().start).step_by(5) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        let error = scene.with(damaged).expect_err("damaged").to_string();
        assert!(error.contains("commit") && error.contains("pbft recover"), "byte {at}: {error}");
    }
}

#[test]
fn a_journal_that_begins_too_late_or_is_anothers_is_refused() {
    let scene = Scene::new(12);
    // The database as it was made, with the journal of a later time.
    let fresh = MemoryDisk::default();
    drop(open(&fresh).expect("opened"));
    let late = MemoryDisk::holding(database(&fresh.after_power_cut()), scene.after.0.clone());
    let error = open(&late).expect_err("commits are lost").to_string();
    assert!(error.contains("1 is lost"), "{error}");
    // Another replica's, with the same numbers.
    let others = MemoryDisk::default();
    let mut store = Store::in_memory(&others, identity(1)).expect("opened");
    (1..=14).for_each(|seq| commit(&mut store, seq));
    let error = scene.with(bytes(&others)).expect_err("another's").to_string();
    assert!(error.contains("does not follow"), "{error}");
}

#[test]
fn a_journal_without_room_begins_anew() {
    let disk = MemoryDisk::default();
    let mut store = open(&disk).expect("opened");
    let mut begun_anew = 0;
    for seq in 0..80_u64 {
        let before = store.journal.end;
        let mut transaction = store.begin();
        let value = vec![seq as u8; 1_000_000];
        let put = transaction.with_state(|state| state.put(&seq.to_be_bytes(), &value));
        put.expect("open").expect("small");
        transaction.append(&accepted(seq)).expect("appended");
        transaction.commit().expect("committed");
        begun_anew += u64::from(store.journal.end <= before);
    }
    assert_eq!(begun_anew, 2, "80 megabytes");
    assert!(bytes(&disk).len() <= JOURNAL_BYTES_MAX + EXTENT);
    let reopened = open(&disk.after_power_cut()).expect("opened");
    assert_eq!(held(&reopened), held(&store));
}

#[test]
fn a_store_of_a_version_without_a_journal_is_opened_and_has_one_then() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path();
    let mut store = Store::create(path, identity(0)).expect("created");
    commit(&mut store, 1);
    store.settle().expect("settled");
    // What such a version has left.
    let write = store.database.begin_write().expect("begun");
    write.open_table(crate::store::META).expect("open").remove("journaled").expect("removed");
    write.commit().expect("committed");
    let before = held(&store);
    drop(store);
    std::fs::remove_file(path.join(JOURNAL_FILE)).expect("removed");
    let mut store = Store::open(path, identity(0)).expect("opened");
    assert_eq!(held(&store), before);
    commit(&mut store, 2);
    let before = held(&store);
    drop(store);
    let store = Store::open(path, identity(0)).expect("opened");
    assert_eq!(held(&store), before);
    drop(store);
    std::fs::remove_file(path.join(JOURNAL_FILE)).expect("removed");
    let error = Store::open(path, identity(0)).expect_err("a journal is lost").to_string();
    assert!(error.contains(JOURNAL_FILE) && error.contains("missing"), "{error}");
}

/// These bytes are on people's disks: a change here is a new format.
#[test]
fn golden_entry() {
    let disk = MemoryDisk::default();
    let mut store = open(&disk).expect("opened");
    let mut transaction = store.begin();
    let put = transaction.with_state(|state| state.put(b"key", b"value"));
    put.expect("open").expect("small");
    transaction.with_state(|state| state.delete(b"key")).expect("open");
    transaction.executed(crate::store::SeqNum(7), []).expect("executed");
    transaction.commit().expect("committed");
    let journal = bytes(&disk);
    let content = [
        "0300000000000000",
        "0100000003000000000000006b6579050000000000000076616c7565",
        "0200000003000000000000006b6579",
        "0300000007000000000000000000000000000000",
    ];
    let content: Vec<u8> = content
        .concat()
        .as_bytes()
        .chunks(2)
        .map(|pair| {
            u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16).expect("hexadecimal")
        })
        .collect();
    assert_eq!(journal[HEADER..HEADER + content.len()], content);
    assert_eq!(journal[..4], (content.len() as u32).to_le_bytes());
    assert_eq!(journal[4..12], 1_u64.to_le_bytes());
    // CRC-32 as in gzip: of the identity, and of 16 bytes of header and the content.
    assert_eq!(crc(b"123456789"), 0xcbf4_3926);
    let identity = [&3_u32.to_le_bytes()[..], &[7; 32], &[0; 4]].concat();
    assert_eq!(journal[12..16], crc(&identity).to_le_bytes());
    let covered = [&journal[..16], &content].concat();
    assert_eq!(journal[16..20], crc(&covered).to_le_bytes());
    assert!(journal[HEADER + content.len()..].iter().all(|byte| *byte == 0));
}

/// CRC-32 bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ (if crc & 1 == 1 { 0xedb8_8320 } else { 0 });
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        at in 0_usize..2000,
        len in 0_usize..3000,
    ) {
        let scene = Scene::new(10);
        let mut journal = scene.after.0.clone();
        journal.truncate(len.max(at));
        journal.splice(at.min(journal.len())..(at + noise.len()).min(journal.len()), noise);
        // Nothing but what was once committed is ever there.
        if let Ok(store) = scene.with(journal) {
            let (durable, pairs) = held(&store);
            prop_assert!(durable.accepted.len() <= 8 && pairs <= 11);
        }
    }
}
