//! A run in lines: one an event, a column a replica that shows where the event led it.

use super::event::{Event, Node};
use super::fault::Plan;
use super::process::{Down, Process};
use super::world::{Mode, World};
use core::time::Duration;
use pbft_core::message::Message;
use pbft_node::codec;
use pbft_node::frame::{ClientFrame, ReplicaFrame};
use serde::Serialize;
use std::fmt::Write as _;

/// The width of the column that says what happens.
const WHAT: usize = 50;

/// The width of a replica's column.
const COLUMN: usize = 13;

/// One line.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The virtual time in milliseconds, if the run had one.
    pub at: Option<f64>,
    /// What happens.
    pub what: String,
    /// Where each replica is afterwards, if that is somewhere else than before.
    pub replicas: Vec<Option<String>>,
}

/// What a frame says, in a few words.
#[must_use]
pub fn describe_frame(from: Node, to: Node, frame: &[u8]) -> String {
    match (from, to) {
        (Node::Client(_), _) => match codec::decode(frame) {
            Ok(ClientFrame::Request(request)) => {
                format!("request {}", super::event::RequestId::of(&request.body))
            }
            _ => format!("{} bytes", frame.len()),
        },
        (_, Node::Client(_)) => match codec::decode(frame) {
            Ok(ReplicaFrame::Reply(reply)) => {
                format!("reply {}/{} in {}", reply.body.lane, reply.body.timestamp, reply.body.view)
            }
            Ok(ReplicaFrame::Refused { timestamp, reason, .. }) => {
                format!("refuses {timestamp}: {reason}")
            }
            _ => format!("{} bytes", frame.len()),
        },
        _ => {
            codec::decode(frame).map_or_else(|_| format!("{} bytes", frame.len()), |m| describe(&m))
        }
    }
}

fn describe(message: &Message) -> String {
    let vote = |name: &str, view: pbft_core::types::View, seq, digest: pbft_core::types::Digest| {
        format!("{name} {view} {seq} {:.6}", digest.to_string())
    };
    match message {
        Message::Request(request) => {
            format!("relays {}", super::event::RequestId::of(&request.body))
        }
        Message::PrePrepare(one) => {
            let body = &one.pre_prepare.body;
            vote("PRE-PREPARE", body.view, body.seq, body.digest)
        }
        Message::Prepare(one) => vote("PREPARE", one.body.view, one.body.seq, one.body.digest),
        Message::Commit(one) => vote("COMMIT", one.body.view, one.body.seq, one.body.digest),
        Message::Checkpoint(one) => {
            format!("CHECKPOINT {} {:.6}", one.body.seq, one.body.digest.to_string())
        }
        Message::ViewChange(one) => {
            let body = &one.body;
            format!(
                "VIEW-CHANGE {} of {} h={} P={}",
                body.view,
                body.replica,
                body.low_water_mark,
                body.prepared.len()
            )
        }
        Message::NewView(one) => {
            format!(
                "NEW-VIEW {} of {} O={}",
                one.body.view,
                one.body.replica,
                one.body.pre_prepares.len()
            )
        }
        Message::Status(one) => {
            let active = if one.body.active { "" } else { "~" };
            format!(
                "status {}{active} {} h={}",
                one.body.view, one.body.last_executed, one.body.low_water_mark
            )
        }
        Message::Committed(one) => {
            let seq = one.commits.first().map_or(pbft_core::types::SeqNum(0), |vote| vote.body.seq);
            format!("certificate of {seq}")
        }
        Message::Stable(one) => {
            let seq =
                one.checkpoints.first().map_or(pbft_core::types::SeqNum(0), |vote| vote.body.seq);
            format!("stable {seq}")
        }
        Message::FetchBatch(digest) => format!("fetches batch {:.6}", digest.to_string()),
        Message::Batch(batch) => format!("batch {:.6}", batch.digest().to_string()),
        Message::FetchState(fetch) => format!("fetches {:?} of {}", fetch.part, fetch.seq),
        Message::StateData(data) => {
            format!("{:?} of {}, {} bytes", data.part, data.seq, data.bytes.len())
        }
    }
}

/// What happens, in a few words.
#[must_use]
pub fn describe_event(event: &Event) -> String {
    match event {
        Event::Deliver { from, to, frame } => {
            format!("{from} → {to}  {}", describe_frame(*from, *to, frame))
        }
        Event::Timer { host, timer } => format!("r{host}       {timer:?} timer runs out"),
        Event::ClientTimer { client, lane } => {
            format!("c{client}       loses patience on lane {lane}")
        }
        Event::Submit { client, lane, timestamp, operation } => {
            format!("c{client}       {operation} as {lane}/{timestamp}")
        }
        Event::Synced { host } => format!("r{host}       disk has synced"),
        Event::SlowDisk { host, slow } => {
            format!("r{host}       disk is {}", if *slow { "slow" } else { "fast" })
        }
        Event::Arm { host, boundary } => format!("r{host}       is to end at {boundary:?}"),
        Event::Crash { host, tail } => format!("r{host}       ends, unsynced writes: {tail:?}"),
        Event::Start { host } => format!("r{host}       starts"),
        Event::DiskFull { host, full } => format!("r{host}       disk full: {full}"),
        Event::SyncFails { host, fails } => format!("r{host}       fsync fails: {fails}"),
        Event::DiskLies { host } => format!("r{host}       fsync lies from now on"),
        Event::Flip { host, bit } => format!("r{host}       bit {bit} of the disk changes"),
        Event::Wipe { host } => format!("r{host}       loses its disk"),
        Event::Diverge { host } => format!("r{host}       computes something else from now on"),
        Event::Suspect { host } => format!("r{host}       suspects the primary"),
    }
}

/// Where a replica is: its view (with `~` while it changes to it), the last batch that it executed, its low water mark.
fn place(host: &Process) -> String {
    match (host.replica(), host.down()) {
        (Some(replica), _) => {
            let status = replica.status();
            let changing = if status.active { "" } else { "~" };
            format!(
                "{}{changing} {} h{}",
                status.view, status.last_executed, status.low_water_mark.0
            )
        }
        (None, Some(Down::Crashed) | None) => "down".to_owned(),
        (None, Some(Down::Disk(error))) => match error {
            super::disk::DiskError::Full => "disk full".to_owned(),
            super::disk::DiskError::SyncFailed => "fsync failed".to_owned(),
            super::disk::DiskError::Corrupt => "disk corrupt".to_owned(),
            super::disk::DiskError::Lost => "disk lost".to_owned(),
            super::disk::DiskError::Impossible => "impossible write".to_owned(),
        },
        (None, Some(Down::Halted(_))) => "halted".to_owned(),
        (None, Some(Down::Failed(_))) => "failed".to_owned(),
    }
}

/// The lines of a list of events. With `replay` they are a shortened list.
#[must_use]
pub fn rows(plan: &Plan, events: &[(Option<Duration>, Event)], replay: bool) -> Vec<Row> {
    let Ok(mut world) = World::new(plan, Mode { record: false, replay }) else { return Vec::new() };
    if replay {
        world.boot();
    }
    let mut before: Vec<String> = world.hosts.iter().map(place).collect();
    let mut rows = Vec::new();
    for (at, event) in events {
        let applied = super::judge::guarded(|| world.apply(event));
        world.output.clear();
        let now: Vec<String> = world.hosts.iter().map(place).collect();
        let differs = |(was, is): (&String, &String)| (was != is).then(|| is.clone());
        let what = match applied {
            Ok(_) => describe_event(event),
            Err(panic) => format!("{} PANIC: {}", describe_event(event), panic.detail),
        };
        let at = at.map(|at| at.as_secs_f64() * 1000.0);
        rows.push(Row { at, what, replicas: before.iter().zip(&now).map(differs).collect() });
        before = now;
    }
    rows
}

/// The lines as text, with a heading.
#[must_use]
pub fn table(plan: &Plan, rows: &[Row]) -> String {
    let hosts = rows.first().map_or(plan.n as usize, |row| row.replicas.len());
    let mut text = format!("{:>9}  {:<WHAT$}", "ms", "event");
    for host in 0..hosts {
        let mark = if plan.faulty().contains(&host) || host >= plan.n as usize { "*" } else { "" };
        let _ = write!(text, " {:<COLUMN$}", format!("r{host}{mark}"));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    for (number, row) in rows.iter().enumerate() {
        let at = row.at.map_or_else(|| (number + 1).to_string(), |at| format!("{at:.1}"));
        let _ = write!(text, "{at:>9}  {:<WHAT$}", row.what);
        for replica in &row.replicas {
            let _ = write!(text, " {:<COLUMN$}", replica.as_deref().unwrap_or("·"));
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}
