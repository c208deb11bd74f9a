//! Messages made by hand.

use super::keys::signed;
use pbft_core::message::{
    Batch, Checkpoint, Commit, CommitCertificate, Message, NewView, PrePrepare, Prepare,
    PreparedCertificate, Proposal, Request, Signed, StableCertificate, Status, ViewChange,
};
use pbft_core::types::{ClientId, Digest, Lane, ReplicaId, SeqNum, Session, Timestamp, View};
use std::sync::Arc;

pub fn request(client: u32, timestamp: u64) -> Arc<Signed<Request>> {
    request_on(client, 0, timestamp, format!("{client}.{timestamp}").as_bytes())
}

pub fn request_on(client: u32, lane: u16, timestamp: u64, op: &[u8]) -> Arc<Signed<Request>> {
    Arc::new(signed(Request {
        client: ClientId(client),
        lane: Lane(lane),
        timestamp: Timestamp(timestamp),
        session: Session::default(),
        operation: op.to_vec(),
    }))
}

/// The batch of one request of `client`.
pub fn batch(client: u32) -> Arc<Batch> {
    batch_of(&[request(client, 1)])
}

pub fn batch_of(requests: &[Arc<Signed<Request>>]) -> Arc<Batch> {
    Arc::new(Batch { requests: requests.iter().map(|request| Signed::clone(request)).collect() })
}

pub fn pre_prepare(view: u64, seq: u64, digest: Digest, replica: u32) -> Signed<PrePrepare> {
    let (view, seq, replica) = (View(view), SeqNum(seq), ReplicaId(replica));
    signed(PrePrepare { view, seq, digest, replica })
}

pub fn proposal(view: u64, seq: u64, batch: &Arc<Batch>, replica: u32) -> Message {
    let pre_prepare = pre_prepare(view, seq, batch.digest(), replica);
    Message::PrePrepare(Arc::new(Proposal { pre_prepare, batch: Arc::clone(batch) }))
}

pub fn signed_prepare(view: u64, seq: u64, digest: Digest, replica: u32) -> Signed<Prepare> {
    let (view, seq, replica) = (View(view), SeqNum(seq), ReplicaId(replica));
    signed(Prepare { view, seq, digest, replica })
}

pub fn prepare(view: u64, seq: u64, digest: Digest, replica: u32) -> Message {
    Message::Prepare(signed_prepare(view, seq, digest, replica))
}

pub fn signed_commit(view: u64, seq: u64, digest: Digest, replica: u32) -> Signed<Commit> {
    let (view, seq, replica) = (View(view), SeqNum(seq), ReplicaId(replica));
    signed(Commit { view, seq, digest, replica })
}

pub fn commit(view: u64, seq: u64, digest: Digest, replica: u32) -> Message {
    Message::Commit(signed_commit(view, seq, digest, replica))
}

pub fn signed_checkpoint(seq: u64, digest: Digest, replica: u32) -> Signed<Checkpoint> {
    signed(Checkpoint { seq: SeqNum(seq), digest, replica: ReplicaId(replica) })
}

pub fn checkpoint(seq: u64, digest: Digest, replica: u32) -> Message {
    Message::Checkpoint(signed_checkpoint(seq, digest, replica))
}

pub fn stable(seq: u64, digest: Digest, replicas: &[u32]) -> StableCertificate {
    let checkpoints = replicas.iter().map(|id| signed_checkpoint(seq, digest, *id)).collect();
    StableCertificate { checkpoints }
}

pub fn prepared(
    view: u64,
    seq: u64,
    digest: Digest,
    n: u32,
    backups: &[u32],
) -> PreparedCertificate {
    PreparedCertificate {
        pre_prepare: pre_prepare(view, seq, digest, (view % u64::from(n)) as u32),
        prepares: backups.iter().map(|id| signed_prepare(view, seq, digest, *id)).collect(),
    }
}

pub fn committed(view: u64, seq: u64, batch: &Arc<Batch>, replicas: &[u32]) -> Message {
    let vote = |id: &u32| signed_commit(view, seq, batch.digest(), *id);
    let commits = replicas.iter().map(vote).collect();
    Message::Committed(Arc::new(CommitCertificate { commits, batch: Arc::clone(batch) }))
}

/// VIEW-CHANGE of a replica with nothing stable.
pub fn view_change_body(view: u64, prepared: Vec<PreparedCertificate>, replica: u32) -> ViewChange {
    ViewChange {
        view: View(view),
        low_water_mark: SeqNum(0),
        stable: StableCertificate::default(),
        prepared,
        replica: ReplicaId(replica),
    }
}

pub fn signed_view_change(
    view: u64,
    prepared: Vec<PreparedCertificate>,
    replica: u32,
) -> Arc<Signed<ViewChange>> {
    Arc::new(signed(view_change_body(view, prepared, replica)))
}

pub fn view_change(view: u64, prepared: Vec<PreparedCertificate>, replica: u32) -> Message {
    Message::ViewChange(signed_view_change(view, prepared, replica))
}

pub fn new_view(
    view: u64,
    view_changes: Vec<Arc<Signed<ViewChange>>>,
    order: &[(u64, Digest)],
    replica: u32,
) -> Message {
    let pre_prepares = order.iter().map(|(seq, d)| pre_prepare(view, *seq, *d, replica)).collect();
    let replica = ReplicaId(replica);
    let body = NewView { view: View(view), view_changes, pre_prepares, replica };
    Message::NewView(Arc::new(signed(body)))
}

pub fn status(replica: u32, view: u64, active: bool, low: u64, executed: u64) -> Message {
    Message::Status(signed(Status {
        replica: ReplicaId(replica),
        view: View(view),
        active,
        low_water_mark: SeqNum(low),
        last_executed: SeqNum(executed),
    }))
}
