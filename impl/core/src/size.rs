//! How many bytes messages have: for budgets, and for the bounds of frames. The canonical bytes ([`crate::canonical`])
//! are counted, without writing them; what is sent has a few more.

use crate::message::{
    Batch, CommitCertificate, Message, NewView, PreparedCertificate, Signed, StableCertificate,
    ViewChange,
};

/// A view, a sequence number or a timestamp.
pub const NUMBER: usize = 8;
/// A replica or a client.
pub const ID: usize = 4;
/// The length before a list or bytes.
pub const LIST: usize = 8;
/// A digest.
pub const DIGEST: usize = 32;
/// A signature.
pub const SIGNATURE: usize = 64;
/// PRE-PREPARE, PREPARE or COMMIT, signed.
pub const VOTE: usize = NUMBER + NUMBER + DIGEST + ID + SIGNATURE;
/// CHECKPOINT, signed.
pub const CHECKPOINT: usize = NUMBER + DIGEST + ID + SIGNATURE;
/// STATUS, signed.
pub const STATUS: usize = ID + NUMBER + 1 + NUMBER + NUMBER + SIGNATURE;
/// REQUEST, signed, without its operation.
pub const REQUEST: usize = ID + 2 + NUMBER + NUMBER + LIST + SIGNATURE;
/// A part of the state, without its bytes.
const STATE_DATA: usize = NUMBER + 1 + ID + LIST;
/// REPLY, signed, without its result.
pub const REPLY: usize = NUMBER + ID + 2 + NUMBER + DIGEST + ID + LIST + SIGNATURE;

impl Message {
    /// How many bytes it has, to within a few.
    pub fn size(&self) -> usize {
        match self {
            Self::Request(request) => REQUEST + request.body.operation.len(),
            Self::PrePrepare(proposal) => VOTE + batch(&proposal.batch),
            Self::Prepare(_) | Self::Commit(_) => VOTE,
            Self::Checkpoint(_) => CHECKPOINT,
            Self::ViewChange(message) => view_change(message),
            Self::NewView(message) => new_view(message),
            Self::Status(_) => STATUS,
            Self::Committed(certificate) => committed(certificate),
            Self::Stable(certificate) => stable(certificate),
            Self::FetchBatch(_) => DIGEST,
            Self::Batch(body) => batch(body),
            Self::FetchState(_) => NUMBER + 1 + ID,
            Self::StateData(data) => STATE_DATA + data.bytes.len(),
        }
    }
}

fn batch(batch: &Batch) -> usize {
    LIST + REQUEST * batch.requests.len() + batch.operation_bytes()
}

fn stable(certificate: &StableCertificate) -> usize {
    LIST + CHECKPOINT * certificate.checkpoints.len()
}

fn committed(certificate: &CommitCertificate) -> usize {
    LIST + VOTE * certificate.commits.len() + batch(&certificate.batch)
}

fn prepared(certificate: &PreparedCertificate) -> usize {
    VOTE + LIST + VOTE * certificate.prepares.len()
}

fn view_change(message: &Signed<ViewChange>) -> usize {
    let body = &message.body;
    let certificates: usize = body.prepared.iter().map(prepared).sum();
    NUMBER + NUMBER + stable(&body.stable) + LIST + certificates + ID + SIGNATURE
}

fn new_view(message: &Signed<NewView>) -> usize {
    let body = &message.body;
    let view_changes: usize = body.view_changes.iter().map(|one| view_change(one)).sum();
    let pre_prepares = LIST + VOTE * body.pre_prepares.len();
    NUMBER + LIST + view_changes + pre_prepares + ID + SIGNATURE
}
