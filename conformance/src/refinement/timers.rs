//! The view-change timer, as it must be at each state of the model.
//!
//! The model has no clock, and no requests on their way: whether a timer runs follows from what was delivered to the
//! replica since its last start, and from its state (§4.4, §4.5.2).
//!
//! | the replica | its timer runs |
//! |---|---|
//! | takes part in its view | iff a request was delivered to it that it has not executed |
//! | is between views | iff it has VIEW-CHANGEs of q replicas for this view or later ones, its own among them |
//!
//! Nor has the model durations. How long a timer runs follows from the views that the replica has left since its last
//! start (§4.5.2): the first patience, doubled for each of them that did not serve though it waited for something, up to
//! the greatest. A view serves if it executes `SERVED` batches with requests above those that its NEW-VIEW ordered
//! again. It is halved when `CALMS` checkpoints became stable in an active view, if no view was left since the one before
//! each. (It is halved earlier if four waits were met in little time, and after 32 patiences of quiet: no replayed path has
//! so many waits in one view, nor so many ticks.)

use crate::divergence::{Difference, Kind};
use crate::refinement::action::Delivery;
use crate::refinement::service;
use crate::refinement::vocabulary::{Vocabulary, model_view};
use crate::signpost::Fact;
use crate::signpost::deeds::Deed;
use pbft_core::durable::Record;
use pbft_core::message::Message;
use pbft_core::types::View;
use pbft_core::{Effect, Params, Timer};
use pbft_model as model;
use std::time::Duration;

/// A view that has executed so many batches of its own serves.
const SERVED: u32 = 4;

/// So many checkpoints without a suspicion halve the patience.
const CALMS: u32 = 4;

/// A model has at most so many replicas.
const REPLICAS_MAX: usize = 7;

/// What a replica's timer depends on beside the model's state, and what the replica has asked its clock for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimerWatch {
    /// Requests delivered since the last start.
    asked: model::ValueSet,
    /// The highest view for which a VIEW-CHANGE of each other replica was delivered since the last start.
    wanted: [Option<model::View>; REPLICAS_MAX],
    /// Whether the clock was asked to run, and not to stop since.
    running: bool,
    /// Whether there is a timer to stop: one that was set and not stopped since, run out or not.
    set: bool,
    /// Whether a timer was stopped that was not set.
    stopped_in_vain: bool,
    /// The view that the replica is in, or changes to.
    view: View,
    /// How often patience has doubled, less how often it was halved.
    doublings: u32,
    /// Whether the replica is between views.
    changing: bool,
    /// Whether a view was left since the last checkpoint that became stable in an active one.
    suspected: bool,
    /// A checkpoint has become stable in this step, unless it proves to be the one that a NEW-VIEW begins with.
    stable: bool,
    /// The next stable checkpoint is a fetched one.
    installing: bool,
    /// A timer was stopped in this step.
    cancelled: bool,
    /// The batches of its own that the current view has executed, if a view was left since the last start.
    served: Option<u32>,
    /// The last number that the view's NEW-VIEW ordered again.
    carried_over: u64,
    /// Checkpoints without a suspicion in this view since the patience was halved.
    calms: u32,
    /// What the clock was asked for last, and how often patience had doubled by then.
    asked_for: Option<(Duration, u32)>,
}

impl TimerWatch {
    /// A delivery that the replica took.
    pub fn delivered(&mut self, delivery: &Delivery) {
        match delivery {
            Delivery::Client(message) | Delivery::Message { message, .. } => match message {
                Message::Request(request) => {
                    self.asked.insert(service::value(&request.body.operation));
                }
                Message::ViewChange(known) => {
                    if let Some(wanted) = self.wanted.get_mut(known.body.replica.0 as usize) {
                        *wanted = model_view(known.body.view).max(*wanted);
                    }
                }
                _ => {}
            },
            Delivery::Timer(_) | Delivery::Suspect => {}
        }
        self.settle();
        self.cancelled = false;
    }

    /// A checkpoint that became stable was not a new view's.
    fn settle(&mut self) {
        if std::mem::take(&mut self.stable) && !std::mem::take(&mut self.suspected) {
            self.calms += 1;
            if self.calms == CALMS {
                self.calms = 0;
                self.doublings = self.doublings.saturating_sub(1);
            }
        }
    }

    /// The timer runs out: the clock has stopped.
    pub fn ran_out(&mut self) {
        self.running = false;
    }

    /// What the replica asks its clock for.
    pub fn note(&mut self, effect: &Effect) {
        match effect {
            Effect::SetTimer { timer: Timer::ViewChange, after } => {
                self.settle();
                (self.running, self.set) = (true, true);
                self.asked_for = Some((*after, self.doublings));
            }
            Effect::CancelTimer(Timer::ViewChange) => {
                self.stopped_in_vain |= !self.set;
                (self.running, self.set, self.cancelled) = (false, false, true);
            }
            Effect::Persist(Record::Stable(_)) => {
                let fetched = std::mem::take(&mut self.installing);
                self.stable |= !fetched && !self.changing;
            }
            Effect::Install { .. } => self.installing = true,
            Effect::Persist(Record::ViewChange(own)) => {
                self.settle();
                self.enter(own.body.view);
                self.changing = true;
            }
            Effect::Persist(Record::NewView(known)) => {
                self.stable = false;
                self.enter(known.body.view);
                self.changing = false;
                let orders = known.body.pre_prepares.last();
                self.carried_over = orders.map_or(0, |last| last.body.seq.0);
            }
            Effect::Execute { seq, requests, .. }
                if !requests.is_empty() && seq.0 > self.carried_over =>
            {
                self.served = self.served.map(|served| served + 1);
            }
            _ => {}
        }
    }

    /// A later view was left for.
    fn enter(&mut self, view: View) {
        if view > self.view {
            self.view = view;
            let waited = self.changing || self.set || self.cancelled;
            let serves = self.served.is_none_or(|served| served >= SERVED);
            self.doublings += u32::from(waited && !serves);
            (self.served, self.suspected, self.calms) = (Some(0), true, 0);
        }
    }

    /// The replica was started again: whoever waits must ask again.
    pub fn restarted(&mut self) {
        let (view, changing, carried_over) = (self.view, self.changing, self.carried_over);
        *self = Self { view, changing, carried_over, ..Self::default() };
    }

    /// How long the clock was asked to wait, last.
    #[must_use]
    pub fn asked_for(&self) -> Option<Duration> {
        self.asked_for.map(|(patience, _)| patience)
    }

    /// Whether the timer must run when the replica is in this state.
    fn must_run(&self, vocabulary: &Vocabulary, state: &model::ReplicaState) -> bool {
        if state.active {
            return self.asked.iter().any(|value| !state.served.contains(value));
        }
        let others = self.wanted.iter().flatten().filter(|view| **view >= state.view).count();
        others + 1 >= vocabulary.quorum()
    }

    /// Compares what the clock was asked for last.
    fn compare_patience(&self, params: &Params) -> Result<(), Difference> {
        let Some((asked_for, doublings)) = self.asked_for else { return Ok(()) };
        let factor = 2_u32.saturating_pow(doublings);
        let expected = params.view_timeout.saturating_mul(factor).min(params.view_timeout_max);
        if asked_for == expected {
            return Ok(());
        }
        let what = format!("the view-change timer's patience, doubled {doublings} times");
        let diff = vec![format!("- {expected:?}"), format!("+ {asked_for:?}")];
        Err(Difference::new(Kind::Timer, what).with_diff(diff).with(Fact::Differs(Deed::Patience)))
    }

    /// Compares the timer with what the model's state asks for: what the replica says of it, and what its clock was told.
    pub fn compare(
        &self,
        vocabulary: &Vocabulary,
        state: &model::ReplicaState,
        says: bool,
    ) -> Result<(), Difference> {
        self.compare_patience(vocabulary.params(model::ReplicaId(0)))?;
        if self.stopped_in_vain {
            let what = "a view-change timer was stopped that was not set";
            return Err(Difference::new(Kind::Timer, what).with(Fact::Did(Deed::Timer)));
        }
        let expected = self.must_run(vocabulary, state);
        if (says, self.running) == (expected, expected) {
            return Ok(());
        }
        let word = |runs| if runs { "runs" } else { "does not run" };
        let why = match (state.active, expected) {
            (true, true) => "a request was delivered that is not executed",
            (true, false) => "no request waits",
            (false, true) => "a quorum wants this view",
            (false, false) => "no quorum wants this view yet",
        };
        let diff = vec![
            format!("- {}", word(expected)),
            format!("+ {}, and its clock {}", word(says), word(self.running)),
        ];
        let what = format!("the view-change timer, while {why}");
        let fact = if expected { Fact::Lacks } else { Fact::Did };
        Err(Difference::new(Kind::Timer, what).with_diff(diff).with(fact(Deed::Timer)))
    }
}
