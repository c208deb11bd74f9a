//! What a validated run has exercised.

use serde::Serialize;
use std::collections::BTreeMap;

/// The model's actions that a recorded step can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The primary orders.
    PrePrepare,
    /// A backup accepts.
    Prepare,
    /// What was accepted has prepared.
    Commit,
    /// A batch is executed.
    Execute,
    /// A checkpoint becomes stable.
    Stabilise,
    /// A state is fetched.
    StateTransfer,
    /// A view is left.
    StartViewChange,
    /// A view is begun by its primary.
    NewView,
    /// A view is entered.
    EnterView,
    /// A replica starts again.
    Restart,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::PrePrepare,
        Self::Prepare,
        Self::Commit,
        Self::Execute,
        Self::Stabilise,
        Self::StateTransfer,
        Self::StartViewChange,
        Self::NewView,
        Self::EnterView,
        Self::Restart,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PrePrepare => "pre-prepare",
            Self::Prepare => "prepare",
            Self::Commit => "commit",
            Self::Execute => "execute",
            Self::Stabilise => "stabilise",
            Self::StateTransfer => "state-transfer",
            Self::StartViewChange => "start-view-change",
            Self::NewView => "new-view",
            Self::EnterView => "enter-view",
            Self::Restart => "restart",
        }
    }
}

/// Where a replica is when it acts: in the first view, between views, or in a later view.
pub const PHASES: [&str; 3] = ["first view", "between views", "later view"];

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// How often each action was taken in each of [`PHASES`].
    pub actions: BTreeMap<Action, [u64; 3]>,
    /// How often an input was refused, by kind.
    pub rejections: BTreeMap<String, u64>,
    /// The highest number executed.
    pub executed: u64,
    /// Requests applied.
    pub applied: u64,
    /// Requests ordered again that were answered before.
    pub skipped: u64,
    /// The highest view in which somebody acted.
    pub view: u64,
}

impl Coverage {
    pub(super) fn acted(&mut self, action: Action, view: u64, active: bool) {
        let phase = match (active, view) {
            (false, _) => 1,
            (true, 0) => 0,
            (true, _) => 2,
        };
        self.actions.entry(action).or_default()[phase] += 1;
        self.view = self.view.max(view);
    }

    pub(super) fn rejected(&mut self, kind: &str) {
        // Kinds are a few dozen; a hostile file does not get to fill the memory with others.
        let room = self.rejections.len() < 256;
        match self.rejections.get_mut(kind) {
            Some(count) => *count += 1,
            None if room => drop(self.rejections.insert(kind.to_owned(), 1)),
            None => {}
        }
    }

    pub(super) fn executed(&mut self, seq: u64, applied: usize, of: usize) {
        self.executed = self.executed.max(seq);
        self.applied += applied as u64;
        self.skipped += (of - applied) as u64;
    }

    /// How often an action was taken.
    pub fn of(&self, action: Action) -> u64 {
        self.actions.get(&action).into_iter().flatten().sum()
    }
}
