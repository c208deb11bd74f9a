//! A replica's disk in memory. What is written is durable at once: a replica crashes between groups of steps, never within
//! one.

use pbft_core::evidence::Contradiction;
use pbft_core::manifest::{ChunkId, KeptStates, Manifest};
use pbft_core::message::{Request, StatePart};
use pbft_core::replies::{LastReply, ReplyTable};
use pbft_core::types::{Digest, SeqNum};
use pbft_core::{Durable, Record, ServiceState};
use pbft_host::Undo;
use std::collections::BTreeSet;
use std::sync::Arc;
use thiserror::Error;

/// The state of a service, as it lies on such a disk.
pub trait State: Clone + Default {
    /// Its chunks.
    fn chunks(&self) -> Vec<Arc<[u8]>>;

    /// The state that has these chunks; `None` if none has.
    fn from_chunks(chunks: &[Arc<[u8]>]) -> Option<Self>;
}

/// What a replica asks of its disk, and only a replica with a bug can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DiskError {
    /// To keep a checkpoint of which a chunk is not there.
    #[error("a chunk of checkpoint {0} is lacking")]
    Checkpoint(SeqNum),
    /// To install a state of which a chunk is not there.
    #[error("a chunk of the state of {0} is not here")]
    State(SeqNum),
}

/// A disk. Clones share what neither of them has changed since: a replay clones its replicas at every edge, and most
/// steps write little.
#[derive(Clone, Debug, Default)]
pub struct Disk<T> {
    durable: Arc<Durable>,
    side: Arc<Side<T>>,
    evidence: Arc<Vec<Contradiction>>,
}

/// The service's side of a disk.
#[derive(Clone, Debug, Default)]
struct Side<T> {
    executed: SeqNum,
    replies: ReplyTable,
    state: T,
    kept: KeptStates,
}

/// The service's state while it is executed on.
#[derive(Debug)]
pub struct Open<'a, T> {
    /// The state.
    pub state: &'a mut T,
    /// As it was before the operation under way.
    before: T,
}

impl<T: State> Undo for Open<'_, T> {
    fn begin_operation(&mut self) {
        self.before.clone_from(self.state);
    }

    fn undo(&mut self) {
        self.state.clone_from(&self.before);
    }
}

impl<T: State> Disk<T> {
    /// A disk with these records, whose service has nothing.
    pub fn new(durable: Durable) -> Self {
        Self { durable: Arc::new(durable), ..Self::default() }
    }

    /// The service's state.
    pub fn state(&self) -> &T {
        &self.side.state
    }

    fn side(&mut self) -> &mut Side<T> {
        Arc::make_mut(&mut self.side)
    }
}

impl<T: State> pbft_host::Disk for Disk<T> {
    type Error = DiskError;
    type State<'a>
        = Open<'a, T>
    where
        T: 'a;

    fn durable(&self) -> &Durable {
        &self.durable
    }

    fn service_state(&self) -> Result<ServiceState, DiskError> {
        let Side { executed, replies, kept, .. } = &*self.side;
        Ok(ServiceState {
            last_executed: *executed,
            replies: replies.clone(),
            manifests: kept.manifests().cloned().collect(),
            staged: kept.staged().collect(),
        })
    }

    fn evidence(&self) -> Result<Vec<Contradiction>, DiskError> {
        Ok(self.evidence.to_vec())
    }

    fn is_behind(&self) -> bool {
        false
    }

    fn commit(&mut self) -> Result<(), DiskError> {
        Ok(())
    }

    fn is_full(_: &DiskError) -> bool {
        false
    }

    fn append(&mut self, record: &Record) -> Result<(), DiskError> {
        Arc::make_mut(&mut self.durable).apply(record);
        if let Record::Stable(_) = record {
            let stable = self.durable.low_water_mark;
            self.side().kept.on_stable(stable);
        }
        Ok(())
    }

    fn with_state<R>(
        &mut self,
        use_state: impl FnOnce(&mut Open<'_, T>) -> R,
    ) -> Result<R, DiskError> {
        let state = &mut self.side().state;
        Ok(use_state(&mut Open { state, before: T::default() }))
    }

    fn executed<'r>(
        &mut self,
        seq: SeqNum,
        results: impl IntoIterator<Item = (&'r Request, LastReply)>,
    ) -> Result<(), DiskError> {
        let Side { executed, replies, .. } = self.side();
        *executed = seq;
        for (request, reply) in results {
            replies.record(request.client, request.lane, reply);
        }
        Ok(())
    }

    fn chunks(&mut self) -> Result<Vec<ChunkId>, DiskError> {
        Ok(self.side.state.chunks().iter().map(|chunk| ChunkId::of(chunk)).collect())
    }

    fn store_checkpoint(
        &mut self,
        manifest: &Manifest,
        replies: &[Arc<[u8]>],
    ) -> Result<(), DiskError> {
        let Side { kept, state, .. } = self.side();
        match kept.keep(manifest, replies.iter().cloned().chain(state.chunks())) {
            true => Ok(()),
            false => Err(DiskError::Checkpoint(manifest.seq)),
        }
    }

    fn state_part(&mut self, seq: SeqNum, part: StatePart) -> Result<Option<Arc<[u8]>>, DiskError> {
        Ok(self.side.kept.part(seq, part))
    }

    fn stage(&mut self, digest: Digest, bytes: &Arc<[u8]>) -> Result<(), DiskError> {
        self.side().kept.stage(digest, Arc::clone(bytes));
        Ok(())
    }

    fn retain_staged(&mut self, needed: &BTreeSet<Digest>) -> Result<(), DiskError> {
        self.side().kept.retain_staged(needed);
        Ok(())
    }

    fn install(&mut self, manifest: &Manifest) -> Result<ReplyTable, DiskError> {
        let Side { executed, replies, state, kept } = self.side();
        let lacking = DiskError::State(manifest.seq);
        let (table, chunks) = kept.install(manifest).ok_or(lacking)?;
        *state = T::from_chunks(&chunks).ok_or(lacking)?;
        (*executed, *replies) = (manifest.seq, table.clone());
        Ok(table)
    }

    fn add_evidence(&mut self, contradiction: &Contradiction) -> Result<bool, DiskError> {
        Arc::make_mut(&mut self.evidence).push(contradiction.clone());
        Ok(true)
    }
}
