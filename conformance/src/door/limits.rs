//! How long frames may be: one that is as long as its kind can be is looked at, and one byte more ends the connection. What
//! the lengths are follows from docs/wire.md: fixed widths, a list behind its length, four bytes for the kind.

use super::wire::{End, Heard, STATUS, STATUS_REQUEST, request, request_frame};
use super::world::{File, Outcome, Running, Start, World, await_that, demand, expect};
use pbft_core::types::{ClientId, Principal, ReplicaId};
use pbft_node::config::Cluster;
use pbft_node::metrics::{ByReason, Metrics};
use pbft_node::store::MemoryDisk;

/// The longest operation in these scenarios.
const OPERATION: usize = 1000;

/// A request around its operation: who, lane, time, session, the length, a signature, and the kind.
const AROUND: usize = 4 + 2 + 8 + 8 + 8 + 64 + 4;

/// A vote and its kind: view, number, digest, replica, signature.
const VOTE: usize = 4 + 8 + 8 + 32 + 4 + 64;

/// A CHECKPOINT without its kind: number, digest, replica, signature.
const CHECKPOINT: usize = 8 + 32 + 4 + 64;

/// Numbers that a VIEW-CHANGE may speak of: the window, however few the pipeline has.
const WINDOW: usize = 128;

/// A prepared certificate: the PRE-PREPARE, and a list of two PREPAREs.
const CERTIFICATE: usize = 3 * (VOTE - 4) + 8;

/// A VIEW-CHANGE without its kind: view, h, C, P, replica, signature.
const VIEW_CHANGE: usize = 8 + 8 + (8 + 3 * CHECKPOINT) + (8 + WINDOW * CERTIFICATE) + 4 + 64;

/// A NEW-VIEW without its kind: view, V, O, replica, signature.
const NEW_VIEW: usize = 8 + (8 + 3 * VIEW_CHANGE) + (8 + WINDOW * (VOTE - 4)) + 4 + 64;

/// The kinds whose length follows from the number of replicas and the window: their place in the list of messages, and the most bytes.
const KINDS: &[(&str, u32, usize)] = &[
    ("request", 0, AROUND + OPERATION),
    ("PREPARE", 2, VOTE),
    ("COMMIT", 3, VOTE),
    ("CHECKPOINT", 4, 4 + CHECKPOINT),
    ("VIEW-CHANGE", 5, 4 + VIEW_CHANGE),
    ("NEW-VIEW", 6, 4 + NEW_VIEW),
    ("STATUS", 7, 4 + 4 + 8 + 1 + 8 + 8 + 64),
    ("stable certificate", 9, 4 + 8 + 3 * CHECKPOINT),
    ("question for a batch", 10, 4 + 32),
    ("question for state", 12, 4 + 8 + 4 + 4),
];

/// State in one frame: number, part, the length, 64 MiB. Nothing between replicas is longer.
const BETWEEN_REPLICAS: usize = 4 + 8 + 4 + 4 + 8 + (64 << 20);

fn opened() -> Outcome<(World, Cluster, Running)> {
    let world = World::with_a_clock_that_runs()?;
    let setting = format!("operation_bytes_max = {OPERATION}");
    let cluster = File::default().with(&setting).with("pipeline = 4").cluster()?;
    let node = world.node(Start::fresh(&cluster, 0, &MemoryDisk::default()))?;
    Ok((world, cluster, node))
}

/// Asks for the node's status, and is answered.
fn is_answered(client: &mut End, what: &str) -> Outcome {
    client.say(&STATUS_REQUEST);
    demand(what, client.hears(what)?.starts_with(&STATUS))
}

/// Frames of a client.
pub(super) fn of_clients() -> Outcome {
    let (world, cluster, node) = opened()?;
    let greeted = || End::greeted(&cluster, node.address, Principal::Client(ClientId(1)), 0);
    let mut client = greeted()?;
    let longest = request_frame(&request(cluster.id(), 1, 5, &[7; OPERATION]));
    expect("the scenario's own request", AROUND + OPERATION, longest.len())?;
    let before = node.metrics.signatures_checked.get();
    client.say(&longest);
    await_that("the longest request is verified", || {
        node.metrics.signatures_checked.get() == before + 1
    })?;
    is_answered(&mut client, "the longest request does not end the connection")?;
    let bytes = node.metrics.client_bytes.get();
    expect("all bytes of clients are counted", AROUND + OPERATION + 4, bytes as usize)?;
    client.begin(AROUND + OPERATION + 1);
    client.hears_the_end("a frame that is too long is not waited for")?;
    let mut client = greeted()?;
    is_answered(&mut client, "the client may come back")?;
    let refused = node.metrics.frames_refused.counts();
    client.say(&[9, 0, 0, 0]);
    client.hears_the_end("who says what is no frame is disconnected")?;
    expect("and that is counted", difference(&node.metrics.frames_refused, &refused), 1)?;
    expect("as such", 1, node.metrics.disconnections.get("malformed"))?;
    node.stop(&world)
}

fn difference(now: &ByReason, before: &[(&'static str, u64)]) -> u64 {
    let total = |counts: &[(&str, u64)]| counts.iter().map(|(_, count)| count).sum::<u64>();
    total(&now.counts()) - total(before)
}

/// What became of frames between replicas that were looked at, and of those that were too long.
fn looked_at(metrics: &Metrics) -> (u64, u64) {
    let long = metrics.frames_refused.get("too-large");
    let all = difference(&metrics.frames_refused, &[]);
    let idle = difference(&metrics.frames_not_verified, &[]) + metrics.votes_surplus.get();
    (all - long + idle + metrics.rejections.counts().iter().map(|one| one.1).sum::<u64>(), long)
}

/// Frames between replicas, kind by kind, and altogether.
pub(super) fn between_replicas() -> Outcome {
    let (world, cluster, node) = opened()?;
    let greeted = || End::greeted(&cluster, node.address, Principal::Replica(ReplicaId(2)), 0);
    for (what, kind, longest) in KINDS {
        let frame = |len: usize| {
            let mut frame = kind.to_le_bytes().to_vec();
            // No signature and no digest of anything.
            frame.resize(len, 0);
            frame
        };
        let (seen, long) = looked_at(&node.metrics);
        let mut peer = greeted()?;
        peer.say(&frame(*longest));
        let what_is = format!("the longest {what} is looked at");
        await_that(&what_is, || looked_at(&node.metrics) != (seen, long))?;
        expect(&what_is, long, looked_at(&node.metrics).1)?;
        let mut peer = greeted()?;
        peer.say(&frame(*longest + 1));
        peer.hears_the_end(&format!("a longer {what} ends the connection"))?;
        expect(&format!("a longer {what} is too long"), long + 1, looked_at(&node.metrics).1)?;
        let ended = node.metrics.disconnections.get("too-large");
        expect("and the connection ends for that", long + 1, ended)?;
    }
    let mut client = End::greeted(&cluster, node.address, Principal::Client(ClientId(1)), 0)?;
    let mut longest = greeted()?;
    longest.begin(BETWEEN_REPLICAS);
    let mut other = End::greeted(&cluster, node.address, Principal::Replica(ReplicaId(3)), 0)?;
    other.begin(BETWEEN_REPLICAS + 1);
    expect("a longer frame than any ends the connection", Heard::End, other.hear()?)?;
    is_answered(&mut client, "clients notice nothing")?;
    longest.is_quiet("the longest frame is waited for")?;
    node.stop(&world)
}
