//! What the model takes for granted as "available" from the Byzantine replica, as concrete messages: its votes,
//! its pre-prepares, and certificates put together from signatures that exist.

use super::message::Sent;
use super::vocabulary::{Vocabulary, replica_id, seq, view as core_view};
use crate::refinement::network::Network;
use pbft_core::message::{
    Checkpoint, Commit, CommitCertificate, Message, NewView, PrePrepare, Prepare,
    PreparedCertificate, Proposal, Signed, StableCertificate, ViewChange,
};
use pbft_model as model;
use std::sync::Arc;

/// A message that the model says exists and the replay does not have: an error of the replay or of the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the model counts on {what}, and nobody sent it")]
pub struct Missing {
    /// What is missing.
    pub what: String,
}

impl Missing {
    fn of(replica: model::ReplicaId, sent: &Sent) -> Self {
        Self { what: format!("{sent} of {replica}") }
    }
}

/// Finds messages of honest replicas, and makes those of the Byzantine one.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The dictionary.
    pub vocabulary: &'a Vocabulary,
    /// What honest replicas sent.
    pub network: &'a Network,
}

impl Source<'_> {
    fn is_byzantine(&self, replica: model::ReplicaId) -> bool {
        self.vocabulary.config.is_byzantine(replica)
    }

    fn primary(&self, view: model::View) -> model::ReplicaId {
        model::ReplicaId(view.0 % self.vocabulary.config.replicas())
    }

    fn replicas(&self) -> impl Iterator<Item = model::ReplicaId> + use<> {
        (0..self.vocabulary.config.replicas()).map(model::ReplicaId)
    }

    /// The PRE-PREPARE of the view's primary.
    pub fn proposal(
        &self,
        view: model::View,
        slot: model::Slot,
        value: model::Value,
    ) -> Result<Arc<Proposal>, Missing> {
        let primary = self.primary(view);
        if self.is_byzantine(primary) {
            return Ok(self.make_proposal(primary, view, slot, value));
        }
        let sent = Sent::PrePrepare(view, slot, value);
        match self.network.get(primary, &sent) {
            Some(Message::PrePrepare(proposal)) => Ok(Arc::clone(proposal)),
            Some(_) | None => Err(Missing::of(primary, &sent)),
        }
    }

    /// A PRE-PREPARE signed by `signer`, whoever leads the view.
    pub fn make_proposal(
        &self,
        signer: model::ReplicaId,
        view: model::View,
        slot: model::Slot,
        value: model::Value,
    ) -> Arc<Proposal> {
        let pre_prepare = self.pre_prepare(signer, view, slot, value);
        Arc::new(Proposal { pre_prepare, batch: self.vocabulary.batch(value) })
    }

    /// The signed pre-prepare alone.
    pub fn pre_prepare(
        &self,
        signer: model::ReplicaId,
        view: model::View,
        slot: model::Slot,
        value: model::Value,
    ) -> Signed<PrePrepare> {
        let digest = self.vocabulary.digest(value);
        let replica = replica_id(signer);
        let body = PrePrepare { view: core_view(view), seq: seq(slot), digest, replica };
        self.vocabulary.sign_as(signer, body)
    }

    /// A PREPARE signed by `signer`, whether it sent one or not.
    pub fn make_prepare(
        &self,
        signer: model::ReplicaId,
        view: model::View,
        slot: model::Slot,
        value: model::Value,
    ) -> Signed<Prepare> {
        let digest = self.vocabulary.digest(value);
        let replica = replica_id(signer);
        let body = Prepare { view: core_view(view), seq: seq(slot), digest, replica };
        self.vocabulary.sign_as(signer, body)
    }

    /// A COMMIT signed by `signer`, whether it sent one or not.
    pub fn make_commit(
        &self,
        signer: model::ReplicaId,
        view: model::View,
        slot: model::Slot,
        value: model::Value,
    ) -> Signed<Commit> {
        let digest = self.vocabulary.digest(value);
        let replica = replica_id(signer);
        let body = Commit { view: core_view(view), seq: seq(slot), digest, replica };
        self.vocabulary.sign_as(signer, body)
    }

    /// A CHECKPOINT signed by `signer`, whether it sent one or not.
    pub fn make_checkpoint(
        &self,
        signer: model::ReplicaId,
        slot: model::Slot,
        state: &model::StateDigest,
    ) -> Signed<Checkpoint> {
        let digest = self.vocabulary.state(slot, state).digest();
        let body = Checkpoint { seq: seq(slot), digest, replica: replica_id(signer) };
        self.vocabulary.sign_as(signer, body)
    }

    /// The PREPAREs that exist, or that the Byzantine replica can sign, by rising id: backups only.
    pub fn prepares(
        &self,
        view: model::View,
        slot: model::Slot,
        value: model::Value,
    ) -> Vec<Signed<Prepare>> {
        let primary = self.primary(view);
        let sent = Sent::Prepare(view, slot, value);
        let vote = |replica| match self.network.get(replica, &sent) {
            _ if self.is_byzantine(replica) => Some(self.make_prepare(replica, view, slot, value)),
            Some(Message::Prepare(prepare)) => Some(prepare.clone()),
            Some(_) | None => None,
        };
        self.replicas().filter(|replica| *replica != primary).filter_map(vote).collect()
    }

    /// The COMMITs that exist, or that the Byzantine replica can sign, by rising id.
    pub fn commits(
        &self,
        view: model::View,
        slot: model::Slot,
        value: model::Value,
    ) -> Vec<Signed<Commit>> {
        let sent = Sent::Commit(view, slot, value);
        let vote = |replica| match self.network.get(replica, &sent) {
            _ if self.is_byzantine(replica) => Some(self.make_commit(replica, view, slot, value)),
            Some(Message::Commit(commit)) => Some(commit.clone()),
            Some(_) | None => None,
        };
        self.replicas().filter_map(vote).collect()
    }

    /// The CHECKPOINTs that exist, or that the Byzantine replica can sign, by rising id.
    pub fn checkpoints(
        &self,
        slot: model::Slot,
        state: &model::StateDigest,
    ) -> Vec<Signed<Checkpoint>> {
        let sent = Sent::Checkpoint(slot, *state);
        let vote = |replica| match self.network.get(replica, &sent) {
            _ if self.is_byzantine(replica) => Some(self.make_checkpoint(replica, slot, state)),
            Some(Message::Checkpoint(checkpoint)) => Some(checkpoint.clone()),
            Some(_) | None => None,
        };
        self.replicas().filter_map(vote).collect()
    }

    /// A commit certificate, its votes beginning with the `rotation`-th.
    pub fn commit_certificate(
        &self,
        view: model::View,
        slot: model::Slot,
        value: model::Value,
        rotation: usize,
    ) -> Result<Arc<CommitCertificate>, Missing> {
        let quorum = self.vocabulary.quorum();
        let mut commits = choose(self.commits(view, slot, value), quorum, rotation)
            .ok_or_else(|| Missing { what: format!("q {}", Sent::Commit(view, slot, value)) })?;
        commits.sort_by_key(|vote| vote.body.replica);
        Ok(Arc::new(CommitCertificate { commits, batch: self.vocabulary.batch(value) }))
    }

    /// A stable certificate for a state.
    pub fn stable_certificate(
        &self,
        slot: model::Slot,
        state: &model::StateDigest,
        rotation: usize,
    ) -> Result<StableCertificate, Missing> {
        let quorum = self.vocabulary.quorum();
        let mut checkpoints = choose(self.checkpoints(slot, state), quorum, rotation)
            .ok_or_else(|| Missing { what: format!("q {}", Sent::Checkpoint(slot, *state)) })?;
        checkpoints.sort_by_key(|vote| vote.body.replica);
        Ok(StableCertificate { checkpoints })
    }

    /// The stable certificate for whatever state has one at `slot`.
    fn any_stable_certificate(&self, slot: model::Slot) -> Result<StableCertificate, Missing> {
        let states = self.network.checkpoint_states(slot);
        let found = states.iter().find_map(|state| self.stable_certificate(slot, state, 0).ok());
        found.ok_or_else(|| Missing { what: format!("q CHECKPOINTs at {slot}") })
    }

    fn prepared_certificate(
        &self,
        slot: model::Slot,
        claim: &model::Certificate,
    ) -> Result<PreparedCertificate, Missing> {
        let needed = self.vocabulary.prepares();
        let prepares = choose(self.prepares(claim.view, slot, claim.value), needed, 0);
        let missing =
            || Missing { what: format!("q-1 {}", Sent::Prepare(claim.view, slot, claim.value)) };
        let pre_prepare = self.proposal(claim.view, slot, claim.value)?.pre_prepare.clone();
        Ok(PreparedCertificate { pre_prepare, prepares: prepares.ok_or_else(missing)? })
    }

    /// A VIEW-CHANGE of a Byzantine replica that claims what the model says.
    pub fn make_view_change(
        &self,
        byzantine: model::ReplicaId,
        view: model::View,
        claim: &model::ViewChange,
    ) -> Result<Arc<Signed<ViewChange>>, Missing> {
        let stable = match claim.low_water_mark {
            model::Slot::GENESIS => StableCertificate::default(),
            slot => self.any_stable_certificate(slot)?,
        };
        let claims = claim.prepared.iter().enumerate();
        let claims = claims.filter_map(|(index, claim)| Some((model::Slot::at(index), (*claim)?)));
        let prepared = claims
            .map(|(slot, claim)| self.prepared_certificate(slot, &claim))
            .collect::<Result<_, _>>()?;
        let body = ViewChange {
            view: core_view(view),
            low_water_mark: seq(claim.low_water_mark),
            stable,
            prepared,
            replica: replica_id(byzantine),
        };
        Ok(Arc::new(self.vocabulary.sign_as(byzantine, body)))
    }

    /// The VIEW-CHANGE of a member of V.
    pub fn view_change(
        &self,
        sender: model::ReplicaId,
        view: model::View,
        claim: Option<&model::ViewChange>,
    ) -> Result<Arc<Signed<ViewChange>>, Missing> {
        if self.is_byzantine(sender) {
            let nothing = model::ViewChange::default();
            return self.make_view_change(sender, view, claim.unwrap_or(&nothing));
        }
        let found = self.network.view_change(sender, view);
        found.ok_or_else(|| Missing { what: format!("VIEW-CHANGE({view}) of {sender}") })
    }

    /// The NEW-VIEW with this V, signed by `signer`.
    pub fn make_new_view(
        &self,
        signer: model::ReplicaId,
        view: model::View,
        witness: &model::Witness,
    ) -> Result<Arc<Signed<NewView>>, Missing> {
        let view_changes = witness
            .senders
            .iter()
            .map(|sender| self.view_change(*sender, view, witness.claim_of(*sender)))
            .collect::<Result<_, _>>()?;
        let model::NewView { min_s, max_s, order } = witness.outcome;
        let pre_prepares = min_s
            .until(max_s)
            .map(|slot| self.pre_prepare(signer, view, slot, order[slot.index()]))
            .collect();
        let replica = replica_id(signer);
        let body = NewView { view: core_view(view), view_changes, pre_prepares, replica };
        Ok(Arc::new(self.vocabulary.sign_as(signer, body)))
    }
}

/// `count` of `all`, beginning with the `rotation`-th; `None` if there are not so many.
pub fn choose<T>(mut all: Vec<T>, count: usize, rotation: usize) -> Option<Vec<T>> {
    if all.len() < count {
        return None;
    }
    let len = all.len();
    all.rotate_left(rotation % len.max(1));
    all.truncate(count);
    Some(all)
}
