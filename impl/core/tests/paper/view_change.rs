//! §4.4: view changes.

use super::checkpoint::executed;
use super::{Cluster, alone, not_primary, outside, refused, words, wrong_view};
use crate::common::craft::{
    self, batch, commit, new_view, prepare, prepared, proposal, request, signed_view_change,
    stable, view_change, view_change_body,
};
use crate::common::keys::signed;
use pbft_core::message::{Message, PreparedCertificate, ViewChange};
use pbft_core::types::{Digest, ReplicaId, SeqNum, View};
use pbft_core::{Effect, Input, Rejection, Timer};
use std::sync::Arc;

fn suspects(cluster: &mut Cluster, id: u32) -> Vec<Effect> {
    cluster.input(id, Input::Suspect).expect("always possible")
}

fn own_view_change(effects: &[Effect]) -> ViewChange {
    let own = effects.iter().find_map(|effect| match effect {
        Effect::Broadcast(Message::ViewChange(own)) => Some(own.body.clone()),
        _ => None,
    });
    own.expect("VIEW-CHANGE goes out")
}

/// §4.4: the timer runs while a request waits; when it runs out, the replica leaves the view, writes that down, and
/// tells all.
#[test]
fn a_backup_whose_timer_runs_out_leaves_the_view() {
    let mut cluster = alone(1);
    cluster.request(1, &request(1, 1)).expect("new");
    let effects = cluster.input(1, Input::Timer(Timer::ViewChange)).expect("it runs");
    assert_eq!(words(&effects), ["cancel-timer", "persist", "view-change"]);
    assert_eq!(cluster.view(1), (View(1), false));
}

/// A timer that does not run cannot run out.
#[test]
pub(super) fn the_timer_must_be_running() {
    let mut cluster = alone(1);
    let fired = cluster.input(1, Input::Timer(Timer::ViewChange));
    refused(fired, Rejection::TimerNotRunning);
}

/// §4.4: a replica that left a view takes no pre-prepare in it, and counts no vote of it.
#[test]
fn the_view_that_was_left_is_left() {
    let mut cluster = alone(1);
    let batch = batch(1);
    cluster.inject(0, 1, proposal(0, 1, &batch, 0)).expect("accepted");
    suspects(&mut cluster, 1);
    refused(cluster.inject(2, 1, prepare(0, 1, batch.digest(), 2)), wrong_view(1, 0));
    refused(cluster.inject(2, 1, commit(0, 1, batch.digest(), 2)), wrong_view(1, 0));
    assert!(cluster.summary(1).prepared.is_empty());
}

/// §4.4: P holds the certificate of the highest view for each sequence number above h that prepared, C the proof of h.
#[test]
fn a_view_change_tells_h_its_proof_and_what_prepared() {
    let mut cluster = executed(2);
    let digest = cluster.nodes[1].durable.checkpoints[&SeqNum(2)].body.digest;
    let proof = stable(2, digest, &[0, 2, 3]);
    cluster.inject(0, 1, Message::Stable(Arc::new(proof.clone()))).expect("a proof");
    let batch = batch(7);
    cluster.inject(0, 1, proposal(0, 3, &batch, 0)).expect("accepted");
    cluster.inject(2, 1, prepare(0, 3, batch.digest(), 2)).expect("prepared");
    cluster.inject(0, 1, proposal(0, 4, &craft::batch(8), 0)).expect("only pre-prepared");
    let own = own_view_change(&suspects(&mut cluster, 1));
    assert_eq!((own.view, own.low_water_mark), (View(1), SeqNum(2)));
    assert_eq!(own.stable, proof);
    let p: Vec<_> = own.prepared.iter().map(|c| c.pre_prepare.body.seq.0).collect();
    assert_eq!(p, [3]);
    // It stays in P in the views after, and is replaced by a later one.
    let again = own_view_change(&suspects(&mut cluster, 1));
    assert_eq!(again.prepared, own.prepared);
}

/// §4.4: f+1 replicas in later views make a replica join the smallest of them.
#[test]
fn f_plus_one_in_later_views_are_joined() {
    let mut cluster = alone(1);
    cluster.inject(2, 1, view_change(5, Vec::new(), 2)).expect("valid");
    assert_eq!(cluster.view(1), (View(0), true));
    cluster.inject(3, 1, view_change(3, Vec::new(), 3)).expect("valid");
    assert_eq!(cluster.view(1), (View(3), false));
}

/// §4.4: after VIEW-CHANGE the timer starts only when q replicas want the view or a later one.
#[test]
fn the_timer_of_a_view_change_waits_for_a_quorum() {
    let mut cluster = alone(1);
    suspects(&mut cluster, 1);
    suspects(&mut cluster, 1);
    cluster.inject(2, 1, view_change(2, Vec::new(), 2)).expect("valid");
    assert!(!cluster.replica(1).is_view_timer_running());
    let effects = cluster.inject(3, 1, view_change(9, Vec::new(), 3)).expect("valid");
    assert_eq!(words(&effects), ["set-timer"]);
}

/// A VIEW-CHANGE is of another member, for a view that may still come, and the sender's latest.
#[test]
fn a_view_change_is_for_a_view_to_come() {
    let mut cluster = alone(1);
    refused(cluster.inject(2, 1, view_change(0, Vec::new(), 2)), wrong_view(0, 0));
    refused(cluster.inject(2, 1, view_change(1, Vec::new(), 1)), Rejection::OwnMessage);
    let stranger = Rejection::NotAMember { replica: ReplicaId(4) };
    refused(cluster.inject(2, 1, view_change(1, Vec::new(), 4)), stranger);
    cluster.inject(3, 1, view_change(4, Vec::new(), 2)).expect("also handed on");
    refused(cluster.inject(2, 1, view_change(4, Vec::new(), 2)), Rejection::Duplicate);
    refused(cluster.inject(2, 1, view_change(2, Vec::new(), 2)), Rejection::Duplicate);
    (0..3).for_each(|_| drop(suspects(&mut cluster, 1)));
    refused(cluster.inject(3, 1, view_change(2, Vec::new(), 3)), wrong_view(3, 2));
    cluster.inject(3, 1, view_change(3, Vec::new(), 3)).expect("the view that is changed to");
}

/// View numbers end; nobody wraps around.
#[test]
pub(super) fn there_is_a_last_view() {
    let mut cluster = alone(1);
    for from in [2, 3] {
        cluster.inject(from, 1, view_change(u64::MAX, Vec::new(), from)).expect("valid");
    }
    let view = View(u64::MAX);
    assert_eq!(cluster.view(1), (view, false));
    refused(cluster.input(1, Input::Suspect), Rejection::LastView { view });
}

/// §4.4: C proves h.
#[test]
pub(super) fn h_is_proven_in_a_view_change() {
    let mut cluster = alone(1);
    let digest = batch(9).digest();
    let with = |low: u64, proof: &[u32], proven: u64| {
        let low_water_mark = SeqNum(low);
        let stable = stable(proven, digest, proof);
        let body = view_change_body(1, Vec::new(), 2);
        Message::ViewChange(Arc::new(signed(ViewChange { low_water_mark, stable, ..body })))
    };
    let claimed = |claimed, proven| {
        let (claimed, proven) = (SeqNum(claimed), SeqNum(proven));
        Rejection::UnprovenCheckpoint { claimed, proven }
    };
    refused(cluster.inject(2, 1, with(4, &[], 4)), claimed(4, 0));
    refused(cluster.inject(2, 1, with(4, &[0, 2, 3], 2)), claimed(4, 2));
    refused(cluster.inject(2, 1, with(0, &[0, 2, 3], 2)), claimed(0, 2));
    let too_few = Rejection::WrongQuorumSize { needed: 3, got: 2 };
    refused(cluster.inject(2, 1, with(4, &[0, 2], 4)), too_few);
    cluster.inject(2, 1, with(4, &[0, 2, 3], 4)).expect("proven");
}

/// §4.4: P's elements are prepared certificates of earlier views with sequence numbers in (h, h+L], one for each.
#[test]
pub(super) fn p_holds_prepared_certificates_of_earlier_views_in_rising_order() {
    let mut cluster = alone(1);
    let digest = batch(1).digest();
    let mut try_p = |p: Vec<PreparedCertificate>| cluster.inject(2, 1, view_change(2, p, 2));
    let good = |view, seq| {
        let backups: &[u32] = if view == 0 { &[1, 2] } else { &[2, 3] };
        prepared(view, seq, digest, 4, backups)
    };
    let future = Rejection::CertificateFromFuture { view: View(2), got: View(2) };
    refused(try_p(vec![prepared(2, 1, digest, 4, &[1, 3])]), future);
    for seq in [0, 9, u64::MAX] {
        refused(try_p(vec![good(0, seq)]), outside(seq, 0, 8));
    }
    for second in [1, 2] {
        let seq = SeqNum(second);
        let p = vec![good(0, 2), good(1, second)];
        refused(try_p(p), Rejection::CertificatesNotRising { seq });
    }
    let primary = Rejection::PrepareFromPrimary { replica: ReplicaId(0) };
    refused(try_p(vec![prepared(0, 1, digest, 4, &[0, 1])]), primary);
    let too_few = Rejection::WrongQuorumSize { needed: 2, got: 1 };
    refused(try_p(vec![prepared(0, 1, digest, 4, &[1])]), too_few);
    let twice = Rejection::SignersNotRising { replica: ReplicaId(1) };
    refused(try_p(vec![prepared(0, 1, digest, 4, &[1, 1])]), twice);
    let mut stolen = good(0, 1);
    stolen.pre_prepare = craft::pre_prepare(0, 1, digest, 3);
    refused(try_p(vec![stolen]), not_primary(0, 3));
    let (other_view, other_seq) = ((1, 1, digest), (0, 2, digest));
    for (view, seq, d) in [other_view, other_seq, (0, 1, batch(2).digest())] {
        let mut mixed = good(0, 1);
        mixed.prepares[1] = craft::signed_prepare(view, seq, d, 2);
        refused(try_p(vec![mixed]), Rejection::MixedCertificate);
    }
    try_p(vec![good(0, 1), good(1, 8)]).expect("valid");
}

/// §4.4: the primary of the new view begins it with q VIEW-CHANGEs for it, its own among them.
#[test]
fn the_new_primary_needs_q_view_changes_for_exactly_its_view() {
    let mut cluster = alone(1);
    suspects(&mut cluster, 1);
    cluster.inject(0, 1, view_change(1, Vec::new(), 0)).expect("valid");
    cluster.inject(2, 1, view_change(2, Vec::new(), 2)).expect("for a later view");
    assert_eq!(cluster.view(1), (View(1), false));
    let effects = cluster.inject(3, 1, view_change(1, Vec::new(), 3)).expect("valid");
    assert!(words(&effects).ends_with(&["persist", "new-view", "cancel-timer"]));
    assert_eq!(cluster.view(1), (View(1), true));
}

/// §4.4: O takes, for each sequence number from min-s to max-s, the certificate of the highest view in V, and the null
/// batch where there is none.
#[test]
fn o_takes_the_highest_view_and_fills_gaps() {
    let mut cluster = alone(3);
    let (old, new) = (batch(1), batch(2));
    // Replica 3 has both batches from the views before.
    cluster.inject(0, 3, proposal(0, 1, &new, 0)).expect("accepted");
    cluster.inject(2, 3, prepare(0, 1, new.digest(), 2)).expect("prepared");
    cluster.inject(0, 3, proposal(0, 3, &old, 0)).expect("accepted");
    cluster.inject(2, 3, prepare(0, 3, old.digest(), 2)).expect("prepared");
    (0..3).for_each(|_| drop(suspects(&mut cluster, 3)));
    let p = vec![prepared(0, 1, old.digest(), 4, &[1, 2])];
    cluster.inject(0, 3, view_change(3, p, 0)).expect("valid");
    let p = vec![prepared(2, 1, new.digest(), 4, &[0, 1])];
    let effects = cluster.inject(1, 3, view_change(3, p, 1)).expect("valid");
    let new_view = effects.iter().find_map(|effect| match effect {
        Effect::Broadcast(Message::NewView(new_view)) => Some(new_view.body.clone()),
        _ => None,
    });
    let o = new_view.expect("begins").pre_prepares;
    let o: Vec<_> = o.iter().map(|p| (p.body.view.0, p.body.seq.0, p.body.digest)).collect();
    let null = craft::batch_of(&[]).digest();
    assert_eq!(o, [(3, 1, new.digest()), (3, 2, null), (3, 3, old.digest())]);
}

/// A valid V for view 1, with one certificate, and the O that follows from it.
fn first_view(n: u32) -> (Vec<Arc<pbft_core::message::Signed<ViewChange>>>, Digest) {
    let digest = batch(1).digest();
    let p = || vec![prepared(0, 2, digest, n, &[1, 2])];
    let v = [0, 1, 3].map(|id| signed_view_change(1, if id == 1 { p() } else { Vec::new() }, id));
    (v.to_vec(), digest)
}

/// §4.4: backups recompute O from V, and refuse a NEW-VIEW that differs anywhere; V holds q VIEW-CHANGEs for exactly
/// this view of different members.
#[test]
pub(super) fn o_is_recomputed_bit_for_bit() {
    let null = craft::batch_of(&[]).digest();
    let (v, digest) = first_view(4);
    let mut cluster = alone(2);
    let mut attempt = |v: &[_], o: &[(u64, Digest)], signer| {
        cluster.inject(1, 2, new_view(1, v.to_vec(), o, signer))
    };
    let o = [(1, null), (2, digest)];
    let wrong = |position| Rejection::WrongNewView { position };
    refused(attempt(&v, &o[..1], 1), wrong(1));
    refused(attempt(&v, &[], 1), wrong(0));
    refused(attempt(&v, &[(1, digest), (2, digest)], 1), wrong(0));
    refused(attempt(&v, &[(1, null), (2, null)], 1), wrong(1));
    refused(attempt(&v, &[(1, null), (3, digest)], 1), wrong(1));
    refused(attempt(&v, &[(1, null), (2, digest), (3, null)], 1), wrong(2));
    refused(attempt(&v, &o, 3), not_primary(1, 3));
    refused(attempt(&v[..2], &o, 1), Rejection::WrongQuorumSize { needed: 3, got: 2 });
    let rising = Rejection::SignersNotRising { replica: ReplicaId(1) };
    refused(attempt(&[v[0].clone(), v[1].clone(), v[1].clone()], &o, 1), rising);
    let stale = signed_view_change(2, Vec::new(), 3);
    refused(attempt(&[v[0].clone(), v[1].clone(), stale], &o, 1), wrong_view(1, 2));
    let stranger = signed_view_change(1, Vec::new(), 7);
    let unknown = Rejection::NotAMember { replica: ReplicaId(7) };
    refused(attempt(&[v[0].clone(), v[1].clone(), stranger], &o, 1), unknown);
    let forged = vec![prepared(0, 1, digest, 4, &[1])];
    let forged = signed_view_change(1, forged, 3);
    let too_few = Rejection::WrongQuorumSize { needed: 2, got: 1 };
    refused(attempt(&[v[0].clone(), v[1].clone(), forged], &o, 1), too_few);
    // The right one waits for its batch, then begins.
    let effects = attempt(&v, &o, 1).expect("valid");
    assert_eq!(words(&effects), ["fetch-batch"]);
    refused(attempt(&v, &o, 1), Rejection::Duplicate);
    let effects = cluster.inject(3, 2, Message::Batch(batch(1))).expect("asked for");
    let expected = ["persist", "persist", "persist", "prepare", "prepare"];
    assert_eq!(words(&effects)[..5], expected);
    assert_eq!(cluster.view(2), (View(1), true));
    refused(cluster.inject(1, 2, new_view(1, v, &o, 1)), wrong_view(1, 1));
    refused(cluster.inject(3, 2, Message::Batch(batch(1))), Rejection::NotRequested);
}

/// A pre-prepare of O whose own view or signer differs is no part of this NEW-VIEW.
#[test]
fn o_is_signed_by_the_new_primary_for_its_view() {
    let (v, digest) = first_view(4);
    let null = craft::batch_of(&[]).digest();
    for (view, signer) in [(0, 1), (5, 1), (1, 3)] {
        let mut cluster = alone(2);
        let Message::NewView(good) = new_view(1, v.clone(), &[(1, null), (2, digest)], 1) else {
            unreachable!("made here")
        };
        let mut body = good.body.clone();
        body.pre_prepares[1] = craft::pre_prepare(view, 2, digest, signer);
        let message = Message::NewView(Arc::new(signed(body)));
        refused(cluster.inject(1, 2, message), Rejection::WrongNewView { position: 1 });
    }
}

/// §4.4: O starts after min-s, the highest stable checkpoint in V; a replica that has the state moves h there.
#[test]
fn o_starts_after_the_highest_stable_checkpoint() {
    let mut cluster = executed(3);
    let digest = cluster.nodes[1].durable.checkpoints[&SeqNum(2)].body.digest;
    let proof = stable(2, digest, &[0, 2, 3]);
    let ahead = ViewChange {
        low_water_mark: SeqNum(2),
        stable: proof,
        ..view_change_body(2, Vec::new(), 0)
    };
    let p = vec![
        prepared(0, 1, batch(1).digest(), 4, &[1, 2]),
        prepared(0, 3, batch(3).digest(), 4, &[1, 2]),
    ];
    let v = vec![
        Arc::new(signed(ahead)),
        signed_view_change(2, p, 2),
        signed_view_change(2, Vec::new(), 3),
    ];
    let with_one = [(1, batch(1).digest()), (3, batch(3).digest())];
    let outcome = cluster.inject(2, 1, new_view(2, v.clone(), &with_one, 2));
    refused(outcome, Rejection::WrongNewView { position: 0 });
    cluster.inject(2, 1, new_view(2, v, &with_one[1..], 2)).expect("valid");
    assert_eq!(cluster.summary(1).low_water_mark, SeqNum(2));
    assert_eq!(cluster.summary(1).accepted.len(), 1);
}

/// §4.4: replicas that executed a batch vote for it again in the new view, and do not execute it again.
#[test]
fn executed_batches_are_voted_for_again_but_not_executed() {
    let mut cluster = executed(2);
    let p = (1..=2).map(|seq| prepared(0, seq, batch(seq as u32).digest(), 4, &[2, 3])).collect();
    let v = vec![
        signed_view_change(2, p, 0),
        signed_view_change(2, Vec::new(), 2),
        signed_view_change(2, Vec::new(), 3),
    ];
    let o = [(1, batch(1).digest()), (2, batch(2).digest())];
    let effects = cluster.inject(2, 1, new_view(2, v, &o, 2)).expect("valid");
    let prepares = words(&effects).iter().filter(|word| **word == "prepare").count();
    assert_eq!(prepares, 2);
    for from in [0, 3] {
        cluster.inject(from, 1, prepare(2, 1, o[0].1, from)).expect("logged");
        cluster.inject(from, 1, commit(2, 1, o[0].1, from)).expect("logged");
    }
    assert_eq!(cluster.summary(1).prepared[&SeqNum(1)].0, View(2));
    assert_eq!(cluster.executed(1), SeqNum(2));
}

/// §4.4: votes of the view before neither count in the new one nor stand in the way of its votes.
#[test]
fn votes_start_afresh_in_a_new_view() {
    let mut cluster = alone(1);
    let batch = batch(1);
    let digest = batch.digest();
    cluster.inject(0, 1, proposal(0, 1, &batch, 0)).expect("accepted");
    cluster.inject(3, 1, prepare(0, 1, digest, 3)).expect("prepared");
    cluster.inject(3, 1, commit(0, 1, digest, 3)).expect("logged");
    let p = vec![prepared(0, 1, digest, 4, &[1, 3])];
    let v = [0, 2, 3].map(|id| signed_view_change(2, p.clone(), id));
    cluster.inject(2, 1, new_view(2, v.to_vec(), &[(1, digest)], 2)).expect("valid");
    cluster.inject(3, 1, prepare(2, 1, digest, 3)).expect("a new vote");
    cluster.inject(2, 1, commit(2, 1, digest, 2)).expect("logged");
    assert_eq!(cluster.executed(1), SeqNum(0), "the COMMIT of view 0 does not count");
    cluster.inject(3, 1, commit(2, 1, digest, 3)).expect("a new vote");
    assert_eq!(cluster.executed(1), SeqNum(1));
}
