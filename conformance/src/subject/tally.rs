//! What replicas were seen to do during a replay, in numbers.

use crate::refinement::action::Delivery;
use crate::refinement::kind::ActionKind;
use crate::subject::Observation;
use pbft_core::RejectionKind;
use pbft_core::{Rejection, Timer};
use pbft_model as model;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a replica is when it acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It takes part in view 0.
    FirstView,
    /// It has left a view and not entered the next.
    BetweenViews,
    /// It takes part in a later view.
    LaterView,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::FirstView, Self::BetweenViews, Self::LaterView];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FirstView => "first view",
            Self::BetweenViews => "between views",
            Self::LaterView => "later view",
        }
    }

    /// The phase of a replica in `view`.
    pub const fn of(view: u64, active: bool) -> Self {
        match (active, view) {
            (false, _) => Self::BetweenViews,
            (true, 0) => Self::FirstView,
            (true, _) => Self::LaterView,
        }
    }
}

/// What a replica is in its view, or in the one that it changes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Its primary.
    Primary,
    /// Another replica.
    Backup,
}

impl Role {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Backup => "backup",
        }
    }
}

/// A kind of step: what is done, where, by whom, and on which message or event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Kind {
    /// The model's action.
    pub action: ActionKind,
    /// Where the replica was before.
    pub phase: Phase,
    /// What it was there.
    pub role: Role,
    /// The message that it acted on, as [`pbft_core::message::Message::kind`] names it; or the event.
    pub on: String,
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Steps of the model, by action, phase, role and trigger.
    steps: BTreeMap<(ActionKind, Phase, Role, &'static str), u64>,
    rejections: BTreeMap<RejectionKind, u64>,
    effects: BTreeMap<&'static str, u64>,
}

/// The event that a delivery is, by name.
pub fn trigger(delivery: &Delivery) -> &'static str {
    match delivery {
        Delivery::Client(message) | Delivery::Message { message, .. } => message.kind(),
        Delivery::Timer(Timer::ViewChange) => "view-timer",
        Delivery::Timer(Timer::Status) => "status-timer",
        Delivery::Timer(Timer::Batch) => "batch-timer",
        Delivery::Suspect => "suspicion",
    }
}

impl Tally {
    /// A step of the model that a replica took from `before` on, at `delivery`.
    pub fn step(
        &mut self,
        pbft: &model::Pbft,
        before: &model::State,
        action: &model::Action,
        delivery: &Delivery,
    ) {
        let replica = before.replica(action.replica());
        let phase = Phase::of(u64::from(replica.view.0), replica.active);
        let leads = pbft.primary(replica.view) == action.replica();
        let role = if leads { Role::Primary } else { Role::Backup };
        // What is due is found out at a tick; what makes it a step is the state that arrives then.
        let on = match action {
            model::Action::StateTransfer { .. } => "state-data",
            _ => trigger(delivery),
        };
        *self.steps.entry((ActionKind::of(action), phase, role, on)).or_default() += 1;
    }

    /// What a delivery came to.
    pub fn outcome(&mut self, outcome: &Result<Observation, Rejection>) {
        match outcome {
            Err(rejection) => self.rejected(rejection.kind()),
            Ok(seen) => self.observed(seen),
        }
    }

    /// An input was refused.
    pub fn rejected(&mut self, kind: RejectionKind) {
        *self.rejections.entry(kind).or_default() += 1;
    }

    fn observed(&mut self, seen: &Observation) {
        let mut count = |name, times: usize| {
            if times > 0 {
                *self.effects.entry(name).or_default() += times as u64;
            }
        };
        count("persist", seen.records);
        count("execute", seen.executed.len());
        count("reply", seen.replies.len());
        count("store", seen.stored);
        count("install", usize::from(seen.installed.is_some()));
        count("set-timer", seen.timers_set);
        count("cancel-timer", seen.timers_cancelled);
        count("halt", usize::from(seen.halted.is_some()));
        seen.broadcasts.iter().for_each(|message| count(message.kind(), 1));
        seen.sends.iter().for_each(|(_, message)| count(message.kind(), 1));
    }

    /// Adds another replay's.
    pub fn add(&mut self, other: &Self) {
        let Self { steps, rejections, effects } = other;
        steps.iter().for_each(|(kind, count)| *self.steps.entry(*kind).or_default() += count);
        for (name, count) in rejections {
            *self.rejections.entry(*name).or_default() += count;
        }
        for (name, count) in effects {
            *self.effects.entry(name).or_default() += count;
        }
    }

    /// The same, to be written and read again.
    pub fn seen(&self) -> Seen {
        let steps = self.steps.iter().map(|((action, phase, role, on), count)| {
            let on = (*on).to_owned();
            (Kind { action: *action, phase: *phase, role: *role, on }, *count)
        });
        let rejections = self.rejections.iter().map(|(kind, count)| (kind.to_string(), *count));
        let effects = self.effects.iter().map(|(name, count)| ((*name).to_owned(), *count));
        Seen {
            steps: steps.collect(),
            rejections: rejections.collect(),
            effects: effects.collect(),
        }
    }
}

/// A tally that can be read from a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Steps of the model by kind.
    pub steps: Vec<(Kind, u64)>,
    /// Refused inputs, by [`Rejection::kind`].
    pub rejections: BTreeMap<String, u64>,
    /// Effects: by what they are, or by the kind of message that was sent.
    pub effects: BTreeMap<String, u64>,
}

impl Seen {
    /// How often an action was taken in a phase.
    pub fn of(&self, action: ActionKind, phase: Phase) -> u64 {
        let is_it = |kind: &Kind| kind.action == action && kind.phase == phase;
        self.steps.iter().filter(|(kind, _)| is_it(kind)).map(|(_, count)| count).sum()
    }

    /// Adds another one's.
    pub fn add(&mut self, other: &Self) {
        for (kind, count) in &other.steps {
            match self.steps.iter_mut().find(|(known, _)| known == kind) {
                Some((_, known)) => *known += count,
                None => self.steps.push((kind.clone(), *count)),
            }
        }
        for (name, count) in &other.rejections {
            *self.rejections.entry(name.clone()).or_default() += count;
        }
        for (name, count) in &other.effects {
            *self.effects.entry(name.clone()).or_default() += count;
        }
    }
}
