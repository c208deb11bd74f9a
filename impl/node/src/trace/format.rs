//! The lines of a trace file.

use crate::hex;
use pbft_core::types::Digest;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// The version of the format. Another one is refused.
pub const FORMAT: u32 = 1;

/// The longest line, in bytes. A NEW-VIEW of a hundred replicas with full windows fits.
pub const LINE_BYTES_MAX: usize = 4 << 20;

/// The first half of a digest: short enough to read, long enough that nobody finds two alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ShortDigest(pub u128);

impl From<Digest> for ShortDigest {
    fn from(digest: Digest) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&digest.0[..16]);
        Self(u128::from_be_bytes(half))
    }
}

impl fmt::Display for ShortDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0 >> 96)
    }
}

impl Serialize for ShortDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:032x}", self.0))
    }
}

impl<'de> Deserialize<'de> for ShortDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let bytes = hex::decode::<16>(&text);
        let bytes = bytes.ok_or_else(|| D::Error::custom("a digest is 32 hexadecimal digits"))?;
        Ok(Self(u128::from_be_bytes(bytes)))
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Line {
    /// The replica starts.
    Header(Box<Header>),
    /// The core made a step.
    Step(Box<Step>),
    /// Steps are missing here: they could not be written.
    Gap {
        /// How many.
        steps: u64,
    },
    /// The replica stopped in order. Nothing follows but another header.
    End {
        /// The steps since the header.
        steps: u64,
    },
}

/// Who writes, and the state that it starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// The program and its version.
    pub program: String,
    /// The cluster's id.
    pub cluster: ShortDigest,
    /// The number of replicas, n.
    pub replicas: u32,
    /// This replica.
    pub replica: u32,
    /// The checkpoint interval, K.
    pub interval: u64,
    /// The size of the log, L.
    pub window: u64,
    /// The digest of the null batch.
    pub null: ShortDigest,
    /// What the replica knows at its start.
    pub state: Resumed,
}

/// The protocol state that a replica starts from: what its disk says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resumed {
    /// The current view.
    pub view: u64,
    /// Whether it takes part in it.
    pub active: bool,
    /// The low water mark, h.
    pub low: u64,
    /// The last batch executed.
    pub executed: u64,
    /// Sequence number and digest of what was accepted in the current view.
    pub accepted: Vec<(u64, ShortDigest)>,
    /// Sequence number, view and digest of what has prepared, of the highest view each.
    pub prepared: Vec<(u64, u64, ShortDigest)>,
    /// Sequence number and digest of the replica's checkpoints above h.
    pub checkpoints: Vec<(u64, ShortDigest)>,
}

/// One step of the core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its number since the header, from 1.
    pub number: u64,
    /// The group of steps that became durable together, from 1. The last group before the next header has happened
    /// only if the state there says so.
    pub group: u64,
    /// What happened to the replica.
    #[serde(rename = "in")]
    pub input: Input,
    /// The kind of the rejection, if the input was refused; then nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What the replica wrote, said and did, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub out: Vec<Output>,
}

/// What happens to a replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Input {
    /// A message from another replica.
    Message {
        /// Whose channel it came over; it may be signed by another.
        from: u32,
        /// The message.
        body: Body,
    },
    /// A request from its client.
    Request(RequestId),
    /// The view-change timer ran out.
    ViewTimer,
    /// The status timer ran out.
    StatusTimer,
    /// The timer of a batch ran out.
    BatchTimer,
    /// Somebody suspects the primary.
    Suspect,
    /// The service has executed the batch.
    Executed {
        /// Its sequence number.
        seq: u64,
    },
    /// The service has the state of the checkpoint.
    Installed {
        /// Its sequence number.
        seq: u64,
    },
}

/// Client, lane and timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(pub u32, pub u16, pub u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.0, self.1, self.2)
    }
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Body {
    /// PRE-PREPARE with its batch.
    PrePrepare(Proposal),
    /// PREPARE.
    Prepare(Vote),
    /// COMMIT.
    Commit(Vote),
    /// CHECKPOINT.
    Checkpoint(CheckpointVote),
    /// VIEW-CHANGE.
    ViewChange(ViewChange),
    /// NEW-VIEW.
    NewView(NewView),
    /// A commit certificate with its batch.
    Committed(Committed),
    /// The proof of a stable checkpoint.
    Stable(StableProof),
    /// A message of a kind that the model does not know, by its kind.
    Other(String),
}

/// PRE-PREPARE ⟨v, n, d⟩ and the requests of the batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// The view.
    pub view: u64,
    /// The sequence number.
    pub seq: u64,
    /// The digest of the batch.
    pub digest: ShortDigest,
    /// The signer.
    pub replica: u32,
    /// The batch.
    pub batch: Vec<RequestId>,
}

/// PREPARE or COMMIT ⟨v, n, d, i⟩.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// The view.
    pub view: u64,
    /// The sequence number.
    pub seq: u64,
    /// The digest of the batch.
    pub digest: ShortDigest,
    /// The signer.
    pub replica: u32,
}

/// CHECKPOINT ⟨n, d, i⟩.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointVote {
    /// The sequence number.
    pub seq: u64,
    /// The digest of the state.
    pub digest: ShortDigest,
    /// The signer.
    pub replica: u32,
}

/// VIEW-CHANGE ⟨v+1, h, C, P, i⟩.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewChange {
    /// The view that its sender changes to.
    pub view: u64,
    /// The signer.
    pub replica: u32,
    /// The low water mark, h.
    pub low: u64,
    /// The proof of h, C; none for the initial state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<StableProof>,
    /// What has prepared above h, P, by rising sequence number.
    pub prepared: Vec<PreparedProof>,
}

/// NEW-VIEW ⟨v+1, V, O⟩.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewView {
    /// The view that begins.
    pub view: u64,
    /// The signer.
    pub replica: u32,
    /// V.
    pub view_changes: Vec<ViewChange>,
    /// O: sequence number and digest of each pre-prepare.
    pub order: Vec<(u64, ShortDigest)>,
}

/// q−1 PREPAREs that match a PRE-PREPARE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreparedProof {
    /// The view in which it prepared.
    pub view: u64,
    /// The sequence number.
    pub seq: u64,
    /// The digest of the batch.
    pub digest: ShortDigest,
    /// The signers of the PREPAREs.
    pub signers: Vec<u32>,
}

/// q COMMITs that match, and the batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Committed {
    /// The view of the COMMITs.
    pub view: u64,
    /// The sequence number.
    pub seq: u64,
    /// The digest of the batch.
    pub digest: ShortDigest,
    /// The signers of the COMMITs.
    pub signers: Vec<u32>,
    /// The batch.
    pub batch: Vec<RequestId>,
}

/// q CHECKPOINTs that match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StableProof {
    /// The sequence number.
    pub seq: u64,
    /// The digest of the state.
    pub digest: ShortDigest,
    /// The signers.
    pub signers: Vec<u32>,
}

/// What a step wrote, said or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Output {
    /// A message to all other replicas.
    All(Body),
    /// A message to one replica.
    To(u32, Body),
    /// Written down: a batch has prepared.
    Prepared(PreparedProof),
    /// Written down: a checkpoint is stable.
    Stable(StableProof),
    /// Written down: the view is active, by another replica's NEW-VIEW.
    Enter {
        /// The view.
        view: u64,
    },
    /// The service is asked to execute a batch.
    Execute {
        /// The certificate that makes it final.
        committed: Committed,
        /// The requests of it that were not answered before.
        applied: Vec<RequestId>,
    },
    /// The service is asked to adopt a fetched state.
    Install {
        /// The checkpoint's sequence number.
        seq: u64,
    },
    /// The replica stops for good.
    Halt(String),
}
