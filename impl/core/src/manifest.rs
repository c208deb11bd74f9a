//! What a checkpoint's digest covers (§4.3): the reply table, the service state and the sequence number, as a
//! two-level Merkle tree. A replica that fetches state checks the manifest against the stable certificate and
//! each chunk against the manifest, so a lying source is caught at the first chunk.

use crate::canonical::{HashDomain, hash};
use crate::types::{Digest, SeqNum};
use serde::{Deserialize, Serialize};

/// The most chunks in a manifest: bounds what a peer can make a replica hold before a digest is checked.
pub const CHUNKS_MAX: usize = 1 << 20;

/// The digests of a state's chunks. Chunk 0 is the reply table, the others are the service's, in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The last batch in the state.
    pub seq: SeqNum,
    /// The digest of each chunk.
    pub chunks: Vec<Digest>,
}

/// The digest of one chunk of state.
pub fn chunk_digest(bytes: &[u8]) -> Digest {
    hash(HashDomain::Chunk, bytes)
}

impl Manifest {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + 32 * self.chunks.len());
        bytes.extend(self.seq.0.to_le_bytes());
        self.chunks.iter().for_each(|chunk| bytes.extend(chunk.0));
        bytes
    }

    /// Reads canonical bytes; `None` for anything that [`Self::encode`] does not produce.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (seq, rest) = bytes.split_first_chunk::<8>()?;
        let (chunks, rest) = rest.as_chunks::<32>();
        (rest.is_empty() && !chunks.is_empty() && chunks.len() <= CHUNKS_MAX).then(|| Self {
            seq: SeqNum(u64::from_le_bytes(*seq)),
            chunks: chunks.iter().copied().map(Digest).collect(),
        })
    }

    /// The digest that CHECKPOINT carries.
    pub fn digest(&self) -> Digest {
        hash(HashDomain::Manifest, &self.encode())
    }
}
