//! Patience, slow primaries, and replicas that left a view alone.

use crate::common::craft::{request, status, view_change};
use crate::common::{Cluster, Envelope, without};
use core::time::Duration;
use pbft_core::types::{ReplicaId, SeqNum, View};
use pbft_core::{Input, Timer};

/// One view timeout of these clusters, in milliseconds.
const TIMEOUT: u64 = 1000;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// How long the view-change timer of `id` was set for.
fn patience(cluster: &Cluster, id: u32) -> Option<u128> {
    let timer = cluster.nodes[id as usize].timers.get(&Timer::ViewChange);
    timer.map(|(_, after)| after.as_millis())
}

/// Three views fail, with a request that waits; then it is executed in a view of a correct primary.
fn after_three_failed_views() -> Cluster {
    let mut cluster = Cluster::new(4);
    cluster.request_all(&request(1, 1));
    cluster.queue.clear();
    let only_views = |envelope: &Envelope| matches!(envelope.message.kind(), "view-change");
    while cluster.view(2).0 < View(4) {
        cluster.pass_where(ms(10), only_views);
    }
    cluster.pass(TIMEOUT);
    assert_eq!((cluster.executed(2), cluster.view(2)), (SeqNum(1), (View(4), true)));
    cluster
}

/// Outside fault F4: Patience was forgotten at the first execution, so that slow links cost a view change a request.
#[test]
fn patience_is_halved_by_calm_checkpoints_and_not_forgotten_at_an_execution() {
    let mut cluster = after_three_failed_views();
    let mut seen = Vec::new();
    for timestamp in 2..=14 {
        cluster.request_all(&request(1, timestamp));
        seen.push(patience(&cluster, 2).expect("a request waits"));
        cluster.run();
    }
    cluster.assert_all_at(14);
    // K = 2. #2 is the checkpoint after the suspicions; #4, #8 and #12 halve, each after four waits.
    let expected = [8000, 8000, 8000, 4000, 4000, 4000, 4000, 2000, 2000, 2000, 2000, 1000, 1000];
    assert_eq!(seen, expected);
    assert_eq!(cluster.view(2), (View(4), true));
}

/// Outside fault F4: A patience that an attacker drove up must come down where checkpoints are rare, too.
#[test]
fn patience_comes_down_in_a_quiet_cluster_without_checkpoints() {
    let mut cluster = after_three_failed_views();
    // 32 times 8 s, 4 s and 2 s.
    cluster.pass(32 * 14 * TIMEOUT - 2 * TIMEOUT);
    cluster.request_all(&request(2, 1));
    assert_eq!(patience(&cluster, 2), Some(2000));
    cluster.queue.clear();
    cluster.pass(2 * TIMEOUT + 200);
    cluster.request_all(&request(3, 1));
    cluster.run();
    cluster.request_all(&request(3, 2));
    assert!(patience(&cluster, 2) <= Some(2000), "{:?}", patience(&cluster, 2));
    let mut quiet = after_three_failed_views();
    quiet.pass(32 * 14 * TIMEOUT + TIMEOUT);
    quiet.request_all(&request(2, 1));
    assert_eq!(patience(&quiet, 2), Some(1000));
    assert_eq!(quiet.view(2), (View(4), true), "nobody left the view for that");
}

/// Replica 3 leaves view 0 alone.
fn one_left_alone() -> Cluster {
    let mut cluster = Cluster::new(4);
    cluster.request_all(&request(1, 1));
    cluster.run();
    cluster.input(3, Input::Suspect).expect("it may leave");
    cluster.run();
    assert_eq!(cluster.view(3), (View(1), false));
    cluster.pass(200);
    assert_eq!(cluster.replica(0).participants(), 3);
    cluster
}

fn assert_reunited(cluster: &Cluster, view: u64) {
    for id in cluster.ids() {
        assert_eq!(cluster.view(id), (View(view), true), "r{id}");
        assert_eq!(cluster.replica(id).participants(), 4, "r{id}");
    }
}

/// Outside fault F6: A correct replica that left a view alone stayed inactive as long as the others worked.
#[test]
fn who_left_alone_comes_back_while_all_is_quiet() {
    let mut cluster = one_left_alone();
    cluster.pass(TIMEOUT + 500);
    assert_reunited(&cluster, 1);
    // And it was no more than one view change, which cost nobody patience.
    cluster.pass(100 * TIMEOUT);
    assert_reunited(&cluster, 1);
    cluster.request_all(&request(2, 1));
    assert_eq!(patience(&cluster, 2), Some(u128::from(TIMEOUT)));
}

/// Outside fault F6: A correct replica that left a view alone comes back under load, and the next crash stops nobody.
#[test]
fn who_left_alone_comes_back_under_load_and_one_more_may_fail() {
    let mut cluster = one_left_alone();
    for timestamp in 2..=30 {
        cluster.request_all(&request(1, timestamp));
        cluster.pass(100);
    }
    cluster.assert_all_at(30);
    assert_reunited(&cluster, 1);
    cluster.crash(2);
    cluster.request_all(&request(1, 31));
    cluster.run();
    cluster.assert_all_at(31);
    assert_eq!(cluster.view(3), (View(1), true));
}

/// Speaks for replica 3: it says VIEW-CHANGE for the next view at each tick, and never takes part.
fn pretend(cluster: &mut Cluster, to: &[u32]) {
    let view = cluster.view(0).0;
    let next = View(view.0 + 1);
    for id in to {
        let _ = cluster.inject(3, *id, view_change(next.0, Vec::new(), 3));
        let _ = cluster.inject(3, *id, status(3, next.0, false, 0, 0));
    }
    cluster.queue.retain(|envelope| envelope.to != ReplicaId(3));
    cluster.run();
}

/// Outside fault F6: A liar that pretends to be alone all the time has the view changed more and more rarely.
#[test]
fn a_liar_that_is_always_alone_changes_views_more_and_more_rarely() {
    for told in [&[0, 1, 2][..], &[1]] {
        let mut cluster = Cluster::new(4);
        cluster.compare_rejected = false;
        cluster.corrupt(3);
        let mut left = Vec::new();
        let mut before = cluster.view(0);
        for tick in 0..4000_u64 {
            pretend(&mut cluster, told);
            cluster.pass(100);
            let now = cluster.view(0);
            // It leads every fourth view, and nobody waits for long for one that it does not begin.
            if now.0 > before.0 && before.1 {
                left.push(tick);
            }
            before = now;
        }
        // Of 400 timeouts it has seven waits of 1, 2, 4, .. 64, and then one after every 64.
        assert!((7..=12).contains(&left.len()), "{told:?}: {left:?}");
        let late = left.iter().filter(|tick| **tick >= 2000).count();
        assert!(late <= 4, "{told:?}: {left:?}");
    }
}

/// Outside fault F6: A replica that fetches a state left the view because it was slow itself.
#[test]
fn a_replica_that_fetches_state_suspects_nobody() {
    let mut cluster = Cluster::new(4);
    for timestamp in 1..=12 {
        cluster.request_all(&request(1, timestamp));
        cluster.run_where(without(&[3]));
    }
    // It hears of the checkpoint, and has requests of its own to protect; state comes to it only later.
    let no_state = |envelope: &Envelope| {
        !(envelope.to == ReplicaId(3) && matches!(envelope.message.kind(), "state-data"))
    };
    let _ = cluster.request(3, &request(2, 1));
    cluster.pass_where(ms(20 * TIMEOUT), no_state);
    assert_eq!(cluster.view(3), (View(0), true), "it left the view alone");
    cluster.pass(TIMEOUT);
    assert_eq!(cluster.executed(3), cluster.executed(0));
    assert_reunited(&cluster, 0);
}

/// One request of which the primary delays the pre-prepare by so much.
fn delayed_request(cluster: &mut Cluster, timestamp: u64, delay: u64, slow: impl Fn(u32) -> bool) {
    cluster.request_all(&request(1, timestamp));
    let primary = (cluster.view(1).0.0 % 4) as u32;
    if slow(primary) {
        let held = |envelope: &Envelope| envelope.message.kind() != "pre-prepare";
        let kept: Vec<_> =
            cluster.queue.iter().filter(|envelope| !held(envelope)).cloned().collect();
        cluster.pass_where(ms(delay), held);
        cluster.queue.extend(kept);
    }
    cluster.pass(10);
}

/// Outside fault F6: A primary that delays each request to just under the timeout was never left.
#[test]
fn a_primary_that_delays_everything_to_just_under_the_timeout_is_left_after_four_requests() {
    let mut cluster = Cluster::new(4);
    for timestamp in 1..=4 {
        delayed_request(&mut cluster, timestamp, 900, |primary| primary == 0);
        assert_eq!(cluster.view(1).0, View(0), "the timer does not notice it");
    }
    cluster.pass(200);
    assert_eq!(cluster.view(1), (View(1), true));
    assert!(cluster.now < ms(5 * TIMEOUT), "within five timeouts: {:?}", cluster.now);
    // And others are not left.
    for timestamp in 5..=30 {
        delayed_request(&mut cluster, timestamp, 900, |primary| primary == 0);
        cluster.pass(100);
    }
    cluster.assert_all_at(30);
    assert_eq!(cluster.view(1), (View(1), true));
}

/// Outside fault F6: Where all primaries are as slow, it is the network, and they are left f times and not again.
#[test]
fn primaries_that_are_all_as_slow_are_kept() {
    let mut cluster = Cluster::new(4);
    for timestamp in 1..=40 {
        delayed_request(&mut cluster, timestamp, 700, |_| true);
    }
    cluster.pass(TIMEOUT);
    // Two that waited through the view change shared a batch.
    cluster.assert_all_at(39);
    assert_eq!(cluster.view(1), (View(1), true), "one of two primaries is correct");
}

/// Outside fault F6: A single delay, and quiet, say nothing about a primary.
#[test]
fn a_hiccup_and_quiet_depose_nobody() {
    let mut cluster = Cluster::new(4);
    for timestamp in 1..=60 {
        let hiccup = timestamp % 4 == 0;
        delayed_request(&mut cluster, timestamp, 900, |_| hiccup);
        cluster.pass(5 * TIMEOUT);
    }
    cluster.assert_all_at(60);
    assert_eq!(cluster.view(1), (View(0), true));
}
