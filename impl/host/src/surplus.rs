//! What a host and its door both see.

use pbft_core::Replica;
use pbft_core::message::Batch;
use pbft_core::surplus::Surplus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the replica has no use for any more (D25): its host knows, and the [door](crate::Door) asks before it verifies.
/// Clones are of the same. Held for nanoseconds only.
#[derive(Clone, Debug)]
pub struct SharedSurplus(Arc<Mutex<Surplus>>);

impl SharedSurplus {
    pub(crate) fn new(replica: &Replica) -> Self {
        Self(Arc::new(Mutex::new(Surplus::new(replica))))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Surplus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the replica has asked for the batch. Nobody waits for the lock while it is hashed.
    pub(crate) fn wants(&self, batch: &Batch) -> bool {
        let wanted = self.lock().wanted();
        !wanted.is_empty() && wanted.contains(&batch.digest())
    }

    /// How many votes are set aside.
    pub fn votes(&self) -> usize {
        self.lock().len()
    }
}
