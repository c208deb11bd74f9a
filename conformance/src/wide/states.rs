//! A state of many chunks: what its digests are after each change, what is served of its checkpoints, and how one that lags
//! behind fetches it.

use super::cluster::{Cluster, Letter, Spec, request};
use super::pages::Ledger;
use super::story::{Outcome, Story, demand, expect, harness};
use crate::divergence::{Difference, Kind};
use crate::refinement::layout::State as Layout;
use crate::signpost::{Handler, in_host, in_node};
use pbft_core::Params;
use pbft_core::message::{FetchState, Message, StatePart};
use pbft_core::types::SeqNum;
use pbft_node::codec;
use pbft_node::network::Outgoing;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(super) const CHANGES: &[Handler] = &[
    in_node!("state/cache.rs", "ChunkCache::changed"),
    in_node!("state/cache.rs", "ChunkCache::refresh"),
    in_node!("state/mod.rs", "State::set"),
    in_node!("state/chunk.rs", "ChunkBuilder::add"),
    in_node!("driver/report.rs", "Driver::report"),
    in_node!("store/mod.rs", "Store::state_digest"),
    in_host!("perform.rs", "execute_one"),
];

pub(super) const PANICS: &[Handler] = &[
    in_host!("service.rs", "execute_or_undo"),
    in_node!("state/mod.rs", "State::undo"),
    in_node!("state/mod.rs", "State::begin_operation"),
    in_host!("perform.rs", "execute_one"),
    in_host!("perform.rs", "bounded"),
];

pub(super) const SERVED: &[Handler] = &[
    in_node!("store/kept.rs", "Kept::part"),
    in_node!("store/transaction.rs", "Transaction::store_checkpoint"),
    in_node!("store/transaction.rs", "Transaction::forget_states_before"),
    in_node!("state/mod.rs", "Former::keep"),
    in_node!("store/host.rs", "Store::chunks"),
    in_node!("store/mod.rs", "Store::read_chunks"),
    in_host!("perform.rs", "Host::serve"),
];

pub(super) const FETCHED: &[Handler] = &[
    in_node!("store/transaction.rs", "Transaction::install"),
    in_node!("store/transaction.rs", "Transaction::replace_state"),
    in_node!("store/transaction.rs", "Transaction::stage"),
    in_node!("store/mod.rs", "Store::service_state"),
    in_host!("perform.rs", "Host::perform"),
    in_node!("store/kept.rs", "Kept::places"),
    in_node!("state/mod.rs", "State::clear"),
];

/// The longest result: shorter than what is said in place of one that is too long.
const RESULT: usize = 50;

fn bounds(params: &mut Params) {
    (params.checkpoint_interval, params.window) = (2, 4);
    (params.batch_requests_max, params.result_bytes_max) = (1, RESULT);
    params.status_interval = Duration::from_millis(100);
    // All of a state between two ticks, and more.
    params.help_bytes_max = 1 << 26;
}

const SPEC: Spec = Spec { replicas: 4, bounds };

/// Changes of all kinds: at the ends and in the middle of chunks, longer and shorter, pairs larger than a chunk, nothing at
/// all, what is too long to keep, and what is taken back.
const CHANGED: &[&str] = &[
    "fill 0 60 1 8000",
    "write 10 8004 7",
    "delete 0",
    "delete 0",
    "write 500 20 3",
    "write 500 33 4",
    "write 20 70000 4",
    "write 20 5 4",
    "fill 3 4 9 30",
    "delete 59",
    "mess 12 13",
    "key 4096",
    "key 4097",
    "value 1048576",
    "write 30 1 1",
    "value 1048577",
    "count 0 41",
    "say 50",
    "say 51",
    "fill 22 3 5 40000",
    "delete 500",
    "write 0 17000 6",
    "fill 0 60 2 300",
    "fill 100 30 2 8000",
    "delete 20",
];

/// Those changes, and some to the very pairs with which chunks begin.
fn operations() -> Vec<String> {
    let mut first = Ledger::new(RESULT);
    first.execute(&request(1, 0, 1, CHANGED[0]).body);
    let begins = first.begins();
    let at = |chunk: usize| begins.get(chunk).map_or("", String::as_str);
    let mut all: Vec<String> = CHANGED.iter().map(|operation| (*operation).to_owned()).collect();
    let of_chunks = [
        format!("write {} 30 1", at(2)),
        format!("delete {}", at(3)),
        format!("write {} 9000 8", at(2)),
        format!("delete {}", at(1)),
    ];
    all.splice(1..1, of_chunks);
    all
}

/// Whether all that a checkpoint holds is served, byte by byte, and nothing of one that is over.
pub(super) fn serves(
    cluster: &mut Cluster<'_>,
    at: u32,
    seq: u64,
    expected: Option<&Layout>,
) -> Outcome {
    let asker = if at == 3 { 2 } else { 3 };
    let count = expected.map_or(1, |state| state.chunks.len() as u32);
    let chunks = (0..=count).map(StatePart::Chunk);
    for part in std::iter::once(StatePart::Manifest).chain(chunks) {
        let fetch = Message::FetchState(FetchState { seq: SeqNum(seq), part });
        let frame = codec::encode(&fetch).map_err(harness)?;
        cluster.lose_all();
        cluster.sent(at);
        let taken = cluster.frame(at, asker, &frame)?;
        expect(Kind::Refused, "a question for a part of a state", Ok(()), taken)?;
        cluster.settle_one(at)?;
        let served = cluster.sent(at).into_iter().filter_map(|one| match one.outgoing {
            Outgoing::Send { to, frame } if to.0 == asker => match codec::decode(&frame) {
                Ok(Message::StateData(data)) => Some(data),
                _ => None,
            },
            _ => None,
        });
        let served: Vec<_> =
            served.map(|data| (data.seq.0, data.part, data.bytes.to_vec())).collect();
        let part_bytes = expected.and_then(|state| match part {
            StatePart::Manifest => Some(state.manifest.clone()),
            StatePart::Chunk(index) => state.chunks.get(index as usize).cloned(),
        });
        let expected: Vec<_> = part_bytes.into_iter().map(|bytes| (seq, part, bytes)).collect();
        if served != expected {
            let sizes = |parts: &[(u64, StatePart, Vec<u8>)]| -> Vec<String> {
                parts
                    .iter()
                    .map(|(_, part, bytes)| format!("{part:?}, {} bytes", bytes.len()))
                    .collect()
            };
            let what = format!("{part:?} of checkpoint {seq}, as replica {at} serves it");
            let diff = vec![format!("- {:?}", sizes(&expected)), format!("+ {:?}", sizes(&served))];
            return Err(Difference::new(Kind::Messages, what).with_diff(diff));
        }
    }
    Ok(())
}

/// Each change, and the digest of the state after it; each checkpoint, and what is served of the last two, also after a
/// restart.
pub(super) fn changes(story: &Story) -> Outcome {
    let mut cluster = Cluster::start(story, SPEC)?;
    let (mut ledger, mut states) = (Ledger::new(RESULT), BTreeMap::new());
    for (seq, operation) in (1_u64..).zip(operations()) {
        story.about(&*operation, CHANGES);
        let asked = request(1 + (seq % 3) as u32, (seq % 9) as u16, seq, &operation);
        cluster.ask(0, &asked)?;
        cluster.run(|_| true)?;
        let result = ledger.execute(&asked.body);
        let got = cluster.results(2).pop().map(|(.., result)| result);
        let texts = [Some(result), got]
            .map(|text| text.map(|text| String::from_utf8_lossy(&text).into_owned()));
        let [expected, got] = texts;
        expect(Kind::Execution, "the result", expected, got)?;
        for at in [0, 2] {
            let report = cluster.report(at)?;
            let got = (report.last_executed.0, report.state);
            expect(Kind::State, "the state's digest", (seq, Some(ledger.digest())), got)?;
        }
        if seq.is_multiple_of(2) {
            states.insert(seq, ledger.checkpoint(seq));
            checkpoints(&mut cluster, &states, seq)?;
        }
        if seq.is_multiple_of(7) {
            story.about(format!("replica 2 starts again after {seq}"), SERVED);
            let disk = cluster.kill(2)?;
            cluster.start_one(2, &disk)?;
            cluster.run(|_| true)?;
            let got = cluster.report(2)?.state;
            expect(Kind::Restart, "the state's digest", Some(ledger.digest()), got)?;
        }
    }
    Ok(())
}

/// The checkpoint at `seq` has its digest, and it and the one before are served.
fn checkpoints(cluster: &mut Cluster<'_>, states: &BTreeMap<u64, Layout>, seq: u64) -> Outcome {
    cluster.story.about(format!("the checkpoint at {seq}"), SERVED);
    let report = cluster.report(2)?;
    let digest = states.get(&seq).map(Layout::digest);
    let stable = (report.low_water_mark.0, report.checkpoint);
    expect(Kind::State, "the stable checkpoint", (seq, digest), stable)?;
    if seq.is_multiple_of(6) {
        for kept in [seq, seq - 2] {
            serves(cluster, 2, kept, states.get(&kept))?;
        }
        serves(cluster, 2, seq - 4, None)?;
    }
    Ok(())
}

fn three_a_batch(params: &mut Params) {
    bounds(params);
    (params.batch_requests_max, params.pipeline) = (3, 1);
}

/// What the service did before it panicked is taken back, and nothing else: neither what the batch did before nor after.
pub(super) fn panics(story: &Story) -> Outcome {
    story.about("a service that panics on the second of three requests", PANICS);
    let mut cluster = Cluster::start(story, Spec { replicas: 4, bounds: three_a_batch })?;
    let mut ledger = Ledger::new(RESULT);
    let operations = ["write 3 8 1", "write 1 7 2", "mess 1 3", "write 2 6 3"];
    for (lane, operation) in (0..).zip(operations) {
        let asked = request(1, lane, 1, operation);
        cluster.ask(0, &asked)?;
        ledger.execute(&asked.body);
    }
    cluster.run(|_| true)?;
    for at in 0..4 {
        let report = cluster.report(at)?;
        let got = (report.last_executed.0, report.state, report.checkpoint);
        let expected = (2, Some(ledger.digest()), Some(ledger.checkpoint(2).digest()));
        expect(Kind::State, "the state", expected, got)?;
    }
    Ok(())
}

/// A cluster with a checkpoint of many chunks at 2, and what its state is.
pub(super) fn filled(story: &Story) -> Outcome<(Cluster<'_>, Ledger)> {
    let mut cluster = Cluster::start(story, SPEC)?;
    let mut ledger = Ledger::new(RESULT);
    for (time, operation) in [(1, "fill 0 60 1 8000"), (2, "write 90 12 1")] {
        let asked = request(1, 0, time, operation);
        cluster.ask(0, &asked)?;
        cluster.run(|_| true)?;
        ledger.execute(&asked.body);
    }
    Ok((cluster, ledger))
}

/// Executes requests everywhere but at replica 3, which hears nothing.
pub(super) fn without_3(
    cluster: &mut Cluster<'_>,
    ledger: &mut Ledger,
    operations: &[(u64, &str)],
) -> Outcome {
    for (time, operation) in operations {
        let asked = request(1, 0, *time, operation);
        cluster.ask(0, &asked)?;
        cluster.run(|letter| letter.to != 3)?;
        ledger.execute(&asked.body);
    }
    Ok(())
}

/// The chunks that a replica asks for, and how often.
fn asked_for(said: &[String]) -> BTreeMap<u32, usize> {
    let mut chunks = BTreeMap::new();
    for said in said {
        let chunk = said.strip_prefix("FETCH-STATE 8 Chunk(");
        let index = chunk.and_then(|rest| rest.split(')').next()?.parse().ok());
        index.into_iter().for_each(|index| *chunks.entry(index).or_default() += 1);
    }
    chunks
}

pub(super) fn is_chunk(letter: &Letter) -> bool {
    match &letter.message {
        Message::StateData(data) => letter.to == 3 && data.part != StatePart::Manifest,
        _ => false,
    }
}

pub(super) fn tick(cluster: &mut Cluster<'_>, arrives: impl Fn(&Letter) -> bool) -> Outcome {
    cluster.story.sleep(Duration::from_millis(100));
    cluster.run(arrives).map(drop)
}

/// A replica fetches the chunks that it lacks, each once, and no others; a restart in the middle loses none of them; and
/// then it has the state, goes on with the others, and serves it.
pub(super) fn transfer(story: &Story) -> Outcome {
    story.about("a replica that falls behind", FETCHED);
    let (mut cluster, mut ledger) = filled(story)?;
    let before = ledger.checkpoint(2);
    let later = [
        (3, "write 5 8100 2"),
        (4, "delete 30"),
        (5, "write 59 100 3"),
        (6, "write 5 8200 2"),
        (7, "fill 200 20 4 8000"),
        (8, "delete 90"),
    ];
    without_3(&mut cluster, &mut ledger, &later)?;
    let state = ledger.checkpoint(8);
    let old: BTreeSet<_> = before.chunks.iter().collect();
    let lacking = (0..).zip(&state.chunks).filter(|(_, chunk)| !old.contains(chunk));
    let lacking: BTreeSet<u32> = lacking.map(|(index, _)| index).collect();
    let (all, some) = (state.chunks.len(), lacking.len());
    demand(Kind::Harness, "too little changes, or too much", some > 4 && some + 4 < all)?;

    story.about("it fetches the state, and three chunks of it arrive", FETCHED);
    cluster.said(3)?;
    let room = Cell::new(3);
    let arrived = std::cell::RefCell::new(BTreeSet::new());
    let three = |letter: &Letter| match (&letter.message, is_chunk(letter)) {
        (Message::StateData(data), true) if room.get() > 0 => {
            room.set(room.get() - 1);
            let StatePart::Chunk(index) = data.part else { return true };
            arrived.borrow_mut().insert(index);
            true
        }
        (_, is_chunk) => !is_chunk,
    };
    tick(&mut cluster, three)?;
    tick(&mut cluster, three)?;
    let asked = asked_for(&cluster.said(3)?);
    let indices: BTreeSet<u32> = asked.keys().copied().collect();
    let excess: BTreeSet<_> = indices.difference(&lacking).collect();
    expect(Kind::Messages, "chunks asked for that are here", BTreeSet::new(), excess)?;
    let arrived = arrived.into_inner();
    expect(Kind::Harness, "chunks that arrived", 3, arrived.len())?;
    let report = cluster.report(3)?;
    expect(Kind::State, "what it has executed", 2, report.last_executed.0)?;
    let standing = (cluster.node(3)?.metrics.standing.get(), report.standing.kind());
    expect(Kind::Reaction, "its standing", ("fetches-state", "fetches-state"), standing)?;

    story.about("the power fails there, and it fetches the rest", FETCHED);
    let disk = cluster.kill(3)?;
    cluster.lose_all();
    cluster.start_one(3, &disk)?;
    cluster.said(3)?;
    tick(&mut cluster, |_| true)?;
    tick(&mut cluster, |_| true)?;
    let asked = asked_for(&cluster.said(3)?);
    let rest: BTreeMap<u32, usize> =
        lacking.difference(&arrived).map(|index| (*index, 1)).collect();
    expect(Kind::Messages, "chunks that it asks for, and how often", rest, asked)?;
    fetched(&mut cluster, &mut ledger, &state)
}

/// The replica has the state, and goes on from it like any other.
fn fetched(cluster: &mut Cluster<'_>, ledger: &mut Ledger, state: &Layout) -> Outcome {
    let story = cluster.story;
    let report = cluster.report(3)?;
    let got = (report.last_executed.0, report.state, report.low_water_mark.0);
    expect(Kind::State, "the state fetched", (8, Some(ledger.digest()), 8), got)?;
    story.about("it serves what it fetched", SERVED);
    serves(cluster, 3, 8, Some(state))?;
    let disk = cluster.kill(3)?;
    cluster.start_one(3, &disk)?;
    cluster.run(|_| true)?;
    story.about("a request that it has executed comes again, to it alone", FETCHED);
    cluster.told.clear();
    cluster.ask(3, &request(1, 0, 8, "delete 90"))?;
    cluster.settle_one(3)?;
    let again = vec![(1, 0, 8, b"true".to_vec())];
    expect(Kind::Restart, "the reply that came with the state", again, cluster.results(3))?;
    for (time, operation) in [(9, "write 31 9 9"), (10, "write 5 1 1")] {
        story.about(format!("{operation}, with all four"), FETCHED);
        let asked = request(1, 0, time, operation);
        cluster.ask(0, &asked)?;
        cluster.run(|_| true)?;
        let result = ledger.execute(&asked.body);
        let got = cluster.results(3).pop().map(|(.., result)| result);
        expect(Kind::Execution, "the result", Some(result), got)?;
    }
    let report = cluster.report(3)?;
    let end = (10, Some(ledger.digest()), Some(ledger.checkpoint(10).digest()));
    let got = (report.low_water_mark.0, report.state, report.checkpoint);
    expect(Kind::State, "the next checkpoint", end, got)?;
    serves(cluster, 3, 8, Some(state))
}
