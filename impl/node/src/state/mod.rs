//! The service's state: an ordered map of byte strings that lives in the store, in the same transaction as the
//! log and the reply table.
//!
//! A service gets no other place to keep anything, so state outside the checkpoints is impossible by
//! construction: what one replica has, a replica that catches up gets.

mod cache;
mod chunk;
mod view;

pub(crate) use cache::{ChunkCache, Chunks, Starts};
pub use chunk::CHUNK_BYTES;
#[cfg(test)]
pub(crate) use chunk::chunk_pairs;
pub(crate) use chunk::{put_pair, unchunk};
pub use view::StateView;

use crate::store::{Change, StoreError};
use pbft_core::types::SeqNum;
use pbft_host::Undo;
use redb::{AccessGuard, ReadableTable, StorageError, Table};
use std::ops::Bound;
use thiserror::Error;

/// The longest key.
pub const KEY_BYTES_MAX: usize = 4 * 1024;

/// The longest value. With the key it fits into a frame of state.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;

/// A key with its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// A pair that is too long to keep. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a key of {key} bytes with a value of {value}; at most {KEY_BYTES_MAX} and {VALUE_BYTES_MAX} can be kept"
)]
pub struct PairTooLarge {
    /// The key's length.
    pub key: usize,
    /// The value's length.
    pub value: usize,
}

/// Reading the state: what the executing [`State`] and the [`StateView`] of a query have in common.
pub trait ReadState {
    /// The value of `key`.
    fn get(&mut self, key: &[u8]) -> Option<Vec<u8>>;

    /// At most `limit` pairs with keys from `start` up to but without `end`, in order of key.
    fn range(&mut self, start: &[u8], end: Option<&[u8]>, limit: usize) -> Vec<Pair>;
}

/// The state during the execution of one batch.
///
/// No method tells the service of a failing disk: there is nothing right that it could do. The first failure is
/// remembered, and then nothing of the batch happens: the replica stops.
pub struct State<'txn> {
    table: Table<'txn, Bytes, Bytes>,
    former: Option<Former<'txn>>,
    chunks: &'txn mut ChunkCache,
    /// What the keys that the operation under way has changed had before, oldest first.
    before: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Where the changes are noted, if the journal keeps them.
    changes: Option<&'txn mut Vec<Change>>,
    failure: Option<StoreError>,
}

/// Where the values are kept that pairs had at the last kept checkpoint, once they change.
pub(crate) struct Former<'txn> {
    pub(crate) checkpoint: SeqNum,
    pub(crate) table: Table<'txn, (u64, Bytes), Option<Bytes>>,
}

impl Former<'_> {
    /// The pair of `key` had this value, at the checkpoint too if it changes for the first time since.
    fn keep(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StorageError> {
        let place = (self.checkpoint.0, key);
        if self.table.get(place)?.is_none() {
            self.table.insert(place, value)?;
        }
        Ok(())
    }
}

impl<'txn> State<'txn> {
    pub(crate) fn new(
        table: Table<'txn, Bytes, Bytes>,
        former: Option<Former<'txn>>,
        chunks: &'txn mut ChunkCache,
        changes: Option<&'txn mut Vec<Change>>,
    ) -> Self {
        Self { table, former, chunks, before: Vec::new(), changes, failure: None }
    }

    pub(crate) fn finish(self) -> Result<(), StoreError> {
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(self.chunks.settle(&self.table)?),
        }
    }

    /// Forgets the pairs with keys from `start` up to but without `end`.
    pub(crate) fn clear(&mut self, start: &[u8], end: Option<&[u8]>) {
        for (key, _) in self.range(start, end, usize::MAX) {
            self.delete(&key);
        }
    }

    /// Sets or forgets a value, and returns the one before.
    fn set(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<Option<Vec<u8>>, StorageError> {
        let old = match value {
            Some(value) => self.table.insert(key, value)?,
            None => self.table.remove(key)?,
        };
        let old = old.map(|old| old.value().to_vec());
        if value.is_some() || old.is_some() {
            self.chunks.changed(key);
            if let Some(former) = &mut self.former {
                former.keep(key, old.as_deref())?;
            }
            if let Some(changes) = &mut self.changes {
                let key = key.to_vec();
                changes.push(match value {
                    Some(value) => Change::Put { key, value: value.to_vec() },
                    None => Change::Delete { key },
                });
            }
        }
        Ok(old)
    }

    /// The value of `key`.
    pub fn get(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        note(&mut self.failure, get(&self.table, key))
    }

    /// At most `limit` pairs with keys from `start` up to but without `end`, in order of key.
    pub fn range(&mut self, start: &[u8], end: Option<&[u8]>, limit: usize) -> Vec<Pair> {
        note(&mut self.failure, range(&self.table, start, end, limit))
    }

    /// Sets the value of `key`.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), PairTooLarge> {
        if key.len() > KEY_BYTES_MAX || value.len() > VALUE_BYTES_MAX {
            return Err(PairTooLarge { key: key.len(), value: value.len() });
        }
        let old = self.set(key, Some(value));
        let old = note(&mut self.failure, old);
        self.before.push((key.to_vec(), old));
        Ok(())
    }

    /// Forgets `key`, and says whether it had a value.
    pub fn delete(&mut self, key: &[u8]) -> bool {
        let old = self.set(key, None);
        let old = note(&mut self.failure, old);
        let had_one = old.is_some();
        if had_one {
            self.before.push((key.to_vec(), old));
        }
        had_one
    }
}

impl Undo for State<'_> {
    fn begin_operation(&mut self) {
        self.before.clear();
    }

    fn undo(&mut self) {
        for (key, value) in std::mem::take(&mut self.before).into_iter().rev() {
            let result = self.set(&key, value.as_deref()).map(drop);
            note(&mut self.failure, result);
        }
    }
}

impl ReadState for State<'_> {
    fn get(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        Self::get(self, key)
    }

    fn range(&mut self, start: &[u8], end: Option<&[u8]>, limit: usize) -> Vec<Pair> {
        Self::range(self, start, end, limit)
    }
}

/// Remembers the first failure.
fn note<T: Default>(failure: &mut Option<StoreError>, result: Result<T, StorageError>) -> T {
    result.unwrap_or_else(|error| {
        failure.get_or_insert(error.into());
        T::default()
    })
}

type Bytes = &'static [u8];

fn get(
    table: &impl ReadableTable<Bytes, Bytes>,
    key: &[u8],
) -> Result<Option<Vec<u8>>, StorageError> {
    Ok(table.get(key)?.map(|value| value.value().to_vec()))
}

fn range(
    table: &impl ReadableTable<Bytes, Bytes>,
    start: &[u8],
    end: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Pair>, StorageError> {
    let end = end.map_or(Bound::Unbounded, Bound::Excluded);
    let owned = |(key, value): (AccessGuard<'_, Bytes>, AccessGuard<'_, Bytes>)| {
        (key.value().to_vec(), value.value().to_vec())
    };
    let pairs = table.range::<&[u8]>((Bound::Included(start), end))?;
    pairs.take(limit).map(|pair| pair.map(owned)).collect()
}

impl std::fmt::Debug for State<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("failure", &self.failure).finish_non_exhaustive()
    }
}
