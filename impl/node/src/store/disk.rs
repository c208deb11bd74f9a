//! A disk in memory: what is committed survives the store, what is synced survives a power cut, and writes can be
//! made to fail.

use redb::StorageBackend;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A medium for [`super::Store::in_memory`], with the two files of a store. Clones share their content.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    database: Arc<Mutex<Medium>>,
    journal: Arc<Mutex<Medium>>,
    state: Arc<State>,
}

/// How the disk is.
#[derive(Debug, Default)]
struct State {
    failing: AtomicBool,
    full: Mutex<Option<io::ErrorKind>>,
}

/// One of the files.
#[derive(Clone, Debug)]
pub(super) struct MemoryFile {
    medium: Arc<Mutex<Medium>>,
    state: Arc<State>,
}

#[derive(Default)]
struct Medium {
    bytes: Vec<u8>,
    /// How to take back what was not synced, the latest last.
    unsynced: Vec<Undo>,
    syncs: u64,
}

impl std::fmt::Debug for Medium {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Medium").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// Takes back one change.
enum Undo {
    Write { start: usize, before: Vec<u8> },
    Shrink { len: usize },
    Grow { tail: Vec<u8> },
}

impl MemoryDisk {
    /// A disk with these contents of database and journal.
    pub(super) fn holding(database: Vec<u8>, journal: Vec<u8>) -> Self {
        let file = |bytes| Arc::new(Mutex::new(Medium { bytes, ..Medium::default() }));
        Self { database: file(database), journal: file(journal), state: Arc::default() }
    }

    /// The database's file.
    pub(super) fn database(&self) -> MemoryFile {
        MemoryFile { medium: Arc::clone(&self.database), state: Arc::clone(&self.state) }
    }

    /// The journal's file.
    pub(super) fn journal(&self) -> MemoryFile {
        MemoryFile { medium: Arc::clone(&self.journal), state: Arc::clone(&self.state) }
    }

    /// From now on every write and sync fails, or works again.
    pub fn set_failing(&self, failing: bool) {
        self.state.failing.store(failing, Ordering::SeqCst);
    }

    /// From now on there is no room for any write, and this is what the system says of it; or there is room again.
    pub fn set_full(&self, full: Option<io::ErrorKind>) {
        *self.state.full.lock().unwrap_or_else(PoisonError::into_inner) = full;
    }

    /// Whether nothing was ever written.
    pub fn is_empty(&self) -> bool {
        lock(&self.database).bytes.is_empty()
    }

    /// How often everything written to a file was made to stay.
    pub fn syncs(&self) -> u64 {
        lock(&self.database).syncs + lock(&self.journal).syncs
    }

    /// Another disk, with what would be on this one if the power failed now: everything up to the last sync. What is
    /// still written to this one, by a store that is closed for instance, does not reach it.
    pub fn after_power_cut(&self) -> Self {
        Self::holding(lock(&self.database).synced(), lock(&self.journal).synced())
    }
}

impl Medium {
    /// What was synced.
    fn synced(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for undo in self.unsynced.iter().rev() {
            match undo {
                Undo::Write { start, before } => {
                    bytes[*start..start + before.len()].copy_from_slice(before);
                }
                Undo::Shrink { len } => bytes.truncate(*len),
                Undo::Grow { tail } => bytes.extend(tail),
            }
        }
        bytes
    }
}

fn lock(medium: &Mutex<Medium>) -> MutexGuard<'_, Medium> {
    medium.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryFile {
    fn lock(&self) -> MutexGuard<'_, Medium> {
        lock(&self.medium)
    }

    fn check(&self) -> io::Result<()> {
        let State { failing, full } = &*self.state;
        if failing.load(Ordering::SeqCst) {
            return Err(io::Error::other("this disk was told to fail"));
        }
        match *full.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(kind) => Err(kind.into()),
            None => Ok(()),
        }
    }
}

fn span(offset: u64, len: usize, bytes: &[u8]) -> io::Result<std::ops::Range<usize>> {
    let start = usize::try_from(offset).map_err(io::Error::other)?;
    match start.checked_add(len) {
        Some(end) if end <= bytes.len() => Ok(start..end),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

impl StorageBackend for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let medium = self.lock();
        let span = span(offset, out.len(), &medium.bytes)?;
        out.copy_from_slice(&medium.bytes[span]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        let len = usize::try_from(len).map_err(io::Error::other)?;
        let mut medium = self.lock();
        let before = medium.bytes.len();
        let undo = match len < before {
            true => Undo::Grow { tail: medium.bytes.split_off(len) },
            false => Undo::Shrink { len: before },
        };
        medium.unsynced.push(undo);
        medium.bytes.resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        let mut medium = self.lock();
        medium.unsynced.clear();
        medium.syncs += 1;
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        let mut medium = self.lock();
        let span = span(offset, data.len(), &medium.bytes)?;
        let (start, before) = (span.start, medium.bytes[span.clone()].to_vec());
        medium.bytes[span].copy_from_slice(data);
        medium.unsynced.push(Undo::Write { start, before });
        Ok(())
    }
}
