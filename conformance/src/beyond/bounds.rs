//! What is refused before it reaches a replica: parameters that contradict the protocol, messages of a size that no correct
//! replica sends, and statements for somebody else.

use super::ordering::large_batches;
use super::stage::{Outcome, Stage, expect};
use crate::refinement::layout::request_digest;
use pbft_core::crypto::{Audience, Statement, verify};
use pbft_core::message::{Batch, Checkpoint, Message, Reply, Request, Signed};
use pbft_core::params::{ClientAuthentication, ParamsError, WINDOW_MAX};
use pbft_core::replies::{LastReply, ReplyTable};
use pbft_core::types::{ClientId, Digest, Lane, ReplicaId, SeqNum, Signature, Timestamp, View};
use pbft_core::{Membership, Params, Rejection};
use pbft_model::Quorums;
use std::sync::Arc;
use std::time::Duration;

/// At most 100 requests and 64 bytes of operations in a batch.
pub(super) fn small(params: &mut Params) {
    large_batches(params);
}

type Change = fn(&mut Params);

/// What is changed in valid parameters, and what comes of it.
const ONE_BY_ONE: &[(&str, Change, bool)] = &[
    ("nothing", |_| {}, true),
    ("one request a batch", |params| params.batch_requests_max = 1, true),
    ("no request a batch", |params| params.batch_requests_max = 0, false),
    ("a pipeline of none", |params| params.pipeline = 0, false),
    ("a pipeline of one", |params| params.pipeline = 1, true),
    ("operations of no byte", |params| params.operation_bytes_max = 0, false),
    ("operations of one byte", |params| params.operation_bytes_max = 1, true),
    ("no lane", |params| params.lanes_max = 0, false),
    ("one lane", |params| params.lanes_max = 1, true),
    ("results of no byte", |params| params.result_bytes_max = 0, false),
    ("results of one byte", |params| params.result_bytes_max = 1, true),
    ("no patience", |params| params.view_timeout = Duration::ZERO, false),
    ("the least patience", |params| params.view_timeout = Duration::from_nanos(1), true),
    ("patience that cannot grow", |params| params.view_timeout_max = params.view_timeout, true),
    (
        "patience beyond the most",
        |params| params.view_timeout_max = params.view_timeout - Duration::from_nanos(1),
        false,
    ),
    ("a tick of no time", |params| params.status_interval = Duration::ZERO, false),
    ("the shortest tick", |params| params.status_interval = Duration::from_nanos(1), true),
    ("the last replica", |params| params.replica = ReplicaId(3), true),
];

/// K and L, and whether they fit: L is a multiple of K, at least twice it, and at most the largest window.
const WINDOWS: &[(u64, u64, bool)] = &[
    (1, 1, false),
    (1, 2, true),
    (1, 3, true),
    (2, 2, false),
    (2, 3, false),
    (2, 4, true),
    (2, 5, false),
    (2, 6, true),
    (3, 0, false),
    (1, WINDOW_MAX, true),
    (1, WINDOW_MAX + 1, false),
    (WINDOW_MAX / 2, WINDOW_MAX, true),
    (WINDOW_MAX, WINDOW_MAX, false),
    (WINDOW_MAX, 2 * WINDOW_MAX, false),
];

/// Parameters that contradict the protocol, or cannot work, are refused by name.
pub(super) fn parameters(stage: &mut Stage<'_>) -> Outcome {
    let valid = stage.replica(0)?.params().clone();
    for (what, change, fits) in ONE_BY_ONE {
        let mut params = valid.clone();
        change(&mut params);
        expect(what, *fits, params.validate().is_ok())?;
    }
    for &(interval, window, fits) in WINDOWS {
        let params = Params { checkpoint_interval: interval, window, ..valid.clone() };
        let expected = match fits {
            true => Ok(()),
            false => Err(ParamsError::Window { window, interval }),
        };
        expect(&format!("K = {interval}, L = {window}"), expected, params.validate())?;
    }
    let none = Params { checkpoint_interval: 0, ..valid.clone() };
    expect("K = 0", Err(ParamsError::NoInterval), none.validate())?;
    let stranger = Params { replica: ReplicaId(4), ..valid.clone() };
    let expected = ParamsError::NotAMember { replica: ReplicaId(4), n: 4 };
    expect("a replica that is none of four", Err(expected), stranger.validate())?;
    let zero = Params { lanes_max: 0, ..valid };
    expect(
        "the name of what is 0",
        Err(ParamsError::Zero { field: "lanes_max" }),
        zero.validate(),
    )?;
    quorums()
}

/// f, q, q−1 and f+1 are the model's, for every size that the core takes.
fn quorums() -> Outcome {
    for n in 0..=129 {
        let got = Membership::new(u32::from(n));
        let got = got.map(|m| [m.faults(), m.quorum(), m.prepares(), m.weak()]);
        let of = Quorums::of(n);
        let sizes = || [of.faulty, of.quorum, of.prepares(), of.weak].map(usize::from);
        let expected = (4..=128).contains(&n).then(sizes);
        expect(&format!("f, q, q−1 and f+1 of {n} replicas"), expected, got.ok())?;
    }
    Ok(())
}

fn checked(stage: &Stage<'_>, params: &Params, message: Message) -> Result<(), Rejection> {
    verify(params, &*stage.vocabulary.keys.verifier(), message).map(|_| ())
}

/// Batches of as many requests and bytes as are allowed are looked at, larger ones are not, wherever they come from.
pub(super) fn sizes(stage: &mut Stage<'_>) -> Outcome {
    let by_bytes = stage.replica(0)?.params().clone();
    let by_count = Params { batch_requests_max: 3, ..by_bytes.clone() };
    let too_long = |len, max| Err(Rejection::TooLong { len, max });
    let cases: [(&Params, &[usize], Result<(), Rejection>); 6] = [
        (&by_count, &[1; 3], Ok(())),
        (&by_count, &[1; 4], too_long(4, 3)),
        (&by_bytes, &[8; 8], Ok(())),
        (&by_bytes, &[8, 8, 8, 8, 8, 8, 8, 8, 1], too_long(65, 64)),
        (&by_bytes, &[8], Ok(())),
        (&by_bytes, &[9], Err(Rejection::OperationTooLarge { len: 9, max: 8 })),
    ];
    for (params, sizes, expected) in cases {
        let requests = (0..).zip(sizes).map(|(lane, bytes)| stage.request(lane, 1, *bytes));
        let requests: Vec<_> = requests.collect();
        let order = stage.pre_prepare(1, &requests);
        expect("a PRE-PREPARE", expected.clone(), checked(stage, params, order))?;
        let requests = requests.iter().map(|request| Signed::clone(request)).collect();
        let batch = Message::Batch(Arc::new(Batch { requests }));
        expect("a batch", expected, checked(stage, params, batch))?;
    }
    reply_table(&by_bytes)
}

/// The reply table is as large as the parameters say, and no larger.
fn reply_table(params: &Params) -> Outcome {
    let params = Params { lanes_max: 2, result_bytes_max: 5, ..params.clone() };
    let mut table = ReplyTable::default();
    let empty = table.chunks().concat().len();
    for client in 1..=3 {
        for lane in 0..2 {
            let request = Digest::default();
            let (timestamp, result) = (Timestamp(1), Arc::from([0; 5]));
            let reply = LastReply { timestamp, request, result };
            table.record(ClientId(client), Lane(lane), reply);
        }
    }
    let bytes = table.chunks().concat().len() - empty;
    expect("the bytes of three clients' replies", bytes, params.reply_table_bytes_max(3))
}

/// A request is for the replicas and a reply for its client; all else may be handed on to everybody. So MACs can stand in
/// for the signatures of those two, and a batch that a certificate names need not prove its requests then.
pub(super) fn audiences(stage: &mut Stage<'_>) -> Outcome {
    let cluster = stage.vocabulary.cluster();
    let request = stage.request(0, 1, 1);
    let replies = |client| Reply {
        view: View(0),
        client,
        lane: Lane(0),
        timestamp: Timestamp(1),
        request: request_digest(&request.body),
        replica: ReplicaId(0),
        result: Arc::from([0]),
    };
    let vote = Checkpoint { seq: SeqNum(2), digest: Digest::default(), replica: ReplicaId(0) };
    let client = ClientId(2);
    let audience = Statement::new(cluster, &request.body).audience();
    expect("whom a request is for", Audience::Replicas, audience)?;
    let audience = Statement::new(cluster, &replies(client)).audience();
    expect("whom a reply is for", Audience::Client(client), audience)?;
    let audience = Statement::new(cluster, &vote).audience();
    expect("whom a vote is for", Audience::Everybody, audience)?;
    let signed = stage.replica(0)?.params().clone();
    let coded = Params { client_authentication: ClientAuthentication::Macs, ..signed.clone() };
    let spoiled: Signed<Request> =
        Signed { signature: Signature::from_bytes(&[0xff; 64]), ..Signed::clone(&request) };
    let batch = Message::Batch(Arc::new(Batch { requests: vec![spoiled.clone()] }));
    let order = stage.pre_prepare(1, &[Arc::new(spoiled)]);
    let taken =
        |params: &Params, message: &Message| checked(stage, params, message.clone()).is_ok();
    expect("a spoiled request in a batch, with signatures", false, taken(&signed, &batch))?;
    expect("a spoiled request in a batch, with MACs", true, taken(&coded, &batch))?;
    expect("a spoiled request in an order, with signatures", false, taken(&signed, &order))?;
    expect("a spoiled request in an order, with MACs", false, taken(&coded, &order))
}
