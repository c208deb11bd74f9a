//! What a validated run has exercised.

use crate::refinement::kind::ActionKind;
use crate::subject::tally::{Kind, Phase, Role};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// A kind of step: what was done, where, by whom, and on which message or event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepKind {
    /// The action.
    pub action: ActionKind,
    /// Where the replica was before.
    pub phase: Phase,
    /// What it was there.
    pub role: Role,
    /// The message or event.
    pub on: &'static str,
}

impl StepKind {
    /// The same in the words of the replay.
    pub fn to_kind(self) -> Kind {
        let Self { action, phase, role, on } = self;
        Kind { action, phase, role, on: on.to_owned() }
    }
}

fn in_order_of_the_protocol<S: Serializer>(
    actions: &BTreeMap<ActionKind, [u64; 3]>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let taken = ActionKind::recorded().filter_map(|kind| Some((kind, actions.get(&kind)?)));
    serializer.collect_map(taken.map(|(kind, counts)| (kind.hyphenated(), counts)))
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// How often each action was taken in each of [`Phase::ALL`].
    #[serde(serialize_with = "in_order_of_the_protocol")]
    pub actions: BTreeMap<ActionKind, [u64; 3]>,
    /// How often a step of each kind was taken.
    #[serde(skip)]
    pub kinds: BTreeMap<StepKind, u64>,
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
    pub(super) fn acted(
        &mut self,
        action: ActionKind,
        (view, active): (u64, bool),
        role: Role,
        on: &'static str,
    ) {
        let phase = Phase::of(view, active);
        self.actions.entry(action).or_default()[phase as usize] += 1;
        // A restart is no step of the replay, which crashes replicas between steps.
        if action != ActionKind::Restart {
            *self.kinds.entry(StepKind { action, phase, role, on }).or_default() += 1;
        }
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
    pub fn of(&self, action: ActionKind) -> u64 {
        self.actions.get(&action).into_iter().flatten().sum()
    }
}
