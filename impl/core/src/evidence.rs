//! Evidence of a fault: two statements that one replica signed, and that no correct replica signs both. Whoever has the
//! public keys can check it; nothing else needs to be believed.
//!
//! Two kinds prove something. *Two answers to one question*: different votes for one view and number, CHECKPOINTs for one
//! number, VIEW-CHANGEs or NEW-VIEWs for one view. And *a promise without what was voted for*: who signs COMMIT holds a
//! prepared certificate, and puts it, or one of a later view, into P of each VIEW-CHANGE for a later view, until h has
//! passed the number. So a COMMIT and a VIEW-CHANGE for a later view that has neither convict their signer: it hid the
//! certificate, or voted after its promise. That a PREPARE or a PRE-PREPARE was signed after a VIEW-CHANGE cannot be
//! proven: a vote does not say when, and one from before may arrive later.

use crate::canonical::{Canonical, HashDomain, hash};
use crate::crypto::{Check, Verifier};
use crate::input::Input;
use crate::message::{
    Checkpoint, Commit, Message, NewView, PrePrepare, Prepare, PreparedCertificate, Signed,
    ViewChange,
};
use crate::params::Params;
use crate::replica::Replica;
use crate::types::{Digest, ReplicaId, SeqNum, View};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A statement of which a correct replica makes one only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignedVote {
    /// One a view and number.
    PrePrepare(Signed<PrePrepare>),
    /// One a view and number.
    Prepare(Signed<Prepare>),
    /// One a view and number.
    Commit(Signed<Commit>),
    /// One a number.
    Checkpoint(Signed<Checkpoint>),
    /// One a view.
    ViewChange(Arc<Signed<ViewChange>>),
    /// One a view.
    NewView(Arc<Signed<NewView>>),
}

/// What a statement is about, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    kind: &'static str,
    replica: ReplicaId,
    /// Checkpoints have none.
    view: Option<View>,
    seq: SeqNum,
    digest: Digest,
}

impl SignedVote {
    /// The statement in an input, if there is one.
    pub fn in_input(input: &Input) -> Option<Self> {
        let Input::Message { message, .. } = input else { return None };
        match message.get() {
            Message::PrePrepare(proposal) => Some(Self::PrePrepare(proposal.pre_prepare.clone())),
            Message::Prepare(vote) => Some(Self::Prepare(vote.clone())),
            Message::Commit(vote) => Some(Self::Commit(vote.clone())),
            Message::Checkpoint(vote) => Some(Self::Checkpoint(vote.clone())),
            Message::ViewChange(one) => Some(Self::ViewChange(Arc::clone(one))),
            Message::NewView(one) => Some(Self::NewView(Arc::clone(one))),
            _ => None,
        }
    }

    fn said(&self) -> Said {
        macro_rules! said {
            ($kind:literal, $body:expr, $view:expr) => {{
                let body = $body;
                let (replica, seq, digest) = (body.replica, body.seq, body.digest);
                Said { kind: $kind, replica, view: $view, seq, digest }
            }};
        }
        match self {
            Self::PrePrepare(vote) => said!("pre-prepare", &vote.body, Some(vote.body.view)),
            Self::Prepare(vote) => said!("prepare", &vote.body, Some(vote.body.view)),
            Self::Commit(vote) => said!("commit", &vote.body, Some(vote.body.view)),
            Self::Checkpoint(vote) => said!("checkpoint", &vote.body, None),
            Self::ViewChange(one) => {
                let ViewChange { view, replica, low_water_mark: seq, .. } = one.body;
                let digest = digest_of(&one.body);
                Said { kind: "view-change", replica, view: Some(view), seq, digest }
            }
            Self::NewView(one) => {
                let NewView { view, replica, .. } = one.body;
                let (view, digest) = (Some(view), digest_of(&one.body));
                Said { kind: "new-view", replica, view, seq: SeqNum(0), digest }
            }
        }
    }

    /// Whether a correct replica makes one of these a view, whatever number it is about.
    fn is_of_a_view(&self) -> bool {
        matches!(self, Self::ViewChange(_) | Self::NewView(_))
    }

    fn is_signed(&self, params: &Params, verifier: &dyn Verifier) -> bool {
        let check = Check { params, verifier };
        match self {
            Self::PrePrepare(vote) => check.signed(vote).is_ok(),
            Self::Prepare(vote) => check.signed(vote).is_ok(),
            Self::Commit(vote) => check.signed(vote).is_ok(),
            Self::Checkpoint(vote) => check.signed(vote).is_ok(),
            Self::ViewChange(one) => check.signed(one).is_ok(),
            Self::NewView(one) => check.signed(one).is_ok(),
        }
    }
}

fn digest_of(body: &impl Canonical) -> Digest {
    let mut bytes = Vec::new();
    body.encode(&mut bytes);
    hash(HashDomain::Statement, &bytes)
}

/// Whether a VIEW-CHANGE has neither passed the number of the COMMIT nor holds what whoever sent it must hold.
fn lacks(promise: &ViewChange, commit: &Commit) -> bool {
    let proves = |certificate: &PreparedCertificate| {
        let PrePrepare { view, seq, .. } = certificate.pre_prepare.body;
        seq == commit.seq && view >= commit.view
    };
    promise.replica == commit.replica
        && promise.view > commit.view
        && promise.low_water_mark < commit.seq
        && !promise.prepared.iter().any(proves)
}

/// Two statements of one replica that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradiction {
    /// The one that came first.
    pub first: SignedVote,
    /// The one that came later.
    pub second: SignedVote,
}

impl Contradiction {
    /// Whose contradiction it is said to be.
    pub fn replica(&self) -> ReplicaId {
        self.first.said().replica
    }

    /// What kinds there are, for metrics: two statements of one kind, or a promise without what was voted for.
    pub const KINDS: [&str; 7] = [
        "pre-prepare",
        "prepare",
        "commit",
        "checkpoint",
        "view-change",
        "new-view",
        "hidden-certificate",
    ];

    /// One of [`Self::KINDS`].
    pub fn kind(&self) -> &'static str {
        match (self.first.said().kind, self.second.said().kind) {
            (first, second) if first == second => first,
            _ => "hidden-certificate",
        }
    }

    /// The view and number that it is about, or the earlier of the two views.
    pub fn place(&self) -> (View, SeqNum) {
        let (first, second) = (self.first.said(), self.second.said());
        let earlier = if first.view <= second.view { first } else { second };
        (earlier.view.unwrap_or_default(), earlier.seq)
    }

    /// Whether this proves that the replica is faulty: one signer, two good signatures, and two statements that no correct
    /// replica makes both.
    pub fn is_proof(&self, params: &Params, verifier: &dyn Verifier) -> bool {
        self.contradicts()
            && [&self.first, &self.second].iter().all(|vote| vote.is_signed(params, verifier))
    }

    /// Whether no correct replica says both.
    fn contradicts(&self) -> bool {
        match (&self.first, &self.second) {
            (SignedVote::Commit(commit), SignedVote::ViewChange(promise))
            | (SignedVote::ViewChange(promise), SignedVote::Commit(commit)) => {
                lacks(&promise.body, &commit.body)
            }
            (first, second) => {
                let any_number = first.is_of_a_view();
                let (first, second) = (first.said(), second.said());
                let seq = if any_number { second.seq } else { first.seq };
                let same_matter = Said { digest: second.digest, seq, ..first } == second;
                same_matter && first.digest != second.digest
            }
        }
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = (self.first.said(), self.second.said());
        let Said { kind, replica, view, seq, digest } = first;
        if kind != second.kind {
            let views = [first.view, second.view].map(Option::unwrap_or_default);
            let [from, to] =
                views.iter().min().zip(views.iter().max()).map_or(views, |(a, b)| [*a, *b]);
            let seq = if kind == "commit" { seq } else { second.seq };
            return write!(
                f,
                "{replica} sent commit for {from} {seq} and a view-change for {to} without it"
            );
        }
        write!(f, "{replica} sent {digest} and {} as {kind} for ", second.digest)?;
        match view {
            Some(view) => write!(f, "{view} {seq}"),
            None => write!(f, "{seq}"),
        }
    }
}

impl Replica {
    /// The statement known here that `second` contradicts, if it does.
    pub fn contradiction(&self, second: SignedVote) -> Option<Contradiction> {
        let Said { replica, seq, .. } = second.said();
        let slot = self.log.slot(seq);
        let first = match &second {
            SignedVote::PrePrepare(_) => {
                let proposal = slot?.proposal.as_ref()?;
                SignedVote::PrePrepare(proposal.pre_prepare.clone())
            }
            SignedVote::Prepare(_) => SignedVote::Prepare(slot?.prepares.get(&replica)?.clone()),
            SignedVote::Commit(_) => SignedVote::Commit(slot?.commits.get(&replica)?.clone()),
            SignedVote::Checkpoint(_) => {
                SignedVote::Checkpoint(self.checkpoints.vote(seq, replica)?.clone())
            }
            SignedVote::ViewChange(_) | SignedVote::NewView(_) => return None,
        };
        Some(Contradiction { first, second })
    }

    /// The statement known here that a COMMIT, VIEW-CHANGE or NEW-VIEW contradicts, if there is one. A step does not refuse
    /// all of these: what a liar leaves out of a VIEW-CHANGE, the others' make up for.
    pub fn broken_promise(&self, second: &SignedVote) -> Option<Contradiction> {
        let known: Vec<SignedVote> = match second {
            SignedVote::ViewChange(promise) => {
                let replica = promise.body.replica;
                let other = self.view.view_change_of(replica).cloned().map(SignedVote::ViewChange);
                let votes = self.log.slots().flat_map(|(_, slot)| {
                    let certificate = slot.committed.iter().flat_map(|known| &known.commits);
                    let own = certificate.filter(move |commit| commit.body.replica == replica);
                    slot.commits.get(&replica).into_iter().chain(own)
                });
                other.into_iter().chain(votes.cloned().map(SignedVote::Commit)).collect()
            }
            SignedVote::Commit(commit) => {
                let promise = self.view.view_change_of(commit.body.replica).cloned();
                promise.map(SignedVote::ViewChange).into_iter().collect()
            }
            SignedVote::NewView(_) => {
                let known = self.view.new_view().into_iter().chain(self.view.awaited()).cloned();
                known.map(SignedVote::NewView).collect()
            }
            SignedVote::PrePrepare(_) | SignedVote::Prepare(_) | SignedVote::Checkpoint(_) => {
                Vec::new()
            }
        };
        let pairs = known.into_iter().map(|first| Contradiction { first, second: second.clone() });
        pairs.into_iter().find(Contradiction::contradicts)
    }
}
