//! What replicas signed that no correct one signs: it is worth keeping, with both signatures.

use crate::metrics::Metrics;
use crate::perform::Group;
use crate::store::{Store, StoreError};
use pbft_core::evidence::Contradiction;
use pbft_core::types::{ReplicaId, SeqNum, View};
use std::collections::BTreeSet;

/// What is kept already, so that a liar who repeats itself costs no write.
#[derive(Debug)]
pub(super) struct Evidence {
    /// One contradiction a replica, view and number is enough. Bounded as the store's table is.
    kept: BTreeSet<(ReplicaId, View, SeqNum)>,
    /// Replicas of which evidence of a broken promise was kept since the start: once is enough.
    broke_promises: BTreeSet<ReplicaId>,
}

impl Evidence {
    /// What a store keeps. The metrics say so from now on.
    pub(super) fn load(store: &Store, metrics: &Metrics) -> Result<Self, StoreError> {
        let known = store.evidence()?;
        metrics.evidence.restart(known.iter().map(Contradiction::kind));
        let kept = known.iter().map(key).collect();
        Ok(Self { kept, broke_promises: BTreeSet::new() })
    }

    /// Who is convicted, a bit for each.
    pub(super) fn against(&self) -> u128 {
        self.kept.iter().fold(0, |all, (replica, ..)| all | 1_u128.unbounded_shl(replica.0))
    }

    /// Keeps a replica's COMMIT and its promise without it, or two promises.
    pub(super) fn keep_broken_promise(
        &mut self,
        contradiction: &Contradiction,
        metrics: &Metrics,
        group: &mut Group<'_>,
    ) -> Result<(), StoreError> {
        match self.broke_promises.insert(contradiction.replica()) {
            true => self.keep(contradiction, metrics, group),
            false => Ok(()),
        }
    }

    /// Keeps what convicts a replica, unless there is evidence of the same matter, or more than enough altogether.
    pub(super) fn keep(
        &mut self,
        contradiction: &Contradiction,
        metrics: &Metrics,
        group: &mut Group<'_>,
    ) -> Result<(), StoreError> {
        let (replica, view, seq) = key(contradiction);
        let is_known = self.kept.contains(&(replica, view, seq));
        if is_known || !group.transaction()?.add_evidence(replica, view, seq, contradiction)? {
            return Ok(());
        }
        self.kept.insert((replica, view, seq));
        metrics.evidence.add(contradiction.kind());
        tracing::warn!(%replica, %view, %seq, "evidence of a fault: {contradiction}");
        Ok(())
    }
}

fn key(contradiction: &Contradiction) -> (ReplicaId, View, SeqNum) {
    let (view, seq) = contradiction.place();
    (contradiction.replica(), view, seq)
}
