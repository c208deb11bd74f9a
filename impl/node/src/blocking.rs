//! Work that keeps a thread busy, in the middle of a task.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs `work`, which blocks or computes for long. On a multi-threaded runtime the worker's other tasks move on
/// elsewhere; on a single-threaded one (tests under a paused clock) there is nowhere to move to.
pub(crate) fn blocking<R>(work: impl FnOnce() -> R) -> R {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
