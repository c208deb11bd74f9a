//! Signatures for tests: a keyed hash of the statement, with one secret a principal. Nobody forges one by accident,
//! and a test forges one on purpose by flipping a bit.

use pbft_core::crypto::{Body, Signer, Statement, Verified, Verifier, sign, verify};
use pbft_core::message::{Message, Signed};
use pbft_core::types::{Digest, Principal, ReplicaId, Signature};
use pbft_core::{Params, Rejection};
use std::hash::{DefaultHasher, Hasher};

/// The clients on the allow-list are those below this.
pub const CLIENTS: u32 = 64;

/// The cluster id of all test clusters.
pub const CLUSTER: Digest = Digest([7; 32]);

fn keyed_hash(principal: Principal, statement: &Statement<'_>) -> Signature {
    let (kind, id) = match principal {
        Principal::Replica(replica) => (1, replica.0),
        Principal::Client(client) => (2, client.0),
    };
    let mut hasher = DefaultHasher::new();
    hasher.write_u8(kind);
    hasher.write_u32(id);
    hasher.write(&statement.bytes());
    let mut signature = Signature::default();
    signature.r[..8].copy_from_slice(&hasher.finish().to_le_bytes());
    signature
}

/// Signs in one principal's name.
pub struct TestSigner(pub Principal);

impl Signer for TestSigner {
    fn sign(&self, statement: &Statement<'_>) -> Signature {
        keyed_hash(self.0, statement)
    }
}

/// Knows everybody's secret.
pub struct TestVerifier;

impl Verifier for TestVerifier {
    fn verify(&self, principal: Principal, statement: &Statement<'_>, sig: &Signature) -> bool {
        let known = match principal {
            Principal::Replica(_) => true,
            Principal::Client(client) => client.0 < CLIENTS,
        };
        known && keyed_hash(principal, statement) == *sig
    }
}

/// `body`, signed by the principal that it names.
pub fn signed<B: Body>(body: B) -> Signed<B> {
    let signer = TestSigner(body.signer());
    sign(&signer, CLUSTER, body)
}

/// A key for replica `id`.
pub fn replica_key(id: u32) -> TestSigner {
    TestSigner(Principal::Replica(ReplicaId(id)))
}

/// Checks a message as a node would.
pub fn checked(params: &Params, message: Message) -> Result<Verified<Message>, Rejection> {
    verify(params, &TestVerifier, message)
}

/// A message whose signatures are known to be good.
pub fn verified(params: &Params, message: Message) -> Verified<Message> {
    checked(params, message).expect("signed in this test")
}
