//! The bodies of what a prepared certificate may name: who keeps a batch how long, and who may still need it.
//!
//! A certificate of view v has the primary's pre-prepare and q−1 PREPAREs, so f+1 correct replicas at least accepted
//! (or made) its pre-prepare and had its batch then. Whoever put the certificate together may be faulty, show it in
//! every view change, and serve the batch to nobody. So each correct replica keeps what it accepted at a number, in
//! memory and on disk, when it leaves the view, and serves it ([`crate::message::Message::FetchBatch`]) until a stable
//! checkpoint covers the number.
//!
//! # How many
//!
//! At one number one batch a view can be accepted, and those of different views differ only when nothing prepared in
//! between at those who began the later view. [`BODIES_MAX`] of them are kept, of the latest views, and always the one
//! that this replica holds a certificate for. Leaving out the oldest can make one V of a view change incomplete: one in
//! which a faulty replica shows a certificate for it, and nobody one of a later view. It cannot make all V incomplete.
//! Each certificate that a correct replica shows names a batch that this very replica keeps, and the VIEW-CHANGEs of the
//! correct replicas are q at least; a primary takes those whose batches it can get (`choose_view_changes`).

use crate::message::{Batch, Proposal};
use crate::types::{Digest, View};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The most bodies that are kept of one number, beside the current view's: more views than a cluster of ten has faulty
/// primaries in a row.
pub const BODIES_MAX: usize = 4;

/// The batches that were accepted at one number in views that were left, in rising order of the latest such view; one a
/// digest. The null batch needs no keeping.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bodies(Vec<Arc<Proposal>>);

impl Bodies {
    /// Keeps the batch of a proposal whose view is left. If there are too many, the one of the earliest view goes that
    /// is not `certified`, the digest that this replica's certificate for the number names.
    pub(crate) fn keep(&mut self, proposal: Arc<Proposal>, certified: Option<Digest>) {
        if proposal.batch.is_null() {
            return;
        }
        let (view, digest) = (view_of(&proposal), digest_of(&proposal));
        self.0.retain(|known| digest_of(known) != digest);
        let at = self.0.partition_point(|known| view_of(known) <= view);
        self.0.insert(at, proposal);
        if self.0.len() > BODIES_MAX {
            let spare = self.0.iter().position(|known| Some(digest_of(known)) != certified);
            self.0.remove(spare.unwrap_or(0));
        }
    }

    /// The proposal with this digest, as it was accepted in the latest view.
    pub fn get(&self, digest: Digest) -> Option<&Arc<Proposal>> {
        self.0.iter().find(|known| digest_of(known) == digest)
    }

    /// The batches with their digests, in rising order of view.
    pub(crate) fn batches(&self) -> impl Iterator<Item = (Digest, &Arc<Batch>)> {
        self.0.iter().map(|proposal| (digest_of(proposal), &proposal.batch))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn view_of(proposal: &Proposal) -> View {
    proposal.pre_prepare.body.view
}

fn digest_of(proposal: &Proposal) -> Digest {
    proposal.pre_prepare.body.digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{PrePrepare, Request, Signed};
    use crate::types::{ClientId, Lane, ReplicaId, SeqNum, Signature, Timestamp};

    fn proposal(view: u64, content: u64) -> Arc<Proposal> {
        let request = Request {
            client: ClientId(0),
            lane: Lane(0),
            session: Default::default(),
            timestamp: Timestamp(content),
            operation: Vec::new(),
        };
        let signature = Signature::default();
        let batch = Arc::new(Batch { requests: vec![Signed { body: request, signature }] });
        let digest = batch.digest();
        let body = PrePrepare { view: View(view), seq: SeqNum(1), digest, replica: ReplicaId(0) };
        Arc::new(Proposal { pre_prepare: Signed { body, signature }, batch })
    }

    fn kept(bodies: &Bodies) -> Vec<(u64, u64)> {
        let one = |known: &Arc<Proposal>| {
            (known.pre_prepare.body.view.0, known.batch.requests[0].body.timestamp.0)
        };
        bodies.0.iter().map(one).collect()
    }

    #[test]
    fn the_latest_views_are_kept_and_what_a_certificate_names() {
        let mut bodies = Bodies::default();
        let certified = Some(digest_of(&proposal(0, 10)));
        for view in 0..6 {
            bodies.keep(proposal(view, 10 + view), certified);
        }
        assert_eq!(kept(&bodies), [(0, 10), (3, 13), (4, 14), (5, 15)]);
        bodies.keep(proposal(6, 13), certified);
        assert_eq!(kept(&bodies), [(0, 10), (4, 14), (5, 15), (6, 13)], "one a digest");
        bodies.keep(proposal(7, 17), None);
        assert_eq!(kept(&bodies), [(4, 14), (5, 15), (6, 13), (7, 17)]);
    }

    #[test]
    fn the_null_batch_is_not_kept() {
        let mut null = Proposal::clone(&proposal(0, 1));
        null.batch = Arc::default();
        let mut bodies = Bodies::default();
        bodies.keep(Arc::new(null), None);
        assert!(bodies.is_empty());
    }
}
