//! Probes of the view change (§4.4).

use super::certificate::prepared_certificate;
use super::{Expected, Place, Probe};
use crate::refinement::vocabulary::{replica_id, view as core_view};
use pbft_core::RejectionKind;
use pbft_core::message::{Message, NewView, Signed, StableCertificate, ViewChange};
use pbft_core::types::SeqNum;
use pbft_model as model;
use std::sync::Arc;

/// The first view that this replica could still be asked to enter.
fn next_view(place: &Place<'_>) -> model::View {
    let view = place.before().view;
    if place.before().active { view.next() } else { view }
}

/// The VIEW-CHANGE of a replica to which nothing ever happened.
pub(super) fn empty_view_change(sender: model::ReplicaId, view: model::View) -> ViewChange {
    ViewChange {
        view: core_view(view),
        low_water_mark: SeqNum(0),
        stable: StableCertificate::default(),
        prepared: Vec::new(),
        replica: replica_id(sender),
    }
}

pub(super) fn forged_view_change(
    place: &Place<'_>,
    view: model::View,
    change: impl FnOnce(&mut ViewChange),
) -> Option<(model::ReplicaId, Arc<Signed<ViewChange>>)> {
    let sender = place.others().next()?;
    let mut body = empty_view_change(sender, view);
    change(&mut body);
    Some((sender, Arc::new(place.source.vocabulary.sign_as(sender, body))))
}

pub(super) fn unproven_low_water_mark(place: &Place<'_>) -> Option<Probe> {
    // A view beyond all that the sender may have been heard of.
    let view = place.model.config().max_view().next();
    let interval = place.source.vocabulary.params(place.own).checkpoint_interval;
    let claim = |body: &mut ViewChange| body.low_water_mark = SeqNum(interval);
    let (sender, view_change) = forged_view_change(place, view, claim)?;
    place.refused(sender, Message::ViewChange(view_change), RejectionKind::UnprovenCheckpoint)
}

pub(super) fn view_change_of_a_stranger(place: &Place<'_>) -> Option<Probe> {
    let stranger = model::ReplicaId(place.model.config().replicas());
    let view = place.model.config().max_view().next();
    let body = ViewChange { replica: replica_id(stranger), ..empty_view_change(place.own, view) };
    let view_change = Arc::new(place.source.vocabulary.sign_as(stranger, body));
    let channel = place.others().next()?;
    // With real keys a stranger has none, and its signature fails already.
    let deliveries = vec![place.from(channel, Message::ViewChange(view_change))];
    Some(Probe {
        deliveries,
        expected: Expected::RefusedAs(&[RejectionKind::NotAMember, RejectionKind::BadSignature]),
    })
}

/// f+1 move a replica; one does not. Made in view 0, where no other VIEW-CHANGE was delivered before.
pub(super) fn one_view_change_for_a_later_view(place: &Place<'_>) -> Option<Probe> {
    if place.before().view != model::View(0) {
        return None;
    }
    let later = model::View(1).next();
    let (sender, view_change) = forged_view_change(place, later, |_| {})?;
    let deliveries = vec![place.from(sender, Message::ViewChange(view_change))];
    Some(Probe { deliveries, expected: Expected::Nothing })
}

/// A correct replica sends one a view; the first is kept. Made where [`one_view_change_for_a_later_view`] is.
pub(super) fn second_view_change(place: &Place<'_>) -> Option<Probe> {
    let Probe { mut deliveries, .. } = one_view_change_for_a_later_view(place)?;
    let claim =
        |body: &mut ViewChange| body.prepared = vec![prepared_certificate(place, model::View(0))];
    let (sender, view_change) = forged_view_change(place, model::View(1).next(), claim)?;
    deliveries.push(place.from(sender, Message::ViewChange(view_change)));
    Some(Probe { deliveries, expected: Expected::Refused(RejectionKind::Duplicate) })
}

pub(super) fn stale_view_change(place: &Place<'_>) -> Option<Probe> {
    let view = place.before().view;
    let stale = if place.before().active { view } else { model::View(view.0.checked_sub(1)?) };
    let (sender, view_change) = forged_view_change(place, stale, |_| {})?;
    place.refused(sender, Message::ViewChange(view_change), RejectionKind::WrongView)
}

/// A NEW-VIEW for the next view that would be valid, if the view's primary is another replica and V exists.
pub(super) fn valid_new_view(place: &Place<'_>) -> Option<(model::ReplicaId, NewView)> {
    let view = next_view(place);
    let primary = place.model.primary(view);
    if view > place.model.config().max_view() || primary == place.own {
        return None;
    }
    let witnesses = place.model.new_view_witnesses(place.state, view);
    let new_view = place.source.make_new_view(primary, view, witnesses.first()?).ok()?;
    Some((primary, new_view.body.clone()))
}

fn new_view_probe(
    place: &Place<'_>,
    kind: RejectionKind,
    change: impl FnOnce(&mut NewView) -> Option<()>,
) -> Option<Probe> {
    let (primary, mut body) = valid_new_view(place)?;
    change(&mut body)?;
    let new_view = place.source.vocabulary.sign_as(primary, body);
    place.refused(primary, Message::NewView(Arc::new(new_view)), kind)
}

pub(super) fn new_view_with_another_o(place: &Place<'_>) -> Option<Probe> {
    let room = place.source.vocabulary.params(place.own).window_len();
    new_view_probe(place, RejectionKind::WrongNewView, |body| {
        if body.pre_prepares.len() >= room {
            return None;
        }
        let last = body.pre_prepares.last().map(|signed| signed.body.seq);
        let marks = body.view_changes.iter().map(|known| known.body.low_water_mark);
        let next = last.or(marks.max())?.next();
        let (view, primary) = (next_view(place), place.model.primary(next_view(place)));
        let mut surplus =
            place.source.pre_prepare(primary, view, model::Slot(1), model::Value::request(1)).body;
        surplus.seq = next;
        body.pre_prepares.push(place.source.vocabulary.sign_as(primary, surplus));
        Some(())
    })
}

pub(super) fn new_view_one_short(place: &Place<'_>) -> Option<Probe> {
    new_view_probe(place, RejectionKind::WrongQuorumSize, |body| body.view_changes.pop().map(drop))
}

pub(super) fn new_view_with_a_sender_twice(place: &Place<'_>) -> Option<Probe> {
    new_view_probe(place, RejectionKind::SignersNotRising, |body| {
        let last = body.view_changes.pop()?;
        let first = Arc::clone(body.view_changes.last()?);
        drop(last);
        body.view_changes.push(first);
        Some(())
    })
}

pub(super) fn new_view_with_a_stale_view_change(place: &Place<'_>) -> Option<Probe> {
    let stale = model::View(next_view(place).0.checked_sub(1)?);
    new_view_probe(place, RejectionKind::WrongView, |body| {
        let last = body.view_changes.pop()?;
        let mut earlier = last.body.clone();
        earlier.view = core_view(stale);
        earlier.prepared.clear();
        let signer = model::ReplicaId(earlier.replica.0 as u8);
        body.view_changes.push(Arc::new(place.source.vocabulary.sign_as(signer, earlier)));
        Some(())
    })
}

pub(super) fn new_view_of_another(place: &Place<'_>) -> Option<Probe> {
    let (primary, mut body) = valid_new_view(place)?;
    let another = place.others().find(|other| *other != primary)?;
    body.replica = replica_id(another);
    let new_view = place.source.vocabulary.sign_as(another, body);
    place.refused(another, Message::NewView(Arc::new(new_view)), RejectionKind::NotPrimary)
}

/// A NEW-VIEW for a view that the replica has been in, whose VIEW-CHANGEs say that nothing happened.
pub(super) fn new_view_for_a_view_that_was_left(place: &Place<'_>) -> Option<Probe> {
    let before = place.before();
    let left = if before.active { before.view } else { model::View(before.view.0.checked_sub(1)?) };
    let primary = place.model.primary(left);
    if left.0 == 0 || primary == place.own {
        return None;
    }
    let all = (0..place.model.config().replicas()).map(model::ReplicaId);
    let senders = all.take(place.source.vocabulary.quorum());
    let view_change = |sender| {
        let body = empty_view_change(sender, left);
        Arc::new(place.source.vocabulary.sign_as(sender, body))
    };
    let body = NewView {
        view: core_view(left),
        view_changes: senders.map(view_change).collect(),
        pre_prepares: Vec::new(),
        replica: replica_id(primary),
    };
    let new_view = Arc::new(place.source.vocabulary.sign_as(primary, body));
    place.refused(primary, Message::NewView(new_view), RejectionKind::WrongView)
}
