//! The replica's disk: the durable log, the service's state, the reply table and the checkpoints, in one
//! transactional file (redb) with a journal before it.
//!
//! Everything that a group of steps asks to be durable goes into one write transaction, and nothing that depends on it leaves
//! the machine before [`Transaction::commit`] has returned. Most commits are an entry of the journal; the database has them in
//! memory until one is written there, when a checkpoint is stable for instance. Whoever opens a store does the entries of
//! the journal again. The log is cut short whenever a checkpoint is stable: then the records are folded into one [`Durable`]. A store belongs to one replica of one cluster for ever, and
//! refuses to be opened as anybody else's.

mod change;
mod disk;
mod error;
mod host;
mod identity;
mod journal;
mod kept;
mod medium;
mod seal;
mod tables;
mod transaction;
mod whose;

pub(crate) use change::Change;
pub use disk::MemoryDisk;
pub use error::StoreError;
pub use identity::Identity;
pub use medium::{CACHE_BYTES, CACHE_BYTES_MIN};
pub use transaction::Transaction;

use crate::codec;
use crate::state::{ChunkCache, Chunks, Pair, StateView};
use journal::{Entry, Journal};
use medium::Medium;
use pbft_core::evidence::Contradiction;
use pbft_core::manifest::{Manifest, chunk_digest};
use pbft_core::message::StatePart;
use pbft_core::replies::{LastReply, ReplyTable};
use pbft_core::types::{ClientId, Digest, Lane, SeqNum};
use pbft_core::{Durable, Record, ServiceState};
use redb::{
    Database, ReadOnlyDatabase, ReadableDatabase, ReadableTable as _, ReadableTableMetadata as _,
};
use seal::Seal;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tables::{
    COMMITS, DURABLE, EVIDENCE, EXECUTED, IDENTITY, INCARNATION, JOURNALED, LOG, META, REPLIES,
    SERVICE, STAGED,
};
use transaction::Open;
use whose::{check_identity, has_journal, read_identity, refuse_foreign};

/// The name of the store's file in a data directory.
pub const STORE_FILE: &str = "data.redb";

/// An open store.
#[derive(Debug)]
pub struct Store {
    /// What was put off. It ends before the database is closed.
    open: Option<Open>,
    database: Arc<Database>,
    /// The same for readers, who do not keep it open.
    readers: Arc<Mutex<Weak<Database>>>,
    medium: Medium,
    path: PathBuf,
    identity: Identity,
    incarnation: u64,
    /// How many commits there were.
    commits: u64,
    journal: Journal,
    /// What is in the journal and was not done again yet.
    to_redo: Vec<Entry>,
    /// Until which commit the database has what was not records.
    in_database: u64,
    /// The fold of the committed records.
    durable: Durable,
    /// The records that are in the journal and not in the database's log.
    unlogged: Vec<Record>,
    /// The key of the next log record.
    next_record: u64,
    /// The chunks of the committed state; `None` after a transaction that never happened.
    chunks: Option<ChunkCache>,
    /// The last checkpoint that is kept.
    checkpoint: Option<SeqNum>,
}

impl Store {
    /// Makes a new store in `directory`, for the first start of `identity`'s replica and for no other occasion.
    pub fn create(directory: &Path, identity: Identity) -> Result<Self, StoreError> {
        Self::create_with(directory, identity, &Durable::default())
    }

    /// Makes a store in `directory` that remembers `durable` and nothing else. With anything but the default, that is
    /// for a replica that has lost its memory: see [`crate::recover`].
    pub fn create_with(
        directory: &Path,
        identity: Identity,
        durable: &Durable,
    ) -> Result<Self, StoreError> {
        let path = directory.join(STORE_FILE);
        if path.exists() {
            return Err(StoreError::Exists { path });
        }
        identity.write(directory)?;
        let seal = Seal::create(directory)?;
        journal::create(directory)?;
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(&path);
        let database = database.map_err(|e| StoreError::at(&path, e))?;
        tables::initialise(&database, &identity, durable).map_err(|e| e.with_path(&path))?;
        crate::directory::sync(directory)
            .map_err(|source| StoreError::Io { path: directory.to_owned(), source })?;
        Self::load(
            database,
            Medium::Directory(directory.to_owned(), seal, CACHE_BYTES),
            path,
            identity,
        )
    }

    /// Opens the store of `identity`'s replica in `directory`, and reads all of it. Whatever is wrong with it, nothing
    /// that a vote depends on is changed. What is in the journal is written to the database.
    pub fn open(directory: &Path, identity: Identity) -> Result<Self, StoreError> {
        Self::open_with(directory, identity, CACHE_BYTES)
    }

    /// The same, with so many bytes of the file in memory.
    pub fn open_with(
        directory: &Path,
        identity: Identity,
        cache_bytes: usize,
    ) -> Result<Self, StoreError> {
        let path = directory.join(STORE_FILE);
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.len() == 0 => return Err(StoreError::Empty { path }),
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(StoreError::Missing { path });
            }
            Err(source) => return Err(StoreError::Io { path, source }),
        }
        let is_named = identity.check(directory)?;
        refuse_foreign(&path, &identity)?;
        let (seal, sealed) = Seal::open(directory)?;
        let database = medium::open_verified(directory, cache_bytes)?;
        let medium = Medium::Directory(directory.to_owned(), seal, cache_bytes);
        let store = Self::load(database, medium, path, identity)?;
        store.check_seal(sealed)?;
        let store = store.caught_up(Opening::Counted)?;
        if !is_named {
            identity.write(directory)?;
            tracing::warn!(
                "the store is this replica's, but store.id was missing: it is written again"
            );
        }
        Ok(store)
    }

    /// Opens a store in memory, empty or as an earlier one left it: the same code on another medium.
    pub fn in_memory(disk: &MemoryDisk, identity: Identity) -> Result<Self, StoreError> {
        let path = PathBuf::from("memory");
        let fresh = disk.is_empty();
        let database = Database::builder().create_with_backend(disk.database())?;
        if fresh {
            tables::initialise(&database, &identity, &Durable::default())?;
        }
        let medium = Medium::Memory(disk.clone());
        Self::load(database, medium, path, identity)?.caught_up(Opening::Counted)
    }

    /// Moves the files of a lost store in `directory` out of the way, and says where to; `None` if there are none.
    pub(crate) fn set_aside(directory: &Path) -> Result<Option<PathBuf>, StoreError> {
        medium::set_aside(directory)
    }

    /// Opens a copy, in memory, of whatever store is in `directory`. The files are only read, and nobody may have them
    /// open.
    pub fn examine(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(STORE_FILE);
        let disk = medium::copy(directory)?;
        let database = medium::open_copy(&path, &disk)?;
        let identity = read_identity(&database).map_err(|e| e.with_path(&path))?;
        let store = Self::load(database, Medium::Memory(disk), path, identity)?;
        if let Ok((_, sealed)) = Seal::open(directory) {
            store.check_seal(sealed)?;
        }
        store.caught_up(Opening::Uncounted)
    }

    /// How many writes were acknowledged so far.
    pub fn commits(&self) -> u64 {
        self.commits
    }

    /// Closes the store and opens it again, as a new process would: after a failure the database refuses everything.
    pub fn reopen(&mut self) -> Result<(), StoreError> {
        // Closed first: a store is open once.
        self.open = None;
        self.database = Arc::new(medium::nothing()?);
        let opened = match &self.medium {
            Medium::Directory(directory, _, cache_bytes) => {
                Self::open_with(&directory.clone(), self.identity, *cache_bytes)?
            }
            Medium::Memory(disk) => Self::in_memory(&disk.clone(), self.identity)?,
        };
        let readers = Arc::clone(&self.readers);
        *readers.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&opened.database);
        *self = Self { readers, ..opened };
        Ok(())
    }

    /// Writes everything to the database, and makes sure that the number of commits is on the disk beside it. Called at an
    /// orderly end; commits do not wait for it.
    pub fn settle(&mut self) -> Result<(), StoreError> {
        self.catch_up()?;
        let (number, path) = (self.commits, self.path.clone());
        self.begin().into_database(number).map_err(|e| e.with_path(&path))?;
        match &self.medium {
            Medium::Directory(_, seal, _) => seal.sync(),
            Medium::Memory(_) => Ok(()),
        }
    }

    /// Refuses a store that has lost commits that were acknowledged.
    fn check_seal(&self, sealed: u64) -> Result<(), StoreError> {
        match self.commits >= sealed {
            true => Ok(()),
            false => {
                let lost = sealed - self.commits;
                let what = format!("its last {lost} acknowledged commit(s) are lost");
                Err(StoreError::Corrupt { path: self.path.clone(), what })
            }
        }
    }

    fn load(
        database: Database,
        medium: Medium,
        path: PathBuf,
        identity: Identity,
    ) -> Result<Self, StoreError> {
        check_identity(&database, &identity, &path)?;
        let has_journal = has_journal(&database).map_err(|e| e.with_path(&path))?;
        let database = Arc::new(database);
        let mut store = Self {
            open: None,
            readers: Arc::new(Mutex::new(Arc::downgrade(&database))),
            database,
            journal: medium.journal(&identity, has_journal)?,
            to_redo: Vec::new(),
            in_database: 0,
            medium,
            path,
            identity,
            incarnation: 0,
            commits: 0,
            durable: Durable::default(),
            unlogged: Vec::new(),
            next_record: 0,
            chunks: None,
            checkpoint: None,
        };
        store.read_log().map_err(|e| e.with_path(&store.path))?;
        // Before the replica runs: nobody is to wait for it.
        store.read_chunks().map_err(|e| e.with_path(&store.path))?;
        Ok(store)
    }

    fn read_log(&mut self) -> Result<(), StoreError> {
        let read = self.database.begin_read()?;
        let meta = read.open_table(META)?;
        if let Some(bytes) = meta.get(DURABLE)? {
            self.durable = decode("durable", bytes.value())?;
        }
        if let Some(bytes) = meta.get(COMMITS)? {
            self.in_database = decode("number of commits", bytes.value())?;
        }
        if let Some(bytes) = meta.get(INCARNATION)? {
            self.incarnation = decode("incarnation", bytes.value())?;
        }
        for entry in read.open_table(LOG)?.iter()? {
            let (key, bytes) = entry?;
            let record: Record = decode("log record", bytes.value())?;
            self.durable.apply(&record);
            self.next_record = key.value() + 1;
        }
        let journaled = match meta.get(JOURNALED)? {
            Some(bytes) => decode("number of commits before the journal", bytes.value())?,
            None => self.in_database,
        };
        self.to_redo = self.journal.read(journaled)?;
        self.commits = self.to_redo.last().map_or(journaled, |last| last.number);
        // A database that was closed has what it had in memory, but for the records.
        match self.in_database.checked_sub(self.commits) {
            None | Some(0) => Ok(()),
            Some(lost) => {
                let what = format!("the records of its last {lost} commit(s) are lost");
                Err(StoreError::corrupt(what))
            }
        }
    }

    fn read_chunks(&mut self) -> Result<(), StoreError> {
        let kept = kept::committed(&self.database.begin_read()?)?;
        self.checkpoint = kept.last()?;
        self.chunks = Some(kept.chunk_cache()?);
        Ok(())
    }

    /// Does again what is in the journal, and writes it to the database.
    fn caught_up(mut self, opening: Opening) -> Result<Self, StoreError> {
        let (path, number, in_database) = (self.path.clone(), self.commits, self.in_database);
        let incarnation = self.incarnation + 1;
        let entries = std::mem::take(&mut self.to_redo);
        let redo = |mut transaction: Transaction<'_>| {
            for Entry { number, changes } in entries {
                transaction.redo(changes, number <= in_database)?;
            }
            if let Opening::Counted = opening {
                transaction.count_incarnation(incarnation)?;
            }
            transaction.into_database(number)
        };
        redo(self.begin()).map_err(|e| e.with_path(&path))?;
        if let Opening::Counted = opening {
            self.incarnation = incarnation;
        }
        Ok(self)
    }

    /// Commit `number` has happened, with these records.
    fn committed<'r>(&mut self, number: u64, records: impl Iterator<Item = &'r Record>) {
        self.commits = number;
        records.for_each(|record| self.durable.apply(record));
    }

    /// Begins the one write transaction.
    pub fn begin(&mut self) -> Transaction<'_> {
        Transaction::begin(self)
    }

    /// Whether something was [put off](Transaction::put_off).
    pub fn is_behind(&self) -> bool {
        self.open.is_some()
    }

    /// Commits what was put off, if anything was.
    pub fn catch_up(&mut self) -> Result<(), StoreError> {
        match self.is_behind() {
            true => self.begin().commit(),
            false => Ok(()),
        }
    }

    /// The fold of the log: what the replica must not have forgotten.
    pub fn durable(&self) -> &Durable {
        &self.durable
    }

    /// How often the store was opened, this time included; making it does not count.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Whose store it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What the service's side knows at a restart.
    pub fn service_state(&self) -> Result<ServiceState, StoreError> {
        let read = self.database.begin_read()?;
        let replies = read_replies(&read.open_table(REPLIES)?)?;
        let manifests = kept::committed(&read)?.manifests()?;
        let mut staged = Vec::new();
        for entry in read.open_table(STAGED)?.iter()? {
            staged.push(Digest(*entry?.0.value()));
        }
        Ok(ServiceState { last_executed: self.last_executed()?, replies, manifests, staged })
    }

    /// The last batch that the service executed.
    pub fn last_executed(&self) -> Result<SeqNum, StoreError> {
        let read = self.database.begin_read()?;
        match read.open_table(META)?.get(EXECUTED)? {
            Some(bytes) => decode("executed", bytes.value()),
            None => Ok(SeqNum::default()),
        }
    }

    /// A part of a stored checkpoint; `None` if it is not (or no longer) here.
    pub fn state_part(&self, seq: SeqNum, part: StatePart) -> Result<Option<Vec<u8>>, StoreError> {
        kept::committed(&self.database.begin_read()?)?.part(seq, part)
    }

    /// One digest of the service's whole state: equal at replicas that executed the same. Its cost is that of what
    /// has changed since it was asked for the last time.
    pub fn state_digest(&mut self) -> Result<Digest, StoreError> {
        let read = self.database.begin_read()?;
        let mut cache = match self.chunks.take() {
            Some(cache) => cache,
            None => kept::committed(&read)?.chunk_cache()?,
        };
        let Chunks { ids, .. } = cache.chunks(&read.open_table(SERVICE)?)?;
        self.chunks = Some(cache);
        let bytes: Vec<u8> = ids.iter().flat_map(|chunk| chunk.digest.0).collect();
        Ok(chunk_digest(&bytes))
    }

    /// A way to read the service's state while the store is in use, until the store is closed.
    pub fn reader(&self) -> StateReader {
        StateReader { database: Arc::clone(&self.readers) }
    }

    /// The service's pairs with keys from `start` on, at most `limit`, for inspection.
    pub fn pairs(&self, start: &[u8], limit: usize) -> Result<Vec<Pair>, StoreError> {
        let read = self.database.begin_read()?;
        let service = read.open_table(SERVICE)?;
        let mut pairs = Vec::new();
        for entry in service.range(start..)?.take(limit) {
            let (key, value) = entry?;
            pairs.push((key.value().to_vec(), value.value().to_vec()));
        }
        Ok(pairs)
    }

    /// The stored evidence of equivocation: at most one contradiction a replica, view and number.
    pub fn evidence(&self) -> Result<Vec<Contradiction>, StoreError> {
        let read = self.database.begin_read()?;
        let table = read.open_table(EVIDENCE)?;
        table.iter()?.map(|entry| decode("evidence", entry?.1.value())).collect()
    }

    /// How many records the log holds beside their fold.
    pub fn log_records(&self) -> Result<u64, StoreError> {
        let logged = self.database.begin_read()?.open_table(LOG)?.len()?;
        Ok(logged + self.unlogged.len() as u64)
    }
}

/// Whether the opening of a store is one more incarnation of its replica.
#[derive(Clone, Copy)]
enum Opening {
    Counted,
    /// Of a copy, to look at it.
    Uncounted,
}

/// Reads the service's committed state. It does not keep the store open.
#[derive(Clone, Debug)]
pub struct StateReader {
    database: Arc<Mutex<Weak<Database>>>,
}

impl StateReader {
    /// The state as it is now; `None` once the store is closed.
    pub fn view(&self) -> Result<Option<StateView>, StoreError> {
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let Some(database) = database else { return Ok(None) };
        // Number and state are of the same transaction.
        let read = database.begin_read()?;
        let seq = match read.open_table(META)?.get(EXECUTED)? {
            Some(bytes) => decode("executed", bytes.value())?,
            None => SeqNum::default(),
        };
        Ok(Some(StateView::new(read.open_table(SERVICE)?, seq)))
    }
}

fn decode<T: serde::Serialize + serde::de::DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
) -> Result<T, StoreError> {
    codec::decode(bytes).map_err(|e| StoreError::corrupt(format!("{what} {e}")))
}

fn read_replies(
    table: &impl redb::ReadableTable<(u32, u16), &'static [u8]>,
) -> Result<ReplyTable, StoreError> {
    let mut replies = ReplyTable::default();
    for entry in table.iter()? {
        let (key, bytes) = entry?;
        let (client, lane) = key.value();
        let reply: LastReply = decode("reply", bytes.value())?;
        replies.record(ClientId(client), Lane(lane), reply);
    }
    Ok(replies)
}

fn decode_manifest(bytes: &[u8]) -> Result<Manifest, StoreError> {
    Manifest::decode(bytes).ok_or_else(|| StoreError::corrupt("a manifest cannot be read"))
}

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod kept_tests;
#[cfg(test)]
mod tests;
