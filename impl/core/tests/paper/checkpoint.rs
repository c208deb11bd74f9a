//! §4.3: checkpoints, stability, garbage collection.

use super::{Cluster, alone, equivocation, outside, refused, words};
use crate::common::craft::{self, batch, checkpoint, committed, stable};
use pbft_core::message::Message;
use pbft_core::types::{Digest, ReplicaId, SeqNum};
use pbft_core::{Effect, HaltReason, Input, Rejection, Timer};
use std::sync::Arc;

/// Replica 1 has executed `last` batches, alone.
pub(super) fn executed(last: u64) -> Cluster {
    let mut cluster = alone(1);
    for seq in 1..=last {
        let batch = batch(seq as u32);
        cluster.inject(0, 1, committed(0, seq, &batch, &[0, 2, 3])).expect("final");
    }
    assert_eq!(cluster.executed(1), SeqNum(last));
    cluster
}

fn own_digest(cluster: &Cluster, seq: u64) -> Digest {
    cluster.nodes[1].durable.checkpoints[&SeqNum(seq)].body.digest
}

/// §4.3: a checkpoint is taken after every K-th batch; it is stored and written down before CHECKPOINT goes out.
#[test]
fn a_checkpoint_is_taken_at_every_multiple_of_k() {
    let cluster = executed(5);
    let taken: Vec<_> = cluster.summary(1).checkpoints.keys().map(|seq| seq.0).collect();
    assert_eq!(taken, [2, 4]);
    assert_eq!(cluster.nodes[1].service.state().manifests.len(), 2);
    assert_eq!(cluster.summary(1).low_water_mark, SeqNum(0), "the own checkpoint is no proof");
}

/// §4.3: q CHECKPOINTs for one sequence number and digest, the own one among them, make it stable: the proof is
/// written down, h moves to it, and what is at or below is forgotten.
#[test]
fn q_equal_checkpoints_are_stable() {
    let mut cluster = executed(3);
    let digest = own_digest(&cluster, 2);
    cluster.inject(0, 1, checkpoint(2, digest, 0)).expect("logged");
    let wrong = batch(9).digest();
    cluster.inject(3, 1, checkpoint(2, wrong, 3)).expect("logged");
    assert_eq!(cluster.summary(1).low_water_mark, SeqNum(0), "two of three match");
    let effects = cluster.inject(2, 1, checkpoint(2, digest, 2)).expect("logged");
    assert_eq!(words(&effects), ["persist"]);
    let durable = &cluster.nodes[1].durable;
    assert_eq!((durable.low_water_mark, durable.stable.checkpoints.len()), (SeqNum(2), 3));
    assert_eq!(cluster.summary(1).low_water_mark, SeqNum(2));
    let low = cluster.inject(2, 1, craft::prepare(0, 2, digest, 2));
    refused(low, outside(2, 2, 10));
    cluster.inject(2, 1, craft::prepare(0, 10, digest, 2)).expect("H moved, too");
}

/// §4.3: CHECKPOINT names a multiple of K above h; one a replica counts, and of those above H its highest.
#[test]
pub(super) fn checkpoints_are_at_multiples_of_k_above_h() {
    let mut cluster = executed(2);
    let digest = own_digest(&cluster, 2);
    for seq in [0, 1, 3, u64::MAX] {
        let expected = Rejection::NotACheckpoint { seq: SeqNum(seq), interval: 2 };
        refused(cluster.inject(2, 1, checkpoint(seq, digest, 2)), expected);
    }
    cluster.inject(2, 1, checkpoint(4, digest, 2)).expect("logged");
    refused(cluster.inject(2, 1, checkpoint(4, digest, 2)), Rejection::Duplicate);
    let other = batch(9).digest();
    let caught = equivocation(2, 0, 4, digest, other);
    refused(cluster.inject(2, 1, checkpoint(4, other, 2)), caught);
    cluster.inject(2, 1, checkpoint(20, digest, 2)).expect("the highest above H");
    refused(cluster.inject(2, 1, checkpoint(18, digest, 2)), Rejection::Duplicate);
    refused(cluster.inject(2, 1, checkpoint(20, digest, 2)), Rejection::Duplicate);
    cluster.inject(2, 1, checkpoint(u64::MAX - 1, digest, 2)).expect("its own problem");
    for id in [0, 3] {
        cluster.inject(id, 1, checkpoint(2, digest, id)).expect("logged");
    }
    refused(cluster.inject(2, 1, checkpoint(2, digest, 2)), outside(2, 2, 10));
}

/// §4.3: the proof of a stable checkpoint stands for itself.
#[test]
fn a_proof_is_q_equal_checkpoints_of_different_members() {
    let mut cluster = executed(2);
    let digest = own_digest(&cluster, 2);
    let message = |certificate| Message::Stable(Arc::new(certificate));
    let too_few = Rejection::WrongQuorumSize { needed: 3, got: 2 };
    refused(cluster.inject(0, 1, message(stable(2, digest, &[0, 2]))), too_few);
    let none = Rejection::WrongQuorumSize { needed: 3, got: 0 };
    refused(cluster.inject(0, 1, message(stable(2, digest, &[]))), none);
    let twice = Rejection::SignersNotRising { replica: ReplicaId(0) };
    refused(cluster.inject(0, 1, message(stable(2, digest, &[0, 0, 2]))), twice);
    let interval = Rejection::NotACheckpoint { seq: SeqNum(3), interval: 2 };
    refused(cluster.inject(0, 1, message(stable(3, digest, &[0, 2, 3]))), interval);
    for odd in
        [craft::signed_checkpoint(4, digest, 3), craft::signed_checkpoint(2, batch(8).digest(), 3)]
    {
        let mut mixed = stable(2, digest, &[0, 2, 3]);
        mixed.checkpoints[2] = odd;
        refused(cluster.inject(0, 1, message(mixed)), Rejection::MixedCertificate);
    }
    cluster.inject(0, 1, message(stable(2, digest, &[0, 2, 3]))).expect("a proof");
    assert_eq!(cluster.summary(1).low_water_mark, SeqNum(2));
    refused(cluster.inject(0, 1, message(stable(2, digest, &[0, 2, 3]))), outside(2, 2, 10));
}

/// §4.3: a proof of a state that is not here moves nothing; the state is asked for.
#[test]
fn a_proof_without_the_state_does_not_move_h() {
    let mut cluster = executed(1);
    let digest = batch(9).digest();
    let proof = Message::Stable(Arc::new(stable(8, digest, &[0, 2, 3])));
    cluster.inject(0, 1, proof).expect("a proof");
    assert_eq!(cluster.summary(1).low_water_mark, SeqNum(0));
    let effects = cluster.input(1, Input::Timer(Timer::Status));
    let asks =
        |effect: &Effect| matches!(effect, Effect::Send { message: Message::FetchState(_), .. });
    assert!(effects.expect("always running").iter().any(asks));
}

/// §4.3: q CHECKPOINTs above H show that this replica has fallen behind.
#[test]
fn checkpoints_above_the_window_are_a_proof_too() {
    let mut cluster = executed(1);
    let digest = batch(9).digest();
    for from in [0, 2, 3] {
        cluster.inject(from, 1, checkpoint(20, digest, from)).expect("logged");
    }
    let effects = cluster.input(1, Input::Timer(Timer::Status)).expect("always running");
    assert!(words(&effects).contains(&"fetch-state"));
}

/// A replica whose own state is not the proven one stops, whichever comes first; nothing follows the halt.
#[test]
fn a_state_that_is_not_the_proven_one_stops_the_replica() {
    let mut cluster = alone(1);
    let wrong = batch(9).digest();
    for from in [0, 2, 3] {
        cluster.inject(from, 1, checkpoint(2, wrong, from)).expect("logged");
    }
    cluster.request(1, &craft::request(2, 1)).expect("protected by the timer");
    for seq in 1..=2 {
        let batch = batch(seq as u32);
        cluster.inject(0, 1, committed(0, seq, &batch, &[0, 2, 3])).expect("final");
    }
    assert!(matches!(cluster.nodes[1].halted, Some(HaltReason::StateDiverged { .. })));
    assert!(cluster.summary(1).halted);
}
