//! The state as a query sees it.

use super::{Bytes, Pair, ReadState, get, note, range};
use crate::store::StoreError;
use pbft_core::types::SeqNum;
use redb::ReadOnlyTable;

/// The state after one batch, for reading. It stays what it is while later batches are executed.
pub struct StateView {
    table: ReadOnlyTable<Bytes, Bytes>,
    seq: SeqNum,
    failure: Option<StoreError>,
}

impl StateView {
    pub(crate) fn new(table: ReadOnlyTable<Bytes, Bytes>, seq: SeqNum) -> Self {
        Self { table, seq, failure: None }
    }

    /// The last batch that was executed in this state.
    pub fn seq(&self) -> SeqNum {
        self.seq
    }

    /// The value of `key`.
    pub fn get(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        note(&mut self.failure, get(&self.table, key))
    }

    /// At most `limit` pairs with keys from `start` up to but without `end`, in order of key.
    pub fn range(&mut self, start: &[u8], end: Option<&[u8]>, limit: usize) -> Vec<Pair> {
        note(&mut self.failure, range(&self.table, start, end, limit))
    }

    pub(crate) fn finish(self) -> Result<(), StoreError> {
        self.failure.map_or(Ok(()), Err)
    }
}

impl ReadState for StateView {
    fn get(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        Self::get(self, key)
    }

    fn range(&mut self, start: &[u8], end: Option<&[u8]>, limit: usize) -> Vec<Pair> {
        Self::range(self, start, end, limit)
    }
}

impl std::fmt::Debug for StateView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateView").field("seq", &self.seq).finish_non_exhaustive()
    }
}
