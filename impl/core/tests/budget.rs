//! Small questions have large answers: what a peer is given between two ticks has a bound, and progress never depends on
//! it.

use crate::common::craft::{self, batch_of, request_on};
use crate::common::{Cluster, without};
use pbft_core::RejectionKind;
use pbft_core::message::{Batch, FetchState, Message, StatePart};
use pbft_core::params::HELP_BYTES_MAX;
use pbft_core::types::{ReplicaId, SeqNum};
use pbft_core::{Effect, Input, Params, Rejection, Timer};
use std::sync::Arc;

/// Bytes of a signed request with an operation of 906: 4 + 2 + 8 + 8 + 8 + 64 more.
const REQUEST: usize = 1_000;

/// Bytes of a batch of ten such requests.
const BATCH: usize = 8 + 10 * REQUEST;

/// Bytes of a commit certificate of it: three votes of 8 + 8 + 32 + 4 + 64.
const CERTIFICATE: usize = 8 + 3 * 116 + BATCH;

fn large_batches(params: &mut Params) {
    (params.checkpoint_interval, params.window) = (16, 32);
    (params.operation_bytes_max, params.batch_requests_max) = (2_000, 10);
    params.help_bytes_max = 50_000;
}

/// The batch at this number: ten lanes' requests.
fn batch(seq: u64) -> Arc<Batch> {
    let request = |lane| request_on(1, lane, seq, &[seq as u8; 906]);
    batch_of(&(0..10).map(request).collect::<Vec<_>>())
}

/// Replica 0 has executed so many large batches, and replica 3 is in the hands of the test.
fn ahead(batches: u64, change: impl Fn(&mut Params)) -> Cluster {
    let mut cluster = Cluster::with(4, change);
    cluster.corrupt(3);
    for seq in 1..=batches {
        let certificate = craft::committed(0, seq, &batch(seq), &[0, 1, 2]);
        cluster.inject(3, 0, certificate).expect("final");
    }
    assert_eq!(cluster.executed(0), SeqNum(batches));
    cluster.queue.clear();
    cluster
}

fn tick(cluster: &mut Cluster, id: u32) {
    cluster.input(id, Input::Timer(Timer::Status)).expect("always running");
}

/// The kinds of what was sent to replica 3.
fn sent(effects: &[Effect]) -> Vec<&'static str> {
    let kind = |effect: &Effect| match effect {
        Effect::Send { to: ReplicaId(3), message } => message.kind(),
        other => panic!("unexpected: {other:?}"),
    };
    effects.iter().map(kind).collect()
}

/// Outside fault F17: A STATUS of a hundred bytes is answered with megabytes at every tick.
#[test]
fn a_status_is_answered_with_what_fits() {
    let mut cluster = ahead(12, large_batches);
    for ticks in 1..=3 {
        let answer = cluster.inject(3, 0, craft::status(3, 0, true, 0, 0)).expect("new");
        // Five certificates would be 51,820 bytes.
        assert_eq!((sent(&answer), 4 * CERTIFICATE), (vec!["committed"; 4], 41_456));
        assert_eq!(cluster.replica(0).help_withheld(), 8 * ticks, "counted");
        tick(&mut cluster, 0);
    }
    // The rest of an answer comes when the peer has used what it was given.
    let answer = cluster.inject(3, 0, craft::status(3, 0, true, 0, 4)).expect("new");
    let numbers = answer.iter().map(|effect| match effect {
        Effect::Send { message: Message::Committed(known), .. } => known.commits[0].body.seq.0,
        other => panic!("unexpected: {other:?}"),
    });
    assert_eq!(numbers.collect::<Vec<_>>(), [5, 6, 7, 8]);
}

/// Outside fault F17: A thousand FETCH-BATCHes in a tick are answered with 524 MB.
#[test]
fn batches_are_served_up_to_the_bound() {
    let mut cluster = ahead(2, large_batches);
    let ask = |cluster: &mut Cluster, from| {
        cluster.inject(from, 0, Message::FetchBatch(batch(1).digest())).map(|effects| effects.len())
    };
    for _ in 0..2 {
        let answers: Vec<_> = (0..1_000).map(|_| ask(&mut cluster, 3)).collect();
        // Five would be 50,040 bytes.
        let refused = Rejection::OverBudget {
            replica: ReplicaId(3),
            given: 40_032,
            bytes: BATCH,
            max: 50_000,
        };
        assert!(answers[..4].iter().all(|answer| *answer == Ok(1)), "{answers:?}");
        assert!(answers[4..].iter().all(|answer| *answer == Err(refused.clone())));
        // What one peer was given is no other's loss.
        assert_eq!(ask(&mut cluster, 2), Ok(1));
        tick(&mut cluster, 0);
    }
}

/// Outside fault F17: FETCH-STATE has no limit.
#[test]
fn state_is_served_up_to_the_bound() {
    let before = ahead(16, large_batches);
    let manifests = before.nodes[0].service.state().manifests;
    let manifest = manifests.iter().find(|manifest| manifest.seq == SeqNum(16)).expect("kept");
    let len = manifest.chunks[1].len as usize;
    let mut cluster = ahead(16, |params| {
        large_batches(params);
        // Three, and a fourth all but one byte.
        params.help_bytes_max = 4 * len - 1;
    });
    let fetch = |part| Message::FetchState(FetchState { seq: SeqNum(16), part });
    for _ in 0..2 {
        let served =
            (0..1_000).filter(|_| cluster.inject(3, 0, fetch(StatePart::Chunk(1))).is_ok());
        assert_eq!(served.count(), 3);
        let more = cluster.inject(3, 0, fetch(StatePart::Chunk(1)));
        assert_eq!(more.map_err(|rejection| rejection.kind()), Err(RejectionKind::OverBudget));
        tick(&mut cluster, 0);
    }
}

/// Outside fault F17: A replica repeats a client's executed request, and each time the reply is made and sent again.
#[test]
fn replies_are_repeated_for_a_peer_up_to_the_bound() {
    let mut cluster = ahead(1, |params| {
        large_batches(params);
        params.help_bytes_max = 1_000;
    });
    let relay = |cluster: &mut Cluster| {
        let request = Message::Request(request_on(1, 0, 1, &[1; 906]));
        cluster.inject(3, 0, request).map(|effects| effects.len())
    };
    let answers: Vec<_> = (0..100).map(|_| relay(&mut cluster)).collect();
    let given = answers.iter().take_while(|answer| **answer == Ok(1)).count();
    let result = cluster.replies.last().expect("a reply").body.result.len();
    // 8 + 4 + 2 + 8 + 32 + 4 + 8 + 64 bytes and the result each.
    assert_eq!(given, 1_000 / (130 + result));
    assert!(answers[given..].iter().all(|answer| {
        answer.as_ref().is_err_and(|rejection| rejection.kind() == RejectionKind::OverBudget)
    }));
    // The client itself is answered as often as it asks.
    for _ in 0..20 {
        assert!(cluster.request(0, &request_on(1, 0, 1, &[1; 906])).is_ok());
    }
}

/// Of each kind of help one message is given, whatever was given of the others: here a peer that is given certificates up
/// to the bound, and lacks the pre-prepare and the votes of a number before them.
#[test]
fn no_kind_of_help_uses_up_what_another_one_needs() {
    let mut cluster = Cluster::with(4, |params| {
        large_batches(params);
        params.help_bytes_max = 1;
    });
    cluster.corrupt(3);
    cluster.inject(0, 1, craft::proposal(0, 1, &batch(1), 0)).expect("accepted");
    for seq in [2, 3] {
        let certificate = craft::committed(0, seq, &batch(seq), &[0, 1, 2]);
        cluster.inject(3, 1, certificate).expect("final");
    }
    for _ in 0..2 {
        let answer = cluster.inject(3, 1, craft::status(3, 0, true, 0, 0)).expect("new");
        assert_eq!(sent(&answer), ["committed", "pre-prepare", "prepare"]);
        let fetch = Message::FetchBatch(batch(2).digest());
        let batches = [(); 2].map(|()| cluster.inject(3, 1, fetch.clone()).is_ok());
        assert_eq!(batches, [true, false], "one a tick");
        tick(&mut cluster, 1);
    }
}

/// With the least budget everything goes on message by message.
#[test]
fn progress_does_not_depend_on_the_budget() {
    for batches in [12, 13] {
        let mut cluster = Cluster::with(4, |params| {
            // A window of eight, so that 13 are beyond it: then the state is fetched.
            let window = if batches == 12 { (16, 32) } else { (2, 8) };
            (params.checkpoint_interval, params.window) = window;
            params.help_bytes_max = 1;
        });
        for timestamp in 1..=batches {
            cluster.request(0, &craft::request(1, timestamp)).expect("accepted");
            cluster.run_where(without(&[3]));
        }
        cluster.pass(3_000);
        cluster.assert_all_at(batches);
        assert_eq!(cluster.seen.contains_key("install"), batches == 13);
    }
}

/// 128 of the largest batches with the bound that is the default, all sixteen times smaller: a certificate is 525,404
/// bytes there, so seven fit into 4 MiB, and 128 come with the 19th answer. Without a bound it were 8 answers.
#[test]
fn a_laggard_a_whole_window_behind_catches_up() {
    let bounds = |params: &mut Params| {
        (params.checkpoint_interval, params.window, params.pipeline) = (64, 128, 128);
        (params.operation_bytes_max, params.batch_requests_max) = (4 * 1024, 8);
        params.help_bytes_max = HELP_BYTES_MAX / 16;
    };
    let mut cluster = Cluster::with(4, bounds);
    for seq in 1..=128 {
        let request = |lane| request_on(1, lane, seq, &[seq as u8; 4 * 1024 - 94]);
        let batch = batch_of(&(0..8).map(request).collect::<Vec<_>>());
        for id in 0..3 {
            let certificate = craft::committed(0, seq, &batch, &[0, 1, 2]);
            cluster.inject(3, id, certificate).expect("final");
        }
    }
    cluster.queue.clear();
    let no_checkpoint = |kind: &str| kind != "checkpoint" && kind != "stable";
    let mut answers = 0;
    while cluster.executed(3) < SeqNum(128) {
        for id in 0..4 {
            tick(&mut cluster, id);
        }
        cluster.run_where(|envelope| no_checkpoint(envelope.message.kind()));
        answers += 1;
        assert!(answers <= 19, "{}", cluster.executed(3));
    }
    assert_eq!(answers, 19);
}
