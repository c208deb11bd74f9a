//! What the page shows of a path.

use serde::Serialize;
use stateright::Model;

use super::export::Form;
use super::mirror::mirrors;
use super::next::detail;
use super::opening::{Opening, fragment};
use super::panel::Panel;
use crate::mutant_record::{active, row};
use crate::{svg, trace};
use pbft_model::action::Action;
use pbft_model::ids::{ReplicaId, View};
use pbft_model::properties::PROPERTIES;
use pbft_model::state::State;
use pbft_model::witnesses::{self, WITNESSES};
use pbft_model::{Pbft, properties};

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
    properties: Vec<Statement>,
    witnesses: Vec<Statement>,
    /// The forms in which a path can be had.
    forms: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct Replica {
    name: String,
    role: String,
    byzantine: bool,
}

/// What a property demands, or a witness shows.
#[derive(Debug, Serialize)]
struct Statement {
    name: &'static str,
    statement: &'static str,
}

impl About {
    pub(super) fn of(opening: &Opening) -> Self {
        let model = &opening.model;
        let mutant = active();
        let row = mutant.and_then(|name| row(name).ok().flatten());
        let (rule, diff) = row.map(|row| (row.rule, row.diff)).unzip();
        let shown = WITNESSES.iter().filter(|one| (one.applicable)(model.config()));
        Self {
            config: model.config().to_string(),
            mutant: mutant.map(str::to_owned),
            rule,
            diff,
            opens_at: opening.what.name(),
            fragment: opening.fragment(),
            replicas: (0..model.config().replicas()).map(|id| replica(model, id)).collect(),
            properties: PROPERTIES
                .iter()
                .map(|one| Statement { name: one.name, statement: one.statement })
                .collect(),
            witnesses: shown
                .map(|one| Statement { name: one.name, statement: one.statement })
                .collect(),
            forms: Form::ALL.map(Form::name).to_vec(),
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

/// A path, with everything about each of its states.
#[derive(Debug, Serialize)]
pub(super) struct PathView {
    /// The initial state, and the state after each step.
    frames: Vec<Frame>,
    mirrors: Vec<Image>,
    svg: String,
}

/// A state, and the step that led to it.
#[derive(Debug, Serialize)]
struct Frame {
    action: String,
    detail: String,
    /// What the step changed.
    changes: Vec<String>,
    /// What the state violates.
    violated: Vec<&'static str>,
    /// The witnesses that it shows.
    shows: Vec<&'static str>,
    panel: Panel,
}

#[derive(Debug, Serialize)]
struct Image {
    exchanged: String,
    fragment: String,
}

impl Frame {
    fn initial(model: &Pbft, state: &State) -> Self {
        Self {
            action: "initial state".to_owned(),
            detail: String::new(),
            changes: Vec::new(),
            violated: properties::violated(model, state),
            shows: witnesses::shown(model, state),
            panel: Panel::of(model, None, state),
        }
    }

    fn after(model: &Pbft, before: &State, action: &Action, state: &State) -> Self {
        Self {
            action: action.to_string(),
            detail: detail(model, before, action),
            changes: trace::diff(model, before, state),
            panel: Panel::of(model, Some(before), state),
            ..Self::initial(model, state)
        }
    }
}

impl PathView {
    /// A path whose steps are enabled.
    pub(super) fn of(model: &Pbft, actions: &[Action]) -> Self {
        let mut state = State::initial(model.config());
        let mut frames = vec![Frame::initial(model, &state)];
        for action in actions {
            let next = model.stepped(&state, *action);
            frames.push(Frame::after(model, &state, action, &next));
            state = next;
        }
        let image = |actions: &[Action]| fragment(model, actions);
        let images = mirrors(model, actions).into_iter();
        let mirrors = images
            .map(|one| Image { fragment: image(&one.actions), exchanged: one.exchanged })
            .collect();
        Self { frames, mirrors, svg: svg::walk(model, actions) }
    }
}

/// The steps with these indices, and the state that they lead to: the index of the initial state, then of each action among
/// those enabled. None if there is no such path.
pub(super) fn path(model: &Pbft, indices: &[usize]) -> Option<(Vec<Action>, State)> {
    let (initial, rest) = indices.split_first()?;
    let mut state = model.init_states().into_iter().nth(*initial)?;
    let mut actions = Vec::new();
    for index in rest {
        let mut enabled = Vec::new();
        model.actions(&state, &mut enabled);
        let action = *enabled.get(*index)?;
        state = model.next_state(&state, action)?;
        actions.push(action);
    }
    Some((actions, state))
}
