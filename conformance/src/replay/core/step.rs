//! One step of the replay on the core: deliver what the action needs, and compare everything.

use crate::divergence::{Difference, Kind};
use crate::refinement::action::{Actor, Delivery, Script};
use crate::refinement::byzantine::{Missing, Source};
use crate::refinement::layout;
use crate::refinement::message::Sent;
use crate::refinement::network::Network;
use crate::refinement::pick::Pick;
use crate::refinement::vocabulary::{Vocabulary, replica_id, seq};
use crate::replay::core::compare::compare_state;
use crate::signpost::Fact;
use crate::signpost::given::Given;
use crate::subject::host::CoreHost;
use crate::subject::tally::Tally;
use crate::subject::world::{World, describe, refused};
use crate::subject::{Observation, Subject};
use pbft_core::message::{Message, StateData, StatePart};
use pbft_core::types::ReplicaId;
use pbft_core::{Rejection, RejectionKind};
use pbft_model as model;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How much work a replay did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Inputs given to replicas.
    pub steps: u64,
    /// Inputs that had to be refused, or to change nothing.
    pub probes: u64,
    /// Schedules tried, by name, see [`crate::replay::core::schedule`].
    pub schedules: BTreeMap<&'static str, u64>,
    /// What was seen.
    pub tally: Tally,
}

/// One step in so many is taken by a replica that has just been started again.
const RESTART_EVERY: u64 = 7;

/// One step.
pub struct Step<'a> {
    /// The model.
    pub model: &'a model::Pbft,
    /// The dictionary.
    pub vocabulary: &'a Vocabulary,
    /// The state before.
    pub before: &'a model::State,
    /// The action.
    pub action: &'a model::Action,
    /// The state after.
    pub after: &'a model::State,
    /// Selects among equivalent deliveries.
    pub choice: u64,
}

impl Step<'_> {
    /// Whether the replica is started again before it takes the step.
    pub fn is_after_restart(&self) -> bool {
        self.choice.is_multiple_of(RESTART_EVERY)
    }

    /// Takes the step in `world`: the world after it, or how code and model differ.
    pub fn replay(&self, world: &World, work: &mut Work) -> Result<World, Difference> {
        let replica = self.action.replica();
        let mut host = CoreHost::clone(world.host(replica));
        let restarted = self.is_after_restart();
        if restarted {
            host.restart().map_err(|difference| difference.given(Given::Start))?;
        }
        let sent = self.take(&mut host, &world.network, work);
        let sent = sent.map_err(|difference| match restarted {
            true => difference.with(Fact::Restarted),
            false => difference,
        })?;
        let mut next = world.clone();
        next.network.add(replica, sent);
        next.set_host(replica, host);
        Ok(next)
    }

    /// Takes the step on one replica: the messages that it sent, or how code and model differ.
    pub fn take<S: Subject>(
        &self,
        subject: &mut S,
        network: &Network,
        work: &mut Work,
    ) -> Result<Vec<(Sent, Message)>, Difference> {
        let pick = Pick::seeded(self.choice);
        self.take_with(subject, network, work, pick).map(|(sent, _)| sent)
    }

    /// The same with the messages that `pick` selects; and `pick`, with all questions asked.
    pub(crate) fn take_with<S: Subject>(
        &self,
        subject: &mut S,
        network: &Network,
        work: &mut Work,
        pick: Pick,
    ) -> Result<(Vec<(Sent, Message)>, Pick), Difference> {
        let script = Script {
            model: self.model,
            state: self.before,
            source: Source { vocabulary: self.vocabulary, network },
            pick,
        };
        let actor = Actor { timer_running: subject.is_timer_running() };
        let deliveries =
            script.deliveries(self.action, actor).map_err(|missing| harness(&missing))?;
        let Some((trigger, earlier)) = deliveries.split_last() else {
            return Err(Difference::new(Kind::Harness, "the action needs no delivery"));
        };
        for delivery in earlier {
            let seen = self.deliver(subject, delivery, work)?;
            if !seen.is_silent() {
                return Err(early(&seen, delivery));
            }
        }
        let seen = self.trigger(subject, trigger, work)?;
        let path = [(*self.action, self.after.clone())];
        let sent = self.compare(subject, &path, &seen, network);
        let sent = sent.map_err(|difference| difference.at(trigger))?;
        work.tally.step(self.model, self.before, self.action, trigger);
        Ok((sent, script.pick))
    }

    /// The step is one that the model allows and the core declines: nothing may come of what it needs.
    pub(crate) fn is_declined(&self, world: &World, work: &mut Work) -> Result<(), Difference> {
        let mut host = CoreHost::clone(world.host(self.action.replica()));
        let source = Source { vocabulary: self.vocabulary, network: &world.network };
        let pick = Pick::seeded(self.choice);
        let script = Script { model: self.model, state: self.before, source, pick };
        let actor = Actor { timer_running: host.is_timer_running() };
        let deliveries = script.deliveries(self.action, actor);
        for delivery in deliveries.map_err(|missing| harness(&missing))? {
            work.steps += 1;
            let outcome = host.deliver(self.vocabulary, &delivery)?;
            work.tally.outcome(&outcome);
            match outcome {
                Err(Rejection::OldTimestamp { .. }) => {}
                Err(other) => return Err(refused(&delivery, &other)),
                Ok(seen) if seen.is_silent() => {}
                Ok(seen) => return Err(early(&seen, &delivery)),
            }
        }
        compare_state(self.vocabulary, self.before, self.action.replica(), &host)
    }

    pub(crate) fn deliver<S: Subject>(
        &self,
        subject: &mut S,
        delivery: &Delivery,
        work: &mut Work,
    ) -> Result<Observation, Difference> {
        work.steps += 1;
        let outcome = subject.deliver(self.vocabulary, delivery);
        let outcome = outcome.map_err(|difference| difference.at(delivery))?;
        work.tally.outcome(&outcome);
        outcome.map_err(|rejection| refused(delivery, &rejection))
    }

    /// The last delivery, and what the replica then asks for: batches and state.
    pub(crate) fn trigger<S: Subject>(
        &self,
        subject: &mut S,
        trigger: &Delivery,
        work: &mut Work,
    ) -> Result<Observation, Difference> {
        let mut seen = self.deliver(subject, trigger, work)?;
        let mut answered = 0;
        loop {
            let answers = self.answers(&seen);
            let Some(answer) = answers.get(answered) else { break };
            answered += 1;
            if let Delivery::Message { message: Message::StateData(data), from } = answer {
                self.lie_about_state(subject, *from, data, work)?;
            }
            seen.extend(self.deliver(subject, answer, work)?);
        }
        Ok(seen)
    }

    /// What peers send when they are asked. Of several that are asked for the same part of a state, the first answers.
    pub(crate) fn answers(&self, seen: &Observation) -> Vec<Delivery> {
        let own = replica_id(self.action.replica());
        let peer = self.vocabulary.membership().others(own).next().unwrap_or(own);
        let batches = seen.broadcasts.iter().filter_map(|message| match message {
            Message::FetchBatch(digest) => {
                let batch = self.vocabulary.batch(self.vocabulary.value(*digest)?);
                Some(Delivery::Message { from: peer, message: Message::Batch(batch) })
            }
            _ => None,
        });
        let model::Action::StateTransfer { slot, digest, .. } = self.action else {
            return batches.collect();
        };
        let mut asked = BTreeSet::new();
        let parts = seen.sends.iter().filter_map(|(to, message)| match message {
            Message::FetchState(fetch) if asked.insert((fetch.seq, fetch.part)) => {
                let data = self.state_data(*slot, digest, fetch.part)?;
                Some(Delivery::Message { from: *to, message: Message::StateData(data) })
            }
            _ => None,
        });
        batches.chain(parts).collect()
    }

    fn state_data(
        &self,
        slot: model::Slot,
        state: &model::StateDigest,
        part: StatePart,
    ) -> Option<Arc<StateData>> {
        let layout::State { manifest, chunks } = self.vocabulary.state(slot, state);
        let bytes = match part {
            StatePart::Manifest => manifest,
            StatePart::Chunk(index) => chunks.into_iter().nth(index as usize)?,
        };
        Some(Arc::new(StateData { seq: seq(slot), part, bytes: bytes.into() }))
    }

    /// A source that lies: the bytes of another state must be refused.
    fn lie_about_state<S: Subject>(
        &self,
        subject: &mut S,
        from: ReplicaId,
        data: &StateData,
        work: &mut Work,
    ) -> Result<(), Difference> {
        let mut bytes = data.bytes.to_vec();
        match bytes.last_mut() {
            Some(last) => *last ^= 1,
            None => bytes.push(1),
        }
        let lie = StateData { bytes: bytes.into(), ..data.clone() };
        let message = Message::StateData(Arc::new(lie));
        work.probes += 1;
        let outcome = subject.deliver(self.vocabulary, &Delivery::Message { from, message })?;
        work.tally.outcome(&outcome);
        match outcome {
            Err(Rejection::WrongStateData { .. } | Rejection::UnreadableStateData) => Ok(()),
            Err(other) => {
                let what = format!("false state data refused as: {other}");
                Err(Difference::new(Kind::WrongRejection, what).with(Fact::Refused(other.kind())))
            }
            Ok(_) => {
                Err(Difference::new(Kind::Accepted, "state data with a wrong digest accepted"))
            }
        }
        .map_err(|difference| {
            difference.with(Fact::MustRefuse(RejectionKind::WrongStateData)).given(Given::StateData)
        })
    }
}

fn harness(missing: &Missing) -> Difference {
    Difference::new(Kind::Harness, missing.to_string())
}

pub(crate) fn early(seen: &Observation, delivery: &Delivery) -> Difference {
    let mut diff = vec!["- nothing yet".to_owned()];
    diff.extend(seen.broadcasts.iter().map(|message| format!("+ broadcast {}", message.kind())));
    diff.extend(seen.executed.iter().map(|(seq, _)| format!("+ execute {seq}")));
    diff.extend(seen.halted.iter().map(|reason| format!("+ halt: {reason}")));
    if diff.len() == 1 {
        diff.push(format!("+ {} records written", seen.records));
    }
    let what = format!("acted already at {}", describe(delivery));
    let difference = Difference::new(Kind::Early, what).with_diff(diff);
    difference.with_deeds(seen.deeds()).at(delivery)
}
