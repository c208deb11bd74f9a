//! How many lines of the log were lost, because nobody took them. One number for the process, as there is one log: who
//! starts it says with [`count_with`] how that number is known.

use std::sync::OnceLock;

static LOST: OnceLock<fn() -> u64> = OnceLock::new();

/// The number, for [`crate::metrics::Metrics`].
#[derive(Clone, Copy, Debug, Default)]
pub struct LostLines(());

impl LostLines {
    /// How many lines this process has lost.
    pub fn get(self) -> u64 {
        LOST.get().map_or(0, |count| count())
    }
}

/// From now on the process has lost as many lines as `count` says, which never falls.
pub fn count_with(count: fn() -> u64) {
    // A second log in one process (in tests) is not counted.
    let _ = LOST.set(count);
}
