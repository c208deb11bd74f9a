//! The schedules of a step: in which order, how often and after what its messages may reach the replica.
//!
//! The model does not say which of many messages reach a replica, or when: an action is enabled as soon as those that it
//! needs exist. So each edge of the graph stands for many schedules, and all must end in the same state of the model.
//!
//! | schedule | what is tried |
//! |---|---|
//! | selection | each minimal quorum, each of its members last; votes or a certificate; each V that gives O |
//! | doubled | every message but the last comes twice; the second time nothing happens |
//! | surplus | all that was delivered comes once more, with the votes that were not needed; nothing happens |
//! | stale | first comes whatever others sent for views and slots that are over: refused, nothing happens |
//! | crash | the replica crashes before each message in turn and is started again |
//! | eager | all votes come first: COMMITs before PREPAREs before the PRE-PREPARE, high slots before low ones |
//!
//! Each is tried on a copy of the replica; the walk goes on from the step as the seed selects it.

use crate::divergence::{Difference, Kind};
use crate::refinement::action::{Actor, Delivery, Script};
use crate::refinement::byzantine::Source;
use crate::refinement::message::Sent;
use crate::refinement::network::Network;
use crate::refinement::pick::Pick;
use crate::refinement::vocabulary::replica_id;
use crate::replay::core::compare::compare_state;
use crate::replay::core::step::{Step, Work};
use crate::signpost::Fact;
use crate::signpost::given::Given;
use crate::subject::host::CoreHost;
use crate::subject::world::{World, describe};
use crate::subject::{Observation, Subject};
use pbft_core::message::Message;
use pbft_core::types::ReplicaId;
use pbft_model as model;
use stateright::Model as _;

/// The schedules, by name.
pub const SCHEDULES: [&str; 6] = ["selection", "doubled", "surplus", "stale", "crash", "eager"];

/// More ways to select messages than that are not tried at one edge. None of the replayed graphs has so many.
const SELECTIONS_MAX: usize = 5000;

impl Step<'_> {
    /// Takes the step under every schedule, each on a copy of the replica.
    pub fn under_all(&self, world: &World, work: &mut Work) -> Result<(), Difference> {
        let named = |name: &'static str| {
            move |difference: Difference| {
                let what = format!("schedule {name}: {}", difference.what);
                Difference { what, ..difference }
            }
        };
        let selections = self.under_each_selection(world, work).map_err(named("selection"))?;
        *work.schedules.entry("selection").or_default() += selections;
        let others = [
            ("doubled", self.doubled(world, work)),
            ("surplus", self.with_surplus(world, work)),
            ("stale", self.after_stale_messages(world, work)),
            ("crash", self.with_crashes(world, work)),
            ("eager", self.after_all_votes(world, work)),
        ];
        for (name, outcome) in others {
            *work.schedules.entry(name).or_default() += outcome.map_err(named(name))?;
        }
        Ok(())
    }

    fn copy(&self, world: &World) -> CoreHost {
        CoreHost::clone(world.host(self.action.replica()))
    }

    fn under_each_selection(&self, world: &World, work: &mut Work) -> Result<u64, Difference> {
        let mut pick = Pick::first();
        for tried in 1..=SELECTIONS_MAX {
            let mut host = self.copy(world);
            let (_, pick_after) = self.take_with(&mut host, &world.network, work, pick)?;
            match pick_after.next() {
                Some(next) => pick = next,
                None => return Ok(tried as u64),
            }
        }
        Err(Difference::new(Kind::Harness, format!("more than {SELECTIONS_MAX} selections")))
    }

    /// The deliveries that the seed selects.
    fn script(&self, host: &CoreHost, network: &Network) -> Result<Vec<Delivery>, Difference> {
        let source = Source { vocabulary: self.vocabulary, network };
        let pick = Pick::seeded(self.choice);
        let script = Script { model: self.model, state: self.before, source, pick };
        let actor = Actor { timer_running: host.is_timer_running() };
        let deliveries = script.deliveries(self.action, actor);
        deliveries.map_err(|missing| Difference::new(Kind::Harness, missing.to_string()))
    }

    fn doubled(&self, world: &World, work: &mut Work) -> Result<u64, Difference> {
        let mut host = self.copy(world);
        let deliveries = self.script(&host, &world.network)?;
        let Some((trigger, earlier)) = deliveries.split_last() else { return Ok(0) };
        for delivery in earlier {
            let seen = self.deliver(&mut host, delivery, work)?;
            silent(&seen, delivery)?;
            self.changes_nothing(&mut host, delivery, work)?;
        }
        let seen = self.trigger(&mut host, trigger, work)?;
        let path = [(*self.action, self.after.clone())];
        let same = self.compare(&mut host, &path, &seen, &world.network);
        same.map_err(|difference| difference.at(trigger))?;
        Ok(1)
    }

    fn with_surplus(&self, world: &World, work: &mut Work) -> Result<u64, Difference> {
        let mut host = self.copy(world);
        let deliveries = self.script(&host, &world.network)?;
        self.take(&mut host, &world.network, work)?;
        let is_vote = |delivery: &Delivery| match delivery {
            Delivery::Message { message, .. } => !matches!(message, Message::StateData(_)),
            Delivery::Client(_) | Delivery::Timer(_) | Delivery::Suspect => false,
        };
        let mut surplus: Vec<_> = deliveries.into_iter().filter(is_vote).collect();
        if let model::Action::Commit { slot, .. } = *self.action {
            let view = self.before.replica(self.action.replica()).view;
            let source = Source { vocabulary: self.vocabulary, network: &world.network };
            let value = self.before.replica(self.action.replica()).accepted[slot.index()];
            surplus.extend(self.prepares(&source, view, slot, value));
        }
        for delivery in &surplus {
            let outcome = host.deliver(self.vocabulary, delivery)?;
            work.steps += 1;
            work.tally.outcome(&outcome);
            if let Ok(seen) = &outcome {
                silent(seen, delivery)?;
            }
        }
        self.compare_at_rest(&host, self.after)?;
        Ok(1)
    }

    fn after_stale_messages(&self, world: &World, work: &mut Work) -> Result<u64, Difference> {
        let mut host = self.copy(world);
        let replica = self.before.replica(self.action.replica());
        let over = |sent: &Sent| match *sent {
            Sent::PrePrepare(view, slot, _)
            | Sent::Prepare(view, slot, _)
            | Sent::Commit(view, slot, _) => view < replica.view || slot <= replica.low_water_mark,
            Sent::ViewChange(view, _) => {
                view < replica.view || (view == replica.view && replica.active)
            }
            Sent::NewView(view, _) => {
                view < replica.view || (view == replica.view && replica.active)
            }
            Sent::Checkpoint(slot, _) => slot <= replica.low_water_mark,
        };
        let all = (0..self.vocabulary.config.replicas()).map(model::ReplicaId);
        for sender in all.filter(|sender| *sender != self.action.replica()) {
            for (_, message) in world.network.of(sender).filter(|(sent, _)| over(sent)) {
                let delivery =
                    Delivery::Message { from: replica_id(sender), message: message.clone() };
                self.changes_nothing(&mut host, &delivery, work)?;
            }
        }
        self.take(&mut host, &world.network, work)?;
        Ok(1)
    }

    fn with_crashes(&self, world: &World, work: &mut Work) -> Result<u64, Difference> {
        let deliveries = self.script(&self.copy(world), &world.network)?;
        for before in 0..deliveries.len() {
            let mut host = self.copy(world);
            for delivery in &deliveries[..before] {
                self.deliver(&mut host, delivery, work)?;
            }
            host.restart()?;
            let restarted = |difference: Difference| difference.with(Fact::Restarted);
            let at_rest = self.compare_at_rest(&host, self.before);
            at_rest.map_err(|difference| restarted(difference.given(Given::Start)))?;
            self.take(&mut host, &world.network, work).map_err(restarted)?;
        }
        Ok(deliveries.len() as u64)
    }

    /// Whatever is refused, or known already, changes nothing.
    fn changes_nothing(
        &self,
        host: &mut CoreHost,
        delivery: &Delivery,
        work: &mut Work,
    ) -> Result<(), Difference> {
        let before = host.replica().clone();
        let outcome = host.deliver(self.vocabulary, delivery)?;
        work.steps += 1;
        work.tally.outcome(&outcome);
        match outcome {
            Err(_) if *host.replica() == before => Ok(()),
            Err(rejection) => {
                let what = format!("{} refused ({rejection}), and changed", describe(delivery));
                let difference = Difference::new(Kind::StateChanged, what).at(delivery);
                Err(difference.with(Fact::Refused(rejection.kind())))
            }
            Ok(seen) => silent(&seen, delivery),
        }
    }

    /// State and timer between steps.
    fn compare_at_rest(&self, host: &CoreHost, state: &model::State) -> Result<(), Difference> {
        let replica = self.action.replica();
        compare_state(self.vocabulary, state, replica, host)?;
        let says = host.is_timer_running();
        host.timer().compare(self.vocabulary, state.replica(replica), says)
    }

    fn prepares(
        &self,
        source: &Source<'_>,
        view: model::View,
        slot: model::Slot,
        value: model::Value,
    ) -> Vec<Delivery> {
        let votes = source.prepares(view, slot, value).into_iter();
        self.of_others(votes.map(|vote| (vote.body.replica, Message::Prepare(vote))))
    }

    fn commits(
        &self,
        source: &Source<'_>,
        view: model::View,
        slot: model::Slot,
        value: model::Value,
    ) -> Vec<Delivery> {
        let votes = source.commits(view, slot, value).into_iter();
        self.of_others(votes.map(|vote| (vote.body.replica, Message::Commit(vote))))
    }

    /// The votes but the replica's own, each from who cast it.
    fn of_others(&self, votes: impl Iterator<Item = (ReplicaId, Message)>) -> Vec<Delivery> {
        let own = replica_id(self.action.replica());
        let others = votes.filter(|&(from, _)| from != own);
        others.map(|(from, message)| Delivery::Message { from, message }).collect()
    }

    /// All votes of the view, those for high slots first, COMMITs before PREPAREs, and then the PRE-PREPARE if the step
    /// is to accept it. The replica goes as far as these lead it.
    fn after_all_votes(&self, world: &World, work: &mut Work) -> Result<u64, Difference> {
        let replica = self.before.replica(self.action.replica());
        let accepts = match *self.action {
            model::Action::Prepare { slot, value, .. } => Some((slot, value)),
            model::Action::Commit { .. } => None,
            model::Action::Execute { view, .. } if replica.active && view == replica.view => None,
            _ => return Ok(0),
        };
        let mut values = replica.accepted;
        if let Some((slot, value)) = accepts {
            values[slot.index()] = value;
        }
        let source = Source { vocabulary: self.vocabulary, network: &world.network };
        let slots: Vec<_> =
            values.iter().enumerate().filter(|(_, value)| value.is_some()).collect();
        let mut deliveries = Vec::new();
        for (index, value) in slots.iter().rev() {
            deliveries.extend(self.commits(
                &source,
                replica.view,
                model::Slot::at(*index),
                **value,
            ));
        }
        for (index, value) in slots.iter().rev() {
            deliveries.extend(self.prepares(
                &source,
                replica.view,
                model::Slot::at(*index),
                **value,
            ));
        }
        if accepts.is_some() {
            deliveries.extend(self.script(&self.copy(world), &world.network)?);
        }
        let path = self.as_far_as(&source, accepts.is_some());
        let mut host = self.copy(world);
        let mut seen = Observation::default();
        for delivery in &deliveries {
            let outcome = host.deliver(self.vocabulary, delivery)?;
            work.steps += 1;
            work.tally.outcome(&outcome);
            // Votes that came before are known, those for what is over are too late.
            if let Ok(more) = outcome {
                seen.extend(more);
            }
        }
        self.compare(&mut host, &path, &seen, &world.network)?;
        Ok(1)
    }

    /// The way on which the votes of its view lead the replica, with the step on it.
    fn as_far_as(&self, source: &Source<'_>, accepts: bool) -> Vec<(model::Action, model::State)> {
        let mut path = Vec::new();
        self.advance(source, &mut path);
        let here = path.last().map_or(self.before, |(_, state): &(_, model::State)| state);
        if accepts && let Some(next) = self.model.next_state(here, *self.action) {
            path.push((*self.action, next));
            self.advance(source, &mut path);
        }
        path
    }

    fn advance(&self, source: &Source<'_>, path: &mut Vec<(model::Action, model::State)>) {
        let own = self.action.replica();
        let quorum = self.vocabulary.quorum();
        let mut actions = Vec::new();
        loop {
            let state = path.last().map_or(self.before, |(_, state)| state);
            let replica = state.replica(own);
            let is_next = |action: &model::Action| match *action {
                model::Action::Commit { replica, .. } => replica == own,
                // By votes one by one, a batch is final where it prepared; others may know of a later view.
                model::Action::Execute { replica: by, value, .. } => {
                    let slot = replica.last_executed.next();
                    let here = Some(model::Certificate { view: replica.view, value });
                    let votes = || self.commits(source, replica.view, slot, value).len() + 1;
                    by == own && replica.certificates[slot.index()] == here && votes() >= quorum
                }
                _ => false,
            };
            actions.clear();
            self.model.actions(state, &mut actions);
            let Some(next) = actions.iter().copied().find(is_next) else { return };
            match self.model.next_state(state, next) {
                Some(after) => path.push((next, after)),
                None => return,
            }
        }
    }
}

/// Nothing happened that the model would call a step.
fn silent(seen: &Observation, delivery: &Delivery) -> Result<(), Difference> {
    match seen.is_silent() {
        true => Ok(()),
        false => {
            let what = format!("acted on {}, which is of no use", describe(delivery));
            let difference = Difference::new(Kind::Early, what).at(delivery);
            Err(difference.with_deeds(seen.deeds()))
        }
    }
}
