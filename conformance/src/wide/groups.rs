//! Many inputs that share one commit, and the power that fails between two of them.

use super::cluster::{CLUSTER, Cluster, Letter, Spec, request};
use super::doors::status;
use super::story::{Outcome, Story, demand, expect, harness};
use super::watch::{Mark, Sent};
use crate::divergence::{Difference, Kind};
use crate::signpost::{Handler, in_host, in_node};
use pbft_core::message::{Message, Request, Signed};
use pbft_core::types::{ReplicaId, SeqNum};
use pbft_core::{Durable, Params};
use pbft_node::codec;
use pbft_node::network::Outgoing;
use pbft_node::store::{Identity, MemoryDisk, Store};
use std::collections::BTreeSet;
use std::time::Duration;

pub(super) const PLACES: &[Handler] = &[
    in_node!("driver.rs", "Driver::group"),
    in_host!("host.rs", "Host::end_group"),
    in_host!("group.rs", "Group::must_commit"),
    in_node!("turns.rs", "TakesTurns::try_recv"),
    in_host!("host.rs", "Host::release"),
    in_node!("store/transaction.rs", "Transaction::commit"),
    in_node!("driver.rs", "Queues::next"),
];

pub(super) const POWER: &[Handler] = &[
    in_host!("host.rs", "Host::end_group"),
    in_node!("store/transaction.rs", "Transaction::append"),
    in_host!("group.rs", "Group::take_early"),
    in_host!("perform.rs", "Host::append"),
    in_node!("store/mod.rs", "Store::read_log"),
    in_node!("store/transaction.rs", "Transaction::fold"),
    in_node!("store/transaction.rs", "Transaction::redo"),
    in_node!("store/journal.rs", "Journal::append"),
    in_node!("driver.rs", "Driver::group"),
];

/// One batch a request, and room for as many as one group takes.
fn bounds(params: &mut Params) {
    (params.checkpoint_interval, params.window, params.pipeline) = (256, 512, 512);
    params.batch_requests_max = 1;
}

const ROOM: Spec = Spec { replicas: 4, bounds };

/// So many steps share a commit at most: docs/architecture.md.
const GROUP: usize = 256;

/// The requests of a client, all of different lanes or times.
fn requests(client: u32, count: usize) -> Vec<Signed<Request>> {
    let one = |at: usize| request(client, (at % 100) as u16, 1 + (at / 100) as u64, "say 3");
    (0..count).map(one).collect()
}

fn labels(kind: &str, of: u32, count: usize) -> Vec<String> {
    (1..=count).map(|seq| format!("{kind} {seq}@0 of {of}")).collect()
}

/// How many syncs there were when each of these left.
fn syncs(sent: &[Sent]) -> BTreeSet<u64> {
    sent.iter().map(|one| one.syncs).collect()
}

/// How many steps each write was for, writes for none left out.
fn steps(marks: &[Mark]) -> Vec<usize> {
    let groups = marks.split(|mark| *mark == Mark::Commit);
    let step = |mark: &&Mark| matches!(mark, Mark::Step(_));
    let counts = groups.map(|group| group.iter().filter(step).count());
    counts.filter(|count| *count > 0).collect()
}

/// However many requests wait for a primary, up to a bound they are ordered with one write, and in their order.
pub(super) fn one_write_for_many(story: &Story) -> Outcome {
    let mut expected_syncs = None;
    for count in [1, 2, 17, 255, GROUP] {
        story.about(format!("a primary with {count} requests"), PLACES);
        let mut cluster = Cluster::only(story, ROOM, 0)?;
        cluster.sent(0);
        cluster.marks(0)?;
        let before = (cluster.node(0)?.disk.syncs(), cluster.node(0)?.metrics.commits.get());
        for request in requests(1, count) {
            cluster.ask(0, &request)?;
        }
        cluster.settle()?;
        let sent = cluster.sent(0);
        let first = sent.first().map_or(0, |one| one.syncs - before.0);
        expect(Kind::NotDurable, "what left before the one write", 1, syncs(&sent).len())?;
        demand(Kind::NotDurable, "orders left without a sync", first > 0)?;
        let as_one = *expected_syncs.get_or_insert(first);
        expect(Kind::NotDurable, "syncs for the group", as_one, first)?;
        let commits = cluster.node(0)?.metrics.commits.get() - before.1;
        expect(Kind::Reaction, "writes", 1, commits)?;
        expect(Kind::Reaction, "steps by write", vec![count], steps(&cluster.marks(0)?))?;
        expect(Kind::Messages, "orders", labels("PRE-PREPARE", 0, count), said(&sent)?)?;
    }
    beyond_the_bound(story)
}

/// One more than share a write: two writes.
fn beyond_the_bound(story: &Story) -> Outcome {
    story.about("a primary with one input more than share a write", PLACES);
    let mut cluster = Cluster::only(story, ROOM, 0)?;
    cluster.marks(0)?;
    for request in &requests(1, GROUP) {
        cluster.ask(0, request)?;
    }
    let taken = cluster.frame(0, 1, &status(1, 0)?)?;
    expect(Kind::Refused, "a STATUS", Ok(()), taken)?;
    cluster.settle()?;
    let sent = cluster.sent(0);
    expect(Kind::NotDurable, "moments at which orders left", 2, syncs(&sent).len())?;
    expect(Kind::Messages, "orders", labels("PRE-PREPARE", 0, GROUP), said(&sent)?)?;
    expect(Kind::Reaction, "steps by write", vec![GROUP, 1], steps(&cluster.marks(0)?))
}

fn said(sent: &[Sent]) -> Outcome<Vec<String>> {
    let frames = sent.iter().filter_map(|one| match &one.outgoing {
        Outgoing::Broadcast(frame) | Outgoing::Send { frame, .. } => Some(frame),
        Outgoing::Reply { .. } => None,
    });
    let label = |frame| {
        codec::decode::<Message>(frame).map(|message| crate::beyond::label::label(&message))
    };
    frames.map(|frame| label(frame).map_err(harness)).collect()
}

/// The same inputs at once and one after the other: the same words in the same order, the same replica and the same disk.
pub(super) fn at_once_or_one_by_one(story: &Story) -> Outcome {
    const COUNT: usize = 40;
    story.about("letters for a backup", PLACES);
    let letters = letters_for_a_backup(story, COUNT)?;
    let mut ends = Vec::new();
    for at_once in [true, false] {
        let how = if at_once { "at once" } else { "one by one" };
        story.about(format!("a backup gets them {how}"), PLACES);
        let mut cluster = Cluster::only(story, ROOM, 1)?;
        cluster.sent(1);
        for phase in &letters {
            for letter in phase {
                cluster.deliver(letter)?;
                if !at_once {
                    cluster.settle()?;
                }
            }
            cluster.settle()?;
            if at_once {
                let marks = cluster.marks(1)?;
                let group = steps(&marks).first().copied().unwrap_or_default();
                demand(Kind::Reaction, "a group is not whole", group >= phase.len())?;
            }
        }
        let sent = cluster.sent(1);
        let words = said(&sent)?;
        let expected = [labels("PREPARE", 1, COUNT), labels("COMMIT", 1, COUNT)].concat();
        expect(Kind::Messages, &format!("what it says {how}"), expected, words)?;
        let results = cluster.results(1);
        let times: Vec<_> = results.iter().map(|(_, lane, time, _)| (*lane, *time)).collect();
        let asked = requests(1, COUNT);
        let asked = asked.iter().map(|one| (one.body.lane.0, one.body.timestamp.0)).collect();
        expect(Kind::Execution, &format!("replies {how}"), asked, times)?;
        let replica = cluster.replica(1)?;
        let (ended, disk) = cluster.stop(1)?;
        expect(Kind::Reaction, "its end", Ok(()), ended.map_err(|error| error.to_string()))?;
        ends.push((replica, contents(&disk)?));
    }
    demand(Kind::State, "the two replicas differ", ends[0].0 == ends[1].0)?;
    expect(Kind::Restart, "what is on the two disks", &ends[0].1, &ends[1].1)
}

/// PRE-PREPAREs for replica 1, then PREPAREs, then COMMITs, then the COMMITs that complete quorums.
fn letters_for_a_backup(story: &Story, count: usize) -> Outcome<[Vec<Letter>; 4]> {
    let mut cluster = Cluster::start(story, ROOM)?;
    for request in requests(1, count) {
        cluster.ask(0, &request)?;
    }
    let mut kept: Vec<Letter> = Vec::new();
    loop {
        cluster.settle()?;
        let letters = cluster.lose_all();
        if letters.is_empty() {
            break;
        }
        for letter in letters {
            cluster.deliver(&letter)?;
            if letter.to == 1 {
                kept.push(letter);
            }
        }
    }
    let of = |from: u32, is_kind: fn(&Message) -> bool| {
        let one = |letter: &&Letter| letter.from == from && is_kind(&letter.message);
        kept.iter().filter(one).cloned().collect::<Vec<_>>()
    };
    let is_commit = |message: &Message| matches!(message, Message::Commit(_));
    Ok([
        of(0, |message| matches!(message, Message::PrePrepare(_))),
        of(2, |message| matches!(message, Message::Prepare(_))),
        of(0, is_commit),
        of(2, is_commit),
    ])
}

/// What a replica's disk says.
type Contents = (Durable, u64, Vec<(Vec<u8>, Vec<u8>)>);

fn open(disk: &MemoryDisk, at: u32) -> Outcome<Store> {
    Store::in_memory(disk, Identity::new(CLUSTER, ReplicaId(at))).map_err(harness)
}

fn contents(disk: &MemoryDisk) -> Outcome<Contents> {
    let store = open(disk, 1)?;
    let executed = store.last_executed().map_err(harness)?.0;
    Ok((store.durable().clone(), executed, store.pairs(&[], 100).map_err(harness)?))
}

/// Replicas and clients take turns, and so do clients.
pub(super) fn turns(story: &Story) -> Outcome {
    story.about("a primary with letters of a replica and of clients", PLACES);
    let mut cluster = Cluster::start(story, ROOM)?;
    for request in requests(1, 2) {
        cluster.ask(2, &request)?;
    }
    cluster.settle()?;
    let relayed = cluster.lose_all();
    expect(Kind::Harness, "requests that are relayed", 2, relayed.len())?;
    cluster.marks(0)?;
    for letter in &relayed {
        cluster.deliver(letter)?;
    }
    for request in requests(2, 4) {
        cluster.ask(0, &request)?;
    }
    for request in requests(3, 2) {
        cluster.ask(0, &request)?;
    }
    cluster.settle()?;
    let kinds = cluster.marks(0)?.into_iter().filter_map(|mark| match mark {
        Mark::Step(kind) => Some(kind),
        _ => None,
    });
    let mut expected = vec!["peer", "client", "peer"];
    expected.extend(["client"; 5]);
    expect(Kind::Reaction, "the turns of inputs", expected, kinds.collect())?;
    let clients = cluster.sent(0).into_iter().filter_map(|one| match one.outgoing {
        Outgoing::Broadcast(frame) => match codec::decode(&frame) {
            Ok(Message::PrePrepare(known)) => known.batch.requests.first().cloned(),
            _ => None,
        },
        _ => None,
    });
    let clients: Vec<u32> = clients.map(|request| request.body.client.0).collect();
    expect(Kind::Reaction, "the turns of clients", vec![1, 2, 1, 3, 2, 3, 2, 2], clients)
}

fn short(params: &mut Params) {
    bounds(params);
    (params.checkpoint_interval, params.window) = (2, 4);
    params.status_interval = Duration::from_millis(100);
    params.view_timeout = Duration::from_secs(1 << 20);
}

const SHORT: Spec = Spec { replicas: 4, bounds: short };

/// The replica whose power fails.
const FAILS: u32 = 2;

/// Whenever the power fails, the disk knows all that was said, and from there the replica comes to the same end.
pub(super) fn power_cuts(story: &Story) -> Outcome {
    story.about("a run with checkpoints and a view change", POWER);
    let mut cluster = Cluster::empty(story, SHORT);
    for at in 0..4 {
        cluster.keeps_disks = at == FAILS;
        cluster.start_one(at, &MemoryDisk::default())?;
    }
    cluster.keeps_disks = false;
    for at in 1..=3 {
        cluster.ask(0, &request(1, 0, at, &format!("write {at} 3000 {at}")))?;
        cluster.run(|_| true)?;
    }
    for at in 1..4 {
        let inbox = cluster.node(at)?.inbox.clone();
        let view = story.wait(inbox.suspect()).and_then(Result::ok).map(|view| view.0);
        expect(Kind::Reaction, "the view that an operator's word leads to", Some(1), view)?;
    }
    cluster.run(|_| true)?;
    for at in 4..=5 {
        cluster.ask(1, &request(1, 0, at, &format!("write {at} 3000 {at}")))?;
        cluster.run(|_| true)?;
    }
    let sent = cluster.sent(FAILS);
    demand(Kind::Harness, "the run says too little", sent.len() >= 17)?;
    for (at, one) in sent.iter().enumerate() {
        let disk = one.disk.as_ref().ok_or_else(|| harness("no disk was kept"))?;
        let store = open(&disk.after_power_cut(), FAILS)?;
        for said in &sent[..=at] {
            knows(store.durable(), &said.outgoing)?;
        }
    }
    let end = (cluster.report(1)?.last_executed, cluster.report(1)?.state);
    let mut tried = BTreeSet::new();
    for one in sent.iter().filter(|one| tried.insert(one.syncs)) {
        story.about(format!("the power failed after {} syncs", one.syncs), POWER);
        cluster.kill(FAILS)?;
        let disk = one.disk.as_ref().ok_or_else(|| harness("no disk was kept"))?;
        cluster.start_one(FAILS, &disk.after_power_cut())?;
        for _ in 0..12 {
            story.sleep(Duration::from_millis(100));
            cluster.run(|_| true)?;
        }
        let report = cluster.report(FAILS)?;
        let got = (report.last_executed, report.state);
        expect(Kind::Restart, "the end that it comes to", end, got)?;
        expect(
            Kind::Restart,
            "the view that it comes to",
            (1, true),
            (report.view.0, report.active),
        )?;
    }
    Ok(())
}

/// Whether a disk remembers what was said: §2, a replica keeps its state across restarts.
fn knows(disk: &Durable, said: &Outgoing) -> Outcome {
    let frame = match said {
        Outgoing::Broadcast(frame) | Outgoing::Send { frame, .. } => frame,
        Outgoing::Reply { .. } => return Ok(()),
    };
    let message: Message = codec::decode(frame).map_err(harness)?;
    let is_stable = |seq: SeqNum| seq <= disk.low_water_mark;
    let (view, known) = match &message {
        Message::Prepare(vote) => {
            let (seq, is_left) = (vote.body.seq, disk.view > vote.body.view);
            (vote.body.view, is_left || is_stable(seq) || disk.accepted.contains_key(&seq))
        }
        Message::Commit(vote) => {
            let seq = vote.body.seq;
            (vote.body.view, is_stable(seq) || disk.prepared.contains_key(&seq))
        }
        Message::Checkpoint(vote) => {
            let seq = vote.body.seq;
            (disk.view, disk.checkpoints.contains_key(&seq) || seq < disk.low_water_mark)
        }
        Message::ViewChange(known) => (known.body.view, true),
        _ => return Ok(()),
    };
    if known && view <= disk.view {
        return Ok(());
    }
    let what = format!("the disk does not know its {}", crate::beyond::label::label(&message));
    Err(Difference::new(Kind::NotDurable, what))
}
