//! Every reason to ignore an input. A rejection is a value, never a log line, and a rejected input leaves the
//! replica as it was.

use crate::effect::HaltReason;
use crate::types::{ClientId, Digest, Lane, Principal, ReplicaId, SeqNum, Timestamp, View};
use core::fmt;
use core::str::FromStr;
use thiserror::Error;

/// Why an input was ignored. One variant a guard, with what was expected and what came.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Rejection {
    /// A signature does not match its body and signer, or the signer is unknown.
    #[error("signature of {signer:?} does not verify")]
    BadSignature {
        /// The claimed signer.
        signer: Principal,
    },
    /// A request's authenticator does not convince this replica. It may convince others.
    #[error("the authenticator of {client} has no good tag for this replica")]
    BadAuthenticator {
        /// The claimed client.
        client: ClientId,
    },
    /// A request with an authenticator cannot be taken from where it came: its client has to sign it.
    #[error("{client} has to sign its request")]
    NotSigned {
        /// The client.
        client: ClientId,
    },
    /// A list is longer than the protocol allows.
    #[error("a list holds {len} elements, at most {max} are possible")]
    TooLong {
        /// Its length.
        len: usize,
        /// The bound.
        max: usize,
    },
    /// An operation is larger than the cluster allows.
    #[error("operation of {len} bytes, at most {max} are allowed")]
    OperationTooLarge {
        /// Its length.
        len: usize,
        /// The bound.
        max: usize,
    },
    /// A replica id is not below n.
    #[error("{replica} is not a member")]
    NotAMember {
        /// The id.
        replica: ReplicaId,
    },
    /// A vote came over another replica's channel.
    #[error("{signer} signed this, but it came from {from}")]
    NotFromSigner {
        /// The signer.
        signer: ReplicaId,
        /// The channel's replica.
        from: ReplicaId,
    },
    /// A replica's own message came back to it.
    #[error("own message")]
    OwnMessage,
    /// The message belongs to another view than the replica's.
    #[error("view {got}, this replica is in view {expected}")]
    WrongView {
        /// The replica's view.
        expected: View,
        /// The message's.
        got: View,
    },
    /// The replica is between views.
    #[error("view {view} is not active yet")]
    ViewNotActive {
        /// The view that is being changed to.
        view: View,
    },
    /// The sequence number is not in (h, H].
    #[error("sequence number {seq} is not in ({low}, {high}]")]
    OutsideWindow {
        /// The message's.
        seq: SeqNum,
        /// The low water mark.
        low: SeqNum,
        /// The high water mark.
        high: SeqNum,
    },
    /// A pre-prepare or NEW-VIEW is not from the view's primary.
    #[error("{got} is not the primary {expected} of the view")]
    NotPrimary {
        /// The primary.
        expected: ReplicaId,
        /// The signer.
        got: ReplicaId,
    },
    /// The primary sent PREPARE; its pre-prepare is its vote (§4.2).
    #[error("{replica} is the primary of its view and must not send PREPARE")]
    PrepareFromPrimary {
        /// The primary.
        replica: ReplicaId,
    },
    /// A digest does not match what it names.
    #[error("digest {got}, expected {expected}")]
    WrongDigest {
        /// The digest of what came along.
        expected: Digest,
        /// The digest that the message names.
        got: Digest,
    },
    /// The same signer said something else for the same view and sequence number: evidence of a fault.
    #[error("{replica} sent {first} and {second} for {view} {seq}")]
    Equivocation {
        /// The liar.
        replica: ReplicaId,
        /// The view.
        view: View,
        /// The sequence number.
        seq: SeqNum,
        /// The first digest.
        first: Digest,
        /// The second digest.
        second: Digest,
    },
    /// The message is known already.
    #[error("known already")]
    Duplicate,
    /// A null batch outside NEW-VIEW.
    #[error("the null batch is ordered by a view change only")]
    NullBatch,
    /// A lane beyond the cluster's bound.
    #[error("{lane}, the cluster allows {max} lanes a client")]
    LaneTooHigh {
        /// The lane.
        lane: Lane,
        /// The bound.
        max: u16,
    },
    /// The lane has a later request already.
    #[error("timestamp {got}, the lane is at {last} already")]
    OldTimestamp {
        /// The lane's last.
        last: Timestamp,
        /// The request's.
        got: Timestamp,
    },
    /// Another request with this timestamp was executed on the lane; this one never will be.
    #[error("{timestamp} was used for request {executed}, not {got}")]
    UsedForAnother {
        /// The timestamp of both.
        timestamp: Timestamp,
        /// The digest of the executed request.
        executed: Digest,
        /// The digest of this one.
        got: Digest,
    },
    /// Another request with this timestamp waits on the lane. Which of the two is executed is not decided.
    #[error("{timestamp} is used by request {waiting}, which waits; got {got}")]
    AnotherWaits {
        /// The timestamp of both.
        timestamp: Timestamp,
        /// The digest of the waiting request.
        waiting: Digest,
        /// The digest of this one.
        got: Digest,
    },
    /// The timestamp is beyond [`Timestamp::MAX`]: nothing could follow it.
    #[error("{got}, the highest possible is {}", Timestamp::MAX)]
    TimestampTooHigh {
        /// The request's.
        got: Timestamp,
    },
    /// A checkpoint's sequence number is not a multiple of K.
    #[error("{seq} is not a multiple of the checkpoint interval {interval}")]
    NotACheckpoint {
        /// The sequence number.
        seq: SeqNum,
        /// K.
        interval: u64,
    },
    /// A certificate does not have the votes it needs.
    #[error("certificate of {got} votes, needs {needed}")]
    WrongQuorumSize {
        /// Votes needed.
        needed: usize,
        /// Votes in it.
        got: usize,
    },
    /// Two votes of a certificate are of one signer, or not in rising order.
    #[error("certificate's signers are not in strictly rising order at {replica}")]
    SignersNotRising {
        /// The offender.
        replica: ReplicaId,
    },
    /// A certificate's votes differ in view, sequence number or digest.
    #[error("certificate's votes do not match")]
    MixedCertificate,
    /// A certificate in P is of the view that is changed to, or a later one.
    #[error("certificate of view {got} in a VIEW-CHANGE for view {view}")]
    CertificateFromFuture {
        /// The VIEW-CHANGE's view.
        view: View,
        /// The certificate's.
        got: View,
    },
    /// P's sequence numbers do not rise.
    #[error("P is not in strictly rising order at {seq}")]
    CertificatesNotRising {
        /// The offender.
        seq: SeqNum,
    },
    /// The checkpoint's proof does not match h.
    #[error("VIEW-CHANGE claims h = {claimed}, its proof is for {proven}")]
    UnprovenCheckpoint {
        /// The claimed low water mark.
        claimed: SeqNum,
        /// What the proof shows.
        proven: SeqNum,
    },
    /// O differs from what V says (§4.4).
    #[error("O differs from the recomputed one at position {position}")]
    WrongNewView {
        /// The first differing position.
        position: usize,
    },
    /// The timer is not running.
    #[error("timer is not running")]
    TimerNotRunning,
    /// There are no views left.
    #[error("no view after {view}")]
    LastView {
        /// The last view.
        view: View,
    },
    /// Nothing asked for this.
    #[error("nothing asked for this")]
    NotRequested,
    /// State data does not match its digest.
    #[error("state data with digest {got}, expected {expected}")]
    WrongStateData {
        /// By manifest or certificate.
        expected: Digest,
        /// Of the data.
        got: Digest,
    },
    /// State data that matches its digest but cannot be read.
    #[error("state data cannot be read")]
    UnreadableStateData,
    /// What was asked for is not here.
    #[error("not here")]
    Unavailable,
    /// The peer was given as much as it may have until the next tick.
    #[error(
        "{replica} was given {given} bytes since the last tick; with {bytes} more it were above {max}"
    )]
    OverBudget {
        /// The peer.
        replica: ReplicaId,
        /// What it was given.
        given: usize,
        /// What it asked for.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// A completion that does not match what was asked for.
    #[error("completion for {got}, expected {expected:?}")]
    UnexpectedCompletion {
        /// What was asked for.
        expected: Option<SeqNum>,
        /// What was completed.
        got: SeqNum,
    },
    /// The replica has halted.
    #[error("halted: {0}")]
    Halted(HaltReason),
}

/// A guard: refuses an input for this reason if this is so.
pub(crate) fn refuse_if<E>(is_so: bool, reason: E) -> Result<(), E> {
    if is_so { Err(reason) } else { Ok(()) }
}

/// Names each variant once, so that the list of names is complete whenever the match is.
macro_rules! kinds {
    ($($kind:ident = $name:literal,)*) => {
        /// Which guard refused: a [`Rejection`] without its particulars.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "the variants of Rejection say what they are")]
        pub enum RejectionKind {
            $($kind,)*
        }

        impl RejectionKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// Its name in metrics, traces and reports.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }

        impl Rejection {
            /// Which guard refused.
            pub const fn kind(&self) -> RejectionKind {
                match self {
                    $(Self::$kind { .. } => RejectionKind::$kind,)*
                }
            }
        }
    };
}

kinds! {
    BadSignature = "bad-signature",
    BadAuthenticator = "bad-authenticator",
    NotSigned = "not-signed",
    TooLong = "too-long",
    OperationTooLarge = "operation-too-large",
    NotAMember = "not-a-member",
    NotFromSigner = "not-from-signer",
    OwnMessage = "own-message",
    WrongView = "wrong-view",
    ViewNotActive = "view-not-active",
    OutsideWindow = "outside-window",
    NotPrimary = "not-primary",
    PrepareFromPrimary = "prepare-from-primary",
    WrongDigest = "wrong-digest",
    Equivocation = "equivocation",
    Duplicate = "duplicate",
    NullBatch = "null-batch",
    LaneTooHigh = "lane-too-high",
    OldTimestamp = "old-timestamp",
    UsedForAnother = "used-for-another",
    AnotherWaits = "another-waits",
    TimestampTooHigh = "timestamp-too-high",
    NotACheckpoint = "not-a-checkpoint",
    WrongQuorumSize = "wrong-quorum-size",
    SignersNotRising = "signers-not-rising",
    MixedCertificate = "mixed-certificate",
    CertificateFromFuture = "certificate-from-future",
    CertificatesNotRising = "certificates-not-rising",
    UnprovenCheckpoint = "unproven-checkpoint",
    WrongNewView = "wrong-new-view",
    TimerNotRunning = "timer-not-running",
    LastView = "last-view",
    NotRequested = "not-requested",
    WrongStateData = "wrong-state-data",
    UnreadableStateData = "unreadable-state-data",
    Unavailable = "unavailable",
    OverBudget = "over-budget",
    UnexpectedCompletion = "unexpected-completion",
    Halted = "halted",
}

impl fmt::Display for RejectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for RejectionKind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        let known = Self::ALL.iter().find(|kind| kind.as_str() == name);
        known.copied().ok_or_else(|| UnknownKind(name.to_owned()))
    }
}

/// No guard has this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no reason to refuse an input is called {0:?}")]
pub struct UnknownKind(pub String);
