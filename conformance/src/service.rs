//! The service of the replays: a history. It applies an operation by appending it, so two replicas have the same
//! state exactly when they applied the same operations in the same order.

use pbft_model::Value;
use std::sync::Arc;

/// The operation of a client's one request.
pub fn operation(client: u8) -> Vec<u8> {
    vec![client]
}

/// The value whose operation this is.
pub fn value(operation: &[u8]) -> Value {
    match operation {
        [client @ 1..=Value::MAX_REQUESTS] => Value::request(*client),
        _ => Value::FORGED,
    }
}

/// The result of the operation that was applied at this position: the position.
pub fn result(position: usize) -> Vec<u8> {
    vec![position as u8]
}

/// The result, as replies carry it.
pub fn shared_result(position: usize) -> Arc<[u8]> {
    result(position).into()
}

/// The one chunk of a history.
pub fn snapshot(history: impl Iterator<Item = Value>) -> Vec<u8> {
    history.map(|value| value.0).collect()
}
