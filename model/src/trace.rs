//! A path through the model, as text: numbered steps with what each changes.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use stateright::Model;

use crate::action::Action;
use crate::ids::{MAX_SLOTS, MAX_VIEWS, ReplicaId, Slot, View};
use crate::mutant::Mutant;
use crate::properties;
use crate::reduction::Reductions;
use crate::state::{ReplicaState, State, ViewChange};
use crate::value::ValueSet;
use crate::{Config, ConfigError, Pbft};

/// A path from the initial state, in the original names of replicas and requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// Name of the configuration.
    pub config: String,
    /// The bug that was planted, if any.
    pub mutant: Option<Mutant>,
    /// What its last state violates, or shows.
    pub shows: Vec<String>,
    /// The steps.
    pub actions: Vec<Action>,
}

impl Trace {
    /// A path that a search found, translated back from canonical states if the search reduced them.
    #[must_use]
    pub fn new(model: &Pbft, path: &[Action]) -> Self {
        let actions = concrete(model, path);
        let plain = model.clone().with_reductions(Reductions::NONE);
        let last = run(&plain, &actions);
        let violated = properties::violated(&plain, &last);
        Self {
            config: model.config().to_string(),
            mutant: model.mutant(),
            shows: violated.into_iter().map(str::to_owned).collect(),
            actions,
        }
    }

    /// The model that the path belongs to.
    pub fn model(&self) -> Result<Pbft, ConfigError> {
        let config: Config = self.config.parse()?;
        Ok(Pbft::new(config).with_mutant(self.mutant))
    }

    /// Numbered steps with what each changes.
    #[must_use]
    pub fn render(&self, model: &Pbft) -> String {
        let model = model.clone().with_reductions(Reductions::NONE);
        let mut text = String::new();
        let mut state = State::initial(model.config().replicas());
        for (step, action) in self.actions.iter().enumerate() {
            let _ = writeln!(text, "{:>3}. {action}", step + 1);
            let Some(next) = model.next_state(&state, *action) else { break };
            for line in diff(&model, &state, &next) {
                let _ = writeln!(text, "       {line}");
            }
            state = next;
        }
        text
    }

    /// The first step that is not enabled where it is taken, if there is one.
    #[must_use]
    pub fn first_disabled(&self, model: &Pbft) -> Option<usize> {
        let model = model.clone().with_reductions(Reductions::NONE);
        let mut state = State::initial(model.config().replicas());
        for (step, action) in self.actions.iter().enumerate() {
            if !model.is_enabled(&state, action) {
                return Some(step);
            }
            state = model.next_state(&state, *action)?;
        }
        None
    }

    /// Where the Explorer shows the path: the index of each action among those enabled.
    #[must_use]
    pub fn explorer_fragment(&self, model: &Pbft) -> String {
        let model = model.clone().with_reductions(Reductions::NONE);
        let mut fragment = String::from("#/steps/0");
        let mut state = State::initial(model.config().replicas());
        for action in &self.actions {
            let mut enabled = Vec::new();
            model.actions(&state, &mut enabled);
            let index = enabled.iter().position(|one| one == action);
            let (Some(index), Some(next)) = (index, model.next_state(&state, *action)) else {
                break;
            };
            let _ = write!(fragment, "/{index}");
            state = next;
        }
        fragment
    }
}

/// The state at the end of a path.
fn run(model: &Pbft, actions: &[Action]) -> State {
    actions.iter().fold(State::initial(model.config().replicas()), |state, action| {
        model.next_state(&state, *action).unwrap_or(state)
    })
}

/// The steps of the plain model that a path of the reduced model stands for. A canonical state is a renaming of
/// the plain one, so a step of either has a counterpart in the other, which ends in a renaming of the same state.
fn concrete(model: &Pbft, path: &[Action]) -> Vec<Action> {
    if model.reductions() == Reductions::NONE {
        return path.to_vec();
    }
    let plain = model.clone().with_reductions(Reductions::NONE);
    let mut canonical = State::initial(model.config().replicas());
    let mut state = canonical.clone();
    let mut actions = Vec::new();
    for step in path {
        let Some(target) = model.next_state(&canonical, *step) else { break };
        let least = model.least_renaming(&target);
        let counterpart = plain
            .next_steps(&state)
            .into_iter()
            .find(|(_, next)| model.least_renaming(&model.canonical(next.clone())) == least);
        let Some((action, next)) = counterpart else { break };
        actions.push(action);
        (canonical, state) = (target, next);
    }
    actions
}

/// What changed between two states, one line each.
#[must_use]
pub fn diff(model: &Pbft, before: &State, after: &State) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, (old, new)) in before.replicas.iter().zip(&after.replicas).enumerate() {
        let id = ReplicaId(index as u8);
        let mut add = |line: String| lines.push(format!("{id}: {line}"));
        local_diff(old, new, &mut add);
        sent_diff(model, id, old, new, &mut add);
    }
    lines
}

fn local_diff(old: &ReplicaState, new: &ReplicaState, add: &mut impl FnMut(String)) {
    if old.view != new.view || old.active != new.active {
        let status = |one: &ReplicaState| if one.active { "active" } else { "changing" };
        add(format!("{} {} → {} {}", old.view, status(old), new.view, status(new)));
    }
    if old.low_water_mark != new.low_water_mark {
        add(format!("h {} → {}", old.low_water_mark.0, new.low_water_mark.0));
    }
    if old.last_executed != new.last_executed {
        add(format!(
            "last executed {} → {}, service {}",
            old.last_executed.0, new.last_executed.0, new.applied
        ));
    }
    for slot in (0..MAX_SLOTS).map(Slot::at) {
        let index = slot.index();
        if old.accepted[index] != new.accepted[index] {
            add(format!("accepted {slot}: {} → {}", old.accepted[index], new.accepted[index]));
        }
        if old.executed[index] != new.executed[index] {
            add(format!("executed {slot}: {}", new.executed[index]));
        }
        if old.certificates[index] != new.certificates[index] {
            match new.certificates[index] {
                Some(held) => add(format!("prepared {slot}: {} in {}", held.value, held.view)),
                None => add(format!("certificate for {slot} gone")),
            }
        }
    }
}

fn sent_diff(
    model: &Pbft,
    id: ReplicaId,
    old: &ReplicaState,
    new: &ReplicaState,
    add: &mut impl FnMut(String),
) {
    let added = |old: ValueSet, new: ValueSet| ValueSet(new.0 & !old.0);
    let (old, new) = (&old.sent, &new.sent);
    for view in (0..MAX_VIEWS).map(|view| View(view as u8)) {
        let at = view.index();
        if let (None, Some(sent)) = (&old.view_changes[at], &new.view_changes[at]) {
            add(format!("sends VIEW-CHANGE({view}, {sent})"));
        }
        if let (None, Some(sent)) = (&old.new_views[at], &new.new_views[at]) {
            add(format!("sends NEW-VIEW({view}, {sent})"));
        }
        let vote = if model.primary(view) == id { "PRE-PREPARE" } else { "PREPARE" };
        for slot in (0..MAX_SLOTS).map(Slot::at) {
            let index = slot.index();
            for value in added(old.prepares[at][index], new.prepares[at][index]).iter() {
                add(format!("sends {vote}({view}, {slot}, {value})"));
            }
            for value in added(old.commits[at][index], new.commits[at][index]).iter() {
                add(format!("sends COMMIT({view}, {slot}, {value})"));
            }
        }
    }
    for slot in (0..MAX_SLOTS).map(Slot::at) {
        if let (None, Some(sent)) = (old.checkpoints[slot.index()], new.checkpoints[slot.index()]) {
            add(format!("sends CHECKPOINT({slot}, {})", sent.applied));
        }
    }
}

impl std::fmt::Display for ViewChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "h={}, P=[", self.low_water_mark.0)?;
        let mut first = true;
        for (index, certificate) in self.prepared.iter().enumerate() {
            let Some(certificate) = certificate else { continue };
            let space = if first { "" } else { " " };
            write!(f, "{space}{}:{}@{}", index + 1, certificate.value, certificate.view.0)?;
            first = false;
        }
        write!(f, "]")
    }
}
