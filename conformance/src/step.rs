//! One step of the replay on the core: deliver what the action needs, and compare everything.

use crate::divergence::{Difference, Kind};
use crate::host::{Host, Observation, Restarted, Subject, is_retransmission};
use crate::network::Network;
use crate::probe::{Place, reaction};
use crate::refinement::action::{Actor, Delivery, Script};
use crate::refinement::byzantine::{Missing, Source};
use crate::refinement::message::{self, Sent};
use crate::refinement::state::Local;
use crate::refinement::vocabulary::{Vocabulary, model_slot, replica_id, view as core_view};
use crate::service;
use pbft_core::Rejection;
use pbft_core::message::{Message, Reply, StateData, StatePart};
use pbft_core::types::ReplicaId;
use pbft_model as model;
use std::sync::Arc;

/// The replicas of a replay, and the network between them. Cheap to clone.
#[derive(Clone)]
pub struct World {
    hosts: Vec<Arc<Host>>,
    /// What honest replicas have sent.
    pub network: Network,
}

impl World {
    /// Everybody at the start.
    pub fn new(vocabulary: &Vocabulary) -> Self {
        let replicas = vocabulary.config.replicas();
        let hosts = (0..replicas).map(|id| Arc::new(Host::new(vocabulary, model::ReplicaId(id))));
        Self { hosts: hosts.collect(), network: Network::new(replicas) }
    }

    /// A replica.
    pub fn host(&self, replica: model::ReplicaId) -> &Host {
        &self.hosts[replica.index()]
    }
}

/// How much work a replay did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Inputs given to replicas.
    pub steps: u64,
    /// Inputs that had to be refused, or to change nothing.
    pub probes: u64,
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
    /// Takes the step in `world`: the world after it, or how code and model differ.
    pub fn replay(&self, world: &World, work: &mut Work) -> Result<World, Difference> {
        let replica = self.action.replica();
        let mut host = Host::clone(world.host(replica));
        if self.choice.is_multiple_of(RESTART_EVERY) {
            host.restart(self.vocabulary);
        }
        let sent = self.take(&mut host, &world.network, work)?;
        let mut next = world.clone();
        next.network.add(replica, sent);
        next.hosts[replica.index()] = Arc::new(host);
        Ok(next)
    }

    /// Takes the step on one replica: the messages that it sent, or how code and model differ.
    pub fn take<S: Subject>(
        &self,
        subject: &mut S,
        network: &Network,
        work: &mut Work,
    ) -> Result<Vec<(Sent, Message)>, Difference> {
        let script = Script {
            model: self.model,
            state: self.before,
            source: Source { vocabulary: self.vocabulary, network },
            choice: self.choice,
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
        self.compare(subject, &seen, network)
    }

    fn deliver<S: Subject>(
        &self,
        subject: &mut S,
        delivery: &Delivery,
        work: &mut Work,
    ) -> Result<Observation, Difference> {
        work.steps += 1;
        subject.deliver(self.vocabulary, delivery)?.map_err(|rejection| {
            let what = format!("refused {}: {rejection}", describe(delivery));
            let diff = vec!["- accepted".to_owned(), format!("+ {rejection:?}")];
            Difference::new(Kind::Refused, what).with_diff(diff)
        })
    }

    /// The last delivery, and what the replica then asks for: batches and state.
    fn trigger<S: Subject>(
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

    /// What peers send when they are asked.
    fn answers(&self, seen: &Observation) -> Vec<Delivery> {
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
        let parts = seen.sends.iter().filter_map(|(to, message)| match message {
            Message::FetchState(fetch) => {
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
        let manifest = self.vocabulary.manifest(slot, state);
        let bytes = match part {
            StatePart::Manifest => manifest.encode(),
            StatePart::Chunk(index) => {
                self.vocabulary.chunks(state).into_iter().nth(index as usize)?
            }
        };
        Some(Arc::new(StateData { seq: manifest.seq, part, bytes: bytes.into() }))
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
        match subject.deliver(self.vocabulary, &Delivery::Message { from, message })? {
            Err(Rejection::WrongStateData { .. } | Rejection::UnreadableStateData) => Ok(()),
            Err(other) => Err(Difference::new(
                Kind::WrongRejection,
                format!("false state data refused as: {other}"),
            )),
            Ok(_) => {
                Err(Difference::new(Kind::Accepted, "state data with a wrong digest accepted"))
            }
        }
    }

    /// Messages, execution, state and durable record after the step.
    fn compare<S: Subject>(
        &self,
        subject: &mut S,
        seen: &Observation,
        network: &Network,
    ) -> Result<Vec<(Sent, Message)>, Difference> {
        if let Some(reason) = &seen.halted {
            return Err(Difference::new(Kind::Halted, reason.clone()));
        }
        if let Some(message) = &seen.undurable {
            let what = format!("{} sent before it was durable", message.kind());
            return Err(Difference::new(Kind::NotDurable, what));
        }
        let sent = self.compare_messages(seen, network)?;
        self.compare_execution(seen)?;
        compare_state(self.vocabulary, self.after, self.action.replica(), subject)?;
        let mut known = network.clone();
        known.add(self.action.replica(), sent.clone());
        let place = self.place_after(&known);
        compare_restart(&place, subject)?;
        Ok(sent)
    }

    /// The place where the step has led its replica.
    fn place_after<'n>(&'n self, network: &'n Network) -> Place<'n> {
        let source = Source { vocabulary: self.vocabulary, network };
        Place { source, model: self.model, state: self.after, own: self.action.replica() }
    }

    fn compare_messages(
        &self,
        seen: &Observation,
        network: &Network,
    ) -> Result<Vec<(Sent, Message)>, Difference> {
        let replica = self.action.replica();
        let leads = |view| self.model.primary(view) == replica;
        let before = message::of_model(leads, &self.before.replica(replica).sent);
        let mut expected = message::of_model(leads, &self.after.replica(replica).sent);
        expected.retain(|sent| !before.contains(sent));
        let own = self.after.replica(replica).digest();
        let mut got = Vec::new();
        for message in &seen.broadcasts {
            let mapped = message::of_core(self.vocabulary, message, &own);
            got.extend(mapped.map_err(|no_image| {
                Difference::new(Kind::Messages, format!("{} sent: {no_image}", message.kind()))
            })?);
        }
        // The same message again, bit for bit, is a retransmission.
        got.retain(|(sent, message)| network.get(replica, sent) != Some(message));
        let unexpected = seen.sends.iter().find(|(_, message)| !is_retransmission(message));
        if let Some((to, message)) = unexpected {
            let what = format!("{} sent to {to} alone", message.kind());
            return Err(Difference::new(Kind::Messages, what));
        }
        let mut got_sent: Vec<Sent> = got.iter().map(|(sent, _)| *sent).collect();
        got_sent.sort_unstable();
        expected.sort_unstable();
        if got_sent == expected {
            return Ok(got);
        }
        let missing = expected.iter().filter(|sent| !got_sent.contains(sent));
        let surplus = got_sent.iter().filter(|sent| !expected.contains(sent));
        let mut diff: Vec<String> = missing.map(|sent| format!("- {sent}")).collect();
        diff.extend(surplus.map(|sent| format!("+ {sent}")));
        if diff.is_empty() {
            diff.push("+ a message twice".to_owned());
        }
        Err(Difference::new(Kind::Messages, "the messages differ").with_diff(diff))
    }

    /// The reply to a request that this step applies.
    fn expected_reply(&self, value: model::Value) -> Option<String> {
        let request = &self.vocabulary.request(value)?.body;
        let after = self.after.replica(self.action.replica());
        Some(show_reply(&Reply {
            view: core_view(after.view),
            client: request.client,
            lane: request.lane,
            timestamp: request.timestamp,
            replica: replica_id(self.action.replica()),
            result: service::result(after.applied.iter().count() - 1),
        }))
    }

    fn compare_execution(&self, seen: &Observation) -> Result<(), Difference> {
        let replica = self.action.replica();
        let (before, after) = (self.before.replica(replica), self.after.replica(replica));
        let mut expected = Vec::new();
        if let model::Action::Execute { value, .. } = self.action {
            let applied = after.applied.len() > before.applied.len();
            let applied = if applied { vec![*value] } else { Vec::new() };
            expected.push((after.last_executed, applied));
        }
        let slot = |(seq, applied): &(_, Vec<model::Value>)| {
            model_slot(*seq).map(|slot| (slot, applied.clone()))
        };
        let got: Vec<_> = seen.executed.iter().filter_map(slot).collect();
        let replied: Vec<_> = seen.replies.iter().map(|reply| show_reply(&reply.body)).collect();
        let answered = expected.iter().flat_map(|(_, applied)| applied);
        let answered: Vec<_> = answered.filter_map(|value| self.expected_reply(*value)).collect();
        if got == expected && seen.executed.len() == expected.len() && replied == answered {
            return Ok(());
        }
        let show = |executed: &[(model::Slot, Vec<model::Value>)], replies: &[String]| {
            let batches = executed.iter().map(|(slot, applied)| {
                let applied: Vec<_> = applied.iter().map(ToString::to_string).collect();
                format!("{slot} applies [{}]", applied.join(" "))
            });
            let batches: Vec<_> = batches.collect();
            format!("executed: {}; replies: {}", batches.join(", "), replies.join(", "))
        };
        let diff = vec![
            format!("- {}", show(&expected, &answered)),
            format!("+ {}", show(&got, &replied)),
        ];
        Err(Difference::new(Kind::Execution, "the execution differs").with_diff(diff))
    }
}

/// A reply in words, its signature left out.
fn show_reply(reply: &Reply) -> String {
    let Reply { view, client, lane, timestamp, replica, result } = reply;
    format!("{replica} to {client:?} {lane:?} {timestamp:?} in {view}: {result:?}")
}

/// α(core) = model, for one replica.
pub fn compare_state<S: Subject>(
    vocabulary: &Vocabulary,
    state: &model::State,
    replica: model::ReplicaId,
    subject: &S,
) -> Result<(), Difference> {
    let expected = Local::of_model(vocabulary, state.replica(replica));
    let got = Local::of_core(vocabulary, &subject.summary(), &subject.history())
        .map_err(|no_image| Difference::new(Kind::State, no_image.to_string()))?;
    match expected == got {
        true => Ok(()),
        false => Err(Difference::new(Kind::State, "the states differ after the step")
            .with_diff(expected.diff(&got))),
    }
}

/// A crash and a restart change nothing that the protocol knows, and an unfinished VIEW-CHANGE is repeated.
pub fn compare_restart<S: Subject>(place: &Place<'_>, subject: &mut S) -> Result<(), Difference> {
    let vocabulary = place.source.vocabulary;
    let before = subject.summary();
    let Some(Restarted { summary: after, said }) = subject.after_restart(vocabulary)? else {
        return Ok(());
    };
    if before == after {
        reaction::check_said(place, &said)?;
        let repeats = said.iter().any(|message| matches!(message, Message::ViewChange(_)));
        return match repeats || after.active {
            true => Ok(()),
            false => Err(Difference::new(Kind::Restart, "the VIEW-CHANGE is not repeated")),
        };
    }
    let what = "a crash and a restart from what is durable change the replica";
    let image = |summary| Local::of_core(vocabulary, summary, &subject.history());
    let diff = match (image(&before), image(&after)) {
        (Ok(before), Ok(after)) => before.diff(&after),
        (_, _) => vec![format!("- {before:?}"), format!("+ {after:?}")],
    };
    Err(Difference::new(Kind::Restart, what).with_diff(diff))
}

fn harness(missing: &Missing) -> Difference {
    Difference::new(Kind::Harness, missing.to_string())
}

fn early(seen: &Observation, delivery: &Delivery) -> Difference {
    let mut diff = vec!["- nothing yet".to_owned()];
    diff.extend(seen.broadcasts.iter().map(|message| format!("+ broadcast {}", message.kind())));
    diff.extend(seen.executed.iter().map(|(seq, _)| format!("+ execute {seq}")));
    diff.extend(seen.halted.iter().map(|reason| format!("+ halt: {reason}")));
    if diff.len() == 1 {
        diff.push(format!("+ {} records written", seen.records));
    }
    let what = format!("acted already at {}", describe(delivery));
    Difference::new(Kind::Early, what).with_diff(diff)
}

/// A delivery in words.
pub fn describe(delivery: &Delivery) -> String {
    match delivery {
        Delivery::Client(message) => format!("{} of a client", message.kind()),
        Delivery::Message { from, message } => format!("{} from {from}", message.kind()),
        Delivery::Timer(timer) => format!("timer {timer:?}"),
        Delivery::Suspect => "suspicion".to_owned(),
    }
}
