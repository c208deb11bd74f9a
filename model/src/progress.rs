//! Progress: from every reachable state the honest replicas can still get everything executed.
//!
//! Stateright's `eventually` is unsound on cycles and where paths join, and "eventually" depends on time, which the
//! model does not have. What can be checked in each state is this: *if from now on the network is synchronous and the
//! Byzantine replicas are silent, then a fair schedule executes every request at every honest replica within a few
//! views.* A protocol that can block itself (a lock that is never released, a quorum that waits for everybody) has a
//! reachable state from which the schedule gets nowhere.
//!
//! The schedule is deterministic. It delivers whatever is deliverable and lets every replica take the steps that this
//! enables, until nothing more happens. If requests are outstanding, timers fire: replicas in earlier views move up to the
//! highest, or all of them move on if they are in the same one; and messages are delivered again. After the view
//! that everybody shares at first there may be f in a row with a Byzantine primary, then one with an honest primary. The
//! views and slots that this takes lie beyond the bounds of the configuration.
//!
//! In a state in which something is deliverable there is nothing to do: the delivery is a step of the model, so the
//! state after it is reachable too and is judged itself. And no step can be taken for ever, since what was sent only grows.
//! So the schedule is run from quiescent states only, which are few.

use crate::action::Action;
use crate::config::Config;
use crate::ids::{MAX_VIEWS, ReplicaId};
use crate::reduction::Reductions;
use crate::state::{NewView, State};
use crate::value::ValueSet;
use crate::{Pbft, Rule};

/// Rounds of deliveries before timers fire. What was sent only grows, so they end by themselves, except under a mutant
/// that goes back to an earlier view or assigns a slot over and over.
const MAX_ROUNDS: usize = 1000;

/// Byzantine primaries that are silent send no NEW-VIEW.
const NO_NEW_VIEWS: [Vec<NewView>; MAX_VIEWS] = [const { Vec::new() }; MAX_VIEWS];

impl Config {
    /// How often timers may fire until everything is executed: once so that all are in one view, f times for views of
    /// Byzantine primaries, once for the first view of an honest primary that all enter together.
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
        let plain = self.clone().silenced().with_reductions(Reductions::NONE);
        let beyond = Self { config: self.config.beyond(), ..plain };
        self.renamings(state).all(|mut renamed| beyond.settles(&mut renamed))
    }

    /// Runs the schedule.
    fn settles(&self, state: &mut State) -> bool {
        for _ in 0..=self.config.patience() {
            self.deliver_everything(state);
            if self.everything_is_served(state) {
                return true;
            }
            self.time_out(state);
        }
        false
    }

    /// Lets the replicas take steps in turn until none has any left but to wait for its timer.
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
            Self::rules().find_map(|rule| {
                rule(self, state, id, &mut actions);
                actions.first().copied()
            })
        })
    }

    /// The rules of the schedule between two timeouts.
    fn rules() -> impl Iterator<Item = Rule> {
        Self::DELIVERIES.into_iter().chain([Self::entries_of_honest_primaries as Rule])
    }

    fn entries_of_honest_primaries(&self, state: &State, id: ReplicaId, actions: &mut Vec<Action>) {
        self.view_entries(state, id, &NO_NEW_VIEWS, actions);
    }

    /// Timers fire: who is behind moves up to the highest view; if nobody is, all move on to the next.
    fn time_out(&self, state: &mut State) {
        let views = || self.honest().map(|id| state.replica(id).view);
        let highest = views().max().unwrap_or_default();
        let together = views().all(|view| view == highest);
        let target = if together { highest.next() } else { highest };
        for id in self.honest() {
            while state.replica(id).view < target {
                let mut actions = Vec::new();
                self.view_changes(state, id, &mut actions);
                let Some(action) = actions.first() else { break };
                self.apply(state, *action);
            }
        }
    }

    /// Whether every honest replica has answered every request.
    fn everything_is_served(&self, state: &State) -> bool {
        let mut outstanding = ValueSet::EMPTY;
        self.requests().for_each(|value| outstanding.insert(value));
        let served = |id| state.replica(id).served;
        self.honest().all(|id| served(id).union(outstanding) == served(id))
    }
}

/// Whether a state shows that the schedule has something to do: requests are outstanding, and nothing is deliverable.
pub(crate) fn is_stuck_without_timers(model: &Pbft, state: &State) -> bool {
    !model.everything_is_served(state) && model.clone().silenced().first_delivery(state).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::View;

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
