//! What a host needs of its disk.

use crate::service::Undo;
use pbft_core::evidence::Contradiction;
use pbft_core::manifest::{ChunkId, Manifest};
use pbft_core::message::{Request, StatePart};
use pbft_core::replies::{LastReply, ReplyTable};
use pbft_core::types::{Digest, SeqNum};
use pbft_core::{Durable, Record, ServiceState};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A replica's disk: the log of its records, the service's state, the reply table, the checkpoints that it serves, the
/// chunks that it fetches, and evidence.
///
/// Every change is part of a transaction, which begins with the first change after a commit. What is read of the state
/// is read with the changes. After an error nothing of the transaction has happened, and nothing is asked of the disk
/// any more until it was opened again.
pub trait Disk {
    /// Why it does not do what it is asked.
    type Error: std::error::Error + 'static;

    /// The service's state, while it is executed on.
    type State<'a>: Undo
    where
        Self: 'a;

    /// The fold of the committed records.
    fn durable(&self) -> &Durable;

    /// What a restarting replica is told of its service's side.
    fn service_state(&self) -> Result<ServiceState, Self::Error>;

    /// The evidence that is kept.
    fn evidence(&self) -> Result<Vec<Contradiction>, Self::Error>;

    /// Whether something was written since the last commit.
    fn is_behind(&self) -> bool;

    /// Makes what was written durable, as a whole or not at all. A disk may return before that is done if its caller
    /// waits for it before [`crate::Host::release`].
    fn commit(&mut self) -> Result<(), Self::Error>;

    /// Whether an error says that there is no room. Then the disk can be opened again once there is.
    fn is_full(error: &Self::Error) -> bool;

    /// Adds a record to the log. A stable checkpoint folds the log, and lets go of earlier checkpoints.
    fn append(&mut self, record: &Record) -> Result<(), Self::Error>;

    /// Lets `use_state` read and change the service's state.
    fn with_state<R>(
        &mut self,
        use_state: impl FnOnce(&mut Self::State<'_>) -> R,
    ) -> Result<R, Self::Error>;

    /// Batch `seq` was executed, with the results of its requests.
    fn executed<'r>(
        &mut self,
        seq: SeqNum,
        results: impl IntoIterator<Item = (&'r Request, LastReply)>,
    ) -> Result<(), Self::Error>;

    /// The chunks of the service's state as it is now.
    fn chunks(&mut self) -> Result<Vec<ChunkId>, Self::Error>;

    /// Keeps a checkpoint of the state as [`Disk::chunks`] last told it, to serve it; `replies` are the chunks of the reply
    /// table that no other checkpoint has.
    fn store_checkpoint(
        &mut self,
        manifest: &Manifest,
        replies: &[Arc<[u8]>],
    ) -> Result<(), Self::Error>;

    /// A part of a kept checkpoint; `None` if it is not, or no longer, here.
    fn state_part(
        &mut self,
        seq: SeqNum,
        part: StatePart,
    ) -> Result<Option<Arc<[u8]>>, Self::Error>;

    /// Keeps a fetched chunk.
    fn stage(&mut self, digest: Digest, bytes: &Arc<[u8]>) -> Result<(), Self::Error>;

    /// Lets go of the fetched chunks that are not `needed`.
    fn retain_staged(&mut self, needed: &BTreeSet<Digest>) -> Result<(), Self::Error>;

    /// Replaces state and reply table by the chunks of `manifest`, and keeps that checkpoint.
    fn install(&mut self, manifest: &Manifest) -> Result<ReplyTable, Self::Error>;

    /// Keeps what convicts a replica, unless there is evidence of the same matter, or more than enough altogether.
    /// Whether it did.
    fn add_evidence(&mut self, contradiction: &Contradiction) -> Result<bool, Self::Error>;
}
