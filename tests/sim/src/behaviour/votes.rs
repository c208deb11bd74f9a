//! Lies of the normal case: proposals, votes, checkpoints.

use super::{Draft, Hand};
use crate::client::spoiled;
use core::time::Duration;
use pbft_core::Params;
use pbft_core::canonical::{HashDomain, hash};
use pbft_core::message::{
    Batch, Checkpoint, Commit, Message, PrePrepare, Prepare, Proposal, Request, Signed,
};
use pbft_core::types::{Digest, Lane, ReplicaId, SeqNum, View};
use std::sync::Arc;

/// Another batch for every second replica; the choice is the same for all messages about one slot.
pub(super) fn equivocate(hand: &mut Hand, to: ReplicaId, draft: Draft) -> Draft {
    let revise = |(after, message): (Duration, Message)| {
        let Message::PrePrepare(proposal) = &message else { return (after, message) };
        let PrePrepare { view, seq, replica, .. } = proposal.pre_prepare.body;
        if replica != hand.id || half(to, seq) == 0 {
            return (after, message);
        }
        let batch = hand.lie_about((view, seq), &proposal.batch);
        (after, hand.propose(view, seq, batch.digest(), batch))
    };
    draft.into_iter().map(revise).collect()
}

/// The slot and the batch that a message is about.
fn batch_of(message: &Message) -> Option<(View, SeqNum, Digest)> {
    match message {
        Message::PrePrepare(proposal) => {
            let body = &proposal.pre_prepare.body;
            Some((body.view, body.seq, body.digest))
        }
        Message::Prepare(vote) => Some((vote.body.view, vote.body.seq, vote.body.digest)),
        Message::Commit(vote) => Some((vote.body.view, vote.body.seq, vote.body.digest)),
        _ => None,
    }
}

/// Which half of the cluster a replica is in, for one slot.
fn half(to: ReplicaId, seq: SeqNum) -> u64 {
    (u64::from(to.0) + seq.0) % 2
}

/// The half that was proposed this batch, if the replica knows a proposal for the slot.
fn half_of(hand: &Hand, view: View, seq: SeqNum, digest: Digest) -> Option<u64> {
    let own = hand.proposals.get(&(view, seq))?.pre_prepare.body.digest;
    let leads = hand.params.membership.primary(view) == hand.id;
    let known = if leads { 0 } else { half(hand.id, seq) };
    Some(if own == digest { known } else { 1 - known })
}

/// Another batch for one half, and votes only for the half that they help.
pub(super) fn two_faced(hand: &mut Hand, to: ReplicaId, draft: Draft) -> Draft {
    let draft = equivocate(hand, to, draft);
    let helps = |message: &Message| {
        let (Message::Prepare(_) | Message::Commit(_), Some((view, seq, digest))) =
            (message, batch_of(message))
        else {
            return true;
        };
        half_of(hand, view, seq, digest).is_none_or(|one| one == half(to, seq))
    };
    draft.into_iter().filter(|(_, message)| helps(message)).collect()
}

/// PREPARE and COMMIT for a batch that somebody was proposed or votes for, to the half that has it.
pub(super) fn for_a_half(hand: &mut Hand, heard: &Message) -> Vec<(ReplicaId, Message)> {
    let batch = batch_of(heard);
    let half_of = |(view, seq, digest)| Some((seq, half_of(hand, view, seq, digest)?));
    let Some((seq, own)) = batch.and_then(half_of) else { return Vec::new() };
    let votes = support(hand, heard);
    let others = hand.params.membership.others(hand.id).filter(|to| half(*to, seq) == own);
    others.flat_map(|to| votes.iter().map(move |vote| (to, vote.clone()))).collect()
}

/// How long a simulated client waits before it asks all replicas.
const ASKS_ALL: Duration = crate::world::PATIENCE.first;

/// Proposals and new views come when nine tenths of the others' patience are over, which begins for a proposal when
/// its client has asked everybody.
pub(super) fn slow(hand: &Hand, draft: Draft) -> Draft {
    let wait = hand.params.view_timeout * 9 / 10;
    let delay = |(after, message): (Duration, Message)| match message {
        Message::PrePrepare(_) => (after + ASKS_ALL + wait, message),
        Message::NewView(_) => (after + wait, message),
        _ => (after, message),
    };
    draft.into_iter().map(delay).collect()
}

/// The f replicas after this one hear nothing.
pub(super) fn skip_replicas(hand: &Hand, to: ReplicaId, draft: Draft) -> Draft {
    let n = hand.params.membership.n() as u32;
    let distance = (to.0 + n - hand.id.0) % n;
    match distance as usize <= hand.params.membership.faults() {
        true => Draft::new(),
        false => draft,
    }
}

/// A vote for another digest, before or after the real one.
pub(super) fn double(hand: &mut Hand, draft: Draft) -> Draft {
    let mut revised = Draft::new();
    for (after, message) in draft {
        let digest = hand.any_digest();
        let second = match &message {
            Message::Prepare(vote) => Some(hand.prepare(vote.body.view, vote.body.seq, digest)),
            Message::Commit(vote) => Some(hand.commit(vote.body.view, vote.body.seq, digest)),
            Message::Checkpoint(vote) => Some(hand.checkpoint(vote.body.seq, digest)),
            _ => None,
        };
        revised.push((after, message));
        revised.extend(second.map(|second| (after, second)));
        if hand.rng.percent(50) {
            let len = revised.len();
            revised[len.saturating_sub(2)..].reverse();
        }
    }
    revised
}

/// A vote for nothing instead of the real one.
pub(super) fn wrong_digest(hand: &mut Hand, draft: Draft) -> Draft {
    let revise = |(after, message): (Duration, Message)| {
        let digest = hand.any_digest();
        let message = match &message {
            Message::Prepare(vote) => hand.prepare(vote.body.view, vote.body.seq, digest),
            Message::Commit(vote) => hand.commit(vote.body.view, vote.body.seq, digest),
            _ => message,
        };
        (after, message)
    };
    draft.into_iter().map(revise).collect()
}

/// The same vote one view or one number away, beside the real one.
pub(super) fn off_by_one(hand: &mut Hand, draft: Draft) -> Draft {
    let mut revised = Draft::new();
    for (after, message) in draft {
        let step = hand.rng.below(3).wrapping_sub(1);
        let shift = |number: u64| number.wrapping_add(step);
        let moved = match &message {
            Message::Prepare(vote) => {
                let Prepare { view, seq, digest, .. } = vote.body;
                Some(hand.prepare(View(shift(view.0)), SeqNum(shift(seq.0)), digest))
            }
            Message::Commit(vote) => {
                let Commit { view, seq, digest, .. } = vote.body;
                Some(hand.commit(View(shift(view.0)), seq, digest))
            }
            Message::Checkpoint(vote) => {
                let Checkpoint { seq, digest, .. } = vote.body;
                Some(hand.checkpoint(SeqNum(shift(seq.0)), digest))
            }
            _ => None,
        };
        revised.extend(moved.map(|moved| (after, moved)));
        revised.push((after, message));
    }
    revised
}

/// Wrong digests at the right numbers, and right digests at wrong ones.
pub(super) fn bad_checkpoints(hand: &mut Hand, draft: Draft) -> Draft {
    let revise = |(after, message): (Duration, Message)| {
        let Message::Checkpoint(vote) = &message else { return (after, message) };
        let (seq, digest) = (vote.body.seq, hand.any_digest());
        let message = match hand.rng.below(4) {
            0 => hand.checkpoint(seq.next(), vote.body.digest),
            1 => hand.checkpoint(SeqNum(seq.0 + 100 * hand.params.window), digest),
            _ => hand.checkpoint(seq, digest),
        };
        (after, message)
    };
    draft.into_iter().map(revise).collect()
}

/// Proposals that no correct backup may accept, each before the real one.
/// The tags of a request for all but f+1 replicas are bad, or its signature.
fn spoil(params: &Params, request: &mut Signed<Request>) {
    let good = (1 << params.membership.weak()) - 1;
    request.signature = match request.is_transferable() {
        true => {
            let mut signature = request.signature;
            signature.r[0] ^= 1;
            signature
        }
        false => spoiled(&request.signature, good),
    };
}

/// As primary it proposes requests that convince f+1 replicas only.
pub(super) fn spoil_tags(hand: &mut Hand, draft: Draft) -> Draft {
    let spoiled = |(after, message): (Duration, Message)| {
        let Message::PrePrepare(proposal) = &message else { return (after, message) };
        let PrePrepare { view, seq, replica, .. } = proposal.pre_prepare.body;
        let mut requests = proposal.batch.requests.clone();
        let unproven = requests.iter_mut().filter(|request| !request.is_transferable());
        unproven.for_each(|request| spoil(&hand.params, request));
        if replica != hand.id || requests == proposal.batch.requests {
            return (after, message);
        }
        let batch = Arc::new(Batch { requests });
        (after, hand.propose(view, seq, batch.digest(), batch))
    };
    draft.into_iter().map(spoiled).collect()
}

/// It hands on what it hears of clients, as it was and spoiled.
pub(super) fn hand_on_spoiled(hand: &Hand, message: &Message) -> Vec<Message> {
    let Message::Request(request) = message else { return Vec::new() };
    let mut other = Signed::clone(request);
    spoil(&hand.params, &mut other);
    vec![Message::Request(Arc::new(other)), message.clone()]
}

pub(super) fn bad_batches(hand: &mut Hand, draft: Draft) -> Draft {
    let mut revised = Draft::new();
    for (after, message) in draft {
        if let Message::PrePrepare(proposal) = &message
            && proposal.pre_prepare.body.replica == hand.id
        {
            revised.push((after, bad_proposal(hand, proposal)));
        }
        revised.push((after, message));
    }
    revised
}

fn bad_proposal(hand: &mut Hand, proposal: &Proposal) -> Message {
    let PrePrepare { view, seq, digest, .. } = proposal.pre_prepare.body;
    let batch = Arc::clone(&proposal.batch);
    let changed = |change: &mut dyn FnMut(&mut Signed<Request>)| {
        let mut requests = batch.requests.clone();
        requests.iter_mut().for_each(change);
        Arc::new(Batch { requests })
    };
    match hand.rng.below(10) {
        9 => {
            // Requests of long ago, which everybody has executed.
            let past = hand.proposals.values().next().map(|past| Arc::clone(&past.batch));
            let past = past.unwrap_or(batch);
            hand.propose(view, seq, past.digest(), past)
        }
        8 => {
            let max = hand.params.operation_bytes_max;
            let huge = changed(&mut |request| request.body.operation = vec![1; max + 1]);
            hand.propose(view, seq, huge.digest(), huge)
        }
        0 => hand.propose(view, seq, hash(HashDomain::Batch, b"another"), batch),
        1 => hand.propose(view, seq, Batch::default().digest(), Arc::default()),
        2 => hand.propose(view, SeqNum(seq.0 + 2 * hand.params.window), digest, batch),
        3 => {
            let forged = changed(&mut |request| request.signature.r[0] ^= 1);
            hand.propose(view, seq, forged.digest(), forged)
        }
        4 => {
            let other = changed(&mut |request| request.body.lane = Lane(u16::MAX));
            hand.propose(view, seq, other.digest(), other)
        }
        5 => {
            let max = hand.params.batch_requests_max + 1;
            let requests: Vec<_> = batch.requests.iter().cycle().take(max).cloned().collect();
            let long = Arc::new(Batch { requests });
            hand.propose(view, seq, long.digest(), long)
        }
        6 => hand.propose(view, seq.next(), digest, batch),
        _ => {
            let doubled = batch.requests.iter().chain(&batch.requests).cloned();
            let requests = doubled.take(hand.params.batch_requests_max).collect();
            let doubled = Arc::new(Batch { requests });
            hand.propose(view, SeqNum(seq.0 + 1), doubled.digest(), doubled)
        }
    }
}

/// PREPARE and COMMIT for whatever somebody proposes or votes for.
pub(super) fn support(hand: &mut Hand, heard: &Message) -> Vec<Message> {
    let Some((view, seq, digest)) = batch_of(heard) else { return Vec::new() };
    match hand.is_new("support", view, seq, digest) {
        true => vec![hand.prepare(view, seq, digest), hand.commit(view, seq, digest)],
        false => Vec::new(),
    }
}

/// The votes of others as if they were its own to send, and votes that claim to be others'.
pub(super) fn as_other(hand: &mut Hand, heard: &Message) -> Vec<Message> {
    let other = hand.somebody();
    let (view, seq, digest) = match heard {
        Message::Prepare(vote) => (vote.body.view, vote.body.seq, vote.body.digest),
        Message::Commit(vote) => (vote.body.view, vote.body.seq, vote.body.digest),
        Message::Checkpoint(vote) => (View(0), vote.body.seq, vote.body.digest),
        _ => return Vec::new(),
    };
    if !hand.is_new(heard.kind(), view, seq, digest) {
        return Vec::new();
    }
    match heard {
        Message::Prepare(vote) => {
            let claimed = Prepare { replica: other, ..vote.body.clone() };
            vec![heard.clone(), Message::Prepare(hand.sign(claimed))]
        }
        Message::Commit(vote) => {
            let claimed = Commit { replica: other, ..vote.body.clone() };
            vec![heard.clone(), Message::Commit(hand.sign(claimed))]
        }
        Message::Checkpoint(_) => vec![heard.clone()],
        _ => Vec::new(),
    }
}
