//! Probes of frames: what must not even reach the core. They need real frames and keys, so they are made at the
//! production node only.

use super::Place;
use crate::divergence::{Difference, Kind};
use crate::refinement::layout;
use crate::refinement::vocabulary::{replica_id, view as core_view};
use crate::subject::node::NodeHost;
use pbft_core::Params;
use pbft_core::RejectionKind;
use pbft_core::message::{Message, Request, Signed, StableCertificate, Status, ViewChange};
use pbft_core::types::{Digest, Principal, SeqNum, Session, Timestamp};
use pbft_node::codec::{self, CodecError};
use pbft_node::frame::{ClientFrame, FrameError, RefusalReason, ReplicaFrame};
use pbft_node::inbox::{InboxError, Unread};
use std::sync::Arc;

/// A probe: whether it can be made here, and if so, what came of it.
pub type FrameProbe = fn(&Place<'_>, &mut NodeHost<'_>) -> Option<Result<(), Difference>>;

/// The probes.
pub const FRAME_PROBES: &[(&str, FrameProbe)] = &[
    ("a signature of other bytes", another_signature),
    ("a statement under another one's signature", another_statement),
    ("a message of another cluster", another_cluster),
    ("a byte behind a message", a_byte_too_many),
    ("a vote longer than votes are", too_long_a_vote),
    ("another client's request", another_clients_request),
    ("an old request that its client is told of", refusal_is_told),
];

fn status(place: &Place<'_>) -> Option<Status> {
    let peer = place.others().next()?;
    Some(Status {
        replica: replica_id(peer),
        view: core_view(place.before().view),
        active: true,
        low_water_mark: SeqNum(0),
        last_executed: SeqNum(0),
    })
}

fn signed_status(place: &Place<'_>) -> Option<Signed<Status>> {
    let peer = place.others().next()?;
    Some(place.source.vocabulary.sign_as(peer, status(place)?))
}

fn harness(error: impl std::fmt::Display) -> Difference {
    Difference::new(Kind::Harness, error.to_string())
}

/// Delivers a message over its signer's channel, and demands an outcome.
fn demand(
    node: &mut NodeHost<'_>,
    status: &Signed<Status>,
    change: impl FnOnce(&mut Vec<u8>),
    expected: &str,
    is_it: impl FnOnce(&InboxError) -> bool,
) -> Result<(), Difference> {
    let mut frame = codec::encode(&Message::Status(status.clone())).map_err(harness)?;
    change(&mut frame);
    judge(node.peer_frame(status.body.replica, &frame)?, expected, is_it)
}

fn judge(
    outcome: Result<(), InboxError>,
    expected: &str,
    is_it: impl FnOnce(&InboxError) -> bool,
) -> Result<(), Difference> {
    let got = match &outcome {
        Err(error) if is_it(error) => return Ok(()),
        Err(error) => error.to_string(),
        Ok(()) => "taken".to_owned(),
    };
    let diff = vec![format!("- {expected}"), format!("+ {got}")];
    Err(Difference::new(Kind::Accepted, format!("not refused: {expected}")).with_diff(diff))
}

fn is_bad_signature(error: &InboxError) -> bool {
    matches!(error, InboxError::Unread(Unread::Rejected(rejection)) if rejection.kind() == RejectionKind::BadSignature)
}

/// First the good one, so that whatever remembers good signatures has seen it.
fn after_the_good_one(
    place: &Place<'_>,
    node: &mut NodeHost<'_>,
    spoil: impl FnOnce(&mut Signed<Status>),
) -> Option<Result<(), Difference>> {
    let mut status = signed_status(place)?;
    let frame = codec::encode(&Message::Status(status.clone())).map_err(harness);
    if let Err(difference) = frame.and_then(|frame| node.peer_frame(status.body.replica, &frame)) {
        return Some(Err(difference));
    }
    spoil(&mut status);
    Some(demand(node, &status, |_| {}, "bad signature", is_bad_signature))
}

fn another_signature(place: &Place<'_>, node: &mut NodeHost<'_>) -> Option<Result<(), Difference>> {
    after_the_good_one(place, node, |status| status.signature.s[0] ^= 1)
}

/// A statement that its signer did not make: a STATUS, and each message of a peer with a part changed.
fn another_statement(place: &Place<'_>, node: &mut NodeHost<'_>) -> Option<Result<(), Difference>> {
    let outcome = after_the_good_one(place, node, |status| status.body.last_executed = SeqNum(1))?;
    Some(outcome.and_then(|()| {
        let peers = place.others().filter(|peer| !place.model.is_byzantine(*peer));
        let known = peers.flat_map(|peer| {
            place.source.network.of(peer).map(move |(_, message)| (peer, message))
        });
        let params = place.source.vocabulary.params(place.own);
        let changed = known.flat_map(|(peer, message)| {
            changed(message, params).into_iter().map(move |message| (peer, message))
        });
        for (peer, message) in changed.take(CHANGED_MAX) {
            let frame = codec::encode(&message).map_err(harness)?;
            let before = node.votes_not_verified()?;
            let outcome = node.peer_frame(replica_id(peer), &frame)?;
            // What nothing needs, and what would be refused anyway, is not looked at: D25.
            let is_looked_at = !matches!(outcome, Err(InboxError::Unread(Unread::NotVerified(_))));
            if is_looked_at && node.votes_not_verified()? == before {
                judge(outcome, "bad signature", is_bad_signature)?;
            }
        }
        Ok(())
    }))
}

/// How many changed messages one probe sends, at most.
const CHANGED_MAX: usize = 24;

/// The message with each of the parts that its signature covers changed in turn, as far as it can be without anything but
/// the signature to show it.
fn changed(message: &Message, params: &Params) -> Vec<Message> {
    let other = |digest: Digest| Digest(digest.0.map(|byte| byte ^ 1));
    match message {
        Message::Prepare(vote) => {
            let mut all = [(); 3].map(|()| vote.clone());
            // The same primary leads it.
            all[0].body.view.0 += params.membership.n() as u64;
            all[1].body.seq.0 += 1;
            all[2].body.digest = other(vote.body.digest);
            all.map(Message::Prepare).into()
        }
        Message::Commit(vote) => {
            let mut all = [(); 3].map(|()| vote.clone());
            all[0].body.view.0 += 1;
            all[1].body.seq.0 += 1;
            all[2].body.digest = other(vote.body.digest);
            all.map(Message::Commit).into()
        }
        Message::Checkpoint(vote) => {
            let mut all = [(); 2].map(|()| vote.clone());
            all[0].body.seq.0 += params.checkpoint_interval;
            all[1].body.digest = other(vote.body.digest);
            all.map(Message::Checkpoint).into()
        }
        Message::ViewChange(known) => {
            let mut all = [(); 3].map(|()| (**known).clone());
            all[0].body.view.0 += 1;
            all[1].body.prepared.pop();
            let ViewChange { view, replica, .. } = known.body;
            all[2].body = ViewChange {
                view,
                low_water_mark: SeqNum(0),
                stable: StableCertificate::default(),
                prepared: Vec::new(),
                replica,
            };
            let all = all.into_iter().filter(|changed| changed.body != known.body);
            all.map(|changed| Message::ViewChange(Arc::new(changed))).collect()
        }
        Message::NewView(known) => {
            let mut all = [(); 2].map(|()| (**known).clone());
            let v = all[0].body.view_changes.iter_mut().map(Arc::make_mut);
            v.for_each(|one| one.signature.s[0] ^= 1);
            all[1].body.pre_prepares.iter_mut().for_each(|one| one.signature.s[0] ^= 1);
            let all = all.into_iter().filter(|changed| changed.body != known.body);
            all.map(|changed| Message::NewView(Arc::new(changed))).collect()
        }
        _ => Vec::new(),
    }
}

fn another_cluster(place: &Place<'_>, node: &mut NodeHost<'_>) -> Option<Result<(), Difference>> {
    let vocabulary = place.source.vocabulary;
    let body = status(place)?;
    let bytes = layout::statement(Digest([8; 32]), &body);
    let signature = vocabulary.keys.seal(Principal::Replica(body.replica), &bytes);
    let status = Signed { body, signature };
    Some(demand(node, &status, |_| {}, "bad signature", is_bad_signature))
}

/// Behind a batch: what comes behind a message of fixed size is too long for its kind already.
fn a_byte_too_many(place: &Place<'_>, node: &mut NodeHost<'_>) -> Option<Result<(), Difference>> {
    let channel = replica_id(place.others().next()?);
    let batch = Message::Batch(place.source.vocabulary.batch(pbft_model::Value::NULL));
    let is_it = |error: &InboxError| {
        matches!(
            error,
            InboxError::Unread(Unread::Frame(FrameError::Codec(CodecError::TrailingBytes(1))))
        )
    };
    Some(codec::encode(&batch).map_err(harness).and_then(|mut frame| {
        frame.push(0);
        judge(node.peer_frame(channel, &frame)?, "a byte follows the message", is_it)
    }))
}

fn too_long_a_vote(place: &Place<'_>, node: &mut NodeHost<'_>) -> Option<Result<(), Difference>> {
    let status = signed_status(place)?;
    let is_it = |error: &InboxError| {
        matches!(error, InboxError::Unread(Unread::Frame(FrameError::TooLarge { .. })))
    };
    let change = |frame: &mut Vec<u8>| frame.extend([0; 64]);
    Some(demand(node, &status, change, "a frame larger than its kind can be", is_it))
}

fn another_clients_request(
    place: &Place<'_>,
    node: &mut NodeHost<'_>,
) -> Option<Result<(), Difference>> {
    let value = place.model.requests().next()?;
    let request = place.source.vocabulary.request(value)?;
    let mut client = request.body.client;
    client.0 += 1;
    let frame = codec::encode(&ClientFrame::Request(Arc::clone(request))).map_err(harness);
    let is_it = |error: &InboxError| {
        matches!(error, InboxError::Unread(Unread::Refused { reason: RefusalReason::NotYours, .. }))
    };
    Some(frame.and_then(|frame| {
        judge(node.client_frame(client, &frame)?, "a request of another client", is_it)
    }))
}

/// A request below its lane's last, and another one with its last timestamp, is not only refused: its client learns why.
fn refusal_is_told(place: &Place<'_>, node: &mut NodeHost<'_>) -> Option<Result<(), Difference>> {
    let vocabulary = place.source.vocabulary;
    let served = place.last_answered()?;
    let executed: Request = vocabulary.request(served)?.body.clone();
    let (client, lane, last) = (executed.client, executed.lane, executed.timestamp);
    let earlier = Request { timestamp: Timestamp(0), ..executed.clone() };
    let another = Request { session: Session(executed.session.0 + 1), ..executed };
    let cases =
        [(earlier, RefusalReason::OldTimestamp { last }), (another, RefusalReason::UsedForAnother)];
    Some(cases.into_iter().try_for_each(|(body, reason)| {
        let (timestamp, request) = (body.timestamp, layout::request_digest(&body));
        let expected = ReplicaFrame::Refused { lane, timestamp, request, reason };
        let request = Arc::new(vocabulary.sign(body));
        let frame = codec::encode(&ClientFrame::Request(request)).map_err(harness)?;
        if let Err(error) = node.client_frame(client, &frame)? {
            return Err(Difference::new(Kind::WrongRejection, error.to_string()));
        }
        let told = node.take_told();
        match told.last() == Some(&(client, expected)) {
            true => Ok(()),
            false => Err(Difference::new(Kind::Reaction, "a client is not told of a refusal")),
        }
    }))
}
