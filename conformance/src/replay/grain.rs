//! Where one step of the core is two actions of the model.
//!
//! With n = 4 a weak certificate and a replica's own VIEW-CHANGE are a quorum already (f+1+1 = q). So a replica
//! that joins a later view by the join rule (§4.4), and is that view's primary, sends its NEW-VIEW in the same
//! step. The model has StartViewChange and NewView for that, with a state between them in which the code never
//! rests. The replay therefore walks the graph without these jumps, and replays each of them, wherever it is
//! enabled, as the pair that it is.
//!
//! And where the core does less than the model allows. A primary that has ordered a client's second request orders the
//! first no more: the client has given it up. The
//! replay leaves these edges out too, and holds the core to declining each of them.

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

    /// Whether the action orders a request whose client has a later one ordered in the view, which the core declines.
    fn is_declined(&self, state: &model::State, action: &model::Action) -> bool {
        let model::Action::PrePrepare { replica, value, .. } = *action else { return false };
        let mut ordered = state.replica(replica).accepted.iter();
        ordered.any(|other| other.client() == value.client() && other.number() > value.number())
    }

    /// The jumps that are enabled in `state` and not walked.
    pub fn composed(&self, state: &model::State) -> Vec<model::Action> {
        self.enabled(state, |action| self.is_composed(state, action))
    }

    /// The requests that the model's primary may order in `state`, and the core's declines.
    pub fn declined(&self, state: &model::State) -> Vec<model::Action> {
        // Nobody has a later request where each client has one.
        match self.model.config().timestamps() {
            1 => Vec::new(),
            _ => self.enabled(state, |action| self.is_declined(state, action)),
        }
    }

    fn enabled(
        &self,
        state: &model::State,
        which: impl Fn(&model::Action) -> bool,
    ) -> Vec<model::Action> {
        let mut actions = Vec::new();
        self.model.actions(state, &mut actions);
        actions.retain(which);
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

/// The part of a graph that lies behind one state: where all of a configuration is too much, and what is looked for is far
/// from the start.
#[derive(Clone, Debug)]
pub struct Behind {
    /// The graph.
    pub walked: Walked,
    /// The state.
    pub state: model::State,
}

impl Behind {
    /// Where the first slot is executed everywhere, in view 0 with the first request, and nothing else was done; and the way
    /// there.
    pub fn first_slot(config: model::Config) -> (Self, Vec<model::Action>) {
        let walked = Walked { model: model::Pbft::new(config) };
        let (mut state, mut way) = (model::State::initial(&config), Vec::new());
        let is_of_it = |action: &model::Action| match *action {
            model::Action::PrePrepare { slot, value, .. }
            | model::Action::Prepare { slot, value, .. } => {
                (slot, value) == (model::Slot(1), model::Value::request(1))
            }
            model::Action::Commit { slot, .. } => slot == model::Slot(1),
            model::Action::Execute { .. } => true,
            _ => false,
        };
        let mut actions = Vec::new();
        loop {
            actions.clear();
            walked.actions(&state, &mut actions);
            let next = actions.iter().copied().find(is_of_it);
            let after = next.and_then(|action| Some((action, walked.next_state(&state, action)?)));
            let Some((action, after)) = after else { return (Self { walked, state }, way) };
            way.push(action);
            state = after;
        }
    }
}

impl Model for Behind {
    type State = model::State;
    type Action = model::Action;

    fn init_states(&self) -> Vec<Self::State> {
        vec![self.state.clone()]
    }

    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>) {
        self.walked.actions(state, actions);
    }

    fn next_state(&self, state: &Self::State, action: Self::Action) -> Option<Self::State> {
        self.walked.next_state(state, action)
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
        actions
            .retain(|action| !self.is_composed(state, action) && !self.is_declined(state, action));
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
