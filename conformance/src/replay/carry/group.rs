//! A group of replicas whose remainders are known: how it takes a step, and how it is given what it does not need.

use super::held::Held;
use super::leftover::Leftover;
use crate::divergence::{Difference, Kind};
use crate::refinement::action::{Actor, Delivery, Script};
use crate::refinement::byzantine::{Missing, Source};
use crate::refinement::pick::Pick;
use crate::refinement::vocabulary::{Vocabulary, model_slot};
use crate::replay::core::compare::compare_state;
use crate::replay::core::step::{Step, Work, early};
use crate::replay::grain::Walked;
use crate::signpost::Fact;
use crate::signpost::given::Given;
use crate::subject::host::CoreHost;
use crate::subject::world::{World, describe};
use crate::subject::{Observation, Subject};
use pbft_core::message::Message;
use pbft_model as model;
use stateright::Model;
use std::fmt::Debug;

/// A state of the model, replicas that are in it, and what they hold besides.
#[derive(Clone)]
pub struct Group {
    /// The state.
    pub state: model::State,
    /// The replicas, and what they have sent.
    pub world: World,
    held: Vec<Held>,
}

impl Group {
    /// Everybody at the start.
    pub fn new(vocabulary: &Vocabulary) -> Self {
        let replicas = usize::from(vocabulary.config.replicas());
        Self {
            state: model::State::initial(&vocabulary.config),
            world: World::new(vocabulary),
            held: vec![Held::default(); replicas],
        }
    }

    /// What a replica is, has said and holds, as far as it shows itself: its whole state has no other form that could be
    /// compared, and none is made for this.
    pub fn whole(&self, replica: model::ReplicaId) -> impl Debug + '_ {
        let sent: Vec<_> = self.world.network.of(replica).collect();
        (self.world.host(replica).whole(), sent, self.held(replica))
    }

    /// What a replica holds.
    pub fn held(&self, replica: model::ReplicaId) -> &Held {
        &self.held[replica.index()]
    }
}

/// How a step is taken.
pub struct Manner {
    /// Which of the messages that would do.
    pub pick: Pick,
    /// Whether the replica is started again before.
    pub restart: bool,
    /// Selects the probes that come with the comparison of a restart.
    pub choice: u64,
}

/// Takes steps and gives leftovers.
#[derive(Clone, Copy)]
pub struct Carry<'a> {
    /// The model.
    pub model: &'a model::Pbft,
    /// The dictionary.
    pub vocabulary: &'a Vocabulary,
}

/// Steps of one replica that follow from one another.
type Path = Vec<(model::Action, model::State)>;

impl Carry<'_> {
    /// The steps that may be taken: those of the walked graph, but for a transfer to another checkpoint than the one that is
    /// being fetched.
    pub fn actions(&self, group: &Group) -> Vec<model::Action> {
        let walked = Walked { model: self.model.clone() };
        let mut actions = Vec::new();
        walked.actions(&group.state, &mut actions);
        actions.retain(|action| match *action {
            model::Action::StateTransfer { replica, slot, .. } => {
                group.held(replica).fetching().is_none_or(|(fetched, _)| fetched == slot)
            }
            _ => true,
        });
        actions
    }

    /// Takes a step, and those that follow from it with what the replica holds: the steps; the group is in the state after.
    pub fn take(
        &self,
        group: &mut Group,
        action: &model::Action,
        manner: Manner,
        work: &mut Work,
    ) -> Result<(Vec<model::Action>, Pick), Difference> {
        let own = action.replica();
        let mut host = CoreHost::clone(group.world.host(own));
        let mut held = group.held(own).clone();
        if manner.restart {
            host.restart().map_err(|difference| difference.given(Given::Start))?;
            held = Held::default();
        }
        let network = &group.world.network;
        let source = Source { vocabulary: self.vocabulary, network };
        let script = Script { model: self.model, state: &group.state, source, pick: manner.pick };
        // While it fetches a state it excuses its primary, but for somebody's word.
        let timer_running = host.is_timer_running() && held.fetching().is_none();
        let actor = Actor { timer_running };
        let all = script.deliveries(action, actor).map_err(|missing| harness(&missing))?;
        let deliveries = self.still_needed(group, action, &held, all);
        deliveries.iter().for_each(|delivery| held.note(self.vocabulary, delivery));
        let path = self.path(&group.state, own, Some(action), &mut held)?;
        let (first, after) = &path[0];
        let (before, choice) = (&group.state, manner.choice);
        let (model, vocabulary) = (self.model, self.vocabulary);
        let step = Step { model, vocabulary, before, action: first, after, choice };
        let Some((trigger, earlier)) = deliveries.split_last() else {
            return Err(Difference::new(Kind::Harness, "nothing is needed, and nothing was done"));
        };
        for delivery in earlier {
            let seen = step.deliver(&mut host, delivery, work)?;
            if !seen.is_silent() {
                return Err(early(&seen, delivery));
            }
        }
        let seen = step.trigger(&mut host, trigger, work)?;
        let sent = step.compare(&mut host, &path, &seen, network);
        let sent = sent.map_err(|difference| match manner.restart {
            true => difference.at(trigger).with(Fact::Restarted),
            false => difference.at(trigger),
        })?;
        work.tally.step(self.model, before, action, trigger);
        let steps = path.iter().map(|(action, _)| *action).collect();
        let pick = script.pick;
        if let Some((_, state)) = path.into_iter().next_back() {
            held.reached(state.replica(own).last_executed);
            group.state = state;
        }
        group.world.network.add(own, sent);
        group.world.set_host(own, host);
        group.held[own.index()] = held;
        Ok((steps, pick))
    }

    /// Of the messages that would do for a step, those that the replica does not hold, and no more of them than it lacks.
    fn still_needed(
        &self,
        group: &Group,
        action: &model::Action,
        held: &Held,
        mut all: Vec<Delivery>,
    ) -> Vec<Delivery> {
        let before = group.state.replica(action.replica());
        let is_vote = |delivery: &Delivery| {
            let Delivery::Message { message, .. } = delivery else { return false };
            matches!(message, Message::Prepare(_) | Message::Commit(_) | Message::Checkpoint(_))
        };
        let here = match *action {
            model::Action::Commit { slot, .. } => {
                held.prepares(before.view, slot, before.accepted[slot.index()])
            }
            model::Action::Execute { view, value, .. } => {
                held.commits(view, before.last_executed.next(), value)
            }
            model::Action::Stabilise { slot, .. } => {
                let own = before.sent.checkpoints[slot.index()].unwrap_or_default();
                held.checkpoints(slot, self.vocabulary.state(slot, &own).digest())
            }
            model::Action::StateTransfer { slot, ref digest, .. } => {
                if let Some((_, parts)) = held.fetching() {
                    return parts.to_vec();
                }
                held.checkpoints(slot, self.vocabulary.state(slot, digest).digest())
            }
            _ => return all,
        };
        let mut lacking = all.iter().filter(|delivery| is_vote(delivery)).count();
        lacking = lacking.saturating_sub(here);
        all.retain(|delivery| {
            if !is_vote(delivery) {
                return true;
            }
            let take = lacking > 0 && !held.has(self.vocabulary, delivery);
            lacking -= usize::from(take);
            take
        });
        all
    }

    /// The step, and those that the replica takes with it because it holds what they need.
    fn path(
        &self,
        from: &model::State,
        own: model::ReplicaId,
        first: Option<&model::Action>,
        held: &mut Held,
    ) -> Result<Path, Difference> {
        let no_next = || Difference::new(Kind::Harness, "the model's action has no next state");
        let mut path: Path = Vec::new();
        if let Some(action) = first {
            let after = self.model.next_state(from, *action).ok_or_else(no_next)?;
            path.push((*action, after));
        }
        let mut actions = Vec::new();
        loop {
            let here = path.last().map_or(from, |(_, state)| state);
            held.settle(self.vocabulary, here.replica(own));
            actions.clear();
            self.model.actions(here, &mut actions);
            let follows = |action: &&model::Action| self.follows(here, own, action, held);
            let Some(next) = actions.iter().find(follows) else { return Ok(path) };
            let after = self.model.next_state(here, *next).ok_or_else(no_next)?;
            path.push((*next, after));
        }
    }

    /// Whether the replica takes a step without a further message.
    fn follows(
        &self,
        state: &model::State,
        own: model::ReplicaId,
        action: &model::Action,
        held: &Held,
    ) -> bool {
        let me = state.replica(own);
        let backup = usize::from(self.model.primary(me.view) != own);
        match *action {
            _ if action.replica() != own => false,
            model::Action::Commit { slot, .. } => {
                let here = held.prepares(me.view, slot, me.accepted[slot.index()]);
                here + backup >= self.vocabulary.prepares()
            }
            model::Action::Execute { value, .. } => held.is_final(me.last_executed.next(), value),
            model::Action::Stabilise { slot, .. } => {
                me.sent.checkpoints[slot.index()].is_some_and(|state| {
                    let digest = self.vocabulary.state(slot, &state).digest();
                    held.checkpoints(slot, digest) + 1 >= self.vocabulary.quorum()
                })
            }
            _ => false,
        }
    }

    /// Whether a vote may be given: no step follows from it, and no transfer is planned for it.
    fn may_be_given(
        &self,
        group: &Group,
        own: model::ReplicaId,
        delivery: &Delivery,
    ) -> Result<bool, Difference> {
        let mut held = group.held(own).clone();
        held.note(self.vocabulary, delivery);
        if let Delivery::Message { message: Message::Checkpoint(vote), .. } = delivery
            && let Some(slot) = model_slot(vote.body.seq)
            && held.checkpoints(slot, vote.body.digest) >= self.vocabulary.quorum()
        {
            return Ok(false);
        }
        Ok(self.path(&group.state, own, None, &mut held)?.is_empty())
    }

    /// Gives a replica something that it does not need, if no step would follow from it: whether it was given, and whether
    /// it stayed.
    pub fn give(
        &self,
        group: &mut Group,
        own: model::ReplicaId,
        kind: Leftover,
        delivery: &Delivery,
        work: &mut Work,
    ) -> Result<Option<bool>, Difference> {
        if !self.may_be_given(group, own, delivery)? {
            return Ok(None);
        }
        let by = |difference: Difference| difference.at(delivery).by_probe("leftover", kind.name());
        let mut host = CoreHost::clone(group.world.host(own));
        let before = host.replica().clone();
        let outcome = host.deliver(self.vocabulary, delivery).map_err(by)?;
        work.steps += 1;
        work.tally.outcome(&outcome);
        let stayed = *host.replica() != before;
        match outcome {
            Err(rejection) if stayed || kind.is_taken() => {
                let what = format!("{} refused: {rejection}", describe(delivery));
                let differs = if stayed { Kind::StateChanged } else { Kind::Refused };
                let difference = Difference::new(differs, what);
                return Err(by(difference.with(Fact::Refused(rejection.kind()))));
            }
            Err(_) => {}
            Ok(seen) => {
                self.nothing_came(own, group, kind, &seen).map_err(by)?;
                let held = &mut group.held[own.index()];
                held.note(self.vocabulary, delivery);
                held.settle(self.vocabulary, group.state.replica(own));
            }
        }
        self.at_rest(&group.state, own, &host).map_err(by)?;
        group.world.set_host(own, host);
        Ok(Some(stayed))
    }

    /// Nothing that the model would call a step; but an answer that is given again.
    fn nothing_came(
        &self,
        own: model::ReplicaId,
        group: &Group,
        kind: Leftover,
        seen: &Observation,
    ) -> Result<(), Difference> {
        let mut rest = seen.clone();
        // At a tick a replica repeats what it has said.
        let is_new = |message: &Message| {
            let mut said = group.world.network.of(own);
            !said.any(|(_, known)| known == message)
        };
        rest.broadcasts.retain(is_new);
        rest.sends.retain(|(_, message)| is_new(message));
        if kind == Leftover::LateRequest {
            let table = group.world.host(own).summary().replies;
            rest.replies.retain(|reply| {
                let body = &reply.body;
                let last = table.last(body.client, body.lane);
                last.is_none_or(|last| {
                    (last.timestamp, &last.result) != (body.timestamp, &body.result)
                })
            });
        }
        match rest.is_silent() {
            true => Ok(()),
            false => {
                let difference = Difference::new(Kind::Early, "acted on what it does not need");
                Err(difference.with_deeds(rest.deeds()))
            }
        }
    }

    /// State and timer of a replica that has taken no step.
    fn at_rest(
        &self,
        state: &model::State,
        own: model::ReplicaId,
        host: &CoreHost,
    ) -> Result<(), Difference> {
        compare_state(self.vocabulary, state, own, host)?;
        let says = host.is_timer_running();
        host.timer().compare(self.vocabulary, state.replica(own), says)
    }

    /// Begins a transfer that `action` would complete, and keeps back all parts but the first: whether there was more to
    /// fetch than that.
    pub fn begin_transfer(
        &self,
        group: &mut Group,
        action: &model::Action,
        choice: u64,
        work: &mut Work,
    ) -> Result<bool, Difference> {
        let model::Action::StateTransfer { replica: own, slot, .. } = *action else {
            return Ok(false);
        };
        if group.held(own).fetching().is_some() {
            return Ok(false);
        }
        let kind = Leftover::StatePart;
        let by = |difference: Difference| difference.by_probe("leftover", kind.name());
        let mut host = CoreHost::clone(group.world.host(own));
        let mut held = group.held(own).clone();
        let source = Source { vocabulary: self.vocabulary, network: &group.world.network };
        let pick = Pick::seeded(choice);
        let script = Script { model: self.model, state: &group.state, source, pick };
        let actor = Actor { timer_running: host.is_timer_running() };
        let all = script.deliveries(action, actor).map_err(|missing| harness(&missing))?;
        let (before, after) = (&group.state, &group.state);
        let (model, vocabulary) = (self.model, self.vocabulary);
        let step = Step { model, vocabulary, before, action, after, choice };
        let mut seen = Observation::default();
        for delivery in self.still_needed(group, action, &held, all) {
            held.note(self.vocabulary, &delivery);
            seen.extend(step.deliver(&mut host, &delivery, work).map_err(by)?);
        }
        let Some(manifest) = step.answers(&seen).into_iter().next() else { return Ok(false) };
        let more = step.deliver(&mut host, &manifest, work).map_err(by)?;
        if more.installed.is_some() {
            return Ok(false);
        }
        let on_their_way = step.answers(&more);
        seen.extend(more);
        self.nothing_came(own, group, kind, &seen).map_err(by)?;
        held.begin_fetching(slot, on_their_way);
        self.at_rest(&group.state, own, &host).map_err(by)?;
        group.world.set_host(own, host);
        group.held[own.index()] = held;
        Ok(true)
    }
}

fn harness(missing: &Missing) -> Difference {
    Difference::new(Kind::Harness, missing.to_string())
}
