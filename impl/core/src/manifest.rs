//! What a checkpoint's digest covers (§4.3): the sequence number, the reply table and the service state, as a
//! two-level Merkle tree. A replica that fetches state checks the manifest against the stable certificate and
//! each chunk against the manifest, so a lying source is caught at the first chunk.

use crate::canonical::{HashDomain, hash};
use crate::message::StatePart;
use crate::replies::ReplyTable;
use crate::types::{Digest, SeqNum};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most chunks in a manifest: bounds what a peer can make a replica hold before a digest is checked.
pub const CHUNKS_MAX: usize = 1 << 20;

/// The bytes of a manifest before its chunks: sequence number and number of reply chunks.
const HEAD_BYTES: usize = 8 + 4;

/// The bytes of a chunk in a manifest: digest and length.
const CHUNK_ENTRY_BYTES: usize = 32 + 4;

/// One chunk of state as a manifest names it. With its length, whoever asks for it knows what is on its way, and
/// whoever serves it what the answer costs, before a byte was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChunkId {
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many there are.
    pub len: u32,
}

impl ChunkId {
    /// The chunk with these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { digest: chunk_digest(bytes), len: bytes.len() as u32 }
    }
}

/// The chunks of a state: first those of the reply table, then the service's, each in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The last batch in the state.
    pub seq: SeqNum,
    /// How many of the chunks are the reply table's.
    pub replies: u32,
    /// All chunks.
    pub chunks: Vec<ChunkId>,
}

/// The digest of one chunk of state.
pub fn chunk_digest(bytes: &[u8]) -> Digest {
    hash(HashDomain::Chunk, bytes)
}

impl Manifest {
    /// The manifest of a state with these chunks.
    pub fn new(seq: SeqNum, replies: Vec<ChunkId>, service: Vec<ChunkId>) -> Self {
        let count = replies.len() as u32;
        Self { seq, replies: count, chunks: [replies, service].concat() }
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.encoded_len());
        bytes.extend(self.seq.0.to_le_bytes());
        bytes.extend(self.replies.to_le_bytes());
        for chunk in &self.chunks {
            bytes.extend(chunk.digest.0);
            bytes.extend(chunk.len.to_le_bytes());
        }
        bytes
    }

    /// The length of [`Self::encode`].
    pub fn encoded_len(&self) -> usize {
        HEAD_BYTES + CHUNK_ENTRY_BYTES * self.chunks.len()
    }

    /// Reads canonical bytes; `None` for anything that [`Self::encode`] does not produce.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (seq, rest) = bytes.split_first_chunk::<8>()?;
        let (replies, rest) = rest.split_first_chunk::<4>()?;
        let (entries, rest) = rest.as_chunks::<CHUNK_ENTRY_BYTES>();
        let replies = u32::from_le_bytes(*replies);
        if !rest.is_empty() || entries.len() > CHUNKS_MAX || replies as usize > entries.len() {
            return None;
        }
        let chunks = entries.iter().map(|entry| {
            let (digest, len) = entry.split_first_chunk::<32>()?;
            let len = u32::from_le_bytes(*len.first_chunk()?);
            Some(ChunkId { digest: Digest(*digest), len })
        });
        Some(Self {
            seq: SeqNum(u64::from_le_bytes(*seq)),
            replies,
            chunks: chunks.collect::<Option<_>>()?,
        })
    }

    /// The digest that CHECKPOINT carries.
    pub fn digest(&self) -> Digest {
        hash(HashDomain::Manifest, &self.encode())
    }

    /// The reply table's chunks.
    pub fn reply_chunks(&self) -> &[ChunkId] {
        self.chunks.get(..self.replies as usize).unwrap_or(&self.chunks)
    }

    /// The service's chunks.
    pub fn service_chunks(&self) -> &[ChunkId] {
        self.chunks.get(self.replies as usize..).unwrap_or_default()
    }

    /// The bytes of a part, if there is such a part.
    pub fn part_len(&self, part: StatePart) -> Option<usize> {
        match part {
            StatePart::Manifest => Some(self.encoded_len()),
            StatePart::Chunk(index) => {
                self.chunks.get(index as usize).map(|chunk| chunk.len as usize)
            }
        }
    }
}

/// The earliest checkpoint whose state is still kept once `stable` is stable: the one before it, if it is here. A
/// replica that fetches the one before has the time of a whole checkpoint interval to finish.
pub fn oldest_kept(kept: impl IntoIterator<Item = SeqNum>, stable: SeqNum) -> SeqNum {
    kept.into_iter().filter(|seq| *seq < stable).max().unwrap_or(stable)
}

/// What whoever performs effects has to keep of checkpoints, as plain maps: for disks in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptStates {
    manifests: BTreeMap<SeqNum, Manifest>,
    /// The chunks of the manifests, by digest.
    chunks: BTreeMap<Digest, Arc<[u8]>>,
    staged: BTreeMap<Digest, Arc<[u8]>>,
}

impl KeptStates {
    /// [`crate::Effect::StoreCheckpoint`]: keeps a state of which these chunks may be new. False if one is lacking.
    pub fn keep(
        &mut self,
        manifest: &Manifest,
        chunks: impl IntoIterator<Item = Arc<[u8]>>,
    ) -> bool {
        let new = chunks.into_iter().map(|bytes| (chunk_digest(&bytes), bytes));
        self.chunks.extend(new);
        self.manifests.insert(manifest.seq, manifest.clone());
        manifest.chunks.iter().all(|chunk| self.chunks.contains_key(&chunk.digest))
    }

    /// [`crate::durable::Record::Stable`]: lets go of the states before the one before `stable`.
    pub fn on_stable(&mut self, stable: SeqNum) {
        let oldest = oldest_kept(self.manifests.keys().copied(), stable);
        self.manifests = self.manifests.split_off(&oldest);
        let named = self.manifests.values().flat_map(|manifest| &manifest.chunks);
        let named: BTreeSet<Digest> = named.map(|chunk| chunk.digest).collect();
        self.chunks.retain(|digest, _| named.contains(digest));
    }

    /// [`crate::Effect::ServeState`]: a part of a kept state.
    pub fn part(&self, seq: SeqNum, part: StatePart) -> Option<Arc<[u8]>> {
        let manifest = self.manifests.get(&seq)?;
        match part {
            StatePart::Manifest => Some(manifest.encode().into()),
            StatePart::Chunk(index) => {
                self.chunks.get(&manifest.chunks.get(index as usize)?.digest).cloned()
            }
        }
    }

    /// [`crate::Effect::StageChunk`].
    pub fn stage(&mut self, digest: Digest, bytes: Arc<[u8]>) {
        self.staged.insert(digest, bytes);
    }

    /// [`crate::Effect::RetainStaged`].
    pub fn retain_staged(&mut self, needed: &BTreeSet<Digest>) {
        self.staged.retain(|digest, _| needed.contains(digest));
    }

    /// [`crate::Effect::Install`]: the reply table and the service's chunks of a state whose chunks are all here; it
    /// is kept from now on. `None` if one is lacking or is no part of a reply table.
    pub fn install(&mut self, manifest: &Manifest) -> Option<(ReplyTable, Vec<Arc<[u8]>>)> {
        let find = |chunk: &ChunkId| {
            let staged = self.staged.get(&chunk.digest);
            staged.or_else(|| self.chunks.get(&chunk.digest)).cloned()
        };
        let mut replies = manifest.chunks.iter().map(find).collect::<Option<Vec<_>>>()?;
        let all = replies.clone();
        let service = replies.split_off(manifest.replies as usize);
        let replies = ReplyTable::from_chunks(replies.iter().map(|bytes| &**bytes))?;
        self.staged.clear();
        self.keep(manifest, all).then_some((replies, service))
    }

    /// The manifests of the kept states, in order.
    pub fn manifests(&self) -> impl Iterator<Item = &Manifest> {
        self.manifests.values()
    }

    /// The digests of the staged chunks.
    pub fn staged(&self) -> impl Iterator<Item = Digest> {
        self.staged.keys().copied()
    }
}
