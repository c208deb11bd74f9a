//! What is wrong with a message, whoever gets it in whatever state: the paper's rules for certificates once more, and apart from
//! the code's.
//!
//! All that is wrong is found, not only the first of it: the code may say any of it, and if nothing is wrong it must take the
//! message.

use super::rules::Rules;
use crate::refinement::keys::Keys;
use crate::refinement::layout::{Statements, batch_digest, each_statement};
use pbft_core::RejectionKind;
use pbft_core::message::{
    Batch, Checkpoint, CommitCertificate, Message, NewView, PreparedCertificate, Proposal, Request,
    StableCertificate, ViewChange,
};
use pbft_core::types::{Digest, Principal, ReplicaId, SeqNum, Signature, Timestamp, View};
use std::collections::{BTreeMap, BTreeSet};

/// All that is wrong with a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// By the names that rejections have.
    pub kinds: BTreeSet<RejectionKind>,
    /// Those whose signature is not theirs.
    pub forged: BTreeSet<Principal>,
}

impl Faults {
    /// What is wrong with `message`.
    pub fn of(rules: &Rules, keys: &dyn Keys, message: &Message) -> Self {
        let mut found = Judge { rules, faults: Self::default() };
        found.message(message);
        let mut faults = found.faults;
        let mut forged = Forged { keys, by: BTreeSet::new() };
        each_statement(message, rules.cluster, &mut forged);
        if !forged.by.is_empty() {
            faults.kinds.insert(RejectionKind::BadSignature);
        }
        faults.forged = forged.by;
        faults
    }

    /// Whether the message is good.
    pub fn is_none(&self) -> bool {
        self.kinds.is_empty()
    }
}

struct Forged<'a> {
    keys: &'a dyn Keys,
    by: BTreeSet<Principal>,
}

impl Statements for Forged<'_> {
    fn wants(&self, _: Principal) -> bool {
        true
    }

    fn take(&mut self, signer: Principal, bytes: &[u8], signature: &Signature) {
        if !self.keys.attests(signer, bytes, signature) {
            self.by.insert(signer);
        }
    }
}

/// O as it follows from V: after the highest h in V each number up to the highest in P, with the digest of the certificate of the
/// highest view, or of the null batch.
pub fn order(view_changes: &[&ViewChange]) -> Vec<(SeqNum, Digest)> {
    let low = view_changes.iter().map(|one| one.low_water_mark.0).max().unwrap_or(0);
    let mut best: BTreeMap<u64, (View, Digest)> = BTreeMap::new();
    for certificate in view_changes.iter().flat_map(|one| &one.prepared) {
        let claim = &certificate.pre_prepare.body;
        let known = best.get(&claim.seq.0);
        if known.is_none_or(|(view, _)| *view < claim.view) {
            best.insert(claim.seq.0, (claim.view, claim.digest));
        }
    }
    let high = best.keys().copied().max().unwrap_or(0);
    let null = batch_digest(&Batch::default());
    let numbers = low.saturating_add(1)..=high;
    let digest = |seq: u64| best.get(&seq).map_or(null, |(_, digest)| *digest);
    // A range that no certificate can name is not written out: it is refused for the certificate.
    let numbers = numbers.take(usize::from(u16::MAX));
    numbers.map(|seq| (SeqNum(seq), digest(seq))).collect()
}

struct Judge<'a> {
    rules: &'a Rules,
    faults: Faults,
}

impl Judge<'_> {
    /// Unless it holds, this is wrong.
    fn demand(&mut self, holds: bool, otherwise: RejectionKind) {
        if !holds {
            self.faults.kinds.insert(otherwise);
        }
    }

    fn message(&mut self, message: &Message) {
        match message {
            Message::Request(request) => self.request(&request.body),
            Message::PrePrepare(proposal) => self.proposal(proposal),
            Message::Prepare(vote) => {
                let primary = self.rules.primary(vote.body.view);
                self.demand(vote.body.replica != primary, RejectionKind::PrepareFromPrimary);
            }
            Message::Checkpoint(vote) => self.checkpoint(vote.body.seq),
            Message::ViewChange(one) => self.view_change(&one.body),
            Message::NewView(one) => self.new_view(&one.body),
            Message::Committed(certificate) => self.committed(certificate),
            Message::Stable(certificate) => self.stable(certificate),
            Message::Batch(batch) => self.batch(batch),
            Message::Commit(_)
            | Message::Status(_)
            | Message::FetchBatch(_)
            | Message::FetchState(_)
            | Message::StateData(_) => {}
        }
    }

    fn request(&mut self, request: &Request) {
        let Request { client: _, lane, timestamp, session: _, operation } = request;
        self.demand(
            operation.len() <= self.rules.operation_bytes_max,
            RejectionKind::OperationTooLarge,
        );
        self.demand(lane.0 < self.rules.lanes, RejectionKind::LaneTooHigh);
        self.demand(*timestamp <= Timestamp(u64::MAX / 2), RejectionKind::TimestampTooHigh);
    }

    fn batch(&mut self, batch: &Batch) {
        let bytes: usize = batch.requests.iter().map(|one| one.body.operation.len()).sum();
        let fits = batch.requests.len() <= self.rules.batch_requests_max
            && bytes <= self.rules.batch_bytes_max;
        self.demand(fits, RejectionKind::TooLong);
        batch.requests.iter().for_each(|one| self.request(&one.body));
    }

    fn proposal(&mut self, proposal: &Proposal) {
        let Proposal { pre_prepare, batch } = proposal;
        self.batch(batch);
        let body = &pre_prepare.body;
        self.demand(body.replica == self.rules.primary(body.view), RejectionKind::NotPrimary);
        self.demand(body.digest == batch_digest(batch), RejectionKind::WrongDigest);
        self.demand(!batch.requests.is_empty(), RejectionKind::NullBatch);
    }

    fn checkpoint(&mut self, seq: SeqNum) {
        let interval = self.rules.interval;
        self.demand(
            seq.0 >= interval && seq.0.is_multiple_of(interval),
            RejectionKind::NotACheckpoint,
        );
    }

    /// So many members, each once, in order.
    fn signers(&mut self, needed: usize, signers: &[ReplicaId]) {
        self.demand(
            signers.iter().all(|signer| signer.0 < self.rules.replicas),
            RejectionKind::NotAMember,
        );
        let rising = signers.windows(2).all(|pair| pair[0] < pair[1]);
        self.demand(rising, RejectionKind::SignersNotRising);
        self.demand(signers.len() == needed, RejectionKind::WrongQuorumSize);
        self.demand(signers.len() <= needed, RejectionKind::TooLong);
    }

    /// All say the same.
    fn same<T: PartialEq>(&mut self, mut said: impl Iterator<Item = T>) {
        let first = said.next();
        let same = said.all(|other| first.as_ref() == Some(&other));
        self.demand(same, RejectionKind::MixedCertificate);
    }

    fn stable(&mut self, certificate: &StableCertificate) {
        let StableCertificate { checkpoints } = certificate;
        let signers: Vec<_> = checkpoints.iter().map(|vote| vote.body.replica).collect();
        self.signers(self.rules.quorum, &signers);
        let said = |vote: &Checkpoint| (vote.seq, vote.digest);
        self.same(checkpoints.iter().map(|vote| said(&vote.body)));
        checkpoints.iter().for_each(|vote| self.checkpoint(vote.body.seq));
    }

    fn committed(&mut self, certificate: &CommitCertificate) {
        let CommitCertificate { commits, batch } = certificate;
        self.batch(batch);
        let signers: Vec<_> = commits.iter().map(|vote| vote.body.replica).collect();
        self.signers(self.rules.quorum, &signers);
        let said = commits.iter().map(|vote| &vote.body);
        self.same(said.clone().map(|vote| (vote.view, vote.seq, vote.digest)));
        let expected = batch_digest(batch);
        self.demand(said.clone().all(|vote| vote.digest == expected), RejectionKind::WrongDigest);
    }

    fn prepared(&mut self, certificate: &PreparedCertificate) {
        let PreparedCertificate { pre_prepare, prepares } = certificate;
        let order = &pre_prepare.body;
        let primary = self.rules.primary(order.view);
        self.demand(order.replica == primary, RejectionKind::NotPrimary);
        let signers: Vec<_> = prepares.iter().map(|vote| vote.body.replica).collect();
        self.signers(self.rules.quorum - 1, &signers);
        self.demand(!signers.contains(&primary), RejectionKind::PrepareFromPrimary);
        let said = prepares.iter().map(|vote| &vote.body);
        let said = said.map(|vote| (vote.view, vote.seq, vote.digest));
        self.same(std::iter::once((order.view, order.seq, order.digest)).chain(said));
    }

    fn view_change(&mut self, body: &ViewChange) {
        let ViewChange { view, low_water_mark: low, stable, prepared, replica } = body;
        self.demand(replica.0 < self.rules.replicas, RejectionKind::NotAMember);
        self.demand(prepared.len() as u64 <= self.rules.window, RejectionKind::TooLong);
        let proven = match stable.checkpoints.first() {
            None => SeqNum(0),
            Some(first) => {
                self.stable(stable);
                first.body.seq
            }
        };
        self.demand(proven == *low, RejectionKind::UnprovenCheckpoint);
        let numbers: Vec<_> = prepared.iter().map(|one| one.pre_prepare.body.seq).collect();
        let above = |seq: &SeqNum| seq.0.checked_sub(low.0).is_some_and(|above| above > 0);
        let inside = |seq: &SeqNum| above(seq) && seq.0 - low.0 <= self.rules.window;
        let all_inside = numbers.iter().all(inside);
        self.demand(all_inside, RejectionKind::OutsideWindow);
        let rising = numbers.windows(2).all(|pair| pair[0] < pair[1]);
        self.demand(rising, RejectionKind::CertificatesNotRising);
        for certificate in prepared {
            let earlier = certificate.pre_prepare.body.view < *view;
            self.demand(earlier, RejectionKind::CertificateFromFuture);
            self.prepared(certificate);
        }
    }

    fn new_view(&mut self, body: &NewView) {
        let NewView { view, view_changes, pre_prepares, replica } = body;
        self.demand(*replica == self.rules.primary(*view), RejectionKind::NotPrimary);
        let signers: Vec<_> = view_changes.iter().map(|one| one.body.replica).collect();
        self.signers(self.rules.quorum, &signers);
        self.demand(pre_prepares.len() as u64 <= self.rules.window, RejectionKind::TooLong);
        for one in view_changes {
            self.demand(one.body.view == *view, RejectionKind::WrongView);
            self.view_change(&one.body);
        }
        let all: Vec<_> = view_changes.iter().map(|one| &one.body).collect();
        let expected = order(&all).into_iter().map(|(seq, digest)| (*view, seq, digest, *replica));
        let got = pre_prepares.iter().map(|one| &one.body);
        let got = got.map(|one| (one.view, one.seq, one.digest, one.replica));
        self.demand(expected.eq(got), RejectionKind::WrongNewView);
    }
}
