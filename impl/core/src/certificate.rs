//! What makes a certificate: enough matching votes of different replicas, allowed to vote (§4.2 to §4.4). Pure;
//! signatures were checked before.

use crate::message::{
    CommitCertificate, NewView, PreparedCertificate, StableCertificate, ViewChange,
};
use crate::params::Params;
use crate::rejection::{Rejection, refuse_if};
use crate::types::{Digest, ReplicaId, SeqNum};

/// Exactly `needed` members, in strictly rising order.
fn check_signers(
    params: &Params,
    needed: usize,
    signers: impl Iterator<Item = ReplicaId>,
) -> Result<(), Rejection> {
    let mut last = None;
    let mut got = 0;
    for replica in signers {
        refuse_if(!params.membership.contains(replica), Rejection::NotAMember { replica })?;
        let is_late = last.is_some_and(|last| last >= replica);
        refuse_if(is_late, Rejection::SignersNotRising { replica })?;
        last = Some(replica);
        got += 1;
    }
    refuse_if(got != needed, Rejection::WrongQuorumSize { needed, got })
}

fn check_matching(matching: bool) -> Result<(), Rejection> {
    refuse_if(!matching, Rejection::MixedCertificate)
}

/// §4.2: a pre-prepare by its view's primary, and q−1 PREPAREs of different backups of that view that match it.
pub(crate) fn check_prepared(
    params: &Params,
    certificate: &PreparedCertificate,
) -> Result<(), Rejection> {
    let pre_prepare = &certificate.pre_prepare.body;
    let prepares = &certificate.prepares;
    let (expected, got) = (params.membership.primary(pre_prepare.view), pre_prepare.replica);
    refuse_if(got != expected, Rejection::NotPrimary { expected, got })?;
    let needed = params.membership.prepares();
    check_signers(params, needed, prepares.iter().map(|prepare| prepare.body.replica))?;
    let of_primary = prepares.iter().any(|prepare| prepare.body.replica == expected);
    refuse_if(of_primary, Rejection::PrepareFromPrimary { replica: expected })?;
    check_matching(prepares.iter().all(|prepare| {
        (prepare.body.view, prepare.body.seq, prepare.body.digest)
            == (pre_prepare.view, pre_prepare.seq, pre_prepare.digest)
    }))
}

/// §4.2: q COMMITs of different replicas for one view, sequence number and digest, and the batch with it.
/// Returns the sequence number and the digest.
pub(crate) fn check_committed(
    params: &Params,
    certificate: &CommitCertificate,
) -> Result<(SeqNum, Digest), Rejection> {
    let commits = &certificate.commits;
    let needed = params.membership.quorum();
    check_signers(params, needed, commits.iter().map(|commit| commit.body.replica))?;
    let first = &commits[0].body;
    check_matching(commits.iter().all(|commit| {
        (commit.body.view, commit.body.seq, commit.body.digest)
            == (first.view, first.seq, first.digest)
    }))?;
    let digest = certificate.batch.digest();
    match digest == first.digest {
        true => Ok((first.seq, first.digest)),
        false => Err(Rejection::WrongDigest { expected: digest, got: first.digest }),
    }
}

/// §4.3: q CHECKPOINTs of different replicas for one sequence number and digest. Returns both.
pub(crate) fn check_stable(
    params: &Params,
    certificate: &StableCertificate,
) -> Result<(SeqNum, Digest), Rejection> {
    let votes = &certificate.checkpoints;
    let needed = params.membership.quorum();
    check_signers(params, needed, votes.iter().map(|vote| vote.body.replica))?;
    let first = &votes[0].body;
    check_matching(
        votes.iter().all(|vote| (vote.body.seq, vote.body.digest) == (first.seq, first.digest)),
    )?;
    check_checkpoint_seq(params, first.seq)?;
    Ok((first.seq, first.digest))
}

/// §4.3: checkpoints are taken at multiples of K.
pub(crate) fn check_checkpoint_seq(params: &Params, seq: SeqNum) -> Result<(), Rejection> {
    let interval = params.checkpoint_interval;
    let is_one = seq.0 != 0 && seq.0.is_multiple_of(interval);
    refuse_if(!is_one, Rejection::NotACheckpoint { seq, interval })
}

/// §4.4: h is proven by C, and each element of P is a prepared certificate of an earlier view with a sequence
/// number in (h, h+L], at most one for each.
pub(crate) fn check_view_change(
    params: &Params,
    view_change: &ViewChange,
) -> Result<(), Rejection> {
    check_low_water_mark(params, view_change)?;
    let (view, low) = (view_change.view, view_change.low_water_mark);
    let high = SeqNum(low.0.saturating_add(params.window));
    let mut last = low;
    for certificate in &view_change.prepared {
        let (got, seq) = (certificate.pre_prepare.body.view, certificate.pre_prepare.body.seq);
        refuse_if(got >= view, Rejection::CertificateFromFuture { view, got })?;
        refuse_if(seq <= low || seq > high, Rejection::OutsideWindow { seq, low, high })?;
        refuse_if(seq <= last, Rejection::CertificatesNotRising { seq })?;
        last = seq;
        check_prepared(params, certificate)?;
    }
    Ok(())
}

fn check_low_water_mark(params: &Params, view_change: &ViewChange) -> Result<(), Rejection> {
    let claimed = view_change.low_water_mark;
    let proven = match view_change.stable.checkpoints.is_empty() {
        true => SeqNum(0),
        false => check_stable(params, &view_change.stable)?.0,
    };
    refuse_if(proven != claimed, Rejection::UnprovenCheckpoint { claimed, proven })
}

/// V: exactly q VIEW-CHANGEs of different replicas, all for exactly this view, each valid.
pub(crate) fn check_v(params: &Params, body: &NewView) -> Result<(), Rejection> {
    let needed = params.membership.quorum();
    let got = body.view_changes.len();
    refuse_if(got != needed, Rejection::WrongQuorumSize { needed, got })?;
    let mut last = None;
    for view_change in &body.view_changes {
        let ViewChange { view, replica, .. } = view_change.body;
        refuse_if(view != body.view, Rejection::WrongView { expected: body.view, got: view })?;
        refuse_if(!params.membership.contains(replica), Rejection::NotAMember { replica })?;
        let is_late = last.is_some_and(|last| last >= replica);
        refuse_if(is_late, Rejection::SignersNotRising { replica })?;
        last = Some(replica);
        check_view_change(params, &view_change.body)?;
    }
    Ok(())
}
