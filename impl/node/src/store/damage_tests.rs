//! What disks do to stores: they are full, they lose what was acknowledged, they change a byte.

use super::journal::JOURNAL_FILE;
use super::tests::{accepted, execute, identity, snapshot};
use super::*;
use std::io::ErrorKind;

#[test]
fn a_full_disk_is_told_from_a_broken_one_and_used_again() {
    let disk = MemoryDisk::default();
    let mut store = Store::in_memory(&disk, identity(0)).expect("opened");
    let mut transaction = store.begin();
    transaction.append(&accepted(1)).expect("appended");
    transaction.commit().expect("committed");
    let before = store.durable().clone();
    let mut transaction = store.begin();
    transaction.append(&accepted(2)).expect("appended");
    disk.set_full(Some(ErrorKind::StorageFull));
    let failed = transaction.commit().expect_err("no room");
    assert!(failed.is_full(), "{failed:?}");
    assert!(store.reopen().expect_err("still no room").is_full());
    disk.set_full(None);
    store.reopen().expect("room again");
    assert_eq!(store.durable(), &before, "what was not acknowledged did not happen");
    let mut transaction = store.begin();
    transaction.append(&accepted(2)).expect("appended");
    transaction.commit().expect("committed");
    disk.set_failing(true);
    let mut transaction = store.begin();
    transaction.append(&accepted(3)).expect("appended");
    let failed = transaction.commit();
    assert!(!failed.expect_err("broken").is_full());
}

/// A small file system of its own, unmounted when dropped; `None` where that is not allowed.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().expect("temporary directory");
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(directory.path());
        let mounted = mount.stderr(std::process::Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What cannot be unmounted is left behind, empty.
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

/// The same as the test before on a real file system, where one can be mounted.
#[test]
fn a_real_disk_that_is_full_loses_nothing_and_is_used_again() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("no file system can be mounted here: only the disk in memory was tried");
        return;
    };
    let path = disk.0.path();
    let mut store = Store::create(path, identity(0)).expect("created");
    let filler = path.join("filler");
    let mut filled = std::fs::File::create(&filler).expect("created");
    while std::io::Write::write_all(&mut filled, &[1; 4096]).is_ok() {}
    let mut seq = 0;
    let failed = loop {
        let before = store.durable().clone();
        let mut transaction = store.begin();
        let written = transaction.append(&accepted(seq + 1)).and_then(|()| {
            transaction
                .with_state(|state| state.put(&seq.to_be_bytes(), &[7; 20_000]))?
                .expect("small");
            transaction.commit()
        });
        match written {
            Ok(()) => seq += 1,
            Err(error) => break (error, before),
        }
        assert!(seq < 1000, "the disk has no end");
    };
    let (error, before) = failed;
    assert!(error.is_full(), "{error:?}");
    assert!(error.to_string().contains("free space"), "{error}");
    drop(filled);
    std::fs::remove_file(&filler).expect("removed");
    store.reopen().expect("there is space");
    assert_eq!(store.durable(), &before);
    assert_eq!(store.pairs(b"", 1000).expect("read").len() as u64, seq);
}

/// A store in files after some commits, closed.
fn written(directory: &Path) -> Durable {
    let mut store = Store::create(directory, identity(0)).expect("created");
    execute(&mut store, 2, &[(b"a", &[7; 9000]), (b"b", &[8; 9000])]);
    for seq in 1..=20 {
        let mut transaction = store.begin();
        transaction.append(&accepted(seq)).expect("appended");
        transaction.commit().expect("committed");
    }
    store.durable().clone()
}

#[test]
fn a_damaged_byte_is_noticed_wherever_it_matters() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join(STORE_FILE);
    let durable = written(directory.path());
    let whole = std::fs::read(&path).expect("read");
    let seal = std::fs::read(directory.path().join("store.seal")).expect("read");
    let used: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    let (mut refused, mut harmless) = (0, 0);
    for at in used.iter().step_by(used.len() / 40) {
        let mut damaged = whole.clone();
        damaged[*at] ^= 0x10;
        std::fs::write(&path, damaged).expect("written");
        std::fs::write(directory.path().join("store.seal"), &seal).expect("written");
        match Store::open(directory.path(), identity(0)) {
            Err(error) => {
                assert!(error.is_lost() && error.to_string().contains("pbft recover"), "{error}");
                refused += 1;
            }
            Ok(store) => {
                // Pages that were freed hold what nobody reads any more.
                assert_eq!(store.durable(), &durable, "byte {at}");
                assert_eq!(store.pairs(b"", 9).expect("read").len(), 2, "byte {at}");
                harmless += 1;
            }
        }
    }
    assert!(refused > 5, "{refused} refused, {harmless} harmless");
}

#[test]
fn a_last_commit_that_is_lost_after_it_was_acknowledged_is_noticed() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join(JOURNAL_FILE);
    let mut store = Store::create(directory.path(), identity(0)).expect("created");
    let mut images = Vec::new();
    for seq in 1..=5 {
        let mut transaction = store.begin();
        transaction.append(&accepted(seq)).expect("appended");
        transaction.commit().expect("committed");
        images.push(std::fs::read(&path).expect("read"));
    }
    let seal = std::fs::read(directory.path().join("store.seal")).expect("read");
    drop(store);
    // Killed after the last commit, one byte of which the disk then damages: what is left looks like one that was cut off.
    let [.., before, last] = &images[..] else { panic!("five images") };
    let at = (0..last.len()).rfind(|at| before[*at] != last[*at]).expect("something was written");
    let mut damaged = last.clone();
    damaged[at] ^= 0x10;
    std::fs::write(&path, &damaged).expect("written");
    std::fs::write(directory.path().join("store.seal"), &seal).expect("written");
    for _ in 0..2 {
        let error = Store::open(directory.path(), identity(0)).expect_err("a vote is lost");
        assert!(error.to_string().contains("1 acknowledged commit(s) are lost"), "{error}");
    }
    // The same disk, had the last commit never been acknowledged.
    std::fs::write(&path, &damaged).expect("written");
    std::fs::write(directory.path().join("store.seal"), "commits = 00000000000000000004\n")
        .expect("written");
    let store = Store::open(directory.path(), identity(0)).expect("cut off, not lost");
    assert_eq!(store.durable().accepted.len(), 4);
}

/// A database that was closed has the pairs of a commit whose records were in the journal alone.
#[test]
fn a_last_commit_whose_records_are_lost_is_noticed() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join(JOURNAL_FILE);
    drop(written(directory.path()));
    let mut store = Store::open(directory.path(), identity(0)).expect("opened");
    let mut transaction = store.begin();
    transaction.append(&accepted(21)).expect("appended");
    transaction.with_state(|state| state.put(b"c", b"value")).expect("open").expect("small");
    transaction.commit().expect("committed");
    drop(store);
    let mut journal = std::fs::read(&path).expect("read");
    journal[30] ^= 0x10;
    std::fs::write(&path, journal).expect("written");
    let error = Store::open(directory.path(), identity(0)).expect_err("a vote is lost");
    assert!(error.is_lost() && error.to_string().contains("1 commit(s) are lost"), "{error}");
}

#[test]
fn a_store_is_examined_without_being_changed() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let durable = written(directory.path());
    let before = snapshot(directory.path());
    let examined = Store::examine(directory.path()).expect("readable");
    assert_eq!(examined.durable(), &durable);
    assert_eq!((examined.identity(), examined.commits()), (&identity(0), 21));
    assert_eq!(snapshot(directory.path()), before);
    let _open = Store::open(directory.path(), identity(0)).expect("opened");
    let running = Store::examine(directory.path());
    assert!(matches!(running, Err(StoreError::Locked { .. })), "{running:?}");
}
