//! What one replica's protocol state is, in a form that can be compared and read.

use crate::message::CommitCertificate;
use crate::replica::Replica;
use crate::replies::ReplyTable;
use crate::types::{Digest, ReplicaId, SeqNum, View};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The protocol state of a replica. Two replicas with equal summaries will never contradict one another's votes;
/// what it leaves out are the votes of others, which can be sent again, and timers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The replica.
    pub replica: ReplicaId,
    /// The current view.
    pub view: View,
    /// Whether it is active.
    pub active: bool,
    /// The low water mark, h.
    pub low_water_mark: SeqNum,
    /// The last batch executed.
    pub last_executed: SeqNum,
    /// The digest pre-prepared here in the current view, by sequence number.
    pub accepted: BTreeMap<SeqNum, Digest>,
    /// The prepared certificate of the highest view, by sequence number: view and digest.
    pub prepared: BTreeMap<SeqNum, (View, Digest)>,
    /// The digest that a commit certificate proves final, by sequence number: above h all that was executed.
    pub committed: BTreeMap<SeqNum, Digest>,
    /// The digest of the own checkpoints above h.
    pub checkpoints: BTreeMap<SeqNum, Digest>,
    /// The reply table.
    pub replies: ReplyTable,
    /// Whether it has halted.
    pub halted: bool,
}

impl Replica {
    /// The replica's protocol state.
    pub fn summary(&self) -> Summary {
        let slots = || self.log.slots();
        let checkpoints =
            self.checkpoints.own_votes().map(|vote| (vote.body.seq, vote.body.digest));
        Summary {
            replica: self.params.replica,
            view: self.view.number(),
            active: self.view.is_active(),
            low_water_mark: self.log.low(),
            last_executed: self.execution.last_executed(),
            accepted: slots().filter_map(|(seq, s)| Some((seq, s.accepted()?))).collect(),
            prepared: slots()
                .filter_map(|(seq, s)| s.prepared.as_ref().map(|p| (seq, (p.view(), p.digest()))))
                .collect(),
            committed: slots()
                .filter(|(seq, _)| *seq <= self.execution.last_executed())
                .filter_map(|(seq, s)| Some((seq, s.committed.as_ref()?.digest()?)))
                .collect(),
            checkpoints: checkpoints.collect(),
            replies: self.execution.replies.clone(),
            halted: self.halted.is_some(),
        }
    }

    /// The certificate that makes the batch at `seq` final, while the log holds it.
    pub fn commit_certificate(&self, seq: SeqNum) -> Option<&Arc<CommitCertificate>> {
        self.log.slot(seq)?.committed.as_ref()
    }

    /// The view-change timer is running.
    pub fn is_view_timer_running(&self) -> bool {
        self.timer.is_running()
    }

    /// The replica's parameters.
    pub fn params(&self) -> &crate::Params {
        &self.params
    }
}
