//! The journal: what a commit changes, in one append and with one wait for the disk.
//!
//! The database takes several writes for a commit, at places that it has to look for. So what a commit changes is appended
//! here, and is durable then; the database has it in memory, and on the disk with the next commit that is written there
//! as a whole ([`super::Transaction::commit`]). After that the journal begins anew, at its start: its blocks are there
//! already.
//!
//! A commit is one entry:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | length of the content, little-endian |
//! | 8 | the commit's number, little-endian |
//! | 4 | checksum of the entry before; for the first one of the store's identity |
//! | 4 | checksum (CRC-32) of the 16 bytes before and the content |
//! | … | the content: the commit's [`Change`]s, as [`crate::codec`] encodes them |
//!
//! An entry that is cut off was never acknowledged, and is the last one. If a whole entry follows one that is not, a disk
//! has changed what was acknowledged, and the store is refused. That the last entries are gone altogether is noticed by
//! the [seal](super::seal).

use super::StoreError;
use super::change::Change;
use super::identity::Identity;
use crate::codec;
use crc32fast::Hasher;
use redb::StorageBackend;
use std::path::{Path, PathBuf};

/// The file's name.
pub(super) const JOURNAL_FILE: &str = "data.journal";

/// The most bytes of entries. A commit for which there is no room is written to the database.
pub(super) const JOURNAL_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The file grows by so much at a time, so that a commit seldom waits for the file system's own notes.
const EXTENT: usize = 256 * 1024;

const HEADER: usize = 20;

/// An entry of the journal.
#[derive(Debug)]
pub(super) struct Entry {
    /// The commit's number.
    pub(super) number: u64,
    /// What it changes, in order.
    pub(super) changes: Vec<Change>,
}

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    file: Box<dyn StorageBackend>,
    path: PathBuf,
    /// What the first entry names as the checksum before.
    seed: u32,
    /// The length of the file.
    len: usize,
    /// Where the next entry begins.
    end: usize,
    /// The checksum of the entry before it.
    last: u32,
}

impl Journal {
    /// The journal of `identity`'s store in `file`.
    pub(super) fn open(
        file: impl StorageBackend,
        path: PathBuf,
        identity: &Identity,
    ) -> Result<Self, StoreError> {
        let seed = checksum(&[&codec::encode(identity)?]);
        let len = file.len().map_err(|source| StoreError::Io { path: path.clone(), source })?;
        let too_long = len > (JOURNAL_BYTES_MAX + EXTENT) as u64;
        let len = usize::try_from(len).ok().filter(|_| !too_long).ok_or_else(|| {
            let what = format!("{len} bytes are more than a journal has");
            StoreError::Corrupt { path: path.clone(), what }
        })?;
        Ok(Self { file: Box::new(file), path, seed, len, end: 0, last: seed })
    }

    /// The entries of the commits after number `after`. Nothing is appended before everything is in the database.
    pub(super) fn read(&self, after: u64) -> Result<Vec<Entry>, StoreError> {
        let mut bytes = vec![0; self.len];
        self.file.read(0, &mut bytes).map_err(|source| self.io(source))?;
        let (mut entries, mut at, mut previous) = (Vec::<Entry>::new(), 0, self.seed);
        let mut last = None;
        while let Some(raw) = Raw::at(&bytes, at)
            && raw.previous == previous
            && last.is_none_or(|last| raw.number == last + 1)
        {
            at += HEADER + raw.content.len();
            (previous, last) = (raw.checksum, Some(raw.number));
            if raw.number <= after {
                continue;
            }
            let number = raw.number;
            let changes = codec::decode(raw.content)
                .map_err(|error| self.corrupt(format!("commit {number} {error}")))?;
            entries.push(Entry { number, changes });
        }
        let last = last.unwrap_or_default().max(after);
        if let Some(later) = Raw::later(&bytes, at, last) {
            let what = format!("commit {later} is there, and does not follow commit {last}");
            return Err(self.corrupt(what));
        }
        match entries.first() {
            Some(first) if first.number != after + 1 => {
                let (lost, first) = (after + 1, first.number);
                Err(self.corrupt(format!("it begins with commit {first}, and {lost} is lost")))
            }
            _ => Ok(entries),
        }
    }

    /// Whether an entry with so many bytes has room.
    pub(super) fn has_room(&self, content: usize) -> bool {
        self.end + HEADER + content <= JOURNAL_BYTES_MAX
    }

    /// Appends a commit, and waits until it is on the disk.
    pub(super) fn append(&mut self, number: u64, content: &[u8]) -> Result<(), StoreError> {
        assert!(self.has_room(content.len()), "there is room for the entry");
        let mut entry = Vec::with_capacity(HEADER + content.len());
        entry.extend((content.len() as u32).to_le_bytes());
        entry.extend(number.to_le_bytes());
        entry.extend(self.last.to_le_bytes());
        let own = checksum(&[&entry, content]);
        entry.extend(own.to_le_bytes());
        entry.extend(content);
        let end = self.end + entry.len();
        self.grow(end)?;
        self.file.write(self.end as u64, &entry).map_err(|source| self.io(source))?;
        self.file.sync_data().map_err(|source| self.io(source))?;
        (self.end, self.last) = (end, own);
        Ok(())
    }

    /// Everything so far is on the disk elsewhere.
    pub(super) fn begin_anew(&mut self) {
        (self.end, self.last) = (0, self.seed);
    }

    /// Makes room up to `end`.
    fn grow(&mut self, end: usize) -> Result<(), StoreError> {
        if end <= self.len {
            return Ok(());
        }
        let len = end.next_multiple_of(EXTENT);
        let zeros = vec![0; len - self.len];
        self.file.set_len(len as u64).map_err(|source| self.io(source))?;
        self.file.write(self.len as u64, &zeros).map_err(|source| self.io(source))?;
        self.len = len;
        Ok(())
    }

    fn io(&self, source: std::io::Error) -> StoreError {
        StoreError::Io { path: self.path.clone(), source }
    }

    fn corrupt(&self, what: String) -> StoreError {
        StoreError::Corrupt { path: self.path.clone(), what }
    }
}

/// Makes the file for a new store.
pub(super) fn create(directory: &Path) -> Result<(), StoreError> {
    let path = directory.join(JOURNAL_FILE);
    let created = std::fs::File::create_new(&path).and_then(|file| file.sync_all());
    created.map_err(|source| StoreError::Io { path, source })
}

/// A whole entry among bytes.
struct Raw<'b> {
    number: u64,
    previous: u32,
    checksum: u32,
    content: &'b [u8],
}

impl<'b> Raw<'b> {
    /// The entry that begins at `at`; `None` if none does, or not a whole one.
    fn at(bytes: &'b [u8], at: usize) -> Option<Self> {
        let (header, rest) = bytes.get(at..)?.split_first_chunk::<HEADER>()?;
        let word = |at: usize| Some(u32::from_le_bytes(*header.get(at..)?.first_chunk()?));
        let content = rest.get(..word(0)? as usize)?;
        let number = u64::from_le_bytes(*header.get(4..)?.first_chunk()?);
        let raw = Self { number, previous: word(12)?, checksum: word(16)?, content };
        let is_whole = raw.checksum == checksum(&[&header[..16], content]);
        is_whole.then_some(raw)
    }

    /// The number of a whole entry at or behind `at` that is higher than `last`.
    fn later(bytes: &'b [u8], at: usize, last: u64) -> Option<u64> {
        // So many fit, so that hardly anything but an entry is looked at twice.
        let possible = last + 1..=last.saturating_add((bytes.len() / HEADER) as u64 + 1);
        (at..bytes.len()).find_map(|at| {
            let number = u64::from_le_bytes(*bytes.get(at + 4..)?.first_chunk()?);
            let raw = possible.contains(&number).then(|| Raw::at(bytes, at))??;
            Some(raw.number)
        })
    }
}

fn checksum(parts: &[&[u8]]) -> u32 {
    let mut hasher = Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
