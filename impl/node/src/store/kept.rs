//! The states of the kept checkpoints. They share all pairs with the state as it is now but those that have changed
//! since: of these, the values are kept that they had. So a checkpoint costs what changes, not what the state holds.

use super::tables::{CHECKPOINTS, FORMER, REPLY_CHUNKS, SERVICE};
use super::{StoreError, decode_manifest};
use crate::state::{ChunkCache, Starts, put_pair};
use pbft_core::manifest::{ChunkId, Manifest};
use pbft_core::message::StatePart;
use pbft_core::types::{Digest, SeqNum};
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, Table, WriteTransaction};
use std::collections::BTreeMap;

type Bytes = &'static [u8];

/// The tables that kept states are read from.
pub(super) struct Kept<C, R, S, F> {
    checkpoints: C,
    replies: R,
    service: S,
    former: F,
}

/// The tables of a transaction that reads.
type Committed = Kept<
    ReadOnlyTable<u64, (Bytes, Bytes)>,
    ReadOnlyTable<&'static [u8; 32], Bytes>,
    ReadOnlyTable<Bytes, Bytes>,
    ReadOnlyTable<(u64, Bytes), Option<Bytes>>,
>;

/// The tables of a transaction that writes.
type Written<'a> = Kept<
    Table<'a, u64, (Bytes, Bytes)>,
    Table<'a, &'static [u8; 32], Bytes>,
    Table<'a, Bytes, Bytes>,
    Table<'a, (u64, Bytes), Option<Bytes>>,
>;

/// The kept states as they are on the disk.
pub(super) fn committed(read: &ReadTransaction) -> Result<Committed, StoreError> {
    Ok(Kept {
        checkpoints: read.open_table(CHECKPOINTS)?,
        replies: read.open_table(REPLY_CHUNKS)?,
        service: read.open_table(SERVICE)?,
        former: read.open_table(FORMER)?,
    })
}

/// The kept states as a transaction sees them.
pub(super) fn written(write: &WriteTransaction) -> Result<Written<'_>, StoreError> {
    Ok(Kept {
        checkpoints: write.open_table(CHECKPOINTS)?,
        replies: write.open_table(REPLY_CHUNKS)?,
        service: write.open_table(SERVICE)?,
        former: write.open_table(FORMER)?,
    })
}

impl<C, R, S, F> Kept<C, R, S, F>
where
    C: ReadableTable<u64, (Bytes, Bytes)>,
    R: ReadableTable<&'static [u8; 32], Bytes>,
    S: ReadableTable<Bytes, Bytes>,
    F: ReadableTable<(u64, Bytes), Option<Bytes>>,
{
    /// The last checkpoint that is kept.
    pub(super) fn last(&self) -> Result<Option<SeqNum>, StoreError> {
        Ok(self.checkpoints.last()?.map(|(seq, _)| SeqNum(seq.value())))
    }

    pub(super) fn manifests(&self) -> Result<Vec<Manifest>, StoreError> {
        self.checkpoints.iter()?.map(|entry| decode_manifest(entry?.1.value().0)).collect()
    }

    /// The chunks of the state now: those of the last checkpoint, but where something has changed since.
    pub(super) fn chunk_cache(&self) -> Result<ChunkCache, StoreError> {
        let mut cache = match self.checkpoints.last()? {
            None => ChunkCache::unknown(),
            Some((seq, checkpoint)) => {
                let (manifest, starts) = checkpoint.value();
                let manifest = decode_manifest(manifest)?;
                let mut cache =
                    ChunkCache::restored(Starts::keys(starts), manifest.service_chunks());
                for entry in self.former.range::<(u64, &[u8])>((seq.value(), &[][..])..)? {
                    cache.changed(entry?.0.value().1);
                }
                cache
            }
        };
        cache.refresh(&self.service, 0)?;
        Ok(cache)
    }

    /// Which checkpoints have which chunks of the service's state.
    pub(super) fn places(&self) -> Result<BTreeMap<Digest, (SeqNum, StatePart)>, StoreError> {
        let mut places = BTreeMap::new();
        for manifest in self.manifests()? {
            let chunks = manifest.chunks.iter().enumerate();
            places.extend(chunks.map(|(index, chunk)| {
                (chunk.digest, (manifest.seq, StatePart::Chunk(index as u32)))
            }));
        }
        Ok(places)
    }

    /// A part of a checkpoint; `None` if the checkpoint is not (or no longer) here.
    pub(super) fn part(&self, seq: SeqNum, part: StatePart) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(checkpoint) = self.checkpoints.get(seq.0)? else { return Ok(None) };
        let (manifest, starts) = checkpoint.value();
        let index = match part {
            StatePart::Manifest => return Ok(Some(manifest.to_vec())),
            StatePart::Chunk(index) => index as usize,
        };
        let manifest = decode_manifest(manifest)?;
        let Some(chunk) = manifest.chunks.get(index) else { return Ok(None) };
        let bytes = match index.checked_sub(manifest.replies as usize) {
            None => self.replies.get(&chunk.digest.0)?.map(|bytes| bytes.value().to_vec()),
            Some(index) => {
                let mut starts = Starts::keys(starts).skip(index);
                starts.next().map(|start| self.chunk(seq, start, starts.next())).transpose()?
            }
        };
        match bytes.filter(|bytes| ChunkId::of(bytes) == *chunk) {
            Some(bytes) => Ok(Some(bytes)),
            None => {
                let what = format!("chunk {index} of checkpoint {seq} does not have its digest");
                Err(StoreError::corrupt(what))
            }
        }
    }

    /// The pairs with keys from `start` up to `end` as they were at a checkpoint, encoded.
    fn chunk(&self, seq: SeqNum, start: &[u8], end: Option<&[u8]>) -> Result<Vec<u8>, StoreError> {
        let is_in = |key: &[u8]| end.is_none_or(|end| key < end);
        let mut pairs = BTreeMap::new();
        for entry in self.service.range::<&[u8]>(start..)? {
            let (key, value) = entry?;
            if !is_in(key.value()) {
                break;
            }
            pairs.insert(key.value().to_vec(), value.value().to_vec());
        }
        // From the latest back to this one: what a pair had at the earliest is what it had here.
        for checkpoint in self.checkpoints.range(seq.0..)?.rev() {
            let at = checkpoint?.0.value();
            for entry in self.former.range::<(u64, &[u8])>((at, start)..)? {
                let (place, value) = entry?;
                let (of, key) = place.value();
                if of != at || !is_in(key) {
                    break;
                }
                match value.value() {
                    Some(value) => pairs.insert(key.to_vec(), value.to_vec()),
                    None => pairs.remove(key),
                };
            }
        }
        let mut bytes = Vec::new();
        pairs.iter().for_each(|(key, value)| put_pair(&mut bytes, key, value));
        Ok(bytes)
    }
}
