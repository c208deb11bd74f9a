//! Message authentication codes between clients and replicas (§5.2): much cheaper than signatures, and proof of nothing
//! to anybody else.
//!
//! Each client shares a key with each replica: what X25519 makes of the one's secret and the other's public key, hashed
//! with who they are and the cluster they are in. A tag is HMAC-SHA-256 cut to eight bytes, the length that the paper
//! uses. A request carries an *authenticator*, a tag for every replica in order; a reply carries one tag, for its client.
//! Both take the place of the signature. An authenticator ends in a mark that no signature ends in, so everybody can tell
//! one from the other, also who has none of the keys.

use crate::keyring::KeyRing;
use crate::keys::SecretKey;
use hmac::{Hmac, KeyInit as _, Mac as _};
use pbft_core::Membership;
use pbft_core::crypto::{Audience, Statement};
use pbft_core::types::{ClientId, Digest, Principal, ReplicaId, Signature};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// The bytes of a tag.
const TAG_BYTES: usize = 8;

/// The largest cluster whose authenticators fit into the place of a signature, with the mark that ends them.
pub const REPLICAS_MAX: usize = (64 - Signature::AUTHENTICATOR_MARK.len()) / TAG_BYTES;

/// Keeps these keys apart from whatever else is made of the same secrets.
const DOMAIN: &[u8] = b"pbft client mac v1";

/// A shared key, in the state in which HMAC has taken it in. Wiped when dropped.
type Key = Hmac<Sha256>;

/// The keys that one client or replica shares with those at the other end.
pub struct MacKeys {
    own: Principal,
    keys: BTreeMap<Principal, Key>,
}

impl std::fmt::Debug for MacKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MacKeys").field("own", &self.own).finish_non_exhaustive()
    }
}

impl MacKeys {
    /// The keys that `own` shares with everybody in `ring` at the other end: with the clients for a replica, with the
    /// replicas for a client.
    pub fn new(own: Principal, secret: &SecretKey, cluster: Digest, ring: &KeyRing) -> Self {
        let shared = |(other, public)| {
            let (client, replica) = ends(own, other)?;
            let mut hasher = Sha256::new();
            hasher.update(DOMAIN);
            hasher.update(cluster.0);
            hasher.update(client.0.to_le_bytes());
            hasher.update(replica.0.to_le_bytes());
            hasher.update(*secret.agree(&public));
            let mut block = Zeroizing::new([0; 64]);
            block[..32].copy_from_slice(&hasher.finalize());
            Some((other, Key::new((&*block).into())))
        };
        Self { own, keys: ring.iter().filter_map(shared).collect() }
    }

    /// What stands in for a signature of `statement`; `None` if it has to convince others than MACs can.
    pub fn authenticate(&self, statement: &Statement<'_>) -> Option<Signature> {
        let bytes = statement.bytes();
        let mut place = [0; 64];
        match (self.own, statement.audience()) {
            (Principal::Client(_), Audience::Replicas) => {
                let (tags, _) = place.as_chunks_mut::<TAG_BYTES>();
                // The map is ordered, so the tags are in order of replica.
                for (place, key) in tags.iter_mut().zip(self.keys.values()).take(REPLICAS_MAX) {
                    *place = tag(key, &bytes);
                }
                place[64 - Signature::AUTHENTICATOR_MARK.len()..]
                    .copy_from_slice(&Signature::AUTHENTICATOR_MARK);
            }
            (Principal::Replica(_), Audience::Client(client)) => {
                let key = self.keys.get(&Principal::Client(client))?;
                place[..TAG_BYTES].copy_from_slice(&tag(key, &bytes));
            }
            _ => return None,
        }
        Some(Signature::from_bytes(&place))
    }

    /// Whether `signature` is what `from` puts in the place of one for this end; `None` if MACs are not for `statement`.
    pub fn verify(
        &self,
        from: Principal,
        statement: &Statement<'_>,
        signature: &Signature,
    ) -> Option<bool> {
        let place = match (self.own, statement.audience()) {
            (Principal::Replica(ReplicaId(own)), Audience::Replicas) => own as usize,
            (Principal::Client(own), Audience::Client(client)) if own == client => 0,
            (_, Audience::Everybody) => return None,
            // Meant for somebody else, who alone could tell.
            _ => return Some(false),
        };
        let signature = signature.to_bytes();
        let (tags, _) = signature.as_chunks::<TAG_BYTES>();
        let (Some(key), Some(got)) = (self.keys.get(&from), tags.get(place)) else {
            return Some(false);
        };
        let mac = key.clone().chain_update(statement.bytes());
        Some(mac.verify_truncated_left(got).is_ok())
    }
}

/// Whether MACs can be used in a cluster of this size.
pub fn are_possible(membership: Membership) -> bool {
    membership.n() <= REPLICAS_MAX
}

fn ends(one: Principal, other: Principal) -> Option<(ClientId, ReplicaId)> {
    match (one, other) {
        (Principal::Client(client), Principal::Replica(replica))
        | (Principal::Replica(replica), Principal::Client(client)) => Some((client, replica)),
        (Principal::Client(_), Principal::Client(_))
        | (Principal::Replica(_), Principal::Replica(_)) => None,
    }
}

fn tag(key: &Key, statement: &[u8]) -> [u8; TAG_BYTES] {
    let mut tag = [0; TAG_BYTES];
    let whole = key.clone().chain_update(statement).finalize().into_bytes();
    tag.copy_from_slice(&whole[..TAG_BYTES]);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_core::canonical::{HashDomain, hash};
    use pbft_core::crypto::{Body, Signer as _, Verifier as _, sign, sign_for_everybody};
    use pbft_core::message::{Reply, Request, Status};
    use pbft_core::types::{Lane, SeqNum, Session, Timestamp, View};
    use std::sync::Arc;

    const CLIENTS: [ClientId; 2] = [ClientId(3), ClientId(5)];

    fn secret(principal: Principal) -> SecretKey {
        match principal {
            Principal::Replica(id) => SecretKey::from_seed(&[id.0 as u8; 32]),
            Principal::Client(id) => SecretKey::from_seed(&[100 + id.0 as u8; 32]),
        }
    }

    fn cluster() -> Digest {
        hash(HashDomain::Cluster, b"this")
    }

    fn ring() -> KeyRing {
        let replicas = (0..4).map(|id| secret(Principal::Replica(ReplicaId(id))).public());
        KeyRing::new(replicas, CLIENTS.map(|id| (id, secret(Principal::Client(id)).public())))
    }

    fn keys(own: Principal, cluster: Digest) -> Arc<MacKeys> {
        Arc::new(MacKeys::new(own, &secret(own), cluster, &ring()))
    }

    fn signer(own: Principal) -> crate::keyring::KeySigner {
        crate::keyring::KeySigner::new(secret(own)).with_macs(Some(keys(own, cluster())))
    }

    fn holds<B: Body>(own: Principal, from: Principal, body: &B, signature: &Signature) -> bool {
        let ring = ring().with_macs(Some(keys(own, cluster())));
        ring.verify(from, &Statement::new(cluster(), body), signature)
    }

    fn request(client: ClientId) -> Request {
        Request {
            client,
            lane: Lane(0),
            timestamp: Timestamp(9),
            session: Session::default(),
            operation: b"echo a".to_vec(),
        }
    }

    const fn replica(id: u32) -> Principal {
        Principal::Replica(ReplicaId(id))
    }

    #[test]
    fn a_request_convinces_each_replica_by_its_own_tag() {
        let from = Principal::Client(CLIENTS[0]);
        let signed = sign(&signer(from), cluster(), request(CLIENTS[0]));
        for id in 0..4 {
            assert!(holds(replica(id), from, &signed.body, &signed.signature));
            let other = Request { timestamp: Timestamp(8), ..signed.body.clone() };
            assert!(!holds(replica(id), from, &other, &signed.signature), "another body");
            let stranger = Principal::Client(CLIENTS[1]);
            assert!(!holds(replica(id), stranger, &signed.body, &signed.signature));
            let mut bytes = signed.signature.to_bytes();
            bytes[TAG_BYTES * id as usize] ^= 1;
            let spoiled = Signature::from_bytes(&bytes);
            for at in 0..4 {
                assert_eq!(holds(replica(at), from, &signed.body, &spoiled), at != id);
            }
        }
    }

    #[test]
    fn a_request_for_everybody_is_signed_and_looks_like_it() {
        let from = Principal::Client(CLIENTS[0]);
        let hand = signer(from);
        let authenticated = sign(&hand, cluster(), request(CLIENTS[0]));
        let signed = sign_for_everybody(&hand, cluster(), request(CLIENTS[0]));
        assert!(signed.is_transferable() && !authenticated.is_transferable());
        let statement = Statement::new(cluster(), &signed.body);
        assert_eq!(signed.signature, Signature::from_bytes(&secret(from).sign(&statement.bytes())));
        let ring = ring().with_macs(Some(keys(replica(2), cluster())));
        let believes = |signature| {
            let statement = Statement::new(cluster(), &signed.body).for_everybody();
            ring.verify(from, &statement, signature)
        };
        assert!(believes(&signed.signature));
        assert!(!believes(&authenticated.signature), "its mark is no scalar");
    }

    #[test]
    fn a_reply_convinces_its_client_alone() {
        let [client, other] = CLIENTS;
        let body = Reply {
            view: View(0),
            client,
            lane: Lane(0),
            timestamp: Timestamp(9),
            request: Digest([4; 32]),
            replica: ReplicaId(2),
            result: b"a".to_vec().into(),
        };
        let signed = sign(&signer(replica(2)), cluster(), body);
        let at = |own| holds(own, replica(2), &signed.body, &signed.signature);
        assert!(at(Principal::Client(client)));
        assert!(!at(Principal::Client(other)));
        assert!(!at(replica(1)), "only its client can tell");
        let mut lie = signed.body.clone();
        lie.replica = ReplicaId(1);
        let claimed = holds(Principal::Client(client), replica(1), &lie, &signed.signature);
        assert!(!claimed, "another replica's key");
    }

    #[test]
    fn what_everybody_must_believe_is_signed() {
        let body = Status {
            replica: ReplicaId(1),
            view: View(0),
            active: true,
            low_water_mark: SeqNum(0),
            last_executed: SeqNum(0),
        };
        let statement = Statement::new(cluster(), &body);
        let signed = signer(replica(1)).sign(&statement);
        assert_eq!(signed, Signature::from_bytes(&secret(replica(1)).sign(&statement.bytes())));
        assert!(ring().verify(replica(1), &statement, &signed));
    }

    #[test]
    fn keys_differ_between_clusters_and_pairs() {
        let tags = |own, cluster| {
            let keys = keys(own, cluster);
            keys.keys.values().map(|key| tag(key, b"same")).collect::<Vec<_>>()
        };
        let elsewhere = hash(HashDomain::Cluster, b"other");
        let mut all: Vec<_> = [cluster(), elsewhere]
            .into_iter()
            .flat_map(|cluster| CLIENTS.map(|id| tags(Principal::Client(id), cluster)).concat())
            .collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 2 * 2 * 4);
    }
}
