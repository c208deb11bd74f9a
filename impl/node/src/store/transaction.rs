//! One write transaction: everything that a group of steps makes durable together.

use super::change::{Change, ReplyChunk};
use super::tables::{
    CHECKPOINTS, COMMITS, DURABLE, EVIDENCE, EXECUTED, FORMER, JOURNALED, LOG, META, REPLIES,
    REPLY_CHUNKS, SERVICE, STAGED,
};
use super::{Store, StoreError, decode_manifest, kept};
use crate::codec;
use crate::state::{ChunkCache, Chunks, Former, Starts, State, unchunk};
use pbft_core::Record;
use pbft_core::evidence::Contradiction;
use pbft_core::manifest::{ChunkId, Manifest, chunk_digest, oldest_kept};
use pbft_core::message::{Request, StatePart};
use pbft_core::replies::{LastReply, ReplyTable};
use pbft_core::types::{ClientId, Digest, Lane, ReplicaId, SeqNum, View};
use redb::{ReadableTable as _, ReadableTableMetadata as _, WriteTransaction};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most equivocations that are kept: a liar must not fill the disk.
const EVIDENCE_MAX: u64 = 4096;

/// Where the chunks of the kept checkpoints are.
type Places = BTreeMap<Digest, (SeqNum, StatePart)>;

/// What is written and not committed.
#[derive(Default)]
pub(super) struct Open {
    /// The database's transaction, from the first change on that is not for the log alone.
    in_database: Option<InDatabase>,
    /// What changes, in order, for the journal.
    changes: Vec<Change>,
    /// Where among the changes those begin that are not folded.
    folded: Option<usize>,
    /// Whether something changes that the journal does not take: the commit is written to the database as a whole.
    is_whole: bool,
    /// Where the chunks begin that the host was told of last.
    pub(super) starts: Starts,
}

/// A transaction of the database.
struct InDatabase {
    write: WriteTransaction,
    /// The store's, taken until the commit: a transaction that never happens leaves nothing known.
    chunks: ChunkCache,
    /// The last checkpoint that is kept.
    checkpoint: Option<SeqNum>,
}

/// An open write transaction. Dropped without a commit, it never happened.
pub struct Transaction<'s> {
    store: &'s mut Store,
    pub(super) open: Open,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("changes", &self.changes.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").field("open", &self.open).finish_non_exhaustive()
    }
}

impl Open {
    /// The records that no fold covers.
    fn unfolded(&self) -> impl Iterator<Item = &Record> {
        records(&self.changes[self.folded.unwrap_or_default()..])
    }

    /// The commit is an entry of the journal. The database has it in memory.
    fn into_journal(
        mut self,
        store: &mut Store,
        number: u64,
        entry: &[u8],
    ) -> Result<(), StoreError> {
        store.journal.append(number, entry)?;
        if let Some(mut in_database) = self.in_database.take() {
            in_database.write.set_durability(redb::Durability::None)?;
            in_database.commit(number, store)?;
        }
        store.unlogged.extend(self.unfolded().cloned());
        store.committed(number, records(&self.changes));
        Ok(())
    }

    /// The commit is on the database's disk, and with it all that was in the journal.
    fn into_database(mut self, store: &mut Store, number: u64) -> Result<(), StoreError> {
        let mut in_database = match self.in_database.take() {
            Some(begun) => begun,
            None => InDatabase::begin(store)?,
        };
        if self.folded.is_some() {
            store.unlogged.clear();
        }
        store.unlogged.extend(self.unfolded().cloned());
        store.next_record = in_database.log(store.next_record, &store.unlogged)?;
        let mut meta = in_database.write.open_table(META)?;
        meta.insert(JOURNALED, &*codec::encode(&number)?)?;
        drop(meta);
        in_database.write.set_durability(redb::Durability::Immediate)?;
        in_database.commit(number, store)?;
        store.unlogged.clear();
        store.journal.begin_anew();
        store.committed(number, records(&self.changes));
        Ok(())
    }
}

fn records(changes: &[Change]) -> impl Iterator<Item = &Record> {
    changes.iter().filter_map(|change| match change {
        Change::Record(record) => Some(record),
        _ => None,
    })
}

impl<'s> Transaction<'s> {
    /// Begins, or goes on with what was [put off](Self::put_off).
    pub(super) fn begin(store: &'s mut Store) -> Self {
        let open = store.open.take().unwrap_or_default();
        Self { store, open }
    }

    /// Leaves everything to the next transaction, which commits it together with its own writes. Nothing may depend on
    /// it before.
    pub fn put_off(self) {
        self.store.open = Some(self.open);
    }

    /// The database's transaction.
    fn in_database(&mut self) -> Result<&mut InDatabase, StoreError> {
        begun(self.store, &mut self.open.in_database)
    }

    fn write(&mut self) -> Result<&WriteTransaction, StoreError> {
        Ok(&self.in_database()?.write)
    }

    /// The same, for something that the journal does not take.
    fn write_whole(&mut self) -> Result<&WriteTransaction, StoreError> {
        self.open.is_whole = true;
        self.write()
    }

    /// Makes everything durable. After an error nothing may leave the machine any more: what is on the disk is
    /// not known, and asking again could be answered by a page cache that has forgotten the failure.
    pub fn commit(self) -> Result<(), StoreError> {
        let number = self.store.commits + 1;
        let entry = match self.open.is_whole {
            true => None,
            false => Some(codec::encode(&self.open.changes)?),
        };
        let Self { store, open } = self;
        let committed = match entry.filter(|entry| store.journal.has_room(entry.len())) {
            Some(entry) => open.into_journal(store, number, &entry),
            None => open.into_database(store, number),
        };
        committed.map_err(|error| error.with_path(&store.path))?;
        store.medium.seal(number)
    }

    /// Makes everything durable in the database, and with it all that is in the journal, as commit `number`.
    pub(super) fn into_database(self, number: u64) -> Result<(), StoreError> {
        self.open.into_database(self.store, number)
    }

    /// Does again what a commit in the journal has done. `is_there` if the database has it, but for its records.
    pub(super) fn redo(&mut self, changes: Vec<Change>, is_there: bool) -> Result<(), StoreError> {
        for change in changes {
            match change {
                Change::Record(record) => self.append(&record)?,
                _ if is_there => {}
                Change::Put { key, value } => self
                    .with_state(|state| state.put(&key, &value))?
                    .map_err(|error| StoreError::corrupt(format!("the journal has {error}")))?,
                Change::Delete { key } => drop(self.with_state(|state| state.delete(&key))?),
                Change::Executed { seq, replies } => self.record_execution(seq, replies)?,
                Change::Checkpoint { manifest, starts, replies } => {
                    let manifest = decode_manifest(&manifest)?;
                    let replies: Vec<_> = replies.into_iter().map(|chunk| chunk.0).collect();
                    self.store_checkpoint(&manifest, &replies, &Starts::from_bytes(starts))?;
                }
            }
        }
        Ok(())
    }

    /// One more opening is counted.
    pub(super) fn count_incarnation(&mut self, incarnation: u64) -> Result<(), StoreError> {
        let mut meta = self.write_whole()?.open_table(META)?;
        meta.insert(super::tables::INCARNATION, &*codec::encode(&incarnation)?)?;
        Ok(())
    }

    /// Adds a record to the log. A stable checkpoint folds the log, and lets go of earlier checkpoints.
    pub fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        self.open.changes.push(Change::Record(record.clone()));
        match record {
            Record::Stable(_) => self.fold(),
            _ => Ok(()),
        }
    }

    fn fold(&mut self) -> Result<(), StoreError> {
        let mut durable = self.store.durable.clone();
        records(&self.open.changes).for_each(|record| durable.apply(record));
        self.open.folded = Some(self.open.changes.len());
        let stable = durable.low_water_mark;
        let write = self.write_whole()?;
        write.open_table(META)?.insert(DURABLE, &*codec::encode(&durable)?)?;
        write.open_table(LOG)?.retain(|_, _| false)?;
        self.forget_states_before(stable)
    }

    /// Lets go of the states that are not served any more, and of what only they had.
    fn forget_states_before(&mut self, stable: SeqNum) -> Result<(), StoreError> {
        let write = self.write_whole()?;
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
        let Open { in_database, changes, is_whole, .. } = &mut self.open;
        let InDatabase { write, chunks, checkpoint } = begun(self.store, in_database)?;
        let former = match *checkpoint {
            Some(checkpoint) => Some(Former { checkpoint, table: write.open_table(FORMER)? }),
            None => None,
        };
        // Of what is written as a whole the journal needs nothing.
        let changes = (!*is_whole).then_some(changes);
        let mut state = State::new(write.open_table(SERVICE)?, former, chunks, changes);
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
        let results = results.into_iter();
        let replies = results.map(|(request, reply)| (request.client, request.lane, reply));
        self.record_execution(seq, replies.collect())
    }

    fn record_execution(
        &mut self,
        seq: SeqNum,
        results: Vec<(ClientId, Lane, LastReply)>,
    ) -> Result<(), StoreError> {
        let write = self.write()?;
        let mut replies = write.open_table(REPLIES)?;
        for (client, lane, reply) in &results {
            let key = (client.0, lane.0);
            replies.insert(key, &*codec::encode(reply)?)?;
        }
        write.open_table(META)?.insert(EXECUTED, &*codec::encode(&seq)?)?;
        drop(replies);
        self.open.changes.push(Change::Executed { seq, replies: results });
        Ok(())
    }

    /// The chunks of the service's state.
    pub(crate) fn chunks(&mut self) -> Result<Chunks, StoreError> {
        let InDatabase { write, chunks, .. } = self.in_database()?;
        Ok(chunks.chunks(&write.open_table(SERVICE)?)?)
    }

    /// Keeps a checkpoint of the state as it is now, to serve it: the service's chunks begin at `starts`, and `replies`
    /// are the chunks of the reply table that no other checkpoint has.
    pub(crate) fn store_checkpoint(
        &mut self,
        manifest: &Manifest,
        replies: &[Arc<[u8]>],
        starts: &Starts,
    ) -> Result<(), StoreError> {
        let InDatabase { write, checkpoint, .. } = self.in_database()?;
        let mut table = write.open_table(REPLY_CHUNKS)?;
        for bytes in replies {
            table.insert(&chunk_digest(bytes).0, &**bytes)?;
        }
        for chunk in manifest.reply_chunks() {
            if table.get(&chunk.digest.0)?.is_none() {
                let what = format!("a chunk of replies of checkpoint {} is lacking", manifest.seq);
                return Err(StoreError::corrupt(what));
            }
        }
        let mut checkpoints = write.open_table(CHECKPOINTS)?;
        let encoded = manifest.encode();
        checkpoints.insert(manifest.seq.0, (&*encoded, starts.as_bytes()))?;
        *checkpoint = Some(manifest.seq);
        drop((table, checkpoints));
        let replies = replies.iter().cloned().map(ReplyChunk).collect();
        let starts = starts.as_bytes().to_vec();
        self.open.changes.push(Change::Checkpoint { manifest: encoded, starts, replies });
        Ok(())
    }

    /// A part of a checkpoint, also of one that this transaction stored.
    pub fn state_part(
        &mut self,
        seq: SeqNum,
        part: StatePart,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        kept::written(self.write()?)?.part(seq, part)
    }

    /// Keeps a fetched chunk.
    pub fn stage(&mut self, digest: Digest, bytes: &[u8]) -> Result<(), StoreError> {
        self.write_whole()?.open_table(STAGED)?.insert(&digest.0, bytes)?;
        Ok(())
    }

    /// Lets go of the fetched chunks that are not `needed`.
    pub fn retain_staged(&mut self, needed: &BTreeSet<Digest>) -> Result<(), StoreError> {
        let mut staged = self.write_whole()?.open_table(STAGED)?;
        staged.retain(|digest, _| needed.contains(&Digest(*digest)))?;
        Ok(())
    }

    /// Replaces the service's state and the reply table by the chunks of `manifest`: fetched ones, and those that are
    /// here anyway. The checkpoint is kept, to serve it.
    pub fn install(&mut self, manifest: &Manifest) -> Result<ReplyTable, StoreError> {
        let places = kept::written(self.write_whole()?)?.places()?;
        let mut chunk = |of: &ChunkId| self.chunk(of, &places).map(Arc::from);
        let replies = manifest.reply_chunks().iter().map(&mut chunk);
        let replies = replies.collect::<Result<Vec<Arc<[u8]>>, StoreError>>()?;
        let table = ReplyTable::from_chunks(replies.iter().map(|bytes| &**bytes));
        let table = table.ok_or_else(|| StoreError::corrupt("a fetched reply table is none"))?;
        let starts = self.replace_state(manifest.service_chunks(), &places)?;
        self.replace_replies(&table)?;
        let write = self.write_whole()?;
        write.open_table(META)?.insert(EXECUTED, &*codec::encode(&manifest.seq)?)?;
        write.open_table(STAGED)?.retain(|_, _| false)?;
        self.store_checkpoint(manifest, &replies, &starts)?;
        Ok(table)
    }

    /// The bytes of a fetched chunk, or of one that a kept checkpoint has.
    fn chunk(&mut self, chunk: &ChunkId, places: &Places) -> Result<Vec<u8>, StoreError> {
        let digest = &chunk.digest;
        if let Some(bytes) = self.write()?.open_table(STAGED)?.get(&digest.0)? {
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
        let mut table = self.write_whole()?.open_table(REPLIES)?;
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
        let mut table = self.write_whole()?.open_table(EVIDENCE)?;
        let key = (replica.0, view.0, seq.0);
        let is_kept = table.len()? < EVIDENCE_MAX && table.get(key)?.is_none();
        if is_kept {
            table.insert(key, &*codec::encode(contradiction)?)?;
        }
        Ok(is_kept)
    }
}

/// The transaction under way, or a new one.
fn begun<'o>(
    store: &mut Store,
    in_database: &'o mut Option<InDatabase>,
) -> Result<&'o mut InDatabase, StoreError> {
    match in_database {
        Some(begun) => Ok(begun),
        none => Ok(none.insert(InDatabase::begin(store)?)),
    }
}

impl InDatabase {
    fn begin(store: &mut Store) -> Result<Self, StoreError> {
        let write = store.database.begin_write()?;
        let chunks = match store.chunks.take() {
            Some(chunks) => chunks,
            None => kept::written(&write)?.chunk_cache()?,
        };
        Ok(Self { write, chunks, checkpoint: store.checkpoint })
    }

    /// Adds records to the log, the first with this key; the key of the next.
    fn log(&mut self, mut key: u64, records: &[Record]) -> Result<u64, StoreError> {
        let mut log = self.write.open_table(LOG)?;
        for record in records {
            log.insert(key, &*codec::encode(record)?)?;
            key += 1;
        }
        Ok(key)
    }

    /// Commits the transaction, as number `number`. What it has found out is the store's.
    fn commit(self, number: u64, store: &mut Store) -> Result<(), StoreError> {
        let Self { write, chunks, checkpoint } = self;
        write.open_table(META)?.insert(COMMITS, &*codec::encode(&number)?)?;
        write.commit()?;
        (store.chunks, store.checkpoint) = (Some(chunks), checkpoint);
        Ok(())
    }
}
