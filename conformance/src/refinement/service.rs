//! The service of the replays: a history. It applies an operation by appending it, so two replicas have the same
//! state exactly when they applied the same operations in the same order.
//!
//! On the core it is a list. In the production node it is a [`Service`] like any other, whose state lies in the
//! node's store; its snapshot is the one pair of that state, as the node encodes it.

use pbft_core::types::ClientId;
use pbft_model::Value;
use pbft_node::service::{Service, ServiceId};
use pbft_node::state::State;
use std::sync::Arc;

/// Where the history is kept in the node's state.
const KEY: &[u8] = b"history";

/// The operation of a client's request with this timestamp.
pub fn operation(client: u8, timestamp: u8) -> Vec<u8> {
    match timestamp {
        1 => vec![client],
        _ => vec![client, timestamp],
    }
}

/// The value whose operation this is.
pub fn value(operation: &[u8]) -> Value {
    match operation {
        [client @ 1..=Value::MAX_CLIENTS] => Value::request(*client),
        [client @ 1..=Value::MAX_CLIENTS_OF_TWO, 2] => Value::numbered(*client, 2),
        _ => Value::FORGED,
    }
}

/// The result of the operation that was applied at this position: the position.
pub fn result(position: usize) -> Arc<[u8]> {
    Arc::new([position as u8])
}

/// The chunks of a history: none if nothing was applied, else one with one pair.
pub fn chunks(history: &[Value]) -> Vec<Vec<u8>> {
    if history.is_empty() {
        return Vec::new();
    }
    let history: Vec<u8> = history.iter().map(|value| value.0).collect();
    let mut chunk = Vec::new();
    for bytes in [KEY, &history] {
        chunk.extend((bytes.len() as u32).to_le_bytes());
        chunk.extend(bytes);
    }
    vec![chunk]
}

/// The history in a chunk.
pub fn history(chunk: &[u8]) -> Vec<Value> {
    chunk.iter().skip(8 + KEY.len()).copied().map(Value).collect()
}

/// The history in the pairs of a node's state.
pub fn stored(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<Value> {
    let found = pairs.iter().find(|(key, _)| key == KEY);
    found.map(|(_, value)| value.iter().copied().map(Value).collect()).unwrap_or_default()
}

/// The history as a service of the production node.
#[derive(Clone, Copy, Debug)]
pub struct History;

impl Service for History {
    fn id(&self) -> ServiceId {
        ServiceId::new("history", 1)
    }

    fn execute(&self, state: &mut State<'_>, _: ClientId, operation: &[u8]) -> Vec<u8> {
        let mut history = state.get(KEY).unwrap_or_default();
        let position = history.len();
        history.push(value(operation).0);
        // A history of the model's few values is far below any limit of the store.
        let _ = state.put(KEY, &history);
        result(position).to_vec()
    }
}
