//! The bytes that are hashed and signed, written a second time: from `docs/wire.md`, without a line of the code that
//! production writes them with.
//!
//! Whatever a replay expects is computed here: the digests of batches, requests, reply tables and states, and the bytes under
//! each signature that the replay makes. So a field that the code leaves out of a digest or of a signature shows at the first
//! message that has it. Every structure is taken apart field by field: a new field does not compile until it has a place.

mod body;
mod state;

pub use body::{Signable, Statements, each_statement, statement};
pub use state::{Reply, State};

use pbft_core::message::{Batch, Request};
use pbft_core::types::Digest;
use sha2::{Digest as _, Sha256};

/// What every signed and every hashed string begins with.
const PROTOCOL: [u8; 11] = *b"PBFT-RS/v1\0";

/// Room for most that is signed or hashed.
const ROOM: usize = 512;

/// The kinds of digest, by the number that keeps them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// A batch with requests.
    Batch,
    /// The batch without requests.
    Null,
    /// The manifest of a checkpoint.
    Manifest,
    /// A chunk of a state.
    Chunk,
    /// A request.
    Request,
}

impl Domain {
    const fn number(self) -> u8 {
        match self {
            Self::Batch => 1,
            Self::Null => 2,
            Self::Manifest => 3,
            Self::Chunk => 4,
            Self::Request => 6,
        }
    }
}

/// Bytes being written: numbers have a fixed width, the lowest byte first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout(Vec<u8>);

impl Default for Layout {
    fn default() -> Self {
        Self(Vec::with_capacity(ROOM))
    }
}

impl Layout {
    /// A byte.
    pub fn byte(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    /// A number of two bytes.
    pub fn short(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// A number of four bytes.
    pub fn word(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// A number of eight bytes.
    pub fn long(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Bytes whose number is known.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Bytes, after their number.
    pub fn string(&mut self, bytes: &[u8]) -> &mut Self {
        self.long(bytes.len() as u64).raw(bytes)
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// The digest of `bytes` in a domain.
pub fn digest(domain: Domain, bytes: &[u8]) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(PROTOCOL);
    hasher.update(*b"hash");
    hasher.update([domain.number()]);
    hasher.update(bytes);
    Digest(hasher.finalize().into())
}

/// The digest of a request: of all that was asked, without the signature.
pub fn request_digest(request: &Request) -> Digest {
    let mut layout = Layout::default();
    body::lay_request(request, &mut layout);
    digest(Domain::Request, &layout.0)
}

/// The digest of a batch: of all its requests in order, with their signatures.
pub fn batch_digest(batch: &Batch) -> Digest {
    let Batch { requests } = batch;
    if requests.is_empty() {
        return digest(Domain::Null, &[]);
    }
    let mut layout = Layout::default();
    layout.long(requests.len() as u64);
    for request in requests {
        body::lay_request(&request.body, &mut layout);
        body::lay_signature(&request.signature, &mut layout);
    }
    digest(Domain::Batch, &layout.0)
}
