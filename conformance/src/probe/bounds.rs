//! Probes of what the paper takes for granted: sizes, whose message it is, that an answer was asked for, and that what
//! is not here is not made up.

use super::{Expected, Place, Probe};
use crate::refinement::action::Delivery;
use crate::refinement::vocabulary::{replica_id, seq, view as core_view};
use pbft_core::RejectionKind;
use pbft_core::Timer;
use pbft_core::message::{FetchState, Message, StableCertificate, StatePart, Status};
use pbft_core::types::{Digest, SeqNum};
use pbft_model as model;
use std::sync::Arc;

/// §2: a replica does not answer itself.
pub(super) fn own_message(place: &Place<'_>) -> Option<Probe> {
    let status = Status {
        replica: replica_id(place.own),
        view: core_view(place.before().view),
        active: true,
        low_water_mark: SeqNum(0),
        last_executed: SeqNum(0),
    };
    let status = place.source.vocabulary.sign_as(place.own, status);
    place.refused(place.own, Message::Status(status), RejectionKind::OwnMessage)
}

/// §4.4: between views no timer runs while the replica is alone with its VIEW-CHANGE; so it is made where no other
/// VIEW-CHANGE can have come: those of all others are for earlier views.
pub(super) fn stopped_timer(place: &Place<'_>) -> Option<Probe> {
    let before = place.before();
    let is_behind = |other| {
        let byzantine = place.model.is_byzantine(other);
        byzantine || place.state.replica(other).view < before.view
    };
    if before.active || !place.others().all(is_behind) {
        return None;
    }
    let deliveries = vec![Delivery::Timer(Timer::ViewChange)];
    Some(Probe { deliveries, expected: Expected::Refused(RejectionKind::TimerNotRunning) })
}

/// Design 9: no list is longer than a certificate can be; this one has each vote once more.
pub(super) fn surplus_votes(place: &Place<'_>) -> Option<Probe> {
    let slots = model::Slot::GENESIS.until(place.model.config().last_slot());
    let mut proven = slots.flat_map(|slot| {
        let states = place.source.network.checkpoint_states(slot);
        states.into_iter().filter_map(move |state| {
            place.source.stable_certificate(slot, &state, 0).ok().map(|proof| proof.checkpoints)
        })
    });
    let mut checkpoints = proven.next()?;
    checkpoints.extend(checkpoints.clone());
    let channel = place.others().next()?;
    let certificate = Arc::new(StableCertificate { checkpoints });
    place.refused(channel, Message::Stable(certificate), RejectionKind::TooLong)
}

/// Design 9: operations are bounded.
pub(super) fn large_operation(place: &Place<'_>) -> Option<Probe> {
    let vocabulary = place.source.vocabulary;
    let value = place.model.requests().next()?;
    let mut body = vocabulary.request(value)?.body.clone();
    let largest = vocabulary.params(place.own).operation_bytes_max;
    body.operation = vec![0; largest + 1];
    let request = vocabulary.sign(body);
    let deliveries = vec![Delivery::Client(Message::Request(Arc::new(request)))];
    Some(Probe { deliveries, expected: Expected::Refused(RejectionKind::OperationTooLarge) })
}

/// Design 9: what was not asked for is not kept. The null batch is known to all, and nobody asks for it.
pub(super) fn unasked_batch(place: &Place<'_>) -> Option<Probe> {
    let channel = place.others().next()?;
    let batch = place.source.vocabulary.batch(model::Value::NULL);
    place.refused(channel, Message::Batch(batch), RejectionKind::NotRequested)
}

/// §4.4: a batch is served by its digest, and this digest is no batch's.
pub(super) fn unknown_batch(place: &Place<'_>) -> Option<Probe> {
    let channel = place.others().next()?;
    place.refused(channel, Message::FetchBatch(Digest([0xba; 32])), RejectionKind::Unavailable)
}

/// §4.3: a checkpoint that was not taken has no state.
pub(super) fn unknown_state(place: &Place<'_>) -> Option<Probe> {
    let channel = place.others().next()?;
    let beyond = SeqNum(seq(place.model.config().last_slot()).0 + 1);
    let fetch = FetchState { seq: beyond, part: StatePart::Manifest };
    place.refused(channel, Message::FetchState(fetch), RejectionKind::Unavailable)
}

/// §4.3: a checkpoint's state has the chunks that its manifest lists; this is the first behind them.
pub(super) fn unknown_part(place: &Place<'_>) -> Option<Probe> {
    let (slot, state) = place.kept_checkpoint()?;
    let behind = place.source.vocabulary.state(slot, &state).chunks.len() as u32;
    let fetch = FetchState { seq: seq(slot), part: StatePart::Chunk(behind) };
    let channel = place.others().next()?;
    place.refused(channel, Message::FetchState(fetch), RejectionKind::Unavailable)
}
