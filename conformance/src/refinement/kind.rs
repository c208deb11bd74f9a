//! The kinds of the model's actions: what an action is, without what it is about.

use pbft_model as model;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A kind of action. In the order of the names, as counts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ActionKind {
    /// What was accepted has prepared.
    Commit,
    /// A view is entered.
    EnterView,
    /// A batch is executed.
    Execute,
    /// What was written becomes durable.
    Flush,
    /// A view is begun by its primary.
    NewView,
    /// The primary orders.
    PrePrepare,
    /// A backup accepts.
    Prepare,
    /// A replica starts again.
    Restart,
    /// A checkpoint becomes stable.
    Stabilise,
    /// A view is left.
    StartViewChange,
    /// A state is fetched.
    StateTransfer,
}

impl ActionKind {
    /// Those that a replay takes, in the order of the protocol: a crash is between its steps, and what a replica writes is
    /// compared at each.
    pub const REPLAYED: [Self; 9] = [
        Self::PrePrepare,
        Self::Prepare,
        Self::Commit,
        Self::Execute,
        Self::Stabilise,
        Self::StateTransfer,
        Self::StartViewChange,
        Self::NewView,
        Self::EnterView,
    ];

    /// What kind an action is.
    pub const fn of(action: &model::Action) -> Self {
        match action {
            model::Action::PrePrepare { .. } => Self::PrePrepare,
            model::Action::Prepare { .. } => Self::Prepare,
            model::Action::Commit { .. } => Self::Commit,
            model::Action::Execute { .. } => Self::Execute,
            model::Action::Stabilise { .. } => Self::Stabilise,
            model::Action::StateTransfer { .. } => Self::StateTransfer,
            model::Action::StartViewChange { .. } => Self::StartViewChange,
            model::Action::NewView { .. } => Self::NewView,
            model::Action::EnterView { .. } => Self::EnterView,
            model::Action::Flush { .. } => Self::Flush,
            model::Action::Restart { .. } => Self::Restart,
        }
    }

    /// Those that a recorded step can be, in the order of the protocol: what is written there is durable at once.
    pub fn recorded() -> impl Iterator<Item = Self> {
        Self::REPLAYED.into_iter().chain([Self::Restart])
    }

    /// Its name with hyphens, as the report of a recorded run has it.
    pub fn hyphenated(self) -> String {
        let mut words = String::new();
        for letter in self.to_string().chars() {
            if letter.is_uppercase() && !words.is_empty() {
                words.push('-');
            }
            words.extend(letter.to_lowercase());
        }
        words
    }
}

/// The same as [`model::Action::name`].
impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
