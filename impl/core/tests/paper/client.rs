//! §4.1: the client.

use super::{Cluster, alone, refused, words};
use crate::common::craft::{self, request, request_on};
use crate::common::keys::{CLIENTS, CLUSTER, TestVerifier, checked, signed};
use pbft_core::crypto::{Statement, Verifier, verify, verify_reply};
use pbft_core::message::{Message, Signed};
use pbft_core::types::{ClientId, Lane, Principal, Session, Signature, Timestamp, View};
use pbft_core::{Input, Rejection, Timer};
use std::sync::Arc;

/// Believes everybody.
struct Trusting;

impl Verifier for Trusting {
    fn verify(&self, _: Principal, _: &Statement<'_>, _: &Signature) -> bool {
        true
    }
}

/// §4.1: the client sends its request to the primary, which orders it.
#[test]
fn the_primary_orders_a_request() {
    let mut cluster = alone(0);
    let effects = cluster.request(0, &request(1, 1)).expect("accepted");
    assert_eq!(words(&effects), ["persist", "pre-prepare", "set-timer"]);
}

/// §4.1, §4.4: a backup that gets a request relays it to the primary and starts its timer; sent again, it is relayed
/// again, and the timer keeps running from the first time.
#[test]
fn a_backup_relays_a_request_and_protects_it() {
    let mut cluster = alone(1);
    let effects = cluster.request(1, &request(1, 1)).expect("accepted");
    assert_eq!(words(&effects), ["request", "set-timer"]);
    assert!(cluster.nodes[1].timers.contains_key(&Timer::ViewChange));
    let again = cluster.request(1, &request(1, 1)).expect("relayed again");
    assert_eq!(words(&again), ["request"]);
}

/// §5.2, D24: what only its addressees can check is for the primary, from its client; a backup wants a signature.
#[test]
pub(super) fn a_backup_takes_no_authenticator() {
    let mut cluster = alone(1);
    let mut request = Signed::clone(&request(1, 1));
    request.signature.s = [0xff; 32];
    let unproven = Arc::new(request);
    let message = Message::Request(unproven);
    let message = verify(&cluster.params(1), &Trusting, message).expect("trusted");
    refused(
        cluster.input(1, Input::Request(message)),
        Rejection::NotSigned { client: ClientId(1) },
    );
}

/// §4.1: a relayed request is not relayed further; known already, it changes nothing.
#[test]
fn a_relay_is_not_relayed() {
    let mut cluster = alone(1);
    let message = Message::Request(request(1, 1));
    let effects = cluster.inject(2, 1, message.clone()).expect("accepted");
    assert_eq!(words(&effects), ["set-timer"]);
    refused(cluster.inject(2, 1, message), Rejection::Duplicate);
}

/// §4.1: a request that was executed last is answered again, without being ordered; an earlier one is not answered.
#[test]
fn the_last_reply_is_sent_again() {
    let mut cluster = Cluster::new(4);
    for timestamp in [3, 5] {
        cluster.request(0, &request(1, timestamp)).expect("new");
        cluster.run();
    }
    let first = cluster.replies.last().cloned().expect("answered");
    for id in 0..4 {
        let effects = cluster.request(id, &request(1, 5)).expect("answered again");
        assert_eq!(words(&effects), ["reply"]);
        let again = cluster.replies.last().expect("answered again");
        assert_eq!(again.body.result, first.body.result);
        for earlier in [1, 3, 4] {
            let old = Rejection::OldTimestamp { last: Timestamp(5), got: Timestamp(earlier) };
            refused(cluster.request(id, &request(1, earlier)), old);
        }
    }
    cluster.assert_all_at(2);
}

/// §4.1: a reply names the view, the client, its timestamp, the replica and the result, under the replica's signature.
#[test]
fn a_reply_names_what_it_answers() {
    let mut cluster = Cluster::new(4);
    cluster.request(0, &request_on(1, 2, 9, b"op")).expect("new");
    cluster.run();
    assert_eq!(cluster.replies.len(), 4);
    for reply in cluster.replies.clone() {
        let body = &reply.body;
        assert_eq!((body.view, body.client), (View(0), ClientId(1)));
        assert_eq!((body.lane, body.timestamp), (Lane(2), Timestamp(9)));
        verify_reply(&cluster.params(0), &TestVerifier, reply.clone()).expect("signed");
        let mut forged = reply;
        forged.body.result = vec![1].into();
        let signer = Principal::Replica(forged.body.replica);
        let outcome = verify_reply(&cluster.params(0), &TestVerifier, forged);
        refused(outcome, Rejection::BadSignature { signer });
    }
}

/// §4.1: a lane has one request outstanding; a later one takes its place, an earlier one is refused.
#[test]
pub(super) fn a_waiting_lane_takes_no_earlier_request() {
    let mut cluster = alone(1);
    cluster.request(1, &request(1, 5)).expect("new");
    let old = Rejection::OldTimestamp { last: Timestamp(5), got: Timestamp(4) };
    refused(cluster.request(1, &request(1, 4)), old);
    cluster.request(1, &request(1, 6)).expect("later");
    cluster.request(1, &request_on(1, 1, 1, b"other lane")).expect("lanes are independent");
}

/// §4.1: of two requests with one timestamp the first waits, and the second is not relayed in its place.
#[test]
pub(super) fn two_requests_with_one_timestamp_do_not_wait_together() {
    let mut cluster = alone(1);
    let (first, second) = (request_on(1, 0, 5, b"first"), request_on(1, 0, 5, b"second"));
    cluster.request(1, &first).expect("new");
    let (waiting, got) = (first.body.digest(), second.body.digest());
    let refusal = Rejection::AnotherWaits { timestamp: Timestamp(5), waiting, got };
    refused(cluster.request(1, &second), refusal);
    let again = cluster.request(1, &first).expect("relayed again");
    assert_eq!(words(&again), ["request"]);
}

/// Outside fault F9: An operation with a used timestamp gets the result of the operation that used it.
#[test]
pub(super) fn a_used_timestamp_is_refused_by_name() {
    let mut cluster = Cluster::new(4);
    let first = request_on(1, 0, 5, b"first");
    cluster.request(0, &first).expect("new");
    cluster.run();
    let mut other_session = (*first).clone().body;
    other_session.session = Session(7);
    let other_session = Arc::new(signed(other_session));
    for second in [request_on(1, 0, 5, b"second"), other_session] {
        let (executed, got) = (first.body.digest(), second.body.digest());
        for id in 0..4 {
            let refusal = Rejection::UsedForAnother { timestamp: Timestamp(5), executed, got };
            refused(cluster.request(id, &second), refusal);
        }
    }
    assert_eq!(cluster.replies.len(), 4, "one a replica");
    for reply in &cluster.replies {
        assert_eq!(reply.body.request, first.body.digest(), "it names what it answers");
    }
    cluster.assert_all_at(1);
}

/// Outside fault F9: At the last timestamp a lane is dead: every operation gets the previous one's result.
#[test]
pub(super) fn the_last_timestamps_are_refused() {
    let mut cluster = Cluster::new(4);
    for got in [Timestamp::MAX.0 + 1, u64::MAX].map(Timestamp) {
        let beyond = request_on(1, 0, got.0, b"x");
        refused(cluster.request(1, &beyond), Rejection::TimestampTooHigh { got });
        let batch = craft::batch_of(&[request(2, 1), beyond]);
        let order = craft::proposal(0, 1, &batch, 0);
        refused(cluster.inject(0, 1, order), Rejection::TimestampTooHigh { got });
    }
    cluster.request(0, &request_on(1, 0, Timestamp::MAX.0, b"x")).expect("the highest possible");
    cluster.run();
    cluster.assert_all_at(1);
}

/// §4.1: requests are signed by a client on the allow-list; their operation and number are bounded.
#[test]
pub(super) fn a_request_needs_its_clients_signature() {
    let params = alone(0).params(0);
    let mut forged = (*request(1, 1)).clone();
    forged.body.operation = b"all the money".to_vec();
    let signer = Principal::Client(ClientId(1));
    let bad = Rejection::BadSignature { signer };
    refused(checked(&params, Message::Request(Arc::new(forged.clone()))), bad.clone());
    let batch = craft::batch_of(&[request(2, 1), Arc::new(forged)]);
    refused(checked(&params, Message::Batch(Arc::clone(&batch))), bad.clone());
    refused(checked(&params, craft::proposal(0, 1, &batch, 0)), bad);
    let stranger = Principal::Client(ClientId(CLIENTS));
    let unknown = Rejection::BadSignature { signer: stranger };
    refused(checked(&params, Message::Request(request(CLIENTS, 1))), unknown);
    let large = request_on(1, 0, 1, &[0; 65]);
    let too_large = Rejection::OperationTooLarge { len: 65, max: 64 };
    refused(checked(&params, Message::Request(large)), too_large);
    let four: Vec<_> = (1..=4).map(|client| request(client, 1)).collect();
    let too_long = Rejection::TooLong { len: 4, max: 3 };
    refused(checked(&params, Message::Batch(craft::batch_of(&four))), too_long);
    assert_eq!(params.cluster, CLUSTER);
}

/// A client's lanes are bounded, at admission and in a batch.
#[test]
pub(super) fn lanes_are_bounded() {
    let mut cluster = alone(1);
    let high = request_on(1, 16, 1, b"x");
    let expected = Rejection::LaneTooHigh { lane: Lane(16), max: 16 };
    refused(cluster.request(1, &high), expected.clone());
    let batch = craft::batch_of(&[request(2, 1), high]);
    refused(cluster.inject(0, 1, craft::proposal(0, 1, &batch, 0)), expected);
    cluster.request(1, &request_on(1, 15, 1, b"x")).expect("the last lane");
}
