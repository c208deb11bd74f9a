//! The reply table (§4.1): the last reply per client and lane. It makes execution exactly-once, and is part of
//! the checkpointed state.

use crate::manifest::ChunkId;
use crate::message::Request;
use crate::types::{ClientId, Digest, Lane, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a lane takes in [`ReplyTable::chunks`] beside its result: client, lane, timestamp, digest, length.
pub(crate) const REPLY_ENTRY_BYTES: usize = 4 + 2 + 8 + 32 + 8;

/// The last reply of one lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReply {
    /// The timestamp of the request.
    pub timestamp: Timestamp,
    /// The digest of the request: no other one with its timestamp gets this reply.
    pub request: Digest,
    /// Its result.
    #[serde(with = "crate::octets")]
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

    /// The table in chunks, in order of their buckets: what a checkpoint holds of it.
    pub fn chunks(&self) -> Vec<Vec<u8>> {
        let buckets: BTreeSet<Bucket> = self.lanes.keys().map(|key| Bucket::of(*key)).collect();
        buckets.into_iter().map(|bucket| self.encode_bucket(bucket)).collect()
    }

    /// The lanes of one bucket, in order; empty if there are none.
    fn encode_bucket(&self, bucket: Bucket) -> Vec<u8> {
        let mut bytes = Vec::new();
        for client in bucket.clients() {
            let (first, last) = bucket.lanes();
            let lanes = self.lanes.range((client, first)..=(client, last));
            lanes.for_each(|(key, reply)| put_entry(*key, reply, &mut bytes));
        }
        bytes
    }

    /// The table of which these are the chunks; `None` for anything that [`Self::chunks`] does not produce.
    pub fn from_chunks<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let (mut table, mut last) = (Self::default(), None);
        for chunk in chunks {
            let (bucket, entries) = read_chunk(chunk)?;
            if last.is_some_and(|last| last >= bucket) {
                return None;
            }
            last = Some(bucket);
            table.lanes.extend(entries);
        }
        Some(table)
    }
}

/// Whether these bytes can be a chunk of a reply table.
pub(crate) fn is_chunk(bytes: &[u8]) -> bool {
    read_chunk(bytes).is_some()
}

type Key = (ClientId, Lane);

fn put_entry((client, lane): Key, reply: &LastReply, bytes: &mut Vec<u8>) {
    bytes.extend(client.0.to_le_bytes());
    bytes.extend(lane.0.to_le_bytes());
    bytes.extend(reply.timestamp.0.to_le_bytes());
    bytes.extend(reply.request.0);
    crate::canonical::put_bytes(&reply.result, bytes);
}

fn read_entry(bytes: &[u8]) -> Option<(Key, LastReply, &[u8])> {
    let (client, rest) = bytes.split_first_chunk::<4>()?;
    let (lane, rest) = rest.split_first_chunk::<2>()?;
    let (timestamp, rest) = rest.split_first_chunk::<8>()?;
    let (request, rest) = rest.split_first_chunk::<32>()?;
    let (len, rest) = rest.split_first_chunk::<8>()?;
    let (result, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*len)).ok()?)?;
    let key = (ClientId(u32::from_le_bytes(*client)), Lane(u16::from_le_bytes(*lane)));
    let timestamp = Timestamp(u64::from_le_bytes(*timestamp));
    let request = Digest(*request);
    Some((key, LastReply { timestamp, request, result: result.into() }, rest))
}

/// The bucket and the lanes of a chunk: not empty, of one bucket, in rising order.
fn read_chunk(mut bytes: &[u8]) -> Option<(Bucket, Vec<(Key, LastReply)>)> {
    let mut entries: Vec<(Key, LastReply)> = Vec::new();
    while !bytes.is_empty() {
        let (key, reply, rest) = read_entry(bytes)?;
        let fits =
            |(last, _): &(Key, LastReply)| *last < key && Bucket::of(*last) == Bucket::of(key);
        if entries.last().is_some_and(|last| !fits(last)) {
            return None;
        }
        entries.push((key, reply));
        bytes = rest;
    }
    let bucket = Bucket::of(entries.first()?.0);
    Some((bucket, entries))
}

/// The part of the reply table that is one chunk of a checkpoint: eight lanes of eight clients with neighbouring
/// numbers. A reply costs the encoding of at most 64 entries at the next checkpoint, whether a few clients use all
/// their lanes or many clients use one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Bucket {
    clients: u32,
    lanes: u16,
}

/// Clients in a bucket.
const BUCKET_CLIENTS: u32 = 8;

/// Lanes of a client in a bucket.
const BUCKET_LANES: u16 = 8;

/// The most lanes in a chunk of the reply table.
pub(crate) const BUCKET_ENTRIES: usize = BUCKET_CLIENTS as usize * BUCKET_LANES as usize;

impl Bucket {
    fn of((client, lane): Key) -> Self {
        Self { clients: client.0 / BUCKET_CLIENTS, lanes: lane.0 / BUCKET_LANES }
    }

    fn clients(self) -> impl Iterator<Item = ClientId> {
        let first = self.clients * BUCKET_CLIENTS;
        (first..=first + (BUCKET_CLIENTS - 1)).map(ClientId)
    }

    fn lanes(self) -> (Lane, Lane) {
        let first = self.lanes * BUCKET_LANES;
        (Lane(first), Lane(first + (BUCKET_LANES - 1)))
    }
}

/// The chunks of the reply table as the last checkpoint had them, and what has changed since: only that is encoded and
/// hashed at the next.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct ReplyChunks {
    known: BTreeMap<Bucket, ChunkId>,
    changed: BTreeSet<Bucket>,
}

impl ReplyChunks {
    /// Nothing is known of the chunks of `table`.
    pub(crate) fn new(table: &ReplyTable) -> Self {
        let changed = table.lanes.keys().map(|key| Bucket::of(*key)).collect();
        Self { known: BTreeMap::new(), changed }
    }

    /// The lane has another last reply.
    pub(crate) fn changed(&mut self, client: ClientId, lane: Lane) {
        self.changed.insert(Bucket::of((client, lane)));
    }

    /// The chunks of `table` in order, and the bytes of those that changed.
    pub(crate) fn refresh(&mut self, table: &ReplyTable) -> (Vec<ChunkId>, Vec<Arc<[u8]>>) {
        let mut new: Vec<Arc<[u8]>> = Vec::new();
        for bucket in std::mem::take(&mut self.changed) {
            let bytes = table.encode_bucket(bucket);
            if bytes.is_empty() {
                self.known.remove(&bucket);
                continue;
            }
            let chunk = ChunkId::of(&bytes);
            if self.known.insert(bucket, chunk) != Some(chunk) {
                new.push(bytes.into());
            }
        }
        (self.known.values().copied().collect(), new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(lanes: &[(u32, u16, u8)]) -> ReplyTable {
        let mut table = ReplyTable::default();
        for (client, lane, result) in lanes {
            let request = Digest::default();
            let reply = LastReply { timestamp: Timestamp(1), request, result: [*result].into() };
            table.record(ClientId(*client), Lane(*lane), reply);
        }
        table
    }

    /// Outside fault F19: The reply table is encoded, hashed and written whole at every checkpoint.
    #[test]
    fn only_the_chunks_of_lanes_that_changed_are_encoded_again() {
        let lanes: Vec<_> = (0..64).flat_map(|c| (0..32).map(move |l| (c, l, 1))).collect();
        let mut replies = table(&lanes);
        let mut chunks = ReplyChunks::new(&replies);
        let (all, new) = chunks.refresh(&replies);
        assert_eq!((all.len(), new.len()), (8 * 4, 8 * 4));
        assert_eq!(chunks.refresh(&replies), (all.clone(), Vec::new()), "nothing changed");
        let request = Digest::default();
        let reply = LastReply { timestamp: Timestamp(2), request, result: [2].into() };
        replies.record(ClientId(9), Lane(17), reply);
        chunks.changed(ClientId(9), Lane(17));
        let (again, new) = chunks.refresh(&replies);
        assert_eq!(new.len(), 1, "one chunk of 32");
        assert_eq!(new[0].len(), BUCKET_ENTRIES * (REPLY_ENTRY_BYTES + 1));
        assert_eq!(again.iter().filter(|chunk| !all.contains(chunk)).count(), 1);
        let (fresh, _) = ReplyChunks::new(&replies).refresh(&replies);
        assert_eq!(again, fresh, "as if nothing had been known");
    }

    #[test]
    fn chunks_that_no_table_has_are_refused() {
        let table = table(&[(1, 1, 1), (1, 9, 2), (7, 2, 3), (8, 0, 4), (u32::MAX, u16::MAX, 5)]);
        let chunks = table.chunks();
        let read = |chunks: &[Vec<u8>]| ReplyTable::from_chunks(chunks.iter().map(|c| &**c));
        assert_eq!(chunks.len(), 4);
        assert_eq!(read(&chunks), Some(table));
        let mut swapped = chunks.clone();
        swapped.swap(0, 1);
        assert_eq!(read(&swapped), None, "out of order");
        let joined = [chunks[0].clone(), chunks[1].clone()].concat();
        assert_eq!(read(&[joined]), None, "two buckets in one chunk");
        assert_eq!(read(&[Vec::new()]), None, "an empty chunk");
        assert_eq!(read(&[chunks[0][1..].to_vec()]), None);
        assert!(is_chunk(&chunks[0]) && !is_chunk(b"no table"));
    }
}
