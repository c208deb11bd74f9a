//! A replica that lost its memory: what it starts from, that it says nothing that it may have said otherwise before,
//! and that it is a replica like any other in the end. The oracle in `common` remembers what it forgot.

use crate::common::craft::request;
use crate::common::service::Service;
use crate::common::{Cluster, Envelope, params};
use core::time::Duration;
use pbft_core::amnesia::AmnesiaError;
use pbft_core::message::Message;
use pbft_core::types::{ReplicaId, SeqNum, View};
use pbft_core::{Durable, Input, Position, Standing};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

const LOST: u32 = 3;

/// How far the replicas that are up have come.
fn positions(cluster: &Cluster) -> BTreeMap<ReplicaId, Position> {
    let up = cluster.ids().filter(|id| cluster.is_up(*id));
    up.map(|id| (ReplicaId(id), cluster.replica(id).position())).collect()
}

/// A replica crashes, loses its disk, and comes back with what the others say.
fn lose_memory(cluster: &mut Cluster, id: u32) {
    cluster.crash(id);
    let durable = Durable::after_amnesia(&cluster.params(id), &positions(cluster));
    let node = &mut cluster.nodes[id as usize];
    (node.durable, node.service) = (durable.expect("three answers"), Service::default());
    cluster.oracle.on_amnesia(ReplicaId(id));
    cluster.restart(id);
}

/// Orders requests, with time for a replica that only hears of what is final. Returns what replica 3 said.
fn order(
    cluster: &mut Cluster,
    to: u32,
    timestamps: std::ops::RangeInclusive<u64>,
) -> Vec<&'static str> {
    let said = RefCell::new(Vec::new());
    for timestamp in timestamps {
        cluster.request(to, &request(1, timestamp)).expect("a new request");
        pass(cluster, 250, &said);
    }
    said.into_inner()
}

fn pass(cluster: &mut Cluster, milliseconds: u64, said: &RefCell<Vec<&'static str>>) {
    cluster.pass_where(Duration::from_millis(milliseconds), |envelope| {
        said.borrow_mut().extend(own_word(envelope));
        true
    });
}

/// What replica 3 says itself; VIEW-CHANGEs of others are handed on.
fn own_word(envelope: &Envelope) -> Option<&'static str> {
    let handed_on = match &envelope.message {
        Message::ViewChange(known) => known.body.replica.0 != LOST,
        _ => false,
    };
    (envelope.from.0 == LOST && !handed_on).then(|| envelope.message.kind())
}

/// Asking and telling how far one is, and nothing else.
fn is_no_vote(kind: &&'static str) -> bool {
    matches!(
        *kind,
        "status" | "fetch-state" | "fetch-batch" | "state-data" | "stable" | "committed"
    )
}

/// A cluster in which replica 3 has lost what it said of the first three batches, and abstains up to 11.
fn forgetful() -> Cluster {
    let mut cluster = Cluster::new(4);
    order(&mut cluster, 0, 1..=3);
    cluster.assert_all_at(3);
    lose_memory(&mut cluster, LOST);
    assert_eq!(cluster.replica(LOST).abstains(), Some(SeqNum(11)));
    assert_eq!(cluster.view(LOST), (View(1), false));
    cluster
}

#[test]
fn it_learns_and_says_nothing_until_its_checkpoint_has_passed_all_that_it_may_have_voted_for() {
    let mut cluster = forgetful();
    let mut said = order(&mut cluster, 0, 4..=6);
    assert!(cluster.seen["install"] > 0, "the state of a checkpoint came first");
    // No checkpoint becomes stable, so it executes up to one by itself.
    for timestamp in 7..=8 {
        cluster.request(0, &request(1, timestamp)).expect("a new request");
        let heard = RefCell::new(Vec::new());
        cluster.pass_where(Duration::from_millis(250), |envelope| {
            heard.borrow_mut().extend(own_word(envelope));
            envelope.message.kind() != "checkpoint"
        });
        said.extend(heard.into_inner());
    }
    cluster.assert_all_at(8);
    assert_eq!(cluster.summary(LOST).low_water_mark, SeqNum(6));
    said.extend(order(&mut cluster, 0, 9..=10));
    assert!(said.iter().all(is_no_vote), "{said:?}");
    cluster.assert_all_at(10);

    // Still abstaining after a restart, and when two others want a later view for longer than any timer runs.
    cluster.restart(LOST);
    for id in [1, 1, 2, 2] {
        cluster.input(id, Input::Suspect).expect("always possible");
    }
    let said = RefCell::new(Vec::new());
    pass(&mut cluster, 5000, &said);
    assert!(said.borrow().iter().all(is_no_vote), "{said:?}");
    assert!(cluster.input(LOST, Input::Suspect).is_err());
    assert_eq!(cluster.replica(LOST).abstains(), Some(SeqNum(11)));
    assert!(!cluster.view(LOST).1, "the others' new view is not entered yet");
}

/// The cluster of [`forgetful`] when replica 3 has come far enough.
fn remembering() -> Cluster {
    let mut cluster = forgetful();
    order(&mut cluster, 0, 4..=12);
    cluster.pass(500);
    assert_eq!(cluster.replica(LOST).abstains(), None);
    assert_eq!(cluster.nodes[LOST as usize].durable.abstains, None);
    // The others have seen it wait in the next view, and came to it.
    assert_eq!(cluster.view(LOST), (View(1), true));
    cluster
}

/// Who sends something that orders a batch in so much time.
fn voters(cluster: &mut Cluster, milliseconds: u64) -> BTreeSet<u32> {
    let votes = ["pre-prepare", "prepare", "commit"];
    let heard = RefCell::new(BTreeSet::new());
    cluster.pass_where(Duration::from_millis(milliseconds), |envelope| {
        if votes.contains(&envelope.message.kind()) {
            heard.borrow_mut().insert(envelope.from.0);
        }
        true
    });
    heard.into_inner()
}

/// Who says that it votes.
fn told(cluster: &Cluster) -> BTreeSet<u32> {
    cluster.ids().filter(|id| cluster.replica(*id).standing().votes()).collect()
}

/// Outside fault F11: After two recoveries in a quiet cluster four replicas are up and two vote, and nobody knows.
#[test]
fn two_that_lost_their_memory_in_a_quiet_cluster_say_that_they_do_not_vote() {
    let mut cluster = Cluster::new(4);
    order(&mut cluster, 0, 1..=3);
    assert_eq!(told(&cluster), BTreeSet::from([0, 1, 2, 3]));
    cluster.request(0, &request(1, 4)).expect("a new request");
    assert_eq!(voters(&mut cluster, 250), told(&cluster), "all do");
    for (id, until, view) in [(3, 12, 1), (2, 12, 2)] {
        lose_memory(&mut cluster, id);
        cluster.pass(1000);
        let recovering = Standing::Recovering { until: SeqNum(until), view: View(view) };
        assert_eq!(cluster.replica(id).standing(), recovering);
    }
    // The two that are left are no quorum, now or later, in whichever view they try.
    let two = BTreeSet::from([0, 1]);
    assert!(told(&cluster).is_subset(&two), "{:?} say that they vote", told(&cluster));
    cluster.request_all(&request(1, 5));
    for _ in 0..240 {
        let heard = voters(&mut cluster, 250);
        assert!(heard.is_subset(&two), "{heard:?} vote");
        assert!(told(&cluster).is_subset(&two), "{:?} say that they vote", told(&cluster));
    }
    assert!((0..4).all(|id| cluster.executed(id) <= SeqNum(4)));
}

/// Outside fault F11: A replica that waits for a checkpoint or for a view looks like a voter.
#[test]
fn one_that_waits_says_for_which_checkpoint_or_view_and_votes_once_it_says_so() {
    let mut cluster = forgetful();
    let recovering = Standing::Recovering { until: SeqNum(11), view: View(1) };
    let mut stood = vec![cluster.replica(LOST).standing()];
    for timestamp in 4..=12 {
        cluster.request_all(&request(1, timestamp));
        for _ in 0..25 {
            cluster.pass(10);
            let now = cluster.replica(LOST).standing();
            if stood.last() != Some(&now) {
                stood.push(now);
            }
        }
    }
    cluster.pass(500);
    assert_eq!(cluster.replica(LOST).standing(), Standing::Votes);
    // The others have come to the view that it waited in.
    assert_eq!(stood, [recovering, Standing::Votes]);
    cluster.request_all(&request(1, 13));
    assert_eq!(voters(&mut cluster, 250), BTreeSet::from([0, 1, 2, 3]));
    // One that leaves a view alone waits for the next.
    cluster.input(2, Input::Suspect).expect("always possible");
    assert_eq!(cluster.replica(2).standing(), Standing::AwaitsView { view: View(2) });
}

#[test]
fn then_it_votes_in_the_next_view() {
    let mut cluster = remembering();
    // Without its votes there is no quorum any more.
    cluster.crash(2);
    let said = order(&mut cluster, 1, 13..=14);
    assert!(said.contains(&"prepare") && said.contains(&"commit"), "{said:?}");
    cluster.assert_all_at(14);
}

/// With a timeout that is too long for the others to have come to it.
#[test]
fn and_it_helps_to_leave_a_view_in_which_it_never_was() {
    let mut cluster = Cluster::with(4, |params| params.view_timeout = Duration::from_secs(10));
    order(&mut cluster, 0, 1..=3);
    lose_memory(&mut cluster, LOST);
    order(&mut cluster, 0, 4..=12);
    cluster.pass(500);
    assert_eq!(cluster.replica(LOST).abstains(), None);
    assert_eq!(cluster.view(LOST), (View(1), false));
    cluster.crash(0);
    cluster.request_all(&request(1, 13));
    cluster.pass(40_000);
    cluster.assert_all_at(13);
    assert!(cluster.view(LOST).1);
}

#[test]
fn and_it_helps_to_leave_a_view() {
    let mut cluster = remembering();
    cluster.crash(1);
    cluster.request_all(&request(1, 13));
    cluster.pass(10_000);
    cluster.assert_all_at(13);
    assert!(cluster.view(LOST).1);
}

#[test]
fn it_starts_beyond_everything_that_it_hears_of() {
    let params = params(4, LOST);
    let position = |view, executed| Position {
        view: View(view),
        last_executed: SeqNum(executed),
        ..Position::default()
    };
    let heard = |answers: &[(u32, Position)]| {
        let answers = answers.iter().map(|(id, position)| (ReplicaId(*id), *position)).collect();
        Durable::after_amnesia(&params, &answers)
    };
    let durable = heard(&[(0, position(7, 4)), (1, position(2, 30))]).expect("two answers");
    assert_eq!((durable.view, durable.changing), (View(8), true));
    assert_eq!(durable.abstains, Some(SeqNum(38)));

    // What it says itself, or somebody else, is worth nothing.
    let own = heard(&[(0, position(7, 4)), (LOST, position(0, 0)), (9, position(0, 0))]);
    assert_eq!(own, Err(AmnesiaError::TooFewAnswers { needed: 2, got: 1 }));
    let liar = heard(&[(0, position(7, 4)), (1, position(u64::MAX, 30))]);
    assert_eq!(liar, Err(AmnesiaError::LastView { replica: ReplicaId(1) }));
}
