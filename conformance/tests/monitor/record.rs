//! The steps of a replica, as it would record them.

use crate::said::{batch, digest, state_digest, vote};
use crate::{Check, Walk, step};
use pbft_model::{Action, Certificate, NewView, ReplicaId, Slot, State, Value, View, Witness};
use pbft_node::trace::format::{self, Body, Input, Output, Step};

impl Check {
    /// The steps of a replica, as it would record them, for an action of the model.
    pub(crate) fn record(
        &self,
        walk: &Walk,
        state: &State,
        next: Option<&State>,
        action: Action,
    ) -> Vec<Step> {
        let id = action.replica();
        let replica = state.replica(id);
        let all = |body| vec![Output::All(body)];
        match action {
            Action::PrePrepare { slot, value, .. } => {
                let proposal = self.proposal(replica.view, slot, value, id);
                vec![step(Input::StatusTimer, all(Body::PrePrepare(proposal)))]
            }
            Action::Prepare { slot, value, .. } => {
                let primary = self.model.primary(replica.view);
                let proposal = self.proposal(replica.view, slot, value, primary);
                let from = u32::from(primary.0);
                let input = Input::Message { from, body: Body::PrePrepare(proposal) };
                vec![step(input, all(Body::Prepare(vote(replica.view, slot, value, id))))]
            }
            Action::Commit { slot, .. } => {
                let value = replica.accepted[slot.index()];
                let value = if value.is_some() { value } else { Value::request(1) };
                let certificate = Certificate { view: replica.view, value };
                let mut proof = self.proof(state, certificate, slot);
                let primary = u32::from(self.model.primary(replica.view).0);
                if next.is_none() && !proof.signers.contains(&primary) {
                    // The PREPARE of a primary does not make up for what is missing.
                    proof.signers.push(primary);
                    proof.signers.truncate(usize::from(self.config.quorums().prepares()));
                }
                let proof = Output::Prepared(proof);
                let commit = Output::All(Body::Commit(vote(replica.view, slot, value, id)));
                vec![step(Input::StatusTimer, vec![proof, commit])]
            }
            Action::Execute { view, value, .. } => self.execution(state, next, id, view, value),
            Action::Stabilise { slot, .. } => {
                let own = replica.sent.checkpoints[slot.index()].unwrap_or(replica.digest());
                let proof = Output::Stable(self.stable_proof(state, slot, own));
                vec![step(Input::StatusTimer, vec![proof])]
            }
            Action::StateTransfer { slot, digest, .. } => {
                let proof = Output::Stable(self.stable_proof(state, slot, digest));
                vec![step(Input::Installed { seq: u64::from(slot.0) }, vec![proof])]
            }
            Action::StartViewChange { to, .. } => {
                let change = self.own_view_change(walk, state, id, to);
                vec![step(Input::ViewTimer, all(Body::ViewChange(change)))]
            }
            Action::NewView { outcome, .. } => {
                let (new_view, heard) = self.new_view(walk, state, replica.view, id, &outcome);
                let mut steps = heard;
                steps.push(step(Input::StatusTimer, all(Body::NewView(new_view))));
                steps
            }
            Action::EnterView { view, outcome, .. } => self.entry(walk, state, id, view, &outcome),
            Action::Flush { .. } | Action::Restart { .. } => Vec::new(),
        }
    }
    fn proposal(&self, view: View, slot: Slot, value: Value, by: ReplicaId) -> format::Proposal {
        format::Proposal {
            view: u64::from(view.0),
            seq: u64::from(slot.0),
            digest: digest(value),
            replica: u32::from(by.0),
            batch: batch(value),
        }
    }

    fn execution(
        &self,
        state: &State,
        next: Option<&State>,
        id: ReplicaId,
        view: View,
        value: Value,
    ) -> Vec<Step> {
        let replica = state.replica(id);
        let slot = replica.last_executed.next();
        let named =
            |sent: &pbft_model::Sent| sent.commits[view.index()][slot.index()].contains(value);
        let mut signers = self.voters(state, named, None);
        signers.truncate(usize::from(self.config.quorums().quorum));
        let seq = u64::from(slot.0);
        let (digest, batch) = (digest(value), batch(value));
        let applied = if replica.served.contains(value) { Vec::new() } else { batch.clone() };
        let view = u64::from(view.0);
        let committed = format::Committed { view, seq, digest, signers, batch };
        let asks = step(Input::StatusTimer, vec![Output::Execute { committed, applied }]);
        let checkpoint = next.and_then(|next| {
            let of = next.replica(id).sent.checkpoints[slot.index()]?;
            let replica = u32::from(id.0);
            let digest = state_digest(&of);
            let vote = format::CheckpointVote { seq, digest, replica };
            Some(Output::All(Body::Checkpoint(vote)))
        });
        vec![asks, step(Input::Executed { seq }, checkpoint.into_iter().collect())]
    }

    fn own_view_change(
        &self,
        walk: &Walk,
        state: &State,
        id: ReplicaId,
        to: View,
    ) -> format::ViewChange {
        let replica = state.replica(id);
        let certified = self.slots().filter(|slot| replica.certificates[slot.index()].is_some());
        let proofs = certified.filter_map(|slot| walk.proofs.get(&(id.0, slot.0)).cloned());
        format::ViewChange {
            view: u64::from(to.0),
            replica: u32::from(id.0),
            low: u64::from(replica.low_water_mark.0),
            stable: walk.stable.get(&id.0).cloned(),
            prepared: proofs.collect(),
        }
    }

    /// A NEW-VIEW with this outcome, and what its primary must have heard. If no V gives the outcome, one that claims
    /// it all the same.
    fn new_view(
        &self,
        walk: &Walk,
        state: &State,
        view: View,
        primary: ReplicaId,
        outcome: &NewView,
    ) -> (format::NewView, Vec<Step>) {
        let mut witnesses = self.model.new_view_witnesses(state, view);
        witnesses.sort_by_key(|witness| witness.outcome != *outcome);
        let none = || Witness { senders: Vec::new(), claims: Vec::new(), outcome: *outcome };
        let witness = witnesses.into_iter().next().unwrap_or_else(none);
        let mut heard = Vec::new();
        let changes = witness.senders.iter().filter_map(|sender| {
            let Some(claim) = witness.claim_of(*sender) else {
                return walk.view_changes.get(&(sender.0, view.0)).cloned();
            };
            let change = self.claim(state, *sender, view, claim);
            let (from, body) = (u32::from(sender.0), Body::ViewChange(change.clone()));
            heard.push(step(Input::Message { from, body }, Vec::new()));
            Some(change)
        });
        let view_changes = changes.collect();
        let order = outcome.min_s.until(outcome.max_s);
        let order = order.map(|slot| (u64::from(slot.0), digest(outcome.order[slot.index()])));
        let (view, replica) = (u64::from(view.0), u32::from(primary.0));
        (format::NewView { view, replica, view_changes, order: order.collect() }, heard)
    }

    fn entry(
        &self,
        walk: &Walk,
        state: &State,
        id: ReplicaId,
        view: View,
        outcome: &NewView,
    ) -> Vec<Step> {
        let primary = self.model.primary(view);
        let (made, _) = self.new_view(walk, state, view, primary, outcome);
        let new_view = match walk.new_views.get(&view.0) {
            Some(said) if !self.model.is_byzantine(primary) && is_of(said, outcome, &made) => {
                said.clone()
            }
            Some(_) | None => made,
        };
        let mut out = vec![Output::Enter { view: u64::from(view.0) }];
        let low = state.replica(id).low_water_mark.max(outcome.min_s);
        for slot in low.until(outcome.max_s) {
            let value = outcome.order[slot.index()];
            out.push(Output::All(Body::Prepare(vote(view, slot, value, id))));
        }
        let from = u32::from(primary.0);
        vec![step(Input::Message { from, body: Body::NewView(new_view) }, out)]
    }
}

/// Whether a NEW-VIEW that was said has this outcome: O as in `made`, above the same checkpoint.
fn is_of(said: &format::NewView, outcome: &NewView, made: &format::NewView) -> bool {
    let min_s = said.view_changes.iter().map(|change| change.low).max();
    said.order == made.order && min_s == Some(u64::from(outcome.min_s.0))
}
