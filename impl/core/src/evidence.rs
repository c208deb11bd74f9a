//! Evidence of a fault: two statements that one replica signed, and that no correct replica signs both. Whoever has the
//! public keys can check it; nothing else needs to be believed.

use crate::crypto::{Check, Verifier};
use crate::input::Input;
use crate::message::{Checkpoint, Commit, Message, PrePrepare, Prepare, Signed};
use crate::params::Params;
use crate::replica::Replica;
use crate::types::{Digest, ReplicaId, SeqNum, View};
use serde::{Deserialize, Serialize};
use std::fmt;

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
        }
    }

    fn is_signed(&self, params: &Params, verifier: &dyn Verifier) -> bool {
        let check = Check { params, verifier };
        match self {
            Self::PrePrepare(vote) => check.signed(vote).is_ok(),
            Self::Prepare(vote) => check.signed(vote).is_ok(),
            Self::Commit(vote) => check.signed(vote).is_ok(),
            Self::Checkpoint(vote) => check.signed(vote).is_ok(),
        }
    }
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
    /// Whether this proves that the replica is faulty: one signer, one thing that both are about, two digests, and two
    /// good signatures.
    pub fn is_proof(&self, params: &Params, verifier: &dyn Verifier) -> bool {
        let (first, second) = (self.first.said(), self.second.said());
        let same_matter = Said { digest: second.digest, ..first } == second;
        same_matter
            && first.digest != second.digest
            && [&self.first, &self.second].iter().all(|vote| vote.is_signed(params, verifier))
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = (self.first.said(), self.second.said());
        let Said { kind, replica, view, seq, digest } = first;
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
        };
        Some(Contradiction { first, second })
    }
}
