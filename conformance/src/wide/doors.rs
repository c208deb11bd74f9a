//! Who is let in, how much of him waits, and what he is told: the inbox, its queues, and both ways to authenticate clients.

use super::cluster::{CLUSTER, Cluster, Spec, asking, client, framed, replica, request, sealed};
use super::story::{Outcome, Story, demand, expect, harness};
use crate::divergence::{Difference, Kind};
use crate::refinement::layout::request_digest;
use crate::signpost::{Handler, in_core, in_host, in_node};
use crate::subject::node::keys::secret;
use futures_util::FutureExt as _;
use pbft_core::crypto::{Signer as _, Statement, Verifier as _};
use pbft_core::message::{Batch, Message, Request, Signed, Status};
use pbft_core::params::ClientAuthentication;
use pbft_core::types::{ClientId, Digest, Principal, ReplicaId, SeqNum, Signature, View};
use pbft_core::{Membership, Params, RejectionKind};
use pbft_node::codec;
use pbft_node::frame::{ClientFrame, FrameError, RefusalReason, ReplicaFrame};
use pbft_node::inbox::{InboxError, Unread};
use pbft_node::keyring::{KeyRing, KeySigner};
use pbft_node::mac::{MacKeys, are_possible};
use std::sync::Arc;

pub(super) const QUEUES: &[Handler] = &[
    in_node!("turns.rs", "Turns::push"),
    in_node!("turns.rs", "Turns::is_full"),
    in_node!("inbox.rs", "Inbox::request"),
    in_node!("inbox.rs", "Inbox::new"),
    in_node!("turns.rs", "TakesTurns::try_recv"),
    in_node!("inbox.rs", "Inbox::deliver_client_frame"),
];

pub(super) const REFUSALS: &[Handler] = &[
    in_host!("door.rs", "Door::client_frame"),
    in_host!("door.rs", "Door::request"),
    in_node!("inbox.rs", "Inbox::counted"),
    in_host!("frame.rs", "RefusalReason::of"),
    in_host!("frame.rs", "FrameLimits::decode_query"),
    in_host!("door.rs", "Door::peer_frame"),
    in_node!("inbox.rs", "Inbox::peer_frame"),
];

pub(super) const MACS: &[Handler] = &[
    in_core!("authenticators.rs", "MustSign::check_proof"),
    in_host!("frame.rs", "RefusalReason::of"),
    in_node!("mac.rs", "MacKeys::verify"),
    in_node!("mac.rs", "MacKeys::authenticate"),
    in_node!("mac.rs", "MacKeys::new"),
    in_node!("keyring.rs", "KeyRing::verify_mac"),
    in_node!("keyring.rs", "VerifiedCache::verify"),
    in_node!("inbox.rs", "is_the_clients_fault"),
    in_node!("mac.rs", "are_possible"),
];

/// So many events of one client wait, and so many letters of replicas: docs/operations.md.
const OF_A_CLIENT: usize = 256;
const OF_REPLICAS: usize = 256;

fn bounds(params: &mut Params) {
    (params.checkpoint_interval, params.window, params.pipeline) = (256, 512, 512);
    (params.batch_requests_max, params.lanes_max) = (1, 4);
    params.operation_bytes_max = 1000;
}

const SPEC: Spec = Spec { replicas: 4, bounds };

fn unread(outcome: Result<(), InboxError>) -> Option<Unread> {
    match outcome {
        Err(InboxError::Unread(unread)) => Some(unread),
        _ => None,
    }
}

fn refused(request: &Request, reason: RefusalReason) -> Unread {
    let answer = ReplicaFrame::Refused {
        lane: request.lane,
        timestamp: request.timestamp,
        request: request_digest(request),
        reason,
    };
    Unread::Refused { reason, answer: Box::new(answer) }
}

/// As much waits as may, and not one more; whoever waits for too much takes nothing from others.
pub(super) fn queues(story: &Story) -> Outcome {
    story.about("a client that asks for more than may wait", QUEUES);
    let mut cluster = Cluster::only(story, SPEC, 0)?;
    for timestamp in 1..=OF_A_CLIENT as u64 {
        cluster.ask(0, &request(1, 0, timestamp, "say 1"))?;
    }
    let metrics = Arc::clone(&cluster.node(0)?.metrics);
    let checked = metrics.signatures_checked.get();
    expect(Kind::Reaction, "signatures that were checked", OF_A_CLIENT as u64, checked)?;
    let more = request(1, 1, 1, "say 1");
    for times in 1..=2 {
        let outcome = unread(cluster.give(0, 1, &asking(&more)?)?);
        let overloaded = refused(&more.body, RefusalReason::Overloaded);
        expect(Kind::Accepted, "one more", Some(overloaded), outcome)?;
        let counted = metrics.requests_refused.get("overloaded");
        expect(Kind::Reaction, "requests refused, for operators", times, counted)?;
    }
    let now = metrics.signatures_checked.get();
    expect(Kind::Reaction, "signatures checked of what is refused anyway", checked, now)?;
    cluster.ask(0, &request(2, 0, 1, "say 1"))?;
    let status = framed(&ClientFrame::StatusRequest)?;
    for _ in 0..100 {
        let taken = cluster.give(0, 1, &status)?;
        expect(Kind::Refused, "a question for the status", Ok(()), taken)?;
    }
    cluster.settle()?;
    let told = std::mem::take(&mut cluster.told);
    let reports = told.iter().filter(|(.., frame)| matches!(frame, ReplicaFrame::Status(_)));
    expect(Kind::Reaction, "answers to one hundred questions", 1, reports.count())?;
    let said = cluster.said(0)?.len();
    expect(Kind::Messages, "orders", OF_A_CLIENT + 1, said)?;
    cluster.ask(0, &more)?;
    let taken = cluster.give(0, 1, &status)?;
    expect(Kind::Refused, "another question for the status", Ok(()), taken)?;
    cluster.settle()?;
    expect(Kind::Messages, "orders when there is room again", 1, cluster.said(0)?.len())?;
    expect(Kind::Reaction, "answers to another question", 1, cluster.told.len())?;
    letters(story, &cluster)
}

/// A STATUS of a replica, as a frame.
pub(super) fn status(id: u32, executed: u64) -> Outcome<Vec<u8>> {
    let body = Status {
        replica: ReplicaId(id),
        view: View(0),
        active: true,
        low_water_mark: SeqNum(0),
        last_executed: SeqNum(executed),
    };
    codec::encode(&Message::Status(sealed(body))).map_err(harness)
}

/// Letters of replicas wait, too: the sender of one too many is held up.
fn letters(story: &Story, cluster: &Cluster<'_>) -> Outcome {
    story.about("replicas that send more than may wait", QUEUES);
    let inbox = cluster.node(0)?.inbox.clone();
    let send = |frame: Vec<u8>| {
        let sent = async { inbox.peer_frame(ReplicaId(1), &frame).await };
        std::pin::pin!(sent).now_or_never()
    };
    for at in 1..=OF_REPLICAS as u64 {
        let taken = send(status(1, at)?);
        demand(Kind::Refused, "a letter has to wait", matches!(taken, Some(Ok(()))))?;
    }
    demand(Kind::Accepted, "a letter too many was taken", send(status(1, 999)?).is_none())?;
    cluster.ask(0, &request(3, 0, 1, "say 1"))?;
    story.wait(inbox.settled()).map_err(harness)?;
    let taken = send(status(1, 1000)?);
    demand(Kind::Refused, "a letter has to wait", matches!(taken, Some(Ok(()))))
}

/// Each reason for which a client's frame is refused, exactly at its bound, and as it is counted.
pub(super) fn refusals(story: &Story) -> Outcome {
    story.about("frames of clients", REFUSALS);
    let cluster = Cluster::only(story, SPEC, 0)?;
    let long = |bytes: usize| "x".repeat(bytes);
    let last = i64::MAX as u64;
    let good =
        [request(1, 0, 1, &long(1000)), request(1, 3, 2, "say 1"), request(1, 0, last, "say 1")];
    let mut bytes = 0;
    for request in &good {
        cluster.ask(0, request)?;
        bytes += asking(request)?.len() as u64;
    }
    let too_high = request(1, 4, 3, "say 1");
    let too_late = request(1, 1, last + 1, "say 1");
    let another = request(2, 0, 4, "say 1");
    let too_long = request(1, 0, 5, &long(1001));
    let mut forged = request(1, 0, 6, "say 1");
    forged.body.operation.push(b'2');
    let max = 4 + 4 + 2 + 8 + 8 + 8 + 1000 + 64;
    let large = FrameError::TooLarge { kind: "client frame", len: max + 1, max };
    let cases = [
        (&too_high, Some(refused(&too_high.body, RefusalReason::LaneTooHigh))),
        (&too_late, Some(refused(&too_late.body, RefusalReason::TimestampTooHigh))),
        (&another, Some(refused(&another.body, RefusalReason::NotYours))),
        (&too_long, Some(Unread::Frame(large))),
    ];
    for (request, expected) in cases {
        let frame = asking(request)?;
        bytes += frame.len() as u64;
        let what = format!("request t{}", request.body.timestamp.0);
        expect(Kind::Accepted, &what, expected, unread(cluster.give(0, 1, &frame)?))?;
    }
    let (forged, mut trailing) = (asking(&forged)?, framed(&ClientFrame::StatusRequest)?);
    trailing.push(0);
    for (frame, expected) in [(forged, "bad-signature"), (trailing, "malformed")] {
        bytes += frame.len() as u64;
        let kind = unread(cluster.give(0, 1, &frame)?).map(|unread| unread.kind());
        expect(Kind::Accepted, "a frame", Some(expected), kind)?;
    }
    let metrics = &cluster.node(0)?.metrics;
    expect(Kind::Reaction, "bytes of clients", bytes, metrics.client_bytes.get())?;
    let counts = |of: &pbft_node::metrics::ByReason| -> Vec<(&'static str, u64)> {
        of.counts().into_iter().filter(|(_, count)| *count > 0).collect()
    };
    let requests = vec![("lane-too-high", 1), ("not-yours", 1), ("timestamp-too-high", 1)];
    expect(Kind::Reaction, "refused requests", requests, counts(&metrics.requests_refused))?;
    let frames = vec![("bad-signature", 1), ("malformed", 1), ("too-large", 1)];
    expect(Kind::Reaction, "refused frames", frames, counts(&metrics.frames_refused))?;
    queries(&cluster)?;
    unasked(&cluster)
}

/// What is a query, for the task of its connection.
fn queries(cluster: &Cluster<'_>) -> Outcome {
    let limits = *cluster.node(0)?.inbox.limits();
    let query = |bytes: usize| {
        let query = ClientFrame::Query { number: 9, query: vec![3; bytes] };
        framed(&query)
    };
    let expected = Some((9, vec![3; 5]));
    expect(Kind::Reaction, "a query", expected, limits.decode_query(&query(5)?))?;
    // A query's frame has a tag, a number and a length beside it; it may be as long as a request's.
    let most = 4 + 94 + 1000 - (4 + 8 + 8);
    let read =
        |bytes| query(bytes).map(|frame| limits.decode_query(&frame).map(|(_, query)| query.len()));
    expect(Kind::Reaction, "the longest query", Some(most), read(most)?)?;
    expect(Kind::Accepted, "a longer query", None, read(most + 1)?)?;
    let status = framed(&ClientFrame::StatusRequest)?;
    expect(Kind::Accepted, "no query", None, limits.decode_query(&status))?;
    let taken = cluster.give(0, 1, &query(5)?)?;
    expect(Kind::Refused, "a query, for the protocol", Ok(()), taken)
}

/// A batch that nobody asked for is not even verified, and that is counted.
fn unasked(cluster: &Cluster<'_>) -> Outcome {
    let batch = Message::Batch(Arc::new(Batch { requests: vec![request(1, 0, 9, "say 1")] }));
    let frame = codec::encode(&batch).map_err(harness)?;
    let metrics = Arc::clone(&cluster.node(0)?.metrics);
    let checked = metrics.signatures_checked.get();
    let outcome = unread(cluster.frame(0, 1, &frame)?);
    let kind = match &outcome {
        Some(Unread::NotVerified(rejection)) => Some(rejection.kind()),
        _ => None,
    };
    expect(Kind::Accepted, "a batch that nobody wants", Some(RejectionKind::NotRequested), kind)?;
    let counts =
        (metrics.frames_not_verified.get("not-requested"), metrics.signatures_checked.get());
    expect(Kind::Reaction, "how that is counted", (1, checked), counts)?;
    expect(Kind::Reaction, "bytes of replicas", frame.len() as u64, metrics.peer_bytes.get())
}

fn with_macs(params: &mut Params) {
    params.client_authentication = ClientAuthentication::Macs;
    (params.checkpoint_interval, params.window) = (4, 8);
}

fn four() -> Spec {
    Spec { replicas: 4, bounds: with_macs }
}

/// A request with an authenticator in the place of the signature.
fn tagged(spec: Spec, timestamp: u64, operation: &str) -> Outcome<Signed<Request>> {
    let (_, signer) = spec.ring(client(1))?;
    let body = request(1, 0, timestamp, operation).body;
    let signature = signer.sign(&Statement::new(CLUSTER, &body));
    Ok(Signed { body, signature })
}

/// The same request with another tag.
fn spoiled(request: &Signed<Request>, spoil: impl Fn(&mut [u8; 64])) -> Signed<Request> {
    let mut bytes = request.signature.to_bytes();
    spoil(&mut bytes);
    Signed { body: request.body.clone(), signature: Signature::from_bytes(&bytes) }
}

/// A tag of eight bytes for each replica in its order, and eight bytes of ones at the end: §5.2, docs/wire.md.
pub(super) fn authenticators(story: &Story) -> Outcome {
    story.about("clients with message authentication codes", MACS);
    let mut cluster = Cluster::start(story, four())?;
    let good = tagged(four(), 1, "say 5")?;
    expect(Kind::Messages, "the mark", &[0xff; 8][..], &good.signature.to_bytes()[56..])?;
    cluster.ask(0, &good)?;
    cluster.ask(0, &request(1, 1, 1, "say 4"))?;
    cluster.run(|_| true)?;
    replies(&cluster)?;
    story.about("authenticators with tags that are not good", MACS);
    let taken = |request: &Signed<Request>, at: u32| -> Outcome<Option<&'static str>> {
        let outcome = unread(cluster.give(at, 1, &asking(request)?)?);
        Ok(outcome.map(|unread| unread.kind()))
    };
    for spoil in 0..4 {
        for byte in [8 * spoil, 8 * spoil + 7] {
            let bad = spoiled(&good, |bytes| bytes[byte] ^= 0x80);
            for at in 0..4_u32 {
                let expected = (at as usize == spoil).then_some("bad-authenticator");
                let what = format!("replica {at}, with the tag of {spoil} spoiled");
                expect(Kind::Accepted, &what, expected, taken(&bad, at)?)?;
            }
        }
    }
    let exchanged = spoiled(&good, |bytes| bytes[..16].rotate_left(8));
    for (at, expected) in
        [(0, Some("bad-authenticator")), (1, Some("bad-authenticator")), (2, None)]
    {
        expect(Kind::Accepted, "tags of one another", expected, taken(&exchanged, at)?)?;
    }
    let other = spoiled(&tagged(four(), 1, "say 6")?, |bytes| {
        *bytes = good.signature.to_bytes();
    });
    expect(Kind::Accepted, "another request's tags", Some("bad-authenticator"), taken(&other, 0)?)?;
    let checked = cluster.node(0)?.metrics.macs_checked.get();
    demand(Kind::Reaction, "codes that were checked are not counted", checked >= 11)
}

/// A reply has one tag, for its client alone.
fn replies(cluster: &Cluster<'_>) -> Outcome {
    let mut seen = 0;
    for (at, to, frame) in &cluster.told {
        let ReplicaFrame::Reply(reply) = frame else { continue };
        seen += 1;
        let bytes = reply.signature.to_bytes();
        let is_tag = bytes[..8] != [0; 8] && bytes[8..] == [0; 56];
        demand(Kind::Messages, "a reply carries something else than a tag", is_tag)?;
        let statement = Statement::new(CLUSTER, &reply.body);
        for (who, holds) in [(1, true), (2, false)] {
            let (ring, _) = four().ring(client(who))?;
            let got = ring.verify(replica(*at), &statement, &reply.signature);
            expect(Kind::Accepted, &format!("a reply to {to}, at client {who}"), holds, got)?;
        }
        let (ring, _) = four().ring(client(1))?;
        let another = ring.verify(replica((at + 1) % 4), &statement, &reply.signature);
        expect(Kind::Accepted, "a reply, as another replica's", false, another)?;
    }
    expect(Kind::Execution, "replies", 8, seen)
}

/// A proposal with a request that only some replicas can believe: those that cannot do not blame the primary.
pub(super) fn half_believed(story: &Story) -> Outcome {
    story.about("a request whose tag for replica 2 is bad", MACS);
    let mut cluster = Cluster::start(story, four())?;
    let bad = spoiled(&tagged(four(), 1, "say 5")?, |bytes| bytes[16] ^= 1);
    cluster.ask(0, &bad)?;
    cluster.settle()?;
    let letters = cluster.lose_all();
    expect(Kind::Messages, "letters of the primary", 3, letters.len())?;
    for letter in &letters {
        let outcome = cluster.frame(letter.to, 0, &letter.frame)?;
        expect(Kind::Refused, &format!("the proposal at {}", letter.to), Ok(()), outcome)?;
    }
    cluster.settle()?;
    for (at, votes) in [(1, 1), (2, 0), (3, 1)] {
        let said = cluster.said(at)?;
        let prepares = said.iter().filter(|said| said.starts_with("PREPARE")).count();
        expect(Kind::Reaction, &format!("votes of {at}"), votes, prepares)?;
    }
    let counted = cluster.node(2)?.metrics.frames_refused.get("bad-authenticator");
    expect(Kind::Reaction, "how that is counted", 1, counted)
}

/// A backup cannot hand on what convinces it alone. It does not take such a request, and no timer runs for it; the primary
/// orders it.
pub(super) fn only_at_the_primary(story: &Story) -> Outcome {
    story.about("a request with an authenticator, at replicas that do not lead", MACS);
    let mut cluster = Cluster::start(story, four())?;
    let good = tagged(four(), 1, "say 5")?;
    for at in 1..4 {
        cluster.ask(at, &good)?;
        cluster.settle_one(at)?;
        expect(Kind::Messages, "what is said", Vec::<String>::new(), cluster.said(at)?)?;
        let replica = cluster.replica(at)?;
        let waits = (replica.footprint().pending, replica.is_view_timer_running());
        expect(Kind::Accepted, "requests that wait, and the timer", (0, false), waits)?;
    }
    for (at, client, frame) in &cluster.told {
        let ReplicaFrame::Refused { timestamp, reason, .. } = frame else {
            return Err(Difference::new(Kind::Messages, format!("replica {at} says {frame:?}")));
        };
        let told = (client.0, timestamp.0, *reason);
        expect(Kind::Messages, "what the client is told", (1, 1, RefusalReason::NotSigned), told)?;
    }
    expect(Kind::Messages, "how many tell it", 3, cluster.told.len())?;
    cluster.ask(0, &good)?;
    cluster.run(|_| true)?;
    let executed = (0..4).map(|at| cluster.results(at).len()).collect::<Vec<_>>();
    expect(Kind::Execution, "answers of each", vec![1; 4], executed)
}

/// Seven replicas are as many as have room for their tags in the place of a signature, and keys are of one pair in one cluster.
pub(super) fn tags_of_seven(story: &Story) -> Outcome {
    story.about("authenticators for seven replicas", MACS);
    let spec = Spec { replicas: 7, bounds: with_macs };
    let good = tagged(spec, 1, "say 5")?;
    let statement = Statement::new(CLUSTER, &good.body);
    for id in 0..7_u32 {
        let (ring, _) = spec.ring(replica(id))?;
        let holds = |signature| ring.verify(client(1), &statement, &signature);
        expect(Kind::Refused, &format!("at replica {id}"), true, holds(good.signature))?;
        let bad = spoiled(&good, |bytes| bytes[8 * id as usize + 3] ^= 1);
        expect(Kind::Accepted, "a spoiled tag", false, holds(bad.signature))?;
        let of = |from: Principal| ring.verify(from, &statement, &good.signature);
        expect(Kind::Accepted, "another client's", false, of(client(2)))?;
    }
    let possible = [4, 7, 8].map(|n| Membership::new(n).is_ok_and(are_possible));
    expect(Kind::Reaction, "sizes that have room", [true, true, false], possible)?;
    let (ring, _) = spec.ring(replica(3))?;
    let elsewhere = other_cluster(spec)?.sign(&statement);
    let got = ring.verify(client(1), &statement, &elsewhere);
    expect(Kind::Accepted, "a tag of another cluster", false, got)?;
    remembered(story)
}

fn other_cluster(spec: Spec) -> Outcome<KeySigner> {
    let (ring, _) = spec.ring(client(1))?;
    let keys = MacKeys::new(client(1), &secret(client(1)), Digest([8; 32]), &ring);
    Ok(KeySigner::new(secret(client(1))).with_macs(Some(Arc::new(keys))))
}

/// A signature is computed once and then remembered: for its bytes, its signer and its statement.
fn remembered(story: &Story) -> Outcome {
    story.about("a signature that comes again", MACS);
    let metrics = Arc::new(pbft_node::metrics::Metrics::default());
    let keys = [1, 2].map(|id| (ClientId(id), secret(client(id)).public()));
    let cache = pbft_node::keyring::VerifiedCache::new(KeyRing::new([], keys));
    let cache = cache.counted_in(Arc::clone(&metrics));
    let counts = || (metrics.signatures_checked.get(), metrics.signatures_remembered.get());
    let (one, two) = (request(1, 0, 1, "say 1"), request(1, 0, 2, "say 1"));
    let holds = |who: u32, request: &Signed<Request>, signature: &Signature| {
        cache.verify(client(who), &Statement::new(CLUSTER, &request.body), signature)
    };
    let cases = [
        (1, &one, &one.signature, true, (1, 0)),
        (1, &one, &one.signature, true, (1, 1)),
        (1, &one, &two.signature, false, (2, 1)),
        (1, &one, &two.signature, false, (3, 1)),
        (1, &two, &one.signature, false, (4, 1)),
        (2, &one, &one.signature, false, (5, 1)),
        (9, &one, &one.signature, false, (5, 1)),
        (1, &one, &one.signature, true, (5, 2)),
    ];
    for (at, (who, request, signature, expected, counted)) in cases.into_iter().enumerate() {
        let what = format!("signature {at}, and what was checked and remembered");
        let got = (holds(who, request, signature), counts());
        expect(Kind::Accepted, &what, (expected, counted), got)?;
    }
    Ok(())
}

/// What the replica itself refuses is told to the client that asked.
pub(super) fn told_why(story: &Story) -> Outcome {
    story.about("requests that come too late", REFUSALS);
    let mut cluster = Cluster::start(story, SPEC)?;
    cluster.ask(0, &request(1, 0, 5, "say 1"))?;
    cluster.run(|_| true)?;
    cluster.told.clear();
    let (old, other) = (request(1, 0, 4, "say 1"), request(1, 0, 5, "say 2"));
    for asked in [&old, &other] {
        cluster.ask(3, asked)?;
        cluster.settle_one(3)?;
    }
    let reasons = cluster.told.iter().filter_map(|(from, to, frame)| match frame {
        ReplicaFrame::Refused { request, reason, .. } => Some((*from, to.0, *request, *reason)),
        _ => None,
    });
    let last = pbft_core::types::Timestamp(5);
    let expected = vec![
        (3, 1, request_digest(&old.body), RefusalReason::OldTimestamp { last }),
        (3, 1, request_digest(&other.body), RefusalReason::UsedForAnother),
    ];
    expect(Kind::Reaction, "what the client is told", expected, reasons.collect())?;
    match cluster.told.len() {
        2 => Ok(()),
        more => Err(Difference::new(Kind::Reaction, format!("{more} answers to two requests"))),
    }
}
