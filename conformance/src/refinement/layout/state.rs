//! The state that a checkpoint's digest covers: the reply table in chunks, the service's chunks, and the manifest of both.

use super::{Domain, Layout, digest};
use pbft_core::types::{ClientId, Digest, Lane, SeqNum, Timestamp};

/// So many clients with neighbouring numbers, and so many neighbouring lanes of each, are in one chunk of the reply table.
const NEIGHBOURS: u32 = 8;

/// The last reply of a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The client.
    pub client: ClientId,
    /// Its lane.
    pub lane: Lane,
    /// The timestamp of the request.
    pub timestamp: Timestamp,
    /// The request's digest.
    pub request: Digest,
    /// The result.
    pub result: Vec<u8>,
}

impl Reply {
    /// What its place in the table follows from: the chunk first.
    fn place(&self) -> ([u32; 2], u32, u16) {
        let lanes = u32::from(self.lane.0);
        ([self.client.0 / NEIGHBOURS, lanes / NEIGHBOURS], self.client.0, self.lane.0)
    }

    fn lay(&self, to: &mut Layout) {
        let Self { client, lane, timestamp, request, result } = self;
        to.word(client.0).short(lane.0).long(timestamp.0).raw(&request.0).string(result);
    }
}

/// A state at a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The manifest.
    pub manifest: Vec<u8>,
    /// The chunks that it names, in its order.
    pub chunks: Vec<Vec<u8>>,
}

impl State {
    /// The state after `seq`: the last reply of each lane, in any order, and the service's chunks.
    pub fn new(seq: SeqNum, mut replies: Vec<Reply>, service: Vec<Vec<u8>>) -> Self {
        replies.sort_by_key(Reply::place);
        let chunks = replies.chunk_by(|one, other| one.place().0 == other.place().0);
        let chunks = chunks.map(|chunk| {
            let mut layout = Layout::default();
            chunk.iter().for_each(|reply| reply.lay(&mut layout));
            layout.into_bytes()
        });
        let mut chunks: Vec<Vec<u8>> = chunks.collect();
        let mut manifest = Layout::default();
        manifest.long(seq.0).word(chunks.len() as u32);
        chunks.extend(service);
        for chunk in &chunks {
            manifest.raw(&digest(Domain::Chunk, chunk).0).word(chunk.len() as u32);
        }
        Self { manifest: manifest.into_bytes(), chunks }
    }

    /// What a CHECKPOINT says of it.
    pub fn digest(&self) -> Digest {
        digest(Domain::Manifest, &self.manifest)
    }
}
