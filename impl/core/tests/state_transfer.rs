//! Transfers over links that take time, from sources of which one is faulty, while the others go on.

use crate::common::craft::request;
use crate::common::{Cluster, Envelope, without};
use core::time::Duration;
use pbft_core::message::Message;
use pbft_core::types::{ReplicaId, SeqNum};
use std::collections::VecDeque;

/// Messages of state to and from replica 3 are under way for `one_way`; everything else arrives at once.
struct Link {
    one_way: Duration,
    /// A source of state that answers after so many milliseconds more, if at all.
    slow: Option<(u32, Option<u64>)>,
    under_way: VecDeque<(Duration, Envelope)>,
    fetches: usize,
}

impl Link {
    fn new(one_way: u64, slow: Option<(u32, Option<u64>)>) -> Self {
        let one_way = Duration::from_millis(one_way);
        Self { one_way, slow, under_way: VecDeque::new(), fetches: 0 }
    }

    fn run(&mut self, cluster: &mut Cluster) {
        loop {
            let now = cluster.now;
            let due = |(at, _): &mut (Duration, Envelope)| *at <= now;
            while let Some((_, envelope)) = self.under_way.pop_front_if(due) {
                let _ = cluster.deliver(envelope);
            }
            let Some(envelope) = cluster.queue.pop_front() else { break };
            match &envelope.message {
                Message::FetchState(_) => {
                    self.fetches += 1;
                    let at = cluster.now + self.one_way;
                    let place = self.under_way.partition_point(|(other, _)| *other <= at);
                    self.under_way.insert(place, (at, envelope));
                }
                Message::StateData(_) => {
                    let extra = match self.slow {
                        Some((slow, extra)) if envelope.from.0 == slow => extra,
                        _ => Some(0),
                    };
                    let Some(extra) = extra.map(Duration::from_millis) else { continue };
                    let at = cluster.now + self.one_way + extra;
                    let place = self.under_way.partition_point(|(other, _)| *other <= at);
                    self.under_way.insert(place, (at, envelope));
                }
                // Of the protocol replica 3 hears only what tells it of checkpoints: nothing lets it execute.
                Message::Checkpoint(_) | Message::Status(_) | Message::Stable(_) => {
                    let _ = cluster.deliver(envelope);
                }
                _ if [envelope.from, envelope.to].contains(&ReplicaId(3)) => {}
                _ => drop(cluster.deliver(envelope)),
            }
        }
    }

    /// Lets a millisecond pass.
    fn tick(&mut self, cluster: &mut Cluster) {
        let end = cluster.now + Duration::from_millis(1);
        loop {
            let timers = cluster.nodes.iter().flat_map(|node| node.timers.values());
            if timers.map(|(at, _)| *at).min().is_none_or(|at| at > end) {
                break;
            }
            cluster.fire_next_timer();
            self.run(cluster);
        }
        cluster.now = end;
        self.run(cluster);
    }
}

/// Replica 3 was away for twenty batches, and then hears of checkpoints only, one every 50 ms (K = 2). Returns after how long
/// it has installed a state, if it does within ten seconds, and how often it asked for a part.
fn laggard_under_load(one_way: u64, slow: Option<(u32, Option<u64>)>) -> (Option<u64>, usize) {
    let mut cluster = Cluster::with(4, |params| {
        (params.checkpoint_interval, params.window) = (2, 8);
        params.status_interval = Duration::from_millis(250);
    });
    cluster.compare_rejected = false;
    let mut timestamp = 0;
    for _ in 0..20 {
        timestamp += 1;
        cluster.request(0, &request(1, timestamp)).expect("accepted");
        cluster.run_where(without(&[3]));
    }
    let mut link = Link::new(one_way, slow);
    for elapsed in 0..10_000 {
        if elapsed % 25 == 0 {
            timestamp += 1;
            cluster.request(0, &request(1 + timestamp as u32 % 3, timestamp)).expect("accepted");
            link.run(&mut cluster);
        }
        link.tick(&mut cluster);
        if cluster.executed(3) > SeqNum(0) {
            return (Some(elapsed), link.fetches);
        }
    }
    (None, link.fetches)
}

/// Outside fault F3: A transfer starts from nothing at every checkpoint, so a laggard installs nothing under load.
#[test]
fn a_laggard_installs_a_state_while_checkpoints_overtake_it() {
    let (installed, fetches) = laggard_under_load(15, None);
    let after = installed.expect("installed within ten seconds");
    assert!(after <= 1000, "after {after} ms");
    assert!(fetches < 100, "{fetches} FETCH-STATE");
}

/// The same where one of the sources takes so much longer, or serves nothing.
fn one_slow_source_delays_a_laggard_little(extra: Option<u64>) {
    for slow in 0..3 {
        let (installed, fetches) = laggard_under_load(15, Some((slow, extra)));
        let after = installed.expect("installed within ten seconds");
        // Four ticks and the one at which it is noticed; and then a round.
        assert!(after <= 2000, "with {slow}: after {after} ms");
        assert!(fetches < 200, "with {slow}: {fetches} FETCH-STATE");
    }
}

/// Outside fault F3: One faulty replica that signs checkpoints and serves nothing keeps a laggard from its state.
#[test]
fn a_source_that_serves_nothing_delays_a_transfer_by_its_patience_at_most() {
    one_slow_source_delays_a_laggard_little(None);
}

/// Outside fault F3: A source that sends a little at a time is never replaced.
#[test]
fn a_source_that_trickles_is_given_less_while_others_carry_the_load() {
    one_slow_source_delays_a_laggard_little(Some(700));
}

/// Outside fault F3: A later checkpoint, or a restart, throws away what was fetched.
#[test]
fn what_was_fetched_before_a_restart_is_not_fetched_again() {
    let mut cluster = Cluster::new(4);
    for timestamp in 1..=13 {
        cluster.request(0, &request(1, timestamp)).expect("accepted");
        cluster.run_where(without(&[3]));
    }
    let mut served = 0;
    // All but the last part arrive.
    while cluster.nodes[3].service.kept.staged().count() < 3 {
        cluster.fire_next_timer();
        while let Some(envelope) = cluster.queue.pop_front() {
            let last = matches!(envelope.message, Message::StateData(_))
                && cluster.nodes[3].service.kept.staged().count() == 3;
            served += usize::from(matches!(envelope.message, Message::StateData(_)));
            if !last {
                let _ = cluster.deliver(envelope);
            }
        }
    }
    assert!(served >= 4, "the manifest and three chunks");
    assert_eq!(cluster.executed(3), SeqNum(0));
    cluster.crash(3);
    cluster.restart(3);
    let before = cluster.seen["state-data"];
    cluster.pass(3000);
    cluster.assert_all_at(13);
    let again = cluster.seen["state-data"] - before;
    assert!(again <= 5, "two manifests and what is left of four chunks: {again}");
}
