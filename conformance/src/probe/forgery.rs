//! Forged parts of messages that are good otherwise, and signed by whoever sends them: what a Byzantine replica would send that has
//! its own key, and nobody else's. The signature of the part is of somebody else, or of something else (§2: nobody can forge one).
//!
//! Which part of which sort, and what its signature is of, follows from the choice at the place.

use super::{Expected, Place, Probe};
use crate::forge::map::{Map, sort_of};
use crate::forge::rules::Rules;
use crate::forge::spoil::Forge;
use crate::refinement::action::Delivery;
use crate::refinement::pick::Pick;
use crate::refinement::vocabulary::{replica_id, seq, view as core_view};
use pbft_core::RejectionKind;
use pbft_core::message::Message;
use pbft_core::types::{ReplicaId, SeqNum, View};
use std::sync::Arc;

/// Made at one state in so many: each message has dozens of signatures. Over a graph that is thousands of times all the same.
pub(crate) const ONE_IN: u64 = 32;

/// The message, from whom it comes, and the part that is forged: see [`sort_of`].
fn forged(
    place: &Place<'_>,
    sort: &str,
    good: impl FnOnce(&Forge<'_>) -> Option<(Option<ReplicaId>, Message)>,
) -> Option<Probe> {
    if !place.choice.is_multiple_of(ONE_IN) {
        return None;
    }
    let vocabulary = place.source.vocabulary;
    let replicas = u32::from(place.model.config().replicas());
    let rules = Rules::new(replicas, vocabulary.quorum(), vocabulary.params(place.own));
    let forge = Forge { rules: &rules, keys: &*vocabulary.keys };
    let (from, good) = good(&forge)?;
    let map = Map::of(&good).ok()?;
    let parts: Vec<_> = map.signed.iter().filter(|at| sort_of(&at.path) == sort).collect();
    let pick = Pick::seeded(place.choice / ONE_IN);
    let part = parts.get(pick.index(parts.len()))?;
    let ways = forge.forgeries(&map, part).ok()?;
    let spoiled = forge.forged(&map, part, ways[pick.index(ways.len())]).ok()?;
    // With a forged request the batch has another digest, and whoever lies says so. Other parts would be made anew with that.
    let mended = match part.kind {
        "Request" => forge.mended(&spoiled).ok()?,
        _ => None,
    };
    let message = mended.map_or(spoiled.message, |mended| mended.message);
    let delivery = match from {
        Some(from) => Delivery::Message { from, message },
        None => Delivery::Client(message),
    };
    Some(Probe {
        deliveries: vec![delivery],
        expected: Expected::Refused(RejectionKind::BadSignature),
    })
}

fn peer(place: &Place<'_>) -> Option<ReplicaId> {
    place.others().next().map(replica_id)
}

/// A view beyond all that were heard of, led by another replica.
fn view_of_another(place: &Place<'_>) -> View {
    // The views of the certificates in P are below it.
    let beyond = core_view(place.model.config().max_view()).0.max(5) + 1;
    let own = u64::from(place.own.0);
    let replicas = u64::from(place.model.config().replicas());
    View(if beyond % replicas == own { beyond + 1 } else { beyond })
}

fn in_view_change(place: &Place<'_>, sort: &str) -> Option<Probe> {
    forged(place, sort, |forge| {
        let sender = peer(place)?;
        let good = forge.rich_view_change(view_of_another(place), sender);
        Some((Some(sender), Message::ViewChange(Arc::new(good))))
    })
}

fn in_new_view(place: &Place<'_>, sort: &str) -> Option<Probe> {
    forged(place, sort, |forge| {
        let good = forge.new_view(view_of_another(place));
        Some((Some(good.body.replica), Message::NewView(Arc::new(good))))
    })
}

pub(super) fn checkpoint_in_c(place: &Place<'_>) -> Option<Probe> {
    in_view_change(place, "ViewChange.stable.StableCertificate.checkpoints")
}

pub(super) fn pre_prepare_in_p(place: &Place<'_>) -> Option<Probe> {
    in_view_change(place, "ViewChange.prepared.PreparedCertificate.pre_prepare")
}

pub(super) fn prepare_in_p(place: &Place<'_>) -> Option<Probe> {
    in_view_change(place, "ViewChange.prepared.PreparedCertificate.prepares")
}

pub(super) fn view_change_in_v(place: &Place<'_>) -> Option<Probe> {
    in_new_view(place, "NewView.view_changes")
}

pub(super) fn checkpoint_in_v(place: &Place<'_>) -> Option<Probe> {
    let sort = "NewView.view_changes.ViewChange.stable.StableCertificate.checkpoints";
    in_new_view(place, sort)
}

pub(super) fn pre_prepare_in_v(place: &Place<'_>) -> Option<Probe> {
    let sort = "NewView.view_changes.ViewChange.prepared.PreparedCertificate.pre_prepare";
    in_new_view(place, sort)
}

pub(super) fn prepare_in_v(place: &Place<'_>) -> Option<Probe> {
    let sort = "NewView.view_changes.ViewChange.prepared.PreparedCertificate.prepares";
    in_new_view(place, sort)
}

pub(super) fn pre_prepare_in_o(place: &Place<'_>) -> Option<Probe> {
    in_new_view(place, "NewView.pre_prepares")
}

pub(super) fn checkpoint_in_proof(place: &Place<'_>) -> Option<Probe> {
    forged(place, "StableCertificate.checkpoints", |forge| {
        let low = seq(place.before().low_water_mark).0;
        let next = SeqNum(low + forge.rules.interval);
        Some((peer(place), Message::Stable(Arc::new(forge.stable(next)))))
    })
}

/// A commit certificate for the next batch to be executed.
fn in_committed(place: &Place<'_>, sort: &str) -> Option<Probe> {
    forged(place, sort, |forge| {
        let next = SeqNum(seq(place.before().last_executed).0 + 1);
        let good = forge.committed(core_view(place.before().view), next, forge.batch());
        Some((peer(place), Message::Committed(Arc::new(good))))
    })
}

pub(super) fn commit_in_proof(place: &Place<'_>) -> Option<Probe> {
    in_committed(place, "CommitCertificate.commits")
}

pub(super) fn request_in_committed(place: &Place<'_>) -> Option<Probe> {
    in_committed(place, "CommitCertificate.batch.Batch.requests")
}

pub(super) fn request_in_proposal(place: &Place<'_>) -> Option<Probe> {
    let (slot, _) = place.slots().find(|(_, accepted)| accepted.is_none())?;
    if !place.is_active_backup() {
        return None;
    }
    forged(place, "Proposal.batch.Batch.requests", |forge| {
        let good = forge.proposal(core_view(place.before().view), seq(slot));
        Some((Some(good.pre_prepare.body.replica), Message::PrePrepare(Arc::new(good))))
    })
}

pub(super) fn request_in_batch(place: &Place<'_>) -> Option<Probe> {
    forged(place, "Batch.requests", |forge| Some((peer(place), Message::Batch(forge.batch()))))
}

pub(super) fn relayed_request(place: &Place<'_>) -> Option<Probe> {
    forged(place, "", |forge| {
        Some((peer(place), Message::Request(Arc::new(forge.request(1, b"f")))))
    })
}
