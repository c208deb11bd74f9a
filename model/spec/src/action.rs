//! The events of the protocol, one action for each event of the paper.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{ReplicaId, Slot, View};
use crate::state::{NewView, StateDigest, ViewChange};
use crate::value::Value;

/// A step of one honest replica. The Byzantine replica has no steps: whatever it could send is taken to be
/// available to every guard (see [`crate::adversary`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Action {
    /// The primary assigns the next slot to a request (§4.2).
    PrePrepare {
        /// The primary.
        replica: ReplicaId,
        /// The next slot.
        slot: Slot,
        /// The request.
        value: Value,
    },
    /// A backup accepts a PRE-PREPARE of its view and sends PREPARE (§4.2).
    Prepare {
        /// The backup.
        replica: ReplicaId,
        /// The slot.
        slot: Slot,
        /// The value of the PRE-PREPARE.
        value: Value,
    },
    /// A replica has a prepared certificate for what it accepted, and sends COMMIT (§4.2).
    Commit {
        /// The replica.
        replica: ReplicaId,
        /// The slot.
        slot: Slot,
    },
    /// A replica executes its next slot on a commit certificate, and sends CHECKPOINT where one is due (§4.2, §4.3).
    Execute {
        /// The replica.
        replica: ReplicaId,
        /// The highest view with a commit certificate for the value.
        view: View,
        /// The value.
        value: Value,
    },
    /// A replica's own checkpoint becomes stable: q CHECKPOINTs match it (§4.3).
    Stabilise {
        /// The replica.
        replica: ReplicaId,
        /// The slot of the checkpoint.
        slot: Slot,
    },
    /// A replica that is behind adopts the state of a stable checkpoint (§4.3, §4.4).
    StateTransfer {
        /// The replica.
        replica: ReplicaId,
        /// The slot of the checkpoint.
        slot: Slot,
        /// The digest that the checkpoint proves, which is the state adopted.
        digest: StateDigest,
    },
    /// A replica leaves its view and sends VIEW-CHANGE (§4.4, §4.5.2).
    StartViewChange {
        /// The replica.
        replica: ReplicaId,
        /// The view it changes to.
        to: View,
    },
    /// The primary of the view sends NEW-VIEW and enters the view (§4.4).
    NewView {
        /// The primary.
        replica: ReplicaId,
        /// What its V gives.
        outcome: NewView,
    },
    /// A backup accepts a NEW-VIEW and enters its view (§4.4).
    EnterView {
        /// The backup.
        replica: ReplicaId,
        /// The view of the NEW-VIEW.
        view: View,
        /// What its V gives.
        outcome: NewView,
    },
    /// What a replica has decided reaches its disk, and then the messages leave. Only in configurations with restarts:
    /// elsewhere both happen with the step.
    Flush {
        /// The replica.
        replica: ReplicaId,
    },
    /// A replica crashes and restarts with what it has on disk. Only in configurations with restarts.
    Restart {
        /// The replica.
        replica: ReplicaId,
    },
}

impl Action {
    /// The replica that takes the step.
    #[must_use]
    pub const fn replica(&self) -> ReplicaId {
        match *self {
            Self::PrePrepare { replica, .. }
            | Self::Prepare { replica, .. }
            | Self::Commit { replica, .. }
            | Self::Execute { replica, .. }
            | Self::Stabilise { replica, .. }
            | Self::StateTransfer { replica, .. }
            | Self::StartViewChange { replica, .. }
            | Self::NewView { replica, .. }
            | Self::EnterView { replica, .. }
            | Self::Flush { replica }
            | Self::Restart { replica } => replica,
        }
    }

    /// The name of the event, without its parameters.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PrePrepare { .. } => "PrePrepare",
            Self::Prepare { .. } => "Prepare",
            Self::Commit { .. } => "Commit",
            Self::Execute { .. } => "Execute",
            Self::Stabilise { .. } => "Stabilise",
            Self::StateTransfer { .. } => "StateTransfer",
            Self::StartViewChange { .. } => "StartViewChange",
            Self::NewView { .. } => "NewView",
            Self::EnterView { .. } => "EnterView",
            Self::Flush { .. } => "Flush",
            Self::Restart { .. } => "Restart",
        }
    }
}

/// A short label: who, what, where.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.replica(), self.name())?;
        match *self {
            Self::PrePrepare { slot, value, .. } | Self::Prepare { slot, value, .. } => {
                write!(f, " {value} at {slot}")
            }
            Self::Commit { slot, .. } | Self::Stabilise { slot, .. } => write!(f, " {slot}"),
            Self::Execute { view, value, .. } => write!(f, " {value}, committed in {view}"),
            Self::StateTransfer { slot, digest, .. } => {
                write!(f, " to {slot}, state {}", digest.applied)
            }
            Self::StartViewChange { to, .. } => write!(f, " to {to}"),
            Self::NewView { outcome, .. } => write!(f, " {outcome}"),
            Self::EnterView { view, outcome, .. } => write!(f, " {view} with {outcome}"),
            Self::Flush { .. } | Self::Restart { .. } => Ok(()),
        }
    }
}

impl fmt::Display for NewView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "O=[")?;
        for (position, slot) in self.min_s.until(self.max_s).enumerate() {
            let space = if position == 0 { "" } else { " " };
            write!(f, "{space}{}:{}", slot.0, self.order[slot.index()])?;
        }
        write!(f, "]")?;
        if self.min_s > Slot::GENESIS { write!(f, " above {}", self.min_s) } else { Ok(()) }
    }
}

impl fmt::Display for ViewChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "h={}, P=[", self.low_water_mark.0)?;
        let mut first = true;
        for (index, certificate) in self.prepared.iter().enumerate() {
            let Some(certificate) = certificate else { continue };
            let space = if first { "" } else { " " };
            write!(f, "{space}{}:{}@{}", index + 1, certificate.value, certificate.view.0)?;
            first = false;
        }
        write!(f, "]")
    }
}
