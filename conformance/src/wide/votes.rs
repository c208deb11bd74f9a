//! What becomes of votes: those that were set aside (D25) in a view that is left, by a host that starts again, and against a
//! later one of the same sender; those that come in one group; and a replica that finds that it must not go on.

use super::cluster::{CLUSTER, Cluster, Letter, NEVER, Spec, request, sealed};
use super::story::{Outcome, Story, demand, expect, harness};
use crate::divergence::{Difference, Kind};
use crate::signpost::{Handler, in_core, in_host, in_node};
use pbft_core::message::{Checkpoint, Commit, Message};
use pbft_core::types::{Digest, ReplicaId, SeqNum, View};
use pbft_core::{HaltReason, Params};
use pbft_node::codec;
use pbft_node::driver::DriverError;
use pbft_node::network::Outgoing;
use pbft_node::store::{Identity, MemoryDisk, Store};
use std::io::ErrorKind;
use std::time::Duration;

pub(super) const SURPLUS: &[Handler] = &[
    in_host!("door.rs", "Door::peer_frame"),
    in_core!("surplus.rs", "Surplus::on_step"),
    in_host!("host.rs", "Host::restart"),
];

pub(super) const GROUPED: &[Handler] = &[
    in_host!("perform.rs", "Host::append"),
    in_host!("group.rs", "Group::must_commit"),
    in_host!("group.rs", "Group::take_early"),
    in_node!("driver.rs", "Driver::group"),
];

pub(super) const HALTS: &[Handler] = &[
    in_host!("host.rs", "Host::release"),
    in_core!("checkpoint.rs", "Replica::on_checkpoint"),
    in_node!("driver.rs", "Driver::run"),
];

fn bounds(params: &mut Params) {
    (params.checkpoint_interval, params.window) = (2, 4);
    params.batch_requests_max = 1;
}

const SPEC: Spec = Spec { replicas: 4, bounds };

fn ticking(params: &mut Params) {
    bounds(params);
    (params.checkpoint_interval, params.window) = (100, 200);
    params.status_interval = Duration::from_millis(100);
    (params.view_timeout, params.view_timeout_max) = (NEVER, NEVER);
}

fn is_commit(letter: &Letter) -> bool {
    matches!(letter.message, Message::Commit(_))
}

fn is_prepare(letter: &Letter) -> bool {
    matches!(letter.message, Message::Prepare(_))
}

/// Delivers letters one after the other, each when what follows from the one before is done: so what nobody needs any more is
/// set aside.
fn one_by_one<'a>(
    cluster: &mut Cluster<'_>,
    letters: impl IntoIterator<Item = &'a Letter>,
) -> Outcome {
    letters.into_iter().try_for_each(|letter| {
        cluster.deliver(letter)?;
        cluster.settle_one(letter.to)
    })
}

/// A batch prepares everywhere in view 0, with a PREPARE more than each needs. Its primary falls silent, and the others, just
/// enough of them, vote for it again in view 1.
pub(super) fn of_a_view_that_is_left(story: &Story) -> Outcome {
    story.about("a batch that prepares in two views", SURPLUS);
    let mut cluster = Cluster::start(story, SPEC)?;
    cluster.ask(0, &request(1, 0, 1, "say 5"))?;
    let prepares = cluster.run(|letter| !is_prepare(letter))?;
    one_by_one(&mut cluster, &prepares)?;
    let set_aside = cluster.node(2)?.metrics.votes_surplus.get();
    demand(Kind::Harness, "no vote is set aside", set_aside > 0)?;
    cluster.lose_all();
    cluster.kill(0)?;
    for at in 1..4 {
        let inbox = cluster.node(at)?.inbox.clone();
        demand(Kind::Reaction, "nobody heard the operator", story.wait(inbox.suspect()).is_some())?;
    }
    cluster.run(|_| true)?;
    for at in 1..4 {
        let report = cluster.report(at)?;
        let got = (report.view.0, report.active, report.last_executed.0);
        expect(Kind::Execution, "view, and the last batch executed", (1, true, 1), got)?;
    }
    Ok(())
}

/// The disk has no room for the record that a batch has prepared. The host starts again from what is written, and there the
/// batch has not: the same PREPAREs count once more.
pub(super) fn after_a_full_disk(story: &Story) -> Outcome {
    story.about("a disk that is full when a batch prepares", SURPLUS);
    let mut cluster = Cluster::start(story, SPEC)?;
    cluster.ask(0, &request(1, 0, 1, "say 5"))?;
    let is_vote = |letter: &Letter| is_prepare(letter) || is_commit(letter);
    let held = cluster.run(|letter| letter.to != 2 || !is_vote(letter))?;
    let prepares = || held.iter().filter(|letter| is_prepare(letter));
    expect(Kind::Harness, "PREPAREs for replica 2", 2, prepares().count())?;
    cluster.said(2)?;
    cluster.node(2)?.disk.set_full(Some(ErrorKind::StorageFull));
    prepares().try_for_each(|letter| cluster.deliver(letter))?;
    cluster.settle_one(2)?;
    expect(Kind::NotDurable, "what it says without room", Vec::new(), cluster.said(2)?)?;
    cluster.node(2)?.disk.set_full(None);
    story.sleep(Duration::from_secs(3));
    cluster.settle_one(2)?;
    cluster.said(2)?;
    story.about("the same PREPAREs, when there is room", SURPLUS);
    prepares().try_for_each(|letter| cluster.deliver(letter))?;
    cluster.settle_one(2)?;
    let commits = vec!["COMMIT 1@0 of 2".to_owned()];
    expect(Kind::Messages, "what it says then", commits, cluster.said(2)?)
}

/// A COMMIT comes too late to be needed, and then one for another batch from the same replica: both are given to the replica,
/// which has evidence then.
pub(super) fn against_another(story: &Story) -> Outcome {
    story.about("replicas that send a second COMMIT, for another batch", SURPLUS);
    let mut cluster = Cluster::start(story, SPEC)?;
    cluster.ask(0, &request(1, 0, 1, "say 5"))?;
    let commits = cluster.run(|letter| letter.to != 1 || !is_commit(letter))?;
    one_by_one(&mut cluster, &commits)?;
    let set_aside = cluster.node(1)?.metrics.votes_surplus.get();
    demand(Kind::Harness, "no vote is set aside", set_aside > 0)?;
    expect(Kind::Reaction, "who is accused", 0, cluster.report(1)?.accused)?;
    for from in [0, 2, 3] {
        let (view, seq, digest) = (View(0), SeqNum(1), Digest([9; 32]));
        let vote = Commit { view, seq, digest, replica: ReplicaId(from) };
        let frame = codec::encode(&Message::Commit(sealed(vote))).map_err(harness)?;
        let taken = cluster.frame(1, from, &frame)?;
        expect(Kind::Refused, "a second COMMIT", Ok(()), taken)?;
        cluster.settle_one(1)?;
    }
    expect(Kind::Reaction, "who is accused", 0b1101, cluster.report(1)?.accused)
}

fn open(disk: &MemoryDisk, at: u32) -> Outcome<Store> {
    let identity = Identity::new(CLUSTER, ReplicaId(at));
    Store::in_memory(&disk.after_power_cut(), identity).map_err(harness)
}

/// A late replica gets a batch and all votes for it at once: it accepts, prepares, and executes in one group. Its votes are on
/// the disk before anything of the group leaves, the answer among it.
pub(super) fn in_one_group(story: &Story) -> Outcome {
    story.about("a batch and all its votes at once", GROUPED);
    let mut cluster = Cluster::empty(story, SPEC);
    for at in 0..4 {
        cluster.keeps_disks = at == 3;
        cluster.start_one(at, &MemoryDisk::default())?;
    }
    cluster.settle()?;
    cluster.sent(3);
    cluster.ask(0, &request(1, 0, 1, "say 5"))?;
    let held = cluster.run(|letter| letter.to != 3)?;
    for letter in &held {
        cluster.deliver(letter)?;
    }
    cluster.settle_one(3)?;
    let sent = cluster.sent(3);
    let answers = sent.iter().filter(|one| matches!(one.outgoing, Outgoing::Reply { .. })).count();
    expect(Kind::Execution, "answers", 1, answers)?;
    for one in &sent {
        let disk = one.disk.as_ref().ok_or_else(|| harness("no disk was kept"))?;
        let store = open(disk, 3)?;
        let knows = |seq: u64| store.durable().prepared.contains_key(&SeqNum(seq));
        demand(Kind::NotDurable, "something left before the votes were written", knows(1))?;
    }
    Ok(())
}

/// What a replica says in its STATUS is on its disk, also if the write of the last execution was put off.
pub(super) fn status_after_execution(story: &Story) -> Outcome {
    story.about("a STATUS two milliseconds after an execution", GROUPED);
    let mut cluster = Cluster::empty(story, Spec { replicas: 4, bounds: ticking });
    for at in 0..4 {
        cluster.keeps_disks = at == 1;
        cluster.start_one(at, &MemoryDisk::default())?;
    }
    cluster.settle()?;
    cluster.ask(0, &request(1, 0, 1, "say 5"))?;
    let commits = cluster.run(|letter| letter.to != 1 || !is_commit(letter))?;
    let next_tick = 100 - story.now().as_millis() as u64 % 100;
    story.sleep(Duration::from_millis(next_tick + 98));
    cluster.run(|letter| letter.to != 1 || !is_commit(letter))?;
    cluster.sent(1);
    commits.iter().try_for_each(|letter| cluster.deliver(letter))?;
    story.sleep(Duration::from_millis(3));
    cluster.collect(1)?;
    let mut told = 0;
    for one in cluster.sent(1) {
        let Outgoing::Broadcast(frame) = &one.outgoing else { continue };
        let Message::Status(status) = codec::decode(frame).map_err(harness)? else { continue };
        told = told.max(status.body.last_executed.0);
        let disk = one.disk.as_ref().ok_or_else(|| harness("no disk was kept"))?;
        let known = open(disk, 1)?.last_executed().map_err(harness)?;
        let holds = known >= status.body.last_executed;
        demand(Kind::NotDurable, "a STATUS says more than is on the disk", holds)?;
    }
    expect(Kind::Timer, "what its STATUS says right after the execution", 1, told)
}

/// A quorum has another state at a checkpoint: the replica ends at once, says why, and says it again when it is started.
pub(super) fn must_halt(story: &Story) -> Outcome {
    story.about("a quorum that has another state", HALTS);
    let mut cluster = Cluster::start(story, SPEC)?;
    for seq in 1..=2 {
        cluster.ask(0, &request(1, 0, seq, "say 5"))?;
        cluster.run(|letter| !matches!(letter.message, Message::Checkpoint(_)))?;
    }
    for from in [0, 1, 3] {
        let (seq, digest) = (SeqNum(2), Digest([9; 32]));
        let vote = Checkpoint { seq, digest, replica: ReplicaId(from) };
        let frame = codec::encode(&Message::Checkpoint(sealed(vote))).map_err(harness)?;
        let taken = cluster.frame(2, from, &frame)?;
        expect(Kind::Refused, "a CHECKPOINT", Ok(()), taken)?;
    }
    let (ended, disk) = cluster.ended(2)?;
    if !matches!(ended, Err(DriverError::Halted(HaltReason::StateDiverged { .. }))) {
        return Err(Difference::new(Kind::Reaction, format!("it ends: {ended:?}")));
    }
    let again = cluster.start_one(2, &disk).err();
    let says_so = again.is_some_and(|why| why.what.starts_with("this replica has halted: "));
    demand(Kind::Restart, "it has forgotten that it must not go on", says_so)
}
