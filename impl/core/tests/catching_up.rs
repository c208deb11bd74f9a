//! How a replica that lacks something gets it: the batches and the state that a NEW-VIEW names, and what it slept through.

use crate::common::craft::{self, request};
use crate::common::{Cluster, without};
use pbft_core::RejectionKind;
use pbft_core::message::{Message, StatePart};
use pbft_core::types::{SeqNum, View};
use pbft_core::{Input, Timer};
use std::sync::Arc;

/// One request a batch, each executed everywhere before the next.
fn order(
    cluster: &mut Cluster,
    primary: u32,
    client: u32,
    timestamps: std::ops::RangeInclusive<u64>,
) {
    for timestamp in timestamps {
        cluster.request(primary, &request(client, timestamp)).expect("a new request");
        cluster.run();
    }
}

/// Replica 3 hears nothing of a batch that prepares at the others, and is the primary of view 3.
fn batch_missing_at(missing: u32) -> Cluster {
    let mut cluster = Cluster::new(4);
    cluster.request(0, &request(1, 1)).expect("accepted");
    let pass = without(&[missing]);
    cluster.run_where(|envelope| pass(envelope) && envelope.message.kind() != "commit");
    assert_eq!(cluster.summary(missing).accepted.len(), 0);
    cluster
}

fn suspect_until(cluster: &mut Cluster, view: u64) {
    for id in cluster.ids() {
        while cluster.is_up(id) && cluster.view(id).0 < View(view) {
            cluster.input(id, Input::Suspect).expect("always possible");
        }
    }
}

#[test]
fn a_backup_fetches_the_batch_that_new_view_names_before_it_enters() {
    let mut cluster = batch_missing_at(3);
    suspect_until(&mut cluster, 1);
    cluster.run_where(|envelope| !matches!(envelope.message, Message::Batch(_)));
    assert_eq!(cluster.view(3), (View(1), false), "waits for the batch");
    assert!(cluster.seen["fetch-batch"] >= 3);
    cluster.pass(200);
    assert_eq!(cluster.view(3), (View(1), true));
    cluster.assert_all_at(1);
}

#[test]
fn a_new_primary_fetches_the_batch_that_it_must_order() {
    let mut cluster = batch_missing_at(3);
    suspect_until(&mut cluster, 3);
    cluster.run_where(|envelope| !matches!(envelope.message, Message::Batch(_)));
    assert_eq!(cluster.view(3), (View(3), false));
    cluster.pass(200);
    cluster.assert_all_at(1);
    assert_eq!(cluster.view(3), (View(3), true));
}

#[test]
fn a_batch_known_only_from_the_view_that_is_left_is_ordered_again() {
    let mut cluster = Cluster::new(4);
    cluster.request(0, &request(1, 1)).expect("accepted");
    // Replica 3 accepts the pre-prepare, but does not see it prepare.
    cluster.run_where(|envelope| {
        let late = envelope.to.0 == 3 && envelope.message.kind() == "prepare";
        !late && envelope.message.kind() != "commit"
    });
    // It learns of view 1 by its NEW-VIEW only.
    for id in 0..3 {
        cluster.input(id, Input::Suspect).expect("always possible");
    }
    cluster.run_where(|envelope| !(envelope.to.0 == 3 && envelope.message.kind() == "view-change"));
    assert_eq!(cluster.view(3), (View(1), true));
    assert_eq!(cluster.summary(3).accepted.len(), 1);
    cluster.pass(300);
    cluster.assert_all_at(1);
}

/// Three replicas go far beyond replica 3's window.
fn far_ahead_of_replica_3() -> Cluster {
    let mut cluster = Cluster::new(4);
    for timestamp in 1..=13 {
        cluster.request(0, &request(1, timestamp)).expect("accepted");
        cluster.run_where(without(&[3]));
    }
    assert_eq!((cluster.executed(0), cluster.executed(3)), (SeqNum(13), SeqNum(0)));
    cluster
}

#[test]
fn a_new_view_that_needs_state_waits_for_it_and_enters() {
    for next in [1, 3] {
        let mut cluster = far_ahead_of_replica_3();
        suspect_until(&mut cluster, next);
        cluster.run_where(|envelope| !matches!(envelope.message, Message::StateData(_)));
        assert_eq!(cluster.view(3), (View(next), false), "no state, no view");
        assert_eq!(cluster.view(1).1, next != 3, "without its primary the view does not begin");
        cluster.pass(900);
        cluster.assert_all_at(13);
        assert_eq!(cluster.view(3), (View(next), true));
        assert!(cluster.seen["install"] >= 1);
    }
}

#[test]
fn a_replica_within_the_window_catches_up_by_commit_certificates() {
    let mut cluster =
        Cluster::with(4, |params| (params.checkpoint_interval, params.window) = (16, 32));
    for timestamp in 1..=12 {
        cluster.request(0, &request(1, timestamp)).expect("accepted");
        cluster.run_where(without(&[3]));
    }
    cluster.crash(0);
    cluster.pass(300);
    cluster.assert_all_at(12);
    assert!(!cluster.seen.contains_key("install"), "no state transfer was needed");
    assert!(cluster.seen["committed"] >= 12);
}

#[test]
fn a_replica_beyond_the_window_fetches_the_state() {
    let mut cluster = far_ahead_of_replica_3();
    cluster.pass(1000);
    cluster.assert_all_at(13);
    assert_eq!(cluster.seen["install"], 1);
    // And it is a full member again: another replica may fail.
    cluster.crash(1);
    order(&mut cluster, 0, 1, 14..=20);
    cluster.pass(300);
    cluster.assert_all_at(20);
}

#[test]
fn a_lying_or_silent_source_of_state_is_replaced() {
    for liar in 0..3u32 {
        for lies in [true, false] {
            let mut cluster = far_ahead_of_replica_3();
            for _ in 0..40 {
                cluster.fire_next_timer();
                while let Some(mut envelope) = cluster.queue.pop_front() {
                    if let Message::StateData(data) = &mut envelope.message
                        && envelope.from.0 == liar
                    {
                        if !lies {
                            continue;
                        }
                        let data = Arc::make_mut(data);
                        data.bytes = match data.part {
                            StatePart::Manifest => vec![9; 40].into(),
                            StatePart::Chunk(index) => vec![index as u8; 7].into(),
                        };
                    }
                    let _ = cluster.deliver(envelope);
                }
            }
            cluster.assert_all_at(13);
            if lies && cluster.rejections.contains_key(&RejectionKind::WrongStateData) {
                assert!(cluster.seen["fetch-state"] > 6, "asked again elsewhere");
            }
        }
    }
}

#[test]
fn execution_that_overtakes_a_state_transfer_ends_it() {
    let mut cluster = Cluster::new(4);
    for timestamp in 1..=3 {
        cluster.request(0, &request(1, timestamp)).expect("accepted");
        cluster.run_where(without(&[3]));
    }
    let digest = cluster.nodes[0].durable.checkpoints[&SeqNum(2)].body.digest;
    let stable = craft::stable(2, digest, &[0, 1, 2]);
    cluster.inject(0, 3, Message::Stable(Arc::new(stable))).expect("a valid proof");
    cluster.input(3, Input::Timer(Timer::Status)).expect("always running");
    let fetches =
        |c: &Cluster| c.queue.iter().filter(|e| e.message.kind() == "fetch-state").count();
    assert_eq!(fetches(&cluster), 2, "the transfer has begun");
    for seq in 1..=2 {
        let batch = craft::batch_of(&[request(1, seq)]);
        cluster.inject(0, 3, craft::committed(0, seq, &batch, &[0, 1, 2])).expect("final");
    }
    assert_eq!(cluster.executed(3), SeqNum(2));
    assert_eq!(cluster.summary(3).low_water_mark, SeqNum(2), "the proof was not forgotten");
    cluster.run();
    assert!(!cluster.seen.contains_key("install"));
}

#[test]
fn a_backup_that_executed_without_voting_votes_when_others_need_it() {
    let mut cluster = Cluster::new(4);
    let batch = craft::batch(1);
    cluster.corrupt(0);
    cluster.inject(0, 1, craft::committed(0, 1, &batch, &[0, 2, 3])).expect("final");
    assert_eq!(cluster.executed(1), SeqNum(1));
    for to in [1, 2, 3] {
        cluster.inject(0, to, craft::proposal(0, 1, &batch, 0)).expect("accepted");
    }
    // No time passes, so nobody is told of the certificate: it takes the COMMITs of all three.
    cluster.run();
    assert_eq!(cluster.summary(2).prepared[&SeqNum(1)], (View(0), batch.digest()));
    cluster.assert_all_at(1);
}

#[test]
fn a_batch_that_comes_in_a_certificate_opens_the_view_at_the_next_tick() {
    let mut cluster = Cluster::new(4);
    [0, 1, 3].into_iter().for_each(|id| cluster.corrupt(id));
    let (known, missing) = (craft::batch(1), craft::batch(2));
    cluster.inject(0, 2, craft::proposal(0, 1, &known, 0)).expect("accepted");
    let digests = [(1, known.digest()), (2, missing.digest())];
    let certificates = digests.map(|(seq, digest)| craft::prepared(0, seq, digest, 4, &[1, 3]));
    let v = [0, 1, 3].map(|id| craft::signed_view_change(1, certificates.to_vec(), id));
    let new_view = craft::new_view(1, v.to_vec(), &digests, 1);
    cluster.inject(1, 2, new_view).expect("valid");
    // Final, but not to be executed before batch 1.
    cluster.inject(1, 2, craft::committed(0, 2, &missing, &[0, 1, 3])).expect("final");
    assert_eq!((cluster.view(2), cluster.executed(2)), ((View(0), true), SeqNum(0)));
    cluster.input(2, Input::Timer(Timer::Status)).expect("always running");
    assert_eq!(cluster.view(2), (View(1), true));
}

#[test]
fn a_fetched_state_opens_the_view_at_once() {
    // As a backup it refused the others' votes for batch 13, which lay above its window then; it asks for them again with
    // the state installed. As the primary it begins the view only now, and their votes come after that.
    for next in [1, 3] {
        let mut cluster = far_ahead_of_replica_3();
        suspect_until(&mut cluster, next);
        cluster.run();
        assert_eq!(cluster.view(3), (View(next), true), "no time has passed");
        cluster.assert_all_at(13);
    }
}

#[test]
fn a_view_change_that_reached_one_replica_only_is_handed_on() {
    let mut cluster = Cluster::new(4);
    cluster.corrupt(3);
    cluster.input(2, Input::Suspect).expect("always possible");
    cluster.run();
    cluster.inject(3, 2, craft::view_change(1, Vec::new(), 3)).expect("valid");
    assert_eq!(cluster.view(0), (View(0), true));
    cluster.pass(300);
    for id in 0..3 {
        assert_eq!(cluster.view(id), (View(1), true), "f+1 are known everywhere");
    }
}

/// Replica 3 has left its view alone, so all that it can follow by is final batches and state. While it waits for its
/// tick to fetch a checkpoint, the others make a later one stable, and keep the state of no earlier one.
#[test]
fn a_replica_that_follows_by_state_alone_is_level_before_its_next_tick() {
    let mut cluster = far_ahead_of_replica_3();
    cluster.input(3, Input::Suspect).expect("always possible");
    cluster.input(3, Input::Timer(Timer::Status)).expect("always running");
    cluster.run();
    assert_eq!((cluster.view(3), cluster.executed(3)), ((View(1), false), SeqNum(0)));
    assert!(!cluster.seen.contains_key("fetch-state"), "it may be only a little behind");
    // The next checkpoint overtakes the plan. Until its state arrives the others execute one more batch.
    cluster.request(0, &request(1, 14)).expect("accepted");
    let mut late = Vec::new();
    while let Some(envelope) = cluster.queue.pop_front() {
        match envelope.message.kind() {
            "state-data" => late.push(envelope),
            kind if envelope.to.0 != 3 || kind == "checkpoint" => drop(cluster.deliver(envelope)),
            _ => {}
        }
    }
    assert_eq!(late.len(), 2, "a plan that is overtaken is carried out at once");
    cluster.request(0, &request(1, 15)).expect("accepted");
    cluster.run_where(without(&[3]));
    cluster.queue.extend(late);
    cluster.run();
    cluster.assert_all_at(15);
    assert_eq!(cluster.view(3), (View(1), false), "nobody has joined it");
}

#[test]
fn a_status_is_answered_once_and_again_after_a_fetched_state() {
    let mut cluster = Cluster::new(4);
    cluster.corrupt(3);
    let told = |cluster: &mut Cluster, low| {
        let status = craft::status(3, 0, true, low, low);
        cluster.inject(3, 0, status).map(drop).map_err(|rejection| rejection.kind())
    };
    for _ in 0..2 {
        assert_eq!(told(&mut cluster, 2), Ok(()));
        assert_eq!(told(&mut cluster, 2), Err(RejectionKind::Duplicate));
        assert_eq!(told(&mut cluster, 4), Ok(()), "it has come further");
        assert_eq!(
            told(&mut cluster, 6),
            Err(RejectionKind::Duplicate),
            "that is enough until the next tick"
        );
        cluster.input(0, Input::Timer(Timer::Status)).expect("always running");
    }
}
