//! The service of the tests: a key-value store in four chunks. Like a node's store it keeps the state, the reply
//! table and the checkpoints durably.

use pbft_core::ServiceState;
use pbft_core::manifest::{ChunkId, KeptStates, Manifest, chunk_digest};
use pbft_core::message::{Request, Signed};
use pbft_core::replies::{LastReply, ReplyTable};
use pbft_core::types::SeqNum;
use std::collections::BTreeMap;
use std::sync::Arc;

const CHUNKS: usize = 4;

/// How often each operation was executed.
pub type Entries = BTreeMap<Vec<u8>, u64>;

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Service {
    pub last_executed: SeqNum,
    pub replies: ReplyTable,
    /// How often each operation was executed.
    pub entries: Entries,
    /// Added to each result: a service with another value here is not deterministic.
    pub skew: u64,
    /// Its checkpoints, and what is fetched.
    pub kept: KeptStates,
}

impl Service {
    /// Counts the operation; its result is how often it was executed.
    pub fn execute(&mut self, seq: SeqNum, requests: &[Arc<Signed<Request>>]) -> Vec<Arc<[u8]>> {
        assert_eq!(seq, self.last_executed.next(), "executed in order");
        self.last_executed = seq;
        let apply = |request: &Arc<Signed<Request>>| {
            let Request { client, lane, operation, .. } = request.body.clone();
            let count = self.entries.entry(operation).or_default();
            *count += 1 + self.skew;
            let result: Arc<[u8]> = count.to_le_bytes().into();
            let reply = LastReply::to(&request.body, Arc::clone(&result));
            self.replies.record(client, lane, reply);
            result
        };
        requests.iter().map(apply).collect()
    }

    fn chunk(&self, index: usize) -> Arc<[u8]> {
        let mut bytes = Vec::new();
        let own = |key: &[u8]| key.iter().map(|byte| usize::from(*byte)).sum::<usize>() % CHUNKS;
        for (key, value) in self.entries.iter().filter(|(key, _)| own(key) == index) {
            bytes.extend((key.len() as u64).to_le_bytes());
            bytes.extend(key);
            bytes.extend(value.to_le_bytes());
        }
        bytes.into()
    }

    pub fn chunks(&self) -> Vec<ChunkId> {
        (0..CHUNKS).map(|index| ChunkId::of(&self.chunk(index))).collect()
    }

    pub fn store(&mut self, manifest: &Manifest, replies: Vec<Arc<[u8]>>) {
        let chunks: Vec<_> = (0..CHUNKS).map(|index| self.chunk(index)).collect();
        assert!(self.kept.keep(manifest, replies.into_iter().chain(chunks)), "all is here");
    }

    pub fn install(&mut self, manifest: &Manifest) -> ReplyTable {
        assert!(manifest.seq > self.last_executed, "a transfer never goes back");
        let (replies, service) = self.kept.install(manifest).expect("all chunks are here");
        let digests: Vec<_> = service.iter().map(|bytes| chunk_digest(bytes)).collect();
        let named = manifest.service_chunks().iter().map(|chunk| chunk.digest);
        assert_eq!(digests, named.collect::<Vec<_>>(), "only checked chunks are staged");
        self.entries = service.iter().flat_map(|bytes| read_entries(bytes)).collect();
        (self.last_executed, self.replies) = (manifest.seq, replies.clone());
        replies
    }

    /// What a node hands to a restarting replica.
    pub fn state(&self) -> ServiceState {
        ServiceState {
            last_executed: self.last_executed,
            replies: self.replies.clone(),
            manifests: self.kept.manifests().cloned().collect(),
            staged: self.kept.staged().collect(),
        }
    }
}

fn read_entries(mut bytes: &[u8]) -> Vec<(Vec<u8>, u64)> {
    let mut entries = Vec::new();
    while let Some((len, rest)) = bytes.split_first_chunk::<8>() {
        let (key, rest) = rest.split_at(u64::from_le_bytes(*len) as usize);
        let (value, rest) = rest.split_first_chunk::<8>().expect("a value follows its key");
        entries.push((key.to_vec(), u64::from_le_bytes(*value)));
        bytes = rest;
    }
    entries
}
