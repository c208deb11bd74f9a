//! Lies about nothing in particular: bad signatures, broken frames, repetitions, chance.

use super::{Addressee, Hand, Utterance};
use core::time::Duration;
use pbft_core::message::{
    Batch, Commit, CommitCertificate, FetchState, Message, PrePrepare, Prepare,
    PreparedCertificate, Proposal, StableCertificate, StateData, StatePart, Status, ViewChange,
};
use pbft_core::types::{Digest, ReplicaId, SeqNum, View};
use pbft_node::codec;
use std::sync::Arc;

/// Bad signatures that are sent at each tick.
const FLOOD: usize = 8;

/// How often each part of a state is asked for at each tick: more often than the budget allows.
const PARTS: usize = 24;

/// How often each other question is asked.
const QUESTIONS: usize = 4;

fn status(hand: &Hand, view: View, seq: SeqNum) -> Message {
    let body =
        Status { replica: hand.id, view, active: true, low_water_mark: seq, last_executed: seq };
    Message::Status(hand.sign(body))
}

/// Nobody has executed so many batches but in a statement for another cluster.
pub const ELSEWHERE: SeqNum = SeqNum(u64::MAX - 7);

/// A good statement, in another cluster.
fn elsewhere(hand: &Hand) -> Message {
    let (replica, view, low_water_mark) = (hand.id, hand.view, SeqNum(0));
    let last_executed = ELSEWHERE;
    let body = Status { replica, view, active: true, low_water_mark, last_executed };
    Message::Status(hand.sign_elsewhere(body))
}

/// The ends of the ranges.
pub(super) fn huge(hand: &mut Hand) -> Vec<Message> {
    let (view, seq, digest) = (View(u64::MAX), SeqNum(u64::MAX), hand.any_digest());
    let interval = hand.params.checkpoint_interval;
    let last_checkpoint = SeqNum(u64::MAX / interval * interval);
    let change = ViewChange {
        view,
        low_water_mark: SeqNum(0),
        stable: StableCertificate::default(),
        prepared: Vec::new(),
        replica: hand.id,
    };
    vec![
        hand.prepare(view, seq, digest),
        hand.commit(hand.view, seq, digest),
        hand.commit(view, hand.top, digest),
        hand.checkpoint(last_checkpoint, digest),
        hand.propose(hand.view, seq, Batch::default().digest(), Arc::default()),
        Message::ViewChange(Arc::new(hand.sign(change))),
        status(hand, view, seq),
    ]
}

/// Plausible messages that nobody signed.
pub(super) fn bad_signatures(hand: &mut Hand) -> Vec<Message> {
    let mut messages = Vec::new();
    for _ in 0..FLOOD {
        let (view, seq, digest) =
            (hand.view, SeqNum(hand.top.0 + hand.rng.below(3)), hand.any_digest());
        let mut commit = hand.sign(Commit { view, seq, digest, replica: hand.id });
        commit.signature.s[hand.rng.index(32)] ^= 1;
        messages.push(Message::Commit(commit));
    }
    // Good once, then the same under another signature, and something else under the same signature.
    let good = status(hand, hand.view, hand.top);
    let (mut flipped, mut moved) = (good.clone(), good.clone());
    if let (Message::Status(flipped), Message::Status(moved)) = (&mut flipped, &mut moved) {
        flipped.signature.r[hand.rng.index(32)] ^= 1;
        moved.body.last_executed = moved.body.last_executed.next();
    }
    messages.extend([good, flipped, moved, elsewhere(hand)]);
    messages
}

/// Some of what it has heard, as it was.
pub(super) fn replay(hand: &mut Hand) -> Vec<Message> {
    let count = hand.heard.len();
    let picked = (0..3).map(|_| hand.rng.index(count)).collect::<Vec<_>>();
    picked.into_iter().filter_map(|at| hand.heard.get(at).cloned()).collect()
}

/// Random bytes, cut off and lengthened frames, for everybody.
pub(super) fn malformed(hand: &mut Hand) -> Vec<Utterance> {
    let others: Vec<_> = hand.params.membership.others(hand.id).collect();
    let digest = hand.any_digest();
    let good = codec::encode(&hand.prepare(hand.view, hand.top, digest)).unwrap_or_default();
    let utterance = |to: ReplicaId| {
        let mut bytes = good.clone();
        match hand.rng.below(5) {
            0 => bytes.truncate(hand.rng.index(good.len())),
            1 => bytes.push(0),
            2 => bytes = (0..hand.rng.below(200)).map(|at| (at * 31) as u8).collect(),
            3 => bytes[0] = 200,
            _ => {
                // A batch of 2^60 requests.
                bytes = vec![0x0b, 0, 0, 0];
                bytes.extend((1u64 << 60).to_le_bytes());
            }
        }
        Utterance { to: Addressee::Replica(to), after: Duration::ZERO, frame: bytes.into() }
    };
    others.into_iter().map(utterance).collect()
}

/// State that nobody asked for.
pub(super) fn unasked_state(hand: &mut Hand) -> Message {
    let part = match hand.rng.percent(50) {
        true => StatePart::Manifest,
        false => StatePart::Chunk(hand.rng.below(8) as u32),
    };
    let interval = hand.params.checkpoint_interval;
    let seq = SeqNum(hand.top.0 / interval * interval);
    let bytes: Arc<[u8]> = vec![7; hand.rng.index(100)].into();
    Message::StateData(Arc::new(StateData { seq, part, bytes }))
}

/// Certificates of final batches and stable checkpoints that prove nothing, and requests for what is nowhere.
pub(super) fn fake_proofs(hand: &mut Hand) -> Vec<Message> {
    let membership = hand.params.membership;
    let (view, seq) = (hand.view, hand.top.next());
    let known = hand.requests.back().map(|request| (**request).clone());
    let batch = Arc::new(Batch { requests: known.into_iter().collect() });
    let digest = batch.digest();
    let vote = |replica, digest| hand.sign(Commit { view, seq, digest, replica });
    let own = |digest| vote(hand.id, digest);
    let mut commits: Vec<_> = match hand.rng.clone().below(4) {
        0 => vec![own(digest)],
        1 => vec![own(digest); membership.quorum()],
        2 => (0..membership.quorum() as u32).map(|id| vote(ReplicaId(id), digest)).collect(),
        _ => heard_commits(hand),
    };
    commits.truncate(membership.quorum());
    let interval = hand.params.checkpoint_interval;
    let checkpoint = SeqNum((hand.top.0 / interval + 2) * interval);
    let signed =
        |replica| hand.sign(pbft_core::message::Checkpoint { seq: checkpoint, digest, replica });
    let checkpoints = match hand.rng.clone().percent(50) {
        // In the names of others.
        true => (0..membership.quorum() as u32).map(|id| signed(ReplicaId(id))).collect(),
        false => vec![signed(hand.id); hand.rng.index(membership.quorum() + 1)],
    };
    vec![
        Message::Committed(Arc::new(CommitCertificate { commits, batch })),
        Message::Stable(Arc::new(StableCertificate { checkpoints })),
        Message::FetchBatch(hand.any_digest()),
        Message::FetchState(FetchState { seq: checkpoint, part: StatePart::Chunk(u32::MAX) }),
        status(hand, hand.view, SeqNum(0)),
    ]
}

/// Real COMMITs of different replicas that do not belong together.
fn heard_commits(hand: &Hand) -> Vec<pbft_core::message::Signed<Commit>> {
    let mut commits: Vec<_> = hand
        .heard
        .iter()
        .filter_map(|message| match message {
            Message::Commit(vote) => Some(vote.clone()),
            _ => None,
        })
        .collect();
    commits.sort_by_key(|vote| vote.body.replica);
    commits.dedup_by_key(|vote| vote.body.replica);
    commits
}

/// Small questions with large answers: batches and state that there are, executed requests, and a STATUS of one that has
/// nothing; all of them often.
pub(super) fn questions(hand: &mut Hand) -> Vec<Message> {
    let interval = hand.params.checkpoint_interval;
    let latest = SeqNum(hand.top.0 / interval * interval);
    let parts = [StatePart::Manifest, StatePart::Chunk(0), StatePart::Chunk(1)];
    let parts = parts.map(|part| Message::FetchState(FetchState { seq: latest, part }));
    let batches = hand.proposals.values().rev().take(4).map(|one| one.batch.digest());
    let requests = hand.requests.iter().rev().take(4).cloned();
    let others: Vec<_> = batches
        .map(Message::FetchBatch)
        .chain(requests.map(Message::Request))
        .chain([status(hand, hand.view, SeqNum(0))])
        .collect();
    let often = others.iter().cycle().take(others.len() * QUESTIONS).cloned();
    parts.iter().cycle().take(parts.len() * PARTS).cloned().chain(often).collect()
}

/// Messages with fields around the interesting values.
pub(super) fn random(hand: &mut Hand) -> Vec<Message> {
    let count = 1 + hand.rng.below(3);
    (0..count).map(|_| random_message(hand)).collect()
}

fn random_message(hand: &mut Hand) -> Message {
    let near = |hand: &mut Hand, number: u64| (number + hand.rng.below(5)).saturating_sub(2);
    let (view, seq) = (View(near(hand, hand.view.0)), SeqNum(near(hand, hand.top.0)));
    let digests: Vec<Digest> = hand.proposals.values().map(|one| one.batch.digest()).collect();
    let digest = match hand.rng.pick(&digests) {
        Some(digest) => *digest,
        None => hand.any_digest(),
    };
    match hand.rng.below(11) {
        0 => hand.prepare(view, seq, digest),
        1 => hand.commit(view, seq, digest),
        2 => hand.checkpoint(seq, digest),
        3 => {
            let last = hand.requests.back().map(|request| (**request).clone());
            let batch = Arc::new(Batch { requests: last.into_iter().collect() });
            hand.propose(view, seq, batch.digest(), batch)
        }
        4 => Message::Batch(Arc::new(Batch {
            requests: hand.requests.iter().take(2).map(|request| (**request).clone()).collect(),
        })),
        5 => Message::FetchBatch(digest),
        6 => Message::FetchState(FetchState { seq, part: StatePart::Manifest }),
        7 => status(hand, view, seq),
        8 => Message::ViewChange(Arc::new(random_view_change(hand, view))),
        9 => hand
            .requests
            .back()
            .cloned()
            .map_or_else(|| Message::FetchBatch(digest), Message::Request),
        _ => {
            let replica = ReplicaId(hand.rng.below(8) as u32);
            let pre_prepare = hand.sign(PrePrepare { view, seq, digest, replica });
            Message::PrePrepare(Arc::new(Proposal { pre_prepare, batch: Arc::default() }))
        }
    }
}

fn random_view_change(hand: &mut Hand, view: View) -> pbft_core::message::Signed<ViewChange> {
    let mut prepared = hand.certificates();
    let start = hand.rng.index(prepared.len() + 1);
    prepared.drain(..start);
    if hand.rng.percent(10) {
        // A stranger among the signers, signed by this replica.
        let digest = hand.any_digest();
        let claim = PrePrepare { view: View(0), seq: hand.top, digest, replica: ReplicaId(0) };
        let vote = Prepare { view: View(0), seq: hand.top, digest, replica: hand.id };
        prepared.push(PreparedCertificate {
            pre_prepare: hand.sign(claim),
            prepares: vec![hand.sign(vote)],
        });
    }
    let body = ViewChange {
        view,
        low_water_mark: SeqNum(0),
        stable: StableCertificate::default(),
        prepared,
        replica: hand.id,
    };
    hand.sign(body)
}
