//! The state cut into chunks: the leaves of the tree whose root is a checkpoint's digest.
//!
//! Where a chunk ends depends on nothing but the pairs since its beginning, and the one behind its end. So a change of one pair moves the cuts
//! behind it only up to the next place where old and new cuts meet, and all other chunks keep their digests.

/// A chunk is closed before it would pass this size; only a single larger pair makes a larger chunk.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// A chunk of at least this size is closed at the next pair that [`ends_chunks`]: with it, the largest state has a
/// bounded number of chunks, whatever keys somebody chooses.
const CHUNK_BYTES_MIN: usize = 16 * 1024;

/// Pairs of so many bytes together have one among them that ends a chunk, on average. A larger one always does: so the
/// cuts meet soon, whatever the sizes of the pairs.
const ENDING_BYTES: u64 = 1 << 15;

/// A chunk that is being filled.
#[derive(Debug, Default)]
pub(super) struct ChunkBuilder {
    bytes: Vec<u8>,
}

impl ChunkBuilder {
    /// Adds a pair; returns the chunk before it if the pair begins a new one.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        let (len, pair) = (self.bytes.len(), 8 + key.len() + value.len());
        let full = len + pair > CHUNK_BYTES || (len >= CHUNK_BYTES_MIN && ends_chunks(key, pair));
        let closed = (len > 0 && full).then(|| std::mem::take(&mut self.bytes));
        put_pair(&mut self.bytes, key, value);
        closed
    }

    /// The last chunk, if there is one.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        (!self.bytes.is_empty()).then_some(self.bytes)
    }
}

/// Whether a pair ends the chunk before it, once that is large enough: decided by the pair alone, so that the cuts of
/// two states that differ in one place meet again soon behind it (FNV-1a of the key, mixed once more).
fn ends_chunks(key: &[u8], pair_bytes: usize) -> bool {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325, mix);
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    mixed % ENDING_BYTES < pair_bytes as u64
}

/// Cuts pairs, in order of key, into encoded chunks. The cut depends on nothing but the pairs.
#[cfg(test)]
pub(crate) fn chunk_pairs<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<Vec<u8>> {
    let (mut chunks, mut builder) = (Vec::new(), ChunkBuilder::default());
    pairs.for_each(|(key, value)| chunks.extend(builder.add(key, value)));
    chunks.extend(builder.finish());
    chunks
}

/// Adds an encoded pair to a chunk.
pub(crate) fn put_pair(chunk: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    put_bytes(chunk, key);
    put_bytes(chunk, value);
}

pub(super) fn put_bytes(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend((bytes.len() as u32).to_le_bytes());
    into.extend(bytes);
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

pub(super) fn split_bytes(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*len) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chunked(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<Vec<u8>> {
        chunk_pairs(pairs.iter().map(|(key, value)| (&**key, &**value)))
    }

    #[test]
    fn chunks_are_closed_before_they_are_too_large() {
        let pairs: Vec<_> = (0..100u8).map(|i| (vec![i], vec![i; 2000])).collect();
        let chunks = chunked(&pairs);
        assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK_BYTES));
        assert!((4..=7).contains(&chunks.len()), "16 to 32 pairs fit into each: {}", chunks.len());
        let huge = chunked(&[(vec![1], vec![0; 2 * CHUNK_BYTES]), (vec![2], vec![])]);
        assert_eq!(huge.iter().map(Vec::len).collect::<Vec<_>>(), [2 * CHUNK_BYTES + 9, 9]);
    }

    #[test]
    fn a_change_leaves_chunks_far_from_it_alone() {
        let pair = |i: u32| (format!("key-{i:06}").into_bytes(), vec![b'v'; 40]);
        let mut pairs: Vec<_> = (0..20_000).map(pair).collect();
        let before = chunked(&pairs);
        pairs.insert(10_000, (b"key-009999-new".to_vec(), vec![b'v'; 40]));
        let after = chunked(&pairs);
        let old = before.iter().filter(|chunk| !after.contains(chunk)).count();
        assert!(before.len() > 20 && old <= 3, "{old} of {} chunks changed", before.len());
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
