//! Loss, reordering, crashes and restarts, at every step and by seed. After the trouble ends, everything that a client
//! asked for must be executed everywhere, and all states must be equal.

use crate::common::Cluster;
use crate::common::craft::{self, request};
use crate::common::random::{self, Disorder, Rng};
use core::time::Duration;
use pbft_core::types::View;
use pbft_core::{Input, Timer};
use std::collections::BTreeMap;

/// A run with everything in it: batches, a checkpoint, a killed primary, a view change, a state transfer.
fn eventful() -> Cluster {
    let patience = Duration::from_millis(150);
    let mut cluster = Cluster::with(4, |params| params.view_timeout = patience);
    for client in 0..6 {
        cluster.request(0, &request(client, 1)).expect("accepted");
    }
    cluster
}

/// Delivers the first message, or lets the next timer run out; replica 0 stops after some steps.
fn advance(cluster: &mut Cluster, step: usize) {
    if step == 60 {
        cluster.crash(0);
        (1..4).for_each(|id| drop(cluster.request(id, &request(7, 1))));
    }
    if step == 150 {
        cluster.restart(0);
    }
    match cluster.queue.pop_front() {
        Some(envelope) => drop(cluster.deliver(envelope)),
        None => drop(cluster.fire_next_timer()),
    }
}

fn finish(cluster: &mut Cluster) {
    (cluster.compare_rejected, cluster.compare_restarted) = (false, false);
    cluster.ids().for_each(|id| {
        if !cluster.is_up(id) {
            cluster.restart(id);
        }
    });
    // The client tries again, as clients do.
    cluster.request_all(&request(7, 1));
    (0..6).for_each(|client| cluster.request_all(&request(client, 1)));
    cluster.pass(8000);
    cluster.assert_equal();
    assert_eq!(cluster.oracle.executed(), 7);
}

#[test]
fn a_restart_at_any_step_of_any_replica_is_no_step_of_the_protocol() {
    let mut cluster = eventful();
    cluster.compare_restarted = true;
    for step in 0..300 {
        for id in cluster.ids().filter(|id| cluster.is_up(*id)) {
            let before = cluster.summary(id);
            let mut again = cluster.clone();
            again.crash(id);
            again.restart(id);
            assert_eq!(again.summary(id), before, "r{id} at step {step}");
            if step % 4 == id as usize {
                finish(&mut again);
            }
        }
        advance(&mut cluster, step);
    }
    assert!(cluster.view(1).0 > View(0), "the run has a view change in it");
    finish(&mut cluster);
}

#[test]
fn all_replicas_restart_at_once_at_any_step() {
    let mut cluster = eventful();
    for step in 0..300 {
        let mut again = cluster.clone();
        (0..4).for_each(|id| again.crash(id));
        (0..4).for_each(|id| again.restart(id));
        finish(&mut again);
        advance(&mut cluster, step);
    }
}

#[test]
fn a_restart_inside_a_view_change_keeps_the_promise() {
    let mut cluster = eventful();
    cluster.run_where(|envelope| envelope.message.kind() != "commit");
    cluster.crash(0);
    (1..4).for_each(|id| drop(cluster.input(id, Input::Suspect)));
    cluster.queue.clear();
    for id in 1..4 {
        cluster.crash(id);
        cluster.restart(id);
        assert_eq!(cluster.view(id), (View(1), false), "no vote in view 0 again");
    }
    cluster.pass(500);
    assert_eq!(cluster.view(2), (View(1), true));
    finish(&mut cluster);
}

#[test]
fn a_new_view_whose_batch_comes_by_another_way_is_entered() {
    // Replica 3 lacks the batch that NEW-VIEW names, and no answer to its fetch ever arrives.
    let mut cluster = Cluster::new(4);
    cluster.request(0, &request(1, 1)).expect("accepted");
    cluster.run_where(|e| e.to.0 != 3 && e.message.kind() != "commit");
    (0..4).for_each(|id| drop(cluster.input(id, Input::Suspect)));
    let pass = |e: &crate::common::Envelope| e.message.kind() != "batch";
    cluster.run_where(pass);
    assert_eq!(cluster.view(3), (View(1), false), "waits");
    cluster.pass_where(Duration::from_millis(400), pass);
    assert_eq!(cluster.view(3), (View(1), true), "a commit certificate brought it");
    cluster.assert_all_at(1);
}

#[test]
fn a_primary_that_knows_of_a_later_view_does_not_begin_its_own() {
    let mut cluster = Cluster::new(4);
    let (batch, lost) = (craft::batch(1), craft::batch(2));
    let digests = [batch.digest(), lost.digest()];
    cluster.corrupt(0);
    cluster.corrupt(2);
    // Replica 1 is to begin view 1, and lacks a batch for it.
    let p = vec![craft::prepared(0, 1, digests[0], 4, &[2, 3])];
    cluster.input(1, Input::Suspect).expect("always possible");
    for from in [0, 2] {
        cluster.inject(from, 1, craft::view_change(1, p.clone(), from)).expect("valid");
    }
    // View 2 has begun, and names another batch that it lacks.
    let p = vec![craft::prepared(0, 1, digests[1], 4, &[1, 2])];
    let v = [0, 2, 3].map(|id| craft::signed_view_change(2, p.clone(), id)).to_vec();
    let begun = craft::new_view(2, v, &[(1, digests[1])], 2);
    cluster.inject(2, 1, begun).expect("valid");
    cluster.queue.clear();
    // Each batch that was asked for must be welcome, whichever comes first.
    cluster.input(1, Input::Timer(Timer::Status)).expect("always running");
    cluster.inject(2, 1, pbft_core::message::Message::Batch(lost)).expect("asked for");
    assert_eq!(cluster.view(1), (View(2), true));
}

fn disorderly(seed: u64) -> (u32, Disorder) {
    let mut rng = Rng(seed ^ 0xabcdef);
    let n = [4, 4, 4, 5, 6, 7, 10][rng.below(7)];
    let disorder = Disorder {
        loss: [5, 30, 60][rng.below(3)],
        crashes: [0, 4, 20][rng.below(3)],
        suspicion: [0, 1, 4][rng.below(3)],
        dead: rng.percent(50),
        clients: 1 + rng.below(6) as u32,
        requests_each: 1 + rng.below(8) as u64,
        steps: [500, 2000, 6000][rng.below(3)],
    };
    (n, disorder)
}

/// Runs `seeds`, and says what happened in all of them together.
fn explore(
    seeds: std::ops::Range<u64>,
    choose: impl Fn(u64) -> (u32, Disorder),
) -> BTreeMap<&'static str, usize> {
    let mut seen = BTreeMap::new();
    for seed in seeds {
        let (n, disorder) = choose(seed);
        let cluster = random::run(n, seed, disorder);
        assert_eq!(
            cluster.oracle.executed() as u64,
            u64::from(disorder.clients) * disorder.requests_each + cluster.nudges,
            "seed {seed}: {disorder:?}"
        );
        for (kind, count) in &cluster.seen {
            *seen.entry(*kind).or_default() += count;
        }
    }
    seen
}

#[test]
fn thirty_percent_loss_and_reordering_at_four_replicas() {
    let disorder = Disorder {
        loss: 30,
        crashes: 0,
        suspicion: 0,
        dead: false,
        clients: 4,
        requests_each: 6,
        steps: 3000,
    };
    let seen = explore(0..200, |_| (4, disorder));
    for kind in ["new-view", "committed", "install", "state-data"] {
        assert!(seen.contains_key(kind), "{kind} never happened: {seen:?}");
    }
}

#[test]
fn loss_crashes_and_suspicion_at_all_sizes() {
    let seen = explore(0..100, disorderly);
    for kind in ["new-view", "committed", "install", "batch", "execute-empty", "stable"] {
        assert!(seen.contains_key(kind), "{kind} never happened: {seen:?}");
    }
}

/// Searches much further: `cargo test -p pbft-core --test core disorder -- --ignored`.
#[test]
#[ignore = "minutes: cargo test -p pbft-core --test core disorder -- --ignored"]
fn loss_crashes_and_suspicion_over_many_seeds() {
    explore(1000..20_000, disorderly);
}
