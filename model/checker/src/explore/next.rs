//! What can happen in a state, and what cannot.

use serde::Serialize;
use stateright::Model;

use super::blocked::{Blocked, blocked};
use crate::trace;
use pbft_model::action::Action;
use pbft_model::state::State;
use pbft_model::{Pbft, properties};

/// The steps that may be taken, and those that may not.
#[derive(Debug, Serialize)]
pub(super) struct Next {
    actions: Vec<Step>,
    blocked: Vec<Blocked>,
}

/// A step that may be taken, with what comes of it.
#[derive(Debug, Serialize)]
struct Step {
    replica: u8,
    action: String,
    detail: String,
    changes: Vec<String>,
    violated: Vec<&'static str>,
}

impl Next {
    /// Of a state. A step's place in the list is its index in links.
    pub(super) fn of(model: &Pbft, state: &State) -> Self {
        let mut enabled = Vec::new();
        model.actions(state, &mut enabled);
        let step = |action: &Action| {
            let next = model.stepped(state, *action);
            Step {
                replica: action.replica().0,
                action: action.to_string(),
                detail: detail(model, state, action),
                changes: trace::diff(model, state, &next),
                violated: properties::violated(model, &next),
            }
        };
        Self {
            actions: enabled.iter().map(step).collect(),
            blocked: blocked(model, state, &enabled),
        }
    }
}

/// What a step is about that its label does not say: the view, and the value where another step named it.
pub(super) fn detail(model: &Pbft, before: &State, action: &Action) -> String {
    let one = before.replica(action.replica());
    match action {
        Action::PrePrepare { .. } | Action::Prepare { .. } | Action::NewView { .. } => {
            one.view.to_string()
        }
        Action::Commit { slot, .. } => format!("{}, {}", one.accepted[slot.index()], one.view),
        Action::Execute { .. } => one.last_executed.next().to_string(),
        Action::StartViewChange { to, .. } => {
            let after = model.stepped(before, *action);
            let sent = after.replica(action.replica()).sent.view_changes[to.index()];
            sent.map_or(String::new(), |sent| sent.to_string())
        }
        Action::Stabilise { .. }
        | Action::StateTransfer { .. }
        | Action::EnterView { .. }
        | Action::Flush { .. }
        | Action::Restart { .. } => String::new(),
    }
}
