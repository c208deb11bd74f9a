//! Probes of certificates: whose votes they hold, and for what (§4.2, §4.4).

use super::view_change::forged_view_change;
use super::{Expected, Place, Probe};
use pbft_core::RejectionKind;
use pbft_core::message::{CommitCertificate, Message, Prepare, PreparedCertificate, Signed};
use pbft_core::types::SeqNum;
use pbft_model as model;
use std::sync::Arc;

fn everybody(place: &Place<'_>) -> impl Iterator<Item = model::ReplicaId> + use<> {
    (0..place.model.config().replicas()).map(model::ReplicaId)
}

/// A commit certificate for a slot in the window, with the votes of the first q replicas.
fn commit_certificate(place: &Place<'_>, slot: model::Slot) -> CommitCertificate {
    let (view, value) = (place.before().view, model::Value::request(1));
    let voters = everybody(place).take(place.source.vocabulary.quorum());
    let vote = |voter| place.source.make_commit(voter, view, slot, value);
    let batch = place.source.vocabulary.batch(value);
    CommitCertificate { commits: voters.map(vote).collect(), batch }
}

fn spoiled_commit_certificate(
    place: &Place<'_>,
    kind: RejectionKind,
    spoil: impl FnOnce(&mut CommitCertificate),
) -> Option<Probe> {
    let (slot, _) = place.slots().next()?;
    let sender = place.others().next()?;
    let mut certificate = commit_certificate(place, slot);
    spoil(&mut certificate);
    place.refused(sender, Message::Committed(Arc::new(certificate)), kind)
}

pub(super) fn one_short(place: &Place<'_>) -> Option<Probe> {
    spoiled_commit_certificate(place, RejectionKind::WrongQuorumSize, |certificate| {
        certificate.commits.pop();
    })
}

pub(super) fn a_signer_twice(place: &Place<'_>) -> Option<Probe> {
    spoiled_commit_certificate(place, RejectionKind::SignersNotRising, |certificate| {
        certificate.commits[1] = certificate.commits[0].clone();
    })
}

pub(super) fn mixed_votes(place: &Place<'_>) -> Option<Probe> {
    let (slot, _) = place.slots().next()?;
    let last = everybody(place).nth(place.source.vocabulary.quorum() - 1)?;
    let view = place.before().view;
    let other = place.source.make_commit(last, view, slot, model::Value::NULL);
    spoiled_commit_certificate(place, RejectionKind::MixedCertificate, |certificate| {
        certificate.commits.pop();
        certificate.commits.push(other);
    })
}

pub(super) fn another_batch(place: &Place<'_>) -> Option<Probe> {
    let null = place.source.vocabulary.batch(model::Value::NULL);
    spoiled_commit_certificate(place, RejectionKind::WrongDigest, |certificate| {
        certificate.batch = null
    })
}

/// Final, but not next: it waits.
pub(super) fn ahead_of_execution(place: &Place<'_>) -> Option<Probe> {
    let ahead = place.before().last_executed.next().next();
    let (slot, _) = place.slots().find(|(slot, _)| *slot == ahead)?;
    let sender = place.others().next()?;
    let message = Message::Committed(Arc::new(commit_certificate(place, slot)));
    Some(Probe { deliveries: vec![place.from(sender, message)], expected: Expected::Nothing })
}

/// A certificate for the first slot of `view` that would be valid.
pub(super) fn prepared_certificate(place: &Place<'_>, view: model::View) -> PreparedCertificate {
    let (primary, value) = (place.model.primary(view), model::Value::request(1));
    let backups = everybody(place).filter(|backup| *backup != primary);
    let slot = model::Slot(1);
    let vote = |backup| place.source.make_prepare(backup, view, slot, value);
    let needed = place.source.vocabulary.prepares();
    let pre_prepare = place.source.pre_prepare(primary, view, slot, value);
    PreparedCertificate { pre_prepare, prepares: backups.take(needed).map(vote).collect() }
}

fn view_change_with(
    place: &Place<'_>,
    view: model::View,
    prepared: Vec<PreparedCertificate>,
    kind: RejectionKind,
) -> Option<Probe> {
    let claim = |body: &mut pbft_core::message::ViewChange| body.prepared = prepared;
    let (sender, view_change) = forged_view_change(place, view, claim)?;
    place.refused(sender, Message::ViewChange(view_change), kind)
}

/// A view beyond all that the sender may have been heard of.
fn view_beyond(place: &Place<'_>) -> model::View {
    place.model.config().max_view().next()
}

pub(super) fn thin_certificate_in_p(place: &Place<'_>) -> Option<Probe> {
    let mut certificate = prepared_certificate(place, model::View(0));
    certificate.prepares.pop();
    view_change_with(place, view_beyond(place), vec![certificate], RejectionKind::WrongQuorumSize)
}

pub(super) fn certificate_of_the_view_itself(place: &Place<'_>) -> Option<Probe> {
    let view = view_beyond(place);
    let certificate = prepared_certificate(place, view);
    view_change_with(place, view, vec![certificate], RejectionKind::CertificateFromFuture)
}

pub(super) fn two_certificates_for_one_slot(place: &Place<'_>) -> Option<Probe> {
    let certificate = prepared_certificate(place, model::View(0));
    let twice = vec![certificate.clone(), certificate];
    view_change_with(place, view_beyond(place), twice, RejectionKind::CertificatesNotRising)
}

pub(super) fn certificate_above_the_window(place: &Place<'_>) -> Option<Probe> {
    let above = place.source.vocabulary.params(place.own).window + 1;
    let mut certificate = prepared_certificate(place, model::View(0));
    let primary = place.model.primary(model::View(0));
    certificate.pre_prepare.body.seq = SeqNum(above);
    let body = certificate.pre_prepare.body.clone();
    certificate.pre_prepare = place.source.vocabulary.sign_as(primary, body);
    let raise = |vote: &Signed<Prepare>| {
        let signer = model::ReplicaId(vote.body.replica.0 as u8);
        let body = Prepare { seq: SeqNum(above), ..vote.body.clone() };
        place.source.vocabulary.sign_as(signer, body)
    };
    certificate.prepares = certificate.prepares.iter().map(raise).collect();
    view_change_with(place, view_beyond(place), vec![certificate], RejectionKind::OutsideWindow)
}
