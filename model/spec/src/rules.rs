//! The rules of the protocol, as conditions on facts.
//!
//! Each event of the paper has one function here that says whether a replica may take that step, and if not, which
//! condition is not met. The functions know nothing of states: they ask for facts (is the replica active, how many votes
//! match, what is the window), in numbers of any width. The bounded model asks them about every step that it
//! enumerates; whoever checks a recorded run, of any length and any n, asks the same functions about the steps that were
//! taken. So a rule is written once.

use std::fmt;

use serde::Serialize;

/// A condition that is not met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unmet {
    /// The replica takes part in no view until a NEW-VIEW.
    Inactive,
    /// Only the primary of the view may do this.
    NotPrimary,
    /// The primary of the view does not do this.
    Primary,
    /// The slot is at or below h.
    BelowWindow,
    /// The slot is above h+L.
    AboveWindow,
    /// Slots are used one after the other.
    NotNext,
    /// A null batch is ordered by a NEW-VIEW only.
    Null,
    /// The request was answered.
    Answered,
    /// The request has a slot in this view.
    Ordered,
    /// Another PRE-PREPARE was accepted for this view and slot.
    AcceptedAnother,
    /// The primary of the view sent no such PRE-PREPARE.
    NotPrePrepared,
    /// Nothing was accepted for this view and slot.
    NotAccepted,
    /// COMMIT for this view and slot was sent.
    PreparedBefore,
    /// Fewer than q−1 PREPAREs of backups match.
    PreparesMissing,
    /// Fewer than q COMMITs of one view match.
    CommitsMissing,
    /// Checkpoints are at multiples of K.
    NotACheckpoint,
    /// The replica has not executed so far.
    NotExecuted,
    /// The replica has executed so far.
    ExecutedBefore,
    /// The replica sent no CHECKPOINT for it.
    NoOwnCheckpoint,
    /// Fewer than q CHECKPOINTs match.
    CheckpointsMissing,
    /// The checkpoint is stable.
    StableBefore,
    /// VIEW-CHANGE for this view was sent.
    ViewChangedBefore,
    /// The view is not later than the replica's.
    NotALaterView,
    /// Further than the next view only with f+1 others, the earliest of whose views is this.
    JoinersMissing,
    /// The replica did not ask for this view.
    NotAsked,
    /// The view has begun here.
    EnteredBefore,
    /// V is not q VIEW-CHANGEs of distinct replicas.
    NotAQuorum,
    /// O is not what V gives.
    WrongOrder,
}

impl Unmet {
    /// Where the paper has the condition.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::Answered => "4.1",
            Self::Inactive
            | Self::NotPrimary
            | Self::Primary
            | Self::BelowWindow
            | Self::AboveWindow
            | Self::NotNext
            | Self::Ordered
            | Self::AcceptedAnother
            | Self::NotPrePrepared
            | Self::NotAccepted
            | Self::PreparedBefore
            | Self::PreparesMissing
            | Self::CommitsMissing => "4.2",
            Self::NotACheckpoint
            | Self::NotExecuted
            | Self::ExecutedBefore
            | Self::NoOwnCheckpoint
            | Self::CheckpointsMissing
            | Self::StableBefore => "4.3",
            Self::JoinersMissing => "4.5.2",
            Self::Null
            | Self::ViewChangedBefore
            | Self::NotALaterView
            | Self::NotAsked
            | Self::EnteredBefore
            | Self::NotAQuorum
            | Self::WrongOrder => "4.4",
        }
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inactive => "a replica takes part in no view between its VIEW-CHANGE and a NEW-VIEW",
            Self::NotPrimary => "only the primary of the view orders",
            Self::Primary => "the primary of a view does not accept PRE-PREPAREs or NEW-VIEWs in it",
            Self::BelowWindow => "the sequence number must be above h",
            Self::AboveWindow => "the sequence number must be at most h+L",
            Self::NotNext => "sequence numbers are used one after the other",
            Self::Null => "a null batch is ordered by a NEW-VIEW only",
            Self::Answered => "a request that was answered is not ordered again",
            Self::Ordered => "a request is ordered once in a view",
            Self::AcceptedAnother => {
                "at most one PRE-PREPARE is accepted for a view and sequence number"
            }
            Self::NotPrePrepared => "PREPARE answers a PRE-PREPARE of the primary of the view",
            Self::NotAccepted => "COMMIT is for what was accepted in this view",
            Self::PreparedBefore => "COMMIT is sent once for a view and sequence number",
            Self::PreparesMissing => "COMMIT needs q-1 matching PREPAREs of backups",
            Self::CommitsMissing => "execution needs q matching COMMITs of one view",
            Self::NotACheckpoint => "checkpoints are taken at multiples of K",
            Self::NotExecuted => "the state must be here: the replica has not executed so far",
            Self::ExecutedBefore => "state is fetched only where execution has not come so far",
            Self::NoOwnCheckpoint => "a checkpoint becomes stable where the replica took it itself",
            Self::CheckpointsMissing => "a stable checkpoint needs q matching CHECKPOINTs",
            Self::StableBefore => "the low water mark only rises",
            Self::ViewChangedBefore => "VIEW-CHANGE is sent once for a view",
            Self::NotALaterView => "views only rise",
            Self::JoinersMissing => {
                "a replica moves further than the next view only to the earliest of the views that \
                 f+1 others ask for"
            }
            Self::NotAsked => "the primary of a new view has sent VIEW-CHANGE for it",
            Self::EnteredBefore => "a view begins once",
            Self::NotAQuorum => "V is q VIEW-CHANGEs of distinct replicas for this view",
            Self::WrongOrder => {
                "O is the certificate of the highest view for each number from min-s to max-s, null \
                 where there is none"
            }
        })
    }
}

/// What a rule says.
pub type Verdict = Result<(), Unmet>;

#[inline]
const fn ensure(condition: bool, unmet: Unmet) -> Verdict {
    if condition { Ok(()) } else { Err(unmet) }
}

/// The slots that a replica takes part in, (low, high] (§4.2, §4.3).
#[derive(Clone, Copy, Debug)]
pub struct Window<N> {
    /// The low water mark, h.
    pub low: N,
    /// The high water mark, h+L.
    pub high: N,
}

impl<N: Copy + Ord> Window<N> {
    /// Whether the slot is inside.
    #[inline]
    pub fn admits(self, slot: N) -> Verdict {
        ensure(self.low < slot, Unmet::BelowWindow)?;
        ensure(slot <= self.high, Unmet::AboveWindow)
    }
}

/// A replica in its view.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    /// Whether it takes part in the view.
    pub active: bool,
    /// Whether it is the view's primary.
    pub primary: bool,
}

/// §4.2: who orders, and at which slot: the primary of the view, at the one after the last that it ordered.
#[inline]
pub fn order<N: Copy + Ord>(role: Role, slot: N, next: N, window: Window<N>) -> Verdict {
    ensure(role.active, Unmet::Inactive)?;
    ensure(role.primary, Unmet::NotPrimary)?;
    ensure(slot == next, Unmet::NotNext)?;
    window.admits(slot)
}

/// §4.1, §4.2: what is ordered: a request that was neither answered nor ordered in this view.
#[inline]
pub fn orderable(answered: bool, ordered: bool) -> Verdict {
    ensure(!answered, Unmet::Answered)?;
    ensure(!ordered, Unmet::Ordered)
}

/// §4.2: a backup accepts a PRE-PREPARE: it takes part in the view, has accepted no other for the slot, the slot is in the
/// window, the primary of the view sent it, and it is not null.
#[inline]
pub fn accept<N: Copy + Ord>(
    role: Role,
    slot: N,
    window: Window<N>,
    accepted: bool,
    pre_prepared: bool,
    null: bool,
) -> Verdict {
    ensure(role.active, Unmet::Inactive)?;
    ensure(!role.primary, Unmet::Primary)?;
    window.admits(slot)?;
    ensure(!accepted, Unmet::AcceptedAnother)?;
    ensure(pre_prepared, Unmet::NotPrePrepared)?;
    ensure(!null, Unmet::Null)
}

/// §4.2: COMMIT says that what was accepted has prepared: q−1 PREPAREs of backups match.
#[inline]
pub fn commit(
    active: bool,
    accepted: bool,
    prepared: bool,
    needed: u8,
    votes: impl FnOnce() -> u8,
) -> Verdict {
    ensure(active, Unmet::Inactive)?;
    ensure(accepted, Unmet::NotAccepted)?;
    ensure(!prepared, Unmet::PreparedBefore)?;
    ensure(votes() >= needed, Unmet::PreparesMissing)
}

/// §4.2: the next slot is executed, in whichever view q COMMITs match.
#[inline]
pub fn execute<N: Copy + Ord>(slot: N, next: N, window: Window<N>, committed: bool) -> Verdict {
    ensure(slot == next, Unmet::NotNext)?;
    window.admits(slot)?;
    ensure(committed, Unmet::CommitsMissing)
}

/// §4.3: a checkpoint that the replica took itself is stable when q CHECKPOINTs match it.
#[inline]
pub fn stabilise<N: Copy + Ord>(
    slot: N,
    low: N,
    executed: N,
    checkpoint: bool,
    own: bool,
    proven: impl FnOnce() -> bool,
) -> Verdict {
    ensure(low < slot, Unmet::StableBefore)?;
    ensure(slot <= executed, Unmet::NotExecuted)?;
    ensure(checkpoint, Unmet::NotACheckpoint)?;
    ensure(own, Unmet::NoOwnCheckpoint)?;
    ensure(proven(), Unmet::CheckpointsMissing)
}

/// §4.3: a replica that has not executed so far adopts the state of a stable checkpoint.
#[inline]
pub fn transfer<N: Copy + Ord>(slot: N, executed: N, checkpoint: bool, proven: bool) -> Verdict {
    ensure(executed < slot, Unmet::ExecutedBefore)?;
    ensure(checkpoint, Unmet::NotACheckpoint)?;
    ensure(proven, Unmet::CheckpointsMissing)
}

/// §4.4, §4.5.2: to the next view at any time; further only to join others.
#[inline]
pub fn leave(later: bool, sent: bool, next: bool, can_join: impl FnOnce() -> bool) -> Verdict {
    ensure(later, Unmet::NotALaterView)?;
    ensure(!sent, Unmet::ViewChangedBefore)?;
    ensure(next || can_join(), Unmet::JoinersMissing)
}

/// §4.5.2: f+1 others ask for views from this one on, and one of them for this.
#[inline]
pub fn join(later_or_same: u8, weak: u8, same: bool) -> bool {
    same && later_or_same >= weak
}

/// §4.4: who begins a view: its primary, which has asked for it and is still waiting for it.
#[inline]
pub fn begin(role: Role, asked: bool) -> Verdict {
    ensure(!role.active, Unmet::EnteredBefore)?;
    ensure(role.primary, Unmet::NotPrimary)?;
    ensure(asked, Unmet::NotAsked)
}

/// §4.4: a backup enters a later view, or the one that it is changing to.
#[inline]
pub fn enter<N: Copy + Ord>(view: N, current: N, role: Role) -> Verdict {
    ensure(view >= current, Unmet::NotALaterView)?;
    ensure(view > current || !role.active, Unmet::EnteredBefore)?;
    ensure(view > current || !role.primary, Unmet::Primary)
}

/// §4.4: whoever enters a view has executed up to its min-s.
#[inline]
pub fn has_state<N: Copy + Ord>(executed: N, min_s: N) -> Verdict {
    ensure(executed >= min_s, Unmet::NotExecuted)
}

/// §4.4: whether a certificate takes another's place in O: the one of the highest view counts.
#[inline]
pub fn outranks<N: Copy + Ord>(shown: N, best: N) -> bool {
    shown > best
}
