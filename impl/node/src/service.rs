//! What a cluster replicates.

use crate::state::{State, StateView};
use pbft_core::types::ClientId;

/// What a service without queries answers to one.
pub const NO_QUERIES: &[u8] = b"refused: this service answers no queries";

/// A deterministic service. Everything it knows is in the [`State`] that it is handed: `execute` cannot even
/// change the service itself, so nothing can be left out of the checkpoints by mistake.
///
/// The state's digest, its division into chunks, and their transfer to a replica that lags behind are the state's
/// business, not the service's: a service only gets, puts, deletes and ranges over pairs.
pub trait Service: Send + Sync {
    /// Executes one operation and returns its result.
    ///
    /// The result and the changes to `state` must depend on nothing but the arguments: no clock, no randomness,
    /// no iteration over unordered containers, no files. Operations are bytes from any client on the
    /// allow-list; those that make no sense are answered with a result that says so, never with a panic.
    fn execute(&self, state: &mut State<'_>, client: ClientId, operation: &[u8]) -> Vec<u8>;

    /// Answers a question about one replica's state as it is there and then. Nothing is ordered, so the answer may be
    /// older than results that the client has already; it runs beside the execution, and holds nothing up.
    fn query(&self, _state: &mut StateView, _client: ClientId, _query: &[u8]) -> Vec<u8> {
        NO_QUERIES.to_vec()
    }
}

impl<S: Service + ?Sized> Service for std::sync::Arc<S> {
    fn execute(&self, state: &mut State<'_>, client: ClientId, operation: &[u8]) -> Vec<u8> {
        (**self).execute(state, client, operation)
    }

    fn query(&self, state: &mut StateView, client: ClientId, query: &[u8]) -> Vec<u8> {
        (**self).query(state, client, query)
    }
}
