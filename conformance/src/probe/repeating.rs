//! What is said again: the model's network never loses anything, so repeating is no action there; a real one does, and
//! whatever a replica has said or proven it owes to those who lack it (§2).

use super::Place;
use super::reaction::{Scene, owed};
use super::view_change::forged_view_change;
use crate::divergence::{Difference, Kind};
use crate::refinement::action::Delivery;
use crate::refinement::message::{self, Sent};
use crate::refinement::vocabulary::{replica_id, seq, view as core_view};
use crate::signpost::Fact;
use crate::signpost::deeds::Deed;
use crate::statement::Statement;
use crate::subject::{Observation, Subject};
use pbft_core::Timer;
use pbft_core::message::{Message, Status};
use pbft_core::types::View;
use pbft_model as model;

/// §4.2: a replica repeats its votes, and never says anything else.
pub(super) fn said_again(
    scene: &Scene<'_>,
    subject: &mut dyn Subject,
) -> Option<Result<(), Difference>> {
    let peer = scene.place.others().next()?;
    match scene.answer_to_status(subject, peer, |_| {}) {
        Err(difference) => Some(Err(difference)),
        Ok(None) => None,
        Ok(Some(sent)) => Some(check_said(&scene.place, &sent)),
    }
}

/// Each message of this replica's own is in the network already, bit for bit.
pub(crate) fn check_said(place: &Place<'_>, said: &[Message]) -> Result<(), Difference> {
    let own = replica_id(place.own).0;
    let digest = place.before().digest();
    let is_own = |message: &&Message| {
        Statement::of_message(message).is_some_and(|statement| statement.signer == own)
    };
    for message in said.iter().filter(is_own) {
        let new = |what: String| {
            let what = format!("{} again, but not as it was first: {what}", message.kind());
            let difference = Difference::new(Kind::Messages, what);
            match Deed::of_message(message) {
                Some(deed) => difference.with(Fact::Differs(deed)),
                None => difference,
            }
        };
        if let Message::Checkpoint(vote) = message {
            // Of an earlier state perhaps: found by its sequence number.
            if !place.source.network.has_checkpoint(place.own, vote) {
                return Err(new(format!("digest {}", vote.body.digest)));
            }
            continue;
        }
        let mapped = message::of_core(place.source.vocabulary, message, &digest);
        let mapped = mapped.map_err(|no_image| new(no_image.to_string()))?;
        let unknown = mapped
            .iter()
            .find(|(sent, again)| place.source.network.get(place.own, sent) != Some(again));
        if let Some((sent, _)) = unknown {
            return Err(new(sent.to_string()));
        }
    }
    Ok(())
}

pub(super) fn committed_is_handed_on(
    scene: &Scene<'_>,
    subject: &mut dyn Subject,
) -> Option<Result<(), Difference>> {
    let model::Action::Execute { .. } = scene.action else { return None };
    let executed = scene.place.before().last_executed;
    if executed <= scene.place.before().low_water_mark {
        return None;
    }
    let is_it = |message: &Message| match message {
        Message::Committed(known) => {
            known.commits.first().is_some_and(|vote| vote.body.seq == seq(executed))
        }
        _ => false,
    };
    let peer = scene.place.others().next()?;
    scene.is_sent(subject, peer, |_| {}, "a peer that lacks a final batch is given it", is_it)
}

pub(super) fn new_view_is_handed_on(
    scene: &Scene<'_>,
    subject: &mut dyn Subject,
) -> Option<Result<(), Difference>> {
    let before = scene.place.before();
    let earlier = before.view.0.checked_sub(1).filter(|_| before.active)?;
    let view = core_view(before.view);
    let is_it =
        |message: &Message| matches!(message, Message::NewView(known) if known.body.view == view);
    let peer = scene.place.others().last()?;
    let status = |status: &mut Status| status.view = View(u64::from(earlier));
    scene.is_sent(subject, peer, status, "a peer in an earlier view is given the NEW-VIEW", is_it)
}

pub(super) fn view_changes_are_handed_on(
    scene: &Scene<'_>,
    subject: &mut dyn Subject,
) -> Option<Result<(), Difference>> {
    let before = scene.place.before();
    if before.active || scene.place.primary() == scene.place.own {
        return None;
    }
    let (sender, view_change) = forged_view_change(&scene.place, before.view, |_| {})?;
    let delivery = scene.place.from(sender, Message::ViewChange(view_change));
    if let Err(difference) = scene.ask(subject, &delivery) {
        return Some(Err(difference));
    }
    let peer = scene.place.others().find(|peer| *peer != sender)?;
    let of = replica_id(sender);
    let is_it = |message: &Message| matches!(message, Message::ViewChange(known) if known.body.replica == of);
    let what = "a peer in a view change is given the VIEW-CHANGEs of others";
    scene.is_sent(subject, peer, |status| status.active = false, what, is_it)
}

/// At each tick a replica says what it has, that is what its peers help it by; and, between views, that it wants the next.
pub(super) fn status_is_told(
    scene: &Scene<'_>,
    subject: &mut dyn Subject,
) -> Option<Result<(), Difference>> {
    let before = scene.place.before();
    let body = Status {
        replica: replica_id(scene.place.own),
        view: core_view(before.view),
        active: before.active,
        low_water_mark: seq(before.low_water_mark),
        last_executed: seq(before.last_executed),
    };
    let what = "a tick says what the replica has";
    let tick = Delivery::Timer(Timer::Status);
    Some(scene.demand(subject, what, &tick).and_then(|seen| {
        let is_status = |said: &Message| matches!(said, Message::Status(told) if told.body == body);
        let wants = |said: &Message| {
            matches!(said, Message::ViewChange(own)
                if (own.body.replica, own.body.view) == (body.replica, body.view))
        };
        let said = &seen.broadcasts;
        let told = said.iter().filter(|said| is_status(said)).count() == 1;
        let wanted = said.iter().any(wants);
        match told && seen.timers_set > 0 && wanted != before.active {
            true => Ok(()),
            false => Err(owed(what, &seen)),
        }
    }))
}

/// §2: the own votes for each number that is not executed yet, or the proof that it is final.
pub(super) fn votes_are_repeated(
    scene: &Scene<'_>,
    subject: &mut dyn Subject,
) -> Option<Result<(), Difference>> {
    let (place, before) = (&scene.place, scene.place.before());
    let leads = place.primary() == place.own;
    let next = before.last_executed.next();
    let (slot, value) = place
        .slots()
        .find(|(slot, value)| *slot == next && *value != model::Value::NULL && !value.is_none())?;
    let view = before.view;
    let votes = message::of_model(|of| of == view && leads, &before.sent);
    let is_of_slot = |sent: &&Sent| match sent {
        Sent::PrePrepare(at, of, what)
        | Sent::Prepare(at, of, what)
        | Sent::Commit(at, of, what) => (*at, *of, *what) == (view, slot, value),
        _ => false,
    };
    let expected: Vec<&Message> = votes
        .iter()
        .filter(is_of_slot)
        .filter_map(|sent| place.source.network.get(place.own, sent))
        .collect();
    if expected.is_empty() || !before.active {
        return None;
    }
    let is_final = |said: &Message| {
        matches!(said, Message::Committed(known)
        if known.commits.first().is_some_and(|vote| vote.body.seq == seq(slot)))
    };
    let peer = place.others().find(|peer| *peer != place.primary())?;
    match scene.answer_to_status(subject, peer, |_| {}) {
        Err(difference) => Some(Err(difference)),
        Ok(None) => None,
        Ok(Some(said)) => {
            let repeated = expected.iter().all(|vote| said.contains(vote));
            let what = "the votes for what is not final are said again";
            Some(match repeated || said.iter().any(is_final) {
                true => Ok(()),
                false => Err(not_sent(what, peer, said)),
            })
        }
    }
}

/// §4.3: a peer below the stable checkpoint is given its proof.
pub(super) fn stable_is_handed_on(
    scene: &Scene<'_>,
    subject: &mut dyn Subject,
) -> Option<Result<(), Difference>> {
    let low = scene.place.before().low_water_mark;
    if low == model::Slot::GENESIS {
        return None;
    }
    let is_it = |said: &Message| {
        matches!(said, Message::Stable(proof)
        if proof.checkpoints.first().is_some_and(|vote| vote.body.seq == seq(low)))
    };
    let peer = scene.place.others().next()?;
    let what = "a peer below the stable checkpoint is given its proof";
    scene.is_sent(subject, peer, |_| {}, what, is_it)
}

/// §4.3: the own CHECKPOINTs above what is stable at the peer.
pub(super) fn checkpoints_are_repeated(
    scene: &Scene<'_>,
    subject: &mut dyn Subject,
) -> Option<Result<(), Difference>> {
    let (slot, _) = scene.place.kept_checkpoint()?;
    let before = scene.place.before();
    // That of the stable one is in its proof.
    if slot <= before.low_water_mark {
        return None;
    }
    let own = replica_id(scene.place.own);
    let is_it = |said: &Message| {
        matches!(said, Message::Checkpoint(vote)
        if (vote.body.seq, vote.body.replica) == (seq(slot), own))
    };
    let peer = scene.place.others().last()?;
    scene.is_sent(subject, peer, |_| {}, "CHECKPOINTs are said again", is_it)
}

fn not_sent(what: &str, peer: model::ReplicaId, said: Vec<Message>) -> Difference {
    let sends = said.into_iter().map(|message| (replica_id(peer), message)).collect();
    owed(what, &Observation { sends, ..Observation::default() })
}
