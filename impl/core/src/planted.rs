//! Bugs that can be planted by name, each at one place in the code, to show that conformance catches them.
//!
//! Bugs that the model has as mutants are called as there. The others are of rules that the model takes for granted:
//! what a certificate may hold, what is said again, what a restart brings back; and of the runtime around the core,
//! which is given the same parameters and so has its bugs from here, too. The code that makes a bug real exists only
//! with the feature `planted-bugs`, which the production binary refuses to be built with.

/// Whether this build can have planted bugs.
pub const PLANTED_BUGS: bool = cfg!(feature = "planted-bugs");

/// True when the bug of that name is planted in the owner of `$params`; a constant `false` in every other build. The
/// crate that uses it has its own feature `planted-bugs`.
#[macro_export]
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
pub use planted;

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

            /// The bug with this name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().find(|bug| bug.name() == name).copied()
            }

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
    /// f+1 CHECKPOINTs make a checkpoint stable.
    CheckpointStableAtWeak = "checkpoint-stable-at-weak",
    /// COMMITs for any digest count.
    CommitsMatchedWithoutDigest = "commits-matched-without-digest",
    /// A checkpoint's digest does not cover the reply table.
    RepliesNotInCheckpoint = "replies-not-in-checkpoint",
    /// One VIEW-CHANGE makes a replica join a later view.
    JoinOnOne = "join-on-one",
    /// Of several later views the latest is joined.
    JoinTakesHighest = "join-takes-highest",
    /// The null batch may be pre-prepared outside a NEW-VIEW.
    NullAcceptedInNormalCase = "null-accepted-in-normal-case",
    /// The batch beside a pre-prepare is not compared with its digest.
    BatchDigestUnchecked = "batch-digest-unchecked",
    /// A vote counts whichever channel it came on.
    VoteOfAnotherChannel = "vote-of-another-channel",
    /// Two votes of one replica count twice in a certificate.
    CertificateSignerCountedTwice = "certificate-signer-counted-twice",
    /// The votes in a certificate need not match.
    CertificateVotesMixed = "certificate-votes-mixed",
    /// The batch beside a commit certificate is not compared with its digest.
    CommittedBatchUnchecked = "committed-batch-unchecked",
    /// A commit certificate needs q−1 COMMITs.
    CommitCertificateOneShort = "commit-certificate-one-short",
    /// P may hold certificates of the view that is changed to.
    CertificateFromFuture = "certificate-from-future",
    /// P may hold two certificates for one sequence number.
    TwoCertificatesForOneNumber = "two-certificates-for-one-number",
    /// A NEW-VIEW is kept before it is checked.
    NewViewKeptBeforeChecked = "new-view-kept-before-checked",
    /// Anybody may begin a view.
    NewViewFromNonPrimary = "new-view-from-non-primary",
    /// VIEW-CHANGEs of strangers are kept.
    ViewChangeOfNonMember = "view-change-of-non-member",
    /// A committed batch is executed before those below it.
    ExecutesOutOfOrder = "executes-out-of-order",
    /// A reply names the timestamp after the request's.
    ReplyForAnotherTimestamp = "reply-for-another-timestamp",
    /// An executed request that comes again is not answered.
    ReplyNotRepeated = "reply-not-repeated",
    /// A request with an earlier timestamp than its lane's last is answered like the last.
    OldTimestampAnswered = "old-timestamp-answered",
    /// Lanes are not bounded.
    LaneUnbounded = "lane-unbounded",
    /// A backup keeps its client's request to itself.
    RequestNotRelayed = "request-not-relayed",
    /// A backup relays what another one relayed.
    RelayedOn = "relayed-on",
    /// A second vote of a replica takes the place of its first.
    SecondVoteTaken = "second-vote-taken",
    /// The same pre-prepare twice is taken for two different ones.
    DuplicateIsALie = "duplicate-is-a-lie",
    /// A waiting request starts no timer.
    TimerNotStarted = "timer-not-started",
    /// Checkpoints are taken in from between the multiples of K.
    CheckpointBetweenIntervals = "checkpoint-between-intervals",
    /// A peer that missed a NEW-VIEW is not given it.
    NewViewNotHandedOn = "new-view-not-handed-on",
    /// A peer in a view change is given this replica's VIEW-CHANGE only.
    ViewChangesNotHandedOn = "view-changes-not-handed-on",
    /// A peer that lacks a final batch is not given it.
    CommittedNotHandedOn = "committed-not-handed-on",
    /// STATUS names the number after the last executed one.
    StatusTellsTooMuch = "status-tells-too-much",
    /// Votes are not sent again.
    VotesNotRepeated = "votes-not-repeated",
    /// A peer below the stable checkpoint is not given its proof.
    StableNotHandedOn = "stable-not-handed-on",
    /// CHECKPOINTs are not sent again.
    CheckpointsNotRepeated = "checkpoints-not-repeated",
    /// Signatures do not cover the cluster.
    ClusterNotSigned = "cluster-not-signed",
    /// A restart loses the own votes.
    RestartForgetsVotes = "restart-forgets-votes",
    /// A restart loses the own checkpoints.
    RestartForgetsCheckpoints = "restart-forgets-checkpoints",
    /// A restart sends a VIEW-CHANGE without P where the first one had it.
    RestartSendsAnotherViewChange = "restart-sends-another-view-change",
    /// After a restart a primary gives sequence numbers out again.
    RestartReusesNumbers = "restart-reuses-numbers",
    /// A NEW-VIEW that waited for state is forgotten when the state comes.
    InactiveAfterTransfer = "inactive-after-transfer",
    /// VIEW-CHANGEs for views that were left are kept.
    OldViewChangeKept = "old-view-change-kept",
    /// A batch that a peer asks for is not given.
    BatchNotServed = "batch-not-served",
    /// A COMMIT that is sent again names the view after its own.
    RepeatsAnotherVote = "repeats-another-vote",
    /// A batch prepares with the PREPAREs of all backups only.
    PrepareNeedsAllBackups = "prepare-needs-all-backups",
    /// COMMIT is sent for what was accepted.
    NoPreparePhase = "no-prepare-phase",
    /// PREPAREs of any view count.
    PreparesMatchedWithoutView = "prepares-matched-without-view",
    /// A batch commits with the COMMITs of all only.
    CommitNeedsAll = "commit-needs-all",
    /// A view begins with the VIEW-CHANGEs of all only.
    NewViewNeedsAll = "new-view-needs-all",
    /// Two PREPAREs of one sender count twice.
    PrepareSenderCountedTwice = "prepare-sender-counted-twice",
    /// Two COMMITs of one sender count twice.
    CommitSenderCountedTwice = "commit-sender-counted-twice",
    /// Two CHECKPOINTs of one sender count twice.
    CheckpointSenderCountedTwice = "checkpoint-sender-counted-twice",
    /// CHECKPOINTs for any digest count.
    CheckpointsMatchedWithoutDigest = "checkpoints-matched-without-digest",
    /// A new primary gives out numbers from h+1 on.
    PrimaryRestartsNumbering = "primary-restarts-numbering",
    /// P holds only what committed here.
    POnlyForCommitted = "p-only-for-committed",
    /// A VIEW-CHANGE says that nothing is stable.
    ViewChangeOmitsH = "view-change-omits-h",
    /// P may hold certificates above h+L.
    CertificateAboveWindowInP = "certificate-above-window-in-p",
    /// O leaves out what nobody prepared.
    GapsLeftOpen = "gaps-left-open",
    /// A view is entered without the state of min-s.
    ViewEnteredWithoutState = "view-entered-without-state",
    /// A NEW-VIEW for a view that was left is followed.
    StaleNewViewAccepted = "stale-new-view-accepted",
    /// An O that differs from what prepared here is refused.
    LockNotReleased = "lock-not-released",
    /// No PREPARE in a new view for what is executed here.
    ExecutedNotVotedAgain = "executed-not-voted-again",
    /// No timer runs while a NEW-VIEW is waited for.
    NoTimerInViewChange = "no-timer-in-view-change",
    /// f+1 VIEW-CHANGEs for later views move nobody.
    NoJoin = "no-join",
    /// A request is executed after a later one of its lane.
    OlderTimestampExecuted = "older-timestamp-executed",
    /// The reply table is emptied when a view begins.
    RepliesForgottenInViewChange = "replies-forgotten-in-view-change",
    /// A restart loses the reply table.
    RestartForgetsReplies = "restart-forgets-replies",
    /// PRE-PREPARE comes before its record.
    PrePrepareSentBeforeDurable = "pre-prepare-sent-before-durable",
    /// PREPARE comes before its record.
    PrepareSentBeforeDurable = "prepare-sent-before-durable",
    /// COMMIT comes before its record.
    CommitSentBeforeDurable = "commit-sent-before-durable",
    /// CHECKPOINT comes before its record.
    CheckpointSentBeforeDurable = "checkpoint-sent-before-durable",
    /// VIEW-CHANGE comes before its record.
    ViewChangeSentBeforeDurable = "view-change-sent-before-durable",
    /// NEW-VIEW comes before its record.
    NewViewSentBeforeDurable = "new-view-sent-before-durable",
    /// Messages leave before the records that they depend on are written.
    SendBeforePersist = "send-before-persist",
    /// A commit returns before the disk was asked to keep it.
    FsyncDropped = "fsync-dropped",
    /// A group's writes are let go of.
    CommitDropped = "commit-dropped",
    /// A message of its own that comes back to a replica is taken.
    OwnMessageTaken = "own-message-taken",
    /// A timer that was stopped runs out all the same.
    StoppedTimerRunsOut = "stopped-timer-runs-out",
    /// Lists of votes may be longer than they can be.
    ListsUnbounded = "lists-unbounded",
    /// Operations may be larger than the cluster allows.
    OperationsUnbounded = "operations-unbounded",
    /// A batch is taken that nobody asked for.
    UnaskedBatchTaken = "unasked-batch-taken",
    /// A peer that asks for a batch that is not here is given the null batch.
    AnotherBatchServed = "another-batch-served",
    /// The state of a checkpoint that was not taken is looked for.
    UnknownStateServed = "unknown-state-served",
    /// A part that a checkpoint does not have is looked for.
    UnknownPartServed = "unknown-part-served",
    /// A quorum is 2f+1 at any n.
    QuorumTwoFPlusOne = "quorum-two-f-plus-one",
    /// A client accepts a result on f equal replies.
    ClientAcceptsFReplies = "client-accepts-f-replies",
    /// A client counts replies, not those who sent them.
    ClientCountsSenderTwice = "client-counts-sender-twice",
    /// A client takes the reply to another request of its lane.
    ClientIgnoresTimestamp = "client-ignores-timestamp",
    /// A client counts replies with different results together.
    ClientMixesResults = "client-mixes-results",
    /// A client counts the replies of replicas that are no members.
    ClientTakesStrangers = "client-takes-strangers",
    /// A client believes in the highest view that anybody names.
    ClientBelievesHighestView = "client-believes-highest-view",
    /// A client that waited in vain asks the primary again, and nobody else.
    ClientAsksPrimaryOnly = "client-asks-primary-only",
    /// A client gives two requests one timestamp.
    ClientReusesTimestamp = "client-reuses-timestamp",
    /// The timer is not started when a view is entered.
    TimerNotStartedInNewView = "timer-not-started-in-new-view",
    /// The timer is as impatient as before in the next view, and the next.
    PatienceNotDoubled = "patience-not-doubled",
    /// The timer stays as patient as it was when requests are executed again.
    PatienceNotRestored = "patience-not-restored",
    /// The timer goes on when the request is executed that it protects.
    TimerNotStoppedByExecution = "timer-not-stopped-by-execution",
    /// A step's effects are performed from the last to the first.
    EffectsReversed = "effects-reversed",
    /// Evidence of equivocation is not kept.
    EvidenceDropped = "evidence-dropped",
    /// A client is not told that its request was refused.
    RefusalDropped = "refusal-dropped",
    /// A reply goes to the next client.
    ReplyToAnotherClient = "reply-to-another-client",
    /// Timers that the core sets never run out.
    TimersNotSet = "timers-not-set",
    /// The service is asked twice to execute an operation.
    OperationAppliedTwice = "operation-applied-twice",
    /// A checkpoint holds the state before its batch.
    CheckpointBeforeExecution = "checkpoint-before-execution",
    /// A peer that asks for a chunk is served the manifest.
    AnotherPartServed = "another-part-served",
    /// The reply table is not written at execution.
    ReplyTableNotStored = "reply-table-not-stored",
    /// The number of the last executed batch is not written.
    ExecutedNumberNotStored = "executed-number-not-stored",
    /// The log is kept when it is folded.
    LogKeptAfterFold = "log-kept-after-fold",
    /// Each record takes the place of the one before.
    LogRecordsOverwritten = "log-records-overwritten",
    /// The reply table of an installed state is not written.
    InstalledRepliesNotStored = "installed-replies-not-stored",
    /// Every signature is believed.
    SignaturesUnchecked = "signatures-unchecked",
    /// A statement that verified once is believed under any signature.
    CacheIgnoresSignature = "cache-ignores-signature",
    /// A signature that verified once is believed for any statement.
    CacheIgnoresStatement = "cache-ignores-statement",
    /// COMMITs are lost after they were read.
    FrameLost = "frame-lost",
    /// A byte behind a message is not noticed.
    TrailingByteRead = "trailing-byte-read",
    /// Frames may be larger than their kind can be.
    FrameSizeUnchecked = "frame-size-unchecked",
    /// A client may send another one's requests.
    RequestOfAnotherClient = "request-of-another-client",
    /// Whoever dials is let in, as the first client if his key is nobody's.
    UnknownKeyLetIn = "unknown-key-let-in",
    /// Whoever names a known key is let in, whether he can sign with it or not.
    ClaimedKeyBelieved = "claimed-key-believed",
    /// Who dials need not have the same cluster file.
    OtherClusterLetIn = "other-cluster-let-in",
    /// Whoever answers is taken for the replica that was dialed.
    AnyKeyAnswers = "any-key-answers",
    /// A replica's connection is taken for the next one's.
    ConnectionOfAnother = "connection-of-another",
    /// A broadcast does not reach the last peer.
    BroadcastSkipsPeer = "broadcast-skips-peer",
    /// A peer's queue gives out the newest frame first.
    QueueReordered = "queue-reordered",
}
