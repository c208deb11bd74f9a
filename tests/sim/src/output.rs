//! What an event leads to.

use super::event::Node;
use core::time::Duration;
use pbft_host::Alarm;
use std::sync::Arc;

/// What an event leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A frame is under way.
    Frame {
        /// From whom.
        from: Node,
        /// To whom.
        to: Node,
        /// When it leaves, from now.
        after: Duration,
        /// Its bytes.
        frame: Arc<[u8]>,
    },
    /// A replica's timer was set, or stopped.
    Timer {
        /// The process.
        host: usize,
        /// The timer.
        timer: Alarm,
        /// When it runs out.
        after: Option<Duration>,
    },
    /// A client's timer was set, or stopped.
    ClientTimer {
        /// The client.
        client: u32,
        /// Its lane.
        lane: u16,
        /// When it runs out.
        after: Option<Duration>,
    },
    /// A client accepted a result, or could not submit.
    Answered {
        /// The client.
        client: u32,
        /// Its lane.
        lane: u16,
    },
    /// A client's request gets no result, because its timestamp is spent.
    Spent {
        /// The client.
        client: u32,
        /// Its lane.
        lane: u16,
        /// The last timestamp that was used.
        last: u64,
        /// Whether the operation was not executed, and is asked for again.
        again: bool,
    },
    /// A process waits for its disk.
    Writing {
        /// The process.
        host: usize,
    },
    /// A process ended.
    Ended {
        /// The process.
        host: usize,
    },
}
