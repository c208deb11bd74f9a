//! The action map: what to deliver to a replica so that it takes a step of the model.
//!
//! | action | deliveries | the last one triggers |
//! |---|---|---|
//! | PrePrepare | the client's request | PRE-PREPARE |
//! | Prepare | the pre-prepare | PREPARE |
//! | Commit | PREPAREs up to q−1, the own one counted | COMMIT |
//! | Execute | COMMITs up to q, the own one counted; or a commit certificate | execution, reply, CHECKPOINT |
//! | Stabilise | CHECKPOINTs up to q, the own one counted; or a stable certificate | h moves |
//! | StateTransfer | q CHECKPOINTs or a stable certificate, then a tick; then the state is fetched | installation |
//! | StartViewChange | the timer, or a suspicion; f+1 VIEW-CHANGEs for a jump | VIEW-CHANGE |
//! | NewView | the VIEW-CHANGEs of V | NEW-VIEW |
//! | EnterView | the NEW-VIEW; then batches that are missing are fetched | PREPAREs for O |
//! | Restart | does not exist in the correct protocol | |

use super::byzantine::{Missing, Source};
use super::message::Sent;
use super::pick::{Pick, some_of};
use super::vocabulary::replica_id;
use crate::signpost::given::Given;
use pbft_core::Timer;
use pbft_core::message::Message;
use pbft_core::types::ReplicaId;
use pbft_model as model;
use std::sync::Arc;

/// One thing that reaches a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A message from its client.
    Client(Message),
    /// A message on another replica's channel.
    Message {
        /// The channel.
        from: ReplicaId,
        /// The message.
        message: Message,
    },
    /// A timer runs out.
    Timer(Timer),
    /// The primary is suspected.
    Suspect,
}

impl From<&Delivery> for Given {
    fn from(delivery: &Delivery) -> Self {
        match delivery {
            Delivery::Client(_) => Self::Request,
            Delivery::Message { message, .. } => Self::of_message(message),
            Delivery::Timer(Timer::ViewChange) => Self::ViewTimer,
            Delivery::Timer(Timer::Status) => Self::StatusTimer,
            Delivery::Timer(Timer::Batch) => Self::BatchTimer,
            Delivery::Suspect => Self::Suspicion,
        }
    }
}

/// Where votes would do, a certificate comes instead one time in so many.
const CERTIFICATE_ONE_IN: u64 = 5;

/// What a replay needs to know of the replica that acts.
#[derive(Clone, Copy, Debug)]
pub struct Actor {
    /// Whether its view-change timer runs.
    pub timer_running: bool,
}

/// The deliveries for one action. `choice` selects among the quorums and certificates that would do.
pub struct Script<'a> {
    /// The model.
    pub model: &'a model::Pbft,
    /// The state that the action is taken in.
    pub state: &'a model::State,
    /// Where messages come from.
    pub source: Source<'a>,
    /// Selects among equivalent deliveries.
    pub pick: Pick,
}

impl Script<'_> {
    /// The deliveries, in order; the last one must trigger the action, and none before may.
    pub fn deliveries(
        &self,
        action: &model::Action,
        actor: Actor,
    ) -> Result<Vec<Delivery>, Missing> {
        let replica = action.replica();
        let before = self.state.replica(replica);
        match *action {
            model::Action::PrePrepare { value, .. } => self.request(value),
            model::Action::Prepare { slot, value, .. } => {
                let proposal = self.source.proposal(before.view, slot, value)?;
                let from = replica_id(self.model.primary(before.view));
                Ok(vec![Delivery::Message { from, message: Message::PrePrepare(proposal) }])
            }
            model::Action::Commit { slot, .. } => self.prepares(replica, slot),
            model::Action::Execute { view, value, .. } => self.commits(replica, view, value),
            model::Action::Stabilise { slot, .. } => {
                let own = before.sent.checkpoints[slot.index()];
                let own = own.ok_or_else(|| Missing { what: format!("own CHECKPOINT {slot}") })?;
                self.checkpoints(replica, slot, &own)
            }
            model::Action::StateTransfer { slot, digest, .. } => {
                let mut deliveries = self.checkpoints(replica, slot, &digest)?;
                deliveries.push(Delivery::Timer(Timer::Status));
                Ok(deliveries)
            }
            model::Action::StartViewChange { to, .. } => {
                if to > before.view.next() {
                    return self.join(replica, to);
                }
                Ok(vec![match actor.timer_running {
                    true => Delivery::Timer(Timer::ViewChange),
                    false => Delivery::Suspect,
                }])
            }
            model::Action::NewView { outcome, .. } => self.view_changes(replica, &outcome),
            model::Action::EnterView { view, outcome, .. } => self.new_view(view, &outcome),
            model::Action::Flush { .. } | model::Action::Restart { .. } => {
                Err(Missing { what: format!("{action}: crashes are injected between steps") })
            }
        }
    }

    /// With which vote a certificate begins.
    fn rotation(&self) -> usize {
        self.pick.index(usize::from(self.model.config().replicas()))
    }

    fn request(&self, value: model::Value) -> Result<Vec<Delivery>, Missing> {
        let request = self.source.vocabulary.request(value);
        let request = request.ok_or_else(|| Missing { what: format!("request {value}") })?;
        Ok(vec![Delivery::Client(Message::Request(Arc::clone(request)))])
    }

    fn prepares(
        &self,
        replica: model::ReplicaId,
        slot: model::Slot,
    ) -> Result<Vec<Delivery>, Missing> {
        let before = self.state.replica(replica);
        let (view, value) = (before.view, before.accepted[slot.index()]);
        let own = usize::from(self.model.primary(view) != replica);
        let needed = self.source.vocabulary.prepares() - own;
        let mut others = self.source.prepares(view, slot, value);
        others.retain(|vote| vote.body.replica != replica_id(replica));
        let chosen = some_of(others, needed, &self.pick)
            .ok_or_else(|| Missing { what: format!("q-1 {}", Sent::Prepare(view, slot, value)) })?;
        let deliver = |vote: pbft_core::message::Signed<pbft_core::message::Prepare>| {
            Delivery::Message { from: vote.body.replica, message: Message::Prepare(vote) }
        };
        Ok(chosen.into_iter().map(deliver).collect())
    }

    /// COMMITs one by one where the replica is prepared in their view; else, or by choice, as a certificate.
    fn commits(
        &self,
        replica: model::ReplicaId,
        view: model::View,
        value: model::Value,
    ) -> Result<Vec<Delivery>, Missing> {
        let before = self.state.replica(replica);
        let slot = before.last_executed.next();
        let own = model::Certificate { view, value };
        let prepared_here =
            before.active && before.view == view && before.certificates[slot.index()] == Some(own);
        if !prepared_here || self.pick.rarely(CERTIFICATE_ONE_IN) {
            let certificate = self.source.commit_certificate(view, slot, value, self.rotation())?;
            let others = certificate.commits.iter().map(|vote| vote.body.replica);
            let from = others.into_iter().find(|from| *from != replica_id(replica));
            let from = from.ok_or_else(|| Missing { what: "another replica".to_owned() })?;
            return Ok(vec![Delivery::Message { from, message: Message::Committed(certificate) }]);
        }
        let needed = self.source.vocabulary.quorum() - 1;
        let mut others = self.source.commits(view, slot, value);
        others.retain(|vote| vote.body.replica != replica_id(replica));
        let chosen = some_of(others, needed, &self.pick)
            .ok_or_else(|| Missing { what: format!("q {}", Sent::Commit(view, slot, value)) })?;
        let deliver = |vote: pbft_core::message::Signed<pbft_core::message::Commit>| {
            Delivery::Message { from: vote.body.replica, message: Message::Commit(vote) }
        };
        Ok(chosen.into_iter().map(deliver).collect())
    }

    fn checkpoints(
        &self,
        replica: model::ReplicaId,
        slot: model::Slot,
        state: &model::StateDigest,
    ) -> Result<Vec<Delivery>, Missing> {
        let own = self.state.replica(replica).sent.checkpoints[slot.index()].is_some();
        if self.pick.rarely(CERTIFICATE_ONE_IN) {
            let certificate = self.source.stable_certificate(slot, state, self.rotation())?;
            let from = certificate.checkpoints.iter().map(|vote| vote.body.replica);
            let from = from.into_iter().find(|from| *from != replica_id(replica));
            let from = from.ok_or_else(|| Missing { what: "another replica".to_owned() })?;
            let message = Message::Stable(Arc::new(certificate));
            return Ok(vec![Delivery::Message { from, message }]);
        }
        let needed = self.source.vocabulary.quorum() - usize::from(own);
        let mut others = self.source.checkpoints(slot, state);
        others.retain(|vote| vote.body.replica != replica_id(replica));
        let chosen = some_of(others, needed, &self.pick)
            .ok_or_else(|| Missing { what: format!("q {}", Sent::Checkpoint(slot, *state)) })?;
        let deliver = |vote: pbft_core::message::Signed<pbft_core::message::Checkpoint>| {
            Delivery::Message { from: vote.body.replica, message: Message::Checkpoint(vote) }
        };
        Ok(chosen.into_iter().map(deliver).collect())
    }

    /// §4.4, the join rule: f+1 VIEW-CHANGEs for later views, the earliest of them for `to`. Those with the
    /// earliest views are taken, so that a replica keeps as few promises of others ahead of its own as it can.
    fn join(&self, replica: model::ReplicaId, to: model::View) -> Result<Vec<Delivery>, Missing> {
        let mut found = Vec::new();
        for sender in (0..self.model.config().replicas()).map(model::ReplicaId) {
            if sender == replica {
                continue;
            }
            if self.model.is_byzantine(sender) {
                let message = self.source.view_change(sender, to, None)?;
                found.push((to, sender, message));
                continue;
            }
            let later = (to.0..=self.model.config().max_view().0).map(model::View);
            let first = later.into_iter().find_map(|view| {
                Some((view, sender, self.source.network.view_change(sender, view)?))
            });
            found.extend(first);
        }
        found.sort_by_key(|(view, sender, _)| (*view, *sender));
        let weak = self.source.vocabulary.weak();
        if found.len() < weak || found[0].0 != to {
            return Err(Missing { what: format!("f+1 VIEW-CHANGEs from {to} on") });
        }
        found.truncate(weak);
        let deliver = |(_, sender, message)| Delivery::Message {
            from: replica_id(sender),
            message: Message::ViewChange(message),
        };
        Ok(found.into_iter().map(deliver).collect())
    }

    fn witness(
        &self,
        view: model::View,
        outcome: &model::NewView,
    ) -> Result<model::Witness, Missing> {
        let mut witnesses = self.model.new_view_witnesses(self.state, view);
        witnesses.retain(|witness| witness.outcome == *outcome);
        if witnesses.is_empty() {
            return Err(Missing { what: format!("V for {outcome} in {view}") });
        }
        let chosen = self.pick.index(witnesses.len());
        Ok(witnesses.swap_remove(chosen))
    }

    fn view_changes(
        &self,
        replica: model::ReplicaId,
        outcome: &model::NewView,
    ) -> Result<Vec<Delivery>, Missing> {
        let view = self.state.replica(replica).view;
        let witness = self.witness(view, outcome)?;
        let mut others: Vec<_> = witness.senders.iter().filter(|s| **s != replica).collect();
        let first = self.pick.index(others.len());
        others.rotate_left(first);
        others
            .into_iter()
            .map(|sender| {
                let claim = witness.claim_of(*sender);
                let message = self.source.view_change(*sender, view, claim)?;
                let from = replica_id(*sender);
                Ok(Delivery::Message { from, message: Message::ViewChange(message) })
            })
            .collect()
    }

    fn new_view(
        &self,
        view: model::View,
        outcome: &model::NewView,
    ) -> Result<Vec<Delivery>, Missing> {
        let primary = self.model.primary(view);
        let message = if self.model.is_byzantine(primary) {
            let witness = self.witness(view, outcome)?;
            Message::NewView(self.source.make_new_view(primary, view, &witness)?)
        } else {
            let sent = Sent::NewView(view, *outcome);
            let found = self.source.network.get(primary, &sent).cloned();
            found.ok_or_else(|| Missing { what: format!("{sent} of {primary}") })?
        };
        Ok(vec![Delivery::Message { from: replica_id(primary), message }])
    }
}
