//! The client's side of §4.1: one request at a time, f+1 equal replies, patience that doubles.

use pbft_core::Membership;
use pbft_core::client::{
    ClientEffect, ClientInput, ClientLane, ClientRejection, Fate, Patience, Spent,
};
use pbft_core::message::{Reply, Request, Signed};
use pbft_core::types::{ClientId, Digest, Lane, ReplicaId, Session, Signature, Timestamp, View};
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn lane(n: u32) -> ClientLane {
    let membership = Membership::new(n).expect("a valid size");
    ClientLane::new(membership, Patience { first: SECOND, max: 3 * SECOND })
}

fn request(timestamp: u64) -> Arc<Signed<Request>> {
    let body = Request {
        client: ClientId(1),
        lane: Lane(2),
        timestamp: Timestamp(timestamp),
        session: Session::default(),
        operation: vec![7],
    };
    Arc::new(Signed { body, signature: Signature::default() })
}

fn reply(replica: u32, view: u64, timestamp: u64, result: u8) -> ClientInput {
    let body = Reply {
        view: View(view),
        client: ClientId(1),
        lane: Lane(2),
        timestamp: Timestamp(timestamp),
        request: request(timestamp).body.digest(),
        replica: ReplicaId(replica),
        result: Arc::new([result]),
    };
    ClientInput::Reply(Signed { body, signature: Signature::default() })
}

fn result(effects: &[ClientEffect]) -> Option<(u8, View)> {
    effects.iter().find_map(|effect| match effect {
        ClientEffect::Done { result, view, .. } => Some((result[0], *view)),
        ClientEffect::Send { .. }
        | ClientEffect::Broadcast(_)
        | ClientEffect::SetTimer(_)
        | ClientEffect::CancelTimer
        | ClientEffect::Spent { .. } => None,
    })
}

#[test]
fn a_request_goes_to_the_believed_primary_and_starts_the_timer() {
    let mut lane = lane(4);
    let effects = lane.step(ClientInput::Submit(request(1))).expect("idle");
    let to = ReplicaId(0);
    assert_eq!(
        effects,
        [ClientEffect::Send { to, request: request(1) }, ClientEffect::SetTimer(SECOND)]
    );
    assert!(lane.is_busy());
}

#[test]
fn a_lane_has_one_request_at_a_time_and_its_timestamps_rise() {
    let mut lane = lane(4);
    lane.step(ClientInput::Submit(request(5))).expect("idle");
    assert_eq!(lane.step(ClientInput::Submit(request(6))), Err(ClientRejection::Busy));
    lane.step(reply(0, 0, 5, 1)).expect("counted");
    lane.step(reply(1, 0, 5, 1)).expect("f+1");
    let (last, got) = (Timestamp(5), Timestamp(5));
    let again = lane.step(ClientInput::Submit(request(5)));
    assert_eq!(again, Err(ClientRejection::OldTimestamp { last, got }));
    assert!(lane.step(ClientInput::Submit(request(6))).is_ok());
}

#[test]
fn only_f_plus_1_equal_replies_of_different_replicas_count() {
    let mut lane = lane(7);
    lane.step(ClientInput::Submit(request(1))).expect("idle");
    for input in [reply(0, 0, 1, 9), reply(0, 0, 1, 9), reply(1, 0, 1, 8), reply(2, 0, 1, 9)] {
        assert_eq!(lane.step(input), Ok(Vec::new()), "two equal ones at most, f = 2");
    }
    let effects = lane.step(reply(3, 0, 1, 9)).expect("the third");
    assert_eq!(result(&effects), Some((9, View(0))));
    assert!(!lane.is_busy());
    assert_eq!(lane.step(reply(4, 0, 1, 9)), Err(ClientRejection::Idle));
}

#[test]
fn the_view_is_learned_from_f_plus_1_replicas_never_from_one() {
    let mut lane = lane(4);
    lane.step(ClientInput::Submit(request(1))).expect("idle");
    lane.step(reply(3, u64::MAX, 1, 1)).expect("counted");
    let effects = lane.step(reply(2, 6, 1, 1)).expect("f+1");
    assert_eq!(result(&effects), Some((1, View(6))), "a liar's view moves nobody");
    assert_eq!(lane.view(), View(6));
    let effects = lane.step(ClientInput::Submit(request(2))).expect("idle");
    assert!(matches!(effects[0], ClientEffect::Send { to: ReplicaId(2), .. }), "{effects:?}");
}

#[test]
fn patience_doubles_to_its_bound_and_every_timeout_asks_everybody() {
    let mut lane = lane(4);
    assert_eq!(lane.step(ClientInput::Timeout), Err(ClientRejection::Idle));
    lane.step(ClientInput::Submit(request(1))).expect("idle");
    for wait in [2, 3, 3] {
        let effects = lane.step(ClientInput::Timeout).expect("waiting");
        let again = ClientEffect::Broadcast(request(1));
        assert_eq!(effects, [again, ClientEffect::SetTimer(wait * SECOND)]);
    }
}

#[test]
fn replies_to_other_requests_and_from_strangers_are_refused() {
    let mut lane = lane(4);
    lane.step(ClientInput::Submit(request(3))).expect("idle");
    let (expected, got) = (Timestamp(3), Timestamp(2));
    let other = lane.step(reply(0, 0, 2, 1));
    assert_eq!(other, Err(ClientRejection::OtherRequest { expected, got }));
    let stranger = lane.step(reply(4, 0, 3, 1));
    assert_eq!(stranger, Err(ClientRejection::NotAMember(ReplicaId(4))));
}

/// Outside fault F9: An acknowledgement of another operation with the same timestamp is taken for this one's.
#[test]
fn a_reply_to_another_request_with_the_same_timestamp_does_not_count() {
    let mut lane = lane(4);
    lane.step(ClientInput::Submit(request(3))).expect("idle");
    for replica in 0..4 {
        let ClientInput::Reply(mut other) = reply(replica, 0, 3, 1) else { unreachable!() };
        other.body.request = Digest([9; 32]);
        let (expected, got) = (request(3).body.digest(), Digest([9; 32]));
        let refused = ClientRejection::AnotherRequest { expected, got };
        assert_eq!(lane.step(ClientInput::Reply(other)), Err(refused));
    }
    assert!(lane.is_busy(), "it still waits for its own result");
}

fn spent(from: u32, spent: Spent) -> ClientInput {
    ClientInput::Spent { from: ReplicaId(from), request: request(3).body.digest(), spent }
}

fn old(last: u64) -> Spent {
    Spent::Old { last: Timestamp(last) }
}

fn gives_up(timestamp: u64, fate: Fate, last: u64) -> Vec<ClientEffect> {
    let (timestamp, last) = (Timestamp(timestamp), Timestamp(last));
    vec![ClientEffect::CancelTimer, ClientEffect::Spent { timestamp, fate, last }]
}

#[test]
fn f_plus_1_that_executed_another_request_settle_that_this_one_never_is() {
    let mut lane = lane(4);
    assert_eq!(lane.step(spent(0, Spent::ForAnother)), Err(ClientRejection::Idle));
    lane.step(ClientInput::Submit(request(3))).expect("idle");
    let asks_all = vec![ClientEffect::Broadcast(request(3))];
    assert_eq!(lane.step(spent(0, Spent::ForAnother)), Ok(asks_all), "one may lie");
    assert_eq!(lane.step(spent(0, Spent::ForAnother)), Ok(Vec::new()), "it counts once");
    let stranger = lane.step(spent(4, Spent::ForAnother));
    assert_eq!(stranger, Err(ClientRejection::NotAMember(ReplicaId(4))));
    let settled = lane.step(spent(2, Spent::ForAnother));
    assert_eq!(settled, Ok(gives_up(3, Fate::NeverExecuted, 3)));
    assert!(!lane.is_busy());
}

/// Outside fault F9: A refusal of a copy's operation makes a client ask again for one that was executed.
#[test]
fn a_refusal_of_another_request_does_not_count() {
    let mut lane = lane(4);
    lane.step(ClientInput::Submit(request(3))).expect("idle");
    for from in (0..4).map(ReplicaId) {
        let (request, spent) = (Digest([9; 32]), Spent::ForAnother);
        let expected = self::request(3).body.digest();
        let refused = ClientRejection::AnotherRequest { expected, got: request };
        assert_eq!(lane.step(ClientInput::Spent { from, request, spent }), Err(refused));
    }
    assert!(lane.is_busy());
}

#[test]
fn the_last_timestamp_is_learned_from_refusals_and_no_liar_moves_it() {
    for lie in [0, u64::MAX] {
        let mut lane = lane(4);
        lane.step(ClientInput::Submit(request(3))).expect("idle");
        lane.step(spent(3, old(lie))).expect("counted");
        assert_eq!(lane.step(spent(0, old(70))), Ok(Vec::new()), "the others are waited for");
        let settled = lane.step(spent(1, old(80))).expect("n-f");
        let last = if lie == 0 { 70 } else { 80 };
        assert_eq!(settled, gives_up(3, Fate::Unknown, last));
        let refused = lane.step(ClientInput::Submit(request(last)));
        let last = Timestamp(last);
        assert_eq!(refused, Err(ClientRejection::OldTimestamp { last, got: last }));
    }
}

#[test]
fn f_plus_1_refusals_are_enough_when_the_others_are_silent() {
    let mut lane = lane(4);
    lane.step(ClientInput::Submit(request(3))).expect("idle");
    lane.step(spent(1, old(7))).expect("counted");
    lane.step(spent(2, Spent::ForAnother)).expect("counted");
    assert_eq!(lane.step(ClientInput::Timeout), Ok(gives_up(3, Fate::Unknown, 3)));
}
