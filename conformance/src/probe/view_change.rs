//! Probes of the view change (§4.4).

use super::{Place, Probe};
use crate::refinement::vocabulary::{replica_id, view as core_view};
use pbft_core::message::{Message, NewView, Signed, StableCertificate, ViewChange};
use pbft_core::types::SeqNum;
use pbft_model as model;
use std::sync::Arc;

/// The first view that this replica could still be asked to enter.
fn next_view(place: &Place<'_>) -> model::View {
    let view = place.before().view;
    if place.before().active { view.next() } else { view }
}

fn forged_view_change(
    place: &Place<'_>,
    view: model::View,
    change: impl FnOnce(&mut ViewChange),
) -> Option<(model::ReplicaId, Arc<Signed<ViewChange>>)> {
    let sender = place.others().next()?;
    let mut body = ViewChange {
        view: core_view(view),
        low_water_mark: SeqNum(0),
        stable: StableCertificate::default(),
        prepared: Vec::new(),
        replica: replica_id(sender),
    };
    change(&mut body);
    Some((sender, Arc::new(place.source.vocabulary.sign_as(sender, body))))
}

pub(super) fn unproven_low_water_mark(place: &Place<'_>) -> Option<Probe> {
    // A view beyond all that the sender may have been heard of.
    let view = place.model.config().max_view().next();
    let interval = place.source.vocabulary.params(place.own).checkpoint_interval;
    let claim = |body: &mut ViewChange| body.low_water_mark = SeqNum(interval);
    let (sender, view_change) = forged_view_change(place, view, claim)?;
    place.refused(sender, Message::ViewChange(view_change), "unproven-checkpoint")
}

pub(super) fn thin_certificate_in_p(place: &Place<'_>) -> Option<Probe> {
    let view = place.model.config().max_view().next();
    let (primary, value) = (place.model.primary(model::View(0)), model::Value::request(1));
    let backups = (0..place.model.config().replicas()).map(model::ReplicaId);
    let backups = backups.filter(|backup| *backup != primary);
    let needed = place.source.vocabulary.membership().prepares();
    let (first, slot) = (model::View(0), model::Slot(1));
    let prepares = backups
        .take(needed - 1)
        .map(|backup| place.source.make_prepare(backup, first, slot, value))
        .collect();
    let pre_prepare = place.source.pre_prepare(primary, first, slot, value);
    let certificate = pbft_core::message::PreparedCertificate { pre_prepare, prepares };
    let claim = |body: &mut ViewChange| body.prepared = vec![certificate];
    let (sender, view_change) = forged_view_change(place, view, claim)?;
    place.refused(sender, Message::ViewChange(view_change), "wrong-quorum-size")
}

pub(super) fn stale_view_change(place: &Place<'_>) -> Option<Probe> {
    let view = place.before().view;
    let stale = if place.before().active { view } else { model::View(view.0.checked_sub(1)?) };
    let (sender, view_change) = forged_view_change(place, stale, |_| {})?;
    place.refused(sender, Message::ViewChange(view_change), "wrong-view")
}

/// A NEW-VIEW for the next view that would be valid, if the view's primary is another replica and V exists.
fn valid_new_view(place: &Place<'_>) -> Option<(model::ReplicaId, NewView)> {
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
    kind: &'static str,
    change: impl FnOnce(&mut NewView) -> Option<()>,
) -> Option<Probe> {
    let (primary, mut body) = valid_new_view(place)?;
    change(&mut body)?;
    let new_view = place.source.vocabulary.sign_as(primary, body);
    place.refused(primary, Message::NewView(Arc::new(new_view)), kind)
}

pub(super) fn new_view_with_another_o(place: &Place<'_>) -> Option<Probe> {
    new_view_probe(place, "wrong-new-view", |body| {
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
    new_view_probe(place, "wrong-quorum-size", |body| body.view_changes.pop().map(drop))
}

pub(super) fn new_view_with_a_sender_twice(place: &Place<'_>) -> Option<Probe> {
    new_view_probe(place, "signers-not-rising", |body| {
        let last = body.view_changes.pop()?;
        let first = Arc::clone(body.view_changes.last()?);
        drop(last);
        body.view_changes.push(first);
        Some(())
    })
}

pub(super) fn new_view_with_a_stale_view_change(place: &Place<'_>) -> Option<Probe> {
    let stale = model::View(next_view(place).0.checked_sub(1)?);
    new_view_probe(place, "wrong-view", |body| {
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
    place.refused(another, Message::NewView(Arc::new(new_view)), "not-primary")
}
