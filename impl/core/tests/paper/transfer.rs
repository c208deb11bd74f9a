//! §4.3 and §6.2 of the journal version: fetching state.

use super::checkpoint::executed;
use super::{Cluster, alone, refused, words};
use crate::common::craft::{batch, stable};
use pbft_core::manifest::{ChunkId, Manifest, chunk_digest};
use pbft_core::message::{FetchState, Message, StateData, StatePart};
use pbft_core::replies::{LastReply, ReplyTable};
use pbft_core::types::{ClientId, Digest, Lane, SeqNum, Timestamp};
use pbft_core::{Effect, Input, Rejection, Timer};
use std::sync::Arc;

fn data(seq: u64, part: StatePart, bytes: &[u8]) -> Message {
    Message::StateData(Arc::new(StateData { seq: SeqNum(seq), part, bytes: bytes.into() }))
}

fn fetch(seq: u64, part: StatePart) -> Message {
    Message::FetchState(FetchState { seq: SeqNum(seq), part })
}

/// Replica 1 fetches checkpoint 8, which has this manifest.
fn fetching(manifest: &Manifest) -> Cluster {
    let mut cluster = alone(1);
    let proof = stable(8, manifest.digest(), &[0, 2, 3]);
    cluster.inject(0, 1, Message::Stable(Arc::new(proof))).expect("a proof");
    let effects = cluster.input(1, Input::Timer(Timer::Status)).expect("always running");
    assert_eq!(words(&effects), ["set-timer", "status", "fetch-state", "fetch-state"]);
    cluster
}

fn manifest(replies: &[&[u8]], service: &[&[u8]]) -> Manifest {
    let ids = |chunks: &[&[u8]]| chunks.iter().map(|bytes| ChunkId::of(bytes)).collect();
    Manifest::new(SeqNum(8), ids(replies), ids(service))
}

fn reply_chunk() -> Vec<u8> {
    let mut replies = ReplyTable::default();
    let request = Digest::default();
    let one = LastReply { timestamp: Timestamp(1), request, result: [1].into() };
    replies.record(ClientId(1), Lane(0), one);
    replies.chunks().remove(0)
}

/// Whom these effects ask, and for what.
fn asks(effects: &[Effect]) -> Vec<(u32, StatePart)> {
    let ask = |effect: &Effect| match effect {
        Effect::Send { to, message: Message::FetchState(fetch) } => Some((to.0, fetch.part)),
        _ => None,
    };
    effects.iter().filter_map(ask).collect()
}

/// Every part is checked by its digest, and taken once; only what is being fetched is taken at all.
#[test]
pub(super) fn only_what_was_asked_for_is_taken() {
    let manifest = manifest(&[&reply_chunk()], &[b"one", b"two"]);
    let mut cluster = fetching(&manifest);
    let part = StatePart::Chunk(1);
    refused(cluster.inject(0, 1, data(8, part, b"one")), Rejection::NotRequested);
    refused(cluster.inject(0, 1, data(6, StatePart::Manifest, b"")), Rejection::NotRequested);
    let other = Manifest { seq: SeqNum(6), ..manifest.clone() };
    for bytes in [b"???", &other.encode()[..]] {
        let unreadable = cluster.inject(2, 1, data(8, StatePart::Manifest, bytes));
        refused(unreadable, Rejection::UnreadableStateData);
    }
    let lie = Manifest { chunks: manifest.chunks[..2].to_vec(), ..manifest.clone() };
    let wrong = Rejection::WrongStateData { expected: manifest.digest(), got: lie.digest() };
    refused(cluster.inject(0, 1, data(8, StatePart::Manifest, &lie.encode())), wrong);
    let whole = data(8, StatePart::Manifest, &manifest.encode());
    let effects = cluster.inject(0, 1, whole.clone()).expect("asked for");
    // Each chunk is asked for once, each of another source.
    assert_eq!(asks(&effects), [(0, 0), (2, 1), (3, 2)].map(|(to, i)| (to, StatePart::Chunk(i))));
    refused(cluster.inject(0, 1, whole), Rejection::Duplicate);
    refused(cluster.inject(0, 1, data(8, part, b"one")), Rejection::NotRequested);
    let wrong =
        Rejection::WrongStateData { expected: chunk_digest(b"one"), got: chunk_digest(b"two") };
    refused(cluster.inject(2, 1, data(8, part, b"two")), wrong);
    let beyond = data(8, StatePart::Chunk(3), b"");
    refused(cluster.inject(0, 1, beyond), Rejection::NotRequested);
    let effects = cluster.inject(2, 1, data(8, part, b"one")).expect("asked for");
    assert_eq!(words(&effects), ["stage"]);
    refused(cluster.inject(3, 1, data(8, part, b"one")), Rejection::Duplicate);
    let message = Message::Batch(batch(1));
    refused(cluster.inject(3, 1, message), Rejection::NotRequested);
    assert_eq!(cluster.executed(1), SeqNum(0));
}

/// A reply table that is proven but unreadable is not installed.
#[test]
fn the_first_chunks_are_the_reply_table() {
    let manifest = manifest(&[b"no table"], &[]);
    let mut cluster = fetching(&manifest);
    let whole = data(8, StatePart::Manifest, &manifest.encode());
    cluster.inject(0, 1, whole).expect("asked for");
    let chunk = data(8, StatePart::Chunk(0), b"no table");
    refused(cluster.inject(0, 1, chunk), Rejection::UnreadableStateData);
}

/// Outside fault F3: Each tick asks the next source for what is on its way from another.
#[test]
fn sources_take_turns() {
    let mut cluster = fetching(&manifest(&[], &[b"one"]));
    let mut asked = Vec::new();
    for tick in 1..=10 {
        cluster.queue.clear();
        let effects = cluster.input(1, Input::Timer(Timer::Status)).expect("always running");
        asked.extend(asks(&effects).into_iter().map(|(to, _)| (tick, to)));
    }
    // f+1 were asked at tick 0. They have four ticks, then the third signer has, too.
    assert_eq!(asked.first(), Some(&(5, 3)), "{asked:?}");
    let of: std::collections::BTreeSet<u32> = asked.iter().map(|(_, to)| *to).collect();
    assert_eq!(of.into_iter().collect::<Vec<_>>(), [0, 2, 3], "{asked:?}");
}

/// Only stored checkpoints are served, and only their own chunks.
#[test]
pub(super) fn what_is_not_here_is_not_served() {
    let mut cluster = executed(3);
    refused(cluster.inject(2, 1, fetch(4, StatePart::Manifest)), Rejection::Unavailable);
    refused(cluster.inject(2, 1, fetch(2, StatePart::Chunk(5))), Rejection::Unavailable);
    for part in [StatePart::Manifest, StatePart::Chunk(0), StatePart::Chunk(4)] {
        let effects = cluster.inject(2, 1, fetch(2, part)).expect("stored");
        assert_eq!(words(&effects), ["serve"]);
    }
    let message = Message::FetchBatch(batch(9).digest());
    refused(cluster.inject(2, 1, message), Rejection::Unavailable);
    let message = Message::FetchBatch(batch(3).digest());
    assert_eq!(words(&cluster.inject(2, 1, message).expect("in the log")), ["batch"]);
}

/// The caller completes what the replica asked for, and nothing else.
#[test]
pub(super) fn completions_answer_what_was_asked_for() {
    let mut cluster = executed(1);
    let wrong = Rejection::UnexpectedCompletion { expected: None, got: SeqNum(2) };
    refused(
        cluster.input(1, Input::Installed { seq: SeqNum(2), replies: ReplyTable::default() }),
        wrong.clone(),
    );
    let results = Vec::new();
    let executed = Input::Executed { seq: SeqNum(2), results, chunks: None };
    refused(cluster.input(1, executed), wrong);
}
