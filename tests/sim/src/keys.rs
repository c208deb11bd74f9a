//! Everybody's keys.
//!
//! The core and the node know [`Signer`] and [`Verifier`] only. Two schemes stand behind them here: Ed25519 as in
//! production, and a keyed hash that is a hundred times faster, for runs by the thousand. Both sign the same canonical
//! statements, so a signature binds every byte, signer, kind and cluster. The hash is no cryptography: whoever knows the
//! seed can sign as anybody. Requests can carry authenticators, of keyed hashes as well. That is no weakness here, because an adversary of the simulator is given the signers of
//! its own principals and has no way to the others'.

use super::rng::{Rng, fingerprint};
use pbft_core::crypto::{Audience, Signer, Statement, Verifier};
use pbft_core::params::ClientAuthentication;
use pbft_core::types::{ClientId, Principal, ReplicaId, Signature};
use pbft_node::keyring::{KeyRing, KeySigner, VerifiedCache};
use pbft_node::keys::SecretKey;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How signatures are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Scheme {
    /// A keyed hash: not secure, and fast.
    #[default]
    Fast,
    /// Ed25519 with the node's key ring and cache, as in production.
    Ed25519,
}

/// The keys of all replicas and of the clients on the allow-list.
pub struct Keys {
    scheme: Scheme,
    seed: u64,
    clients: u32,
    authentication: ClientAuthentication,
    ring: Option<Arc<Ring>>,
    issued: Option<Issued>,
}

/// Ed25519 as in production, and the same without what the node remembers.
struct Ring {
    cache: VerifiedCache,
    plain: KeyRing,
    /// Whether the two ever differed.
    differed: AtomicBool,
}

impl Ring {
    fn verify(
        &self,
        principal: Principal,
        statement: &Statement<'_>,
        signature: &Signature,
    ) -> bool {
        let is_believed = self.cache.verify(principal, statement, signature);
        let holds = self.plain.verify(principal, statement, signature);
        self.differed.fetch_or(is_believed != holds, Ordering::Relaxed);
        is_believed
    }
}

/// Signatures that were made, and who must have made what bears their name.
struct Issued {
    liars: BTreeSet<Principal>,
    signatures: Mutex<BTreeSet<Signature>>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// The secret of a principal: 32 bytes that follow from the seed.
fn secret(seed: u64, principal: Principal) -> [u8; 32] {
    let mut rng = Rng::new(seed).fork(&format!("key of {principal:?}"));
    let mut bytes = [0; 32];
    bytes.as_chunks_mut::<8>().0.iter_mut().for_each(|part| *part = rng.number().to_le_bytes());
    bytes
}

impl Keys {
    /// The keys of `replicas` replicas and of the clients below `clients`.
    #[must_use]
    pub fn new(scheme: Scheme, seed: u64, replicas: u32, clients: u32) -> Arc<Self> {
        Arc::new(Self {
            scheme,
            seed,
            clients,
            authentication: ClientAuthentication::Signatures,
            ring: ring(scheme, seed, replicas, clients),
            issued: None,
        })
    }

    /// The same keys, which besides remember what was signed with them: a signature then counts only if it was made
    /// before, except those of `liars`. For replays, where a message may be asked for whose parts were never signed.
    #[must_use]
    pub fn remembering(
        scheme: Scheme,
        seed: u64,
        (replicas, clients): (u32, u32),
        liars: BTreeSet<Principal>,
    ) -> Arc<Self> {
        let issued = Some(Issued { liars, signatures: Mutex::default() });
        Arc::new(Self {
            scheme,
            seed,
            clients,
            authentication: ClientAuthentication::Signatures,
            ring: ring(scheme, seed, replicas, clients),
            issued,
        })
    }

    /// The same keys, of clients that put authenticators on their requests, or do not.
    #[must_use]
    pub fn authenticating(self: Arc<Self>, authentication: ClientAuthentication) -> Arc<Self> {
        match Arc::try_unwrap(self) {
            Ok(keys) => Arc::new(Self { authentication, ..keys }),
            Err(shared) => shared,
        }
    }

    /// Whether the node's verifier ever believed a signature that does not hold, or did not believe one that does.
    #[must_use]
    pub fn were_misjudged(&self) -> bool {
        self.ring.as_ref().is_some_and(|ring| ring.differed.load(Ordering::Relaxed))
    }

    /// Whether an authenticator stands in the place of a signature of this statement.
    fn takes_codes(&self, statement: &Statement<'_>) -> bool {
        self.authentication == ClientAuthentication::Macs
            && statement.audience() == Audience::Replicas
    }

    /// Signs in somebody's name.
    #[must_use]
    pub fn signer(self: &Arc<Self>, principal: Principal) -> Arc<dyn Signer> {
        let secret = secret(self.seed, principal);
        let key = match self.scheme {
            Scheme::Fast => Key::Fast(words(&secret)),
            Scheme::Ed25519 => {
                Key::Ed25519(Box::new(KeySigner::new(SecretKey::from_seed(&secret))))
            }
        };
        Arc::new(OneSigner { key, codes: words(&secret), keys: Arc::clone(self) })
    }

    /// Verifies everybody's signatures, for somebody whom no authenticator is for.
    #[must_use]
    pub fn verifier(self: &Arc<Self>) -> Arc<dyn Verifier> {
        self.verifier_of(None)
    }

    /// Verifies everybody's signatures, and authenticators for this replica.
    #[must_use]
    pub fn verifier_of(self: &Arc<Self>, own: Option<ReplicaId>) -> Arc<dyn Verifier> {
        let principals = self.clients.max(u32::from(u8::MAX));
        let fast = |principal: fn(u32) -> Principal| {
            (0..principals).map(|id| words(&secret(self.seed, principal(id)))).collect()
        };
        let (replicas, clients) = match self.scheme {
            Scheme::Fast => (
                fast(|id| Principal::Replica(ReplicaId(id))),
                fast(|id| Principal::Client(ClientId(id))),
            ),
            Scheme::Ed25519 => (Vec::new(), Vec::new()),
        };
        let secret = |id| words(&secret(self.seed, Principal::Client(ClientId(id))));
        let codes = (0..self.clients).map(secret).collect();
        Arc::new(AllVerifier { own, replicas, clients, codes, keys: Arc::clone(self) })
    }
}

fn ring(scheme: Scheme, seed: u64, replicas: u32, clients: u32) -> Option<Arc<Ring>> {
    let public = |principal| SecretKey::from_seed(&secret(seed, principal)).public();
    let replica = |id| public(Principal::Replica(ReplicaId(id)));
    let client = |id| (ClientId(id), public(Principal::Client(ClientId(id))));
    match scheme {
        Scheme::Fast => None,
        Scheme::Ed25519 => {
            let plain = KeyRing::new((0..replicas).map(replica), (0..clients).map(client));
            let cache = VerifiedCache::new(plain.clone());
            Some(Arc::new(Ring { cache, plain, differed: AtomicBool::default() }))
        }
    }
}

/// The two seeds of a keyed hash.
type Words = [u64; 2];

fn words(secret: &[u8; 32]) -> Words {
    [fingerprint(1, secret), fingerprint(2, secret)]
}

fn keyed_hash(words: &Words, statement: &Statement<'_>) -> Signature {
    let bytes = statement.bytes();
    let mut signature = Signature::default();
    let first = fingerprint(words[0], &bytes);
    signature.r[..8].copy_from_slice(&first.to_le_bytes());
    signature.s[..8]
        .copy_from_slice(&(first ^ words[1]).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    signature
}

/// The bytes of a tag, as in the node.
const TAG: usize = 8;

/// The tag of one statement for one replica.
fn tag(words: &Words, replica: usize, statement: &Statement<'_>) -> [u8; TAG] {
    let key = words[0] ^ (replica as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    fingerprint(key, &statement.bytes()).to_le_bytes()
}

/// What is left of an authenticator for one replica: its own tag.
fn only(authenticator: &Signature, replica: usize) -> Signature {
    let mut left = [0; 64];
    let place = TAG * replica..TAG * (replica + 1);
    left[place.clone()].copy_from_slice(&authenticator.to_bytes()[place]);
    Signature::from_bytes(&left)
}

/// How many tags an authenticator has room for, beside its mark.
const TAGS: usize = 7;

fn authenticator(words: &Words, statement: &Statement<'_>) -> Signature {
    let mut bytes = [0xff; 64];
    for replica in 0..TAGS {
        bytes[TAG * replica..TAG * (replica + 1)].copy_from_slice(&tag(words, replica, statement));
    }
    Signature::from_bytes(&bytes)
}

enum Key {
    Fast(Words),
    Ed25519(Box<KeySigner>),
}

struct OneSigner {
    key: Key,
    codes: Words,
    keys: Arc<Keys>,
}

impl Signer for OneSigner {
    fn sign(&self, statement: &Statement<'_>) -> Signature {
        let codes = self.keys.takes_codes(statement);
        let signature = match &self.key {
            _ if codes => authenticator(&self.codes, statement),
            Key::Fast(words) => keyed_hash(words, statement),
            Key::Ed25519(signer) => signer.sign(statement),
        };
        if let Some(issued) = &self.keys.issued {
            let mut known = issued.signatures.lock().unwrap_or_else(PoisonError::into_inner);
            match codes {
                true => known.extend((0..TAGS).map(|replica| only(&signature, replica))),
                false => drop(known.insert(signature)),
            }
        }
        signature
    }
}

struct AllVerifier {
    own: Option<ReplicaId>,
    replicas: Vec<Words>,
    clients: Vec<Words>,
    /// What clients make authenticators with.
    codes: Vec<Words>,
    keys: Arc<Keys>,
}

impl AllVerifier {
    /// Whether this replica's tag is good.
    fn takes(&self, client: u32, statement: &Statement<'_>, authenticator: &Signature) -> bool {
        let (Some(ReplicaId(own)), Some(words)) = (self.own, self.codes.get(client as usize))
        else {
            return false;
        };
        let own = own as usize;
        let good =
            authenticator.to_bytes()[TAG * own..TAG * (own + 1)] == tag(words, own, statement);
        let principal = Principal::Client(ClientId(client));
        let issued = self.keys.issued.as_ref();
        good && issued.is_none_or(|issued| issued.has(principal, &only(authenticator, own)))
    }
}

impl Verifier for AllVerifier {
    fn verify(
        &self,
        principal: Principal,
        statement: &Statement<'_>,
        signature: &Signature,
    ) -> bool {
        if let Principal::Client(ClientId(client)) = principal
            && self.keys.takes_codes(statement)
        {
            return self.takes(client, statement, signature);
        }
        let holds = match (&self.keys.ring, principal) {
            (Some(ring), _) => ring.verify(principal, statement, signature),
            (None, Principal::Replica(ReplicaId(id))) => {
                is_of(&self.replicas, id, statement, signature)
            }
            (None, Principal::Client(ClientId(id))) if id >= self.keys.clients => false,
            (None, Principal::Client(ClientId(id))) => {
                is_of(&self.clients, id, statement, signature)
            }
        };
        holds && self.keys.issued.as_ref().is_none_or(|issued| issued.has(principal, signature))
    }
}

fn is_of(keys: &[Words], id: u32, statement: &Statement<'_>, signature: &Signature) -> bool {
    keys.get(id as usize).is_some_and(|words| keyed_hash(words, statement) == *signature)
}

impl Issued {
    fn has(&self, principal: Principal, signature: &Signature) -> bool {
        let signatures = self.signatures.lock().unwrap_or_else(PoisonError::into_inner);
        self.liars.contains(&principal) || signatures.contains(signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_core::crypto::sign;
    use pbft_core::message::{Commit, Signed};
    use pbft_core::types::{Digest, SeqNum, View};

    const CLUSTER: Digest = Digest([3; 32]);

    fn commit(keys: &Arc<Keys>, replica: u32, view: u64) -> Signed<Commit> {
        let replica = ReplicaId(replica);
        let body = Commit { view: View(view), seq: SeqNum(1), digest: CLUSTER, replica };
        sign(&*keys.signer(Principal::Replica(replica)), CLUSTER, body)
    }

    fn holds(verifier: &Arc<dyn Verifier>, by: u32, signed: &Signed<Commit>) -> bool {
        let statement = Statement::new(CLUSTER, &signed.body);
        verifier.verify(Principal::Replica(ReplicaId(by)), &statement, &signed.signature)
    }

    #[test]
    fn a_signature_counts_for_its_signer_and_statement_only() {
        for scheme in [Scheme::Fast, Scheme::Ed25519] {
            let keys = Keys::new(scheme, 9, 4, 2);
            let verifier = keys.verifier();
            let signed = commit(&keys, 1, 0);
            assert!(holds(&verifier, 1, &signed), "{scheme:?}");
            assert!(!holds(&verifier, 2, &signed), "{scheme:?}: another signer");
            let mut changed = signed.clone();
            changed.body.view = View(1);
            assert!(!holds(&verifier, 1, &changed), "{scheme:?}: another statement");
            let mut flipped = signed.clone();
            flipped.signature.r[0] ^= 1;
            assert!(!holds(&verifier, 1, &flipped), "{scheme:?}: another signature");
            let other = Keys::new(scheme, 10, 4, 2);
            assert!(!holds(&other.verifier(), 1, &signed), "{scheme:?}: other keys");
        }
    }

    #[test]
    fn in_a_replay_only_what_was_signed_in_it_counts() {
        let liars = BTreeSet::from([Principal::Replica(ReplicaId(3))]);
        let keys = Keys::remembering(Scheme::Fast, 9, (4, 2), liars);
        let elsewhere = Keys::new(Scheme::Fast, 9, 4, 2);
        let verifier = keys.verifier();
        assert!(!holds(&verifier, 1, &commit(&elsewhere, 1, 0)), "not signed here");
        assert!(holds(&verifier, 3, &commit(&elsewhere, 3, 0)), "a liar signs whenever it likes");
        assert!(holds(&verifier, 1, &commit(&keys, 1, 0)));
    }
}
