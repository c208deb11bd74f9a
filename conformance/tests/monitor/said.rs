//! What replicas of the model have said, as messages of a recording.

use crate::{Check, NULL, Walk, step};
use pbft_model::{Certificate, ReplicaId, Slot, State, Value, View, ViewChange};
use pbft_node::trace::ShortDigest;
use pbft_node::trace::format::{self, Body, Input};

pub(crate) fn digest(value: Value) -> ShortDigest {
    if value == Value::NULL { NULL } else { ShortDigest(u128::from(value.0) + 1) }
}

pub(crate) fn batch(value: Value) -> Vec<format::RequestId> {
    let request = |client| format::RequestId(u32::from(client), 0, u64::from(value.number()));
    value.client().map(request).into_iter().collect()
}

pub(crate) fn state_digest(state: &pbft_model::StateDigest) -> ShortDigest {
    ShortDigest(1 << 100 | u128::from(state.applied.0) << 8 | u128::from(state.served.0))
}

pub(crate) fn vote(view: View, slot: Slot, value: Value, replica: ReplicaId) -> format::Vote {
    let (view, seq) = (u64::from(view.0), u64::from(slot.0));
    format::Vote { view, seq, digest: digest(value), replica: u32::from(replica.0) }
}

impl Check {
    /// Who voted for it: honest replicas that did, and Byzantine ones, who would.
    pub(crate) fn voters(
        &self,
        state: &State,
        named: impl Fn(&pbft_model::Sent) -> bool,
        but: Option<ReplicaId>,
    ) -> Vec<u32> {
        let all = (0..self.config.replicas()).map(ReplicaId).filter(|id| Some(*id) != but);
        let votes = all.filter(|id| self.model.is_byzantine(*id) || named(state.sent(*id)));
        votes.map(|id| u32::from(id.0)).collect()
    }

    pub(crate) fn proof(
        &self,
        state: &State,
        certificate: Certificate,
        slot: Slot,
    ) -> format::PreparedProof {
        let Certificate { view, value } = certificate;
        let primary = self.model.primary(view);
        let named =
            |sent: &pbft_model::Sent| sent.prepares[view.index()][slot.index()].contains(value);
        let mut signers = self.voters(state, named, Some(primary));
        signers.truncate(usize::from(self.config.quorums().prepares()));
        let (view, seq) = (u64::from(view.0), u64::from(slot.0));
        format::PreparedProof { view, seq, digest: digest(value), signers }
    }

    pub(crate) fn stable_proof(
        &self,
        state: &State,
        slot: Slot,
        of: pbft_model::StateDigest,
    ) -> format::StableProof {
        let named = |sent: &pbft_model::Sent| sent.checkpoints[slot.index()] == Some(of);
        let mut signers = self.voters(state, named, None);
        signers.truncate(usize::from(self.config.quorums().quorum));
        format::StableProof { seq: u64::from(slot.0), digest: state_digest(&of), signers }
    }

    /// A checkpoint's proof at a slot, if some digest has one.
    pub(crate) fn any_stable(&self, state: &State, slot: Slot) -> Option<format::StableProof> {
        let digests = self.model.honest().filter_map(|id| state.sent(id).checkpoints[slot.index()]);
        let mut proofs = digests.map(|of| self.stable_proof(state, slot, of));
        proofs.find(|proof| proof.signers.len() == usize::from(self.config.quorums().quorum))
    }

    /// What a Byzantine replica claims, as a message.
    pub(crate) fn claim(
        &self,
        state: &State,
        id: ReplicaId,
        to: View,
        claim: &ViewChange,
    ) -> format::ViewChange {
        let shown = self.slots().filter_map(|slot| {
            claim.prepared[slot.index()].map(|certificate| self.proof(state, certificate, slot))
        });
        format::ViewChange {
            view: u64::from(to.0),
            replica: u32::from(id.0),
            low: u64::from(claim.low_water_mark.0),
            stable: (claim.low_water_mark > Slot::GENESIS)
                .then(|| self.any_stable(state, claim.low_water_mark))
                .flatten(),
            prepared: shown.collect(),
        }
    }

    /// A replica hears what all others have said, and whatever Byzantine replicas can say.
    pub(crate) fn hear_all(&self, walk: &mut Walk, state: &State, id: ReplicaId) {
        let mut bodies: Vec<(ReplicaId, Body)> = Vec::new();
        for other in (0..self.config.replicas()).map(ReplicaId).filter(|other| *other != id) {
            let liar = self.model.is_byzantine(other);
            let sent = state.sent(other);
            for (view, slot) in self.views().flat_map(|v| self.slots().map(move |s| (v, s))) {
                let primary = self.model.primary(view) == other;
                for value in self.values() {
                    // The PREPARE of a primary that lies is there, too, and must not count.
                    let said = sent.prepares[view.index()][slot.index()].contains(value);
                    if liar || (!primary && said) {
                        bodies.push((other, Body::Prepare(vote(view, slot, value, other))));
                    }
                    if liar || sent.commits[view.index()][slot.index()].contains(value) {
                        bodies.push((other, Body::Commit(vote(view, slot, value, other))));
                    }
                }
            }
            for slot in self.slots() {
                let named = self.model.honest().filter_map(|honest| {
                    state.sent(honest).checkpoints[slot.index()].filter(|_| liar)
                });
                for of in named.chain(sent.checkpoints[slot.index()]) {
                    let (seq, digest) = (u64::from(slot.0), state_digest(&of));
                    let vote = format::CheckpointVote { seq, digest, replica: u32::from(other.0) };
                    bodies.push((other, Body::Checkpoint(vote)));
                }
            }
            for to in self.views().filter(|to| *to >= state.replica(id).view) {
                let said = walk.view_changes.get(&(other.0, to.0)).cloned();
                let made = liar.then(|| self.claim(state, other, to, &ViewChange::default()));
                let change = said.or(made.filter(|_| to > View(0)));
                bodies.extend(change.map(|change| (other, Body::ViewChange(change))));
            }
        }
        for (from, body) in bodies {
            let from = u32::from(from.0);
            let heard = self.take(walk, id, step(Input::Message { from, body }, Vec::new()));
            heard.expect("what was said can be heard");
        }
    }
}
