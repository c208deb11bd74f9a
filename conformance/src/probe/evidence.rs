//! Whoever says two things can be shown to others as a liar: with the keys alone, and only by what it signed.

use super::reaction::Scene;
use crate::divergence::{Difference, Kind};
use crate::refinement::action::Delivery;
use crate::refinement::vocabulary::Vocabulary;
use crate::subject::Subject;
use pbft_core::evidence::{Contradiction, SignedVote};
use pbft_core::message::Message;
use pbft_core::types::{Digest, Signature};
use pbft_core::{Input, Replica};
use std::sync::Arc;

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
    let forged = Contradiction { first: first.clone(), second: unsigned(second.clone()) };
    let forged_first = Contradiction { first: unsigned(first), second };
    let cases = [(&found, true), (&repeated, false), (&forged, false), (&forged_first, false)];
    for (proof, expected) in cases {
        if is_proof(proof) != expected {
            let diff = vec![format!("- a proof: {expected}"), format!("+ a proof: {}", !expected)];
            return Err(Difference::new(Kind::Reaction, proof.to_string()).with_diff(diff));
        }
    }
    Ok(())
}

/// All pairs of statements are looked at in one state of so many.
const ONE_IN: u64 = 16;

/// §2: whatever two things a correct replica has said, whoever hears both has no evidence against it.
pub(super) fn of_honest_votes(
    scene: &Scene<'_>,
    _: &mut dyn Subject,
) -> Option<Result<(), Difference>> {
    let place = &scene.place;
    let own = place.own;
    let said: Vec<_> = place.source.network.of(own).filter_map(|(_, one)| statement(one)).collect();
    if said.len() < 2 || !place.choice.is_multiple_of(ONE_IN) {
        return None;
    }
    let vocabulary = place.source.vocabulary;
    let (params, verifier) = (vocabulary.params(own), vocabulary.keys.verifier());
    let pairs = said.iter().flat_map(|first| said.iter().map(move |second| (first, second)));
    for (first, second) in pairs {
        let pair = Contradiction { first: first.clone(), second: second.clone() };
        if pair.is_proof(params, verifier.as_ref()) {
            let what = format!("what a correct replica has said counts as evidence: {pair}");
            return Some(Err(Difference::new(Kind::Reaction, what)));
        }
    }
    Some(Ok(()))
}

/// The statement in a message.
fn statement(message: &Message) -> Option<SignedVote> {
    match message {
        Message::PrePrepare(proposal) => Some(SignedVote::PrePrepare(proposal.pre_prepare.clone())),
        Message::Prepare(vote) => Some(SignedVote::Prepare(vote.clone())),
        Message::Commit(vote) => Some(SignedVote::Commit(vote.clone())),
        Message::Checkpoint(vote) => Some(SignedVote::Checkpoint(vote.clone())),
        Message::ViewChange(one) => Some(SignedVote::ViewChange(Arc::clone(one))),
        Message::NewView(one) => Some(SignedVote::NewView(Arc::clone(one))),
        _ => None,
    }
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
        SignedVote::ViewChange(one) => &mut Arc::make_mut(one).signature,
        SignedVote::NewView(one) => &mut Arc::make_mut(one).signature,
    };
    *signature = Signature::default();
    vote
}
