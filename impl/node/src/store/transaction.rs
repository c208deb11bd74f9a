//! One write transaction: everything that a group of steps makes durable together.

use super::tables::{
    CHUNKS, COMMITS, DURABLE, EVIDENCE, EXECUTED, LOG, MANIFESTS, META, REPLIES, SERVICE, STAGED,
};
use super::{Store, StoreError, decode_manifest, read_part, read_replies};
use crate::codec;
use crate::state::{ChunkCache, Chunks, State, chunk_pairs, unchunk};
use pbft_core::Record;
use pbft_core::evidence::Contradiction;
use pbft_core::manifest::{ChunkId, Manifest, chunk_digest, oldest_kept};
use pbft_core::message::{Request, StatePart};
use pbft_core::planted::planted;
use pbft_core::replies::{LastReply, ReplyTable};
use pbft_core::types::{Digest, ReplicaId, SeqNum, View};
use redb::{ReadableTable as _, ReadableTableMetadata as _, WriteTransaction};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The most equivocations that are kept: a liar must not fill the disk.
const EVIDENCE_MAX: u64 = 4096;

/// A piece of the service's state with its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The digest of `bytes`.
    pub digest: Digest,
    /// Sorted pairs, encoded.
    pub bytes: Vec<u8>,
}

/// What is written and not committed.
pub(super) struct Open {
    write: WriteTransaction,
    /// The records of this transaction, for the log's fold.
    records: Vec<Record>,
    next_record: u64,
    /// The store's, taken until the commit: a transaction that never happens leaves nothing known.
    chunks: ChunkCache,
}

/// An open write transaction. Dropped without a commit, it never happened.
pub struct Transaction<'s> {
    store: &'s mut Store,
    open: Open,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("next_record", &self.next_record).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").field("open", &self.open).finish_non_exhaustive()
    }
}

impl<'s> Transaction<'s> {
    /// Begins, or goes on with what was [put off](Self::put_off).
    pub(super) fn begin(store: &'s mut Store) -> Result<Self, StoreError> {
        if let Some(open) = store.open.take() {
            return Ok(Self { store, open });
        }
        let mut write = store.database.begin_write()?;
        write.set_durability(match planted!(store, FsyncDropped) {
            true => redb::Durability::None,
            false => redb::Durability::Immediate,
        })?;
        let next_record = store.next_record;
        let chunks = std::mem::take(&mut store.chunks);
        let open = Open { write, records: Vec::new(), next_record, chunks };
        Ok(Self { store, open })
    }

    /// Leaves everything to the next transaction, which commits it together with its own writes. Nothing may depend on
    /// it before.
    pub fn put_off(self) {
        self.store.open = Some(self.open);
    }

    /// Makes everything durable. After an error nothing may leave the machine any more: what is on the disk is
    /// not known, and asking again could be answered by a page cache that has forgotten the failure.
    pub fn commit(self) -> Result<(), StoreError> {
        let Self { store, open } = self;
        let Open { write, records, next_record, chunks } = open;
        let commits = store.commits + 1;
        write.open_table(META)?.insert(COMMITS, &*codec::encode(&commits)?)?;
        write.commit().map_err(|e| StoreError::from(e).with_path(&store.path))?;
        store.medium.seal(commits)?;
        store.commits = commits;
        records.iter().for_each(|record| store.durable.apply(record));
        store.next_record = next_record;
        store.chunks = chunks;
        Ok(())
    }

    /// Adds a record to the log. A stable checkpoint folds the log, and lets go of earlier checkpoints.
    pub fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        self.open.records.push(record.clone());
        if let Record::Stable(_) = record {
            return self.fold();
        }
        self.open.write.open_table(LOG)?.insert(self.open.next_record, &*codec::encode(record)?)?;
        if !planted!(self.store, LogRecordsOverwritten) {
            self.open.next_record += 1;
        }
        Ok(())
    }

    fn fold(&mut self) -> Result<(), StoreError> {
        let mut durable = self.store.durable.clone();
        self.open.records.iter().for_each(|record| durable.apply(record));
        let stable = durable.low_water_mark;
        self.open.write.open_table(META)?.insert(DURABLE, &*codec::encode(&durable)?)?;
        let kept = planted!(self.store, LogKeptAfterFold);
        self.open.write.open_table(LOG)?.retain(|_, _| kept)?;
        self.forget_states_before(stable)
    }

    /// Lets go of the states that are not served any more, and of the chunks that no other has.
    fn forget_states_before(&mut self, stable: SeqNum) -> Result<(), StoreError> {
        let mut manifests = self.open.write.open_table(MANIFESTS)?;
        let stored = manifests.iter()?.map(|entry| Ok(SeqNum(entry?.0.value())));
        let oldest = oldest_kept(stored.collect::<Result<Vec<_>, StoreError>>()?, stable);
        let (mut kept, mut superseded) = (BTreeSet::new(), BTreeSet::new());
        for entry in manifests.iter()? {
            let (seq, manifest) = entry?;
            let chunks = decode_manifest(manifest.value())?.chunks;
            let into = if seq.value() >= oldest.0 { &mut kept } else { &mut superseded };
            into.extend(chunks);
        }
        manifests.retain(|seq, _| seq >= oldest.0)?;
        if kept.is_empty() {
            self.open.chunks.forget_kept();
        }
        let mut chunks = self.open.write.open_table(CHUNKS)?;
        for chunk in superseded.difference(&kept) {
            chunks.remove(&chunk.digest.0)?;
        }
        Ok(())
    }

    /// Lets `use_state` read and change the service's state.
    pub fn with_state<R>(
        &mut self,
        use_state: impl FnOnce(&mut State<'_>) -> R,
    ) -> Result<R, StoreError> {
        let table = self.open.write.open_table(SERVICE)?;
        let mut state = State::new(table, &mut self.open.chunks);
        let result = use_state(&mut state);
        state.finish()?;
        Ok(result)
    }

    /// Records that batch `seq` was executed, with the results of its requests.
    pub fn executed<'r>(
        &mut self,
        seq: SeqNum,
        results: impl IntoIterator<Item = (&'r Request, LastReply)>,
    ) -> Result<(), StoreError> {
        let mut replies = self.open.write.open_table(REPLIES)?;
        for (request, reply) in results {
            let key = (request.client.0, request.lane.0);
            if !planted!(self.store, ReplyTableNotStored) {
                replies.insert(key, &*codec::encode(&reply)?)?;
            }
        }
        if !planted!(self.store, ExecutedNumberNotStored) {
            self.open.write.open_table(META)?.insert(EXECUTED, &*codec::encode(&seq)?)?;
        }
        Ok(())
    }

    /// The chunks of the service's state: all digests, and the bytes of those that no checkpoint has kept yet.
    pub(crate) fn chunks(&mut self) -> Result<Chunks, StoreError> {
        let service = self.open.write.open_table(SERVICE)?;
        Ok(self.open.chunks.take(&service)?)
    }

    /// The reply table and the service's state as chunks, all of them.
    fn all_chunks(&self) -> Result<Vec<Chunk>, StoreError> {
        let service = self.open.write.open_table(SERVICE)?;
        let replies = read_replies(&self.open.write.open_table(REPLIES)?)?.chunks();
        let chunks = replies.into_iter().chain(chunk_pairs(service.iter()?)?);
        Ok(chunks.map(|bytes| Chunk { digest: chunk_digest(&bytes), bytes }).collect())
    }

    /// Keeps a checkpoint, to serve it.
    pub fn store_checkpoint(
        &mut self,
        manifest: &Manifest,
        replies: &[Arc<[u8]>],
        chunks: &[Chunk],
    ) -> Result<(), StoreError> {
        let mut manifests = self.open.write.open_table(MANIFESTS)?;
        // The chunks of other checkpoints are here already.
        let mut here = BTreeSet::new();
        for entry in manifests.iter()? {
            here.extend(decode_manifest(entry?.1.value())?.chunks.iter().map(|c| c.digest));
        }
        let mut table = self.open.write.open_table(CHUNKS)?;
        for bytes in replies {
            let digest = chunk_digest(bytes);
            table.insert(&digest.0, &**bytes)?;
            here.insert(digest);
        }
        let mut all = Vec::new();
        let given: BTreeSet<Digest> = chunks.iter().map(|chunk| chunk.digest).collect();
        let is_here = |digest| here.contains(digest) || given.contains(digest);
        if !manifest.chunks.iter().all(|chunk| is_here(&chunk.digest)) {
            // A checkpoint that became stable before it was kept let go of what they share.
            all = self.all_chunks()?;
        }
        for chunk in chunks.iter().chain(&all) {
            if here.insert(chunk.digest) {
                table.insert(&chunk.digest.0, &*chunk.bytes)?;
            }
        }
        if !manifest.chunks.iter().all(|chunk| here.contains(&chunk.digest)) {
            let what = format!("checkpoint {} names a chunk that the state lacks", manifest.seq);
            return Err(StoreError::corrupt(what));
        }
        manifests.insert(manifest.seq.0, &*manifest.encode())?;
        Ok(())
    }

    /// A part of a checkpoint, also of one that this transaction stored.
    pub fn state_part(&self, seq: SeqNum, part: StatePart) -> Result<Option<Vec<u8>>, StoreError> {
        let manifests = self.open.write.open_table(MANIFESTS)?;
        let chunks = self.open.write.open_table(CHUNKS)?;
        read_part(&manifests, &chunks, seq, part)
    }

    /// Keeps a fetched chunk.
    pub fn stage(&mut self, digest: Digest, bytes: &[u8]) -> Result<(), StoreError> {
        self.open.write.open_table(STAGED)?.insert(&digest.0, bytes)?;
        Ok(())
    }

    /// Lets go of the fetched chunks that are not `needed`.
    pub fn retain_staged(&mut self, needed: &BTreeSet<Digest>) -> Result<(), StoreError> {
        let mut staged = self.open.write.open_table(STAGED)?;
        staged.retain(|digest, _| needed.contains(&Digest(*digest)))?;
        Ok(())
    }

    /// Replaces the service's state and the reply table by the chunks of `manifest`, staged ones and those that were
    /// here anyway. The checkpoint is kept, to serve it.
    pub fn install(&mut self, manifest: &Manifest) -> Result<ReplyTable, StoreError> {
        let mut replies = self.collect_chunks(manifest)?;
        let service = replies.split_off(manifest.replies as usize);
        let table = ReplyTable::from_chunks(replies.iter().map(|chunk| &*chunk.bytes));
        let table = table.ok_or_else(|| StoreError::corrupt("a fetched reply table is none"))?;
        self.replace_state(&service)?;
        self.replace_replies(&table)?;
        self.open.write.open_table(META)?.insert(EXECUTED, &*codec::encode(&manifest.seq)?)?;
        self.open.write.open_table(STAGED)?.retain(|_, _| false)?;
        self.store_checkpoint(manifest, &[], &[replies, service].concat())?;
        Ok(table)
    }

    fn replace_replies(&mut self, replies: &ReplyTable) -> Result<(), StoreError> {
        let mut table = self.open.write.open_table(REPLIES)?;
        table.retain(|_, _| false)?;
        for (client, lane, reply) in replies.iter() {
            if planted!(self.store, InstalledRepliesNotStored) {
                continue;
            }
            table.insert((client.0, lane.0), &*codec::encode(reply)?)?;
        }
        Ok(())
    }

    fn replace_state(&mut self, chunks: &[Chunk]) -> Result<(), StoreError> {
        self.open.chunks = ChunkCache::default();
        let mut service = self.open.write.open_table(SERVICE)?;
        service.retain(|_, _| false)?;
        let mut last: Option<&[u8]> = None;
        for chunk in chunks {
            let pairs = unchunk(&chunk.bytes);
            for (key, value) in
                pairs.ok_or_else(|| StoreError::corrupt("a chunk cannot be read"))?
            {
                if last.is_some_and(|last| last >= key) {
                    return Err(StoreError::corrupt("the keys of a fetched state do not rise"));
                }
                service.insert(key, value)?;
                last = Some(key);
            }
        }
        Ok(())
    }

    /// The chunks of `manifest`: fetched ones, and those of the checkpoints that are kept.
    fn collect_chunks(&self, manifest: &Manifest) -> Result<Vec<Chunk>, StoreError> {
        let staged = self.open.write.open_table(STAGED)?;
        let stored = self.open.write.open_table(CHUNKS)?;
        let mut chunks = Vec::new();
        for (index, ChunkId { digest, .. }) in manifest.chunks.iter().enumerate() {
            let bytes = match staged.get(&digest.0)? {
                Some(bytes) => Some(bytes.value().to_vec()),
                None => stored.get(&digest.0)?.map(|bytes| bytes.value().to_vec()),
            };
            let what = || format!("chunk {index} of checkpoint {} was never fetched", manifest.seq);
            let bytes = bytes.ok_or_else(|| StoreError::corrupt(what()))?;
            chunks.push(Chunk { digest: *digest, bytes });
        }
        Ok(chunks)
    }

    /// Keeps a replica's two contradicting statements, unless there is evidence against it for this slot, or more
    /// than enough evidence altogether.
    pub fn add_evidence(
        &mut self,
        replica: ReplicaId,
        view: View,
        seq: SeqNum,
        contradiction: &Contradiction,
    ) -> Result<(), StoreError> {
        let mut table = self.open.write.open_table(EVIDENCE)?;
        let key = (replica.0, view.0, seq.0);
        if table.len()? < EVIDENCE_MAX && table.get(key)?.is_none() {
            table.insert(key, &*codec::encode(contradiction)?)?;
        }
        Ok(())
    }
}
