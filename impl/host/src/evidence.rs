//! What replicas signed that no correct one signs: it is worth keeping, with both signatures.

use crate::disk::Disk;
use crate::watch::Watcher;
use pbft_core::evidence::Contradiction;
use pbft_core::types::{ReplicaId, SeqNum, View};
use std::collections::BTreeSet;

/// What is kept already, so that a liar who repeats itself costs no write.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    /// One contradiction a replica, view and number is enough. Bounded as the disk's evidence is.
    kept: BTreeSet<(ReplicaId, View, SeqNum)>,
    /// Replicas of which evidence of a broken promise was kept since the start: once is enough.
    broke_promises: BTreeSet<ReplicaId>,
}

impl Evidence {
    /// What a disk keeps.
    pub(crate) fn load<D: Disk>(disk: &D) -> Result<Self, D::Error> {
        let kept = disk.evidence()?.iter().map(key).collect();
        Ok(Self { kept, broke_promises: BTreeSet::new() })
    }

    /// Who is convicted, a bit for each.
    pub(crate) fn against(&self) -> u128 {
        self.kept.iter().fold(0, |all, (replica, ..)| all | 1_u128.unbounded_shl(replica.0))
    }

    /// Keeps a replica's COMMIT and its promise without it, or two promises. Whether it did.
    pub(crate) fn keep_broken_promise<D: Disk>(
        &mut self,
        contradiction: &Contradiction,
        disk: &mut D,
        watcher: &mut dyn Watcher<D>,
    ) -> Result<bool, D::Error> {
        match self.broke_promises.insert(contradiction.replica()) {
            true => self.keep(contradiction, disk, watcher),
            false => Ok(false),
        }
    }

    /// Keeps what convicts a replica, unless there is evidence of the same matter, or more than enough altogether. Whether
    /// it did.
    pub(crate) fn keep<D: Disk>(
        &mut self,
        contradiction: &Contradiction,
        disk: &mut D,
        watcher: &mut dyn Watcher<D>,
    ) -> Result<bool, D::Error> {
        let key = key(contradiction);
        if self.kept.contains(&key) || !disk.add_evidence(contradiction)? {
            return Ok(false);
        }
        self.kept.insert(key);
        watcher.on_evidence(contradiction);
        Ok(true)
    }
}

fn key(contradiction: &Contradiction) -> (ReplicaId, View, SeqNum) {
    let (view, seq) = contradiction.place();
    (contradiction.replica(), view, seq)
}
