//! What is signed: each kind of body as bytes, and each signature in a message with the bytes that it is of.

use super::{Layout, PROTOCOL};
use pbft_core::message::{
    Batch, Checkpoint, Commit, CommitCertificate, Message, NewView, PrePrepare, Prepare,
    PreparedCertificate, Proposal, Reply, Request, Signed, StableCertificate, Status, ViewChange,
};
use pbft_core::types::{Digest, Principal, Signature};

/// A body that somebody signs.
pub trait Signable {
    /// The number of its kind, which keeps a signature of one kind from being taken for one of another.
    const NUMBER: u8;

    /// Whose signature it needs.
    fn signer(&self) -> Principal;

    /// Writes its bytes.
    fn lay(&self, to: &mut Layout);
}

/// The bytes under a signature.
pub fn statement<S: Signable>(cluster: Digest, body: &S) -> Vec<u8> {
    let mut layout = Layout::default();
    layout.raw(&PROTOCOL).byte(S::NUMBER).raw(&cluster.0);
    body.lay(&mut layout);
    layout.into_bytes()
}

pub(super) fn lay_signature(signature: &Signature, to: &mut Layout) {
    let Signature { r, s } = signature;
    to.raw(r).raw(s);
}

pub(super) fn lay_request(request: &Request, to: &mut Layout) {
    let Request { client, lane, timestamp, session, operation } = request;
    to.word(client.0).short(lane.0).long(timestamp.0).long(session.0).string(operation);
}

fn lay_signed<S: Signable>(signed: &Signed<S>, to: &mut Layout) {
    let Signed { body, signature } = signed;
    body.lay(to);
    lay_signature(signature, to);
}

fn lay_list<T>(list: &[T], to: &mut Layout, lay: impl Fn(&T, &mut Layout)) {
    to.long(list.len() as u64);
    list.iter().for_each(|item| lay(item, to));
}

fn lay_prepared(certificate: &PreparedCertificate, to: &mut Layout) {
    let PreparedCertificate { pre_prepare, prepares } = certificate;
    lay_signed(pre_prepare, to);
    lay_list(prepares, to, lay_signed);
}

impl Signable for Request {
    const NUMBER: u8 = 1;

    fn signer(&self) -> Principal {
        Principal::Client(self.client)
    }

    fn lay(&self, to: &mut Layout) {
        lay_request(self, to);
    }
}

/// A vote is a view, a number, a digest and a replica, whichever of the three kinds it is.
macro_rules! vote {
    ($($body:ident = $number:literal),*) => {$(
        impl Signable for $body {
            const NUMBER: u8 = $number;

            fn signer(&self) -> Principal {
                Principal::Replica(self.replica)
            }

            fn lay(&self, to: &mut Layout) {
                let Self { view, seq, digest, replica } = self;
                to.long(view.0).long(seq.0).raw(&digest.0).word(replica.0);
            }
        }
    )*};
}

vote!(PrePrepare = 2, Prepare = 3, Commit = 4);

impl Signable for Checkpoint {
    const NUMBER: u8 = 5;

    fn signer(&self) -> Principal {
        Principal::Replica(self.replica)
    }

    fn lay(&self, to: &mut Layout) {
        let Self { seq, digest, replica } = self;
        to.long(seq.0).raw(&digest.0).word(replica.0);
    }
}

impl Signable for ViewChange {
    const NUMBER: u8 = 6;

    fn signer(&self) -> Principal {
        Principal::Replica(self.replica)
    }

    fn lay(&self, to: &mut Layout) {
        let Self { view, low_water_mark, stable, prepared, replica } = self;
        let StableCertificate { checkpoints } = stable;
        to.long(view.0).long(low_water_mark.0);
        lay_list(checkpoints, to, lay_signed);
        lay_list(prepared, to, lay_prepared);
        to.word(replica.0);
    }
}

impl Signable for NewView {
    const NUMBER: u8 = 7;

    fn signer(&self) -> Principal {
        Principal::Replica(self.replica)
    }

    fn lay(&self, to: &mut Layout) {
        let Self { view, view_changes, pre_prepares, replica } = self;
        to.long(view.0);
        lay_list(view_changes, to, |one, to| lay_signed(&**one, to));
        lay_list(pre_prepares, to, lay_signed);
        to.word(replica.0);
    }
}

impl Signable for Reply {
    const NUMBER: u8 = 8;

    fn signer(&self) -> Principal {
        Principal::Replica(self.replica)
    }

    fn lay(&self, to: &mut Layout) {
        let Self { view, client, lane, timestamp, request, replica, result } = self;
        to.long(view.0).word(client.0).short(lane.0).long(timestamp.0).raw(&request.0);
        to.word(replica.0).string(result);
    }
}

impl Signable for Status {
    const NUMBER: u8 = 9;

    fn signer(&self) -> Principal {
        Principal::Replica(self.replica)
    }

    fn lay(&self, to: &mut Layout) {
        let Self { replica, view, active, low_water_mark, last_executed } = self;
        to.word(replica.0).long(view.0).byte(u8::from(*active));
        to.long(low_water_mark.0).long(last_executed.0);
    }
}

/// Takes each statement of a message: whose it must be, its bytes, and the signature that is there.
pub trait Statements {
    /// Whether the statements of this principal are wanted.
    fn wants(&self, signer: Principal) -> bool;

    /// One of them.
    fn take(&mut self, signer: Principal, bytes: &[u8], signature: &Signature);
}

/// Hands on every signature in `message`, nested ones included.
pub fn each_statement(message: &Message, cluster: Digest, to: &mut impl Statements) {
    let mut walk = Walk { cluster, to };
    match message {
        Message::Request(request) => walk.signed(request),
        Message::PrePrepare(proposal) => {
            let Proposal { pre_prepare, batch } = &**proposal;
            walk.signed(pre_prepare);
            walk.batch(batch);
        }
        Message::Prepare(vote) => walk.signed(vote),
        Message::Commit(vote) => walk.signed(vote),
        Message::Checkpoint(vote) => walk.signed(vote),
        Message::ViewChange(one) => walk.view_change(one),
        Message::NewView(one) => {
            walk.signed(&**one);
            one.body.view_changes.iter().for_each(|one| walk.view_change(one));
            one.body.pre_prepares.iter().for_each(|one| walk.signed(one));
        }
        Message::Status(status) => walk.signed(status),
        Message::Committed(certificate) => {
            let CommitCertificate { commits, batch } = &**certificate;
            commits.iter().for_each(|vote| walk.signed(vote));
            walk.batch(batch);
        }
        Message::Stable(certificate) => {
            certificate.checkpoints.iter().for_each(|vote| walk.signed(vote));
        }
        Message::Batch(batch) => walk.batch(batch),
        Message::FetchBatch(_) | Message::FetchState(_) | Message::StateData(_) => {}
    }
}

struct Walk<'a, T> {
    cluster: Digest,
    to: &'a mut T,
}

impl<T: Statements> Walk<'_, T> {
    fn signed<S: Signable>(&mut self, signed: &Signed<S>) {
        let signer = signed.body.signer();
        if self.to.wants(signer) {
            let bytes = statement(self.cluster, &signed.body);
            self.to.take(signer, &bytes, &signed.signature);
        }
    }

    fn batch(&mut self, batch: &Batch) {
        batch.requests.iter().for_each(|request| self.signed(request));
    }

    fn view_change(&mut self, one: &Signed<ViewChange>) {
        self.signed(one);
        one.body.stable.checkpoints.iter().for_each(|vote| self.signed(vote));
        for PreparedCertificate { pre_prepare, prepares } in &one.body.prepared {
            self.signed(pre_prepare);
            prepares.iter().for_each(|vote| self.signed(vote));
        }
    }
}
