//! Keys for replays: what signs and verifies.

use pbft_core::crypto::{Signer, Statement, Verifier};
use pbft_core::types::{Principal, Signature};
use std::sync::Arc;

/// The keys of everybody in a replayed cluster.
pub trait Keys: Send + Sync {
    /// Signs in somebody's name.
    fn signer(&self, principal: Principal) -> Arc<dyn Signer>;

    /// Verifies signatures.
    fn verifier(&self) -> Arc<dyn Verifier>;
}

/// Signatures that only name their signer. The core decides whose signature each part of a message needs, and
/// that is what the replay on the core checks with these; that real signatures bind every byte is checked by the
/// replay through the production node, with real keys.
pub struct NameKeys;

struct NameSigner(Signature);

struct NameVerifier;

fn name(principal: Principal) -> Signature {
    let mut signature = Signature::default();
    let (kind, id) = match principal {
        Principal::Replica(replica) => (1, replica.0),
        Principal::Client(client) => (2, client.0),
    };
    signature.r[0] = kind;
    signature.r[1..5].copy_from_slice(&id.to_le_bytes());
    signature
}

impl Signer for NameSigner {
    fn sign(&self, _: &Statement<'_>) -> Signature {
        self.0
    }
}

impl Verifier for NameVerifier {
    fn verify(&self, principal: Principal, _: &Statement<'_>, signature: &Signature) -> bool {
        *signature == name(principal)
    }
}

impl Keys for NameKeys {
    fn signer(&self, principal: Principal) -> Arc<dyn Signer> {
        Arc::new(NameSigner(name(principal)))
    }

    fn verifier(&self) -> Arc<dyn Verifier> {
        Arc::new(NameVerifier)
    }
}
