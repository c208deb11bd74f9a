//! Where one step of the core is two actions of the model.
//!
//! With n = 4 a weak certificate and a replica's own VIEW-CHANGE are a quorum already (f+1+1 = q). So a replica
//! that joins a later view by the join rule (§4.4), and is that view's primary, sends its NEW-VIEW in the same
//! step. The model has StartViewChange and NewView for that, with a state between them in which the code never
//! rests. The replay therefore walks the graph without these jumps, and replays each of them, wherever it is
//! enabled, as the pair that it is.

use pbft_model as model;
use stateright::Model;

/// The graph that is walked: the model's, without jumps into a view that the jumper leads at once.
#[derive(Clone, Debug)]
pub struct Walked {
    /// The model.
    pub model: model::Pbft,
}

impl Walked {
    /// Whether the action is a jump that the core takes together with its NEW-VIEW.
    pub fn is_composed(&self, state: &model::State, action: &model::Action) -> bool {
        let quorums = self.model.config().quorums();
        match *action {
            model::Action::StartViewChange { replica, to } => {
                to > state.replica(replica).view.next()
                    && self.model.primary(to) == replica
                    && quorums.weak + 1 >= quorums.quorum
            }
            model::Action::PrePrepare { .. }
            | model::Action::Prepare { .. }
            | model::Action::Commit { .. }
            | model::Action::Execute { .. }
            | model::Action::Stabilise { .. }
            | model::Action::StateTransfer { .. }
            | model::Action::NewView { .. }
            | model::Action::EnterView { .. }
            | model::Action::Flush { .. }
            | model::Action::Restart { .. } => false,
        }
    }

    /// The jumps that are enabled in `state` and not walked.
    pub fn composed(&self, state: &model::State) -> Vec<model::Action> {
        let mut actions = Vec::new();
        self.model.actions(state, &mut actions);
        actions.retain(|action| self.is_composed(state, action));
        actions
    }

    /// The state after a jump and the NEW-VIEW with VIEW-CHANGEs of `senders`, of which a Byzantine one claims
    /// nothing; or the state after the jump alone where min-s is out of reach.
    pub fn after_composed(
        &self,
        state: &model::State,
        action: &model::Action,
        senders: &[model::ReplicaId],
    ) -> Option<model::State> {
        let replica = action.replica();
        let jumped = self.model.next_state(state, *action)?;
        let view = jumped.replica(replica).view;
        let nothing = model::ViewChange::default();
        let witness = self.model.new_view_witnesses(&jumped, view).into_iter().find(|witness| {
            witness.senders == senders && witness.claims.iter().all(|(_, claim)| *claim == nothing)
        })?;
        let lead = model::Action::NewView { replica, outcome: witness.outcome };
        match self.model.is_enabled(&jumped, &lead) {
            true => self.model.next_state(&jumped, lead),
            false => Some(jumped),
        }
    }
}

impl Model for Walked {
    type State = model::State;
    type Action = model::Action;

    fn init_states(&self) -> Vec<Self::State> {
        self.model.init_states()
    }

    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>) {
        self.model.actions(state, actions);
        actions.retain(|action| !self.is_composed(state, action));
    }

    fn next_state(&self, state: &Self::State, action: Self::Action) -> Option<Self::State> {
        self.model.next_state(state, action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// f+1 = q−1 exactly for n = 4, so there and only there a jump into an own view is composed.
    #[test]
    fn jumps_are_composed_for_four_replicas_only() {
        for (replicas, composed) in [(4, true), (5, false), (6, false), (7, false)] {
            let config = format!("n{replicas}-bnone-v2-s1-d1").parse();
            let walked = Walked { model: model::Pbft::new(config.expect("a valid name")) };
            let state = model::State::initial(walked.model.config());
            let jump = |replica, to| model::Action::StartViewChange {
                replica: model::ReplicaId(replica),
                to: model::View(to),
            };
            assert_eq!(walked.is_composed(&state, &jump(2, 2)), composed, "n = {replicas}");
            assert!(!walked.is_composed(&state, &jump(1, 1)), "the next view is no jump");
            assert!(!walked.is_composed(&state, &jump(1, 2)), "another replica leads view 2");
        }
    }
}
