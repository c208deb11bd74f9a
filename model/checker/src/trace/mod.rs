//! A path through the model: written down, read back and checked, compared, shortened.
//!
//! In a file a path is ITF JSON ([`itf`]): every state in words, so that it can be read without this program and checked
//! by it. [`read`] takes files from anywhere: nothing of a file is believed that the model does not compute itself.

pub mod changes;
pub mod compare;
pub mod itf;
pub mod mermaid;
pub mod read;
mod readable;
pub mod shrink;
pub mod test_source;

use std::fmt::Write;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use stateright::Model;
use thiserror::Error;

pub use self::changes::diff;
pub use self::read::TraceError;
use crate::explore::{self, Opening};
use crate::mutant_record::active;
use crate::run::RunDir;
use crate::{output, svg};
use pbft_model::action::Action;
use pbft_model::reduction::Reductions;
use pbft_model::state::State;
use pbft_model::{Config, ConfigError, Pbft, properties};

/// A path from the initial state, in the original names of replicas and requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// Name of the configuration.
    pub config: String,
    /// The mutant that was on, if any. Only where it is on can the path be followed.
    pub mutant: Option<String>,
    /// What its last state violates, or shows.
    pub shows: Vec<String>,
    /// The steps.
    pub actions: Vec<Action>,
}

/// A step that the model does not allow where a path takes it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("step {step}, `{action}`, is not enabled there")]
pub struct NotEnabled {
    /// Number of the step, from 1.
    pub step: usize,
    /// What it was.
    pub action: String,
}

/// The state at the end of a path, if every step of it is enabled.
pub(crate) fn end(model: &Pbft, actions: &[Action]) -> Option<State> {
    let mut state = State::initial(model.config());
    for action in actions {
        if !model.is_enabled(&state, action) {
            return None;
        }
        state = model.next_state(&state, *action)?;
    }
    Some(state)
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
            mutant: active().map(str::to_owned),
            shows: violated.into_iter().map(str::to_owned).collect(),
            actions,
        }
    }

    /// The model that the path belongs to.
    pub fn model(&self) -> Result<Pbft, ConfigError> {
        let config: Config = self.config.parse()?;
        Ok(Pbft::new(config))
    }

    /// The states along the path, the initial one first; an error at the first step that is not enabled.
    pub fn states(&self, model: &Pbft) -> Result<Vec<State>, NotEnabled> {
        let model = model.clone().with_reductions(Reductions::NONE);
        let mut state = State::initial(model.config());
        let mut states = vec![state.clone()];
        for (index, action) in self.actions.iter().enumerate() {
            let enabled = model.is_enabled(&state, action);
            let next = enabled.then(|| model.next_state(&state, *action)).flatten();
            state = next.ok_or_else(|| {
                // Not its label: a step from a file may name slots that do not exist.
                let action = format!("{} {}", action.replica(), action.name());
                NotEnabled { step: index + 1, action }
            })?;
            states.push(state.clone());
        }
        Ok(states)
    }

    /// What the path is, in a line.
    #[must_use]
    pub fn headline(&self) -> String {
        let mutant = self.mutant.as_ref();
        let mutant = mutant.map_or(String::new(), |mutant| format!(" --mutant {mutant}"));
        let shows = if self.shows.is_empty() { "nothing" } else { &self.shows.join(", ") };
        let steps = self.actions.len();
        format!("{}{mutant}: {steps} steps to a state that violates {shows}", self.config)
    }

    /// Numbered steps with what each changes.
    #[must_use]
    pub fn render(&self, model: &Pbft) -> String {
        let model = model.clone().with_reductions(Reductions::NONE);
        let mut text = String::new();
        let mut state = State::initial(model.config());
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
        self.states(model).err().map(|refused| refused.step - 1)
    }

    /// Where the Explorer shows the path: the index of each action among those enabled.
    #[must_use]
    pub fn explorer_fragment(&self, model: &Pbft) -> String {
        let model = model.clone().with_reductions(Reductions::NONE);
        let mut fragment = String::from("#/steps/0");
        let mut state = State::initial(model.config());
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

/// The state at the end of a path whose steps are given by their labels, as [`Action`] displays them.
pub fn follow(model: &Pbft, labels: &[&str]) -> Result<State, NotEnabled> {
    let model = model.clone().with_reductions(Reductions::NONE);
    let mut state = State::initial(model.config());
    for (index, label) in labels.iter().enumerate() {
        let mut enabled = Vec::new();
        model.actions(&state, &mut enabled);
        let action = enabled.into_iter().find(|action| action.to_string() == *label);
        let next = action.and_then(|action| model.next_state(&state, action));
        state = next.ok_or_else(|| NotEnabled { step: index + 1, action: (*label).to_owned() })?;
    }
    Ok(state)
}

/// A trace as the files of a run directory have it. Of a mutant's trace another process may make them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// As ITF JSON.
    pub itf: String,
    /// As text.
    pub text: String,
    /// As a picture.
    pub svg: String,
}

impl Written {
    /// Writes a trace. An error if it has a step that is not enabled, or an unknown configuration.
    pub fn of(trace: &Trace) -> Result<Self, TraceError> {
        let model = trace.model()?;
        let text = output::trace_text(trace, &model);
        Ok(Self { itf: itf::write(trace)?, text, svg: svg::swim_lanes(&model, &trace.actions) })
    }

    /// Writes the files, and returns where the first of them is.
    pub fn keep(&self, directory: &RunDir, name: &str) -> io::Result<PathBuf> {
        let file = directory.write(&format!("{name}.trace.itf.json"), &self.itf)?;
        directory.write(&format!("{name}.trace.txt"), &self.text)?;
        directory.write(&format!("{name}.trace.svg"), &self.svg)?;
        Ok(file)
    }
}

/// The longest path of which a run directory gets a page: it says of every state what can follow.
const PAGE_STEPS_MAX: usize = 100;

/// Writes a trace into a run directory as ITF JSON, as text, as a picture and as the Explorer's page, and returns where the first
/// of them is.
pub fn write_trace(directory: &RunDir, name: &str, trace: &Trace) -> io::Result<PathBuf> {
    if trace.actions.len() <= PAGE_STEPS_MAX {
        let model = trace.model().map_err(io::Error::other)?;
        let opening = Opening::at_trace(&model, trace).map_err(io::Error::other)?;
        let page = explore::page(&opening).map_err(io::Error::other)?;
        directory.write(&format!("{name}.trace.html"), &page)?;
    }
    Written::of(trace).map_err(io::Error::other)?.keep(directory, name)
}

/// The state at the end of a path.
fn run(model: &Pbft, actions: &[Action]) -> State {
    actions.iter().fold(State::initial(model.config()), |state, action| {
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
    let mut canonical = State::initial(model.config());
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
