//! What the core asks of signatures, and which signatures a message must carry.
//!
//! The core makes no key and knows no curve: [`Signer`] and [`Verifier`] are the caller's. It decides *what* is
//! signed (a domain-separated statement) and *whose* signature each nested part needs. A [`Verified`] message
//! can be made in one way only, by [`verify`], so an unverified one cannot reach [`crate::Replica::step`].

use crate::canonical::{Canonical, PROTOCOL};
use crate::message::{
    Batch, Checkpoint, Commit, CommitCertificate, Message, NewView, PrePrepare, Prepare,
    PreparedCertificate, Proposal, Reply, Request, Signed, StableCertificate, Status, ViewChange,
};
use crate::params::{ClientAuthentication, Params};
use crate::rejection::{Rejection, refuse_if};
use crate::shape::check_shape;
use crate::types::{ClientId, Digest, Principal, Signature};
use std::fmt;

/// Whom a statement has to convince: what decides whether message authentication codes can stand in for a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Whoever it is handed on to.
    Everybody,
    /// The replicas, all of which are known beforehand.
    Replicas,
    /// One client.
    Client(ClientId),
}

/// A body that someone signs.
pub trait Body: Canonical {
    /// Keeps signatures of different kinds of body apart.
    const KIND: u8;

    /// Whose signature it needs.
    fn signer(&self) -> Principal;

    /// Whom it has to convince.
    fn audience(&self) -> Audience {
        Audience::Everybody
    }
}

macro_rules! replica_body {
    ($($body:ty = $kind:literal),* $(,)?) => {$(
        impl Body for $body {
            const KIND: u8 = $kind;

            fn signer(&self) -> Principal {
                Principal::Replica(self.replica)
            }
        }
    )*};
}

replica_body! {
    PrePrepare = 2, Prepare = 3, Commit = 4, Checkpoint = 5, ViewChange = 6, NewView = 7, Status = 9,
}

impl Body for Request {
    const KIND: u8 = 1;

    fn signer(&self) -> Principal {
        Principal::Client(self.client)
    }

    fn audience(&self) -> Audience {
        Audience::Replicas
    }
}

impl Body for Reply {
    const KIND: u8 = 8;

    fn signer(&self) -> Principal {
        Principal::Replica(self.replica)
    }

    fn audience(&self) -> Audience {
        Audience::Client(self.client)
    }
}

/// A statement of one cluster: a body with everything that keeps its signature from meaning anything else.
pub struct Statement<'a> {
    cluster: Digest,
    kind: u8,
    audience: Audience,
    body: &'a dyn Canonical,
}

impl<'a> Statement<'a> {
    /// `body` as a statement in the cluster with id `cluster`.
    pub fn new<B: Body>(cluster: Digest, body: &'a B) -> Self {
        Self { cluster, kind: B::KIND, audience: body.audience(), body }
    }

    /// The same statement as one that has to convince whoever it is handed on to, so that only a signature will do.
    #[must_use]
    pub fn for_everybody(self) -> Self {
        Self { audience: Audience::Everybody, ..self }
    }

    /// Whom it has to convince.
    pub fn audience(&self) -> Audience {
        self.audience
    }

    /// The bytes to sign: protocol name and version, kind, cluster id, canonical body.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend(PROTOCOL);
        bytes.push(self.kind);
        bytes.extend(self.cluster.0);
        self.body.encode(&mut bytes);
        bytes
    }
}

/// Signs in the name of one replica or client.
pub trait Signer: Send + Sync {
    /// Signs `statement`. Deterministic: the same statement gives the same signature.
    fn sign(&self, statement: &Statement<'_>) -> Signature;
}

/// Knows the public keys of all replicas and of the clients on the allow-list.
pub trait Verifier: Send + Sync {
    /// Whether `signature` is `principal`'s signature of `statement`. An unknown principal has none.
    fn verify(
        &self,
        principal: Principal,
        statement: &Statement<'_>,
        signature: &Signature,
    ) -> bool;
}

/// Signs `body`.
pub fn sign<B: Body>(signer: &dyn Signer, cluster: Digest, body: B) -> Signed<B> {
    let signature = signer.sign(&Statement::new(cluster, &body));
    Signed { body, signature }
}

/// Signs `body` with a signature that convinces everybody, also where message authentication codes would do for those that
/// it is for.
pub fn sign_for_everybody<B: Body>(signer: &dyn Signer, cluster: Digest, body: B) -> Signed<B> {
    let signature = signer.sign(&Statement::new(cluster, &body).for_everybody());
    Signed { body, signature }
}

/// A value whose shape and all of whose signatures were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// The value.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// The value, by reference.
    pub fn get(&self) -> &T {
        &self.0
    }
}

/// Checks the shape of `message`, and then every signature of it, those nested in certificates included. What needs no
/// signature comes first: a message that could not be taken anyway costs none.
pub fn verify(
    params: &Params,
    verifier: &dyn Verifier,
    message: Message,
) -> Result<Verified<Message>, Rejection> {
    check_shape(params, &message)?;
    let check = Check { params, verifier };
    match &message {
        Message::Request(request) => check.request(request)?,
        Message::PrePrepare(proposal) => check.proposal(proposal)?,
        Message::Prepare(prepare) => check.signed(prepare)?,
        Message::Commit(commit) => check.signed(commit)?,
        Message::Checkpoint(checkpoint) => check.signed(checkpoint)?,
        Message::ViewChange(view_change) => check.view_change(view_change)?,
        Message::NewView(new_view) => check.new_view(new_view)?,
        Message::Status(status) => check.signed(status)?,
        Message::Committed(certificate) => check.committed(certificate)?,
        Message::Stable(certificate) => check.stable(certificate)?,
        // These prove themselves by a digest, or ask for something that is public in the cluster.
        Message::Batch(batch) => check.certified_batch(batch)?,
        Message::FetchBatch(_) | Message::FetchState(_) | Message::StateData(_) => {}
    }
    Ok(Verified(message))
}

/// Checks a reply's signature, for clients.
pub fn verify_reply(
    params: &Params,
    verifier: &dyn Verifier,
    reply: Signed<Reply>,
) -> Result<Verified<Signed<Reply>>, Rejection> {
    Check { params, verifier }.signed(&reply)?;
    Ok(Verified(reply))
}

/// What a cluster's messages are checked against.
pub(crate) struct Check<'a> {
    pub(crate) params: &'a Params,
    pub(crate) verifier: &'a dyn Verifier,
}

impl Check<'_> {
    /// Whether who is named as the signer signed it.
    pub(crate) fn signed<B: Body>(&self, signed: &Signed<B>) -> Result<(), Rejection> {
        let signer = signed.body.signer();
        let statement = Statement::new(self.params.cluster, &signed.body);
        let is_good = self.verifier.verify(signer, &statement, &signed.signature);
        refuse_if(!is_good, Rejection::BadSignature { signer })
    }

    fn all<B: Body>(&self, list: &[Signed<B>]) -> Result<(), Rejection> {
        list.iter().try_for_each(|signed| self.signed(signed))
    }

    fn request(&self, request: &Signed<Request>) -> Result<(), Rejection> {
        let client = request.body.client;
        let statement = Statement::new(self.params.cluster, &request.body);
        let codes = self.takes_codes_of(request);
        let statement = if codes { statement } else { statement.for_everybody() };
        let signer = Principal::Client(client);
        match self.verifier.verify(signer, &statement, &request.signature) {
            true => Ok(()),
            false if codes => Err(Rejection::BadAuthenticator { client }),
            false => Err(Rejection::BadSignature { signer }),
        }
    }

    /// Whether the request carries an authenticator, and the cluster takes them.
    fn takes_codes_of(&self, request: &Signed<Request>) -> bool {
        self.params.client_authentication == ClientAuthentication::Macs
            && !request.is_transferable()
    }

    fn batch(&self, batch: &Batch) -> Result<(), Rejection> {
        batch.requests.iter().try_for_each(|request| self.request(request))
    }

    /// A batch that is taken only for the digest in a certificate: f+1 correct replicas have checked its requests. This
    /// one does so, too, where they are signed. On a tag it cannot rely: a client may have spoiled it for this replica
    /// alone.
    fn certified_batch(&self, batch: &Batch) -> Result<(), Rejection> {
        let proven = batch.requests.iter().filter(|request| !self.takes_codes_of(request));
        proven.into_iter().try_for_each(|request| self.request(request))
    }

    fn proposal(&self, proposal: &Proposal) -> Result<(), Rejection> {
        self.signed(&proposal.pre_prepare)?;
        self.batch(&proposal.batch)
    }

    fn certificate(&self, certificate: &PreparedCertificate) -> Result<(), Rejection> {
        self.all(&certificate.prepares)?;
        self.signed(&certificate.pre_prepare)
    }

    fn stable(&self, certificate: &StableCertificate) -> Result<(), Rejection> {
        self.all(&certificate.checkpoints)
    }

    fn committed(&self, certificate: &CommitCertificate) -> Result<(), Rejection> {
        self.all(&certificate.commits)?;
        self.certified_batch(&certificate.batch)
    }

    fn view_change(&self, view_change: &Signed<ViewChange>) -> Result<(), Rejection> {
        self.signed(view_change)?;
        self.stable(&view_change.body.stable)?;
        view_change.body.prepared.iter().try_for_each(|certificate| self.certificate(certificate))
    }

    fn new_view(&self, new_view: &Signed<NewView>) -> Result<(), Rejection> {
        self.signed(new_view)?;
        self.all(&new_view.body.pre_prepares)?;
        new_view.body.view_changes.iter().try_for_each(|view_change| self.view_change(view_change))
    }
}

impl fmt::Debug for Statement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statement").field("kind", &self.kind).finish_non_exhaustive()
    }
}
