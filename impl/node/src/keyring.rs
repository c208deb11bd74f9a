//! Whose key is whose: the core's [`Signer`] and [`Verifier`] over real keys.

use crate::keys::{PublicKey, SecretKey};
use crate::mac::MacKeys;
use crate::metrics::Metrics;
use pbft_core::crypto::{Signer, Statement, Verifier};
use pbft_core::types::{ClientId, Principal, ReplicaId, Signature};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The public keys of all replicas and of the clients on the allow-list.
#[derive(Clone, Debug, Default)]
pub struct KeyRing {
    keys: BTreeMap<Principal, PublicKey>,
    owners: BTreeMap<[u8; 32], Principal>,
    /// What stands in for signatures between clients and replicas.
    macs: Option<Arc<MacKeys>>,
}

impl KeyRing {
    /// A ring with these keys, in order of replica, and these clients' keys.
    pub fn new(
        replicas: impl IntoIterator<Item = PublicKey>,
        clients: impl IntoIterator<Item = (ClientId, PublicKey)>,
    ) -> Self {
        let mut ring = Self::default();
        for (id, key) in (0..).zip(replicas) {
            ring.insert(Principal::Replica(ReplicaId(id)), key);
        }
        for (id, key) in clients {
            ring.insert(Principal::Client(id), key);
        }
        ring
    }

    /// The same ring, for one who takes MACs in place of signatures wherever they are possible.
    #[must_use]
    pub fn with_macs(self, macs: Option<Arc<MacKeys>>) -> Self {
        Self { macs, ..self }
    }

    /// Everybody's key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Principal, PublicKey)> {
        self.keys.iter().map(|(principal, key)| (*principal, *key))
    }

    /// Whether a MAC stands in for a signature here, and if so, whether it is a good one.
    fn verify_mac(
        &self,
        principal: Principal,
        statement: &Statement<'_>,
        signature: &Signature,
    ) -> Option<bool> {
        self.macs.as_ref()?.verify(principal, statement, signature)
    }

    fn insert(&mut self, principal: Principal, key: PublicKey) {
        self.keys.insert(principal, key);
        self.owners.insert(key.to_bytes(), principal);
    }

    /// The key of `principal`.
    pub fn key(&self, principal: Principal) -> Option<PublicKey> {
        self.keys.get(&principal).copied()
    }

    /// The owner of the key with this encoding.
    pub fn owner(&self, key: &[u8; 32]) -> Option<Principal> {
        self.owners.get(key).copied()
    }
}

impl Verifier for KeyRing {
    fn verify(
        &self,
        principal: Principal,
        statement: &Statement<'_>,
        signature: &Signature,
    ) -> bool {
        self.verify_mac(principal, statement, signature).unwrap_or_else(|| {
            let key = self.keys.get(&principal);
            key.is_some_and(|key| key.verify(&statement.bytes(), &signature.to_bytes()))
        })
    }
}

/// How many signatures a [`VerifiedCache`] remembers at least: some windows full of votes.
const REMEMBERED: usize = 16 * 1024;

/// A verifier that checks a good signature once. The same vote comes again and again: in certificates, in
/// VIEW-CHANGEs and in whatever is sent again. Bad signatures are not remembered; whoever sends them is cut off.
#[derive(Debug)]
pub struct VerifiedCache {
    ring: KeyRing,
    /// Digests of everything that a signature's validity depends on: the current generation, and the one before.
    seen: Mutex<[HashSet<[u8; 32]>; 2]>,
    metrics: Arc<Metrics>,
}

impl VerifiedCache {
    /// A cache over these keys.
    pub fn new(ring: KeyRing) -> Self {
        Self { ring, seen: Mutex::default(), metrics: Arc::default() }
    }

    /// The same cache, which counts what it does in `metrics`.
    #[must_use]
    pub fn counted_in(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics, ..self }
    }

    fn seen(&self) -> MutexGuard<'_, [HashSet<[u8; 32]>; 2]> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Verifier for VerifiedCache {
    fn verify(
        &self,
        principal: Principal,
        statement: &Statement<'_>,
        signature: &Signature,
    ) -> bool {
        if let Some(is_good) = self.ring.verify_mac(principal, statement, signature) {
            // As fast as looking it up.
            self.metrics.macs_checked.increment();
            return is_good;
        }
        let Some(key) = self.ring.key(principal) else { return false };
        let (statement, signature) = (statement.bytes(), signature.to_bytes());
        let mut hasher = Sha256::new();
        hasher.update(key.to_bytes());
        hasher.update(signature);
        hasher.update(&statement);
        let digest = hasher.finalize().into();
        if self.seen().iter().any(|generation| generation.contains(&digest)) {
            self.metrics.signatures_remembered.increment();
            return true;
        }
        self.metrics.signatures_checked.increment();
        if !key.verify(&statement, &signature) {
            return false;
        }
        let mut seen = self.seen();
        if seen[0].len() >= REMEMBERED {
            seen.swap(0, 1);
            seen[0].clear();
        }
        seen[0].insert(digest);
        true
    }
}

/// Signs with one secret key, in the name of whomever it belongs to: a replica or a client.
#[derive(Clone, Debug)]
pub struct KeySigner {
    key: SecretKey,
    macs: Option<Arc<MacKeys>>,
}

impl KeySigner {
    /// A signer with this key.
    pub fn new(key: SecretKey) -> Self {
        Self { key, macs: None }
    }

    /// The same signer, which puts MACs in place of signatures wherever they are possible.
    #[must_use]
    pub fn with_macs(self, macs: Option<Arc<MacKeys>>) -> Self {
        Self { macs, ..self }
    }
}

impl Signer for KeySigner {
    fn sign(&self, statement: &Statement<'_>) -> Signature {
        let mac = self.macs.as_ref().and_then(|macs| macs.authenticate(statement));
        mac.unwrap_or_else(|| Signature::from_bytes(&self.key.sign(&statement.bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_core::canonical::{HashDomain, hash};
    use pbft_core::crypto::sign;
    use pbft_core::message::Status;
    use pbft_core::types::{SeqNum, View};

    fn status(replica: u32) -> Status {
        Status {
            replica: ReplicaId(replica),
            view: View(1),
            active: true,
            low_water_mark: SeqNum(0),
            last_executed: SeqNum(3),
        }
    }

    #[test]
    fn a_signature_counts_for_its_signer_cluster_and_body_only() {
        let keys: Vec<SecretKey> = (0..4).map(|seed| SecretKey::from_seed(&[seed; 32])).collect();
        let ring = KeyRing::new(keys.iter().map(SecretKey::public), []);
        check(&keys, &ring);
        let cache = VerifiedCache::new(ring);
        check(&keys, &cache);
        check(&keys, &cache);
    }

    fn check(keys: &[SecretKey], ring: &dyn Verifier) {
        let cluster = hash(HashDomain::Cluster, b"this");
        let signed = sign(&KeySigner::new(keys[1].clone()), cluster, status(1));
        let holds = |id: u32, cluster, body: &Status| {
            let statement = Statement::new(cluster, body);
            ring.verify(Principal::Replica(ReplicaId(id)), &statement, &signed.signature)
        };
        assert!(holds(1, cluster, &signed.body));
        assert!(!holds(2, cluster, &signed.body), "another replica's key");
        assert!(!holds(9, cluster, &signed.body), "nobody's key");
        assert!(!holds(1, hash(HashDomain::Cluster, b"other"), &signed.body), "another cluster");
        assert!(!holds(1, cluster, &Status { view: View(2), ..signed.body }), "another body");
    }

    #[test]
    fn the_cache_is_bounded() {
        let key = SecretKey::from_seed(&[1; 32]);
        let cache = VerifiedCache::new(KeyRing::new([key.public()], []));
        let cluster = hash(HashDomain::Cluster, b"this");
        // As if it had seen this many already.
        cache.seen()[0] = (0..REMEMBERED as u64)
            .map(|i| {
                let mut digest = [0; 32];
                digest[..8].copy_from_slice(&i.to_le_bytes());
                digest
            })
            .collect();
        for view in 0..3 {
            let signed = sign(
                &KeySigner::new(key.clone()),
                cluster,
                Status { view: View(view), ..status(0) },
            );
            let statement = Statement::new(cluster, &signed.body);
            let holds =
                || cache.verify(Principal::Replica(ReplicaId(0)), &statement, &signed.signature);
            assert!(holds() && (view != 2 || holds()));
        }
        let counts =
            (cache.metrics.signatures_checked.get(), cache.metrics.signatures_remembered.get());
        assert_eq!(counts, (3, 1), "the last one came twice");
        let [current, before] = &*cache.seen();
        assert_eq!((current.len(), before.len()), (3, REMEMBERED));
    }

    #[test]
    fn the_owner_of_a_key_is_found() {
        let keys: Vec<SecretKey> = (0..5).map(|seed| SecretKey::from_seed(&[seed; 32])).collect();
        let ring = KeyRing::new(
            keys[..4].iter().map(SecretKey::public),
            [(ClientId(7), keys[4].public())],
        );
        let owner = |key: &SecretKey| ring.owner(&key.public().to_bytes());
        assert_eq!(owner(&keys[2]), Some(Principal::Replica(ReplicaId(2))));
        assert_eq!(owner(&keys[4]), Some(Principal::Client(ClientId(7))));
        assert_eq!(owner(&SecretKey::from_seed(&[99; 32])), None);
    }
}
