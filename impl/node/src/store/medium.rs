//! Where a store lives, and how it is opened there.

use super::identity::{IDENTITY_FILE, Identity};
use super::journal::{self, JOURNAL_BYTES_MAX, JOURNAL_FILE, Journal};
use super::seal::{SEAL_FILE, Seal};
use super::{MemoryDisk, STORE_FILE, StoreError};
use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError};
use std::io::Read as _;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How much of its file a store keeps in memory if nothing else is said: what a replica needs for its log, and for the
/// accounts that are in use. What is larger, a transfer for instance, goes through.
pub const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// With less every page is read and written again and again.
pub const CACHE_BYTES_MIN: usize = 1024 * 1024;

/// The medium of a store.
#[derive(Debug)]
pub(super) enum Medium {
    /// Files in a directory, of which so many bytes are kept in memory.
    Directory(PathBuf, Seal, usize),
    /// A disk in memory. It is not sealed: nothing but the store touches it.
    Memory(MemoryDisk),
}

impl Medium {
    /// `commits` commits are acknowledged.
    pub(super) fn seal(&self, commits: u64) -> Result<(), StoreError> {
        match self {
            Self::Directory(_, seal, _) => seal.write(commits),
            Self::Memory(_) => Ok(()),
        }
    }

    /// Opens the journal of `identity`'s store. If none `is_due`, a version without one has made the store, and it is made.
    pub(super) fn journal(&self, identity: &Identity, is_due: bool) -> Result<Journal, StoreError> {
        match self {
            Self::Directory(directory, ..) => {
                let path = directory.join(JOURNAL_FILE);
                let open = || std::fs::File::options().read(true).write(true).open(&path);
                let file = match open() {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                        if is_due {
                            let what = "it is missing".to_owned();
                            return Err(StoreError::Corrupt { path, what });
                        }
                        journal::create(directory)?;
                        open()
                    }
                    file => file,
                };
                let file = file.map_err(|source| StoreError::Io { path: path.clone(), source })?;
                let file = FileBackend::new(file).map_err(|error| StoreError::at(&path, error))?;
                Journal::open(file, path, identity)
            }
            Self::Memory(disk) => Journal::open(disk.journal(), JOURNAL_FILE.into(), identity),
        }
    }
}

/// Reads pages that nobody has verified yet: one that makes no sense can make the database panic before its checksum is
/// looked at.
pub(super) fn guarded<T>(
    path: &Path,
    read: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    std::panic::catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(StoreError::corrupt("its pages cannot be read").with_path(path)))
}

/// Opens a database, and reads all of it: every page must have the checksum that it was written with.
///
/// The database itself verifies one only when it was not closed, and then repairs it.
fn verified(
    path: &Path,
    cache_bytes: usize,
    open: impl FnOnce(&mut Builder) -> Result<Database, DatabaseError>,
) -> Result<Database, StoreError> {
    guarded(path, || {
        let at = |error| StoreError::at(path, error);
        let repaired = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&repaired);
        let mut builder = Database::builder();
        builder
            .set_cache_size(cache_bytes)
            .set_repair_callback(move |_| noted.store(true, Ordering::Relaxed));
        let mut database = open(&mut builder).map_err(at)?;
        match repaired.load(Ordering::Relaxed) || database.check_integrity().map_err(at)? {
            true => Ok(database),
            false => {
                Err(StoreError::corrupt("its pages do not have their checksums").with_path(path))
            }
        }
    })
}

/// Opens a database file, all of whose pages are sound.
pub(super) fn open_verified(directory: &Path, cache_bytes: usize) -> Result<Database, StoreError> {
    let path = directory.join(STORE_FILE);
    verified(&path, cache_bytes, |builder| builder.open(&path))
}

/// What is in the files of a store that nobody has open.
pub(super) fn copy(directory: &Path) -> Result<MemoryDisk, StoreError> {
    let (path, journal) = (directory.join(STORE_FILE), directory.join(JOURNAL_FILE));
    let io = |source| StoreError::Io { path: path.clone(), source };
    let mut file = match std::fs::File::open(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(StoreError::Missing { path });
        }
        file => file.map_err(io)?,
    };
    match file.try_lock_shared() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            return Err(StoreError::Locked { path });
        }
        Err(std::fs::TryLockError::Error(source)) => return Err(io(source)),
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io)?;
    if bytes.is_empty() {
        return Err(StoreError::Empty { path });
    }
    let mut entries = Vec::new();
    match std::fs::File::open(&journal) {
        // A version without a journal has made it.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        file => {
            // One byte more than it may have is too many.
            let read = file
                .and_then(|file| file.take(2 * JOURNAL_BYTES_MAX as u64).read_to_end(&mut entries));
            read.map_err(|source| StoreError::Io { path: journal, source })?;
        }
    }
    Ok(MemoryDisk::holding(bytes, entries))
}

/// Opens a copy of the database file at `path`, all of whose pages are sound.
pub(super) fn open_copy(path: &Path, disk: &MemoryDisk) -> Result<Database, StoreError> {
    verified(path, CACHE_BYTES, |builder| builder.create_with_backend(disk.database()))
}

/// Moves the files of a store that is lost into a new directory beside them, which is returned; `None` if there are
/// none.
pub(super) fn set_aside(directory: &Path) -> Result<Option<PathBuf>, StoreError> {
    let files: Vec<_> = [STORE_FILE, JOURNAL_FILE, IDENTITY_FILE, SEAL_FILE]
        .into_iter()
        .filter(|name| directory.join(name).symlink_metadata().is_ok())
        .collect();
    if files.is_empty() {
        return Ok(None);
    }
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::Io { path, source }
    };
    let mut number = 1;
    let aside = loop {
        let aside = directory.join(format!("lost-{number}"));
        match std::fs::create_dir(&aside) {
            Ok(()) => break aside,
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            Err(source) => return Err(StoreError::Io { path: aside, source }),
        }
    };
    for name in files {
        let path = directory.join(name);
        std::fs::rename(&path, aside.join(name)).map_err(io(&path))?;
    }
    for changed in [&*aside, directory] {
        crate::directory::sync(changed).map_err(io(changed))?;
    }
    Ok(Some(aside))
}

/// Stands in for a database while it is closed.
pub(super) fn nothing() -> Result<Database, StoreError> {
    Ok(Database::builder().create_with_backend(redb::backends::InMemoryBackend::new())?)
}
