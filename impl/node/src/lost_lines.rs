//! How many lines of the log were lost, because nobody took them. One number for the process, as there is one log.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing_appender::non_blocking::ErrorCounter;

/// Lines that could not be written.
static UNWRITTEN: AtomicU64 = AtomicU64::new(0);

/// Counts the lines for which there was no room in the queue, if there is one.
static UNQUEUED: OnceLock<ErrorCounter> = OnceLock::new();

/// The number, for [`crate::metrics::Metrics`].
#[derive(Clone, Copy, Debug, Default)]
pub struct LostLines(());

impl LostLines {
    /// How many lines this process has lost.
    pub fn get(self) -> u64 {
        let unqueued = UNQUEUED.get().map_or(0, ErrorCounter::dropped_lines);
        UNWRITTEN.load(Ordering::Relaxed).saturating_add(unqueued as u64)
    }
}

/// A line could not be written.
pub(crate) fn count_unwritten() {
    UNWRITTEN.fetch_add(1, Ordering::Relaxed);
}

/// From now on `counter` counts the lines for which there was no room.
pub(crate) fn count_with(counter: ErrorCounter) {
    // A second log in one process (in tests) is not counted.
    let _ = UNQUEUED.set(counter);
}
