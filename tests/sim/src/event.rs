//! What can happen in a simulated cluster. A run is a list of these and nothing else: whoever applies the same list to
//! the same [`super::world::World`] gets the same run, wherever the list came from.

use super::bank::Operation;
use super::disk::Tail;
use pbft_core::Timer;
use pbft_core::types::{Lane, Timestamp};
use pbft_host::Alarm;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// An end of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Node {
    /// A replica's process, by its position. With twins two of them are one replica.
    Host(usize),
    /// A client.
    Client(u32),
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(index) => write!(f, "r{index}"),
            Self::Client(id) => write!(f, "c{id}"),
        }
    }
}

/// Where between an input and the last of its messages a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Boundary {
    /// Nothing was written.
    BeforeWrite,
    /// It was written and not synced.
    Written(Tail),
    /// It is durable, and so many messages left.
    Sent(u8),
}

/// What a host wants to be woken for, as a word that can be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TimerName {
    /// The view-change timer.
    ViewChange,
    /// The status timer.
    Status,
    /// The timer of a batch.
    Batch,
    /// What execution wrote waits long enough.
    PutOff,
}

impl From<Alarm> for TimerName {
    fn from(alarm: Alarm) -> Self {
        match alarm {
            Alarm::Replica(Timer::ViewChange) => Self::ViewChange,
            Alarm::Replica(Timer::Status) => Self::Status,
            Alarm::Replica(Timer::Batch) => Self::Batch,
            Alarm::PutOff => Self::PutOff,
        }
    }
}

impl From<TimerName> for Alarm {
    fn from(name: TimerName) -> Self {
        match name {
            TimerName::ViewChange => Self::Replica(Timer::ViewChange),
            TimerName::Status => Self::Replica(Timer::Status),
            TimerName::Batch => Self::Replica(Timer::Batch),
            TimerName::PutOff => Self::PutOff,
        }
    }
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Event {
    /// A frame arrives.
    Deliver {
        /// Who sent it.
        from: Node,
        /// Whom it reaches.
        to: Node,
        /// Its bytes.
        frame: Arc<[u8]>,
    },
    /// A replica's timer runs out.
    Timer {
        /// The process.
        host: usize,
        /// The timer.
        timer: TimerName,
    },
    /// A client's timer runs out.
    ClientTimer {
        /// The client.
        client: u32,
        /// Its lane.
        lane: u16,
    },
    /// A client submits an operation.
    Submit {
        /// The client.
        client: u32,
        /// Its lane.
        lane: u16,
        /// The request's timestamp.
        timestamp: u64,
        /// The operation.
        operation: Operation,
    },
    /// The disk of a replica has synced what was written.
    Synced {
        /// The process.
        host: usize,
    },
    /// Writing takes time from now on (it ends with [`Event::Synced`]), or none.
    SlowDisk {
        /// The process.
        host: usize,
        /// Whether it does.
        slow: bool,
    },
    /// The next group that writes ends the process, there.
    Arm {
        /// The process.
        host: usize,
        /// Where.
        boundary: Boundary,
    },
    /// The process ends now.
    Crash {
        /// The process.
        host: usize,
        /// What is left of an unsynced write.
        tail: Tail,
    },
    /// The process starts.
    Start {
        /// The process.
        host: usize,
    },
    /// The disk has no room, or has room again.
    DiskFull {
        /// The process.
        host: usize,
        /// Whether it is full.
        full: bool,
    },
    /// Syncing fails, or works again.
    SyncFails {
        /// The process.
        host: usize,
        /// Whether it fails.
        fails: bool,
    },
    /// The disk says that it synced, and does not.
    DiskLies {
        /// The process.
        host: usize,
    },
    /// A bit of the disk changes.
    Flip {
        /// The process.
        host: usize,
        /// Which bit, modulo how many there are.
        bit: u64,
    },
    /// The disk is lost.
    Wipe {
        /// The process.
        host: usize,
    },
    /// The replica's service begins to compute something else than the others'.
    Diverge {
        /// The process.
        host: usize,
    },
    /// Somebody at the replica suspects the primary.
    Suspect {
        /// The process.
        host: usize,
    },
}

impl Event {
    /// The process that it happens to, if it is one's.
    #[must_use]
    pub const fn host(&self) -> Option<usize> {
        match self {
            Self::Deliver { to: Node::Host(host), .. }
            | Self::Timer { host, .. }
            | Self::Synced { host }
            | Self::SlowDisk { host, .. }
            | Self::Arm { host, .. }
            | Self::Crash { host, .. }
            | Self::Start { host }
            | Self::DiskFull { host, .. }
            | Self::SyncFails { host, .. }
            | Self::DiskLies { host }
            | Self::Flip { host, .. }
            | Self::Wipe { host }
            | Self::Diverge { host }
            | Self::Suspect { host } => Some(*host),
            Self::Deliver { to: Node::Client(_), .. }
            | Self::ClientTimer { .. }
            | Self::Submit { .. } => None,
        }
    }
}

/// A client's request, by its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId {
    /// The client.
    pub client: u32,
    /// Its lane.
    pub lane: Lane,
    /// The timestamp.
    pub timestamp: Timestamp,
}

impl RequestId {
    /// The names of a request.
    #[must_use]
    pub const fn of(request: &pbft_core::message::Request) -> Self {
        Self { client: request.client.0, lane: request.lane, timestamp: request.timestamp }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}/{}/{}", self.client, self.lane.0, self.timestamp.0)
    }
}
