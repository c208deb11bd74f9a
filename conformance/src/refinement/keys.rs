//! Keys for replays: what signs and verifies.

use pbft_core::crypto::{Signer, Statement, Verifier};
use pbft_core::types::{Principal, Signature};
use std::sync::Arc;

/// The keys of everybody in a replayed cluster.
pub trait Keys: Send + Sync {
    /// What a replica signs with: statements as the core encodes them.
    fn signer(&self, principal: Principal) -> Arc<dyn Signer>;

    /// What a replica verifies with: statements as the core encodes them.
    fn verifier(&self) -> Arc<dyn Verifier>;

    /// Signs bytes in somebody's name: statements as [`crate::refinement::layout`] has them.
    fn seal(&self, principal: Principal, bytes: &[u8]) -> Signature;

    /// Whether this is somebody's signature of these bytes.
    fn attests(&self, principal: Principal, bytes: &[u8], signature: &Signature) -> bool;
}

/// Signatures that cost next to nothing: the signer's name, and a hash of the bytes. Like real ones they are of one signer
/// and of the bytes to the last bit; unlike real ones they stop nobody who means to forge one. What goes through the production
/// node has real keys.
pub struct SealKeys;

struct SealSigner(Principal);

struct SealVerifier;

/// The signature of a principal under these bytes.
fn seal(principal: Principal, bytes: &[u8]) -> Signature {
    let mut signature = Signature::default();
    let (kind, id) = match principal {
        Principal::Replica(replica) => (1, replica.0),
        Principal::Client(client) => (2, client.0),
    };
    signature.r[0] = kind;
    signature.r[1..5].copy_from_slice(&id.to_le_bytes());
    signature.s[..8].copy_from_slice(&hash(bytes).to_le_bytes());
    signature
}

/// A hash in which each bit of each byte counts, and its place: multiplying by an odd number and folding the high half onto the
/// low one is a bijection of the state, so two strings of one length that differ in one word never meet.
fn hash(bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |state: u64, word: u64| {
        let mixed = (state ^ word).wrapping_mul(ODD);
        mixed ^ (mixed >> 32)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let state =
        words.iter().fold(bytes.len() as u64, |state, word| mix(state, u64::from_le_bytes(*word)));
    mix(mix(state, u64::from_le_bytes(last)), ODD)
}

impl Signer for SealSigner {
    fn sign(&self, statement: &Statement<'_>) -> Signature {
        seal(self.0, &statement.bytes())
    }
}

impl Verifier for SealVerifier {
    fn verify(
        &self,
        principal: Principal,
        statement: &Statement<'_>,
        signature: &Signature,
    ) -> bool {
        *signature == seal(principal, &statement.bytes())
    }
}

impl Keys for SealKeys {
    fn signer(&self, principal: Principal) -> Arc<dyn Signer> {
        Arc::new(SealSigner(principal))
    }

    fn verifier(&self) -> Arc<dyn Verifier> {
        Arc::new(SealVerifier)
    }

    fn seal(&self, principal: Principal, bytes: &[u8]) -> Signature {
        seal(principal, bytes)
    }

    fn attests(&self, principal: Principal, bytes: &[u8], signature: &Signature) -> bool {
        *signature == seal(principal, bytes)
    }
}
