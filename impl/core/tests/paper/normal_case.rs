//! §4.2: pre-prepare, prepare, commit.

use super::{
    Cluster, REFUSED, alone, equivocation, not_primary, outside, refused, words, wrong_view,
};
use crate::common::craft::{self, batch, commit, committed, prepare, proposal, request};
use crate::common::keys::{TestVerifier, checked};
use crate::common::params;
use pbft_core::crypto::verify;
use pbft_core::message::{Batch, Message};
use pbft_core::params::{ClientAuthentication, Params};
use pbft_core::types::{ClientId, Digest, Principal, ReplicaId, SeqNum, View};
use pbft_core::{Effect, HaltReason, Input, Record, Rejection, Timer};
use std::sync::Arc;

/// Messages come over another member's channel.
#[test]
pub(super) fn a_message_comes_from_another_member() {
    let mut cluster = alone(1);
    let digest = batch(1).digest();
    let stranger = Rejection::NotAMember { replica: ReplicaId(4) };
    refused(cluster.inject(4, 1, prepare(0, 1, digest, 4)), stranger);
    refused(cluster.inject(1, 1, prepare(0, 1, digest, 1)), Rejection::OwnMessage);
    let signer = ReplicaId(2);
    let borrowed = Rejection::NotFromSigner { signer, from: ReplicaId(3) };
    refused(cluster.inject(3, 1, prepare(0, 1, digest, 2)), borrowed.clone());
    refused(cluster.inject(3, 1, commit(0, 1, digest, 2)), borrowed.clone());
    refused(cluster.inject(3, 1, craft::checkpoint(2, digest, 2)), borrowed.clone());
    refused(cluster.inject(3, 1, craft::status(2, 0, true, 0, 0)), borrowed);
    // A client's channel carries requests only.
    let vote = crate::common::keys::verified(&cluster.params(1), prepare(0, 1, digest, 2));
    refused(cluster.input(1, Input::Request(vote)), Rejection::NotRequested);
}

/// Every statement needs its signer's signature.
#[test]
fn a_vote_with_a_wrong_signature_is_refused() {
    let params = alone(1).params(1);
    let digest = batch(1).digest();
    let mut vote = craft::signed_prepare(0, 1, digest, 2);
    vote.signature.s[31] ^= 1;
    let bad = Rejection::BadSignature { signer: Principal::Replica(ReplicaId(2)) };
    refused(checked(&params, Message::Prepare(vote.clone())), bad.clone());
    // Also deep inside a certificate in a VIEW-CHANGE in a NEW-VIEW.
    let mut certificate = craft::prepared(0, 1, digest, 4, &[1, 2]);
    certificate.prepares[1] = vote;
    let v = [1, 2, 3].map(|id| craft::signed_view_change(1, vec![certificate.clone()], id));
    refused(checked(&params, craft::new_view(1, v.to_vec(), &[(1, digest)], 1)), bad);
}

/// §4.2: a backup accepts a pre-prepare, writes it down, and says so to all with PREPARE.
#[test]
fn a_backup_answers_a_pre_prepare_with_prepare() {
    let mut cluster = alone(1);
    let batch = batch(1);
    let effects = cluster.inject(0, 1, proposal(0, 1, &batch, 0)).expect("accepted");
    assert_eq!(words(&effects), ["persist", "prepare"]);
    assert_eq!(cluster.summary(1).accepted[&SeqNum(1)], batch.digest());
}

/// A pre-prepare proves itself; any replica may hand it on.
#[test]
fn a_pre_prepare_may_be_handed_on() {
    let mut cluster = alone(1);
    cluster.inject(3, 1, proposal(0, 1, &batch(1), 0)).expect("accepted");
}

/// §4.2, pre-prepare condition 1 and 2: the view is the replica's and active, and its primary signed.
#[test]
pub(super) fn a_pre_prepare_is_of_the_active_view_and_its_primary() {
    let mut cluster = alone(1);
    let batch = batch(1);
    refused(cluster.inject(2, 1, proposal(0, 1, &batch, 2)), not_primary(0, 2));
    refused(cluster.inject(2, 1, proposal(0, 1, &batch, 1)), not_primary(0, 1));
    refused(cluster.inject(2, 1, proposal(1, 1, &batch, 1)), Rejection::OwnMessage);
    refused(cluster.inject(0, 1, proposal(4, 1, &batch, 0)), wrong_view(0, 4));
    (0..4).for_each(|_| drop(cluster.input(1, Input::Suspect).expect("always possible")));
    refused(cluster.inject(0, 1, proposal(0, 1, &batch, 0)), wrong_view(4, 0));
    let inactive = Rejection::ViewNotActive { view: View(4) };
    refused(cluster.inject(0, 1, proposal(4, 1, &batch, 0)), inactive);
}

/// §4.2, condition 4: the sequence number is in (h, H].
#[test]
pub(super) fn a_pre_prepare_is_in_the_window() {
    let mut cluster = alone(1);
    let batch = batch(1);
    for seq in [0, 9, u64::MAX] {
        refused(cluster.inject(0, 1, proposal(0, seq, &batch, 0)), outside(seq, 0, 8));
    }
    cluster.inject(0, 1, proposal(0, 8, &batch, 0)).expect("H is inside");
    cluster.inject(0, 1, proposal(0, 1, &batch, 0)).expect("h + 1 is inside");
}

/// §4.2, condition 1: d is the batch's digest. The null batch is for view changes.
#[test]
pub(super) fn a_pre_prepare_names_the_digest_of_its_batch() {
    let mut cluster = alone(1);
    let wrong = craft::pre_prepare(0, 1, batch(2).digest(), 0);
    let wrong = pbft_core::message::Proposal { pre_prepare: wrong, batch: batch(1) };
    let (expected, got) = (batch(1).digest(), batch(2).digest());
    let wrong = cluster.inject(0, 1, Message::PrePrepare(wrong.into()));
    refused(wrong, Rejection::WrongDigest { expected, got });
    let null = craft::batch_of(&[]);
    refused(cluster.inject(0, 1, proposal(0, 1, &null, 0)), Rejection::NullBatch);
}

/// §4.2, condition 3: no other pre-prepare was accepted for the view and sequence number.
#[test]
pub(super) fn the_first_pre_prepare_counts() {
    let mut cluster = alone(1);
    let (first, second) = (batch(1), batch(2));
    cluster.inject(0, 1, proposal(0, 1, &first, 0)).expect("the first");
    refused(cluster.inject(0, 1, proposal(0, 1, &first, 0)), Rejection::Duplicate);
    let caught = equivocation(0, 0, 1, first.digest(), second.digest());
    refused(cluster.inject(0, 1, proposal(0, 1, &second, 0)), caught.clone());
    // And it still counts after a restart.
    cluster.crash(1);
    cluster.restart(1);
    refused(cluster.inject(0, 1, proposal(0, 1, &second, 0)), caught);
}

/// §4.2: PREPARE is a backup's own vote, of the current view, in the window, one a replica; the primary has none.
#[test]
pub(super) fn prepares_are_the_backups_own_votes_of_the_view_in_the_window() {
    let mut cluster = alone(1);
    let (one, other) = (batch(1).digest(), batch(2).digest());
    let primary = Rejection::PrepareFromPrimary { replica: ReplicaId(0) };
    refused(cluster.inject(0, 1, prepare(0, 1, one, 0)), primary);
    for vote in [prepare, commit] {
        refused(cluster.inject(2, 1, vote(1, 1, one, 2)), wrong_view(0, 1));
        for seq in [0, 9, u64::MAX] {
            refused(cluster.inject(2, 1, vote(0, seq, one, 2)), outside(seq, 0, 8));
        }
        cluster.inject(2, 1, vote(0, 1, one, 2)).expect("the first");
        refused(cluster.inject(2, 1, vote(0, 1, one, 2)), Rejection::Duplicate);
        let caught = equivocation(2, 0, 1, one, other);
        refused(cluster.inject(2, 1, vote(0, 1, other, 2)), caught);
    }
}

/// §4.2: prepared is a pre-prepare and q−1 PREPAREs that match it; then COMMIT goes out, after the certificate is
/// written down. PREPAREs that come before the pre-prepare count.
#[test]
fn q_minus_one_matching_prepares_prepare() {
    for early in [true, false] {
        let mut cluster = alone(1);
        let batch = batch(1);
        let digest = batch.digest();
        if !early {
            cluster.inject(0, 1, proposal(0, 1, &batch, 0)).expect("accepted");
            let other = craft::batch(9).digest();
            let effects = cluster.inject(3, 1, prepare(0, 1, other, 3)).expect("logged");
            assert!(words(&effects).is_empty(), "another digest does not count");
        }
        let effects = cluster.inject(2, 1, prepare(0, 1, digest, 2)).expect("logged");
        let expected: &[_] = if early { &[] } else { &["persist", "commit"] };
        assert_eq!(words(&effects), expected);
        if early {
            let effects = cluster.inject(0, 1, proposal(0, 1, &batch, 0)).expect("accepted");
            assert_eq!(words(&effects), ["persist", "prepare", "persist", "commit"]);
        }
        assert_eq!(cluster.summary(1).prepared[&SeqNum(1)], (View(0), digest));
        let certificate = &cluster.nodes[1].durable.prepared[&SeqNum(1)];
        let signers: Vec<_> = certificate.prepares.iter().map(|vote| vote.body.replica.0).collect();
        assert_eq!(signers, [1, 2]);
    }
}

/// The primary's own pre-prepare is not a PREPARE: it needs q−1 of others.
#[test]
fn the_primary_needs_q_minus_one_backups() {
    for n in [4u32, 5, 6, 7] {
        let mut cluster = Cluster::new(n);
        (1..n).for_each(|id| cluster.corrupt(id));
        cluster.request(0, &request(1, 1)).expect("accepted");
        let digest = cluster.summary(0).accepted[&SeqNum(1)];
        let needed = cluster.params(0).membership.prepares() as u32;
        for backup in 1..=needed {
            assert!(cluster.summary(0).prepared.is_empty());
            cluster.inject(backup, 0, prepare(0, 1, digest, backup)).expect("logged");
        }
        assert_eq!(cluster.summary(0).prepared.len(), 1);
    }
}

/// §4.2: committed-local is prepared and q matching COMMITs, the own one among them. COMMITs alone commit nothing.
#[test]
fn q_matching_commits_of_a_prepared_batch_commit_it() {
    let mut cluster = alone(1);
    let batch = batch(1);
    let digest = batch.digest();
    for id in [0, 2, 3] {
        cluster.inject(id, 1, commit(0, 1, digest, id)).expect("logged");
    }
    cluster.inject(0, 1, proposal(0, 1, &batch, 0)).expect("accepted");
    assert_eq!(cluster.executed(1), SeqNum(0), "not prepared");
    let effects = cluster.inject(2, 1, prepare(0, 1, digest, 2)).expect("logged");
    assert_eq!(words(&effects), ["persist", "commit", "persist", "execute"]);
    let mut cluster = alone(1);
    cluster.inject(0, 1, proposal(0, 1, &batch, 0)).expect("accepted");
    cluster.inject(2, 1, prepare(0, 1, digest, 2)).expect("logged");
    cluster.inject(3, 1, commit(0, 1, craft::batch(9).digest(), 3)).expect("logged");
    cluster.inject(0, 1, commit(0, 1, digest, 0)).expect("logged");
    assert_eq!(cluster.executed(1), SeqNum(0), "own, one more, and one that does not match");
    cluster.inject(2, 1, commit(0, 1, digest, 2)).expect("logged");
    assert_eq!(cluster.executed(1), SeqNum(1));
}

/// §4.2: batches are executed in the order of their sequence numbers, whichever commits first.
#[test]
fn execution_is_in_order() {
    let mut cluster = alone(1);
    let effects = cluster.inject(0, 1, committed(0, 2, &batch(2), &[0, 2, 3])).expect("final");
    assert!(effects.is_empty(), "1 is missing");
    let effects = cluster.inject(0, 1, committed(0, 1, &batch(1), &[0, 2, 3])).expect("final");
    assert_eq!(words(&effects), ["persist", "execute"]);
    assert!(matches!(effects[1], Effect::Execute { seq: SeqNum(1), .. }));
    assert_eq!(cluster.executed(1), SeqNum(2));
}

/// §4.2: q COMMITs of different members for one view, sequence number and digest, with that batch, are final in any
/// view.
#[test]
pub(super) fn a_commit_certificate_is_q_equal_commits_with_their_batch() {
    let mut cluster = alone(1);
    let (batch, other) = (batch(1), craft::batch(2));
    let certificate = |replicas: &[u32]| committed(0, 1, &batch, replicas);
    let too_few = Rejection::WrongQuorumSize { needed: 3, got: 2 };
    refused(cluster.inject(0, 1, certificate(&[0, 2])), too_few);
    let replica = ReplicaId(2);
    refused(cluster.inject(0, 1, certificate(&[0, 2, 2])), Rejection::SignersNotRising { replica });
    let stranger = Rejection::NotAMember { replica: ReplicaId(5) };
    refused(cluster.inject(0, 1, certificate(&[0, 2, 5])), stranger);
    let too_long = Rejection::TooLong { len: 4, max: 3 };
    refused(checked(&cluster.params(1), certificate(&[0, 1, 2, 3])), too_long);
    let change = |at: usize, vote| {
        let Message::Committed(mut certificate) = committed(0, 1, &batch, &[0, 2, 3]) else {
            unreachable!("made here")
        };
        Arc::make_mut(&mut certificate).commits[at] = vote;
        Message::Committed(certificate)
    };
    for vote in [
        craft::signed_commit(1, 1, batch.digest(), 3),
        craft::signed_commit(0, 2, batch.digest(), 3),
        craft::signed_commit(0, 1, other.digest(), 3),
    ] {
        refused(cluster.inject(0, 1, change(2, vote)), Rejection::MixedCertificate);
    }
    let Message::Committed(mut swapped) = certificate(&[0, 2, 3]) else {
        unreachable!("made here")
    };
    Arc::make_mut(&mut swapped).batch = other.clone();
    let wrong = Rejection::WrongDigest { expected: other.digest(), got: batch.digest() };
    refused(cluster.inject(0, 1, Message::Committed(swapped)), wrong);
    refused(cluster.inject(0, 1, committed(0, 9, &batch, &[0, 2, 3])), outside(9, 0, 8));
    cluster.inject(0, 1, committed(7, 1, &batch, &[0, 2, 3])).expect("of whichever view");
    assert_eq!(cluster.executed(1), SeqNum(1));
    refused(cluster.inject(0, 1, certificate(&[0, 2, 3])), Rejection::Duplicate);
}

/// §5.2: with MACs a bad tag keeps a request out of a PRE-PREPARE, and nothing else: of a certified batch others have
/// checked it.
#[test]
pub(super) fn certified_batches_are_taken_without_their_tags() {
    let mut spoiled = Batch::clone(&batch(1));
    // Nobody's tag is good: the test's verifier takes signatures only.
    spoiled.requests[0].signature.s = [0xff; 32];
    let spoiled = Arc::new(spoiled);
    let of_certificates =
        [committed(0, 1, &spoiled, &[0, 2, 3]), Message::Batch(Arc::clone(&spoiled))];
    let bad = Rejection::BadSignature { signer: Principal::Client(ClientId(1)) };
    let bad_tag = Rejection::BadAuthenticator { client: ClientId(1) };
    for (authentication, expected, of_proposal) in [
        (ClientAuthentication::Signatures, Some(&bad), &bad),
        (ClientAuthentication::Macs, None, &bad_tag),
    ] {
        let params = Params { client_authentication: authentication, ..params(4, 1) };
        let check = |message: &Message| verify(&params, &TestVerifier, message.clone()).err();
        for message in &of_certificates {
            assert_eq!(check(message).as_ref(), expected, "{authentication:?}");
        }
        let proposed = check(&proposal(0, 1, &spoiled, 0));
        assert_eq!(proposed.as_ref(), Some(of_proposal), "{authentication:?}");
        REFUSED.with_borrow_mut(|seen| seen.extend(proposed.map(|one| one.kind())));
        let large = Batch { requests: vec![spoiled.requests[0].clone(); 4] };
        let too_long = Rejection::TooLong { len: 4, max: 3 };
        assert_eq!(check(&Message::Batch(Arc::new(large))), Some(too_long));
    }
}

/// More than f liars can bring forth two certificates; a replica that sees both stops, and stays as it is.
#[test]
pub(super) fn two_certificates_for_one_sequence_number_stop_the_replica() {
    let mut cluster = alone(1);
    let (first, second) = (batch(1), batch(2));
    cluster.inject(0, 1, committed(0, 2, &first, &[0, 2, 3])).expect("final");
    let effects = cluster.inject(0, 1, committed(1, 2, &second, &[0, 2, 3])).expect("valid");
    let reason = HaltReason::ConflictingCertificates {
        seq: SeqNum(2),
        first: first.digest(),
        second: second.digest(),
    };
    let record = Effect::Persist(Record::Halted(reason.clone()));
    assert_eq!(effects, [record, Effect::Halt(reason.clone())]);
    let digest: Digest = first.digest();
    refused(cluster.inject(2, 1, prepare(0, 1, digest, 2)), Rejection::Halted(reason.clone()));
    refused(cluster.input(1, Input::Suspect), Rejection::Halted(reason));
}

/// Outside fault F7: A halted replica votes again after a restart.
#[test]
fn a_halted_replica_stays_halted_after_a_restart() {
    let mut cluster = alone(1);
    let (first, second) = (batch(1), batch(2));
    cluster.inject(0, 1, committed(0, 2, &first, &[0, 2, 3])).expect("final");
    cluster.inject(0, 1, committed(1, 2, &second, &[0, 2, 3])).expect("valid");
    let reason = cluster.nodes[1].halted.clone().expect("halted");
    for _ in 0..2 {
        cluster.crash(1);
        cluster.nodes[1].halted = None;
        cluster.restart(1);
        assert_eq!(cluster.nodes[1].halted, Some(reason.clone()), "it says so again");
        assert!(cluster.nodes[1].timers.is_empty(), "and does nothing else");
        let vote = cluster.inject(0, 1, proposal(0, 1, &first, 0));
        refused(vote, Rejection::Halted(reason.clone()));
    }
}

/// A vote that was sent is remembered across a restart, and counts.
#[test]
fn the_own_prepare_counts_after_a_restart() {
    let mut cluster = alone(1);
    let batch = batch(1);
    cluster.inject(0, 1, proposal(0, 1, &batch, 0)).expect("accepted");
    cluster.crash(1);
    cluster.restart(1);
    let effects = cluster.inject(2, 1, prepare(0, 1, batch.digest(), 2)).expect("logged");
    assert_eq!(words(&effects), ["persist", "commit"]);
}

/// Retransmission has a bound a peer and tick. A batch of one operation of three bytes has 8 + 94 + 3.
#[test]
pub(super) fn a_peer_is_given_enough_until_the_next_tick() {
    let mut cluster = Cluster::with(4, |params| params.help_bytes_max = 1);
    cluster.inject(0, 1, proposal(0, 1, &batch(1), 0)).expect("accepted");
    for _ in 0..2 {
        let fetch = Message::FetchBatch(batch(1).digest());
        assert_eq!(words(&cluster.inject(2, 1, fetch.clone()).expect("the first")), ["batch"]);
        let replica = ReplicaId(2);
        let more = Rejection::OverBudget { replica, given: 105, bytes: 105, max: 1 };
        refused(cluster.inject(2, 1, fetch), more);
        cluster.input(1, Input::Timer(Timer::Status)).expect("always running");
    }
}
