//! The messages, field for field the paper's tuples (§4.1 to §4.4), and the certificates built of them.
//!
//! Everything that can appear in a certificate is signed on its own, so that any correct replica can hand it
//! on. A body names its signer; [`crate::crypto`] checks that the signer's key made the signature.

use crate::octets;
use crate::types::{
    ClientId, Digest, Lane, ReplicaId, SeqNum, Session, Signature, Timestamp, View,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A body with its signer's signature. Unverified: see [`crate::crypto::Verified`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed<B> {
    /// What is signed.
    pub body: B,
    /// The signature of the replica or client that the body names.
    pub signature: Signature,
}

/// REQUEST ⟨o, t, c⟩ (§4.1), with the lane that `t` counts in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The client, c.
    pub client: ClientId,
    /// The client's lane.
    pub lane: Lane,
    /// The timestamp, t; rises within the lane.
    pub timestamp: Timestamp,
    /// The process that asks.
    pub session: Session,
    /// The operation, o: bytes that only the service understands.
    #[serde(with = "octets")]
    pub operation: Vec<u8>,
}

impl Signed<Request> {
    /// Whether it convinces everybody: it is signed, and carries no authenticator in the place of a signature.
    pub fn is_transferable(&self) -> bool {
        !self.signature.is_authenticator()
    }
}

/// The requests that one pre-prepare orders, in execution order. Without requests it is the null batch, which
/// only a view change orders (§4.4).
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Batch {
    /// The requests.
    pub requests: Vec<Signed<Request>>,
}

/// PRE-PREPARE ⟨v, n, d⟩ (§4.2). The batch travels beside it, so that it can serve as a proof alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrePrepare {
    /// The view, v.
    pub view: View,
    /// The sequence number, n.
    pub seq: SeqNum,
    /// The digest of the batch, d.
    pub digest: Digest,
    /// The signer: the primary of `view`.
    pub replica: ReplicaId,
}

/// PREPARE ⟨v, n, d, i⟩ (§4.2): backup i accepted the pre-prepare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepare {
    /// The view, v.
    pub view: View,
    /// The sequence number, n.
    pub seq: SeqNum,
    /// The digest of the batch, d.
    pub digest: Digest,
    /// The backup, i.
    pub replica: ReplicaId,
}

/// COMMIT ⟨v, n, d, i⟩ (§4.2): replica i holds a prepared certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The view, v.
    pub view: View,
    /// The sequence number, n.
    pub seq: SeqNum,
    /// The digest of the batch, d.
    pub digest: Digest,
    /// The replica, i.
    pub replica: ReplicaId,
}

/// CHECKPOINT ⟨n, d, i⟩ (§4.3): replica i's state after executing n has digest d.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The sequence number of the last batch in the state, n.
    pub seq: SeqNum,
    /// The digest of the [`crate::manifest::Manifest`], d.
    pub digest: Digest,
    /// The replica, i.
    pub replica: ReplicaId,
}

/// A pre-prepare and q−1 matching PREPAREs of different backups: the batch prepared in that view (§4.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedCertificate {
    /// The primary's pre-prepare.
    pub pre_prepare: Signed<PrePrepare>,
    /// q−1 PREPAREs, in rising order of replica.
    pub prepares: Vec<Signed<Prepare>>,
}

/// q matching COMMITs: the batch is final at its sequence number, in whichever view they were sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitCertificate {
    /// q COMMITs, in rising order of replica.
    pub commits: Vec<Signed<Commit>>,
    /// The batch that they name.
    pub batch: Arc<Batch>,
}

/// q matching CHECKPOINTs: the checkpoint is stable (§4.3).
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StableCertificate {
    /// q CHECKPOINTs, in rising order of replica. Empty for the initial state, which needs no proof.
    pub checkpoints: Vec<Signed<Checkpoint>>,
}

/// VIEW-CHANGE ⟨v+1, h, C, P, i⟩ (§4.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewChange {
    /// The view that replica i moves to, v+1.
    pub view: View,
    /// Replica i's last stable checkpoint, h.
    #[doc(alias = "h")]
    pub low_water_mark: SeqNum,
    /// The proof of h, C.
    #[doc(alias = "C")]
    pub stable: StableCertificate,
    /// For each sequence number above h that prepared at i, the certificate of the highest view, P; in rising
    /// order of sequence number.
    #[doc(alias = "P")]
    pub prepared: Vec<PreparedCertificate>,
    /// The replica, i.
    pub replica: ReplicaId,
}

/// NEW-VIEW ⟨v+1, V, O⟩ (§4.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewView {
    /// The view that begins, v+1.
    pub view: View,
    /// q VIEW-CHANGEs for `view`, in rising order of replica, V.
    #[doc(alias = "V")]
    pub view_changes: Vec<Arc<Signed<ViewChange>>>,
    /// A pre-prepare for each sequence number after min-s up to max-s, O.
    #[doc(alias = "O")]
    pub pre_prepares: Vec<Signed<PrePrepare>>,
    /// The signer: the primary of `view`.
    pub replica: ReplicaId,
}

/// REPLY ⟨v, t, d, c, i, r⟩ (§4.1): to the request with digest d, and to no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The replica's view, v: tells the client who the primary is.
    pub view: View,
    /// The client, c.
    pub client: ClientId,
    /// The client's lane.
    pub lane: Lane,
    /// The request's timestamp, t.
    pub timestamp: Timestamp,
    /// The request's digest, d.
    pub request: Digest,
    /// The replica, i.
    pub replica: ReplicaId,
    /// The result, r: bytes that only the service understands.
    #[serde(with = "octets")]
    pub result: Arc<[u8]>,
}

/// STATUS: what replica i has, so that its peers can send what it lacks (retransmission; see
/// `docs/deviations.md`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The replica, i.
    pub replica: ReplicaId,
    /// Its view.
    pub view: View,
    /// Whether that view is active, or still being changed to.
    pub active: bool,
    /// Its last stable checkpoint.
    pub low_water_mark: SeqNum,
    /// The last batch that it executed.
    pub last_executed: SeqNum,
}

/// A pre-prepare together with the batch that it orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The primary's pre-prepare.
    pub pre_prepare: Signed<PrePrepare>,
    /// The batch with digest `pre_prepare.digest`.
    pub batch: Arc<Batch>,
}

/// Asks for a part of the state at a stable checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchState {
    /// The stable checkpoint.
    pub seq: SeqNum,
    /// Which part.
    pub part: StatePart,
}

/// A part of a checkpoint's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StatePart {
    /// The list of chunk digests.
    Manifest,
    /// One chunk, by its index in the manifest.
    Chunk(u32),
}

/// A part of a checkpoint's state, as asked for. It proves itself: its digest is in the manifest, and the
/// manifest's digest is in the stable certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateData {
    /// The stable checkpoint.
    pub seq: SeqNum,
    /// Which part.
    pub part: StatePart,
    /// The bytes of the part.
    #[serde(with = "octets")]
    pub bytes: Arc<[u8]>,
}

/// Everything that replicas send one another. (A REPLY goes to clients only.)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// A client's request, from the client or relayed by a backup.
    Request(Arc<Signed<Request>>),
    /// PRE-PREPARE with its batch.
    PrePrepare(Arc<Proposal>),
    /// PREPARE.
    Prepare(Signed<Prepare>),
    /// COMMIT.
    Commit(Signed<Commit>),
    /// CHECKPOINT.
    Checkpoint(Signed<Checkpoint>),
    /// VIEW-CHANGE, also of another replica, handed on.
    ViewChange(Arc<Signed<ViewChange>>),
    /// NEW-VIEW, also handed on by another replica.
    NewView(Arc<Signed<NewView>>),
    /// STATUS.
    Status(Signed<Status>),
    /// A commit certificate for a replica that is behind.
    Committed(Arc<CommitCertificate>),
    /// A stable checkpoint's proof for a replica that is behind.
    Stable(Arc<StableCertificate>),
    /// Asks for a batch by its digest.
    FetchBatch(Digest),
    /// A batch that was asked for. It proves itself by its digest.
    Batch(Arc<Batch>),
    /// Asks for state.
    FetchState(FetchState),
    /// State that was asked for.
    StateData(Arc<StateData>),
}

impl Message {
    /// The message's kind, as a word for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Request(_) => "request",
            Self::PrePrepare(_) => "pre-prepare",
            Self::Prepare(_) => "prepare",
            Self::Commit(_) => "commit",
            Self::Checkpoint(_) => "checkpoint",
            Self::ViewChange(_) => "view-change",
            Self::NewView(_) => "new-view",
            Self::Status(_) => "status",
            Self::Committed(_) => "committed",
            Self::Stable(_) => "stable",
            Self::FetchBatch(_) => "fetch-batch",
            Self::Batch(_) => "batch",
            Self::FetchState(_) => "fetch-state",
            Self::StateData(_) => "state-data",
        }
    }
}
