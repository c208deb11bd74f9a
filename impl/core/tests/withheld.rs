//! Certificates whose batch their owner serves to nobody: a view change goes on without it.

use crate::common::craft::{self, request};
use crate::common::{Cluster, Envelope};
use core::time::Duration;
use pbft_core::bodies::BODIES_MAX;
use pbft_core::message::{Message, Proposal};
use pbft_core::types::{SeqNum, View};
use pbft_core::{Input, Rejection};

/// A client's request that reached everybody.
fn asked(n: u32) -> Cluster {
    let mut cluster = Cluster::new(n);
    cluster.request_all(&request(1, 1));
    cluster
}

/// The liars speak by the test only: before anybody else's message arrives, they show the certificate of the batch in
/// `proposal`, signed by `voters`, in a VIEW-CHANGE for every view that a correct replica changes to. Ten minutes pass,
/// or as much time as the request takes.
fn show_certificates(cluster: &mut Cluster, liars: &[u32], proposal: &Proposal, voters: &[u32]) {
    let body = &proposal.pre_prepare.body;
    let n = cluster.nodes.len() as u32;
    let certificate = craft::prepared(body.view.0, body.seq.0, body.digest, n, voters);
    let correct: Vec<u32> = cluster.ids().filter(|id| cluster.is_up(*id)).collect();
    let mut shown = 0;
    while cluster.now < Duration::from_secs(600) {
        let latest = correct.iter().map(|id| cluster.view(*id).0.0).max().unwrap_or_default();
        while shown < latest {
            shown += 1;
            let pairs = liars.iter().flat_map(|liar| correct.iter().map(move |to| (*liar, *to)));
            for (liar, to) in pairs {
                let lie = craft::view_change(shown, vec![certificate.clone()], liar);
                let _ = cluster.inject(liar, to, lie);
            }
        }
        if correct.iter().all(|id| cluster.executed(*id) == SeqNum(1)) {
            return;
        }
        match cluster.queue.pop_front() {
            Some(envelope) if cluster.is_up(envelope.to.0) => drop(cluster.deliver(envelope)),
            Some(_) => {}
            None => assert!(cluster.fire_next_timer(), "a timer is always running"),
        }
    }
}

/// The PRE-PREPARE of view 0 reaches `to` only, which answer and then leave the view, since their timers run out; no
/// correct replica prepares.
fn accepted_just_before_the_timeout(n: u32, liars: &[u32], to: &[u32]) -> (Cluster, Proposal) {
    let mut cluster = asked(n);
    cluster.queue.clear();
    liars.iter().for_each(|liar| cluster.corrupt(*liar));
    let batch = craft::batch_of(&[request(1, 1)]);
    let pre_prepare = craft::pre_prepare(0, 1, batch.digest(), 0);
    for id in to {
        let proposal = craft::proposal(0, 1, &batch, 0);
        cluster.inject(0, *id, proposal).expect("acceptable");
    }
    cluster.queue.clear();
    for id in to {
        cluster.input(*id, Input::Suspect).expect("always possible");
        assert!(cluster.summary(*id).prepared.is_empty(), "nothing prepared at {id}");
    }
    (cluster, Proposal { pre_prepare, batch })
}

/// Outside fault F1: A primary shows a certificate in every view change and serves its batch to nobody.
#[test]
fn a_certificate_whose_owner_withholds_the_batch_stops_no_view_change() {
    let (mut cluster, proposal) = accepted_just_before_the_timeout(4, &[0], &[1, 2]);
    show_certificates(&mut cluster, &[0], &proposal, &[1, 2]);
    cluster.assert_all_at(1);
    let views = (1..4).map(|id| cluster.view(id).0).max();
    assert!(views <= Some(View(2)), "the first correct primary succeeds: {views:?}");
    assert!(cluster.seen.get("fetch-batch").is_none_or(|asked| *asked <= 60), "{:?}", cluster.seen);
}

/// Outside fault F1: The same, when those that said PREPARE are started again and have the batch from their disks only.
#[test]
fn a_batch_that_was_accepted_comes_back_from_the_disk() {
    let (mut cluster, proposal) = accepted_just_before_the_timeout(4, &[0], &[1, 2]);
    for id in [1, 2] {
        cluster.crash(id);
        cluster.restart(id);
        assert_eq!(cluster.view(id), (View(1), false));
        let fetch = Message::FetchBatch(proposal.batch.digest());
        cluster.inject(3, id, fetch).expect("served from what was on the disk");
        let served = cluster.queue.iter().any(|e| matches!(&e.message, Message::Batch(_)));
        assert!(served, "r{id}");
        cluster.queue.retain(|envelope| envelope.message.kind() != "batch");
    }
    show_certificates(&mut cluster, &[0], &proposal, &[1, 2]);
    cluster.assert_all_at(1);
}

/// Outside fault F1: Two liars of seven show one certificate, and one of them alone led the view.
#[test]
fn two_liars_of_seven_that_withhold_a_batch_stop_no_view_change() {
    let (mut cluster, proposal) = accepted_just_before_the_timeout(7, &[0, 1], &[2, 3, 4]);
    show_certificates(&mut cluster, &[0, 1], &proposal, &[1, 2, 3, 4]);
    cluster.assert_all_at(1);
    let views = (2..7).map(|id| cluster.view(id).0).max();
    assert!(views <= Some(View(3)), "view 1 is a liar's, view 2 is not: {views:?}");
}

/// A new primary, with VIEW-CHANGEs of all others, one of which names a batch that nobody serves.
fn primary_with_a_claim_of_nothing(batches_pass: bool) -> Cluster {
    let mut cluster = asked(4);
    cluster.queue.clear();
    cluster.corrupt(0);
    for id in 1..4 {
        cluster.input(id, Input::Suspect).expect("always possible");
    }
    // Nobody else keeps this batch: the certificate is older than what is kept.
    let forgotten = craft::batch(9);
    let certificate = craft::prepared(0, 1, forgotten.digest(), 4, &[2, 3]);
    let shown = craft::view_change(1, vec![certificate], 0);
    cluster.inject(0, 1, shown).expect("valid");
    cluster.run_where(|envelope: &Envelope| batches_pass || envelope.message.kind() != "batch");
    cluster
}

/// Outside fault F1: V is chosen among the VIEW-CHANGEs that can be completed.
#[test]
fn a_primary_takes_a_v_that_it_can_complete() {
    let mut cluster = primary_with_a_claim_of_nothing(true);
    for id in 1..4 {
        assert_eq!(cluster.view(id), (View(1), true), "r{id}");
    }
    cluster.pass(300);
    cluster.assert_all_at(1);
}

/// Outside fault F1: A backup that has a NEW-VIEW that it cannot complete changes to the next view by its timer.
#[test]
fn a_backup_does_not_wait_for_ever_for_a_new_view_that_nobody_can_complete() {
    let mut cluster = asked(4);
    cluster.queue.clear();
    cluster.corrupt(0);
    cluster.corrupt(1);
    let batch = craft::batch(9);
    let certificate = craft::prepared(0, 1, batch.digest(), 4, &[1, 2]);
    let view_changes = vec![
        craft::signed_view_change(1, vec![certificate], 0),
        craft::signed_view_change(1, Vec::new(), 1),
        craft::signed_view_change(1, Vec::new(), 2),
    ];
    let new_view = craft::new_view(1, view_changes, &[(1, batch.digest())], 1);
    cluster.input(2, Input::Suspect).expect("always possible");
    cluster.inject(1, 2, new_view.clone()).expect("valid");
    assert_eq!(cluster.inject(1, 2, new_view), Err(Rejection::Duplicate));
    assert_eq!(cluster.view(2), (View(1), false), "the batch is not here");
    assert!(cluster.replica(2).is_view_timer_running(), "it does not wait for ever");
    cluster.pass(3000);
    assert!(cluster.view(2).0 >= View(2), "{:?}", cluster.view(2));
}

/// Outside fault F1: Another NEW-VIEW of the same view takes the place of one that cannot be completed.
#[test]
fn a_new_view_that_can_be_completed_replaces_one_that_cannot() {
    let mut cluster = asked(4);
    cluster.queue.clear();
    cluster.corrupt(1);
    let batch = craft::batch(9);
    let certificate = craft::prepared(0, 1, batch.digest(), 4, &[1, 2]);
    let empty = |replica| craft::signed_view_change(1, Vec::new(), replica);
    let with = craft::signed_view_change(1, vec![certificate], 0);
    let lacking = craft::new_view(1, vec![with, empty(1), empty(2)], &[(1, batch.digest())], 1);
    cluster.inject(1, 3, lacking).expect("valid");
    assert_eq!(cluster.view(3), (View(0), true), "the batch is not here");
    let other = craft::new_view(1, vec![empty(0), empty(1), empty(2)], &[], 1);
    cluster.inject(1, 3, other).expect("valid");
    assert_eq!(cluster.view(3), (View(1), true));
}

/// Outside fault F1: What is asked for in a view change is bounded, and what nobody serves holds up nothing else.
#[test]
fn batches_are_asked_for_a_few_at_a_time_and_in_turn() {
    let mut cluster =
        Cluster::with(4, |params| (params.checkpoint_interval, params.window) = (32, 64));
    cluster.corrupt(0);
    let lacking: Vec<_> = (1..=40).map(|seq| (seq, craft::batch(seq as u32).digest())).collect();
    let certificates: Vec<_> =
        lacking.iter().map(|(seq, digest)| craft::prepared(0, *seq, *digest, 4, &[1, 2])).collect();
    let view_changes = vec![
        craft::signed_view_change(1, certificates, 0),
        craft::signed_view_change(1, Vec::new(), 1),
        craft::signed_view_change(1, Vec::new(), 2),
    ];
    let new_view = craft::new_view(1, view_changes, &lacking, 1);
    cluster.inject(1, 3, new_view).expect("valid");
    let asked = |cluster: &mut Cluster| {
        let fetches: Vec<_> = std::mem::take(&mut cluster.queue)
            .into_iter()
            .filter_map(|envelope| match envelope.message {
                Message::FetchBatch(digest) if envelope.to.0 == 2 => Some(digest),
                _ => None,
            })
            .collect();
        fetches
    };
    let mut all = asked(&mut cluster);
    assert_eq!(all.len(), 16);
    for _ in 0..2 {
        cluster.input(3, Input::Timer(pbft_core::Timer::Status)).expect("always running");
        let more = asked(&mut cluster);
        assert_eq!(more.len(), 16);
        all.extend(more);
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 40, "each in its turn");
}

/// A replica that accepts another batch in one view after the other keeps the latest few, in memory and on disk alike.
#[test]
fn bodies_are_bounded_and_the_same_after_a_restart() {
    let mut cluster = Cluster::new(4);
    cluster.compare_restarted = true;
    for liar in [0, 1, 2] {
        cluster.corrupt(liar);
    }
    let mut digests = Vec::new();
    for round in 0..3 * BODIES_MAX as u64 {
        let view = 4 * round;
        if view > 0 {
            let from = [0, 1, 2].map(|id| craft::signed_view_change(view, Vec::new(), id));
            let new_view = craft::new_view(view, from.into(), &[], 0);
            cluster.inject(0, 3, new_view).expect("valid");
        }
        let batch = craft::batch(round as u32);
        cluster.inject(0, 3, craft::proposal(view, 1, &batch, 0)).expect("acceptable");
        digests.push(batch.digest());
    }
    cluster.input(3, Input::Suspect).expect("always possible");
    for restarted in [false, true] {
        if restarted {
            cluster.crash(3);
            cluster.restart(3);
        }
        assert_eq!(cluster.replica(3).footprint().bodies, BODIES_MAX);
        let (old, kept) = digests.split_at(digests.len() - BODIES_MAX);
        for digest in old {
            let asked = cluster.inject(1, 3, Message::FetchBatch(*digest));
            assert_eq!(asked, Err(Rejection::Unavailable));
        }
        for digest in kept {
            cluster.inject(1, 3, Message::FetchBatch(*digest)).expect("served");
        }
    }
    let bodies: usize = cluster.nodes[3].durable.bodies.values().map(|kept| kept.len()).sum();
    assert_eq!(bodies, BODIES_MAX);
}
