//! What is compared after a step: messages, executions and replies, the state through α, the timer, and what a restart
//! brings back.

use crate::divergence::{Difference, Kind};
use crate::probe::Place;
use crate::probe::restart::compare_restart;
use crate::refinement::byzantine::Source;
use crate::refinement::layout;
use crate::refinement::message::{self, Sent};
use crate::refinement::network::Network;
use crate::refinement::service;
use crate::refinement::state::Local;
use crate::refinement::vocabulary::{Vocabulary, model_slot, replica_id, view as core_view};
use crate::replay::core::step::Step;
use crate::signpost::Fact;
use crate::signpost::deeds::Deed;
use crate::statement;
use crate::subject::{Observation, Subject};
use pbft_core::message::{Message, Reply};
use pbft_model as model;
use std::cmp::Ordering;
use std::collections::BTreeSet;

impl Step<'_> {
    /// Messages, execution, state, timer and durable record at the end of a path of the model that the replica has taken;
    /// the path of a step is that step.
    pub(crate) fn compare<S: Subject>(
        &self,
        subject: &mut S,
        path: &[(model::Action, model::State)],
        seen: &Observation,
        network: &Network,
    ) -> Result<Vec<(Sent, Message)>, Difference> {
        if let Some(reason) = &seen.halted {
            let difference = Difference::new(Kind::Halted, reason.clone());
            return Err(difference.with(Fact::Did(Deed::Halt)));
        }
        if let Some(message) = &seen.undurable {
            let what = format!("{} sent before it was durable", message.kind());
            let difference = Difference::new(Kind::NotDurable, what);
            return Err(match Deed::of_message(message) {
                Some(deed) => difference.with(Fact::Undurable(deed)),
                None => difference,
            });
        }
        let replica = self.action.replica();
        let after = path.last().map_or(self.before, |(_, state)| state);
        let sent = self.compare_messages(path, seen, network)?;
        self.compare_execution(path, seen)?;
        compare_state(self.vocabulary, after, replica, subject)?;
        let says = subject.is_timer_running();
        subject.timer().compare(self.vocabulary, after.replica(replica), says)?;
        let mut known = network.clone();
        known.add(replica, sent.clone());
        let source = Source { vocabulary: self.vocabulary, network: &known };
        let choice = self.choice;
        let place = Place { source, model: self.model, state: after, own: replica, choice };
        compare_restart(&place, subject)?;
        Ok(sent)
    }

    fn compare_messages(
        &self,
        path: &[(model::Action, model::State)],
        seen: &Observation,
        network: &Network,
    ) -> Result<Vec<(Sent, Message)>, Difference> {
        let replica = self.action.replica();
        let leads = |view| self.model.primary(view) == replica;
        let before = message::of_model(leads, &self.before.replica(replica).sent);
        let after = path.last().map_or(self.before, |(_, state)| state);
        let mut expected = message::of_model(leads, &after.replica(replica).sent);
        expected.retain(|sent| !before.contains(sent));
        let states = || path.iter().map(|(_, state)| state.replica(replica).digest());
        let mut got = Vec::new();
        for message in &seen.broadcasts {
            // A CHECKPOINT tells of the state at its own step of the path.
            let mapped = states().map(|own| message::of_core(self.vocabulary, message, &own));
            let before = || {
                let own = self.before.replica(replica).digest();
                message::of_core(self.vocabulary, message, &own)
            };
            let mapped = mapped.reduce(|one, other| one.or(other)).unwrap_or_else(before);
            got.extend(mapped.map_err(|no_image| {
                let what = format!("{} sent: {no_image}", message.kind());
                let difference = Difference::new(Kind::Messages, what);
                match Deed::of_message(message) {
                    Some(deed) => difference.with(Fact::Differs(deed)),
                    None => difference,
                }
            })?);
        }
        // The same message again, bit for bit, is a retransmission.
        got.retain(|(sent, message)| network.get(replica, sent) != Some(message));
        let unexpected =
            seen.sends.iter().find(|(_, message)| !statement::is_retransmission(message));
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
        let missing: Vec<_> = expected.iter().filter(|sent| !got_sent.contains(sent)).collect();
        let surplus: Vec<_> = got_sent.iter().filter(|sent| !expected.contains(sent)).collect();
        let mut diff: Vec<String> = missing.iter().map(|sent| format!("- {sent}")).collect();
        diff.extend(surplus.iter().map(|sent| format!("+ {sent}")));
        if diff.is_empty() {
            diff.push("+ a message twice".to_owned());
        }
        let difference = Difference::new(Kind::Messages, "the messages differ").with_diff(diff);
        Err(told(difference, &missing, &surplus))
    }

    /// The reply to a request that is the last applied in `after`.
    fn expected_reply(&self, after: &model::ReplicaState, value: model::Value) -> Option<String> {
        let request = &self.vocabulary.request(value)?.body;
        Some(show_reply(&Reply {
            view: core_view(after.view),
            client: request.client,
            lane: request.lane,
            timestamp: request.timestamp,
            request: layout::request_digest(request),
            replica: replica_id(self.action.replica()),
            result: service::result(after.applied.iter().count() - 1),
        }))
    }

    fn compare_execution(
        &self,
        path: &[(model::Action, model::State)],
        seen: &Observation,
    ) -> Result<(), Difference> {
        let replica = self.action.replica();
        let (mut expected, mut answered) = (Vec::new(), Vec::new());
        let mut before = self.before.replica(replica);
        for (action, state) in path {
            let after = state.replica(replica);
            if let model::Action::Execute { value, .. } = action {
                let applied = after.applied.len() > before.applied.len();
                let applied = if applied { vec![*value] } else { Vec::new() };
                let replies = applied.iter().filter_map(|value| self.expected_reply(after, *value));
                answered.extend(replies);
                expected.push((after.last_executed, applied));
            }
            before = after;
        }
        let slot = |(seq, applied): &(_, Vec<model::Value>)| {
            model_slot(*seq).map(|slot| (slot, applied.clone()))
        };
        let got: Vec<_> = seen.executed.iter().filter_map(slot).collect();
        let replied: Vec<_> = seen.replies.iter().map(|reply| show_reply(&reply.body)).collect();
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
        let difference = Difference::new(Kind::Execution, "the execution differs").with_diff(diff);
        Err(difference.with(match got.len().cmp(&expected.len()) {
            _ if got == expected => Fact::Differs(Deed::Reply),
            Ordering::Less => Fact::Lacks(Deed::Execute),
            Ordering::Greater => Fact::Did(Deed::Execute),
            Ordering::Equal => Fact::Differs(Deed::Execute),
        }))
    }
}

/// Messages that are missing, and that are there too much; of one that is both, the content differs.
fn told(difference: Difference, missing: &[&Sent], surplus: &[&Sent]) -> Difference {
    let deeds =
        |all: &[&Sent]| all.iter().map(|sent| Deed::Says(sent.kind())).collect::<BTreeSet<_>>();
    let (missing, surplus) = (deeds(missing), deeds(surplus));
    let facts = missing.intersection(&surplus).map(|deed| Fact::Differs(*deed));
    let facts = facts.chain(missing.difference(&surplus).map(|deed| Fact::Lacks(*deed)));
    let facts = facts.chain(surplus.difference(&missing).map(|deed| Fact::Did(*deed)));
    facts.fold(difference, Difference::with)
}

/// A reply in words, its signature left out.
fn show_reply(reply: &Reply) -> String {
    let Reply { view, client, lane, timestamp, request, replica, result } = reply;
    format!("{replica} to {request} = {client:?} {lane:?} {timestamp:?} in {view}: {result:?}")
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
    if expected == got {
        return Ok(());
    }
    let fields = expected.differing(&got).into_iter().map(Fact::Field);
    let difference = Difference::new(Kind::State, "the states differ after the step");
    Err(fields.fold(difference.with_diff(expected.diff(&got)), Difference::with))
}
