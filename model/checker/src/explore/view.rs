//! What the page shows of a path.

use serde::Serialize;
use stateright::Model;

use super::mirror::mirrors;
use super::opening::{Opening, fragment};
use crate::mutant_record::{active, row};
use crate::{svg, trace};
use pbft_model::Pbft;
use pbft_model::action::Action;
use pbft_model::ids::{ReplicaId, View};
use pbft_model::properties::{self, PROPERTIES};
use pbft_model::state::State;
use pbft_model::witnesses::WITNESSES;

/// What is explored, and where to open it.
#[derive(Debug, Serialize)]
pub(super) struct About {
    config: String,
    mutant: Option<String>,
    /// The rule that the mutant breaks.
    rule: Option<String>,
    /// What is different in the rules.
    diff: Option<String>,
    /// What the page opens at, in a word or two.
    opens_at: &'static str,
    fragment: String,
    replicas: Vec<Replica>,
}

#[derive(Debug, Serialize)]
struct Replica {
    name: String,
    role: String,
    byzantine: bool,
}

impl About {
    pub(super) fn of(opening: &Opening) -> Self {
        let model = &opening.model;
        let mutant = active();
        let row = mutant.and_then(|name| row(name).ok().flatten());
        let (rule, diff) = row.map(|row| (row.rule, row.diff)).unzip();
        Self {
            config: model.config().to_string(),
            mutant: mutant.map(str::to_owned),
            rule,
            diff,
            opens_at: opening.what.name(),
            fragment: opening.fragment(),
            replicas: (0..model.config().replicas()).map(|id| replica(model, id)).collect(),
        }
    }
}

fn replica(model: &Pbft, id: u8) -> Replica {
    let id = ReplicaId(id);
    let led = (0..=model.config().max_view().0).filter(|view| model.primary(View(*view)) == id);
    let led: Vec<_> = led.map(|view| view.to_string()).collect();
    let role = match led.as_slice() {
        [] => "backup".to_owned(),
        [one] => format!("primary of view {one}"),
        _ => format!("primary of views {}", led.join(", ")),
    };
    Replica { name: id.to_string(), role, byzantine: model.is_byzantine(id) }
}

/// A path and the state that it leads to.
#[derive(Debug, Serialize)]
pub(super) struct PathView {
    steps: Vec<StepView>,
    /// What the last step changed.
    changes: Vec<String>,
    properties: Vec<Statement>,
    witnesses: Vec<Statement>,
    mirrors: Vec<Image>,
    svg: String,
}

#[derive(Debug, Serialize)]
struct StepView {
    action: String,
    /// What the state after it violates.
    violated: Vec<&'static str>,
}

/// A property or a witness, evaluated on the last state.
#[derive(Debug, Serialize)]
struct Statement {
    name: &'static str,
    statement: &'static str,
    holds: bool,
}

#[derive(Debug, Serialize)]
struct Image {
    exchanged: String,
    fragment: String,
}

impl PathView {
    /// The path with these indices: of the initial state, then of each action among those enabled. None if there is no such path.
    pub(super) fn at(model: &Pbft, indices: &[usize]) -> Option<Self> {
        let (initial, rest) = indices.split_first()?;
        let mut state = model.init_states().into_iter().nth(*initial)?;
        let mut view = Self {
            steps: Vec::new(),
            changes: Vec::new(),
            properties: Vec::new(),
            witnesses: Vec::new(),
            mirrors: Vec::new(),
            svg: String::new(),
        };
        let mut actions = Vec::new();
        for index in rest {
            let action = nth_action(model, &state, *index)?;
            let next = model.next_state(&state, action)?;
            view.changes = trace::diff(model, &state, &next);
            let violated = properties::violated(model, &next);
            view.steps.push(StepView { action: action.to_string(), violated });
            actions.push(action);
            state = next;
        }
        view.properties = PROPERTIES
            .iter()
            .map(|one| Statement {
                name: one.name,
                statement: one.statement,
                holds: (one.holds)(model, &state),
            })
            .collect();
        view.witnesses = WITNESSES
            .iter()
            .filter(|one| (one.applicable)(model.config()))
            .map(|one| Statement {
                name: one.name,
                statement: one.statement,
                holds: (one.shown)(model, &state),
            })
            .collect();
        let images = mirrors(model, &actions).into_iter();
        let image = |actions: &[Action]| fragment(model, actions);
        view.mirrors = images
            .map(|one| Image { fragment: image(&one.actions), exchanged: one.exchanged })
            .collect();
        view.svg = svg::swim_lanes(model, &actions);
        Some(view)
    }
}

fn nth_action(model: &Pbft, state: &State, index: usize) -> Option<Action> {
    let mut enabled = Vec::new();
    model.actions(state, &mut enabled);
    enabled.get(index).copied()
}
