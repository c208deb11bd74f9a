//! The store as a host's disk. Each change goes on with the transaction under way, or begins one.

use super::{Store, StoreError, Transaction};
use crate::state::{Chunks, State};
use pbft_core::evidence::Contradiction;
use pbft_core::manifest::{ChunkId, Manifest};
use pbft_core::message::{Request, StatePart};
use pbft_core::replies::{LastReply, ReplyTable};
use pbft_core::types::{Digest, SeqNum};
use pbft_core::{Durable, Record, ServiceState};
use pbft_host::Disk;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Store {
    /// Changes something, and leaves it to the next commit. After an error nothing of the transaction has happened.
    fn change<R>(
        &mut self,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let mut transaction = self.begin();
        let changed = change(&mut transaction)?;
        transaction.put_off();
        Ok(changed)
    }
}

impl Disk for Store {
    type Error = StoreError;
    type State<'a> = State<'a>;

    fn durable(&self) -> &Durable {
        Self::durable(self)
    }

    fn service_state(&self) -> Result<ServiceState, StoreError> {
        Self::service_state(self)
    }

    fn evidence(&self) -> Result<Vec<Contradiction>, StoreError> {
        Self::evidence(self)
    }

    fn is_behind(&self) -> bool {
        Self::is_behind(self)
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.catch_up()
    }

    fn is_full(error: &StoreError) -> bool {
        error.is_full()
    }

    fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        self.change(|transaction| transaction.append(record))
    }

    fn with_state<R>(
        &mut self,
        use_state: impl FnOnce(&mut State<'_>) -> R,
    ) -> Result<R, StoreError> {
        self.change(|transaction| transaction.with_state(use_state))
    }

    fn executed<'r>(
        &mut self,
        seq: SeqNum,
        results: impl IntoIterator<Item = (&'r Request, LastReply)>,
    ) -> Result<(), StoreError> {
        self.change(|transaction| transaction.executed(seq, results))
    }

    fn chunks(&mut self) -> Result<Vec<ChunkId>, StoreError> {
        self.change(|transaction| {
            let Chunks { ids, starts } = transaction.chunks()?;
            transaction.open.starts = starts;
            Ok(ids)
        })
    }

    fn store_checkpoint(
        &mut self,
        manifest: &Manifest,
        replies: &[Arc<[u8]>],
    ) -> Result<(), StoreError> {
        self.change(|transaction| {
            let starts = std::mem::take(&mut transaction.open.starts);
            transaction.store_checkpoint(manifest, replies, &starts)
        })
    }

    fn state_part(
        &mut self,
        seq: SeqNum,
        part: StatePart,
    ) -> Result<Option<Arc<[u8]>>, StoreError> {
        let bytes = match Self::is_behind(self) {
            true => self.change(|transaction| transaction.state_part(seq, part))?,
            false => Self::state_part(self, seq, part)?,
        };
        Ok(bytes.map(Arc::from))
    }

    fn stage(&mut self, digest: Digest, bytes: &Arc<[u8]>) -> Result<(), StoreError> {
        self.change(|transaction| transaction.stage(digest, bytes))
    }

    fn retain_staged(&mut self, needed: &BTreeSet<Digest>) -> Result<(), StoreError> {
        self.change(|transaction| transaction.retain_staged(needed))
    }

    fn install(&mut self, manifest: &Manifest) -> Result<ReplyTable, StoreError> {
        self.change(|transaction| transaction.install(manifest))
    }

    fn add_evidence(&mut self, contradiction: &Contradiction) -> Result<bool, StoreError> {
        let (view, seq) = contradiction.place();
        let replica = contradiction.replica();
        self.change(|transaction| transaction.add_evidence(replica, view, seq, contradiction))
    }
}
