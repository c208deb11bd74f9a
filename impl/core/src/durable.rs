//! What must be on disk before which message leaves the machine, and what a restarted replica rebuilds from it.
//!
//! The paper assumes replicas that never forget (§4). A replica here writes each vote, promise and certificate
//! before it sends it; then crash and restart is no protocol step at all. [`Durable`] is the fold of the records
//! in the order they were written; a store may keep the records, or the fold, or both.

use crate::bodies::Bodies;
use crate::effect::HaltReason;
use crate::message::{
    Batch, Checkpoint, Commit, CommitCertificate, NewView, PreparedCertificate, Proposal, Signed,
    StableCertificate, ViewChange,
};
use crate::types::{Digest, SeqNum, View};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One fact that the replica must not forget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// A pre-prepare was made (primary) or accepted (backup) in the current view. Before PRE-PREPARE and PREPARE.
    Accepted(Arc<Proposal>),
    /// A batch prepared. Before COMMIT.
    Prepared(Arc<PreparedCertificate>),
    /// A batch is final, and is executed now. Together with what its execution writes: whoever remembers that it executed
    /// a batch can prove to others that they may.
    Committed {
        /// q COMMITs that match.
        commits: Vec<Signed<Commit>>,
        /// The batch, unless an earlier record has it.
        batch: Option<Arc<Batch>>,
    },
    /// A checkpoint was taken. Before CHECKPOINT.
    Checkpoint(Signed<Checkpoint>),
    /// A checkpoint is stable; everything at or below it may be forgotten. Before anything is.
    Stable(Arc<StableCertificate>),
    /// No vote in an earlier view from now on. Before VIEW-CHANGE.
    ViewChange(Arc<Signed<ViewChange>>),
    /// The view is active. Before NEW-VIEW (primary) and the PREPAREs for O (backup). The pre-prepares of O follow
    /// as [`Record::Accepted`].
    NewView(Arc<Signed<NewView>>),
    /// The replica stops for good. Before it does.
    Halted(HaltReason),
}

impl Record {
    /// Whether it must be on the disk before anything that follows leaves the machine. A replica that has forgotten what
    /// it executed may be told again that it is final, and by what.
    pub fn is_binding(&self) -> bool {
        !matches!(self, Self::Committed { .. })
    }
}

/// Everything that the records say.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Durable {
    /// The current view.
    pub view: View,
    /// Whether it is still being changed to.
    pub changing: bool,
    /// The VIEW-CHANGE for the current view, if it was sent.
    pub view_change: Option<Arc<Signed<ViewChange>>>,
    /// The NEW-VIEW that began the current view; `None` in view 0 and while changing.
    pub new_view: Option<Arc<Signed<NewView>>>,
    /// The last stable checkpoint; 0 at first.
    pub low_water_mark: SeqNum,
    /// Its proof.
    pub stable: Arc<StableCertificate>,
    /// Pre-prepares made or accepted in the current view.
    pub accepted: BTreeMap<SeqNum, Arc<Proposal>>,
    /// The prepared certificate of the highest view, by sequence number.
    pub prepared: BTreeMap<SeqNum, Arc<PreparedCertificate>>,
    /// The commit certificates of what was executed above the stable checkpoint.
    pub committed: BTreeMap<SeqNum, Arc<CommitCertificate>>,
    /// The batches of pre-prepares that were accepted in views that were left: [`crate::bodies`].
    pub bodies: BTreeMap<SeqNum, Bodies>,
    /// This replica's checkpoints at and above the stable one.
    pub checkpoints: BTreeMap<SeqNum, Signed<Checkpoint>>,
    /// The replica has lost its memory, and does not vote before its stable checkpoint has come so far:
    /// [`crate::amnesia`].
    pub abstains: Option<SeqNum>,
    /// The replica has stopped for good. Only somebody who makes it forget everything ([`crate::amnesia`]) lets it go on.
    pub halted: Option<HaltReason>,
}

impl Durable {
    /// Adds a record.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Accepted(proposal) => {
                self.accepted.insert(proposal.pre_prepare.body.seq, Arc::clone(proposal));
            }
            Record::Prepared(certificate) => {
                let seq = certificate.pre_prepare.body.seq;
                self.prepared.insert(seq, Arc::clone(certificate));
            }
            Record::Committed { commits, batch } => self.apply_committed(commits, batch.as_ref()),
            Record::Checkpoint(checkpoint) => {
                self.checkpoints.insert(checkpoint.body.seq, checkpoint.clone());
            }
            Record::Stable(certificate) => self.apply_stable(certificate),
            Record::ViewChange(view_change) => {
                self.view = view_change.body.view;
                self.changing = true;
                self.view_change = Some(Arc::clone(view_change));
                self.new_view = None;
                self.leave_view();
            }
            Record::NewView(new_view) => {
                self.view = new_view.body.view;
                self.changing = false;
                self.view_change.take_if(|own| own.body.view != new_view.body.view);
                self.new_view = Some(Arc::clone(new_view));
                self.leave_view();
            }
            Record::Halted(reason) => self.halted = Some(reason.clone()),
        }
    }

    /// What was accepted is of a view that is left: its batches stay.
    fn leave_view(&mut self) {
        for (seq, proposal) in std::mem::take(&mut self.accepted) {
            let prepared = self.prepared.get(&seq);
            let certified = prepared.map(|certificate| certificate.pre_prepare.body.digest);
            self.bodies.entry(seq).or_default().keep(proposal, certified);
        }
        self.bodies.retain(|_, bodies| !bodies.is_empty());
    }

    /// The batch with `digest` at `seq`, of whichever view.
    pub fn batch(&self, seq: SeqNum, digest: Digest) -> Option<Arc<Batch>> {
        let current = self.accepted.get(&seq);
        let current = current.filter(|proposal| proposal.pre_prepare.body.digest == digest);
        let kept = || self.bodies.get(&seq)?.get(digest);
        let null = || Some(Arc::<Batch>::default()).filter(|null| null.digest() == digest);
        current.or_else(kept).map(|proposal| Arc::clone(&proposal.batch)).or_else(null)
    }

    fn apply_committed(&mut self, commits: &[Signed<Commit>], batch: Option<&Arc<Batch>>) {
        let Some(&Commit { seq, digest, .. }) = commits.first().map(|commit| &commit.body) else {
            return;
        };
        // Its pre-prepare may be forgotten before the certificate is.
        let batch = batch.cloned().or_else(|| self.batch(seq, digest));
        if let Some(batch) = batch {
            let certificate = CommitCertificate { commits: commits.to_vec(), batch };
            self.committed.insert(seq, Arc::new(certificate));
        }
    }

    fn apply_stable(&mut self, certificate: &Arc<StableCertificate>) {
        let Some((seq, _)) = certificate.proves() else { return };
        let above = seq.next();
        self.low_water_mark = seq;
        self.stable = Arc::clone(certificate);
        self.accepted = self.accepted.split_off(&above);
        self.prepared = self.prepared.split_off(&above);
        self.committed = self.committed.split_off(&above);
        self.bodies = self.bodies.split_off(&above);
        self.checkpoints = self.checkpoints.split_off(&seq);
        self.abstains.take_if(|until| seq >= *until);
    }
}
