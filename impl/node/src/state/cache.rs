//! The digests of the state's chunks, kept up to date at the cost of what has changed.

use super::Bytes;
use super::chunk::{self, ChunkBuilder};
use pbft_core::manifest::ChunkId;
use redb::{ReadableTable, StorageError};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// So many changed chunks may wait for their digests. What is more is digested with the batch that changes it, so that
/// neither a checkpoint nor a question for the state's digest ever has more than these to do: some 5 MiB.
const DIRTY_MAX: usize = 128;

/// What is known of the chunks: for each its digest, its length and its first key, about 100 bytes for 40 KiB of state.
#[derive(Debug)]
pub(crate) struct ChunkCache {
    /// The chunks by first key; the first chunk begins at the empty key.
    known: BTreeMap<Vec<u8>, ChunkId>,
    /// First keys of the chunks in which something changed.
    dirty: BTreeSet<Vec<u8>>,
}

/// The chunks of a state, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chunks {
    pub(crate) ids: Vec<ChunkId>,
    /// The keys at which they begin; the first is empty.
    pub(crate) starts: Starts,
}

/// Keys at which chunks begin, in order, encoded: each with its length before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Starts(Vec<u8>);

impl Starts {
    fn of<'k>(keys: impl Iterator<Item = &'k [u8]>) -> Self {
        let mut bytes = Vec::new();
        keys.for_each(|key| chunk::put_bytes(&mut bytes, key));
        Self(bytes)
    }

    /// What [`Starts::as_bytes`] has given.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The keys in these bytes, up to the first that is none.
    pub(crate) fn keys(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
        std::iter::from_fn(move || {
            let (key, rest) = chunk::split_bytes(bytes)?;
            bytes = rest;
            Some(key)
        })
    }
}

impl ChunkCache {
    /// Nothing is known of the state.
    pub(crate) fn unknown() -> Self {
        Self { known: BTreeMap::new(), dirty: BTreeSet::from([Vec::new()]) }
    }

    /// The state has these chunks.
    pub(crate) fn restored<'k>(starts: impl Iterator<Item = &'k [u8]>, ids: &[ChunkId]) -> Self {
        let known = starts.map(<[u8]>::to_vec).zip(ids.iter().copied()).collect();
        Self { known, dirty: BTreeSet::new() }
    }

    /// The pair of `key` is there now, has another value, or is not there any more.
    pub(crate) fn changed(&mut self, key: &[u8]) {
        let before = (Bound::Unbounded, Bound::Included(key));
        let mut starts = self.known.range::<[u8], _>(before).rev().map(|(start, _)| start);
        let own = starts.next().cloned().unwrap_or_default();
        // Where a chunk ends depends on the pair behind it, too.
        if own == key
            && let Some(before) = starts.next()
        {
            self.dirty.insert(before.clone());
        }
        self.dirty.insert(own);
    }

    /// The chunks of the state in `table`.
    pub(crate) fn chunks(
        &mut self,
        table: &impl ReadableTable<Bytes, Bytes>,
    ) -> Result<Chunks, StorageError> {
        self.refresh(table, 0)?;
        let starts = Starts::of(self.known.keys().map(Vec::as_slice));
        Ok(Chunks { ids: self.known.values().copied().collect(), starts })
    }

    /// Digests what has changed, but for what may wait.
    pub(super) fn settle(
        &mut self,
        table: &impl ReadableTable<Bytes, Bytes>,
    ) -> Result<(), StorageError> {
        self.refresh(table, DIRTY_MAX)
    }

    /// Digests what has changed, but for so many chunks.
    pub(crate) fn refresh(
        &mut self,
        table: &impl ReadableTable<Bytes, Bytes>,
        but: usize,
    ) -> Result<(), StorageError> {
        let Self { known, dirty } = self;
        while dirty.len() > but
            && let Some(mut start) = dirty.pop_first()
        {
            // Chunk by chunk, until a cut is where an unchanged chunk begins.
            loop {
                known.remove(&start);
                let (chunk, next) = read_chunk(table, &start)?;
                let end = next.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
                let behind = known.range::<[u8], _>((Bound::Excluded(&*start), end));
                let merged: Vec<Vec<u8>> = behind.map(|(key, _)| key.clone()).collect();
                for key in merged {
                    known.remove(&key);
                    dirty.remove(&key);
                }
                if let Some(read) = chunk {
                    known.insert(start, ChunkId::of(&read));
                }
                match next {
                    Some(next) if dirty.remove(&next) || !known.contains_key(&next) => {
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
    use pbft_host::Undo as _;
    use proptest::prelude::*;
    use redb::backends::InMemoryBackend;
    use redb::{Database, TableDefinition, WriteTransaction};

    const TABLE: TableDefinition<Bytes, Bytes> = TableDefinition::new("pairs");

    fn begin() -> WriteTransaction {
        let database = Database::builder().create_with_backend(InMemoryBackend::new());
        database.expect("memory").begin_write().expect("begun")
    }

    fn change(
        write: &WriteTransaction,
        cache: &mut ChunkCache,
        change: impl FnOnce(&mut State<'_>),
    ) {
        let mut state = State::new(write.open_table(TABLE).expect("open"), None, cache, None);
        change(&mut state);
        state.finish().expect("written");
    }

    /// The chunks of the whole state, from nothing.
    fn from_scratch(write: &WriteTransaction) -> Vec<ChunkId> {
        let table = write.open_table(TABLE).expect("open");
        let pairs: Vec<_> = table.iter().expect("read").map(|pair| pair.expect("read")).collect();
        let pairs = pairs.iter().map(|(key, value)| (key.value(), value.value()));
        chunk_pairs(pairs).iter().map(|chunk| ChunkId::of(chunk)).collect()
    }

    /// Large values, so that a few pairs make several chunks.
    fn value(number: u8) -> Vec<u8> {
        vec![number; 2_000 + 90 * usize::from(number)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn digests_are_those_of_the_whole_state(changes in proptest::collection::vec((any::<u8>(), any::<Option<u8>>(), any::<bool>()), 1..200)) {
            let (write, mut cache) = (begin(), ChunkCache::unknown());
            for (key, to, look) in changes {
                change(&write, &mut cache, |state| match to {
                    Some(number) => state.put(&[key], &value(number)).expect("small"),
                    None => {
                        state.delete(&[key]);
                    }
                });
                if look {
                    let Chunks { ids, starts } = cache.chunks(&write.open_table(TABLE).expect("open")).expect("read");
                    prop_assert_eq!(&ids, &from_scratch(&write));
                    let restored = ChunkCache::restored(Starts::keys(starts.as_bytes()), &ids);
                    prop_assert_eq!(&restored.known, &cache.known);
                }
            }
        }
    }

    /// Outside fault F19: A checkpoint after changes all over the state digests it whole.
    #[test]
    fn few_changed_chunks_wait_for_their_digests() {
        let (write, mut cache) = (begin(), ChunkCache::unknown());
        let put = |state: &mut State<'_>, number: u32| {
            state.put(&number.to_be_bytes(), &[7; 2_000]).expect("small");
        };
        change(&write, &mut cache, |state| (0..20_000).for_each(|number| put(state, number)));
        cache.refresh(&write.open_table(TABLE).expect("open"), 0).expect("read");
        assert!(cache.known.len() > 2 * DIRTY_MAX, "{} chunks", cache.known.len());
        for number in (0..20_000).step_by(5) {
            change(&write, &mut cache, |state| put(state, number));
            assert!(cache.dirty.len() <= DIRTY_MAX);
        }
        let ids = cache.chunks(&write.open_table(TABLE).expect("open")).expect("read").ids;
        assert_eq!(ids, from_scratch(&write));
    }

    /// Outside fault F19: One pair more in front of large ones moves all cuts behind it.
    #[test]
    fn one_change_costs_a_few_chunks_whatever_the_size_of_the_pairs() {
        for size in [40, 2_000, 20_000, 30_000, 50_000, 70_000] {
            let (write, mut cache) = (begin(), ChunkCache::unknown());
            let mut put = |numbers: &mut dyn Iterator<Item = usize>| {
                change(&write, &mut cache, |state| {
                    numbers.for_each(|number| {
                        let key = format!("key-{number:07}");
                        state.put(key.as_bytes(), &vec![b'v'; size]).expect("small");
                        state.begin_operation();
                    });
                });
                cache.chunks(&write.open_table(TABLE).expect("open")).expect("read").ids
            };
            let count = 8_000_000 / size;
            let mut before = put(&mut (0..count).map(|number| 10 * number));
            let total = before.len();
            let mut new = 0;
            for place in 0..8 {
                let after = put(&mut std::iter::once(10 * (place * count / 8) + 5));
                let old: BTreeSet<_> = before.iter().collect();
                new += after.iter().filter(|id| !old.contains(id)).count();
                before = after;
            }
            assert!(total > 100 && new <= 40, "{size}: {new} of {total} are new");
        }
    }
}
