//! The record of the mutants: the rule that each breaks, and how it is found out.

use crate::mutant::Mutant;

/// What is expected of the search under a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The property is violated; the configuration is the smallest in which it is.
    Killed {
        /// The property.
        by: &'static str,
        /// Name of the configuration.
        config: &'static str,
        /// Length of the shortest counterexample.
        steps: usize,
    },
    /// No property can be violated.
    Equivalent {
        /// Why.
        reason: &'static str,
        /// Name of the configuration that is searched exhaustively all the same.
        config: &'static str,
    },
}

/// A mutant on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The mutant.
    pub mutant: Mutant,
    /// The rule that it breaks, with its section of the paper.
    pub rule: &'static str,
    /// What is expected.
    pub fate: Fate,
}

/// A row for each mutant: its rule; then the property that finds it out, the configuration and the number of steps, or the
/// reason why none does and a configuration.
macro_rules! record {
    ($($mutant:ident: $rule:literal, $fate:ident($($detail:expr),+);)+) => {
        [$(Row { mutant: Mutant::$mutant, rule: $rule, fate: record!(@$fate $($detail),+) }),+]
    };
    (@killed $by:expr, $config:expr, $steps:expr) => {
        Fate::Killed { by: $by, config: $config, steps: $steps }
    };
    (@equivalent $reason:expr, $config:expr) => {
        Fate::Equivalent { reason: $reason, config: $config }
    };
}

/// All mutants, in the order of their declaration. Agreement is the property named wherever two million states show its
/// violation, even if an inner property (certificate uniqueness, say) falls earlier: it is what clients see. With four
/// views `commits-matched-without-view` breaks agreement too: 22 steps at `n4-b0-v3-s1-d2`, after 54 million states.
pub const RECORD: [Row; 76] = record! {
    CommitQuorumOneShort: "§4.2: committed-local needs q COMMITs",
        killed("agreement", "n4-b0-v1-s1-d2", 12);
    PrepareQuorumOneShort: "§4.2: prepared needs q−1 PREPAREs beside the PRE-PREPARE",
        killed("agreement", "n4-b0-v1-s1-d2", 13);
    POmitted: "§4.4: VIEW-CHANGE carries P",
        killed("agreement", "n4-b0-v1-s1-d2", 14);
    PFromLastViewOnly: "§4.4: P holds what prepared above h in any earlier view",
        killed("agreement", "n4-b0-v2-s1-d2", 15);
    NewViewNotRecomputed: "§4.4: a backup verifies O by computing it from V",
        killed("agreement", "n4-b1-v1-s1-d1", 12);
    NewViewTakesLowestView: "§4.4: O takes the certificate with the highest view in V",
        killed("agreement", "n4-b0-v2-s1-d2", 18);
    SecondConflictingPrePrepare: "§4.2: no other PRE-PREPARE accepted for this view and slot",
        killed("agreement", "n4-b0-v0-s1-d2", 10);
    PrimaryPrepareCounted: "§4.2: the PREPAREs come from different backups",
        killed("agreement", "n4-b0-v1-s1-d2", 13);
    GcBeforeStability: "§4.3: the log is discarded when the checkpoint is stable",
        killed("agreement", "n4-b0-v1-s1-d2-k1", 14);
    RestartForgetsAccepted: "§2: replicas keep their state across restarts",
        killed("agreement", "n4-b0-v0-s1-d2", 11);
    RestartForgetsCertificate: "§2: replicas keep their state across restarts",
        killed("agreement", "n4-b0-v1-s1-d2", 15);
    RestartForgetsViewChange: "§2: replicas keep their state across restarts",
        killed("agreement", "n4-b0-v1-s1-d2", 15);
    VotesAfterViewChange: "§4.4: no PREPARE or COMMIT in a view that was left",
        killed("agreement", "n4-b0-v1-s1-d2", 14);
    PrePrepareFromNonPrimary: "§4.2: a PRE-PREPARE is signed by the primary of its view",
        killed("agreement", "n4-b1-v1-s1-d2", 14);
    ExecuteOnPrepared: "§4.2: execution waits for committed-local",
        killed("agreement", "n4-b0-v1-s1-d2", 12);
    PreparesMatchedWithoutDigest: "§4.2: PREPAREs match in view, slot and digest",
        killed("agreement", "n4-b0-v1-s1-d1", 12);
    DuplicateExecution: "§4.1: a request that was answered is not executed again",
        killed("exactly-once", "n4-b0-v0-s2-d1", 10);
    RequestSignatureUnchecked: "§4.2: the request in a PRE-PREPARE is signed by its client",
        killed("validity", "n4-b0-v0-s1-d1", 5);
    NewViewQuorumOneShort: "§4.4: V holds q VIEW-CHANGEs",
        killed("agreement", "n4-b0-v1-s1-d2", 13);
    ViewChangeSenderCountedTwice: "§4.4: the VIEW-CHANGEs in V come from different replicas",
        killed("agreement", "n4-b0-v1-s1-d2", 13);
    StaleViewChangeInV: "§4.4: the VIEW-CHANGEs in V are for exactly the new view",
        killed("agreement", "n4-b0-v2-s1-d2", 17);
    PNotVerified: "§4.4: the certificates in P are verified",
        killed("agreement", "n4-b0-v1-s1-d2", 12);
    StateTransferUnverified: "§4.3: fetched state matches the digest of a stable checkpoint",
        killed("client-reply", "n4-b0-v0-s1-d2-k1", 2);
    CheckpointStableAtOne: "§4.3: a checkpoint is stable with q CHECKPOINTs",
        killed("client-reply", "n4-b0-v0-s1-d2-k1", 2);
    CheckpointStableAtWeak: "§4.3: a checkpoint is stable with q CHECKPOINTs (f+1 prove the digest, but not that f+1 correct replicas hold the state)",
        killed("state-obtainable", "n4-b0-v0-s1-d1-k1", 6);
    AboveHighWaterMark: "§4.2: the slot is at most H",
        killed("water-marks", "n4-b0-v0-s2-d1-k1-l1", 1);
    LowWaterMarkIgnored: "§4.2: the slot is above h",
        killed("agreement", "n4-b0-v1-s1-d2-k1", 16);
    MinSIgnored: "§4.4: O starts above min-s",
        killed("agreement", "n4-b0-v1-s1-d2-k1", 16);
    ViewChangeOmitsHProof: "§4.4: VIEW-CHANGE proves its checkpoint with C",
        killed("state-obtainable", "n4-b0-v1-s1-d1-k1", 8);
    CommitsMatchedWithoutView: "§4.2: COMMITs match in view, slot and digest",
        killed("committed-survives", "n4-b0-v1-s1-d1", 10);
    CommitsMatchedWithoutDigest: "§4.2: COMMITs match in view, slot and digest",
        equivalent("at most one value prepares in a view at a slot, and honest COMMITs follow a certificate: all of a view name the same value", "n4-b0-v1-s1-d2");
    PreparesMatchedWithoutView: "§4.2: PREPAREs match in view, slot and digest",
        killed("agreement", "n4-b1-v2-s1-d2", 18);
    PrepareNeedsAllBackups: "§4.2: prepared needs q−1 PREPAREs, since f replicas may never answer",
        killed("progress", "n4-b0-v0-s1-d1", 0);
    CommitNeedsAll: "§4.2: committed-local needs q COMMITs, since f replicas may never answer",
        killed("progress", "n4-b0-v0-s1-d1", 0);
    NewViewNeedsAll: "§4.4: V holds q VIEW-CHANGEs, since f replicas may never answer",
        killed("progress", "n4-b0-v0-s1-d1", 0);
    PrepareSenderCountedTwice: "§4.2: the PREPAREs come from different backups",
        killed("certificate-uniqueness", "n7-b01-v0-s1-d2", 4);
    CommitSenderCountedTwice: "§4.2: the COMMITs come from different replicas",
        killed("agreement", "n4-b0-v1-s1-d2", 12);
    CheckpointSenderCountedTwice: "§4.3: the CHECKPOINTs come from different replicas",
        killed("state-obtainable", "n4-b0-v0-s1-d1-k1", 6);
    CheckpointsMatchedWithoutDigest: "§4.3: CHECKPOINTs match in slot and digest",
        killed("client-reply", "n4-b0-v0-s1-d2-k1", 7);
    QuorumTwoFPlusOne: "§4.2 is for n = 3f+1: any other n needs q = ⌈(n+f+1)/2⌉",
        killed("agreement", "n5-b0-v0-s1-d2", 10);
    NoPreparePhase: "§4.2: COMMIT waits for the prepared certificate",
        killed("agreement", "n4-b0-v1-s1-d2", 14);
    NullAcceptedInNormalCase: "§4.4: null requests fill gaps in O",
        equivalent("a null batch changes no state: a faulty primary that proposes one orders nothing, which it may do anyway", "n4-b0-v1-s1-d2");
    ExecutesOutOfOrder: "§4.2: a slot is executed when all lower ones are",
        killed("client-reply", "n4-b0-v0-s2-d2", 10);
    PrimaryRestartsNumbering: "§4.4: the primary of a new view goes on from max-s",
        killed("certificate-uniqueness", "n4-b1-v0-s1-d2", 4);
    POnlyForCommitted: "§4.4: P holds what prepared, executed or not",
        killed("agreement", "n4-b0-v1-s1-d2", 14);
    ViewChangeOmitsH: "§4.4: VIEW-CHANGE says which checkpoint is stable",
        killed("agreement", "n4-b0-v1-s1-d2-k1", 16);
    CertificateAboveWindowInP: "§4.4: P holds slots in (h, h+L]",
        equivalent("whoever prepared slot n has h ≥ n−L; q−f honest replicas did, and any V holds one of them, so min-s ≥ n−L whatever h a faulty sender claims", "n4-b3-v1-s2-d1-k1-l1");
    GapsLeftOpen: "§4.4: O fills gaps with null requests",
        killed("progress", "n4-b0-v0-s2-d1", 4);
    ViewEnteredWithoutState: "§4.4: a replica that lacks the checkpoint min-s fetches it first",
        killed("water-marks", "n4-b0-v1-s1-d1-k1", 9);
    NewViewFromNonPrimary: "§4.4: a NEW-VIEW is signed by the primary of its view",
        killed("certificate-uniqueness", "n4-b0-v1-s1-d2", 11);
    StaleNewViewAccepted: "§4.4: a NEW-VIEW is for the view that is waited for, or a later one",
        killed("committed-survives", "n4-b0-v2-s1-d1", 11);
    LockNotReleased: "§4.4: what a correct O says replaces what prepared in an earlier view",
        killed("progress", "n4-b1-v1-s1-d1", 6);
    ExecutedNotVotedAgain: "§4.4: replicas redo the protocol for O, also for what they have executed",
        equivalent("who has executed holds a commit certificate and passes it on (with signatures it convinces others), so nobody needs the votes", "n4-b1-v1-s1-d2");
    NoTimerInViewChange: "§4.5.2: a timer runs while a replica waits for a NEW-VIEW",
        killed("progress", "n4-b1-v1-s1-d1", 1);
    NoJoin: "§4.5.2: f+1 VIEW-CHANGEs for later views make a replica join",
        equivalent("time is not modelled: a replica that does not join may still time out view by view, so nothing is lost but time", "n4-b0-v2-s1-d1");
    JoinOnOne: "§4.5.2: f+1 VIEW-CHANGEs, so that one is of a correct replica",
        killed("no-view-skipped", "n4-b0-v2-s1-d1", 1);
    JoinTakesHighest: "§4.5.2: the smallest view of the f+1",
        killed("no-view-skipped", "n4-b0-v3-s1-d1", 2);
    OlderTimestampExecuted: "§4.1: timestamps rise",
        killed("client-order", "n4-b0-v0-s2-d1-t2", 10);
    RepliesNotInCheckpoint: "§4.3: the state that a checkpoint covers includes the last replies",
        killed("exactly-once", "n4-b0-v0-s2-d1-k1", 12);
    RepliesForgottenInViewChange: "§4.4: what was executed is not executed again in a new view",
        killed("exactly-once", "n4-b0-v1-s1-d1", 9);
    ClientAcceptsFReplies: "§4.1: a client waits for f+1 equal replies",
        killed("client-reply", "n4-b0-v0-s1-d1", 0);
    RestartForgetsReplies: "§2: replicas keep their state across restarts",
        killed("exactly-once", "n4-b0-v0-s2-d1", 11);
    PrePrepareSentBeforeDurable: "§2: a PRE-PREPARE is durable before it is sent",
        killed("agreement", "n4-b3-v1-s1-d2-r", 18);
    PrepareSentBeforeDurable: "§2: what was accepted is durable before PREPARE is sent",
        killed("agreement", "n4-b0-v1-s1-d2-r", 18);
    CommitSentBeforeDurable: "§2: the prepared certificate is durable before COMMIT is sent",
        killed("agreement", "n4-b0-v0-s1-d2-r", 16);
    CheckpointSentBeforeDurable: "§2: the state is durable before CHECKPOINT is sent",
        killed("state-obtainable", "n4-b0-v0-s1-d1-k1-r", 10);
    ViewChangeSentBeforeDurable: "§2: the promise to leave a view is durable before VIEW-CHANGE is sent",
        killed("agreement", "n4-b0-v1-s1-d2-r", 18);
    NewViewSentBeforeDurable: "§2: the new view is durable before NEW-VIEW is sent",
        killed("committed-survives", "n4-b0-v1-s1-d1-r", 12);
    BatchesDropped: "§4.4: a batch that a certificate may name is kept, whatever views are left, until a checkpoint covers it",
        killed("batch-obtainable", "n4-b0-v1-s1-d1", 3);
    VFixed: "§4.4: the primary takes a V whose state and batches it can get",
        equivalent("f+1 honest replicas keep each batch that a certificate can name, so every V can be completed; without that see `batches-dropped-and-v-fixed`", "n4-b0-v1-s1-d2");
    BatchesDroppedAndVFixed: "§4.4: the primary takes a V whose state and batches it can get",
        killed("progress", "n4-b0-v1-s1-d1", 3);
    RestartForgetsCommitCertificates: "§2: replicas keep their state across restarts",
        killed("progress", "n4-b0-v0-s1-d1", 8);
    CommittedNotHandedOn: "ours: whoever knows a commit certificate hands it on",
        killed("progress", "n4-b0-v0-s1-d1", 6);
    StableNotHandedOn: "§4.3: a stable checkpoint can be proven to whoever is behind",
        killed("progress", "n4-b0-v0-s1-d1-k1", 8);
    TimerStoppedByPrePrepare: "§4.4: the timer runs until the request is executed",
        killed("progress", "n4-b0-v0-s1-d1", 4);
    TimerWithoutQuorum: "§4.5.2: the timer of a view change starts when a quorum wants the view",
        killed("progress", "n4-b0-v1-s1-d1", 1);
};
