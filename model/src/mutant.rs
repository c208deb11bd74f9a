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
    /// PREPAREs of different views are counted together.
    PreparesMatchedWithoutView,
    /// A prepared certificate waits for the PREPAREs of all backups.
    PrepareNeedsAllBackups,
    /// Execution waits for the COMMITs of all replicas.
    CommitNeedsAll,
    /// NEW-VIEW waits for the VIEW-CHANGEs of all replicas.
    NewViewNeedsAll,
    /// Two PREPAREs of one sender count as two.
    PrepareSenderCountedTwice,
    /// Two COMMITs of one sender count as two.
    CommitSenderCountedTwice,
    /// Two CHECKPOINTs of one sender count as two.
    CheckpointSenderCountedTwice,
    /// CHECKPOINTs are counted whatever their digest.
    CheckpointsMatchedWithoutDigest,
    /// Quorums are 2f+1 whatever n.
    QuorumTwoFPlusOne,
    /// A replica sends COMMIT for what it accepted, without waiting for PREPAREs.
    NoPreparePhase,
    /// A backup accepts a null batch outside NEW-VIEW.
    NullAcceptedInNormalCase,
    /// A replica executes any committed slot, not only the next.
    ExecutesOutOfOrder,
    /// The primary of a new view assigns sequence numbers from h+1 on.
    PrimaryRestartsNumbering,
    /// P holds only what was executed.
    POnlyForCommitted,
    /// A VIEW-CHANGE says that h is 0 after garbage was collected.
    ViewChangeOmitsH,
    /// A certificate above h+L is accepted in a VIEW-CHANGE.
    CertificateAboveWindowInP,
    /// O proposes nothing for slots without a certificate.
    GapsLeftOpen,
    /// A replica enters a view whose min-s it has not executed up to.
    ViewEnteredWithoutState,
    /// A NEW-VIEW of a replica that is not the primary is accepted.
    NewViewFromNonPrimary,
    /// A NEW-VIEW for an earlier view is accepted.
    StaleNewViewAccepted,
    /// A replica refuses an O that differs from what it has prepared.
    LockNotReleased,
    /// A replica does not vote in a new view for what it has executed.
    ExecutedNotVotedAgain,
    /// No timer runs while a replica waits for a NEW-VIEW.
    NoTimerInViewChange,
    /// A replica does not join the view changes of f+1 others.
    NoJoin,
    /// One VIEW-CHANGE for a later view makes a replica join.
    JoinOnOne,
    /// A replica joins the highest view that anybody asks for.
    JoinTakesHighest,
    /// A request is executed after a later one of its client.
    OlderTimestampExecuted,
    /// The reply table is not part of the state that a checkpoint covers.
    RepliesNotInCheckpoint,
    /// What was executed above h is executed again in a new view, without its replies being known.
    RepliesForgottenInViewChange,
    /// A client accepts a result on f equal replies.
    ClientAcceptsFReplies,
    /// A restart forgets the reply table.
    RestartForgetsReplies,
    /// PRE-PREPARE is sent before it is durable.
    PrePrepareSentBeforeDurable,
    /// PREPARE is sent before it is durable.
    PrepareSentBeforeDurable,
    /// COMMIT is sent before the prepared certificate is durable.
    CommitSentBeforeDurable,
    /// CHECKPOINT is sent before the state is durable.
    CheckpointSentBeforeDurable,
    /// VIEW-CHANGE is sent before it is durable.
    ViewChangeSentBeforeDurable,
    /// NEW-VIEW is sent before it is durable.
    NewViewSentBeforeDurable,
    /// A replica that leaves a view forgets the batches that it has accepted and not prepared.
    BatchesDropped,
    /// V is the primary's own VIEW-CHANGE and those of the lowest replicas, also if its batches are nowhere to be had.
    VFixed,
    /// Both: batches are forgotten, and V is fixed.
    BatchesDroppedAndVFixed,
    /// A restart forgets the commit certificates of what was executed.
    RestartForgetsCommitCertificates,
    /// Commit certificates are not handed on to replicas that are behind.
    CommittedNotHandedOn,
    /// The proof of a stable checkpoint is not handed on to replicas that are behind.
    StableNotHandedOn,
    /// The timer waits for requests only that the replica has accepted no PRE-PREPARE for.
    TimerStoppedByPrePrepare,
    /// The timer of a view change runs whether or not a quorum wants the view.
    TimerWithoutQuorum,
}

impl std::fmt::Display for Mutant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = clap::ValueEnum::to_possible_value(self);
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}
