//! What two signed statements prove of their signer, and what they do not.

use crate::common::Cluster;
use crate::common::craft::{
    batch, new_view, prepared, signed_commit, signed_view_change, view_change,
};
use crate::common::keys::{CLUSTER, TestVerifier, replica_key, signed};
use pbft_core::crypto::sign;
use pbft_core::evidence::{Contradiction, SignedVote};
use pbft_core::message::{Message, ViewChange};
use pbft_core::types::{ReplicaId, SeqNum, View};
use pbft_core::{Input, Params};
use std::sync::Arc;

fn alone(id: u32) -> Cluster {
    let mut cluster = Cluster::new(4);
    cluster.ids().filter(|other| *other != id).for_each(|other| cluster.corrupt(other));
    cluster
}

fn statement(cluster: &Cluster, from: u32, message: Message) -> SignedVote {
    let message = crate::common::keys::verified(&cluster.params(1), message);
    SignedVote::in_input(&Input::Message { from: ReplicaId(from), message }).expect("a statement")
}

/// What replica 1, which has heard `heard` from replica 2, has against it when `last` comes.
fn found(heard: &[Message], last: Message) -> Option<Contradiction> {
    let mut cluster = alone(1);
    heard.iter().for_each(|message| drop(cluster.inject(2, 1, message.clone())));
    let last = statement(&cluster, 2, last);
    cluster.replica(1).broken_promise(&last)
}

fn is_proof(cluster: &Cluster, contradiction: &Contradiction) -> bool {
    let params: Arc<Params> = cluster.params(3);
    contradiction.is_proof(&params, &TestVerifier)
}

/// Outside fault F18: A replica says COMMIT and hides the certificate in its VIEW-CHANGE, and nobody keeps that.
#[test]
fn a_view_change_without_what_was_committed_convicts_its_signer() {
    let digest = batch(1).digest();
    let commit = Message::Commit(signed_commit(0, 1, digest, 2));
    let certificate = |view| prepared(view, 1, digest, 4, &[1, 2, 3][..2]);
    let hides = view_change(1, Vec::new(), 2);
    // Whichever comes first.
    for (heard, last) in [(&commit, &hides), (&hides, &commit)] {
        let evidence = found(std::slice::from_ref(heard), last.clone()).expect("found");
        assert_eq!((evidence.replica(), evidence.place()), (ReplicaId(2), (View(0), SeqNum(1))));
        assert!(is_proof(&alone(1), &evidence), "{evidence}");
        let said = evidence.to_string();
        assert_eq!(said, "r2 sent commit for v0 #1 and a view-change for v1 without it");
    }
    let honest = view_change(1, vec![certificate(0)], 2);
    assert_eq!(found(std::slice::from_ref(&commit), honest), None, "it shows the certificate");
    let others = view_change(1, Vec::new(), 3);
    assert_eq!(found(std::slice::from_ref(&commit), others), None, "another's");
}

/// Outside fault F18: What is stable needs no certificate, and a vote of a later view breaks no earlier promise.
#[test]
fn what_a_correct_replica_may_sign_is_no_proof() {
    let commit = |view, seq| SignedVote::Commit(signed_commit(view, seq, batch(1).digest(), 2));
    let promise = |view: u64, low: u64| {
        let body = signed_view_change(view, Vec::new(), 2).body.clone();
        let body = ViewChange { low_water_mark: SeqNum(low), ..body };
        SignedVote::ViewChange(Arc::new(signed(body)))
    };
    let proof = |first: SignedVote, second: SignedVote| {
        is_proof(&alone(1), &Contradiction { first, second })
    };
    assert!(proof(commit(0, 4), promise(1, 2)));
    assert!(!proof(commit(0, 4), promise(1, 4)), "h has passed it");
    assert!(!proof(commit(1, 4), promise(1, 2)), "a vote in the view that it went to");
    assert!(!proof(commit(2, 4), promise(1, 2)), "a vote in a later one");
    let SignedVote::ViewChange(one) = promise(1, 2) else { panic!("a view change") };
    let forged = sign(&replica_key(3), CLUSTER, one.body.clone());
    assert!(!proof(commit(0, 4), SignedVote::ViewChange(Arc::new(forged))), "not its signature");
}

/// Outside fault F18: Two VIEW-CHANGEs, or two NEW-VIEWs, of one signer for one view are no evidence.
#[test]
fn two_promises_for_one_view_convict_their_signer() {
    let certificate = prepared(0, 1, batch(1).digest(), 4, &[1, 2]);
    let (one, other) = (view_change(1, Vec::new(), 2), view_change(1, vec![certificate], 2));
    let evidence = found(std::slice::from_ref(&one), other).expect("found");
    assert!(is_proof(&alone(1), &evidence), "{evidence}");
    assert_eq!(found(std::slice::from_ref(&one), one.clone()), None, "the same again");
    assert_eq!(found(&[one], view_change(2, Vec::new(), 2)), None, "for another view");

    let changes = |ids: [u32; 3]| ids.map(|id| signed_view_change(2, Vec::new(), id)).to_vec();
    let first = new_view(2, changes([0, 2, 3]), &[], 2);
    let second = new_view(2, changes([0, 1, 2]), &[], 2);
    let evidence = found(std::slice::from_ref(&first), second).expect("found");
    assert!(is_proof(&alone(1), &evidence), "{evidence}");
    assert_eq!(found(std::slice::from_ref(&first), first.clone()), None);
}
