//! Bugs that can be planted by name, each at one place in the code, to show that conformance catches them.
//!
//! The names are those of the model's mutants. The code that makes a bug real exists only with the feature
//! `planted-bugs`, which the production binary refuses to be built with.

/// Whether this build can have planted bugs.
pub const PLANTED_BUGS: bool = cfg!(feature = "planted-bugs");

/// True when the bug of that name is planted in this replica; a constant `false` in every other build.
macro_rules! planted {
    ($params:expr, $bug:ident) => {{
        #[cfg(feature = "planted-bugs")]
        {
            $params.planted == Some($crate::planted::PlantedBug::$bug)
        }
        #[cfg(not(feature = "planted-bugs"))]
        {
            let _ = &$params;
            false
        }
    }};
}
pub(crate) use planted;

#[cfg(feature = "planted-bugs")]
macro_rules! bugs {
    ($($(#[$doc:meta])* $bug:ident = $name:literal,)*) => {
        /// A bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum PlantedBug {
            $($(#[$doc])* $bug,)*
        }

        impl PlantedBug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$bug),*];

            /// The bug's name, as the model's mutant is called.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$bug => $name,)*
                }
            }
        }
    };
}

#[cfg(feature = "planted-bugs")]
bugs! {
    /// q−1 COMMITs commit.
    CommitQuorumOneShort = "commit-quorum-one-short",
    /// q−2 PREPAREs prepare.
    PrepareQuorumOneShort = "prepare-quorum-one-short",
    /// VIEW-CHANGE carries no P.
    POmitted = "p-omitted",
    /// P holds only the certificates of the view that is left.
    PFromLastViewOnly = "p-from-last-view-only",
    /// Backups do not recompute O.
    NewViewNotRecomputed = "new-view-not-recomputed",
    /// O takes the certificate of the lowest view.
    NewViewTakesLowestView = "new-view-takes-lowest-view",
    /// A second pre-prepare replaces the first.
    SecondConflictingPrePrepare = "second-conflicting-pre-prepare",
    /// The primary's PREPARE counts.
    PrimaryPrepareCounted = "primary-prepare-counted",
    /// The own checkpoint counts as stable.
    GcBeforeStability = "gc-before-stability",
    /// A restart loses the accepted pre-prepares.
    RestartForgetsAccepted = "restart-forgets-accepted",
    /// A restart loses the prepared certificates.
    RestartForgetsCertificate = "restart-forgets-certificate",
    /// A restart loses the promise of a VIEW-CHANGE.
    RestartForgetsViewChange = "restart-forgets-view-change",
    /// Votes of the view that was left still count.
    VotesAfterViewChange = "votes-after-view-change",
    /// Anybody may pre-prepare.
    PrePrepareFromNonPrimary = "pre-prepare-from-non-primary",
    /// A prepared batch is executed.
    ExecuteOnPrepared = "execute-on-prepared",
    /// PREPAREs for any digest count.
    PreparesMatchedWithoutDigest = "prepares-matched-without-digest",
    /// The reply table is not consulted at execution.
    DuplicateExecution = "duplicate-execution",
    /// Requests count without their client's signature.
    RequestSignatureUnchecked = "request-signature-unchecked",
    /// q−1 VIEW-CHANGEs make a NEW-VIEW.
    NewViewQuorumOneShort = "new-view-quorum-one-short",
    /// Two VIEW-CHANGEs of one replica count twice in V.
    ViewChangeSenderCountedTwice = "view-change-sender-counted-twice",
    /// V may hold VIEW-CHANGEs for earlier views.
    StaleViewChangeInV = "stale-view-change-in-v",
    /// The certificates in P are not looked at.
    PNotVerified = "p-not-verified",
    /// Fetched state is not compared with its digest.
    StateTransferUnverified = "state-transfer-unverified",
    /// One CHECKPOINT makes a checkpoint stable.
    CheckpointStableAtOne = "checkpoint-stable-at-one",
    /// Sequence numbers above H are accepted.
    AboveHighWaterMark = "above-high-water-mark",
    /// Sequence numbers at or below h are accepted.
    LowWaterMarkIgnored = "low-water-mark-ignored",
    /// O starts at 1, whatever is stable.
    MinSIgnored = "min-s-ignored",
    /// h needs no proof in VIEW-CHANGE.
    ViewChangeOmitsHProof = "view-change-omits-h-proof",
    /// COMMITs of any view count.
    CommitsMatchedWithoutView = "commits-matched-without-view",
}
