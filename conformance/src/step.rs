//! One step of the replay on the core: deliver what the action needs, and compare everything.

use crate::divergence::{Difference, Kind};
use crate::host::{Host, Observation, is_retransmission};
use crate::network::Network;
use crate::refinement::action::{Actor, Delivery, Script};
use crate::refinement::byzantine::{Missing, Source};
use crate::refinement::message::{self, Sent};
use crate::refinement::state::Local;
use crate::refinement::vocabulary::{Vocabulary, model_slot, replica_id};
use pbft_core::message::{Message, StateData, StatePart};
use pbft_core::types::ReplicaId;
use pbft_core::{Input, Rejection};
use pbft_model as model;
use std::panic::{AssertUnwindSafe, catch_unwind};
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
        let script = Script {
            model: self.model,
            state: self.before,
            source: Source { vocabulary: self.vocabulary, network: &world.network },
            choice: self.choice,
        };
        let actor = Actor { timer_running: host.replica.is_view_timer_running() };
        let deliveries =
            script.deliveries(self.action, actor).map_err(|missing| harness(&missing))?;
        let Some((trigger, earlier)) = deliveries.split_last() else {
            return Err(Difference::new(Kind::Harness, "the action needs no delivery"));
        };
        for delivery in earlier {
            self.deliver_silently(&mut host, delivery, work)?;
        }
        let seen = self.trigger(&mut host, trigger, work)?;
        let sent = self.compare(&host, &seen, &world.network)?;
        let mut next = world.clone();
        next.network.add(replica, sent);
        next.hosts[replica.index()] = Arc::new(host);
        Ok(next)
    }

    /// A delivery that is not the last one needed: nothing may happen yet.
    fn deliver_silently(
        &self,
        host: &mut Host,
        delivery: &Delivery,
        work: &mut Work,
    ) -> Result<(), Difference> {
        work.steps += 1;
        let seen = self.deliver(host, delivery)?;
        match seen.is_silent() {
            true => Ok(()),
            false => Err(early(&seen, delivery)),
        }
    }

    fn deliver(&self, host: &mut Host, delivery: &Delivery) -> Result<Observation, Difference> {
        let outcome = match input(self.vocabulary, delivery) {
            Ok(input) => step_caught(host, input)?,
            Err(rejection) => Err(rejection),
        };
        outcome.map_err(|rejection| {
            let what = format!("refused {}: {rejection}", describe(delivery));
            let diff = vec!["- accepted".to_owned(), format!("+ {rejection:?}")];
            Difference::new(Kind::Refused, what).with_diff(diff)
        })
    }

    /// The last delivery, and what the replica then asks for: batches and state.
    fn trigger(
        &self,
        host: &mut Host,
        trigger: &Delivery,
        work: &mut Work,
    ) -> Result<Observation, Difference> {
        work.steps += 1;
        let mut seen = self.deliver(host, trigger)?;
        let mut answered = 0;
        loop {
            let answers = self.answers(&seen);
            let Some(answer) = answers.get(answered) else { break };
            answered += 1;
            if let Delivery::Message { message: Message::StateData(data), from } = answer {
                self.lie_about_state(host, *from, data, work)?;
            }
            work.steps += 1;
            let more = self.deliver(host, answer)?;
            seen.broadcasts.extend(more.broadcasts);
            seen.sends.extend(more.sends);
            seen.executed.extend(more.executed);
            seen.replies.extend(more.replies);
            seen.records += more.records;
            seen.installed = seen.installed.or(more.installed);
            seen.undurable = seen.undurable.or(more.undurable);
            seen.halted = seen.halted.or(more.halted);
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
    fn lie_about_state(
        &self,
        host: &Host,
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
        let delivery = Delivery::Message { from, message };
        work.probes += 1;
        let mut probed = host.clone();
        match input(self.vocabulary, &delivery).and_then(|input| probed.step(input)) {
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
    fn compare(
        &self,
        host: &Host,
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
        compare_state(self.vocabulary, self.after, self.action.replica(), host)?;
        compare_restart(self.vocabulary, host)?;
        Ok(sent)
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
        let replied: Vec<_> = seen.replies.iter().map(|reply| reply.body.client.0).collect();
        let answered = expected.iter().flat_map(|(_, applied)| applied);
        let answered: Vec<_> = answered.filter_map(|value| value.client()).map(u32::from).collect();
        if got == expected && seen.executed.len() == expected.len() && replied == answered {
            return Ok(());
        }
        let show = |executed: &[(model::Slot, Vec<model::Value>)], replies: &[u32]| {
            let batches = executed.iter().map(|(slot, applied)| {
                let applied: Vec<_> = applied.iter().map(ToString::to_string).collect();
                format!("{slot} applies [{}]", applied.join(" "))
            });
            let batches: Vec<_> = batches.collect();
            format!("executed: {}; replies to clients {replies:?}", batches.join(", "))
        };
        let diff = vec![
            format!("- {}", show(&expected, &answered)),
            format!("+ {}", show(&got, &replied)),
        ];
        Err(Difference::new(Kind::Execution, "the execution differs").with_diff(diff))
    }
}

/// α(core) = model, for one replica.
pub fn compare_state(
    vocabulary: &Vocabulary,
    state: &model::State,
    replica: model::ReplicaId,
    host: &Host,
) -> Result<(), Difference> {
    let expected = Local::of_model(vocabulary, state.replica(replica));
    let got = Local::of_core(vocabulary, &host.replica.summary(), &host.history)
        .map_err(|no_image| Difference::new(Kind::State, no_image.to_string()))?;
    match expected == got {
        true => Ok(()),
        false => Err(Difference::new(Kind::State, "the states differ after the step")
            .with_diff(expected.diff(&got))),
    }
}

/// A crash and a restart change nothing that the protocol knows.
fn compare_restart(vocabulary: &Vocabulary, host: &Host) -> Result<(), Difference> {
    let (before, after) = (host.replica.summary(), host.restarted(vocabulary).summary());
    if before == after {
        return Ok(());
    }
    let what = "a crash and a restart from what is durable change the replica";
    let image = |summary| Local::of_core(vocabulary, summary, &host.history);
    let diff = match (image(&before), image(&after)) {
        (Ok(before), Ok(after)) => before.diff(&after),
        (_, _) => vec![format!("- {before:?}"), format!("+ {after:?}")],
    };
    Err(Difference::new(Kind::Restart, what).with_diff(diff))
}

/// A delivery as an input, its signatures checked as the node would.
pub fn input(vocabulary: &Vocabulary, delivery: &Delivery) -> Result<Input, Rejection> {
    Ok(match delivery {
        Delivery::Client(message) => Input::Request(vocabulary.verify(message.clone())?),
        Delivery::Message { from, message } => {
            Input::Message { from: *from, message: vocabulary.verify(message.clone())? }
        }
        Delivery::Timer(timer) => Input::Timer(*timer),
        Delivery::Suspect => Input::Suspect,
    })
}

/// A step whose panic is a difference like any other.
pub fn step_caught(
    host: &mut Host,
    input: Input,
) -> Result<Result<Observation, Rejection>, Difference> {
    catch_unwind(AssertUnwindSafe(|| host.step(input))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Difference::new(Kind::Panicked, format!("panicked: {}", text.unwrap_or("no message")))
    })
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
