//! A key-value service: `put KEY VALUE`, `get KEY`, `delete KEY`, `list PREFIX`.

use pbft_core::types::ClientId;
use pbft_node::service::{Service, ServiceId};
use pbft_node::state::{ReadState, State, StateView};

/// The most keys in the answer to a `list`.
const LIST_MAX: usize = 100;

/// The service. It has no field: what it knows is in the state.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyValue;

impl Service for KeyValue {
    fn id(&self) -> ServiceId {
        ServiceId::new("key-value", 1)
    }

    fn execute(&self, state: &mut State<'_>, _client: ClientId, operation: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(operation);
        match text.splitn(3, ' ').collect::<Vec<_>>()[..] {
            ["put", key, value] => match state.put(key.as_bytes(), value.as_bytes()) {
                Ok(()) => b"ok".to_vec(),
                Err(error) => format!("refused: {error}").into_bytes(),
            },
            ["delete", key] => match state.delete(key.as_bytes()) {
                true => b"ok".to_vec(),
                false => b"none".to_vec(),
            },
            _ => read(state, &text),
        }
    }

    fn query(&self, state: &mut StateView, _client: ClientId, query: &[u8]) -> Vec<u8> {
        read(state, &String::from_utf8_lossy(query))
    }
}

/// What reads and changes nothing, ordered or not.
fn read(state: &mut impl ReadState, text: &str) -> Vec<u8> {
    match text.split_once(' ') {
        Some(("get", key)) => state.get(key.as_bytes()).unwrap_or_else(|| b"none".to_vec()),
        Some(("list", prefix)) => {
            let pairs = state.range(prefix.as_bytes(), None, LIST_MAX);
            let keys = pairs.into_iter().map(|(key, _)| key);
            let own = keys.take_while(|key| key.starts_with(prefix.as_bytes()));
            own.collect::<Vec<_>>().join(&b' ')
        }
        _ => b"refused: put KEY VALUE | get KEY | delete KEY | list PREFIX".to_vec(),
    }
}
