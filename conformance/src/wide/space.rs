//! A disk that is full, one that fails, and replicas that end: in order, or because their service panics.

use super::cluster::{Cluster, Letter, NEVER, Spec, asking, framed, request};
use super::story::{Outcome, Story, demand, expect};
use super::watch::Mark;
use crate::divergence::{Difference, Kind};
use crate::signpost::{Handler, in_host, in_node};
use pbft_core::message::Message;
use pbft_core::params::OnPanic;
use pbft_core::types::{ClientId, SeqNum};
use pbft_core::{Params, Standing};
use pbft_node::driver::DriverError;
use pbft_node::frame::{ClientFrame, RefusalReason, ReplicaFrame, StatusReport};
use pbft_node::inbox::{InboxError, Life};
use std::io::ErrorKind;
use std::time::Duration;

pub(super) const FULL: &[Handler] = &[
    in_node!("driver/space.rs", "Driver::wait_for_space"),
    in_node!("driver/space.rs", "Driver::shed_load"),
    in_node!("driver/space.rs", "Driver::restart"),
    in_node!("driver/report.rs", "Driver::report_without_space"),
    in_node!("store/mod.rs", "Store::reopen"),
    in_node!("store/error.rs", "StoreError::is_full"),
    in_host!("host.rs", "Host::shed"),
    in_node!("meter.rs", "Meter::on_standing"),
];

pub(super) const ENDS: &[Handler] = &[
    in_node!("driver.rs", "Driver::run"),
    in_node!("driver.rs", "Driver::run_to_the_end"),
    in_node!("store/mod.rs", "Store::catch_up"),
    in_node!("turns.rs", "Turns::push"),
    in_node!("inbox.rs", "Inbox::life"),
    in_host!("perform.rs", "execute_one"),
    in_host!("perform.rs", "Host::execute"),
];

fn bounds(params: &mut Params) {
    (params.checkpoint_interval, params.window) = (8, 16);
    params.batch_requests_max = 1;
    params.status_interval = Duration::from_secs(10);
}

const SPEC: Spec = Spec { replicas: 4, bounds };

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// What clients were told by replica 2, beside results.
fn told(cluster: &mut Cluster<'_>) -> Vec<(u32, ReplicaFrame)> {
    let told = std::mem::take(&mut cluster.told).into_iter();
    told.filter(|(from, ..)| *from == 2).map(|(_, client, frame)| (client.0, frame)).collect()
}

/// A full disk: nothing is said, everybody hears why, and once there is room the replica goes on by itself.
pub(super) fn full(story: &Story) -> Outcome {
    story.about("a cluster in which one disk is full", FULL);
    let mut cluster = Cluster::start(story, SPEC)?;
    cluster.ask(0, &request(1, 0, 1, "write 1 5 1"))?;
    cluster.run(|_| true)?;
    cluster.settle()?;
    let checkpoint = cluster.report(2)?;
    cluster.said(2)?;
    told(&mut cluster);
    cluster.node(2)?.disk.set_full(Some(ErrorKind::StorageFull));
    let began = story.now();
    cluster.ask(0, &request(1, 0, 2, "write 1 5 2"))?;
    cluster.run(|_| true)?;
    expect(Kind::NotDurable, "what it says", Vec::new(), cluster.said(2)?)?;
    expect(Kind::NotDurable, "what it tells clients", Vec::new(), told(&mut cluster))?;
    expect(Kind::Execution, "results of another", 2, count_results(story, &mut cluster)?)?;
    looks_full(&mut cluster, 1)?;
    says_so(&mut cluster, checkpoint)?;
    story.about("time passes", FULL);
    story.sleep(began + ms(1500) - story.now());
    looks_full(&mut cluster, 2)?;
    story.about("a quota is used up", FULL);
    cluster.node(2)?.disk.set_full(Some(ErrorKind::QuotaExceeded));
    story.sleep(ms(1499));
    looks_full(&mut cluster, 3)?;
    story.about("a file may not grow", FULL);
    cluster.node(2)?.disk.set_full(Some(ErrorKind::FileTooLarge));
    story.sleep(ms(2));
    looks_full(&mut cluster, 4)?;
    story.about("there is room, which it sees a second after it looked last", FULL);
    cluster.node(2)?.disk.set_full(None);
    story.sleep(ms(990));
    looks_full(&mut cluster, 4)?;
    story.sleep(ms(10));
    goes_on(&mut cluster, began + ms(4000))
}

/// All results of batch 2 at the replicas whose disks have room: told, and not by the other.
fn count_results(story: &Story, cluster: &mut Cluster<'_>) -> Outcome<usize> {
    let report = cluster.report(1)?;
    story.look_at(2);
    Ok(report.last_executed.0 as usize)
}

fn looks_full(cluster: &mut Cluster<'_>, tries: u64) -> Outcome {
    let node = cluster.node(2)?;
    let (metrics, position) = (&node.metrics, node.inbox.position());
    expect(Kind::Reaction, "times that the disk was found full", tries, metrics.disk_full.get())?;
    expect(Kind::Reaction, "standing, for operators", "no-space", metrics.standing.get())?;
    expect(Kind::Reaction, "not voting, for operators", 1, metrics.not_voting.get())?;
    let published = (position.standing, position.last_executed.0);
    expect(Kind::Reaction, "what is published", (Standing::NoSpace, 1), published)
}

/// What those hear who ask a replica whose disk is full.
fn says_so(cluster: &mut Cluster<'_>, before: StatusReport) -> Outcome {
    let story = cluster.story;
    story.about("somebody asks the replica without room", FULL);
    let expected =
        StatusReport { active: false, state: None, standing: Standing::NoSpace, ..before };
    expect(Kind::Reaction, "its report", expected, cluster.report(2)?)?;
    let asked = request(1, 0, 3, "write 1 5 3");
    let status = framed(&ClientFrame::StatusRequest)?;
    cluster.ask(2, &asked)?;
    let taken = cluster.give(2, 3, &status)?;
    expect(Kind::Refused, "a question for its status", Ok(()), taken)?;
    cluster.settle_one(2)?;
    let refusal = ReplicaFrame::Refused {
        lane: asked.body.lane,
        timestamp: asked.body.timestamp,
        request: crate::refinement::layout::request_digest(&asked.body),
        reason: RefusalReason::Overloaded,
    };
    let mut heard = told(cluster);
    heard.sort_by_key(|(client, _)| *client);
    let answers = vec![(1, refusal), (3, ReplicaFrame::Status(expected))];
    expect(Kind::Reaction, "what clients hear", answers, heard)?;
    let inbox = cluster.node(2)?.inbox.clone();
    let suspected = story.wait(inbox.suspect());
    expect(Kind::Reaction, "what an operator's suspicion comes to", None, suspected)?;
    let life = story.wait(inbox.life(ms(100)));
    expect(Kind::Reaction, "whether it is alive", Life::Alive, life)?;
    expect(Kind::NotDurable, "what it says", Vec::new(), cluster.said(2)?)
}

/// There is room again.
fn goes_on(cluster: &mut Cluster<'_>, since: Duration) -> Outcome {
    let story = cluster.story;
    cluster.settle()?;
    let node = cluster.node(2)?;
    let (standing, openings) = (node.metrics.standing.get(), node.metrics.store_openings.get());
    expect(
        Kind::Reaction,
        "standing and openings, for operators",
        ("votes", 2),
        (standing, openings),
    )?;
    let standing = node.inbox.position().standing;
    expect(Kind::Reaction, "what is published", Standing::Votes, standing)?;
    let starts = cluster.marks(2)?.into_iter().filter(|mark| *mark == Mark::Start).count();
    expect(Kind::Reaction, "starts", 2, starts)?;
    let queries = cluster.node(2)?.queries.clone();
    let answer = story.wait(queries.answer(ClientId(1), b"read 1".to_vec()));
    expect(Kind::Reaction, "a query", Ok((SeqNum(1), vec![1; 5])), answer)?;
    let said = cluster.said(2)?;
    expect(Kind::NotDurable, "what it says of what it had not written", Vec::new(), said)?;
    story.sleep(Duration::from_secs(11));
    cluster.collect(2)?;
    let mut said = cluster.said_when(2)?;
    said.retain(|(_, said)| said == "status");
    let first = since.as_millis() + 10_000;
    expect(Kind::Timer, "its STATUS", vec![(first, "status".to_owned())], said)?;
    cluster.run(|_| true)?;
    let (own, other) = (cluster.report(2)?, cluster.report(1)?);
    let end = (SeqNum(2), other.state, 2);
    let got = (own.last_executed, own.state, own.incarnation);
    expect(Kind::Restart, "the end that it comes to", end, got)
}

/// A replica that is stopped while its disk is full ends in order, and has lost nothing.
pub(super) fn full_and_stopped(story: &Story) -> Outcome {
    story.about("a replica without room is stopped", FULL);
    let mut cluster = Cluster::start(story, SPEC)?;
    cluster.ask(0, &request(1, 0, 1, "write 1 5 1"))?;
    cluster.run(|_| true)?;
    cluster.node(2)?.disk.set_full(Some(ErrorKind::StorageFull));
    cluster.ask(0, &request(1, 0, 2, "write 1 5 2"))?;
    cluster.run(|_| true)?;
    let (ended, disk) = cluster.stop(2)?;
    expect(Kind::Reaction, "its end", Ok(()), ended.map_err(|error| error.to_string()))?;
    cluster.start_one(2, &disk)?;
    let report = cluster.report(2)?;
    let got = (report.last_executed, report.incarnation);
    expect(Kind::Restart, "what it goes on from", (SeqNum(1), 2), got)
}

/// Another error of the disk ends the replica: nothing has left, and nothing is lost.
pub(super) fn fails(story: &Story) -> Outcome {
    story.about("a disk that fails", ENDS);
    let mut cluster = Cluster::start(story, SPEC)?;
    cluster.ask(0, &request(1, 0, 1, "write 1 5 1"))?;
    cluster.run(|_| true)?;
    cluster.settle()?;
    cluster.said(0)?;
    cluster.marks(0)?;
    cluster.node(0)?.disk.set_failing(true);
    cluster.ask(0, &request(1, 0, 2, "write 1 5 2"))?;
    let log = cluster.node(0)?.log.clone();
    let (ended, disk) = cluster.ended(0)?;
    match ended {
        Err(DriverError::Store(error)) if !error.is_full() => {}
        other => return Err(Difference::new(Kind::Reaction, format!("it ends: {other:?}"))),
    }
    expect(Kind::NotDurable, "what it says", Vec::new(), cluster.said(0)?)?;
    let marks = log.take();
    let late = marks.contains(&Mark::Release) || marks.contains(&Mark::Stop);
    demand(Kind::NotDurable, "a release, or an end in order", !late)?;
    cluster.start_one(0, &disk)?;
    let report = cluster.report(0)?;
    expect(Kind::Restart, "what it goes on from", SeqNum(1), report.last_executed)
}

fn to_1(letter: &Letter) -> bool {
    letter.to == 1 && matches!(letter.message, Message::Commit(_))
}

/// A replica that is stopped has written what it told clients, and takes nothing any more.
pub(super) fn stops(story: &Story) -> Outcome {
    story.about("a replica is stopped right after it has executed", ENDS);
    let mut cluster = Cluster::start(story, SPEC)?;
    cluster.ask(0, &request(1, 0, 1, "write 1 5 1"))?;
    let commits = cluster.run(|letter| !to_1(letter))?;
    for letter in &commits {
        cluster.deliver(letter)?;
    }
    story.sleep(ms(1));
    cluster.marks(1)?;
    let (inbox, log) = (cluster.node(1)?.inbox.clone(), cluster.node(1)?.log.clone());
    let (ended, disk) = cluster.stop(1)?;
    expect(Kind::Reaction, "its end", Ok(()), ended.map_err(|error| error.to_string()))?;
    expect(Kind::Execution, "what it told clients", 1, cluster.results(1).len())?;
    expect(Kind::Reaction, "its last words", vec![Mark::Stop], log.take())?;
    let frame = asking(&request(1, 0, 2, "write 1 5 2"))?;
    let stopped = Err(InboxError::Stopped);
    expect(Kind::Accepted, "a client", stopped.clone(), inbox.client_frame(ClientId(1), &frame))?;
    expect(Kind::Accepted, "settling", stopped, story.wait(inbox.settled()))?;
    demand(Kind::Accepted, "a report", story.wait(inbox.report()).is_err())?;
    expect(Kind::Accepted, "a suspicion", None, story.wait(inbox.suspect()))?;
    expect(Kind::Reaction, "its life", Life::Ended, story.wait(inbox.life(ms(100))))?;
    cluster.start_one(1, &disk)?;
    let report = cluster.report(1)?;
    let got = (report.last_executed, report.incarnation);
    expect(Kind::Restart, "what it goes on from", (SeqNum(1), 2), got)
}

fn stop_on_panic(params: &mut Params) {
    bounds(params);
    params.on_service_panic = OnPanic::Stop;
    params.status_interval = NEVER;
}

/// Where a cluster stops when its service panics, nothing of the batch is executed, now or after a restart.
pub(super) fn panics(story: &Story) -> Outcome {
    story.about("a service that panics, in a cluster that stops then", ENDS);
    let spec = Spec { replicas: 4, bounds: stop_on_panic };
    let mut cluster = Cluster::start(story, spec)?;
    cluster.ask(0, &request(1, 0, 1, "write 1 5 1"))?;
    cluster.run(|_| true)?;
    let asked = request(1, 0, 2, "mess 1 2");
    cluster.ask(0, &asked)?;
    let mut commits = cluster.run(|letter| !matches!(letter.message, Message::Commit(_)))?;
    commits.retain(to_1);
    for attempt in ["it gets its COMMITs", "it gets them after a restart"] {
        story.about(attempt, ENDS);
        for letter in &commits {
            cluster.deliver(letter)?;
        }
        let (ended, disk) = cluster.ended(1)?;
        let (seq, digest) = match ended {
            Err(DriverError::ServicePanicked { seq, request, .. }) => (seq, request),
            other => return Err(Difference::new(Kind::Reaction, format!("it ends: {other:?}"))),
        };
        let of = crate::refinement::layout::request_digest(&asked.body);
        expect(Kind::Reaction, "what it ends with", (SeqNum(2), of), (seq, digest))?;
        expect(Kind::Execution, "results", 1, cluster.results(1).len())?;
        cluster.start_one(1, &disk)?;
        let queries = cluster.node(1)?.queries.clone();
        let answer = story.wait(queries.answer(ClientId(1), b"read 1".to_vec()));
        expect(Kind::Restart, "its state", Ok((SeqNum(1), vec![1; 5])), answer)?;
    }
    Ok(())
}
