//! When things happen, to the millisecond: timers, and writes that wait.

use super::cluster::{Cluster, NEVER, Spec, request};
use super::story::{Outcome, Story, demand, expect, harness};
use crate::divergence::Kind;
use crate::signpost::{Handler, in_host, in_node};
use pbft_core::Params;
use pbft_core::message::Message;
use pbft_node::store::MemoryDisk;
use std::time::Duration;

pub(super) const TIMERS: &[Handler] = &[
    in_node!("timers.rs", "Timers::set"),
    in_node!("timers.rs", "Timers::take_due"),
    in_node!("timers.rs", "Timers::wait"),
    in_node!("driver.rs", "Driver::ring"),
    in_host!("host.rs", "Host::alarm"),
    in_host!("perform.rs", "Host::perform"),
    in_node!("driver.rs", "Driver::group"),
];

pub(super) const PUT_OFF: &[Handler] = &[
    in_host!("host.rs", "Host::end_group"),
    in_host!("host.rs", "Host::commit"),
    in_host!("host.rs", "Host::alarm"),
    in_host!("group.rs", "Group::take_early"),
    in_host!("group.rs", "Group::must_commit"),
    in_node!("driver.rs", "Driver::commit"),
];

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn ticking(params: &mut Params) {
    params.status_interval = ms(250);
}

/// A replica says what it has every so often, from its start on, and whatever comes between.
pub(super) fn status(story: &Story) -> Outcome {
    story.about("a replica that nobody speaks to", TIMERS);
    let spec = Spec { replicas: 4, bounds: ticking };
    let mut cluster = Cluster::only(story, spec, 1)?;
    story.sleep(ms(1049));
    cluster.collect(1)?;
    let ticks = |times: &[u128]| -> Vec<(u128, String)> {
        times.iter().map(|at| (*at, "status".to_owned())).collect()
    };
    let said = cluster.said_when(1)?;
    expect(Kind::Timer, "STATUS", ticks(&[250, 500, 750, 1000]), said)?;
    let disk = cluster.kill(1)?;
    cluster.start_one(1, &disk)?;
    story.about("the same after a restart, with a request between", TIMERS);
    story.sleep(ms(101));
    cluster.ask(1, &request(1, 0, 1, "say 1"))?;
    cluster.settle()?;
    let relayed = vec![(1150, "REQUEST lane 0 t1 to 0".to_owned())];
    expect(Kind::Timer, "a request is handed on", relayed, cluster.said_when(1)?)?;
    story.sleep(ms(250));
    cluster.collect(1)?;
    let mut said = cluster.said_when(1)?;
    said.retain(|(_, said)| said == "status");
    expect(Kind::Timer, "STATUS after a restart", ticks(&[1299]), said)
}

fn impatient(params: &mut Params) {
    (params.view_timeout, params.view_timeout_max) = (ms(2000), ms(10_000));
    params.batch_requests_max = 1;
}

/// A request waits for the patience and not a millisecond more. The patience doubles with each view that began in vain, up to
/// its bound, and stops once the request is executed: docs/deviations.md.
pub(super) fn patience(story: &Story) -> Outcome {
    story.about("a cluster whose primary is down", TIMERS);
    let spec = Spec { replicas: 4, bounds: impatient };
    let mut cluster = Cluster::start(story, spec)?;
    cluster.kill(0)?;
    story.sleep(ms(137));
    for at in 1..4 {
        cluster.ask(at, &request(1, 0, 1, "say 1"))?;
    }
    cluster.run(|_| true)?;
    for at in 1..4 {
        let relayed = vec![(137, "REQUEST lane 0 t1 to 0".to_owned())];
        expect(Kind::Timer, "a request is handed on", relayed, cluster.said_when(at)?)?;
    }
    let mut now = 137;
    for (view, patience) in [(1, 2000), (2, 2000), (3, 4000), (4, 8000), (5, 10_000)] {
        story.about(format!("view {view} is not begun yet"), TIMERS);
        story.sleep(ms(patience - 1));
        cluster.settle()?;
        for at in 1..4 {
            expect(Kind::Timer, "what is said too early", Vec::new(), cluster.said_when(at)?)?;
        }
        story.sleep(ms(1));
        now += u128::from(patience);
        let begins = |message: &Message| matches!(message, Message::NewView(_));
        let lost = cluster.run(|letter| view == 5 || !begins(&letter.message))?;
        demand(Kind::Harness, "no NEW-VIEW", view >= 4 || !lost.is_empty())?;
        for at in 1..4 {
            let mut said = cluster.said_when(at)?;
            said.retain(|(_, said)| said.starts_with("VIEW-CHANGE"));
            let asks = vec![(now, format!("VIEW-CHANGE @{view} of {at}"))];
            expect(Kind::Timer, "when a view is left", asks, said)?;
        }
    }
    for at in 1..4 {
        let results = cluster.results(at);
        expect(Kind::Execution, "what is executed in view 5", 1, results.len())?;
    }
    story.about("a long time in which nothing waits", TIMERS);
    story.sleep(Duration::from_secs(3600));
    cluster.settle()?;
    for at in 1..4 {
        expect(Kind::Timer, "what is said when nothing waits", Vec::new(), cluster.said(at)?)?;
    }
    Ok(())
}

/// A timer that is set again runs its whole length from then on, and no longer from before.
pub(super) fn set_again(story: &Story) -> Outcome {
    story.about("two requests of a client, of which the primary orders one", TIMERS);
    let spec = Spec { replicas: 4, bounds: impatient };
    let mut cluster = Cluster::start(story, spec)?;
    let (first, second) = (request(1, 0, 1, "say 1"), request(1, 1, 1, "say 1"));
    cluster.ask(1, &first)?;
    cluster.settle()?;
    story.sleep(ms(500));
    cluster.ask(1, &second)?;
    cluster.settle()?;
    cluster.lose_all();
    story.sleep(ms(1000));
    cluster.ask(0, &first)?;
    cluster.run(|_| true)?;
    expect(Kind::Execution, "executed", 1, cluster.results(1).len())?;
    cluster.said(1)?;
    story.sleep(ms(1999));
    cluster.settle()?;
    expect(Kind::Timer, "what is said too early", Vec::new(), cluster.said_when(1)?)?;
    story.sleep(ms(1));
    cluster.settle()?;
    let asks = vec![(3500, "VIEW-CHANGE @1 of 1".to_owned())];
    expect(Kind::Timer, "when the view is left", asks, cluster.said_when(1)?)
}

fn gathering(params: &mut Params) {
    params.batch_delay = ms(7);
    (params.batch_requests_max, params.pipeline) = (3, 1);
}

/// A primary waits for a batch to fill as long as it may, and no longer.
pub(super) fn batches(story: &Story) -> Outcome {
    story.about("a primary that waits for more", TIMERS);
    let spec = Spec { replicas: 4, bounds: gathering };
    let mut cluster = Cluster::start(story, spec)?;
    for lane in 0..3 {
        cluster.ask(0, &request(1, lane, 1, "say 1"))?;
    }
    cluster.run(|_| true)?;
    let orders = |cluster: &mut Cluster<'_>| -> Outcome<Vec<(u128, String)>> {
        let mut said = cluster.said_when(0)?;
        said.retain(|(_, said)| said.starts_with("PRE-PREPARE"));
        Ok(said)
    };
    let order = |at, seq| vec![(at, format!("PRE-PREPARE {seq}@0 of 0"))];
    expect(Kind::Timer, "the first batch", order(0, 1), orders(&mut cluster)?)?;
    story.sleep(ms(6));
    cluster.run(|_| true)?;
    expect(Kind::Timer, "a batch before its time", Vec::new(), orders(&mut cluster)?)?;
    story.sleep(ms(14));
    cluster.run(|_| true)?;
    expect(Kind::Timer, "the second batch", order(7, 2), orders(&mut cluster)?)?;
    expect(Kind::Execution, "all are executed", 3, cluster.results(0).len())
}

fn one_a_batch(params: &mut Params) {
    params.batch_requests_max = 1;
    (params.view_timeout, params.view_timeout_max) = (NEVER, NEVER);
}

/// A reply leaves at once; what execution wrote is written within five milliseconds, or with the next vote.
pub(super) fn put_off(story: &Story) -> Outcome {
    story.about("a backup that lacks COMMITs", PUT_OFF);
    let spec = Spec { replicas: 4, bounds: one_a_batch };
    let mut cluster = Cluster::start(story, spec)?;
    for seq in 1..=5 {
        cluster.ask(0, &request(1, 0, seq, "write 1 2 3"))?;
        let lost = cluster.run(|letter| !is_commit_to_1(&letter.message, letter.to))?;
        cluster.told.clear();
        held(&mut cluster, lost)?;
    }
    Ok(())
}

fn is_commit_to_1(message: &Message, to: u32) -> bool {
    to == 1 && matches!(message, Message::Commit(_))
}

/// One execution at replica 1, alone.
fn held(cluster: &mut Cluster<'_>, commits: Vec<super::cluster::Letter>) -> Outcome {
    let story = cluster.story;
    story.about("its COMMITs come", PUT_OFF);
    let before = cluster.node(1)?.disk.syncs();
    for letter in &commits {
        cluster.deliver(letter)?;
    }
    story.sleep(ms(1));
    cluster.collect(1)?;
    expect(Kind::Reaction, "a reply before the write", 1, cluster.results(1).len())?;
    expect(Kind::Timer, "writes at once", before, cluster.node(1)?.disk.syncs())?;
    story.sleep(ms(3));
    expect(Kind::Timer, "writes after 4 ms", before, cluster.node(1)?.disk.syncs())?;
    story.sleep(ms(2));
    let after = cluster.node(1)?.disk.syncs();
    demand(Kind::Timer, "nothing was written after 6 ms", after > before)?;
    story.sleep(ms(50));
    expect(Kind::Timer, "writes later", after, cluster.node(1)?.disk.syncs())
}

/// What is written late is written once: several executions share the first one's time, and a vote takes all along.
pub(super) fn put_off_together(story: &Story) -> Outcome {
    story.about("a backup that lacks the COMMITs of three batches", PUT_OFF);
    let spec = Spec { replicas: 4, bounds: one_a_batch };
    let mut cluster = Cluster::start(story, spec)?;
    let mut commits = Vec::new();
    for seq in 1..=3 {
        cluster.ask(0, &request(1, 0, seq, "write 1 2 3"))?;
        commits.push(cluster.run(|letter| !is_commit_to_1(&letter.message, letter.to))?);
    }
    let syncs = |cluster: &Cluster<'_>| cluster.node(1).map(|node| node.disk.syncs());
    let before = syncs(&cluster)?;
    let comes = |cluster: &Cluster<'_>, at: usize| {
        commits[at].iter().try_for_each(|letter| cluster.deliver(letter))
    };
    comes(&cluster, 0)?;
    story.sleep(ms(3));
    comes(&cluster, 1)?;
    story.sleep(ms(1));
    expect(Kind::Timer, "writes after 4 ms", before, syncs(&cluster)?)?;
    story.sleep(ms(2));
    let after = syncs(&cluster)?;
    demand(Kind::Timer, "a second execution has put the write off further", after > before)?;
    expect(Kind::Restart, "executed, on the disk", 2, executed(&cluster.node(1)?.disk)?)?;
    story.about("the third, and a vote two milliseconds later", PUT_OFF);
    comes(&cluster, 2)?;
    story.sleep(ms(2));
    expect(Kind::Timer, "writes before the vote", after, syncs(&cluster)?)?;
    cluster.ask(0, &request(1, 0, 4, "write 1 2 3"))?;
    cluster.settle_one(0)?;
    for letter in &cluster.lose_all() {
        cluster.deliver(letter)?;
    }
    story.sleep(ms(1));
    let voted = syncs(&cluster)?;
    demand(Kind::Timer, "a vote is not written", voted > after)?;
    expect(Kind::Restart, "executed, on the disk", 3, executed(&cluster.node(1)?.disk)?)?;
    story.sleep(ms(50));
    expect(Kind::Timer, "writes when all is written", voted, syncs(&cluster)?)?;
    story.about("the fourth, which nothing takes along", PUT_OFF);
    let fourth = cluster.run(|letter| !is_commit_to_1(&letter.message, letter.to))?;
    let before = syncs(&cluster)?;
    fourth.iter().try_for_each(|letter| cluster.deliver(letter))?;
    story.sleep(ms(4));
    expect(Kind::Timer, "writes after 4 ms", before, syncs(&cluster)?)?;
    story.sleep(ms(2));
    demand(Kind::Timer, "nothing was written after 6 ms", syncs(&cluster)? > before)
}

fn often(params: &mut Params) {
    one_a_batch(params);
    params.status_interval = ms(10);
}

/// What a replica says is on its disk, even where the write could wait longer and what is said is no vote.
pub(super) fn said_while_put_off(story: &Story) -> Outcome {
    story.about("a backup that executes three milliseconds before it says STATUS", PUT_OFF);
    let spec = Spec { replicas: 4, bounds: often };
    let mut cluster = Cluster::start(story, spec)?;
    cluster.ask(0, &request(1, 0, 1, "write 1 2 3"))?;
    let commits = cluster.run(|letter| !is_commit_to_1(&letter.message, letter.to))?;
    story.sleep(ms(7));
    commits.iter().try_for_each(|letter| cluster.deliver(letter))?;
    story.sleep(ms(2));
    cluster.said(1)?;
    expect(Kind::Timer, "executed, on the disk", 0, executed(&cluster.node(1)?.disk)?)?;
    story.sleep(ms(2));
    cluster.collect(1)?;
    let status = vec![(10, "status".to_owned())];
    expect(Kind::Timer, "STATUS", status, cluster.said_when(1)?)?;
    expect(Kind::NotDurable, "executed, on the disk", 1, executed(&cluster.node(1)?.disk)?)
}

fn executed(disk: &MemoryDisk) -> Outcome<u64> {
    let identity =
        pbft_node::store::Identity::new(super::cluster::CLUSTER, pbft_core::types::ReplicaId(1));
    let store = pbft_node::store::Store::in_memory(&disk.after_power_cut(), identity);
    Ok(store.and_then(|store| store.last_executed()).map_err(harness)?.0)
}
