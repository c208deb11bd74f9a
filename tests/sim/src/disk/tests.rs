//! What a simulated disk keeps, loses and notices.

use super::*;
use pbft_host::Disk as _;

fn execute(disk: &mut Disk, seq: u64) {
    let (balances, replies) = (vec![(1, seq * 10)], Vec::new());
    let write = Write::Executed { seq: SeqNum(seq), balances, replies };
    disk.change(write).expect("possible");
}

fn three_batches() -> Disk {
    let mut disk = Disk::default();
    for seq in 1..=3 {
        execute(&mut disk, seq);
        disk.write().expect("room");
        disk.sync().expect("works");
    }
    disk
}

fn seq_after(disk: &mut Disk, tail: Tail) -> Result<u64, DiskError> {
    disk.crash(tail);
    disk.open().map(|image| image.executed.0)
}

#[test]
fn what_is_synced_stays_and_the_rest_is_the_crash_s_choice() {
    let mut disk = three_batches();
    execute(&mut disk, 4);
    disk.write().expect("room");
    assert_eq!(seq_after(&mut disk.clone(), Tail::Lost), Ok(3));
    assert_eq!(seq_after(&mut disk.clone(), Tail::Kept), Ok(4));
    for hundredths in 0..100 {
        let mut torn = disk.clone();
        assert_eq!(seq_after(&mut torn, Tail::Torn(hundredths)), Ok(3), "{hundredths}");
        execute(&mut torn, 4);
        torn.write().expect("room");
        torn.sync().expect("works");
        assert_eq!(seq_after(&mut torn, Tail::Lost), Ok(4), "after a torn tail was cut off");
    }
}

/// Whoever ends before its first sync has nothing on its disk, and has lost nothing.
#[test]
fn an_empty_disk_is_not_a_lost_one() {
    let mut disk = Disk::default();
    execute(&mut disk, 1);
    disk.write().expect("room");
    assert_eq!(seq_after(&mut disk.clone(), Tail::Lost), Ok(0));
    assert_eq!(seq_after(&mut disk.clone(), Tail::Torn(50)), Ok(0));
    disk.sync().expect("works");
    disk.wipe();
    assert_eq!(seq_after(&mut disk, Tail::Lost), Err(DiskError::Lost));
}

#[test]
fn every_flipped_bit_is_noticed() {
    let disk = three_batches();
    for bit in 0..8 * disk.bytes() as u64 {
        let mut flipped = disk.clone();
        assert!(flipped.flip(bit));
        assert_eq!(seq_after(&mut flipped, Tail::Lost), Err(DiskError::Corrupt), "bit {bit}");
    }
}

#[test]
fn a_stable_checkpoint_replaces_the_log_by_a_snapshot() {
    let mut disk = three_batches();
    let before = disk.bytes();
    let stable = Write::Record(Record::Stable(Arc::default()));
    disk.change(stable).expect("possible");
    disk.write().expect("room");
    assert_eq!(seq_after(&mut disk.clone(), Tail::Torn(50)), Ok(3), "the old file is there");
    disk.sync().expect("works");
    assert_ne!(disk.bytes(), before);
    assert_eq!(seq_after(&mut disk, Tail::Lost), Ok(3));
}

#[test]
fn a_full_a_failing_a_lying_and_a_lost_disk_do_what_they_are_called() {
    let mut disk = three_batches();
    disk.set_full(true);
    assert_eq!(disk.write(), Err(DiskError::Full));
    disk.set_full(false);
    disk.set_sync_fails(true);
    assert_eq!(disk.sync(), Err(DiskError::SyncFailed));
    disk.set_sync_fails(false);
    disk.begin_to_lie();
    execute(&mut disk, 4);
    disk.write().expect("room");
    disk.sync().expect("says so");
    assert_eq!(seq_after(&mut disk, Tail::Kept), Ok(3), "the synced write is gone");
    disk.wipe();
    assert_eq!(disk.open(), Err(DiskError::Lost));
}

/// The same contract with the node's store under it.
#[test]
fn the_node_s_store_keeps_what_is_committed_and_nothing_else() {
    let mut disk = Disk::with_store(Digest::default(), ReplicaId(1));
    disk.open().expect("a new store");
    let execute = |disk: &mut Disk, seq: u64| {
        disk.with_state(|books| books.accounts.set(1, 10 * seq)).expect("works");
        disk.executed(SeqNum(seq), []).expect("works");
        assert!(disk.is_behind());
    };
    execute(&mut disk, 1);
    disk.commit().expect("room");
    execute(&mut disk, 2);
    assert_eq!(disk.relied_on().executed, SeqNum(1));
    disk.crash(Tail::Lost);
    let image = disk.open().expect("it is there");
    assert_eq!((image.executed, image.accounts.balance(1)), (SeqNum(1), 10));
    disk.set_full(true);
    execute(&mut disk, 2);
    assert_eq!(disk.commit(), Err(DiskError::Full));
    disk.crash(Tail::Lost);
    disk.set_full(false);
    assert_eq!(disk.open().expect("it is there").executed, SeqNum(1));
    disk.crash(Tail::Lost);
    disk.wipe();
    assert_eq!(disk.open().map(|image| image.executed), Err(DiskError::Lost));
}
