//! What a host executes.

use crate::disk::Disk;
use pbft_core::types::ClientId;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The result of an operation on which the service panicked, unless the cluster stops then
/// ([`pbft_core::params::OnPanic`]).
pub const PANICKED: &[u8] = b"refused: the service panicked on this operation";

/// A state that can take back what an operation has changed.
pub trait Undo {
    /// An operation begins: [`Undo::undo`] comes back to here.
    fn begin_operation(&mut self);

    /// The operation under way has changed nothing after all.
    fn undo(&mut self);
}

/// A deterministic service whose state is on a disk. What it may do there is the disk's business.
pub trait Service<D: Disk> {
    /// Executes one operation and returns its result. Both the result and the changes depend on nothing but the
    /// arguments.
    fn execute(&self, state: &mut D::State<'_>, client: ClientId, operation: &[u8]) -> Vec<u8>;
}

/// The service panicked on an operation. The state is as it was before.
pub(crate) struct Panicked {
    /// What it said.
    pub(crate) message: String,
}

/// Executes one operation. A service that panics on it panics at every correct replica and after every restart, so nothing
/// but the operation may fail: what it has changed is undone. A stack that overflows and memory that runs out cannot be
/// caught.
pub(crate) fn execute_or_undo<D: Disk>(
    service: &impl Service<D>,
    state: &mut D::State<'_>,
    client: ClientId,
    operation: &[u8],
) -> Result<Vec<u8>, Panicked> {
    state.begin_operation();
    let execute = AssertUnwindSafe(|| service.execute(state, client, operation));
    catch_unwind(execute).map_err(|panic| {
        state.undo();
        Panicked { message: panic_message(&*panic).to_owned() }
    })
}

/// What a panic said, given what was caught of it.
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}
