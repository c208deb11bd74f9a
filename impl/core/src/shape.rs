//! What can be said of a message without a signature and without a replica's state: sizes, quorums, signers, lanes,
//! digests, and that O follows from V. It is checked before the first signature, so that a message that nobody could take
//! costs nobody a signature; a NEW-VIEW holds hundreds.

use crate::certificate::{
    check_checkpoint_seq, check_committed, check_stable, check_v, check_view_change,
};
use crate::message::{Batch, Message, NewView, Proposal, Request, StableCertificate, ViewChange};
use crate::new_view::plan;
use crate::params::Params;
use crate::rejection::{Rejection, refuse_if};
use crate::types::Timestamp;

/// Whether a replica with these parameters could take the message in some state.
pub(crate) fn check_shape(params: &Params, message: &Message) -> Result<(), Rejection> {
    match message {
        Message::Request(request) => check_request(params, &request.body),
        Message::PrePrepare(proposal) => check_proposal(params, proposal),
        Message::Prepare(vote) => {
            let replica = vote.body.replica;
            let is_primary = replica == params.membership.primary(vote.body.view);
            refuse_if(is_primary, Rejection::PrepareFromPrimary { replica })
        }
        Message::Checkpoint(vote) => check_checkpoint_seq(params, vote.body.seq),
        Message::ViewChange(one) => {
            let replica = one.body.replica;
            refuse_if(!params.membership.contains(replica), Rejection::NotAMember { replica })?;
            check_lists(params, &one.body)?;
            check_view_change(params, &one.body)
        }
        Message::NewView(one) => check_new_view(params, &one.body),
        Message::Committed(certificate) => {
            at_most(certificate.commits.len(), params.membership.quorum())?;
            check_batch(params, &certificate.batch)?;
            check_committed(params, certificate).map(drop)
        }
        Message::Stable(certificate) => {
            check_stable_list(params, certificate)?;
            check_stable(params, certificate).map(drop)
        }
        Message::Batch(batch) => check_batch(params, batch),
        Message::Commit(_)
        | Message::Status(_)
        | Message::FetchBatch(_)
        | Message::FetchState(_)
        | Message::StateData(_) => Ok(()),
    }
}

fn at_most(len: usize, max: usize) -> Result<(), Rejection> {
    refuse_if(len > max, Rejection::TooLong { len, max })
}

/// A lane's last timestamp must not be reached: nothing could follow.
fn check_request(params: &Params, request: &Request) -> Result<(), Rejection> {
    let (len, max) = (request.operation.len(), params.operation_bytes_max);
    refuse_if(len > max, Rejection::OperationTooLarge { len, max })?;
    let (lane, max) = (request.lane, params.lanes_max);
    refuse_if(lane.0 >= max, Rejection::LaneTooHigh { lane, max })?;
    let got = request.timestamp;
    refuse_if(got > Timestamp::MAX, Rejection::TimestampTooHigh { got })
}

fn check_batch(params: &Params, batch: &Batch) -> Result<(), Rejection> {
    at_most(batch.requests.len(), params.batch_requests_max)?;
    at_most(batch.operation_bytes(), params.batch_bytes_max())?;
    batch.requests.iter().try_for_each(|request| check_request(params, &request.body))
}

/// §4.2: a pre-prepare of its view's primary, with the batch that it names.
fn check_proposal(params: &Params, proposal: &Proposal) -> Result<(), Rejection> {
    check_batch(params, &proposal.batch)?;
    let body = &proposal.pre_prepare.body;
    let expected = params.membership.primary(body.view);
    refuse_if(body.replica != expected, Rejection::NotPrimary { expected, got: body.replica })?;
    let expected = proposal.batch.digest();
    refuse_if(body.digest != expected, Rejection::WrongDigest { expected, got: body.digest })?;
    refuse_if(proposal.batch.is_null(), Rejection::NullBatch)
}

fn check_stable_list(params: &Params, certificate: &StableCertificate) -> Result<(), Rejection> {
    at_most(certificate.checkpoints.len(), params.membership.quorum())
}

fn check_lists(params: &Params, body: &ViewChange) -> Result<(), Rejection> {
    at_most(body.prepared.len(), params.window_len())?;
    check_stable_list(params, &body.stable)?;
    let prepares = params.membership.prepares();
    body.prepared.iter().try_for_each(|one| at_most(one.prepares.len(), prepares))
}

/// §4.4: a NEW-VIEW of its view's primary with q valid VIEW-CHANGEs for exactly this view, whose O is what follows from
/// them.
fn check_new_view(params: &Params, body: &NewView) -> Result<(), Rejection> {
    at_most(body.view_changes.len(), params.membership.quorum())?;
    at_most(body.pre_prepares.len(), params.window_len())?;
    body.view_changes.iter().try_for_each(|one| check_lists(params, &one.body))?;
    let expected = params.membership.primary(body.view);
    refuse_if(body.replica != expected, Rejection::NotPrimary { expected, got: body.replica })?;
    check_v(params, body)?;
    let plan = plan(&body.view_changes);
    let expected = plan.order.iter().map(|(seq, digest)| (*seq, *digest, body.replica));
    let matches = |position: usize, expected| {
        let got = body.pre_prepares.get(position).map(|signed| &signed.body);
        let got = got.filter(|got| got.view == body.view);
        got.map(|got| (got.seq, got.digest, got.replica)) == Some(expected)
    };
    let wrong = expected.enumerate().position(|(position, expected)| !matches(position, expected));
    let surplus = Some(plan.order.len()).filter(|len| body.pre_prepares.len() > *len);
    match wrong.or(surplus) {
        Some(position) => Err(Rejection::WrongNewView { position }),
        None => Ok(()),
    }
}
