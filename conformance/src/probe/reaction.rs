//! Reactions: what a replica owes others beside the model's steps. The model's network never loses anything, so
//! what is said again, relayed, handed on or served is no action there; here it is demanded.

use super::view_change::empty_view_change;
use super::{Place, client, evidence, repeating};
use crate::divergence::{Difference, Kind};
use crate::refinement::action::Delivery;
use crate::refinement::layout;
use crate::refinement::vocabulary::{model_slot, replica_id, seq, view as core_view};
use crate::signpost::Fact;
use crate::subject::{Observation, Subject};
use pbft_core::Rejection;
use pbft_core::message::{
    Batch, Commit, CommitCertificate, FetchState, Message, StateData, StatePart, Status,
};
use pbft_core::types::{SeqNum, Timestamp};
use pbft_model as model;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A replica just after a step, and the step.
pub struct Scene<'a> {
    pub(super) place: Place<'a>,
    pub(super) action: &'a model::Action,
}

/// Whether a reaction can be asked for here, and if so, what came of it.
pub type Reaction = fn(&Scene<'_>, &mut dyn Subject) -> Option<Result<(), Difference>>;

/// How a reaction is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// A crash undoes what it takes.
    Volatile,
    /// It takes a step of the protocol, so it can only be asked of a copy.
    Lasting,
}

/// What every replica owes.
pub const REACTIONS: &[(&str, Trace, Reaction)] = &[
    ("an executed request is answered again", Trace::Volatile, reply_is_repeated),
    ("a client's request is relayed and timed", Trace::Volatile, request_is_relayed),
    ("a relayed request goes no further", Trace::Volatile, request_goes_no_further),
    ("what is said again is what was said", Trace::Volatile, repeating::said_again),
    ("a final batch is handed on", Trace::Volatile, repeating::committed_is_handed_on),
    ("a NEW-VIEW is handed on", Trace::Volatile, repeating::new_view_is_handed_on),
    (
        "VIEW-CHANGEs of others are handed on",
        Trace::Volatile,
        repeating::view_changes_are_handed_on,
    ),
    ("a tick says what the replica has", Trace::Volatile, repeating::status_is_told),
    ("votes for what is not final are said again", Trace::Volatile, repeating::votes_are_repeated),
    (
        "the proof of a stable checkpoint is handed on",
        Trace::Volatile,
        repeating::stable_is_handed_on,
    ),
    ("CHECKPOINTs are said again", Trace::Volatile, repeating::checkpoints_are_repeated),
    ("a checkpoint's state is served", Trace::Volatile, state_is_served),
    ("an accepted batch is served", Trace::Volatile, batch_is_served),
    ("of several later views the earliest is joined", Trace::Lasting, earliest_view_is_joined),
    ("a NEW-VIEW that waits for state is followed", Trace::Lasting, awaited_view_is_entered),
    ("a view that a quorum wants is timed", Trace::Volatile, wanted_view_is_timed),
    ("an older request is not executed", Trace::Lasting, older_request_is_not_executed),
    ("a client believes f+1 equal replies", Trace::Volatile, client::results),
    ("a client counts each replica once", Trace::Volatile, client::one_voice),
    ("a client believes replies to its request", Trace::Volatile, client::other_requests),
    ("a client believes members", Trace::Volatile, client::strangers),
    ("a client follows the view of f+1 replicas", Trace::Volatile, client::views),
    ("an impatient client asks everybody", Trace::Volatile, client::impatience),
    ("no two honest votes are evidence", Trace::Volatile, evidence::of_honest_votes),
];

pub(super) fn owed(what: &str, got: &Observation) -> Difference {
    let mut diff = vec![format!("- {what}")];
    diff.extend(got.broadcasts.iter().map(|message| format!("+ broadcast {}", message.kind())));
    diff.extend(got.sends.iter().map(|(to, message)| format!("+ {} to {to}", message.kind())));
    diff.extend(got.replies.iter().map(|reply| {
        let body = &reply.body;
        format!("+ reply to client {}, timestamp {}", body.client.0, body.timestamp.0)
    }));
    if diff.len() == 1 {
        diff.push("+ nothing".to_owned());
    }
    Difference::new(Kind::Reaction, what.to_owned()).with_diff(diff)
}

impl<'a> Scene<'a> {
    /// Where `action` has led its replica.
    pub fn new(place: Place<'a>, action: &'a model::Action) -> Self {
        Self { place, action }
    }
}

impl Scene<'_> {
    /// Delivers; a rejection is nothing owed, except where that is told to be a finding.
    pub(super) fn ask(
        &self,
        subject: &mut dyn Subject,
        delivery: &Delivery,
    ) -> Result<Result<Observation, Rejection>, Difference> {
        let outcome = subject.deliver(self.place.source.vocabulary, delivery);
        outcome.map_err(|difference| difference.at(delivery))
    }

    /// Delivers what must be taken.
    pub(super) fn demand(
        &self,
        subject: &mut dyn Subject,
        what: &str,
        delivery: &Delivery,
    ) -> Result<Observation, Difference> {
        self.ask(subject, delivery)?.map_err(|rejection| {
            let diff = vec![format!("- {what}"), format!("+ refused: {rejection}")];
            let difference = Difference::new(Kind::Reaction, what.to_owned()).with_diff(diff);
            difference.with(Fact::Refused(rejection.kind())).at(delivery)
        })
    }

    pub(super) fn request(&self, value: model::Value) -> Option<Delivery> {
        let request = self.place.source.vocabulary.request(value)?;
        Some(Delivery::Client(Message::Request(Arc::clone(request))))
    }

    /// What a peer that says it has this is sent; `None` if the peer has asked already.
    pub(super) fn answer_to_status(
        &self,
        subject: &mut dyn Subject,
        peer: model::ReplicaId,
        status: impl FnOnce(&mut Status),
    ) -> Result<Option<Vec<Message>>, Difference> {
        let mut body = Status {
            replica: replica_id(peer),
            view: core_view(self.place.before().view),
            active: true,
            low_water_mark: SeqNum(0),
            last_executed: SeqNum(0),
        };
        status(&mut body);
        let status = self.place.source.vocabulary.sign_as(peer, body);
        let delivery = self.place.from(peer, Message::Status(status));
        match self.ask(subject, &delivery)? {
            Err(Rejection::Duplicate) => Ok(None),
            Err(other) => {
                let difference =
                    Difference::new(Kind::Reaction, format!("STATUS refused: {other}"));
                Err(difference.with(Fact::Refused(other.kind())).at(&delivery))
            }
            Ok(seen) => Ok(Some(seen.sends.into_iter().map(|(_, message)| message).collect())),
        }
    }

    /// Demands that a peer with this status is sent a message of which `holds` is true.
    pub(super) fn is_sent(
        &self,
        subject: &mut dyn Subject,
        peer: model::ReplicaId,
        status: impl FnOnce(&mut Status),
        what: &str,
        holds: impl Fn(&Message) -> bool,
    ) -> Option<Result<(), Difference>> {
        match self.answer_to_status(subject, peer, status) {
            Err(difference) => Some(Err(difference)),
            Ok(None) => None,
            Ok(Some(sent)) if sent.iter().any(holds) => Some(Ok(())),
            Ok(Some(sent)) => {
                let to = replica_id(peer);
                let sends = sent.into_iter().map(|message| (to, message)).collect();
                Some(Err(owed(what, &Observation { sends, ..Observation::default() })))
            }
        }
    }
}

/// §4.1: the reply table answers for the service.
fn reply_is_repeated(
    scene: &Scene<'_>,
    subject: &mut dyn Subject,
) -> Option<Result<(), Difference>> {
    let value = scene.place.last_answered()?;
    let request = scene.place.source.vocabulary.request(value)?.body.clone();
    let replies = subject.summary().replies;
    let last = replies.last(request.client, request.lane)?.clone();
    let what = "an executed request is answered again with its result";
    let asked = scene.demand(subject, what, &scene.request(value)?);
    Some(asked.and_then(|seen| {
        let answers = seen.replies.iter().map(|reply| {
            let body = &reply.body;
            (body.client, body.lane, body.timestamp, Arc::clone(&body.result))
        });
        let expected = (request.client, request.lane, last.timestamp, last.result);
        match answers.collect::<Vec<_>>() == [expected] {
            true => Ok(()),
            false => Err(owed(what, &seen)),
        }
    }))
}

/// §4.1, §4.4: a backup relays what its client sent to it, and suspects a primary that does not order it.
fn request_is_relayed(
    scene: &Scene<'_>,
    subject: &mut dyn Subject,
) -> Option<Result<(), Difference>> {
    let before = scene.place.before();
    let value = scene.place.model.requests().find(|value| !before.served.contains(*value));
    let value = value.filter(|_| scene.place.is_active_backup())?;
    let what = "a backup relays its client's request to the primary, and its timer runs";
    let request = scene.request(value)?;
    let Delivery::Client(message) = &request else { return None };
    let primary = replica_id(scene.place.primary());
    let asked = scene.demand(subject, what, &request);
    Some(asked.and_then(|seen| {
        let relayed = seen.sends.iter().any(|(to, sent)| *to == primary && sent == message);
        match relayed && subject.is_timer_running() {
            true => Ok(()),
            false if relayed => {
                let diff = vec!["- the timer runs".to_owned(), "+ it does not".to_owned()];
                Err(Difference::new(Kind::Reaction, what).with_diff(diff))
            }
            false => Err(owed(what, &seen)),
        }
    }))
}

/// §4.1: a request is relayed by who has it from its client, and by nobody else.
fn request_goes_no_further(
    scene: &Scene<'_>,
    subject: &mut dyn Subject,
) -> Option<Result<(), Difference>> {
    let before = scene.place.before();
    let value = scene.place.model.requests().find(|value| !before.served.contains(*value));
    let value = value.filter(|_| scene.place.is_active_backup())?;
    let Delivery::Client(request) = scene.request(value)? else { return None };
    let delivery = scene.place.from(scene.place.backups().next()?, request);
    let what = "a request that another backup relayed is kept, and not relayed again";
    let seen = match scene.ask(subject, &delivery) {
        Ok(outcome) => outcome.ok()?,
        Err(difference) => return Some(Err(difference)),
    };
    let relayed = seen.sends.iter().any(|(_, sent)| matches!(sent, Message::Request(_)));
    Some(if relayed { Err(owed(what, &seen)) } else { Ok(()) })
}

/// §4.3: who holds a checkpoint serves it.
fn state_is_served(scene: &Scene<'_>, subject: &mut dyn Subject) -> Option<Result<(), Difference>> {
    let (slot, state) = scene.place.kept_checkpoint()?;
    let vocabulary = scene.place.source.vocabulary;
    let layout::State { manifest, chunks } = vocabulary.state(slot, &state);
    let chunks = chunks.into_iter().zip(0..);
    let chunks = chunks.map(|(bytes, index)| (StatePart::Chunk(index), bytes));
    let parts = std::iter::once((StatePart::Manifest, manifest)).chain(chunks);
    let peer = scene.place.others().next()?;
    let what = "the state of a checkpoint is served as its digest says";
    for (part, bytes) in parts {
        let fetch = FetchState { seq: seq(slot), part };
        let delivery = scene.place.from(peer, Message::FetchState(fetch));
        let data = StateData { seq: seq(slot), part, bytes: bytes.into() };
        let expected = (replica_id(peer), Message::StateData(Arc::new(data)));
        match scene.demand(subject, what, &delivery) {
            Ok(seen) if seen.sends == [expected] => {}
            Ok(seen) => return Some(Err(owed(what, &seen))),
            Err(difference) => return Some(Err(difference)),
        }
    }
    Some(Ok(()))
}

fn batch_is_served(scene: &Scene<'_>, subject: &mut dyn Subject) -> Option<Result<(), Difference>> {
    let (_, value) = scene.place.slots().find(|(_, accepted)| accepted.is_some())?;
    let vocabulary = scene.place.source.vocabulary;
    let peer = scene.place.others().next()?;
    let fetch = Message::FetchBatch(vocabulary.digest(value));
    let expected = (replica_id(peer), Message::Batch(vocabulary.batch(value)));
    let what = "a batch that was accepted is served";
    Some(scene.demand(subject, what, &scene.place.from(peer, fetch)).and_then(|seen| {
        match seen.sends == [expected] {
            true => Ok(()),
            false => Err(owed(what, &seen)),
        }
    }))
}

/// §4.4: f+1 VIEW-CHANGEs, one for view 1, the others for view 2. Asked in view 0, where none came before.
fn earliest_view_is_joined(
    scene: &Scene<'_>,
    subject: &mut dyn Subject,
) -> Option<Result<(), Difference>> {
    if scene.place.before().view != model::View(0) {
        return None;
    }
    let first = model::View(1);
    let weak = scene.place.source.vocabulary.weak();
    let views = std::iter::repeat_n(first.next(), weak - 1).chain([first]);
    let mut last = Observation::default();
    for (sender, view) in scene.place.others().zip(views) {
        let body = empty_view_change(sender, view);
        let view_change = Arc::new(scene.place.source.vocabulary.sign_as(sender, body));
        let delivery = scene.place.from(sender, Message::ViewChange(view_change));
        match scene.demand(subject, "f+1 VIEW-CHANGEs for later views are taken", &delivery) {
            Ok(seen) => last = seen,
            Err(difference) => return Some(Err(difference)),
        }
    }
    let views = last.broadcasts.iter().filter_map(|message| match message {
        Message::ViewChange(own) => Some(own.body.view),
        _ => None,
    });
    Some(match views.eq([core_view(first)]) {
        true => Ok(()),
        false => Err(owed("the earliest of the later views is joined", &last)),
    })
}

/// §4.3, §4.4: a replica that lacks the state of min-s fetches it, and enters the view then.
fn awaited_view_is_entered(
    scene: &Scene<'_>,
    subject: &mut dyn Subject,
) -> Option<Result<(), Difference>> {
    let (place, before) = (&scene.place, scene.place.before());
    let view = if before.active { before.view.next() } else { before.view };
    let primary = place.model.primary(view);
    if view > place.model.config().max_view() || primary == place.own {
        return None;
    }
    let witnesses = place.model.new_view_witnesses(place.state, view);
    let witness = witnesses.iter().find(|one| one.outcome.min_s > before.last_executed)?;
    let new_view = place.source.make_new_view(primary, view, witness).ok()?;
    let what = "a NEW-VIEW that waits for state is followed when the state is here";
    let first = place.from(primary, Message::NewView(new_view));
    let mut deliveries = vec![first];
    let mut asked = BTreeSet::new();
    let mut seen = Observation::default();
    while let Some(delivery) = deliveries.pop() {
        match scene.demand(subject, what, &delivery) {
            Ok(next) => {
                deliveries.extend(next.sends.iter().filter_map(|(to, sent)| {
                    let message = state_of(place, sent, &mut asked)?;
                    Some(Delivery::Message { from: *to, message })
                }));
                // O may name batches that are not here either; whoever ordered them has them.
                let batches = next.broadcasts.iter().filter_map(|sent| batch_of(place, sent));
                deliveries.extend(batches.map(|batch| place.from(primary, batch)));
                seen.extend(next);
            }
            Err(difference) => return Some(Err(difference)),
        }
    }
    let summary = subject.summary();
    Some(match summary.active && summary.view == core_view(view) {
        true => Ok(()),
        false => Err(owed(what, &seen)),
    })
}

/// The batch that is asked for.
fn batch_of(place: &Place<'_>, message: &Message) -> Option<Message> {
    let Message::FetchBatch(digest) = message else { return None };
    let vocabulary = place.source.vocabulary;
    Some(Message::Batch(vocabulary.batch(vocabulary.value(*digest)?)))
}

/// The answer to a fetch, from whoever is asked first.
fn state_of(
    place: &Place<'_>,
    message: &Message,
    asked: &mut BTreeSet<(SeqNum, StatePart)>,
) -> Option<Message> {
    let Message::FetchState(fetch) = message else { return None };
    if !asked.insert((fetch.seq, fetch.part)) {
        return None;
    }
    let slot = model_slot(fetch.seq)?;
    let states = place.source.network.checkpoint_states(slot);
    let is_stable = |state: &&_| place.source.stable_certificate(slot, state, 0).is_ok();
    let state = states.iter().find(is_stable)?;
    let layout::State { manifest, chunks } = place.source.vocabulary.state(slot, state);
    let bytes = match fetch.part {
        StatePart::Manifest => manifest,
        StatePart::Chunk(index) => chunks.into_iter().nth(index as usize)?,
    };
    let data = StateData { seq: fetch.seq, part: fetch.part, bytes: bytes.into() };
    Some(Message::StateData(Arc::new(data)))
}

/// §4.5.2: from q VIEW-CHANGEs on the timer runs, so that a primary that does not begin the view is left, too.
fn wanted_view_is_timed(
    scene: &Scene<'_>,
    subject: &mut dyn Subject,
) -> Option<Result<(), Difference>> {
    let (place, before) = (&scene.place, scene.place.before());
    if before.active || place.primary() == place.own {
        return None;
    }
    let quorum = place.source.vocabulary.quorum();
    for sender in place.others().take(quorum - 1) {
        let body = empty_view_change(sender, before.view);
        let view_change = Arc::new(place.source.vocabulary.sign_as(sender, body));
        let delivery = place.from(sender, Message::ViewChange(view_change));
        // Those that are known already count as well.
        if let Err(difference) = scene.ask(subject, &delivery) {
            return Some(Err(difference));
        }
    }
    Some(match subject.is_timer_running() {
        true => Ok(()),
        false => Err(Difference::new(Kind::Reaction, "q VIEW-CHANGEs are here, and no timer runs")),
    })
}

/// §4.1: a faulty primary orders an earlier request of a client that was served; it is final, and changes nothing.
fn older_request_is_not_executed(
    scene: &Scene<'_>,
    subject: &mut dyn Subject,
) -> Option<Result<(), Difference>> {
    let (place, before) = (&scene.place, scene.place.before());
    let next = before.last_executed.next();
    let served = place.last_answered().filter(|_| place.slots().any(|(at, _)| at == next))?;
    let vocabulary = place.source.vocabulary;
    let mut body = vocabulary.request(served)?.body.clone();
    body.timestamp = Timestamp(0);
    let request = vocabulary.sign(body);
    let batch = Arc::new(Batch { requests: vec![request] });
    let all = (0..place.model.config().replicas()).map(model::ReplicaId);
    let vote = |voter| {
        let vote = place.source.make_commit(voter, before.view, next, served);
        let body = Commit { digest: layout::batch_digest(&batch), ..vote.body };
        vocabulary.sign_as(voter, body)
    };
    let commits = all.take(vocabulary.quorum()).map(vote).collect();
    let certificate = CommitCertificate { commits, batch: Arc::clone(&batch) };
    let sender = place.others().next()?;
    let delivery = place.from(sender, Message::Committed(Arc::new(certificate)));
    let what = "an older request of a lane is final without being executed";
    Some(scene.demand(subject, what, &delivery).and_then(|seen| {
        let expected = vec![(seq(next), Vec::new())];
        match seen.executed == expected && seen.replies.is_empty() {
            true => Ok(()),
            false => Err(owed(what, &seen)),
        }
    }))
}
