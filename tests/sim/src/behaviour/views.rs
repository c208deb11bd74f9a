//! Lies of the view change.

use super::{Draft, Hand};
use core::time::Duration;
use pbft_conformance::forge::valid::order;
use pbft_core::message::{
    Batch, Message, NewView, PrePrepare, Prepare, PreparedCertificate, Signed, StableCertificate,
    ViewChange,
};
use pbft_core::types::{ReplicaId, SeqNum, View};
use std::sync::Arc;

/// Replaces its own VIEW-CHANGEs.
fn own_view_changes(
    hand: &mut Hand,
    draft: Draft,
    revise: impl Fn(&mut Hand, &ViewChange) -> ViewChange,
) -> Draft {
    let change = |(after, message): (Duration, Message)| match &message {
        Message::ViewChange(one) if one.body.replica == hand.id => {
            let body = revise(hand, &one.body);
            (after, Message::ViewChange(Arc::new(hand.sign(body))))
        }
        _ => (after, message),
    };
    draft.into_iter().map(change).collect()
}

/// P is empty: valid, and a lie.
pub(super) fn hide(hand: &mut Hand, draft: Draft) -> Draft {
    own_view_changes(hand, draft, |_, body| ViewChange { prepared: Vec::new(), ..body.clone() })
}

/// P holds what can be put together, of the earliest view for each number.
pub(super) fn stale(hand: &mut Hand, draft: Draft) -> Draft {
    own_view_changes(hand, draft, |hand, body| {
        let mut all = hand.certificates();
        all.retain(|one| {
            let seq = one.pre_prepare.body.seq;
            one.pre_prepare.body.view < body.view && body.low_water_mark < seq
        });
        all.sort_by_key(|one| (one.pre_prepare.body.seq, one.pre_prepare.body.view));
        all.dedup_by_key(|one| one.pre_prepare.body.seq);
        ViewChange { prepared: all, ..body.clone() }
    })
}

/// Proposals reach all but f replicas, and late enough for what follows to come after their patience; every certificate
/// of the latest view for each number is shown, and nothing that a certificate names is served.
pub(super) fn withhold(hand: &mut Hand, to: ReplicaId, draft: Draft) -> Draft {
    let wait = hand.params.view_timeout * (94 + hand.rng.below(8) as u32) / 100;
    let (n, faults) = (hand.params.membership.n() as u32, hand.params.membership.faults() as u32);
    let is_skipped = (to.0 + n - hand.id.0) % n >= n - faults;
    let is_served = |(_, message): &(Duration, Message)| match message {
        Message::Batch(_) | Message::StateData(_) | Message::Committed(_) => false,
        Message::PrePrepare(_) => !is_skipped,
        _ => true,
    };
    let delay = |(after, message): (Duration, Message)| match message {
        Message::PrePrepare(_) => (after + wait, message),
        _ => (after, message),
    };
    let draft = draft.into_iter().filter(is_served).map(delay).collect();
    own_view_changes(hand, draft, |hand, body| {
        let enough = hand.params.membership.prepares();
        let mut all = hand.certificates();
        all.retain(|one| {
            let claim = &one.pre_prepare.body;
            let is_above = claim.view < body.view && body.low_water_mark < claim.seq;
            is_above
                && claim.seq.0 <= body.low_water_mark.0 + hand.params.window
                && one.prepares.len() == enough
        });
        all.extend(body.prepared.iter().cloned());
        all.sort_by_key(|one| {
            (one.pre_prepare.body.seq, std::cmp::Reverse(one.pre_prepare.body.view))
        });
        all.dedup_by_key(|one| one.pre_prepare.body.seq);
        ViewChange { prepared: all, ..body.clone() }
    })
}

/// h without a proof.
pub(super) fn unproven(hand: &mut Hand, draft: Draft) -> Draft {
    own_view_changes(hand, draft, |hand, body| {
        let interval = hand.params.checkpoint_interval;
        let low_water_mark = SeqNum(body.low_water_mark.0 + interval);
        let stable = match hand.rng.below(3) {
            0 => StableCertificate::default(),
            1 => body.stable.clone(),
            _ => {
                let mut stable = body.stable.clone();
                stable.checkpoints.pop();
                stable
            }
        };
        ViewChange { low_water_mark, stable, prepared: Vec::new(), ..body.clone() }
    })
}

/// P holds something that is no certificate, or one in which all is right but the signatures of others.
pub(super) fn forge(hand: &mut Hand, draft: Draft) -> Draft {
    own_view_changes(hand, draft, |hand, body| {
        if hand.rng.percent(30) {
            return ViewChange { prepared: made_up(hand, body), ..body.clone() };
        }
        let mut prepared = body.prepared.clone();
        let known = hand.certificates();
        let position = hand.rng.index(known.len());
        let Some(mut one) = prepared.pop().or_else(|| known.get(position).cloned()) else {
            return body.clone();
        };
        let is_doubled = hand.rng.percent(30);
        if is_doubled {
            prepared.push(one.clone());
        } else {
            spoil(hand, &mut one, body);
        }
        prepared.push(one);
        if hand.rng.percent(20) {
            prepared.reverse();
        }
        ViewChange { prepared, ..body.clone() }
    })
}

/// Certificates for each number that it heard of: that the null batch prepared there just before the view is left. Whoever
/// believed them would order nothing where something is final.
fn made_up(hand: &Hand, body: &ViewChange) -> Vec<PreparedCertificate> {
    let Some(view) = body.view.0.checked_sub(1).map(View) else { return Vec::new() };
    let (membership, digest) = (&hand.params.membership, Batch::default().digest());
    let primary = membership.primary(view);
    let last = hand.top.0.min(body.low_water_mark.0 + hand.params.window);
    let certificate = |seq| {
        let vote = |replica| hand.sign(Prepare { view, seq, digest, replica });
        let backups = membership.others(primary).take(membership.prepares());
        let pre_prepare = hand.sign(PrePrepare { view, seq, digest, replica: primary });
        PreparedCertificate { pre_prepare, prepares: backups.map(vote).collect() }
    };
    (body.low_water_mark.0 + 1..=last).map(|seq| certificate(SeqNum(seq))).collect()
}

fn spoil(hand: &mut Hand, one: &mut PreparedCertificate, body: &ViewChange) {
    match hand.rng.below(9) {
        0 => drop(one.prepares.pop()),
        1 => one.prepares.iter_mut().for_each(|vote| vote.signature.r[0] ^= 1),
        2 => {
            if let Some(first) = one.prepares.first().cloned() {
                one.prepares.iter_mut().for_each(|vote| *vote = first.clone());
            }
        }
        3 => {
            let digest = hand.any_digest();
            let forged = PrePrepare { digest, replica: hand.id, ..one.pre_prepare.body.clone() };
            one.pre_prepare = hand.sign(forged);
        }
        4 => {
            let view = View(body.view.0 + 1);
            let forged = PrePrepare { view, replica: hand.id, ..one.pre_prepare.body.clone() };
            one.pre_prepare = hand.sign(forged);
        }
        5 => {
            let seq = SeqNum(body.low_water_mark.0 + hand.params.window + 1);
            let forged = PrePrepare { seq, replica: hand.id, ..one.pre_prepare.body.clone() };
            one.pre_prepare = hand.sign(forged);
        }
        6 => one.prepares.reverse(),
        7 => {
            let mine = Prepare {
                view: one.pre_prepare.body.view,
                seq: one.pre_prepare.body.seq,
                digest: hand.any_digest(),
                replica: hand.id,
            };
            let mine = hand.sign(mine);
            one.prepares.retain(|vote| vote.body.replica != mine.body.replica);
            one.prepares.pop();
            one.prepares.push(mine);
            one.prepares.sort_by_key(|vote| vote.body.replica);
        }
        _ => {
            let digest = hand.any_digest();
            let view = View(body.view.0.saturating_sub(1));
            let forged =
                PrePrepare { view, digest, replica: hand.id, ..one.pre_prepare.body.clone() };
            one.pre_prepare = hand.sign(forged);
        }
    }
}

/// O is not what follows from V, and not the same for everybody.
pub(super) fn wrong_order(hand: &mut Hand, to: ReplicaId, draft: Draft) -> Draft {
    let revise = |(after, message): (Duration, Message)| {
        let Message::NewView(one) = &message else { return (after, message) };
        if one.body.replica != hand.id {
            return (after, message);
        }
        let mut body = one.body.clone();
        let view = body.view;
        let next = body.pre_prepares.last().map_or(hand.low, |last| last.body.seq).next();
        let own = |hand: &Hand, seq, digest| {
            hand.sign(PrePrepare { view, seq, digest, replica: hand.id })
        };
        match (hand.rng.below(5), body.pre_prepares.len()) {
            (0, 1..) => drop(body.pre_prepares.pop()),
            (1, 1..) => {
                let seq = body.pre_prepares[0].body.seq;
                body.pre_prepares[0] = own(hand, seq, Batch::default().digest());
            }
            (2, 2..) => body.pre_prepares.swap(0, 1),
            (3, 1..) => {
                let position = hand.rng.index(hand.proposals.len());
                let digest = hand.proposals.values().nth(position).map(|one| one.batch.digest());
                let seq = body.pre_prepares[to.0 as usize % body.pre_prepares.len()].body.seq;
                let position = to.0 as usize % body.pre_prepares.len();
                body.pre_prepares[position] = own(hand, seq, digest.unwrap_or_default());
            }
            _ => {
                let known = hand.requests.back().map(|request| Signed::clone(request));
                let batch = Batch { requests: known.into_iter().collect() };
                body.pre_prepares.push(own(hand, next, batch.digest()));
            }
        }
        (after, Message::NewView(Arc::new(hand.sign(body))))
    };
    draft.into_iter().map(revise).collect()
}

/// V is not q valid VIEW-CHANGEs of different replicas for this view.
pub(super) fn fake(hand: &mut Hand, draft: Draft) -> Draft {
    let revise = |(after, message): (Duration, Message)| {
        let Message::NewView(one) = &message else { return (after, message) };
        if one.body.replica != hand.id {
            return (after, message);
        }
        let body = faked(hand, one.body.clone());
        (after, Message::NewView(Arc::new(hand.sign(body))))
    };
    draft.into_iter().map(revise).collect()
}

fn faked(hand: &mut Hand, mut body: NewView) -> NewView {
    match hand.rng.below(7) {
        0 => drop(body.view_changes.pop()),
        // P of its own is made up, and O accordingly: only the signatures in P are not those of others.
        5 => {
            let own = body.view_changes.iter_mut().find(|one| one.body.replica == hand.id);
            if let Some(own) = own {
                let claim = ViewChange { prepared: made_up(hand, &own.body), ..own.body.clone() };
                *own = Arc::new(hand.sign(claim));
                order_what_follows(hand, &mut body);
            }
        }
        // As if nobody had prepared anything, and O accordingly: only the signatures of others in V are not theirs.
        6 => {
            for one in &mut body.view_changes {
                let claim = ViewChange { prepared: Vec::new(), ..one.body.clone() };
                *one = Arc::new(hand.sign(claim));
            }
            order_what_follows(hand, &mut body);
        }
        1 => {
            if let Some(first) = body.view_changes.first().cloned() {
                body.view_changes.iter_mut().for_each(|one| *one = Arc::clone(&first));
            }
        }
        2 => {
            let stale = hand.view_changes_of_other_views(body.view);
            if let Some(stale) = stale.first().cloned() {
                body.view_changes.retain(|one| one.body.replica != stale.body.replica);
                body.view_changes.pop();
                body.view_changes.push(stale);
                body.view_changes.sort_by_key(|one| one.body.replica);
            }
        }
        3 => body.view_changes.reverse(),
        _ => {
            let others = body.view_changes.iter_mut().filter(|one| one.body.replica != hand.id);
            others.for_each(|one| Arc::make_mut(one).body.prepared.clear());
        }
    }
    body
}

/// O as it follows from V.
fn order_what_follows(hand: &Hand, body: &mut NewView) {
    let all: Vec<_> = body.view_changes.iter().map(|one| &one.body).collect();
    let (view, replica) = (body.view, hand.id);
    let orders = order(&all).into_iter().take(hand.params.window_len());
    let sign = |(seq, digest)| hand.sign(PrePrepare { view, seq, digest, replica });
    body.pre_prepares = orders.map(sign).collect();
}

/// Begins a view whose primary is somebody else, or its own without anybody having asked.
pub(super) fn usurp(hand: &mut Hand) -> Vec<Message> {
    let view = View(hand.view.0 + hand.rng.below(3));
    let view_changes = hand.view_changes_for(view);
    let body = NewView { view, view_changes, pre_prepares: Vec::new(), replica: hand.id };
    vec![Message::NewView(Arc::new(hand.sign(body)))]
}

/// Every second replica is left out.
pub(super) fn partial(hand: &Hand, to: ReplicaId, draft: Draft) -> Draft {
    let is_left_out = (to.0 + hand.id.0).is_multiple_of(2);
    draft
        .into_iter()
        .filter(|(_, message)| !(is_left_out && matches!(message, Message::NewView(_))))
        .collect()
}

/// One view after the other, and now and then one in the far future.
pub(super) fn storm(hand: &mut Hand, tick: u64) -> Vec<Message> {
    let ahead = match tick % 7 {
        6 => 1 << 40,
        ahead => 1 + ahead,
    };
    let body = ViewChange {
        view: View(hand.view.0 + ahead),
        low_water_mark: SeqNum(0),
        stable: StableCertificate::default(),
        prepared: Vec::new(),
        replica: hand.id,
    };
    vec![Message::ViewChange(Arc::new(hand.sign(body)))]
}
