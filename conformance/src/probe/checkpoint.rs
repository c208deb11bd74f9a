//! Probes of checkpoints (§4.3).

use super::{Place, Probe};
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
    place.refused(sender, Message::Checkpoint(checkpoint), "not-a-checkpoint")
}

pub(super) fn stable_certificate_one_short(place: &Place<'_>) -> Option<Probe> {
    let slot = place.before().low_water_mark.next();
    let sender = place.others().next()?;
    let state = place.before().digest();
    let voters = (0..place.model.config().replicas()).map(model::ReplicaId);
    let quorum = place.source.vocabulary.membership().quorum();
    let vote = |voter| place.source.make_checkpoint(voter, slot, &state);
    let checkpoints = voters.take(quorum - 1).map(vote).collect();
    let message = Message::Stable(Arc::new(StableCertificate { checkpoints }));
    place.refused(sender, message, "wrong-quorum-size")
}
