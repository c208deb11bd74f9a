//! Time that a thread has had the processor, so that other work on the machine does not count.

use core::time::Duration;
use std::sync::OnceLock;
use std::time::Instant;

/// How long this thread has had the processor, where the system tells it; elsewhere how long it is since the first call.
#[must_use]
pub fn processor_time() -> Duration {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let first = FIRST.get_or_init(Instant::now);
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|word| word.parse().ok());
    nanoseconds.map_or_else(|| first.elapsed(), Duration::from_nanos)
}
