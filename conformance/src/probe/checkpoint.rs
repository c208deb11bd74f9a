//! Probes of checkpoints (§4.3).

use super::{Expected, Place, Probe};
use crate::refinement::action::Delivery;
use crate::refinement::vocabulary::seq;
use pbft_core::RejectionKind;
use pbft_core::Timer;
use pbft_core::message::{Message, StableCertificate};
use pbft_core::types::SeqNum;
use pbft_model as model;
use std::sync::Arc;

pub(super) fn checkpoint_between_checkpoints(place: &Place<'_>) -> Option<Probe> {
    let interval = place.source.vocabulary.params(place.own).checkpoint_interval;
    let sender = place.others().next().filter(|_| interval > 1)?;
    let state = place.before().digest();
    let mut body = place.source.make_checkpoint(sender, model::Slot(1), &state).body;
    body.seq = SeqNum(interval + 1);
    let checkpoint = place.source.vocabulary.sign_as(sender, body);
    place.refused(sender, Message::Checkpoint(checkpoint), RejectionKind::NotACheckpoint)
}

pub(super) fn stable_certificate_one_short(place: &Place<'_>) -> Option<Probe> {
    let slot = place.before().low_water_mark.next();
    let sender = place.others().next()?;
    let state = place.before().digest();
    let voters = (0..place.model.config().replicas()).map(model::ReplicaId);
    let quorum = place.source.vocabulary.quorum();
    let vote = |voter| place.source.make_checkpoint(voter, slot, &state);
    let checkpoints = voters.take(quorum - 1).map(vote).collect();
    let message = Message::Stable(Arc::new(StableCertificate { checkpoints }));
    place.refused(sender, message, RejectionKind::WrongQuorumSize)
}

/// A state that nobody is in: the replica's own, with one more operation.
fn another_state(place: &Place<'_>) -> model::StateDigest {
    let mut state = place.before().digest();
    state.applied.push(model::Value::FORGED);
    state
}

/// The first slot above h where no CHECKPOINT can have been delivered: nobody has executed it.
fn fresh_slot(place: &Place<'_>) -> Option<model::Slot> {
    let interval = place.source.vocabulary.params(place.own).checkpoint_interval;
    let (slot, _) = place.slots().last().filter(|_| interval == 1)?;
    place.source.network.checkpoint_states(slot).is_empty().then_some(slot)
}

pub(super) fn checkpoint_twice(place: &Place<'_>) -> Option<Probe> {
    let (slot, voter) = (fresh_slot(place)?, place.others().next()?);
    let vote = place.source.make_checkpoint(voter, slot, &another_state(place));
    let deliveries = vec![place.from(voter, Message::Checkpoint(vote)); 2];
    Some(Probe { deliveries, expected: Expected::Refused(RejectionKind::Duplicate) })
}

/// As many as a proof needs, but not for one digest.
pub(super) fn checkpoints_that_do_not_match(place: &Place<'_>) -> Option<Probe> {
    let slot = fresh_slot(place)?;
    let (state, other) = (place.before().digest(), another_state(place));
    let quorum = place.source.vocabulary.quorum();
    let vote = |(turn, voter): (usize, model::ReplicaId)| {
        let state = if turn == 0 { &other } else { &state };
        let vote = place.source.make_checkpoint(voter, slot, state);
        place.from(voter, Message::Checkpoint(vote))
    };
    let mut deliveries: Vec<_> = place.others().take(quorum).enumerate().map(vote).collect();
    // That a transfer is planned shows when it begins.
    deliveries.push(Delivery::Timer(Timer::Status));
    (deliveries.len() > quorum)
        .then_some(Probe { deliveries, expected: Expected::NoFetch(seq(slot)) })
}
