//! The model in a browser: Stateright's Explorer behind a page of our own.
//!
//! Stateright's Explorer serves the states that follow a path (`/.states/0/3/1`), and a page that shows them. The states are what
//! we want. The page falls short in ways that mislead: the ticks beside its properties come from a search in the background
//! and not from the state in view, so that it can say "safety holds" on a violating state; it always opens at the start;
//! and it cannot show a path as a whole. It has no hook for any of that. So in one process
//!
//! * Stateright's Explorer serves the states, on a loopback port that nobody else needs to know (`backend`);
//! * a front serves our page, passes `/.states` and `/.status` on, and adds two answers (`front`): `/.about`, what is
//!   explored and where to open; and `/.view/0/3/1`, the path in view: its steps, the properties evaluated on its last state,
//!   the diagram of [`crate::svg`], and its mirror images (`mirror`).
//!
//! Links keep Stateright's form: `#/steps/0/3/1` is the initial state 0, its action 3, and action 1 of the state after it.
//!
//! The model is explored without reductions, since a canonical state may carry other names than the one before it. Nothing is
//! fetched from elsewhere: the page is part of the program. Stateright is told of no properties here, so that it starts no search
//! and no tick of it can appear; each step carries the verdict on the state that it leads to.

mod backend;
mod error;
mod front;
mod mirror;
mod opening;
mod view;

use serde::Serialize;
use stateright::Model;

pub use error::ExploreError;
pub use front::Explorer;
pub use mirror::{Mirror, mirrors};
pub use opening::{Opening, What};

use crate::trace;
use pbft_model::action::Action;
use pbft_model::state::State;
use pbft_model::{Pbft, properties, witnesses};

/// The model as Stateright's Explorer serves it.
#[derive(Clone, Debug)]
pub struct Explorable {
    model: Pbft,
}

/// What the page says of a step that may be taken.
#[derive(Debug, Serialize)]
struct Outcome {
    replica: u8,
    changes: Vec<String>,
    violated: Vec<&'static str>,
    shows: Vec<&'static str>,
}

impl Explorable {
    /// Shows the plain model, whatever reductions are on.
    #[must_use]
    pub fn new(model: Pbft) -> Self {
        Self { model: model.with_reductions(pbft_model::Reductions::NONE) }
    }
}

impl Model for Explorable {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        self.model.init_states()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.model.actions(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.model.next_state(state, action)
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }

    /// What the step changes, and what the state that it leads to violates and shows, as JSON for the page.
    fn format_step(&self, state: &State, action: Action) -> Option<String> {
        let next = self.model.next_state(state, action)?;
        let outcome = Outcome {
            replica: action.replica().0,
            changes: trace::diff(&self.model, state, &next),
            violated: properties::violated(&self.model, &next),
            shows: witnesses::shown(&self.model, &next),
        };
        serde_json::to_string(&outcome).ok()
    }
}
