//! The digests of the state's chunks, kept up to date at the cost of what has changed.

use super::Bytes;
use super::chunk::ChunkBuilder;
use crate::store::Chunk;
use pbft_core::manifest::{ChunkId, chunk_digest};
use redb::{ReadableTable, StorageError};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// What is known of the chunks. Nothing at first, and again after a transaction that never happened: then the next
/// digests are computed from the whole state.
#[derive(Debug, Default)]
pub(crate) struct ChunkCache {
    /// The chunks by first key; the first chunk begins at the empty key. `None` if nothing is known.
    known: Option<BTreeMap<Vec<u8>, Known>>,
    /// First keys of the chunks in which something changed.
    dirty: BTreeSet<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    chunk: ChunkId,
    /// Whether its bytes are kept, for checkpoints.
    kept: bool,
}

/// The chunks of a state: all in order, and the bytes of those that are not kept yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chunks {
    pub(crate) all: Vec<ChunkId>,
    pub(crate) new: Vec<Chunk>,
}

impl ChunkCache {
    /// The pair of `key` is there now, has another value, or is not there any more.
    pub(super) fn changed(&mut self, key: &[u8]) {
        let Some(known) = &self.known else { return };
        let mut starts = known
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
            .rev()
            .map(|(start, _)| start);
        let own = starts.next().cloned().unwrap_or_default();
        // Where a chunk ends depends on the pair behind it, too.
        if own == key
            && let Some(before) = starts.next()
        {
            self.dirty.insert(before.clone());
        }
        self.dirty.insert(own);
    }

    /// The chunks of the state in `table`; all their bytes count as kept from now on.
    pub(crate) fn take(
        &mut self,
        table: &impl ReadableTable<Bytes, Bytes>,
    ) -> Result<Chunks, StorageError> {
        let mut new = Vec::new();
        self.refresh(table, Some(&mut new))?;
        let unkept: Vec<Vec<u8>> = self
            .known
            .iter()
            .flatten()
            .filter(|(_, known)| !known.kept)
            .map(|(start, _)| start.clone())
            .collect();
        for start in unkept {
            let (bytes, _) = read_chunk(table, &start)?;
            new.extend(bytes.map(|bytes| Chunk { digest: chunk_digest(&bytes), bytes }));
        }
        self.known.iter_mut().flatten().for_each(|(_, known)| known.kept = true);
        Ok(Chunks { all: self.all(), new })
    }

    /// The chunks of the state in `table`, in order.
    pub(crate) fn update(
        &mut self,
        table: &impl ReadableTable<Bytes, Bytes>,
    ) -> Result<Vec<ChunkId>, StorageError> {
        self.refresh(table, None)?;
        Ok(self.all())
    }

    /// The bytes that were kept are not there any more.
    pub(crate) fn forget_kept(&mut self) {
        self.known.iter_mut().flatten().for_each(|(_, known)| known.kept = false);
    }

    fn all(&self) -> Vec<ChunkId> {
        self.known.iter().flatten().map(|(_, known)| known.chunk).collect()
    }

    fn refresh(
        &mut self,
        table: &impl ReadableTable<Bytes, Bytes>,
        mut bytes: Option<&mut Vec<Chunk>>,
    ) -> Result<(), StorageError> {
        if self.known.is_none() {
            self.dirty = BTreeSet::from([Vec::new()]);
        }
        let known = self.known.get_or_insert_default();
        while let Some(first) = self.dirty.pop_first() {
            let mut start = first;
            // Chunk by chunk, until a cut is where an unchanged chunk begins.
            loop {
                known.remove(&start);
                let (chunk, next) = read_chunk(table, &start)?;
                let end = next.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
                let behind = known.range::<[u8], _>((Bound::Excluded(&*start), end));
                let merged: Vec<Vec<u8>> = behind.map(|(key, _)| key.clone()).collect();
                for key in merged {
                    known.remove(&key);
                    self.dirty.remove(&key);
                }
                if let Some(read) = chunk {
                    let (chunk, kept) = (ChunkId::of(&read), bytes.is_some());
                    known.insert(start, Known { chunk, kept });
                    if let Some(bytes) = bytes.as_deref_mut() {
                        bytes.push(Chunk { digest: chunk.digest, bytes: read });
                    }
                }
                match next {
                    Some(next) if self.dirty.remove(&next) || !known.contains_key(&next) => {
                        start = next;
                    }
                    _ => break,
                }
            }
        }
        Ok(())
    }
}

/// A chunk, and the key at which the next one begins; none where the state ends.
type Read = (Option<Vec<u8>>, Option<Vec<u8>>);

/// The chunk that begins at `start`, and the key at which the next one does.
fn read_chunk(
    table: &impl ReadableTable<Bytes, Bytes>,
    start: &[u8],
) -> Result<Read, StorageError> {
    let mut builder = ChunkBuilder::default();
    for pair in table.range::<&[u8]>(start..)? {
        let (key, value) = pair?;
        if let Some(chunk) = builder.add(key.value(), value.value()) {
            return Ok((Some(chunk), Some(key.value().to_vec())));
        }
    }
    Ok((builder.finish(), None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{State, chunk_pairs};
    use pbft_core::types::Digest;
    use proptest::prelude::*;
    use redb::backends::InMemoryBackend;
    use redb::{Database, TableDefinition};

    const TABLE: TableDefinition<Bytes, Bytes> = TableDefinition::new("pairs");

    /// Large values, so that a few pairs make several chunks.
    fn value(number: u8) -> Vec<u8> {
        vec![number; 2_000 + 90 * usize::from(number)]
    }

    #[derive(Clone, Debug)]
    enum Change {
        Put(u8, u8),
        Delete(u8),
        Take,
        Update,
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            6 => (any::<u8>(), any::<u8>()).prop_map(|(key, number)| Change::Put(key, number)),
            4 => any::<u8>().prop_map(Change::Delete),
            1 => Just(Change::Take),
            1 => Just(Change::Update),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn kept_digests_are_those_of_the_whole_state(changes in proptest::collection::vec(change(), 1..200)) {
            let database = Database::builder().create_with_backend(InMemoryBackend::new()).expect("memory");
            let write = database.begin_write().expect("begun");
            let mut cache = ChunkCache::default();
            let mut kept: BTreeSet<Digest> = BTreeSet::new();
            for change in changes.into_iter().chain([Change::Take]) {
                let take = matches!(change, Change::Take);
                match change {
                    Change::Put(key, number) => {
                        let mut state = State::new(write.open_table(TABLE).expect("open"), &mut cache);
                        state.put(&[key], &value(number)).expect("small");
                        continue;
                    }
                    Change::Delete(key) => {
                        let mut state = State::new(write.open_table(TABLE).expect("open"), &mut cache);
                        state.delete(&[key]);
                        continue;
                    }
                    Change::Take | Change::Update => {}
                }
                let table = write.open_table(TABLE).expect("open");
                let whole = chunk_pairs(table.iter().expect("read")).expect("read");
                let expected: Vec<ChunkId> = whole.iter().map(|chunk| ChunkId::of(chunk)).collect();
                if take {
                    let chunks = cache.take(&table).expect("read");
                    prop_assert_eq!(&chunks.all, &expected);
                    for chunk in &chunks.new {
                        prop_assert_eq!(chunk.digest, chunk_digest(&chunk.bytes));
                        kept.insert(chunk.digest);
                    }
                    prop_assert!(expected.iter().all(|chunk| kept.contains(&chunk.digest)), "bytes are lacking");
                } else {
                    prop_assert_eq!(cache.update(&table).expect("read"), expected);
                }
            }
        }
    }

    #[test]
    fn one_change_costs_a_few_chunks() {
        let database =
            Database::builder().create_with_backend(InMemoryBackend::new()).expect("memory");
        let write = database.begin_write().expect("begun");
        let mut cache = ChunkCache::default();
        let put = |cache: &mut ChunkCache, keys: std::ops::Range<u32>| {
            let mut state = State::new(write.open_table(TABLE).expect("open"), cache);
            keys.for_each(|i| {
                state.put(format!("key-{i:06}").as_bytes(), &[b'v'; 40]).expect("small")
            });
        };
        put(&mut cache, 0..20_000);
        let table = || write.open_table(TABLE).expect("open");
        let all = cache.take(&table()).expect("read");
        assert_eq!(all.new.len(), all.all.len());
        assert_eq!(cache.take(&table()).expect("read").new, [], "nothing changed");
        put(&mut cache, 777..778);
        assert_eq!(cache.take(&table()).expect("read").new.len(), 1);
        cache.forget_kept();
        assert_eq!(cache.take(&table()).expect("read").new.len(), all.all.len());
    }
}
