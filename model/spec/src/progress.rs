//! Progress: from every reachable state the honest replicas can still get everything executed.
//!
//! Stateright's `eventually` is unsound on cycles and where paths join, and "eventually" depends on time, which the
//! model does not have. What can be checked in each state is this: *if from now on the network is synchronous and the
//! Byzantine replicas are silent, then a fair schedule executes every request at every honest replica within a few
//! views.* A protocol that can block itself (a lock that is never released, a quorum that waits for everybody, a timer
//! that nobody starts) has a reachable state from which the schedule gets nowhere.
//!
//! # The schedule
//!
//! It delivers whatever is deliverable and lets every replica take the steps that this enables, until nothing more
//! happens. Then replicas join the view changes of f+1 others, and if nobody has any to join, timers run out, all of them
//! at once, and messages are delivered again.
//!
//! *What is deliverable*: what honest replicas have said; a commit certificate and a batch only where an honest replica
//! still holds it ([`crate::batches`]). The Byzantine replicas serve nothing from now on.
//!
//! *Which timers run*: a replica in a view waits if it has not executed a request whose client still asks for it. A client
//! asks everybody until f+1 honest replicas have answered, so whoever has executed everything waits for nothing. A replica
//! between views waits for the NEW-VIEW once q replicas have come as far. Nobody else leaves a view.
//!
//! *What the Byzantine replicas have sent before*: to each primary of a view to come, any VIEW-CHANGE that could be
//! proven when they fell silent, or none. The primary may take it into V. So the schedule branches: whatever they have sent
//! and whichever V the primary takes among those that it can complete, all requests must be executed. Where the
//! primary can begin without them it does begin. Where their VIEW-CHANGE would be needed they sent none.
//!
//! *How many timeouts*: f+2, and one more for each view that lies between the replicas. If they lie in one view, there may be
//! f in a row with a Byzantine primary after it, then one with an honest primary. The views and slots that this takes lie
//! beyond the bounds of the configuration.
//!
//! # From which states
//!
//! In a state in which something is deliverable there is nothing to do: the delivery is a step of the model, so the
//! state after it is reachable too and is judged itself. And no step can be taken for ever, since what was sent only grows.
//! So the schedule is run from quiescent states only, which are few. It is for the same reason that everything under way
//! may be taken for lost: what arrives after all leads to another reachable state.

use std::cell::OnceCell;

use crate::action::Action;
use crate::config::Config;
use crate::ids::{MAX_VIEWS, ReplicaId, View};
use crate::reduction::Reductions;
use crate::state::{NewView, ReplicaState, State, ViewChange};
use crate::value::{Value, ValueSet};
use crate::{Pbft, Rule};

/// Rounds of deliveries before timers fire. What was sent only grows, so they end by themselves; the bound is for rules that
/// are broken, so that a search under them ends, too.
const MAX_ROUNDS: usize = 1000;

/// Byzantine primaries that are silent send no NEW-VIEW.
const NO_NEW_VIEWS: [Vec<NewView>; MAX_VIEWS] = [const { Vec::new() }; MAX_VIEWS];

impl Config {
    /// How often timers may run out until everything is executed, where all are in one view: once to leave it, f times for
    /// views of Byzantine primaries, and once more because some may have been about to leave it anyway.
    const fn patience(&self) -> u8 {
        self.quorums().faulty + 2
    }

    /// These bounds, and the views and slots that the schedule may need beyond them.
    fn beyond(&self) -> Self {
        self.extended(self.patience(), self.requests())
    }
}

impl Pbft {
    /// Whether the honest replicas get everything executed from here, or a step from here is judged instead.
    #[must_use]
    pub fn makes_progress(&self, state: &State) -> bool {
        if self.everything_is_served(state) || self.config.is_beyond_tolerance() {
            return true;
        }
        if self.clone().silenced().first_delivery(state).is_some() {
            return true;
        }
        // A quiescent state. Reductions rename replicas and requests, which may change who leads which view and what is
        // ordered first: try all states that this one stands for.
        let beyond = self.beyond();
        let mut renamed: Vec<_> = self.renamings(state).collect();
        // Replicas that are alike make many of them equal.
        renamed.sort_unstable();
        renamed.dedup();
        renamed.iter().all(|start| Schedule::new(&beyond, start).settles())
    }

    /// The protocol in the bounds of the schedule.
    fn beyond(&self) -> Self {
        let plain = self.clone().with_reductions(Reductions::NONE);
        Self { config: self.config.beyond(), ..plain }
    }

    /// Lets the replicas take steps in turn until none has any left but to begin a view or to wait for its timer.
    fn deliver_everything(&self, state: &mut State) {
        let mut actions = Vec::new();
        for _ in 0..MAX_ROUNDS {
            let mut quiet = true;
            for id in self.honest() {
                for rule in Self::rules() {
                    rule(self, state, id, &mut actions);
                    if let Some(action) = actions.first() {
                        self.apply(state, *action);
                        quiet = false;
                    }
                    actions.clear();
                }
            }
            if quiet {
                return;
            }
        }
    }

    /// The next step of the first replica that has one.
    fn first_delivery(&self, state: &State) -> Option<Action> {
        let mut actions = Vec::new();
        self.honest().find_map(|id| {
            Self::rules().chain([Self::sure_beginnings as Rule]).find_map(|rule| {
                rule(self, state, id, &mut actions);
                actions.first().copied()
            })
        })
    }

    /// The rules of the schedule between two timeouts.
    fn rules() -> impl Iterator<Item = Rule> {
        let rest: [Rule; 2] = [Self::flushes, Self::entries_of_honest_primaries];
        Self::DELIVERIES.into_iter().chain(rest)
    }

    fn entries_of_honest_primaries(&self, state: &State, id: ReplicaId, actions: &mut Vec<Action>) {
        self.view_entries(state, id, &NO_NEW_VIEWS, actions);
    }

    /// Views that their primary begins whatever the Byzantine replicas have sent.
    fn sure_beginnings(&self, state: &State, id: ReplicaId, actions: &mut Vec<Action>) {
        self.new_views(state, id, actions);
    }

    /// A replica joins the view change of f+1 others, if there is one.
    fn join(&self, state: &mut State) -> bool {
        let mut actions = Vec::new();
        for id in self.honest() {
            self.view_changes(state, id, &mut actions);
        }
        let joins = actions.iter().find(|action| match action {
            Action::StartViewChange { replica, to } => self.can_join(state, *replica, *to),
            _ => false,
        });
        joins.is_some_and(|action| {
            self.apply(state, *action);
            true
        })
    }

    /// The timers that run run out; whether there was any.
    fn time_out(&self, state: &mut State) -> bool {
        let waiting: Vec<_> = self.honest().filter(|id| self.is_waiting(state, *id)).collect();
        let mut actions = Vec::new();
        for id in waiting {
            let next = state.replica(id).view.next();
            self.view_changes(state, id, &mut actions);
            actions.retain(|action| *action == Action::StartViewChange { replica: id, to: next });
            actions.drain(..).for_each(|action| self.apply(state, action));
        }
        self.honest().any(|id| !state.replica(id).active)
    }

    /// Whether a replica's timer runs.
    fn is_waiting(&self, state: &State, id: ReplicaId) -> bool {
        let replica = state.replica(id);
        if !replica.active {
            let wants = |one: &&ReplicaState| !one.active && one.view >= replica.view;
            let known = self.honest_states(state).filter(wants).count();
            return known >= usize::from(self.quorums().quorum);
        }
        let awaits =
            |request: Value| !replica.served.contains(request) && self.is_asked_for(state, request);
        self.requests().any(awaits)
    }

    /// Whether the client of a request still asks for it: fewer than f+1 honest replicas have answered.
    fn is_asked_for(&self, state: &State, request: Value) -> bool {
        let answered = self.honest_states(state).filter(|one| one.served.contains(request));
        answered.count() < usize::from(self.config.quorums().weak)
    }

    /// Whether every honest replica has answered every request.
    fn everything_is_served(&self, state: &State) -> bool {
        let mut outstanding = ValueSet::EMPTY;
        self.requests().for_each(|value| outstanding.insert(value));
        let served = |id| state.replica(id).served;
        self.honest().all(|id| served(id).union(outstanding) == served(id))
    }
}

/// The schedule from one state on, in all its branches.
struct Schedule<'a> {
    /// The protocol with the Byzantine replicas silent.
    silent: Pbft,
    /// The protocol in which they have sent what they have sent.
    loud: &'a Pbft,
    /// The state in which they fell silent.
    start: &'a State,
    /// By view, the VIEW-CHANGEs that they may have sent for it until then.
    claims: [OnceCell<Vec<ViewChange>>; MAX_VIEWS],
}

impl<'a> Schedule<'a> {
    fn new(loud: &'a Pbft, start: &'a State) -> Self {
        let silent = loud.clone().silenced();
        Self { silent, loud, start, claims: Default::default() }
    }

    /// Whether every branch gets everything executed in time.
    fn settles(&self) -> bool {
        self.goes_on(self.start.clone(), self.timeouts())
    }

    /// How often timers may run out.
    fn timeouts(&self) -> u8 {
        let views = || self.silent.honest_states(self.start).map(|replica| replica.view.0);
        let between = views().max().unwrap_or(0) - views().min().unwrap_or(0);
        between + self.silent.config.patience()
    }

    /// Whether some primary may come to different NEW-VIEWs, on the way to the first.
    fn branches(&self) -> bool {
        let mut state = self.start.clone();
        let mut timeouts = self.timeouts();
        loop {
            self.silent.deliver_everything(&mut state);
            let mut beginnings = self.silent.honest().map(|id| self.beginnings(&state, id));
            if let Some(outcomes) = beginnings.find(|outcomes| !outcomes.is_empty()) {
                return outcomes.len() > 1;
            }
            if !self.silent.join(&mut state) {
                if timeouts == 0 || !self.silent.time_out(&mut state) {
                    return false;
                }
                timeouts -= 1;
            }
        }
    }

    /// The same from a state on.
    fn goes_on(&self, mut state: State, timeouts: u8) -> bool {
        self.silent.deliver_everything(&mut state);
        if self.silent.everything_is_served(&state) {
            return true;
        }
        for id in self.silent.honest() {
            let beginnings = self.beginnings(&state, id);
            if !beginnings.is_empty() {
                return beginnings.into_iter().all(|outcome| {
                    let mut next = state.clone();
                    self.silent.apply(&mut next, Action::NewView { replica: id, outcome });
                    self.goes_on(next, timeouts)
                });
            }
        }
        if self.silent.join(&mut state) {
            return self.goes_on(state, timeouts);
        }
        timeouts > 0 && self.silent.time_out(&mut state) && self.goes_on(state, timeouts - 1)
    }

    /// What a primary may come to with the VIEW-CHANGEs for its view, of whatever the Byzantine replicas have sent: each
    /// NEW-VIEW that it can complete.
    fn beginnings(&self, state: &State, id: ReplicaId) -> Vec<NewView> {
        if !self.silent.may_begin(state, id) {
            return Vec::new();
        }
        let replica = state.replica(id);
        // A VIEW-CHANGE that proves a later checkpoint than the replica has is of help to it.
        let harmful = |claim: &&ViewChange| claim.low_water_mark <= replica.last_executed;
        let claims: Vec<_> = self.claims(replica.view).iter().filter(harmful).copied().collect();
        let completed = |outcome: &NewView| self.silent.has_everything(state, id, outcome);
        let without_them = self.silent.outcomes_with(state, replica.view, &[]);
        if !without_them.iter().any(completed) {
            return Vec::new();
        }
        let mut outcomes = self.loud.outcomes_with(state, replica.view, &claims);
        outcomes.retain(completed);
        outcomes
    }

    /// What the Byzantine replicas may have sent for a view.
    fn claims(&self, view: View) -> &[ViewChange] {
        self.claims[view.index()].get_or_init(|| {
            if self.loud.adversaries().next().is_none() {
                return Vec::new();
            }
            self.loud.byzantine_view_changes(self.start, view)
        })
    }
}

/// Whether a state shows that the schedule has something to do: requests are outstanding, and nothing is deliverable.
pub(crate) fn is_stuck_without_timers(model: &Pbft, state: &State) -> bool {
    !model.everything_is_served(state) && model.clone().silenced().first_delivery(state).is_none()
}

/// Whether a state shows that what the schedule comes to depends on what the Byzantine replicas have sent before it.
pub(crate) fn depends_on_what_was_sent(model: &Pbft, state: &State) -> bool {
    is_stuck_without_timers(model, state) && Schedule::new(&model.beyond(), state).branches()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_views_and_slots_that_the_schedule_needs_are_there() -> Result<(), crate::ConfigError> {
        for name in ["n4-b0-v4-s3-d2", "n4-b0-v4-s1-d2-t2", "n7-b01-v3-s3-d2", "n6-b0-v4-s2-d3"] {
            let config: Config = name.parse()?;
            let beyond = config.beyond();
            assert_eq!(beyond.max_view(), View(config.max_view().0 + config.patience()), "{name}");
            let slots = config.last_slot().0 + config.requests();
            assert_eq!(beyond.last_slot().0, slots, "{name}");
        }
        Ok(())
    }
}
