//! A simulated run that is looked at after every step: which views began where, and who is how far.

use pbft_sim::fault::Plan;
use pbft_sim::history::Moment;
use pbft_sim::world::Mode;
use std::collections::BTreeSet;
use std::time::Duration;

/// A run, with what was noticed on the way.
pub(crate) struct Watched {
    pub(crate) run: pbft_sim::driver::Run,
    /// The views that began at any correct replica, view 0 aside.
    pub(crate) began: BTreeSet<u64>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// The view of each correct replica, and whether it takes part in it.
    pub(crate) views: Vec<(u64, bool)>,
    /// The views that began, view 0 aside: so many view changes there were.
    pub(crate) began: Vec<u64>,
}

impl End {
    /// All `replicas` take part in the last of these views, and no other began.
    pub(crate) fn after(began: &[u64], replicas: usize) -> Self {
        let last = began.last().copied().unwrap_or_default();
        Self { views: vec![(last, true); replicas], began: began.to_vec() }
    }
}

impl Watched {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mode = Mode { record: false, replay: false };
        let run = pbft_sim::driver::Run::new(plan, mode, false).expect("a valid size");
        Self { run, began: BTreeSet::new() }
    }

    /// One step. False at the end.
    pub(crate) fn step(&mut self) -> bool {
        let goes_on = self.run.step();
        for (view, active) in self.views() {
            if active && view > 0 {
                self.began.insert(view);
            }
        }
        goes_on
    }

    /// Goes on until a moment of virtual time, or until a condition holds.
    pub(crate) fn until(&mut self, time: Duration, condition: impl Fn(&Self) -> bool) {
        while self.run.now < time && !condition(self) && self.step() {}
    }

    /// The view of each correct replica that runs.
    pub(crate) fn views(&self) -> Vec<(u64, bool)> {
        let running = self.run.world.correct().filter_map(|host| self.view_of(host));
        running.collect()
    }

    pub(crate) fn view_of(&self, host: usize) -> Option<(u64, bool)> {
        let status = self.run.world.hosts[host].replica()?.status();
        Some((status.view.0, status.active))
    }

    pub(crate) fn executed(&self, host: usize) -> u64 {
        let replica = self.run.world.hosts[host].replica();
        replica.map_or(0, |replica| replica.status().last_executed.0)
    }

    /// Operations of correct clients that are answered, and those that were submitted.
    pub(crate) fn answered(&self) -> (usize, usize) {
        let history = &self.run.world.history;
        let ends = history.iter().filter(|one| matches!(one, Moment::Returned(..))).count();
        (ends, history.len() - ends)
    }

    /// Operations of one client that are answered.
    pub(crate) fn answered_to(&self, client: u32) -> usize {
        let own = |one: &&Moment| matches!(one, Moment::Returned(id, _) if id.client == client);
        self.run.world.history.iter().filter(own).count()
    }

    /// Goes on to the end, where no rule may be broken and everything must be answered.
    pub(crate) fn end(mut self) -> End {
        while self.step() {}
        self.run.world.stop();
        assert_eq!(self.run.world.oracle.violation, None);
        assert!(self.run.converged.is_some(), "it converges");
        let (answered, submitted) = self.answered();
        assert_eq!(answered, submitted, "every operation is answered");
        End { views: self.views(), began: self.began.into_iter().collect() }
    }
}

/// How a plan ends.
pub(crate) fn end_of(plan: &Plan) -> End {
    Watched::new(plan).end()
}
