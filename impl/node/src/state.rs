//! The service's state: an ordered map of byte strings that lives in the store, in the same transaction as the
//! log and the reply table.
//!
//! A service gets no other place to keep anything, so state outside the checkpoints is impossible by
//! construction: what one replica has, a replica that catches up gets.

use crate::store::StoreError;
use redb::{AccessGuard, ReadableTable as _, StorageError, Table};
use std::ops::Bound;
use thiserror::Error;

/// A chunk is closed before it would pass this size; only a single larger pair makes a larger chunk.
pub const CHUNK_BYTES: usize = 64 * 1024;

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

/// The state during the execution of one batch.
///
/// No method tells the service of a failing disk: there is nothing right that it could do. The first failure is
/// remembered, and then nothing of the batch happens: the replica stops.
pub struct State<'txn> {
    table: Table<'txn, &'static [u8], &'static [u8]>,
    failure: Option<StoreError>,
}

impl<'txn> State<'txn> {
    pub(crate) fn new(table: Table<'txn, &'static [u8], &'static [u8]>) -> Self {
        Self { table, failure: None }
    }

    pub(crate) fn finish(self) -> Result<(), StoreError> {
        self.failure.map_or(Ok(()), Err)
    }

    fn note<T: Default>(&mut self, result: Result<T, StorageError>) -> T {
        result.unwrap_or_else(|error| {
            self.failure.get_or_insert(error.into());
            T::default()
        })
    }

    /// The value of `key`.
    pub fn get(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let value = self.table.get(key).map(|value| value.map(|v| v.value().to_vec()));
        self.note(value)
    }

    /// Sets the value of `key`.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), PairTooLarge> {
        if key.len() > KEY_BYTES_MAX || value.len() > VALUE_BYTES_MAX {
            return Err(PairTooLarge { key: key.len(), value: value.len() });
        }
        let result = self.table.insert(key, value).map(|_| ());
        self.note(result);
        Ok(())
    }

    /// Forgets `key`, and says whether it had a value.
    pub fn delete(&mut self, key: &[u8]) -> bool {
        let result = self.table.remove(key).map(|old| old.is_some());
        self.note(result)
    }

    /// At most `limit` pairs with keys from `start` up to but without `end`, in order of key.
    pub fn range(&mut self, start: &[u8], end: Option<&[u8]>, limit: usize) -> Vec<Pair> {
        let end = end.map_or(Bound::Unbounded, Bound::Excluded);
        let pairs = self.table.range::<&[u8]>((Bound::Included(start), end)).and_then(|pairs| {
            let owned = |(key, value): (AccessGuard<'_, &[u8]>, AccessGuard<'_, &[u8]>)| {
                (key.value().to_vec(), value.value().to_vec())
            };
            pairs.take(limit).map(|pair| pair.map(owned)).collect()
        });
        self.note(pairs)
    }
}

impl std::fmt::Debug for State<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("failure", &self.failure).finish_non_exhaustive()
    }
}

type Entry<'a> = (AccessGuard<'a, &'static [u8]>, AccessGuard<'a, &'static [u8]>);

/// Cuts pairs, in order of key, into encoded chunks. The cut depends on nothing but the pairs.
pub(crate) fn chunk_pairs<'a>(
    pairs: impl Iterator<Item = Result<Entry<'a>, StorageError>>,
) -> Result<Vec<Vec<u8>>, StorageError> {
    let mut chunks: Vec<Vec<u8>> = Vec::new();
    for pair in pairs {
        let (key, value) = pair?;
        append_pair(&mut chunks, key.value(), value.value());
    }
    Ok(chunks)
}

fn append_pair(chunks: &mut Vec<Vec<u8>>, key: &[u8], value: &[u8]) {
    let len = 8 + key.len() + value.len();
    if chunks.last().is_none_or(|chunk| chunk.len() + len > CHUNK_BYTES) {
        chunks.push(Vec::new());
    }
    let Some(chunk) = chunks.last_mut() else { return };
    for bytes in [key, value] {
        chunk.extend((bytes.len() as u32).to_le_bytes());
        chunk.extend(bytes);
    }
}

/// The pairs of an encoded chunk; `None` if it is not one.
pub(crate) fn unchunk(mut bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut pairs = Vec::new();
    while !bytes.is_empty() {
        let (key, rest) = split_bytes(bytes)?;
        let (value, rest) = split_bytes(rest)?;
        pairs.push((key, value));
        bytes = rest;
    }
    Some(pairs)
}

fn split_bytes(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*len) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chunked(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<Vec<u8>> {
        let mut chunks = Vec::new();
        pairs.iter().for_each(|(key, value)| append_pair(&mut chunks, key, value));
        chunks
    }

    #[test]
    fn chunks_are_closed_before_they_are_too_large() {
        let pairs: Vec<_> = (0..100u8).map(|i| (vec![i], vec![i; 2000])).collect();
        let chunks = chunked(&pairs);
        assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK_BYTES));
        assert_eq!(chunks.len(), 4, "32 pairs of 2009 bytes fit into each");
        let huge = chunked(&[(vec![1], vec![0; 2 * CHUNK_BYTES]), (vec![2], vec![])]);
        assert_eq!(huge.iter().map(Vec::len).collect::<Vec<_>>(), [2 * CHUNK_BYTES + 9, 9]);
    }

    proptest! {
        #[test]
        fn chunks_hold_the_pairs(pairs in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..9), proptest::collection::vec(any::<u8>(), 0..9000)), 0..40)) {
            let chunks = chunked(&pairs);
            let again: Vec<_> = chunks
                .iter()
                .flat_map(|chunk| unchunk(chunk).expect("a chunk"))
                .map(|(key, value)| (key.to_vec(), value.to_vec()))
                .collect();
            prop_assert_eq!(again, pairs);
        }

        #[test]
        fn any_bytes_are_a_chunk_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Some(pairs) = unchunk(&bytes) {
                let total: usize = pairs.iter().map(|(key, value)| 8 + key.len() + value.len()).sum();
                prop_assert_eq!(total, bytes.len());
            }
        }
    }
}
