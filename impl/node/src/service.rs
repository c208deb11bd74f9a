//! What a cluster replicates.

use crate::state::State;
use pbft_core::types::ClientId;

/// A deterministic service. Everything it knows is in the [`State`] that it is handed: `execute` cannot even
/// change the service itself, so nothing can be left out of the checkpoints by mistake.
pub trait Service: Send + Sync {
    /// Executes one operation and returns its result.
    ///
    /// The result and the changes to `state` must depend on nothing but the arguments: no clock, no randomness,
    /// no iteration over unordered containers, no files. Operations are bytes from any client on the
    /// allow-list; those that make no sense are answered with a result that says so, never with a panic.
    fn execute(&self, state: &mut State<'_>, client: ClientId, operation: &[u8]) -> Vec<u8>;
}
