//! Makes a failing run small.
//!
//! A run that broke a rule of safety is a list of events, and stays one when events are left out: a frame that was not
//! delivered was lost, a timer that did not run out has not run out yet. So events are left out, in ever smaller pieces,
//! as long as what remains breaks the same rule (delta debugging, Zeller and Hildebrandt 2002). A frame whose sending was
//! left out does not arrive, and nobody's signature counts that was not made before. What liars say stays on the list as
//! bytes; the liars themselves are not needed any more.
//!
//! A run without progress is not a list of events, since what is missing is not in it. There, faults, liars and operations
//! are left out of the plan, and the whole run is made again.

use super::event::{Event, Node};
use super::fault::Plan;
use super::history;
use super::judge::{Judging, ask_the_model, guarded, judge};
use super::oracle::{Rule, Violation};
use super::world::{Mode, World};
use core::time::Duration;
use pbft_core::message::Message;
use pbft_node::codec;
use std::time::Instant;

/// What a replay came to.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The events that happened, up to the one that broke the rule.
    pub happened: Vec<Event>,
    /// The rule.
    pub violation: Option<Violation>,
}

/// Makes the events happen, without clock and chance, in a cluster that has just started, and looks for a violation of
/// `rule`.
#[must_use]
pub fn replay(plan: &Plan, events: &[Event], rule: Rule) -> Replayed {
    let mode = Mode { record: rule == Rule::Model, replay: true };
    let mut happened = Vec::new();
    let Ok(mut world) = World::new(plan, mode) else {
        return Replayed { happened, violation: None };
    };
    let played = guarded(|| {
        world.boot();
        for event in events {
            if world.apply(event) {
                happened.push(event.clone());
            }
            world.output.clear();
            if world.oracle.violation.is_some() {
                break;
            }
        }
    });
    let mut violation = played.err().or(world.oracle.violation.take());
    if violation.is_none() && rule == Rule::Linearizable {
        let found = history::check(&world.history).err();
        violation = found.map(|detail| Violation { rule, detail });
    }
    if violation.is_none() && rule == Rule::Model {
        violation = ask_the_model(plan, &world).err();
    }
    if let Some(Violation { rule: Rule::NoPanic, .. }) = violation
        && let Some(last) = events.get(happened.len())
    {
        happened.push(last.clone());
    }
    Replayed { happened, violation }
}

/// A small run that still fails.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The plan, with what is not needed left out.
    pub plan: Plan,
    /// What happens after the start; empty if the whole plan has to be run.
    pub events: Vec<Event>,
    /// The rule that it breaks.
    pub violation: Violation,
    /// How many shorter runs were tried.
    pub tried: u64,
}

/// How long to try.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// At most so many runs.
    pub tries: u64,
    /// At most so long.
    pub time: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { tries: 20_000, time: Duration::from_secs(60) }
    }
}

struct Shrinker<'a> {
    plan: &'a Plan,
    rule: Rule,
    tried: u64,
    patience: Patience,
    begun: Instant,
}

/// Makes a failing run small. `events` is what happened, from the first start on.
#[must_use]
pub fn shrink(plan: &Plan, events: &[Event], violation: &Violation, patience: Patience) -> Shrunk {
    let mut shrinker =
        Shrinker { plan, rule: violation.rule, tried: 0, patience, begun: Instant::now() };
    let whole =
        Shrunk { plan: plan.clone(), events: Vec::new(), violation: violation.clone(), tried: 0 };
    if violation.rule == Rule::Progress {
        return shrinker.shrink_plan(whole);
    }
    // The first events are the starts of all processes, which every replay begins with.
    let starts = events.iter().take_while(|event| matches!(event, Event::Start { .. })).count();
    let Some((mut events, mut violation)) = shrinker.fails(&events[starts..]) else { return whole };
    for kind in 0..KINDS {
        let fewer: Vec<_> = events.iter().filter(|event| kind_of(event) != kind).cloned().collect();
        if fewer.len() < events.len() {
            shrinker.keep(fewer, &mut events, &mut violation);
        }
    }
    shrinker.leave_out(&mut events, &mut violation);
    Shrunk { plan: plan.clone(), events, violation, tried: shrinker.tried }
}

impl Shrinker<'_> {
    fn may_try(&self) -> bool {
        self.tried < self.patience.tries && self.begun.elapsed() < self.patience.time
    }

    /// The events that happened and the rule that they broke, if it is the one that is looked for.
    fn fails(&mut self, events: &[Event]) -> Option<(Vec<Event>, Violation)> {
        self.tried += 1;
        let Replayed { happened, violation } = replay(self.plan, events, self.rule);
        let violation = violation.filter(|violation| violation.rule == self.rule)?;
        Some((happened, violation))
    }

    fn keep(
        &mut self,
        fewer: Vec<Event>,
        events: &mut Vec<Event>,
        violation: &mut Violation,
    ) -> bool {
        if !self.may_try() {
            return false;
        }
        match self.fails(&fewer) {
            Some((happened, found)) => {
                (*events, *violation) = (happened, found);
                true
            }
            None => false,
        }
    }

    /// Leaves out pieces, from the end on, of half the length down to single events, until no single one can be.
    fn leave_out(&mut self, events: &mut Vec<Event>, violation: &mut Violation) {
        let mut piece = events.len().div_ceil(2).max(1);
        loop {
            let mut shorter = false;
            let mut end = events.len();
            while end > 0 {
                let start = end.saturating_sub(piece);
                let fewer = [&events[..start], &events[end.min(events.len())..]].concat();
                shorter |= self.keep(fewer, events, violation);
                end = start.min(events.len());
            }
            if !self.may_try() || (piece == 1 && !shorter) {
                return;
            }
            piece = if piece > 1 { piece.div_ceil(2) } else { 1 };
        }
    }

    fn shrink_plan(&mut self, whole: Shrunk) -> Shrunk {
        let Shrunk { mut plan, mut violation, .. } = whole;
        loop {
            let smaller = candidates(&plan);
            let mut found = false;
            for candidate in smaller {
                if !self.may_try() {
                    break;
                }
                self.tried += 1;
                let judged = judge(&candidate, Judging { model: false, keep: false });
                if let Some(still) = judged.violation.filter(|one| one.rule == self.rule) {
                    (plan, violation, found) = (candidate, still, true);
                    break;
                }
            }
            if !found {
                return Shrunk { plan, events: Vec::new(), violation, tried: self.tried };
            }
        }
    }
}

/// Plans with something left out, the largest parts first.
fn candidates(plan: &Plan) -> Vec<Plan> {
    let mut all = Vec::new();
    let mut push = |change: &dyn Fn(&mut Plan)| {
        let mut candidate = plan.clone();
        change(&mut candidate);
        if candidate != *plan {
            all.push(candidate);
        }
    };
    push(&|plan| plan.faults.clear());
    push(&|plan| plan.submissions.truncate(plan.submissions.len() / 2));
    push(&|plan| plan.lying_clients.clear());
    push(&|plan| plan.liars.clear());
    for index in 0..plan.faults.len() {
        push(&|plan| drop(plan.faults.remove(index)));
    }
    for host in plan.liars.keys().copied().collect::<Vec<_>>() {
        for index in 0..plan.liars[&host].len() {
            push(&|plan| {
                plan.liars.entry(host).and_modify(|behaviours| {
                    behaviours.remove(index);
                });
            });
        }
    }
    push(&|plan| plan.submissions.truncate(plan.submissions.len().saturating_sub(1)));
    all
}

/// How many kinds [`kind_of`] tells apart.
const KINDS: usize = 14;

/// Kinds of events that are often not needed at all, as numbers; others have the last.
fn kind_of(event: &Event) -> usize {
    match event {
        Event::Deliver { to: Node::Host(_), from: Node::Host(_), frame } => {
            match codec::decode::<Message>(frame) {
                Ok(Message::Status(_)) => 0,
                Ok(Message::Checkpoint(_) | Message::Stable(_)) => 1,
                Ok(Message::Committed(_)) => 2,
                Ok(Message::StateData(_) | Message::FetchState(_)) => 3,
                Ok(Message::Request(_)) => 4,
                Ok(Message::Batch(_) | Message::FetchBatch(_)) => 5,
                Ok(_) => KINDS,
                Err(_) => 6,
            }
        }
        Event::Deliver { to: Node::Client(_), .. } => 7,
        Event::ClientTimer { .. } => 8,
        Event::Timer { timer: super::event::TimerName::Status, .. } => 9,
        Event::Timer { .. } => 10,
        Event::Arm { .. } | Event::SlowDisk { .. } | Event::Synced { .. } => 11,
        Event::DiskFull { .. } | Event::SyncFails { .. } => 12,
        Event::Crash { .. } => 13,
        _ => KINDS,
    }
}
