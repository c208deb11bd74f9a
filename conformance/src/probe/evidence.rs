//! Whoever says two things can be shown to others as a liar: with the keys alone, and only by what it signed.

use crate::divergence::{Difference, Kind};
use crate::refinement::action::Delivery;
use crate::refinement::vocabulary::Vocabulary;
use pbft_core::evidence::{Contradiction, SignedVote};
use pbft_core::types::{Digest, Signature};
use pbft_core::{Input, Replica};

/// What was refused as a contradiction is a proof of it.
pub(crate) fn check(
    vocabulary: &Vocabulary,
    replica: &Replica,
    refused: &Delivery,
) -> Result<(), Difference> {
    let Delivery::Message { from, message } = refused else { return Ok(()) };
    let verified = vocabulary.verify(message.clone());
    let verified = verified.map_err(|error| Difference::new(Kind::Harness, error.to_string()))?;
    let input = Input::Message { from: *from, message: verified };
    let second = SignedVote::in_input(&input);
    let found = second.clone().and_then(|second| replica.contradiction(second));
    let (Some(second), Some(found)) = (second, found) else {
        return Err(Difference::new(Kind::Reaction, "a lie was noticed, and is not on record"));
    };
    let told = found.to_string();
    for digest in [digest(&found.first), digest(&found.second)] {
        if !told.contains(&digest.to_string()) {
            let what = format!("the contradiction is told without {digest}: {told}");
            return Err(Difference::new(Kind::Reaction, what));
        }
    }
    let verifier = vocabulary.keys.verifier();
    let is_proof = |proof: &Contradiction| proof.is_proof(replica.params(), verifier.as_ref());
    let first = found.first.clone();
    let repeated = Contradiction { first: second.clone(), second: second.clone() };
    let forged = Contradiction { first, second: unsigned(second) };
    for (proof, expected) in [(&found, true), (&repeated, false), (&forged, false)] {
        if is_proof(proof) != expected {
            let diff = vec![format!("- a proof: {expected}"), format!("+ a proof: {}", !expected)];
            return Err(Difference::new(Kind::Reaction, proof.to_string()).with_diff(diff));
        }
    }
    Ok(())
}

/// What a statement is for.
fn digest(vote: &SignedVote) -> Digest {
    match vote {
        SignedVote::PrePrepare(vote) => vote.body.digest,
        SignedVote::Prepare(vote) => vote.body.digest,
        SignedVote::Commit(vote) => vote.body.digest,
        SignedVote::Checkpoint(vote) => vote.body.digest,
        // No step refuses these as equivocation, so no probe has one.
        SignedVote::ViewChange(_) | SignedVote::NewView(_) => Digest::default(),
    }
}

/// The statement without its signature.
fn unsigned(mut vote: SignedVote) -> SignedVote {
    let signature = match &mut vote {
        SignedVote::PrePrepare(vote) => &mut vote.signature,
        SignedVote::Prepare(vote) => &mut vote.signature,
        SignedVote::Commit(vote) => &mut vote.signature,
        SignedVote::Checkpoint(vote) => &mut vote.signature,
        SignedVote::ViewChange(one) => &mut std::sync::Arc::make_mut(one).signature,
        SignedVote::NewView(one) => &mut std::sync::Arc::make_mut(one).signature,
    };
    *signature = Signature::default();
    vote
}
