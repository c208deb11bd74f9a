//! Whole runs of a cluster. The oracle of the test cluster checks agreement, exactly-once, equal states and votes
//! that are durable and never contradict one another after every single effect; the tests say what must happen beside.

use crate::common::craft::{self, request};
use crate::common::{Cluster, Envelope};
use pbft_core::types::{SeqNum, View};
use pbft_core::{HaltReason, Input, Timer};
use std::collections::BTreeSet;

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

#[test]
fn a_request_is_executed_everywhere_and_answered_by_all() {
    for n in [4, 5, 6, 7, 10] {
        let mut cluster = Cluster::new(n);
        cluster.request(0, &request(1, 1)).expect("accepted");
        cluster.run();
        cluster.assert_all_at(1);
        let replies: BTreeSet<_> = cluster.replies.iter().map(|reply| reply.body.replica).collect();
        assert_eq!(replies.len(), n as usize);
        assert!(
            cluster.replies.iter().all(|reply| reply.body.result == cluster.replies[0].body.result)
        );
    }
}

#[test]
fn requests_that_wait_for_the_pipeline_are_ordered_in_batches() {
    let mut cluster = Cluster::new(4);
    for client in 0..12 {
        cluster.request(0, &request(client, 1)).expect("accepted");
    }
    cluster.run();
    let sizes: Vec<_> = cluster.oracle.history.values().map(Vec::len).collect();
    assert_eq!(sizes, [1, 1, 1, 1, 3, 3, 2], "four in the pipeline, then batches of at most three");
    cluster.assert_all_at(7);
}

/// How many requests each executed batch had.
fn sizes(cluster: &Cluster) -> Vec<usize> {
    cluster.oracle.history.values().map(Vec::len).collect()
}

#[test]
fn requests_wait_a_while_for_others_that_are_about_to_come() {
    let change = |params: &mut pbft_core::Params| {
        (params.pipeline, params.batch_requests_max) = (1, 10);
        params.batch_delay = std::time::Duration::from_millis(5);
    };
    let mut cluster = Cluster::with(4, change);
    for client in 0..4 {
        cluster.request(0, &request(client, 1)).expect("accepted");
    }
    cluster.run();
    assert_eq!(sizes(&cluster), [1], "three wait for the one that was answered to come again");
    cluster.request(0, &request(0, 2)).expect("accepted");
    cluster.run();
    assert_eq!(sizes(&cluster), [1, 4], "and need not wait any longer");
    assert!(!cluster.nodes[0].timers.contains_key(&Timer::Batch), "nor does the timer run");
    for client in 0..2 {
        cluster.request(0, &request(client, 3)).expect("accepted");
    }
    cluster.pass(4);
    assert_eq!(sizes(&cluster), [1, 4], "four were answered, two have come again");
    cluster.pass(2);
    assert_eq!(sizes(&cluster), [1, 4, 2], "they wait for the others for five milliseconds");
    cluster.request(0, &request(0, 4)).expect("accepted");
    cluster.pass(9);
    assert_eq!(sizes(&cluster), [1, 4, 2, 1], "one of two is not few");
    cluster.request(0, &request(0, 5)).expect("accepted");
    cluster.run();
    assert_eq!(sizes(&cluster), [1, 4, 2, 1, 1], "who is alone does not wait");
    cluster.assert_all_at(5);
}

/// Outside fault F16: One client that always has a request waiting had a batch of its own between those of the others.
#[test]
fn who_always_waits_neither_starts_a_small_batch_nor_is_waited_for() {
    let change = |params: &mut pbft_core::Params| {
        (params.pipeline, params.batch_requests_max) = (1, 40);
        params.batch_delay = std::time::Duration::from_millis(5);
    };
    let mut cluster = Cluster::with(4, change);
    let ask = |cluster: &mut Cluster, client: u32, timestamp: u64| {
        cluster.request(0, &request(client, timestamp)).expect("accepted");
    };
    (0..34).for_each(|client| ask(&mut cluster, client, 1));
    cluster.run();
    assert_eq!(sizes(&cluster), [1, 33]);
    ask(&mut cluster, 33, 2);
    cluster.pass(6);
    assert_eq!(sizes(&cluster), [1, 33], "one of 33 is few, and goes on waiting");
    (1..30).for_each(|client| ask(&mut cluster, client, 2));
    cluster.pass(3);
    assert_eq!(sizes(&cluster), [1, 33], "three in 33 are missing");
    ask(&mut cluster, 30, 2);
    cluster.run();
    assert_eq!(sizes(&cluster), [1, 33, 31], "two in 33 are not waited for");
    ask(&mut cluster, 33, 3);
    cluster.pass(9);
    assert_eq!(sizes(&cluster), [1, 33, 31], "one of 31 is few, and waits twice as long");
    cluster.pass(2);
    assert_eq!(sizes(&cluster), [1, 33, 31, 1], "and no longer");
    cluster.assert_all_at(4);
}

#[test]
fn the_primary_stops_at_the_pipeline_and_at_the_high_water_mark() {
    let mut cluster = Cluster::with(4, |params| params.pipeline = 100);
    for client in 0..20 {
        cluster.request(0, &request(client, 1)).expect("accepted");
    }
    let proposed = cluster.summary(0).accepted;
    assert_eq!(proposed.last_key_value().map(|(seq, _)| *seq), Some(SeqNum(8)), "H = 8");
    let mut cluster = Cluster::new(4);
    for client in 0..20 {
        cluster.request(0, &request(client, 1)).expect("accepted");
    }
    assert_eq!(cluster.summary(0).accepted.len(), 4, "the pipeline");
}

#[test]
fn checkpoints_move_the_window_and_forget_what_is_below() {
    let mut cluster = Cluster::new(4);
    order(&mut cluster, 0, 1, 1..=25);
    cluster.assert_all_at(25);
    for id in cluster.ids() {
        let summary = cluster.summary(id);
        assert_eq!(summary.low_water_mark, SeqNum(24));
        assert!(summary.accepted.keys().chain(summary.prepared.keys()).all(|seq| seq.0 == 25));
        assert!(cluster.nodes[id as usize].durable.prepared.keys().all(|seq| seq.0 == 25));
        assert_eq!(cluster.nodes[id as usize].service.state().manifests.len(), 2);
    }
}

#[test]
fn a_killed_primary_is_replaced_and_catches_up_when_it_returns() {
    for n in [4, 5, 6, 7, 10] {
        let mut cluster = Cluster::new(n);
        order(&mut cluster, 0, 1, 1..=3);
        cluster.crash(0);
        cluster.request_all(&request(1, 4));
        cluster.pass(900);
        assert_eq!(cluster.view(1), (View(0), true), "the timer has not run out yet");
        cluster.pass(600);
        assert_eq!(cluster.view(1), (View(1), true));
        cluster.assert_all_at(4);
        order(&mut cluster, 1, 1, 5..=9);
        cluster.restart(0);
        cluster.pass(1000);
        cluster.assert_all_at(9);
        assert_eq!(cluster.view(0), (View(1), true), "the NEW-VIEW was handed on");
    }
}

#[test]
fn what_prepared_is_carried_into_the_next_view() {
    let mut cluster = Cluster::new(4);
    cluster.request(0, &request(1, 1)).expect("accepted");
    cluster.run_where(|envelope| envelope.message.kind() != "commit");
    let digest = cluster.summary(1).prepared[&SeqNum(1)].1;
    cluster.crash(0);
    for id in 1..4 {
        cluster.input(id, Input::Suspect).expect("always possible");
    }
    cluster.run();
    for id in 1..4 {
        assert_eq!(cluster.summary(id).prepared[&SeqNum(1)], (View(1), digest));
    }
    cluster.assert_all_at(1);
    assert_eq!(cluster.oracle.executed(), 1);
}

#[test]
fn a_gap_is_filled_by_the_null_batch() {
    let mut cluster = Cluster::new(4);
    cluster.request(0, &request(1, 1)).expect("accepted");
    cluster.queue.clear();
    cluster.request(0, &request(2, 1)).expect("accepted");
    cluster.run_where(|envelope| envelope.message.kind() != "commit");
    cluster.crash(0);
    for id in 1..4 {
        cluster.input(id, Input::Suspect).expect("always possible");
    }
    cluster.run();
    cluster.assert_all_at(2);
    assert_eq!(cluster.oracle.history[&SeqNum(1)], [], "null");
    assert_eq!(cluster.oracle.history[&SeqNum(2)].len(), 1);
}

#[test]
fn f_plus_one_view_changes_make_the_others_join_the_smallest_view() {
    let mut cluster = Cluster::new(7);
    cluster.corrupt(6);
    cluster.corrupt(5);
    let vote = |view, replica| craft::view_change(view, Vec::new(), replica);
    cluster.inject(6, 2, vote(9, 6)).expect("valid");
    cluster.inject(5, 2, vote(7, 5)).expect("valid");
    assert_eq!(cluster.view(2), (View(0), true), "f liars move nobody");
    cluster.inject(4, 2, vote(3, 4)).expect("valid");
    assert_eq!(cluster.view(2), (View(3), false), "the smallest of the three");
}

#[test]
fn the_timer_doubles_from_view_to_view_and_is_not_forgotten_at_once() {
    let mut cluster = Cluster::new(4);
    cluster.crash(1);
    cluster.request_all(&request(1, 1));
    cluster.queue.clear();
    // Nobody hears a primary: v1, v2 and v3 fail.
    let mut entered = Vec::new();
    let mut last = View(0);
    for _ in 0..2000 {
        cluster.pass_where(core::time::Duration::from_millis(10), |envelope| {
            matches!(envelope.message.kind(), "view-change" | "status")
        });
        if cluster.view(2).0 != last {
            last = cluster.view(2).0;
            entered.push(cluster.now.as_millis());
        }
    }
    let waits: Vec<_> = entered.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.len() >= 3, "{waits:?}");
    for (round, wait) in waits.iter().take(3).enumerate() {
        let expected = 1000 << round;
        assert!((expected..expected + 50).contains(wait), "{waits:?}");
    }
    // Healed: a request executes, and the next suspicion takes as long as the last one did.
    cluster.pass(60_000);
    assert!(cluster.executed(2) >= SeqNum(1));
    let view = cluster.view(2).0;
    let patience = 16_000.min(1000 << (view.0 - 1));
    let primary = (view.0 % 4) as u32;
    cluster.request_all(&request(2, 1));
    cluster.queue.clear();
    let mute = move |envelope: &Envelope| envelope.from.0 != primary && envelope.to.0 != primary;
    cluster.pass_where(core::time::Duration::from_millis(patience - 50), mute);
    assert_eq!(cluster.view(2).0, view);
    cluster.pass_where(core::time::Duration::from_millis(150), mute);
    assert!(cluster.view(2).0 > view);
}

#[test]
fn only_the_protected_request_stops_the_timer() {
    let mut cluster = Cluster::new(4);
    cluster.corrupt(0);
    // The faulty primary never orders the first client's request, but serves the second.
    cluster.request_all(&request(1, 1));
    let mut seq = 0;
    while cluster.view(1).0 == View(0) {
        seq += 1;
        assert!(seq < 30, "the first client starves");
        let batch = craft::batch_of(&[request(2, seq)]);
        for to in 1..4 {
            let _ = cluster.inject(0, to, craft::proposal(0, seq, &batch, 0));
            let _ = cluster.inject(0, to, craft::commit(0, seq, batch.digest(), 0));
        }
        cluster.pass(60);
    }
    assert!(cluster.executed(1) >= SeqNum(8), "others were served meanwhile");
    cluster.pass(1000);
    assert!(cluster.oracle.history.values().flatten().any(|(client, ..)| client.0 == 1));
}

#[test]
fn a_lost_relay_is_repeated_without_the_client() {
    let mut cluster = Cluster::new(4);
    cluster.request(2, &request(1, 1)).expect("relayed");
    cluster.queue.clear();
    cluster.pass(300);
    cluster.assert_all_at(1);
    assert_eq!(cluster.view(2), (View(0), true), "nobody had to be suspected");
}

#[test]
fn an_equivocating_primary_splits_nobody_and_is_replaced() {
    for n in [4, 5, 7] {
        let mut cluster = Cluster::new(n);
        cluster.corrupt(0);
        let (one, other) = (request(1, 1), request(2, 1));
        cluster.request_all(&one);
        cluster.request_all(&other);
        for to in 1..n {
            let batch = craft::batch_of(&[if to % 2 == 0 { one.clone() } else { other.clone() }]);
            cluster.inject(0, to, craft::proposal(0, 1, &batch, 0)).expect("each sees one");
        }
        cluster.pass(200);
        assert_eq!(cluster.oracle.executed(), 0, "neither has a quorum");
        cluster.pass(4000);
        assert!(cluster.view(1).0 > View(0));
        assert_eq!(cluster.oracle.executed(), 2);
        cluster.assert_equal();
    }
}

#[test]
fn a_request_that_is_ordered_twice_is_executed_once() {
    let mut cluster = Cluster::new(4);
    cluster.corrupt(0);
    let twice = request(1, 1);
    let batches = [
        craft::batch_of(&[twice.clone(), twice.clone()]),
        craft::batch_of(&[request(2, 1), twice]),
        craft::batch_of(&[request(1, 1)]),
    ];
    for (seq, batch) in (1..).zip(&batches) {
        for to in 1..4 {
            cluster.inject(0, to, craft::proposal(0, seq, batch, 0)).expect("accepted");
            cluster.inject(0, to, craft::commit(0, seq, batch.digest(), 0)).expect("a vote");
        }
    }
    cluster.run();
    cluster.assert_all_at(3);
    let sizes: Vec<_> = cluster.oracle.history.values().map(Vec::len).collect();
    assert_eq!(sizes, [1, 1, 0]);
    assert!(cluster.nodes[1].service.entries.values().all(|count| *count == 1));
}

#[test]
fn a_replica_whose_service_diverged_stops_by_itself() {
    let mut cluster = Cluster::new(4);
    cluster.nodes[2].service.skew = 1;
    order(&mut cluster, 0, 1, 1..=2);
    assert!(matches!(cluster.nodes[2].halted, Some(HaltReason::StateDiverged { .. })));
    assert!(cluster.input(2, Input::Suspect).is_err(), "halted for good");
    order(&mut cluster, 0, 1, 3..=4);
    for id in [0, 1, 3] {
        assert_eq!(
            (cluster.executed(id), cluster.nodes[id as usize].halted.clone()),
            (SeqNum(4), None)
        );
    }
}

#[test]
fn a_diverged_replica_notices_in_a_new_view_too() {
    let mut cluster = Cluster::new(4);
    cluster.nodes[2].service.skew = 1;
    for timestamp in 1..=2 {
        cluster.request(0, &request(1, timestamp)).expect("accepted");
        cluster.run_where(|e| !(e.to.0 == 2 && e.message.kind() == "checkpoint"));
    }
    assert_eq!(cluster.nodes[2].halted, None);
    for id in [0, 1, 3] {
        cluster.input(id, Input::Suspect).expect("always possible");
    }
    let pass = |e: &Envelope| e.to.0 != 2 || e.message.kind() == "new-view";
    cluster.run_where(pass);
    assert!(matches!(cluster.nodes[2].halted, Some(HaltReason::StateDiverged { .. })));
}
