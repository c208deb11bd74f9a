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

const fn killed(mutant: Mutant, rule: &'static str, by: &'static str, config: &'static str) -> Row {
    Row { mutant, rule, fate: Fate::Killed { by, config } }
}

/// All mutants, in the order of their declaration. Agreement is the property named wherever it is violated at all
/// within the bounds, even if an inner property (certificate uniqueness, say) falls earlier: it is what clients see. The exception is
/// `commits-matched-without-view`, which breaks agreement too, but only with four views: 22 steps at
/// `n4-b0-v3-s1-d2`, after 54 million states.
pub const RECORD: [Row; 31] = [
    killed(
        Mutant::CommitQuorumOneShort,
        "§4.2: committed-local needs q COMMITs",
        "agreement",
        "n4-b0-v1-s1-d2",
    ),
    killed(
        Mutant::PrepareQuorumOneShort,
        "§4.2: prepared needs q−1 PREPAREs beside the PRE-PREPARE",
        "agreement",
        "n4-b0-v1-s1-d2",
    ),
    killed(Mutant::POmitted, "§4.4: VIEW-CHANGE carries P", "agreement", "n4-b0-v1-s1-d2"),
    killed(
        Mutant::PFromLastViewOnly,
        "§4.4: P holds what prepared above h in any earlier view",
        "agreement",
        "n4-b0-v2-s1-d2",
    ),
    killed(
        Mutant::NewViewNotRecomputed,
        "§4.4: a backup verifies O by computing it from V",
        "agreement",
        "n4-b1-v1-s1-d1",
    ),
    killed(
        Mutant::NewViewTakesLowestView,
        "§4.4: O takes the certificate with the highest view in V",
        "agreement",
        "n4-b0-v2-s1-d2",
    ),
    killed(
        Mutant::SecondConflictingPrePrepare,
        "§4.2: no other PRE-PREPARE accepted for this view and slot",
        "agreement",
        "n4-b0-v0-s1-d2",
    ),
    killed(
        Mutant::PrimaryPrepareCounted,
        "§4.2: the PREPAREs come from different backups",
        "agreement",
        "n4-b0-v1-s1-d2",
    ),
    killed(
        Mutant::GcBeforeStability,
        "§4.3: the log is discarded when the checkpoint is stable",
        "agreement",
        "n4-b0-v1-s1-d2-k1",
    ),
    killed(
        Mutant::RestartForgetsAccepted,
        "§2: replicas keep their state across restarts",
        "agreement",
        "n4-b0-v0-s1-d2",
    ),
    killed(
        Mutant::RestartForgetsCertificate,
        "§2: replicas keep their state across restarts",
        "agreement",
        "n4-b0-v1-s1-d2",
    ),
    killed(
        Mutant::RestartForgetsViewChange,
        "§2: replicas keep their state across restarts",
        "agreement",
        "n4-b0-v1-s1-d2",
    ),
    killed(
        Mutant::VotesAfterViewChange,
        "§4.4: no PREPARE or COMMIT in a view that was left",
        "agreement",
        "n4-b0-v1-s1-d2",
    ),
    killed(
        Mutant::PrePrepareFromNonPrimary,
        "§4.2: a PRE-PREPARE is signed by the primary of its view",
        "agreement",
        "n4-b1-v1-s1-d2",
    ),
    killed(
        Mutant::ExecuteOnPrepared,
        "§4.2: execution waits for committed-local",
        "agreement",
        "n4-b0-v1-s1-d2",
    ),
    killed(
        Mutant::PreparesMatchedWithoutDigest,
        "§4.2: PREPAREs match in view, slot and digest",
        "agreement",
        "n4-b0-v1-s1-d1",
    ),
    killed(
        Mutant::DuplicateExecution,
        "§4.1: a request that was answered is not executed again",
        "exactly-once",
        "n4-b0-v0-s2-d1",
    ),
    killed(
        Mutant::RequestSignatureUnchecked,
        "§4.2: the request in a PRE-PREPARE is signed by its client",
        "validity",
        "n4-b0-v0-s1-d1",
    ),
    killed(
        Mutant::NewViewQuorumOneShort,
        "§4.4: V holds q VIEW-CHANGEs",
        "agreement",
        "n4-b0-v1-s1-d2",
    ),
    killed(
        Mutant::ViewChangeSenderCountedTwice,
        "§4.4: the VIEW-CHANGEs in V come from different replicas",
        "agreement",
        "n4-b0-v1-s1-d2",
    ),
    killed(
        Mutant::StaleViewChangeInV,
        "§4.4: the VIEW-CHANGEs in V are for exactly the new view",
        "agreement",
        "n4-b0-v2-s1-d2",
    ),
    killed(
        Mutant::PNotVerified,
        "§4.4: the certificates in P are verified",
        "agreement",
        "n4-b0-v1-s1-d2",
    ),
    killed(
        Mutant::StateTransferUnverified,
        "§4.3: fetched state matches the digest of a stable checkpoint",
        "client-reply",
        "n4-b0-v0-s1-d2-k1",
    ),
    killed(
        Mutant::CheckpointStableAtOne,
        "§4.3: a checkpoint is stable with q CHECKPOINTs",
        "client-reply",
        "n4-b0-v0-s1-d2-k1",
    ),
    killed(
        Mutant::CheckpointStableAtWeak,
        "§4.3: a checkpoint is stable with q CHECKPOINTs (f+1 prove the digest, but not that f+1 correct replicas hold the state)",
        "state-obtainable",
        "n4-b0-v0-s1-d1-k1",
    ),
    killed(
        Mutant::AboveHighWaterMark,
        "§4.2: the slot is at most H",
        "water-marks",
        "n4-b0-v0-s2-d1-k1-l1",
    ),
    killed(
        Mutant::LowWaterMarkIgnored,
        "§4.2: the slot is above h",
        "agreement",
        "n4-b0-v1-s1-d2-k1",
    ),
    killed(Mutant::MinSIgnored, "§4.4: O starts above min-s", "agreement", "n4-b0-v1-s1-d2-k1"),
    killed(
        Mutant::ViewChangeOmitsHProof,
        "§4.4: VIEW-CHANGE proves its checkpoint with C",
        "state-obtainable",
        "n4-b0-v1-s1-d1-k1",
    ),
    killed(
        Mutant::CommitsMatchedWithoutView,
        "§4.2: COMMITs match in view, slot and digest",
        "committed-survives",
        "n4-b0-v1-s1-d1",
    ),
    Row {
        mutant: Mutant::CommitsMatchedWithoutDigest,
        rule: "§4.2: COMMITs match in view, slot and digest",
        fate: Fate::Equivalent {
            reason: "at most one value prepares in a view at a slot, and honest COMMITs follow a certificate: all of a view name the same value",
            config: "n4-b0-v1-s1-d2",
        },
    },
];
