//! What needs no signature is checked before the first signature is.

use crate::common::craft::{
    self, batch, new_view, prepared, request, request_on, signed_view_change,
};
use crate::common::keys::TestVerifier;
use crate::common::{Cluster, params};
use pbft_core::RejectionKind;
use pbft_core::crypto::{Statement, Verifier, verify};
use pbft_core::message::{Batch, Message, Proposal, Signed, ViewChange};
use pbft_core::surplus::{Sifted, Surplus};
use pbft_core::types::{Digest, Principal, ReplicaId, SeqNum, Signature, View};
use pbft_core::{Input, Rejection, Summary};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Default)]
struct Counting(AtomicUsize);

impl Verifier for Counting {
    fn verify(&self, principal: Principal, statement: &Statement<'_>, sig: &Signature) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        TestVerifier.verify(principal, statement, sig)
    }
}

/// How many signatures were checked, and what came of it.
fn cost(message: Message) -> (usize, Result<(), RejectionKind>) {
    let verifier = Counting::default();
    let outcome = verify(&params(4, 1), &verifier, message).map(drop);
    (verifier.0.into_inner(), outcome.map_err(|rejection: Rejection| rejection.kind()))
}

/// VIEW-CHANGEs for view 2 of replicas 0, 2 and 3, with one certificate each; and O.
fn good() -> (Vec<Arc<Signed<ViewChange>>>, (u64, Digest)) {
    let digest = batch(1).digest();
    let v = [0, 2, 3].map(|id| signed_view_change(2, vec![prepared(0, 1, digest, 4, &[2, 3])], id));
    (v.to_vec(), (1, digest))
}

/// Outside fault F17: A NEW-VIEW that nobody could take costs a thousand signature checks before it is refused.
#[test]
fn a_new_view_of_a_wrong_shape_costs_no_signature() {
    let (v, o) = good();
    // 1 and O's pre-prepare, and three VIEW-CHANGEs with their own and a certificate of three.
    assert_eq!(cost(new_view(2, v.clone(), &[o], 2)), (2 + 3 * (1 + 3), Ok(())));
    let doubled = vec![Arc::clone(&v[0]), Arc::clone(&v[1]), Arc::clone(&v[1])];
    let short = v[..2].to_vec();
    let mut other_view = v.clone();
    other_view[2] = signed_view_change(3, Vec::new(), 3);
    let mut forged = v.clone();
    forged[1] = signed_view_change(2, vec![prepared(0, 1, o.1, 4, &[2, 2])], 2);
    for (message, kind) in [
        (new_view(2, doubled, &[o], 2), RejectionKind::SignersNotRising),
        (new_view(2, short, &[o], 2), RejectionKind::WrongQuorumSize),
        (new_view(2, other_view, &[o], 2), RejectionKind::WrongView),
        (new_view(2, forged, &[o], 2), RejectionKind::SignersNotRising),
        (new_view(2, v.clone(), &[o], 3), RejectionKind::NotPrimary),
        (new_view(2, v.clone(), &[], 2), RejectionKind::WrongNewView),
        (new_view(2, v.clone(), &[o, (2, o.1)], 2), RejectionKind::WrongNewView),
    ] {
        assert_eq!(cost(message), (0, Err(kind)));
    }
}

/// Outside fault F17: Certificates and batches that prove nothing cost as many signatures as those that do.
#[test]
fn other_messages_of_a_wrong_shape_cost_no_signature() {
    let (digest, other) = (batch(1).digest(), batch(2).digest());
    let pre_prepare = craft::pre_prepare(0, 1, digest, 0);
    let wrong_batch = Message::PrePrepare(Arc::new(Proposal { pre_prepare, batch: batch(2) }));
    let stable = |seq, ids: &[u32]| Message::Stable(Arc::new(craft::stable(seq, digest, ids)));
    let p = |view, seq, backups: &[u32]| prepared(view, seq, other, 4, backups);
    let p_of_one = |certificate| craft::view_change(1, vec![certificate], 2);
    let four: Vec<_> = (1..=4).map(|client| request(client, 1)).collect();
    let order_of = |requests: &[_]| craft::proposal(0, 1, &craft::batch_of(requests), 0);
    let large = request_on(1, 0, 1, &[0; 65]);
    let last = request_on(1, 0, u64::MAX, b"x");
    let high_lane = request_on(1, 16, 1, b"x");
    for (message, kind) in [
        (Message::Request(Arc::clone(&large)), RejectionKind::OperationTooLarge),
        (Message::Request(Arc::clone(&last)), RejectionKind::TimestampTooHigh),
        (Message::Request(Arc::clone(&high_lane)), RejectionKind::LaneTooHigh),
        (order_of(&[request(2, 1), large]), RejectionKind::OperationTooLarge),
        (order_of(&[request(2, 1), last]), RejectionKind::TimestampTooHigh),
        (order_of(&[request(2, 1), high_lane]), RejectionKind::LaneTooHigh),
        (order_of(&four), RejectionKind::TooLong),
        (order_of(&[]), RejectionKind::NullBatch),
        (Message::Batch(craft::batch_of(&four)), RejectionKind::TooLong),
        (craft::proposal(0, 1, &batch(1), 2), RejectionKind::NotPrimary),
        (wrong_batch, RejectionKind::WrongDigest),
        (craft::prepare(0, 1, digest, 0), RejectionKind::PrepareFromPrimary),
        (craft::committed(0, 1, &batch(1), &[0, 2, 2]), RejectionKind::SignersNotRising),
        (craft::committed(0, 1, &batch(1), &[0, 2]), RejectionKind::WrongQuorumSize),
        (craft::committed(0, 1, &batch(1), &[0, 1, 2, 3]), RejectionKind::TooLong),
        (craft::committed(0, 1, &batch(1), &[1, 2, 4]), RejectionKind::NotAMember),
        (stable(4, &[0, 2]), RejectionKind::WrongQuorumSize),
        (stable(4, &[0, 1, 2, 3]), RejectionKind::TooLong),
        (stable(3, &[0, 2, 3]), RejectionKind::NotACheckpoint),
        (craft::checkpoint(3, digest, 2), RejectionKind::NotACheckpoint),
        (craft::view_change(1, Vec::new(), 4), RejectionKind::NotAMember),
        (craft::view_change(1, vec![p(0, 1, &[2, 3]); 9], 2), RejectionKind::TooLong),
        (
            craft::view_change(1, vec![p(0, 2, &[2, 3]), p(0, 1, &[2, 3])], 2),
            RejectionKind::CertificatesNotRising,
        ),
        (p_of_one(p(0, 9, &[2, 3])), RejectionKind::OutsideWindow),
        (p_of_one(p(0, 1, &[2])), RejectionKind::WrongQuorumSize),
        (p_of_one(p(0, 1, &[0, 2])), RejectionKind::PrepareFromPrimary),
        (p_of_one(p(0, 1, &[1, 2, 3])), RejectionKind::TooLong),
        (p_of_one(p(1, 1, &[2, 3])), RejectionKind::CertificateFromFuture),
    ] {
        assert_eq!(cost(message.clone()), (0, Err(kind)), "{message:?}");
    }
    assert_eq!(cost(craft::committed(0, 1, &batch(1), &[0, 2, 3])), (4, Ok(())));
    assert_eq!(cost(stable(4, &[0, 2, 3])), (3, Ok(())));
}

/// A cluster in view 2, with h = 4 and #5 executed; and the NEW-VIEW that began the view.
fn in_view_two() -> (Cluster, Message) {
    let mut cluster = Cluster::new(4);
    for client in 1..=5 {
        cluster.request(0, &request(client, 1)).expect("the first");
        cluster.run();
    }
    for id in [0, 1, 2, 3, 0, 1, 2, 3] {
        cluster.input(id, Input::Suspect).expect("it votes");
    }
    let mut began = None;
    while let Some(envelope) = cluster.queue.pop_front() {
        if matches!(envelope.message, Message::NewView(_)) {
            began = Some(envelope.message.clone());
        }
        let _ = cluster.deliver(envelope);
    }
    let Summary { view, active, low_water_mark, last_executed, .. } = cluster.summary(1);
    let place = (view, active, low_water_mark, last_executed);
    assert_eq!(place, (View(2), true, SeqNum(4), SeqNum(5)));
    (cluster, began.expect("sent"))
}

/// Why the message is refused without a look at a signature, if it is.
fn refused(surplus: &mut Surplus, from: u32, message: Message) -> Option<RejectionKind> {
    match surplus.sift(ReplicaId(from), message.clone()) {
        Sifted::Refused(rejection) => Some(rejection.kind()),
        sifted => {
            assert_eq!(sifted, Sifted::Needed(message));
            None
        }
    }
}

/// Outside fault F17: A NEW-VIEW for a view that was left costs a thousand signature checks before it is refused.
#[test]
fn what_comes_too_late_costs_no_signature() {
    let (cluster, began) = in_view_two();
    let mut surplus = Surplus::new(cluster.replica(1));
    let digest = batch(1).digest();
    let stable = |seq| Message::Stable(Arc::new(craft::stable(seq, digest, &[0, 2, 3])));
    let v = |view| [0, 2, 3].map(|id| signed_view_change(view, Vec::new(), id)).to_vec();
    for (from, message, kind) in [
        (0, new_view(0, v(0), &[], 0), RejectionKind::WrongView),
        (2, began, RejectionKind::WrongView),
        (2, new_view(5, v(5), &[], 1), RejectionKind::OwnMessage),
        (3, craft::view_change(1, Vec::new(), 3), RejectionKind::WrongView),
        (3, craft::view_change(3, Vec::new(), 1), RejectionKind::OwnMessage),
        (0, craft::proposal(0, 6, &batch(6), 0), RejectionKind::WrongView),
        (2, craft::proposal(2, 4, &batch(6), 2), RejectionKind::OutsideWindow),
        (3, craft::prepare(1, 6, digest, 3), RejectionKind::WrongView),
        (3, craft::prepare(2, 4, digest, 3), RejectionKind::OutsideWindow),
        (3, craft::prepare(2, 6, digest, 0), RejectionKind::NotFromSigner),
        (3, craft::commit(2, 6, digest, 0), RejectionKind::NotFromSigner),
        (3, craft::checkpoint(6, digest, 0), RejectionKind::NotFromSigner),
        (3, craft::status(0, 2, true, 4, 5), RejectionKind::NotFromSigner),
        (3, craft::checkpoint(4, digest, 3), RejectionKind::OutsideWindow),
        (3, craft::committed(0, 4, &batch(4), &[0, 2, 3]), RejectionKind::OutsideWindow),
        (3, craft::committed(0, 5, &batch(5), &[0, 2, 3]), RejectionKind::Duplicate),
        (3, stable(4), RejectionKind::OutsideWindow),
    ] {
        assert_eq!(refused(&mut surplus, from, message.clone()), Some(kind), "{message:?}");
    }
    assert!(surplus.wanted().is_empty(), "any batch is refused");
}

#[test]
fn what_a_replica_may_still_use_or_keep_as_evidence_is_looked_at() {
    let (cluster, _) = in_view_two();
    let mut surplus = Surplus::new(cluster.replica(1));
    let digest = batch(1).digest();
    let v = |view| [0, 2, 3].map(|id| signed_view_change(view, Vec::new(), id)).to_vec();
    for (from, message) in [
        (2, craft::proposal(2, 6, &batch(6), 2)),
        // Too early, unless what is under way to the replica comes first.
        (3, craft::proposal(3, 6, &batch(6), 3)),
        (2, craft::proposal(2, 13, &batch(6), 2)),
        (3, craft::committed(0, 6, &batch(6), &[0, 2, 3])),
        (3, craft::committed(0, 13, &batch(6), &[0, 2, 3])),
        (3, Message::Stable(Arc::new(craft::stable(6, digest, &[0, 2, 3])))),
        (3, craft::view_change(3, Vec::new(), 3)),
        (0, craft::view_change(3, Vec::new(), 3)),
        (0, new_view(3, v(3), &[], 3)),
        // It may break a promise.
        (3, craft::commit(0, 4, digest, 3)),
    ] {
        for _ in 0..2 {
            assert_eq!(refused(&mut surplus, from, message.clone()), None, "{message:?}");
        }
    }
}

/// Outside fault F17: A primary sends NEW-VIEW after NEW-VIEW for the view that it leads, and each is verified.
#[test]
fn what_may_be_evidence_about_a_view_is_looked_at_once_a_channel_and_signer() {
    let (mut cluster, _) = in_view_two();
    let mut surplus = Surplus::new(cluster.replica(1));
    let v = |view| [0, 2, 3].map(|id| signed_view_change(view, Vec::new(), id)).to_vec();
    let promise = |view, id| {
        craft::view_change(view, vec![prepared(0, 6, batch(6).digest(), 4, &[2, 3])], id)
    };
    for message in [new_view(2, v(2), &[], 2), promise(2, 3)] {
        for from in [2, 3] {
            assert_eq!(refused(&mut surplus, from, message.clone()), None, "{message:?}");
            assert_eq!(
                refused(&mut surplus, from, message.clone()),
                Some(RejectionKind::WrongView)
            );
        }
    }
    assert_eq!(refused(&mut surplus, 2, promise(2, 0)), None, "another signer");

    // The same of a VIEW-CHANGE for a later view, once the replica has one of its sender.
    cluster.corrupt(3);
    let known = craft::view_change(4, Vec::new(), 3);
    let effects = cluster.inject(3, 1, known.clone()).expect("kept");
    surplus.on_step(&effects, cluster.replica(1));
    let later = [known.clone(), known, promise(3, 3), promise(4, 3), promise(5, 3)];
    let looked_at = later.map(|message| refused(&mut surplus, 0, message));
    let again = Some(RejectionKind::Duplicate);
    assert_eq!(looked_at, [again, again, None, again, None], "and a later one always");
}

#[test]
fn what_a_replica_has_already_costs_no_signature() {
    let (mut cluster, _) = in_view_two();
    let mut surplus = Surplus::new(cluster.replica(1));
    let order = craft::proposal(2, 6, &batch(6), 2);
    assert_eq!(refused(&mut surplus, 2, order.clone()), None);
    let effects = cluster.inject(2, 1, order.clone()).expect("accepted");
    surplus.on_step(&effects, cluster.replica(1));
    assert_eq!(refused(&mut surplus, 2, order.clone()), Some(RejectionKind::Duplicate));
    assert_eq!(refused(&mut surplus, 2, craft::proposal(2, 6, &batch(7), 2)), None, "evidence");
    assert_eq!(refused(&mut surplus, 2, craft::proposal(2, 7, &batch(6), 2)), None);

    // A NEW-VIEW that waits for a batch.
    let (digest, null) = (batch(9).digest(), Batch::default().digest());
    let v = |holder: u32| {
        let p = |id| vec![prepared(2, 7, digest, 4, &[0, 3]); usize::from(id == holder)];
        [0, 2, 3].map(|id| signed_view_change(3, p(id), id)).to_vec()
    };
    let nulls = (1..7).map(|seq| (seq, null));
    let o: Vec<_> = nulls.chain([(7, digest)]).collect();
    let awaited = new_view(3, v(0), &o, 3);
    let effects = cluster.inject(3, 1, awaited.clone()).expect("awaited");
    surplus.on_step(&effects, cluster.replica(1));
    assert_eq!(surplus.wanted().iter().copied().collect::<Vec<_>>(), [digest]);
    assert_eq!(refused(&mut surplus, 3, awaited), Some(RejectionKind::Duplicate));
    let earlier = new_view(2, v(0), &[], 2);
    assert_eq!(
        refused(&mut surplus, 3, earlier),
        Some(RejectionKind::Duplicate),
        "it waits for a later one"
    );
    let another = new_view(3, v(2), &o, 3);
    assert_eq!(refused(&mut surplus, 3, another), None, "it may take the other one's place");
}
