//! Mutants: each rule of the protocol that matters can be broken by name, to show that the properties bite.

use serde::{Deserialize, Serialize};

/// One planted bug.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
#[clap(rename_all = "kebab-case")]
pub enum Mutant {
    /// Execution on q−1 COMMITs.
    CommitQuorumOneShort,
    /// A prepared certificate with q−2 PREPAREs.
    PrepareQuorumOneShort,
    /// VIEW-CHANGE without P.
    POmitted,
    /// P holds only what prepared in the view that is left.
    PFromLastViewOnly,
    /// Backups take any O from the primary.
    NewViewNotRecomputed,
    /// O takes the certificate with the lowest view.
    NewViewTakesLowestView,
    /// A backup accepts a second PRE-PREPARE for the same view and slot.
    SecondConflictingPrePrepare,
    /// The primary's vote counts among the PREPAREs.
    PrimaryPrepareCounted,
    /// The log is discarded at the replica's own checkpoint.
    GcBeforeStability,
    /// A restart forgets which PRE-PREPAREs were accepted.
    RestartForgetsAccepted,
    /// A restart forgets prepared certificates.
    RestartForgetsCertificate,
    /// A restart forgets that a VIEW-CHANGE was sent.
    RestartForgetsViewChange,
    /// A replica goes on voting in a view after its VIEW-CHANGE.
    VotesAfterViewChange,
    /// A backup accepts a PRE-PREPARE of a replica that is not the primary.
    PrePrepareFromNonPrimary,
    /// A replica executes what it prepared.
    ExecuteOnPrepared,
    /// PREPAREs are counted whatever their digest.
    PreparesMatchedWithoutDigest,
    /// Execution does not consult the reply table.
    DuplicateExecution,
    /// Backups do not check the client's signature.
    RequestSignatureUnchecked,
    /// NEW-VIEW with q−1 VIEW-CHANGEs.
    NewViewQuorumOneShort,
    /// Two VIEW-CHANGEs of one sender count as two.
    ViewChangeSenderCountedTwice,
    /// A VIEW-CHANGE for an earlier view is taken into V.
    StaleViewChangeInV,
    /// Certificates in a VIEW-CHANGE are not verified.
    PNotVerified,
    /// State transfer does not verify what it receives.
    StateTransferUnverified,
    /// One CHECKPOINT makes a checkpoint stable.
    CheckpointStableAtOne,
    /// f+1 CHECKPOINTs make a checkpoint stable.
    CheckpointStableAtWeak,
    /// Slots above the high water mark are accepted.
    AboveHighWaterMark,
    /// Slots at or below the low water mark are accepted.
    LowWaterMarkIgnored,
    /// O starts at the first slot whatever the checkpoints in V.
    MinSIgnored,
    /// The checkpoint that a VIEW-CHANGE claims is not verified.
    ViewChangeOmitsHProof,
    /// COMMITs of different views are counted together.
    CommitsMatchedWithoutView,
    /// COMMITs are counted whatever their digest.
    CommitsMatchedWithoutDigest,
}

impl std::fmt::Display for Mutant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = clap::ValueEnum::to_possible_value(self);
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}
