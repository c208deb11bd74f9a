//! Real Ed25519 keys for the replay through the production node: fixed, so that a trace is the same every time.

use crate::refinement::keys::Keys;
use pbft_core::crypto::{Signer, Verifier};
use pbft_core::types::{ClientId, Principal, Signature};
use pbft_model as model;
use pbft_node::keyring::{KeyRing, KeySigner, VerifiedCache};
use pbft_node::keys::SecretKey;
use std::sync::Arc;

/// The keys of `replicas` replicas and of the model's clients.
pub struct NodeKeys {
    cache: Arc<VerifiedCache>,
}

impl NodeKeys {
    /// Keys for a cluster of this size.
    pub fn new(replicas: u8) -> Self {
        let replica = |id| secret(Principal::Replica(pbft_core::types::ReplicaId(id))).public();
        let clients = (1..=u32::from(model::Value::MAX_CLIENTS)).map(ClientId);
        let clients = clients.map(|id| (id, secret(Principal::Client(id)).public()));
        let ring = KeyRing::new((0..u32::from(replicas)).map(replica), clients);
        Self { cache: Arc::new(VerifiedCache::new(ring)) }
    }
}

pub(crate) fn secret(principal: Principal) -> SecretKey {
    let mut seed = [0x5e; 32];
    let (kind, id) = match principal {
        Principal::Replica(replica) => (1, replica.0),
        Principal::Client(client) => (2, client.0),
    };
    seed[0] = kind;
    seed[1..5].copy_from_slice(&id.to_le_bytes());
    SecretKey::from_seed(&seed)
}

impl Keys for NodeKeys {
    fn signer(&self, principal: Principal) -> Arc<dyn Signer> {
        Arc::new(KeySigner::new(secret(principal)))
    }

    fn verifier(&self) -> Arc<dyn Verifier> {
        Arc::clone(&self.cache) as Arc<dyn Verifier>
    }

    fn seal(&self, principal: Principal, bytes: &[u8]) -> Signature {
        Signature::from_bytes(&secret(principal).sign(bytes))
    }

    fn attests(&self, principal: Principal, bytes: &[u8], signature: &Signature) -> bool {
        secret(principal).public().verify(bytes, &signature.to_bytes())
    }
}
