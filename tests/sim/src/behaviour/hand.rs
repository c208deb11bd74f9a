//! What a Byzantine replica has in its hand: its own key, and what it has heard.

use crate::rng::Rng;
use pbft_core::Params;
use pbft_core::crypto::{Body, Signer, sign};
use pbft_core::message::{
    Batch, Checkpoint, Commit, Message, PrePrepare, Prepare, PreparedCertificate, Proposal,
    Request, Signed, ViewChange,
};
use pbft_core::types::{Digest, ReplicaId, SeqNum, View};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The most of each kind of thing that is remembered.
const REMEMBERED: usize = 64;

type Votes<V> = BTreeMap<(View, SeqNum, Digest), BTreeMap<ReplicaId, Signed<V>>>;

/// The key and the knowledge of one liar. It signs what it likes, in its own name only.
pub struct Hand {
    /// Which replica it is.
    pub id: ReplicaId,
    /// Its parameters.
    pub params: Arc<Params>,
    /// Its chance.
    pub rng: Rng,
    /// The view that it believes the others to be in.
    pub view: View,
    /// The highest sequence number that it heard of.
    pub top: SeqNum,
    /// The last stable checkpoint that it heard of.
    pub low: SeqNum,
    /// Requests, the latest last.
    pub requests: VecDeque<Arc<Signed<Request>>>,
    /// Proposals, by view and sequence number.
    pub proposals: BTreeMap<(View, SeqNum), Arc<Proposal>>,
    /// Whether all that it tells another batch are told the same one.
    pub steady: bool,
    /// Everything heard, the latest last.
    pub heard: VecDeque<Message>,
    /// What it has reacted to already, so that two liars do not answer each other for ever.
    reacted: BTreeSet<(&'static str, View, SeqNum, Digest)>,
    signer: Arc<dyn Signer>,
    /// The other batch of each slot, if it is steady.
    others: BTreeMap<(View, SeqNum), Arc<Batch>>,
    prepares: Votes<Prepare>,
    view_changes: BTreeMap<(View, ReplicaId), Arc<Signed<ViewChange>>>,
}

/// Forgets the first until there are no more than `most`.
pub(crate) fn keep_last<K: Ord, V>(map: &mut BTreeMap<K, V>, most: usize) {
    while map.len() > most {
        map.pop_first();
    }
}

impl Hand {
    /// An empty hand.
    #[must_use]
    pub fn new(params: Arc<Params>, signer: Arc<dyn Signer>, rng: Rng) -> Self {
        Self {
            id: params.replica,
            params,
            rng,
            reacted: BTreeSet::new(),
            signer,
            steady: false,
            others: BTreeMap::new(),
            view: View(0),
            top: SeqNum(0),
            low: SeqNum(0),
            requests: VecDeque::new(),
            proposals: BTreeMap::new(),
            heard: VecDeque::new(),
            prepares: BTreeMap::new(),
            view_changes: BTreeMap::new(),
        }
    }

    /// Signs in its own name, whatever the body says.
    pub fn sign<B: Body>(&self, body: B) -> Signed<B> {
        sign(&*self.signer, self.params.cluster, body)
    }

    /// Signs for a cluster that is not this one.
    pub fn sign_elsewhere<B: Body>(&self, body: B) -> Signed<B> {
        sign(&*self.signer, Digest([0xe1; 32]), body)
    }

    /// Remembers a message that reached it, or that its own machine made.
    pub fn hear(&mut self, message: &Message) {
        self.heard.push_back(message.clone());
        if self.heard.len() > REMEMBERED {
            self.heard.pop_front();
        }
        match message {
            Message::Request(request) => {
                self.requests.push_back(Arc::clone(request));
                if self.requests.len() > REMEMBERED {
                    self.requests.pop_front();
                }
            }
            Message::PrePrepare(proposal) => {
                let body = &proposal.pre_prepare.body;
                self.see(body.view, body.seq);
                self.proposals.insert((body.view, body.seq), Arc::clone(proposal));
                keep_last(&mut self.proposals, REMEMBERED);
            }
            Message::Prepare(vote) => {
                let Prepare { view, seq, digest, replica } = vote.body;
                self.see(view, seq);
                self.prepares.entry((view, seq, digest)).or_default().insert(replica, vote.clone());
                keep_last(&mut self.prepares, REMEMBERED);
            }
            Message::ViewChange(one) => {
                self.view_changes.insert((one.body.view, one.body.replica), Arc::clone(one));
                keep_last(&mut self.view_changes, REMEMBERED);
            }
            Message::NewView(one) if one.body.view < View(1 << 20) => {
                self.view = self.view.max(one.body.view);
            }
            Message::Stable(proof) => {
                let seq = proof.checkpoints.first().map_or(SeqNum(0), |vote| vote.body.seq);
                self.low = self.low.max(seq);
            }
            _ => {}
        }
    }

    fn see(&mut self, view: View, seq: SeqNum) {
        if view < View(1 << 20) && seq < SeqNum(1 << 20) {
            (self.view, self.top) = (self.view.max(view), self.top.max(seq));
        }
    }

    /// Whether it has not reacted to a statement about this yet. From now on it has.
    pub fn is_new(&mut self, what: &'static str, view: View, seq: SeqNum, digest: Digest) -> bool {
        if self.reacted.len() > REMEMBERED * REMEMBERED {
            self.reacted.clear();
        }
        self.reacted.insert((what, view, seq, digest))
    }

    /// Some other replica.
    pub fn somebody(&mut self) -> ReplicaId {
        let n = self.params.membership.n() as u64;
        ReplicaId(((u64::from(self.id.0) + 1 + self.rng.below(n - 1)) % n) as u32)
    }

    /// A digest of nothing.
    pub fn any_digest(&mut self) -> Digest {
        let mut digest = Digest([0xbd; 32]);
        digest.0[..8].copy_from_slice(&self.rng.number().to_le_bytes());
        digest
    }

    /// What it proposes for a slot instead of this batch.
    pub fn lie_about(&mut self, slot: (View, SeqNum), batch: &Batch) -> Arc<Batch> {
        if let Some(known) = self.others.get(&slot).filter(|_| self.steady) {
            return Arc::clone(known);
        }
        let other = self.other_batch(batch);
        if self.steady {
            self.others.insert(slot, Arc::clone(&other));
            keep_last(&mut self.others, REMEMBERED);
        }
        other
    }

    /// A batch that is not this one, of requests that clients signed, if it knows any.
    pub fn other_batch(&mut self, batch: &Batch) -> Arc<Batch> {
        let position = self.rng.index(self.requests.len());
        let mut requests: Vec<Signed<Request>> = batch.requests.iter().rev().cloned().collect();
        match self.requests.get(position) {
            Some(request) if self.rng.percent(70) => requests = vec![Signed::clone(request)],
            Some(_) | None => {}
        }
        if requests == batch.requests {
            // The same request twice is executed once, and is another batch.
            requests.extend(batch.requests.iter().cloned());
        }
        requests.truncate(self.params.batch_requests_max);
        Arc::new(Batch { requests })
    }

    /// PRE-PREPARE in its own name.
    pub fn propose(&self, view: View, seq: SeqNum, digest: Digest, batch: Arc<Batch>) -> Message {
        let pre_prepare = self.sign(PrePrepare { view, seq, digest, replica: self.id });
        Message::PrePrepare(Arc::new(Proposal { pre_prepare, batch }))
    }

    /// PREPARE in its own name.
    pub fn prepare(&self, view: View, seq: SeqNum, digest: Digest) -> Message {
        Message::Prepare(self.sign(Prepare { view, seq, digest, replica: self.id }))
    }

    /// COMMIT in its own name.
    pub fn commit(&self, view: View, seq: SeqNum, digest: Digest) -> Message {
        Message::Commit(self.sign(Commit { view, seq, digest, replica: self.id }))
    }

    /// CHECKPOINT in its own name.
    pub fn checkpoint(&self, seq: SeqNum, digest: Digest) -> Message {
        Message::Checkpoint(self.sign(Checkpoint { seq, digest, replica: self.id }))
    }

    /// Certificates that it can put together from what it heard, its own PREPARE included.
    pub fn certificates(&self) -> Vec<PreparedCertificate> {
        let membership = &self.params.membership;
        let mut certificates = Vec::new();
        for ((view, seq), proposal) in &self.proposals {
            let digest = proposal.pre_prepare.body.digest;
            let primary = membership.primary(*view);
            let mut votes = self.prepares.get(&(*view, *seq, digest)).cloned().unwrap_or_default();
            if self.id != primary {
                let own = Prepare { view: *view, seq: *seq, digest, replica: self.id };
                votes.insert(self.id, self.sign(own));
            }
            votes.remove(&primary);
            let prepares: Vec<_> = votes.into_values().take(membership.prepares()).collect();
            let pre_prepare = proposal.pre_prepare.clone();
            certificates.push(PreparedCertificate { pre_prepare, prepares });
        }
        certificates
    }

    /// VIEW-CHANGEs that it heard for a view.
    pub fn view_changes_for(&self, view: View) -> Vec<Arc<Signed<ViewChange>>> {
        let all = self.view_changes.range((view, ReplicaId(0))..=(view, ReplicaId(u32::MAX)));
        all.map(|(_, one)| Arc::clone(one)).collect()
    }

    /// VIEW-CHANGEs for other views.
    pub fn view_changes_of_other_views(&self, view: View) -> Vec<Arc<Signed<ViewChange>>> {
        let all = self.view_changes.values();
        all.filter(|one| one.body.view != view).cloned().collect()
    }
}
