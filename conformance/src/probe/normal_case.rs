//! Probes of the normal case (§4.1, §4.2).

use super::{Expected, Place, Probe};
use crate::refinement::action::Delivery;
use crate::refinement::layout;
use crate::refinement::vocabulary::seq;
use pbft_core::RejectionKind;
use pbft_core::message::{Commit, Message, Prepare, Request};
use pbft_core::types::{Digest, SeqNum};
use pbft_model as model;
use std::sync::Arc;

pub(super) fn conflicting_pre_prepare(place: &Place<'_>) -> Option<Probe> {
    let (slot, accepted) = place.slots().find(|(_, accepted)| accepted.is_some())?;
    let other = place.model.requests().find(|other| *other != accepted)?;
    if !place.is_active_backup() {
        return None;
    }
    let primary = place.primary();
    let proposal = place.source.make_proposal(primary, place.before().view, slot, other);
    place.refused(primary, Message::PrePrepare(proposal), RejectionKind::Equivocation)
}

pub(super) fn pre_prepare_from_another(place: &Place<'_>) -> Option<Probe> {
    let (slot, _) = place.slots().find(|(_, accepted)| accepted.is_none())?;
    let another = place.backups().next().filter(|_| place.before().active)?;
    let value = model::Value::request(1);
    let proposal = place.source.make_proposal(another, place.before().view, slot, value);
    place.refused(another, Message::PrePrepare(proposal), RejectionKind::NotPrimary)
}

fn pre_prepare_at(place: &Place<'_>, seq: SeqNum) -> Option<Probe> {
    if !place.is_active_backup() {
        return None;
    }
    let primary = place.primary();
    let value = model::Value::request(1);
    let proposal = place.source.make_proposal(primary, place.before().view, model::Slot(1), value);
    let mut body = proposal.pre_prepare.body.clone();
    body.seq = seq;
    let pre_prepare = place.source.vocabulary.sign_as(primary, body);
    let batch = Arc::clone(&proposal.batch);
    let proposal = Arc::new(pbft_core::message::Proposal { pre_prepare, batch });
    place.refused(primary, Message::PrePrepare(proposal), RejectionKind::OutsideWindow)
}

pub(super) fn pre_prepare_above_the_window(place: &Place<'_>) -> Option<Probe> {
    let window = place.source.vocabulary.params(place.own).window;
    let above = seq(place.before().low_water_mark).0 + window + 1;
    pre_prepare_at(place, SeqNum(above))
}

pub(super) fn pre_prepare_below_the_window(place: &Place<'_>) -> Option<Probe> {
    let low = seq(place.before().low_water_mark);
    pre_prepare_at(place, low)
}

pub(super) fn pre_prepare_of_an_earlier_view(place: &Place<'_>) -> Option<Probe> {
    let earlier = model::View(place.before().view.0.checked_sub(1)?);
    let primary = place.model.primary(earlier);
    let (slot, _) = place.slots().next()?;
    if primary == place.own {
        return None;
    }
    let value = model::Value::request(1);
    let proposal = place.source.make_proposal(primary, earlier, slot, value);
    place.refused(primary, Message::PrePrepare(proposal), RejectionKind::WrongView)
}

pub(super) fn pre_prepare_between_views(place: &Place<'_>) -> Option<Probe> {
    let (slot, _) = place.slots().next()?;
    let primary = place.primary();
    if place.before().active || primary == place.own {
        return None;
    }
    let value = model::Value::request(1);
    let proposal = place.source.make_proposal(primary, place.before().view, slot, value);
    place.refused(primary, Message::PrePrepare(proposal), RejectionKind::ViewNotActive)
}

pub(super) fn unsigned_request(place: &Place<'_>) -> Option<Probe> {
    let (slot, _) = place.slots().find(|(_, accepted)| accepted.is_none())?;
    let primary = place.primary();
    if !place.is_active_backup() {
        return None;
    }
    let pre_prepare =
        place.source.pre_prepare(primary, place.before().view, slot, model::Value::FORGED);
    let mut batch = (*place.source.vocabulary.batch(model::Value::FORGED)).clone();
    batch.requests.iter_mut().for_each(|request| request.signature = Default::default());
    let digest = layout::batch_digest(&batch);
    let body = pbft_core::message::PrePrepare { digest, ..pre_prepare.body };
    let pre_prepare = place.source.vocabulary.sign_as(primary, body);
    let proposal = Arc::new(pbft_core::message::Proposal { pre_prepare, batch: Arc::new(batch) });
    place.refused(primary, Message::PrePrepare(proposal), RejectionKind::BadSignature)
}

pub(super) fn null_batch(place: &Place<'_>) -> Option<Probe> {
    let (slot, _) = place.slots().find(|(_, accepted)| accepted.is_none())?;
    let primary = place.primary();
    if !place.is_active_backup() {
        return None;
    }
    let value = model::Value::NULL;
    let proposal = place.source.make_proposal(primary, place.before().view, slot, value);
    place.refused(primary, Message::PrePrepare(proposal), RejectionKind::NullBatch)
}

pub(super) fn wrong_batch(place: &Place<'_>) -> Option<Probe> {
    let (slot, _) = place.slots().find(|(_, accepted)| accepted.is_none())?;
    let primary = place.primary();
    if !place.is_active_backup() {
        return None;
    }
    let value = model::Value::request(1);
    let pre_prepare = place.source.pre_prepare(primary, place.before().view, slot, value);
    let batch = place.source.vocabulary.batch(model::Value::NULL);
    let proposal = Arc::new(pbft_core::message::Proposal { pre_prepare, batch });
    place.refused(primary, Message::PrePrepare(proposal), RejectionKind::WrongDigest)
}

pub(super) fn prepare_of_the_primary(place: &Place<'_>) -> Option<Probe> {
    let (slot, accepted) = place.slots().next()?;
    let primary = place.primary();
    if primary == place.own {
        return None;
    }
    let value = if accepted.is_some() { accepted } else { model::Value::request(1) };
    let prepare = place.source.make_prepare(primary, place.before().view, slot, value);
    place.refused(primary, Message::Prepare(prepare), RejectionKind::PrepareFromPrimary)
}

pub(super) fn prepare_over_another_channel(place: &Place<'_>) -> Option<Probe> {
    let (slot, _) = place.slots().next()?;
    let mut backups = place.backups();
    let (signer, channel) = (backups.next()?, backups.next()?);
    let value = model::Value::request(1);
    let prepare = place.source.make_prepare(signer, place.before().view, slot, value);
    place.refused(channel, Message::Prepare(prepare), RejectionKind::NotFromSigner)
}

/// A slot where `own` accepted a value and which is not prepared in its view; votes of nobody were delivered for
/// it yet.
fn open_slot(place: &Place<'_>) -> Option<(model::Slot, model::Value)> {
    let view = place.before().view;
    place.slots().find(|(slot, accepted)| {
        let certificate = place.before().certificates[slot.index()];
        accepted.is_some()
            && place.before().active
            && certificate.is_none_or(|certificate| certificate.view != view)
    })
}

pub(super) fn prepares_that_do_not_match(place: &Place<'_>) -> Option<Probe> {
    let (slot, accepted) = open_slot(place)?;
    let other = place.value_other_than(accepted);
    let view = place.before().view;
    let vote = |backup| {
        let prepare = place.source.make_prepare(backup, view, slot, other);
        place.from(backup, Message::Prepare(prepare))
    };
    let deliveries = place.backups().map(vote).collect();
    Some(Probe { deliveries, expected: Expected::Nothing })
}

pub(super) fn commits_that_do_not_match(place: &Place<'_>) -> Option<Probe> {
    let view = place.before().view;
    let slot = place.before().last_executed.next();
    let (_, accepted) = place.slots().find(|(at, _)| *at == slot)?;
    let prepared = model::Certificate { view, value: accepted };
    if !place.before().active || place.before().certificates[slot.index()] != Some(prepared) {
        return None;
    }
    let other = place.value_other_than(accepted);
    let vote = |voter| {
        let commit = place.source.make_commit(voter, view, slot, other);
        place.from(voter, Message::Commit(commit))
    };
    let deliveries = place.others().map(vote).collect();
    Some(Probe { deliveries, expected: Expected::Nothing })
}

pub(super) fn commit_of_another_view(place: &Place<'_>) -> Option<Probe> {
    let (slot, _) = place.slots().next()?;
    let voter = place.others().next()?;
    let view = place.before().view;
    let other = model::View(if view.0 == 0 { 1 } else { view.0 - 1 });
    let commit = place.source.make_commit(voter, other, slot, model::Value::request(1));
    place.refused(voter, Message::Commit(commit), RejectionKind::WrongView)
}

pub(super) fn replayed_request(place: &Place<'_>) -> Option<Probe> {
    let earlier = |body: &mut Request| body.timestamp = pbft_core::types::Timestamp(0);
    instead_of_the_executed(place, earlier, RejectionKind::OldTimestamp)
}

pub(super) fn another_request_with_its_timestamp(place: &Place<'_>) -> Option<Probe> {
    instead_of_the_executed(place, |body| body.operation.push(1), RejectionKind::UsedForAnother)
}

/// An executed request, changed and signed by its client.
fn instead_of_the_executed(
    place: &Place<'_>,
    change: impl FnOnce(&mut Request),
    kind: RejectionKind,
) -> Option<Probe> {
    let served = place.last_answered()?;
    let mut body = place.source.vocabulary.request(served)?.body.clone();
    change(&mut body);
    let request = place.source.vocabulary.sign(body);
    let deliveries = vec![Delivery::Client(Message::Request(Arc::new(request)))];
    Some(Probe { deliveries, expected: Expected::Refused(kind) })
}

pub(super) fn request_on_a_lane_beyond_the_bound(place: &Place<'_>) -> Option<Probe> {
    let value = place.model.requests().next()?;
    let mut body = place.source.vocabulary.request(value)?.body.clone();
    body.lane = pbft_core::types::Lane(place.source.vocabulary.params(place.own).lanes_max);
    let request = place.source.vocabulary.sign(body);
    let deliveries = vec![Delivery::Client(Message::Request(Arc::new(request)))];
    Some(Probe { deliveries, expected: Expected::Refused(RejectionKind::LaneTooHigh) })
}

pub(super) fn prepare_of_another_view(place: &Place<'_>) -> Option<Probe> {
    let (slot, _) = place.slots().next()?;
    let view = place.before().view;
    let other = model::View(if view.0 == 0 { 1 } else { view.0 - 1 });
    let primary = place.model.primary(other);
    let backup = place.others().find(|backup| *backup != primary)?;
    let prepare = place.source.make_prepare(backup, other, slot, model::Value::request(1));
    place.refused(backup, Message::Prepare(prepare), RejectionKind::WrongView)
}

/// The first is kept, or is known already; the second is known in any case. So both count once.
pub(super) fn prepare_twice(place: &Place<'_>) -> Option<Probe> {
    let (slot, accepted) = open_slot(place)?;
    let backup = place.backups().next()?;
    let other = place.value_other_than(accepted);
    let prepare = place.source.make_prepare(backup, place.before().view, slot, other);
    let deliveries = vec![place.from(backup, Message::Prepare(prepare)); 2];
    Some(Probe { deliveries, expected: Expected::Refused(RejectionKind::Duplicate) })
}

pub(super) fn commit_twice(place: &Place<'_>) -> Option<Probe> {
    let (slot, accepted) = open_slot(place)?;
    let voter = place.others().next()?;
    let other = place.value_other_than(accepted);
    let commit = place.source.make_commit(voter, place.before().view, slot, other);
    let deliveries = vec![place.from(voter, Message::Commit(commit)); 2];
    Some(Probe { deliveries, expected: Expected::Refused(RejectionKind::Duplicate) })
}

/// Digests of no batch.
const DIGESTS: [Digest; 2] = [Digest([0xaa; 32]), Digest([0xbb; 32])];

/// §4.2: whoever votes for two batches lies.
pub(super) fn second_prepare(place: &Place<'_>) -> Option<Probe> {
    let (slot, accepted) = open_slot(place)?;
    let backup = place.backups().next()?;
    let vote = place.source.make_prepare(backup, place.before().view, slot, accepted).body;
    let vote = |digest| {
        let vote = Prepare { digest, ..vote.clone() };
        place.from(backup, Message::Prepare(place.source.vocabulary.sign_as(backup, vote)))
    };
    let deliveries = DIGESTS.map(vote).into();
    Some(Probe { deliveries, expected: Expected::Refused(RejectionKind::Equivocation) })
}

pub(super) fn second_commit(place: &Place<'_>) -> Option<Probe> {
    let (slot, accepted) = open_slot(place)?;
    let voter = place.others().next()?;
    let vote = place.source.make_commit(voter, place.before().view, slot, accepted).body;
    let vote = |digest| {
        let vote = Commit { digest, ..vote.clone() };
        place.from(voter, Message::Commit(place.source.vocabulary.sign_as(voter, vote)))
    };
    let deliveries = DIGESTS.map(vote).into();
    Some(Probe { deliveries, expected: Expected::Refused(RejectionKind::Equivocation) })
}

/// §2: channels may repeat; whoever says the same twice does not lie.
pub(super) fn pre_prepare_twice(place: &Place<'_>) -> Option<Probe> {
    let is_a_request = |value: &model::Value| value.is_some() && *value != model::Value::NULL;
    let (slot, accepted) = place.slots().find(|(_, accepted)| is_a_request(accepted))?;
    if !place.is_active_backup() {
        return None;
    }
    let primary = place.primary();
    let proposal = place.source.make_proposal(primary, place.before().view, slot, accepted);
    place.refused(primary, Message::PrePrepare(proposal), RejectionKind::Duplicate)
}
