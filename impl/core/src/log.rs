//! The log: what is known about each sequence number in (h, H] (§4.2, §4.3).

use crate::bodies::Bodies;
use crate::durable::Record;
use crate::message::{
    Batch, Commit, CommitCertificate, PrePrepare, Prepare, PreparedCertificate, Proposal, Signed,
};
use crate::params::Params;
use crate::rejection::{Rejection, refuse_if};
use crate::types::{Digest, ReplicaId, SeqNum, View};
use crate::view::CurrentView;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A prepared certificate with its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub(crate) certificate: Arc<PreparedCertificate>,
    pub(crate) batch: Arc<Batch>,
}

impl Prepared {
    pub(crate) fn view(&self) -> View {
        self.certificate.pre_prepare.body.view
    }

    pub(crate) fn digest(&self) -> Digest {
        self.certificate.pre_prepare.body.digest
    }
}

/// One sequence number. Votes are of the replica's current view, one a replica, so a liar can fill no more
/// than its own place.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Slot {
    /// The pre-prepare that was made or accepted in the current view.
    pub(crate) proposal: Option<Arc<Proposal>>,
    /// PREPAREs of the current view, whatever their digest.
    pub(crate) prepares: BTreeMap<ReplicaId, Signed<Prepare>>,
    /// COMMITs of the current view, whatever their digest.
    pub(crate) commits: BTreeMap<ReplicaId, Signed<Commit>>,
    /// The prepared certificate of the highest view.
    pub(crate) prepared: Option<Prepared>,
    /// The commit certificate; final, whatever its view.
    pub(crate) committed: Option<Arc<CommitCertificate>>,
    /// The batches of proposals of views that were left.
    pub(crate) bodies: Bodies,
}

impl Slot {
    /// Digest of the accepted pre-prepare.
    pub(crate) fn accepted(&self) -> Option<Digest> {
        self.proposal.as_ref().map(|proposal| proposal.pre_prepare.body.digest)
    }

    /// Whether the slot's pre-prepare prepared in `view`.
    pub(crate) fn is_prepared_in(&self, view: View) -> bool {
        self.prepared.as_ref().is_some_and(|prepared| prepared.view() == view)
    }

    /// §4.2: the PREPAREs of backups that match a pre-prepare.
    pub(crate) fn matching_prepares(&self, of: &PrePrepare) -> Vec<Signed<Prepare>> {
        let matches = |prepare: &&Signed<Prepare>| {
            prepare.body.digest == of.digest && prepare.body.view == of.view
        };
        let backups = self.prepares.values().filter(|prepare| prepare.body.replica != of.replica);
        backups.filter(matches).cloned().collect()
    }

    /// §4.2: the COMMITs that match a pre-prepare.
    pub(crate) fn matching_commits(&self, of: &PrePrepare) -> Vec<Signed<Commit>> {
        let matches = |commit: &&Signed<Commit>| {
            commit.body.digest == of.digest && commit.body.view == of.view
        };
        self.commits.values().filter(matches).cloned().collect()
    }

    /// The batches that the slot has, wherever, with their digests.
    fn batches(&self) -> impl Iterator<Item = (Digest, &Arc<Batch>)> {
        let proposed =
            self.proposal.iter().map(|known| (known.pre_prepare.body.digest, &known.batch));
        let prepared = self.prepared.iter().map(|known| (known.digest(), &known.batch));
        let committed = self.committed.iter();
        let committed = committed.filter_map(|known| Some((known.digest()?, &known.batch)));
        proposed.chain(prepared).chain(committed).chain(self.bodies.batches())
    }

    /// What makes the certificate durable, with the batch if no earlier record has it.
    pub(crate) fn record_of(&self, certificate: &CommitCertificate) -> Record {
        let is_durable = certificate.digest().is_some_and(|digest| {
            self.accepted() == Some(digest) || self.bodies.get(digest).is_some()
        });
        Record::Committed {
            commits: certificate.commits.clone(),
            batch: (!is_durable).then(|| Arc::clone(&certificate.batch)),
        }
    }

    /// Forgets the pre-prepare and the votes of a view that is left. The batch stays: a certificate of that view may
    /// name it.
    fn leave_view(&mut self) {
        let certified = self.prepared.as_ref().map(Prepared::digest);
        if let Some(proposal) = self.proposal.take() {
            self.bodies.keep(proposal, certified);
        }
        self.prepares.clear();
        self.commits.clear();
    }
}

impl CommitCertificate {
    /// The digest that the certificate's COMMITs name.
    pub fn digest(&self) -> Option<Digest> {
        self.commits.first().map(|commit| commit.body.digest)
    }
}

/// The slots in (h, H]. There is no other way to reach a slot than through [`Log::slot_mut`], which asserts the
/// window, so a sequence number chosen by a liar costs nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    low: SeqNum,
    window: u64,
    slots: BTreeMap<SeqNum, Slot>,
}

impl Log {
    pub(crate) fn new(low: SeqNum, window: u64) -> Self {
        Self { low, window, slots: BTreeMap::new() }
    }

    /// The low water mark, h.
    #[doc(alias = "h")]
    pub(crate) fn low(&self) -> SeqNum {
        self.low
    }

    /// The high water mark, H = h + L.
    #[doc(alias = "H")]
    pub(crate) fn high(&self) -> SeqNum {
        SeqNum(self.low.0.saturating_add(self.window))
    }

    /// Whether `seq` is in (h, H] (§4.2, pre-prepare condition 4).
    pub(crate) fn contains(&self, seq: SeqNum) -> bool {
        self.low < seq && seq <= self.high()
    }

    /// §4.2, §4.3: sequence numbers are taken in (h, H] only.
    pub(crate) fn check_window(&self, seq: SeqNum) -> Result<(), Rejection> {
        let (low, high) = (self.low(), self.high());
        refuse_if(!self.contains(seq), Rejection::OutsideWindow { seq, low, high })
    }

    pub(crate) fn slot(&self, seq: SeqNum) -> Option<&Slot> {
        self.slots.get(&seq)
    }

    pub(crate) fn slot_mut(&mut self, seq: SeqNum) -> &mut Slot {
        debug_assert!(self.contains(seq));
        self.slots.entry(seq).or_default()
    }

    pub(crate) fn slots(&self) -> impl DoubleEndedIterator<Item = (SeqNum, &Slot)> {
        self.slots.iter().map(|(seq, slot)| (*seq, slot))
    }

    /// Moves the low water mark and forgets everything at or below it (§4.3).
    pub(crate) fn truncate(&mut self, low: SeqNum) {
        assert!(low >= self.low, "the low water mark never falls");
        self.low = low;
        self.slots = self.slots.split_off(&low.next());
    }

    /// Forgets the current view's pre-prepares and votes; certificates (§4.4) and batches stay.
    pub(crate) fn leave_view(&mut self) {
        self.slots.values_mut().for_each(Slot::leave_view);
        self.slots.retain(|_, slot| *slot != Slot::default());
    }

    /// The batch with `digest`, if any slot has it.
    pub(crate) fn batch(&self, digest: Digest) -> Option<&Arc<Batch>> {
        let mut all = self.slots.values().flat_map(Slot::batches);
        all.find(|(known, _)| *known == digest).map(|(_, batch)| batch)
    }

    /// The digests of all batches that some slot has.
    pub(crate) fn digests(&self) -> impl Iterator<Item = Digest> {
        self.slots.values().flat_map(Slot::batches).map(|(digest, _)| digest)
    }

    pub(crate) fn check_invariants(&self, view: &CurrentView, params: &Params) {
        debug_assert!(params.is_checkpoint(self.low), "h is a checkpoint");
        for (seq, slot) in self.slots() {
            debug_assert!(self.contains(seq), "the window");
            let accepted = slot.proposal.as_ref().map(|known| known.pre_prepare.body.view);
            debug_assert!(
                accepted.is_none_or(|accepted| view.is_active() && accepted == view.number()),
                "an accepted pre-prepare is of the active view"
            );
            let prepared = slot.prepared.as_ref().map(Prepared::view);
            debug_assert!(prepared <= Some(view.number()), "nothing prepared in a later view");
        }
    }
}
