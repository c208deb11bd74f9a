//! Canonical bytes: what is hashed and signed. Fixed-width little-endian numbers, length-prefixed lists, no
//! choice anywhere, so one value has one encoding and two values never share one.

use crate::message::{
    Batch, Checkpoint, Commit, NewView, PrePrepare, Prepare, PreparedCertificate, Reply, Request,
    Signed, StableCertificate, Status, ViewChange,
};
use crate::types::{Digest, ReplicaId, SeqNum, Signature, View};
use sha2::{Digest as _, Sha256};

/// Separates this protocol's digests and signatures from everything else that the same keys might sign.
pub const PROTOCOL: &[u8] = b"PBFT-RS/v1\0";

/// What a digest is of; a byte that keeps digests of different things apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum HashDomain {
    /// A batch of requests.
    Batch = 1,
    /// The null batch.
    NullBatch = 2,
    /// A checkpoint's manifest.
    Manifest = 3,
    /// A chunk of state.
    Chunk = 4,
    /// A configuration (the cluster id).
    Cluster = 5,
    /// A request.
    Request = 6,
    /// A VIEW-CHANGE or NEW-VIEW, where evidence tells one from another.
    Statement = 7,
}

/// Hashes `bytes` in `domain`.
pub fn hash(domain: HashDomain, bytes: &[u8]) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(PROTOCOL);
    hasher.update(b"hash");
    hasher.update([domain as u8]);
    hasher.update(bytes);
    Digest(hasher.finalize().into())
}

/// A value with one canonical encoding.
pub trait Canonical {
    /// Appends the encoding.
    fn encode(&self, out: &mut Vec<u8>);
}

fn put_list<T: Canonical>(list: &[T], out: &mut Vec<u8>) {
    out.extend((list.len() as u64).to_le_bytes());
    list.iter().for_each(|item| item.encode(out));
}

/// Appends a length-prefixed byte string.
pub(crate) fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend(bytes);
}

fn put_vote(view: View, seq: SeqNum, digest: Digest, replica: ReplicaId, out: &mut Vec<u8>) {
    out.extend(view.0.to_le_bytes());
    out.extend(seq.0.to_le_bytes());
    out.extend(digest.0);
    out.extend(replica.0.to_le_bytes());
}

impl Canonical for Signature {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.r);
        out.extend(self.s);
    }
}

impl<B: Canonical> Canonical for Signed<B> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.body.encode(out);
        self.signature.encode(out);
    }
}

impl<T: Canonical> Canonical for std::sync::Arc<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        T::encode(self, out);
    }
}

impl Canonical for Request {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.client.0.to_le_bytes());
        out.extend(self.lane.0.to_le_bytes());
        out.extend(self.timestamp.0.to_le_bytes());
        out.extend(self.session.0.to_le_bytes());
        put_bytes(&self.operation, out);
    }
}

impl Canonical for Batch {
    fn encode(&self, out: &mut Vec<u8>) {
        put_list(&self.requests, out);
    }
}

impl Canonical for PrePrepare {
    fn encode(&self, out: &mut Vec<u8>) {
        put_vote(self.view, self.seq, self.digest, self.replica, out);
    }
}

impl Canonical for Prepare {
    fn encode(&self, out: &mut Vec<u8>) {
        put_vote(self.view, self.seq, self.digest, self.replica, out);
    }
}

impl Canonical for Commit {
    fn encode(&self, out: &mut Vec<u8>) {
        put_vote(self.view, self.seq, self.digest, self.replica, out);
    }
}

impl Canonical for Checkpoint {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.seq.0.to_le_bytes());
        out.extend(self.digest.0);
        out.extend(self.replica.0.to_le_bytes());
    }
}

impl Canonical for PreparedCertificate {
    fn encode(&self, out: &mut Vec<u8>) {
        self.pre_prepare.encode(out);
        put_list(&self.prepares, out);
    }
}

impl Canonical for StableCertificate {
    fn encode(&self, out: &mut Vec<u8>) {
        put_list(&self.checkpoints, out);
    }
}

impl Canonical for ViewChange {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.view.0.to_le_bytes());
        out.extend(self.low_water_mark.0.to_le_bytes());
        self.stable.encode(out);
        put_list(&self.prepared, out);
        out.extend(self.replica.0.to_le_bytes());
    }
}

impl Canonical for NewView {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.view.0.to_le_bytes());
        put_list(&self.view_changes, out);
        put_list(&self.pre_prepares, out);
        out.extend(self.replica.0.to_le_bytes());
    }
}

impl Canonical for Status {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.replica.0.to_le_bytes());
        out.extend(self.view.0.to_le_bytes());
        out.push(u8::from(self.active));
        out.extend(self.low_water_mark.0.to_le_bytes());
        out.extend(self.last_executed.0.to_le_bytes());
    }
}

impl Canonical for Reply {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.view.0.to_le_bytes());
        out.extend(self.client.0.to_le_bytes());
        out.extend(self.lane.0.to_le_bytes());
        out.extend(self.timestamp.0.to_le_bytes());
        out.extend(self.request.0);
        out.extend(self.replica.0.to_le_bytes());
        put_bytes(&self.result, out);
    }
}

impl Request {
    /// The request's digest: what a reply to it names. It covers everything that was asked, but not the signature.
    pub fn digest(&self) -> Digest {
        let mut bytes = Vec::with_capacity(64 + self.operation.len());
        self.encode(&mut bytes);
        hash(HashDomain::Request, &bytes)
    }
}

impl Batch {
    /// The batch's digest, D(m). The null batch has a reserved one of its own.
    pub fn digest(&self) -> Digest {
        if self.is_null() {
            return hash(HashDomain::NullBatch, b"");
        }
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        hash(HashDomain::Batch, &bytes)
    }

    /// Whether this is the null batch (§4.4).
    pub fn is_null(&self) -> bool {
        self.requests.is_empty()
    }

    /// Bytes of all operations together.
    pub fn operation_bytes(&self) -> usize {
        self.requests.iter().map(|request| request.body.operation.len()).sum()
    }
}
