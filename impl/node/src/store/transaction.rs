//! One write transaction: everything that a group of steps makes durable together.

use super::tables::{
    CHECKPOINTS, COMMITS, DURABLE, EVIDENCE, EXECUTED, FORMER, LOG, META, REPLIES, REPLY_CHUNKS,
    SERVICE, STAGED,
};
use super::{Store, StoreError, decode_manifest, kept};
use crate::codec;
use crate::state::{ChunkCache, Chunks, Former, Starts, State, unchunk};
use pbft_core::Record;
use pbft_core::evidence::Contradiction;
use pbft_core::manifest::{ChunkId, Manifest, chunk_digest, oldest_kept};
use pbft_core::message::{Request, StatePart};
use pbft_core::replies::{LastReply, ReplyTable};
use pbft_core::types::{Digest, ReplicaId, SeqNum, View};
use redb::{ReadableTable as _, ReadableTableMetadata as _, WriteTransaction};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most equivocations that are kept: a liar must not fill the disk.
const EVIDENCE_MAX: u64 = 4096;

/// Where the chunks of the kept checkpoints are.
type Places = BTreeMap<Digest, (SeqNum, StatePart)>;

/// What is written and not committed.
pub(super) struct Open {
    write: WriteTransaction,
    /// The records of this transaction, for the log's fold.
    records: Vec<Record>,
    next_record: u64,
    /// The store's, taken until the commit: a transaction that never happens leaves nothing known.
    chunks: ChunkCache,
    /// The last checkpoint that is kept.
    checkpoint: Option<SeqNum>,
    /// Where the chunks begin that the host was told of last.
    pub(super) starts: Starts,
}

/// An open write transaction. Dropped without a commit, it never happened.
pub struct Transaction<'s> {
    store: &'s mut Store,
    pub(super) open: Open,
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
        write.set_durability(redb::Durability::Immediate)?;
        let (next_record, checkpoint) = (store.next_record, store.checkpoint);
        let chunks = match store.chunks.take() {
            Some(chunks) => chunks,
            None => kept::written(&write)?.chunk_cache()?,
        };
        let (records, starts) = (Vec::new(), Starts::default());
        let open = Open { write, records, next_record, chunks, checkpoint, starts };
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
        let Open { write, records, next_record, chunks, checkpoint, .. } = open;
        let commits = store.commits + 1;
        write.open_table(META)?.insert(COMMITS, &*codec::encode(&commits)?)?;
        write.commit().map_err(|e| StoreError::from(e).with_path(&store.path))?;
        store.medium.seal(commits)?;
        store.commits = commits;
        records.iter().for_each(|record| store.durable.apply(record));
        store.next_record = next_record;
        store.chunks = Some(chunks);
        store.checkpoint = checkpoint;
        Ok(())
    }

    /// Adds a record to the log. A stable checkpoint folds the log, and lets go of earlier checkpoints.
    pub fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        self.open.records.push(record.clone());
        if let Record::Stable(_) = record {
            return self.fold();
        }
        self.open.write.open_table(LOG)?.insert(self.open.next_record, &*codec::encode(record)?)?;
        self.open.next_record += 1;
        Ok(())
    }

    fn fold(&mut self) -> Result<(), StoreError> {
        let mut durable = self.store.durable.clone();
        self.open.records.iter().for_each(|record| durable.apply(record));
        let stable = durable.low_water_mark;
        self.open.write.open_table(META)?.insert(DURABLE, &*codec::encode(&durable)?)?;
        self.open.write.open_table(LOG)?.retain(|_, _| false)?;
        self.forget_states_before(stable)
    }

    /// Lets go of the states that are not served any more, and of what only they had.
    fn forget_states_before(&mut self, stable: SeqNum) -> Result<(), StoreError> {
        let write = &self.open.write;
        let mut checkpoints = write.open_table(CHECKPOINTS)?;
        let stored = checkpoints.iter()?.map(|entry| Ok(SeqNum(entry?.0.value())));
        let oldest = oldest_kept(stored.collect::<Result<Vec<_>, StoreError>>()?, stable);
        let (mut kept, mut superseded) = (BTreeSet::new(), BTreeSet::new());
        for entry in checkpoints.iter()? {
            let (seq, checkpoint) = entry?;
            let manifest = decode_manifest(checkpoint.value().0)?;
            let into = if seq.value() >= oldest.0 { &mut kept } else { &mut superseded };
            into.extend(manifest.reply_chunks().iter().map(|chunk| chunk.digest));
        }
        checkpoints.retain(|seq, _| seq >= oldest.0)?;
        let before = ..(oldest.0, &[][..]);
        write.open_table(FORMER)?.retain_in::<(u64, &[u8]), _>(before, |_, _| false)?;
        let mut chunks = write.open_table(REPLY_CHUNKS)?;
        for digest in superseded.difference(&kept) {
            chunks.remove(&digest.0)?;
        }
        Ok(())
    }

    /// Lets `use_state` read and change the service's state.
    pub fn with_state<R>(
        &mut self,
        use_state: impl FnOnce(&mut State<'_>) -> R,
    ) -> Result<R, StoreError> {
        let Open { write, chunks, checkpoint, .. } = &mut self.open;
        let former = match *checkpoint {
            Some(checkpoint) => Some(Former { checkpoint, table: write.open_table(FORMER)? }),
            None => None,
        };
        let mut state = State::new(write.open_table(SERVICE)?, former, chunks);
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
            replies.insert(key, &*codec::encode(&reply)?)?;
        }
        self.open.write.open_table(META)?.insert(EXECUTED, &*codec::encode(&seq)?)?;
        Ok(())
    }

    /// The chunks of the service's state.
    pub(crate) fn chunks(&mut self) -> Result<Chunks, StoreError> {
        let service = self.open.write.open_table(SERVICE)?;
        Ok(self.open.chunks.chunks(&service)?)
    }

    /// Keeps a checkpoint of the state as it is now, to serve it: the service's chunks begin at `starts`, and `replies`
    /// are the chunks of the reply table that no other checkpoint has.
    pub(crate) fn store_checkpoint(
        &mut self,
        manifest: &Manifest,
        replies: &[Arc<[u8]>],
        starts: &Starts,
    ) -> Result<(), StoreError> {
        let mut table = self.open.write.open_table(REPLY_CHUNKS)?;
        for bytes in replies {
            table.insert(&chunk_digest(bytes).0, &**bytes)?;
        }
        for chunk in manifest.reply_chunks() {
            if table.get(&chunk.digest.0)?.is_none() {
                let what = format!("a chunk of replies of checkpoint {} is lacking", manifest.seq);
                return Err(StoreError::corrupt(what));
            }
        }
        let mut checkpoints = self.open.write.open_table(CHECKPOINTS)?;
        checkpoints.insert(manifest.seq.0, (&*manifest.encode(), starts.as_bytes()))?;
        self.open.checkpoint = Some(manifest.seq);
        Ok(())
    }

    /// A part of a checkpoint, also of one that this transaction stored.
    pub fn state_part(&self, seq: SeqNum, part: StatePart) -> Result<Option<Vec<u8>>, StoreError> {
        kept::written(&self.open.write)?.part(seq, part)
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

    /// Replaces the service's state and the reply table by the chunks of `manifest`: fetched ones, and those that are
    /// here anyway. The checkpoint is kept, to serve it.
    pub fn install(&mut self, manifest: &Manifest) -> Result<ReplyTable, StoreError> {
        let places = kept::written(&self.open.write)?.places()?;
        let chunk = |of: &ChunkId| self.chunk(of, &places).map(Arc::from);
        let replies = manifest.reply_chunks().iter().map(chunk);
        let replies = replies.collect::<Result<Vec<Arc<[u8]>>, StoreError>>()?;
        let table = ReplyTable::from_chunks(replies.iter().map(|bytes| &**bytes));
        let table = table.ok_or_else(|| StoreError::corrupt("a fetched reply table is none"))?;
        let starts = self.replace_state(manifest.service_chunks(), &places)?;
        self.replace_replies(&table)?;
        self.open.write.open_table(META)?.insert(EXECUTED, &*codec::encode(&manifest.seq)?)?;
        self.open.write.open_table(STAGED)?.retain(|_, _| false)?;
        self.store_checkpoint(manifest, &replies, &starts)?;
        Ok(table)
    }

    /// The bytes of a fetched chunk, or of one that a kept checkpoint has.
    fn chunk(&self, chunk: &ChunkId, places: &Places) -> Result<Vec<u8>, StoreError> {
        let digest = &chunk.digest;
        if let Some(bytes) = self.open.write.open_table(STAGED)?.get(&digest.0)? {
            return Ok(bytes.value().to_vec());
        }
        let kept =
            places.get(digest).map(|(seq, part)| self.state_part(*seq, *part)).transpose()?;
        kept.flatten().ok_or_else(|| StoreError::corrupt("a chunk was never fetched"))
    }

    /// Changes the state to one with these chunks, where it has others. One chunk at a time is in memory.
    fn replace_state(&mut self, wanted: &[ChunkId], places: &Places) -> Result<Starts, StoreError> {
        let own = self.chunks()?;
        let (here, needed): (BTreeSet<_>, BTreeSet<_>) =
            (own.ids.iter().collect(), wanted.iter().collect());
        let mut bounds = Starts::keys(own.starts.as_bytes()).peekable();
        for id in &own.ids {
            let (start, end) = (bounds.next().unwrap_or_default(), bounds.peek().copied());
            if !needed.contains(id) {
                self.with_state(|state| state.clear(start, end))?;
            }
        }
        for id in wanted.iter().filter(|id| !here.contains(id)) {
            let bytes = self.chunk(id, places)?;
            let pairs = unchunk(&bytes).ok_or_else(|| StoreError::corrupt("a chunk is none"))?;
            self.with_state(|state| {
                pairs.iter().try_for_each(|(key, value)| state.put(key, value))
            })?
            .map_err(|error| StoreError::corrupt(format!("a fetched chunk has {error}")))?;
        }
        let Chunks { ids, starts } = self.chunks()?;
        match ids == wanted {
            true => Ok(starts),
            false => Err(StoreError::corrupt("a fetched state does not have its digest")),
        }
    }

    fn replace_replies(&mut self, replies: &ReplyTable) -> Result<(), StoreError> {
        let mut table = self.open.write.open_table(REPLIES)?;
        table.retain(|_, _| false)?;
        for (client, lane, reply) in replies.iter() {
            table.insert((client.0, lane.0), &*codec::encode(reply)?)?;
        }
        Ok(())
    }

    /// Keeps a replica's two contradicting statements, unless there is evidence against it for this slot, or more
    /// than enough evidence altogether. Whether it did.
    pub fn add_evidence(
        &mut self,
        replica: ReplicaId,
        view: View,
        seq: SeqNum,
        contradiction: &Contradiction,
    ) -> Result<bool, StoreError> {
        let mut table = self.open.write.open_table(EVIDENCE)?;
        let key = (replica.0, view.0, seq.0);
        let is_kept = table.len()? < EVIDENCE_MAX && table.get(key)?.is_none();
        if is_kept {
            table.insert(key, &*codec::encode(contradiction)?)?;
        }
        Ok(is_kept)
    }
}
