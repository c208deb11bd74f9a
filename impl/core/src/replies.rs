//! The reply table (§4.1): the last reply per client and lane. It makes execution exactly-once, and is part of
//! the checkpointed state.

use crate::message::Request;
use crate::types::{ClientId, Digest, Lane, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a lane takes in [`ReplyTable::encode`] beside its result: client, lane, timestamp, digest, length.
pub(crate) const REPLY_ENTRY_BYTES: usize = 4 + 2 + 8 + 32 + 8;

/// The last reply of one lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReply {
    /// The timestamp of the request.
    pub timestamp: Timestamp,
    /// The digest of the request: no other one with its timestamp gets this reply.
    pub request: Digest,
    /// Its result.
    pub result: Arc<[u8]>,
}

impl LastReply {
    /// The reply to `request`.
    pub fn to(request: &Request, result: Arc<[u8]>) -> Self {
        Self { timestamp: request.timestamp, request: request.digest(), result }
    }
}

/// The last reply per client and lane.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReplyTable {
    lanes: BTreeMap<(ClientId, Lane), LastReply>,
}

impl ReplyTable {
    /// The last reply to `client` on `lane`.
    pub fn last(&self, client: ClientId, lane: Lane) -> Option<&LastReply> {
        self.lanes.get(&(client, lane))
    }

    /// Whether a request with this timestamp was executed, or a later one of its lane.
    pub fn is_executed(&self, client: ClientId, lane: Lane, timestamp: Timestamp) -> bool {
        self.last(client, lane).is_some_and(|last| timestamp <= last.timestamp)
    }

    /// Records a reply.
    pub fn record(&mut self, client: ClientId, lane: Lane, reply: LastReply) {
        self.lanes.insert((client, lane), reply);
    }

    /// All lanes, in order.
    pub fn iter(&self) -> impl Iterator<Item = (ClientId, Lane, &LastReply)> {
        self.lanes.iter().map(|((client, lane), reply)| (*client, *lane, reply))
    }

    /// The canonical bytes: chunk 0 of a checkpoint.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (client, lane, reply) in self.iter() {
            bytes.extend(client.0.to_le_bytes());
            bytes.extend(lane.0.to_le_bytes());
            bytes.extend(reply.timestamp.0.to_le_bytes());
            bytes.extend(reply.request.0);
            crate::canonical::put_bytes(&reply.result, &mut bytes);
        }
        bytes
    }

    /// Reads canonical bytes; `None` for anything that [`Self::encode`] does not produce.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut table = Self::default();
        while !bytes.is_empty() {
            let (client, rest) = bytes.split_first_chunk::<4>()?;
            let (lane, rest) = rest.split_first_chunk::<2>()?;
            let (timestamp, rest) = rest.split_first_chunk::<8>()?;
            let (request, rest) = rest.split_first_chunk::<32>()?;
            let (len, rest) = rest.split_first_chunk::<8>()?;
            let (result, rest) =
                rest.split_at_checked(usize::try_from(u64::from_le_bytes(*len)).ok()?)?;
            let key = (ClientId(u32::from_le_bytes(*client)), Lane(u16::from_le_bytes(*lane)));
            if table.lanes.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return None;
            }
            let timestamp = Timestamp(u64::from_le_bytes(*timestamp));
            let request = Digest(*request);
            table.lanes.insert(key, LastReply { timestamp, request, result: result.into() });
            bytes = rest;
        }
        Some(table)
    }
}
