//! Whether a replica votes. One that answers need not: it may have lost its memory, wait for a view to begin, or be so
//! far behind that nobody wants its votes. A cluster goes on while q replicas vote, however many answer.

use crate::replica::Replica;
use crate::types::{SeqNum, View};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Whether a replica votes; if not, why, and what ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Standing {
    /// It takes part in its view, and votes for what comes next.
    #[default]
    Votes,
    /// It lost its memory, and abstains ([`crate::amnesia`]): until its stable checkpoint has come as far as `until`.
    /// After that it waits for `view`, or for a later one.
    Recovering {
        /// The checkpoint.
        until: SeqNum,
        /// The first view that it may vote in.
        view: View,
    },
    /// It has left the views before `view`, which has not begun here. In a view change that is so for a moment; a
    /// replica that was recovered, or left a view alone, stays like this until others change their view, too.
    AwaitsView {
        /// The view.
        view: View,
    },
    /// It fetches the state of the checkpoint at `seq`. That is above its window, so it cannot vote for what the
    /// others order now.
    FetchesState {
        /// The checkpoint.
        seq: SeqNum,
    },
    /// It has found that it must not go on.
    Halted,
    /// Its disk is full, so it cannot make a vote durable. Whoever runs the replica says so; the replica itself does
    /// not know.
    NoSpace,
}

impl Standing {
    /// The names of all kinds, in order.
    pub const KINDS: [&'static str; 6] =
        ["votes", "recovering", "awaits-view", "fetches-state", "halted", "no-space"];

    /// Whether it votes.
    pub fn votes(self) -> bool {
        self == Self::Votes
    }

    /// The kind's name: one of [`Self::KINDS`].
    pub fn kind(self) -> &'static str {
        match self {
            Self::Votes => "votes",
            Self::Recovering { .. } => "recovering",
            Self::AwaitsView { .. } => "awaits-view",
            Self::FetchesState { .. } => "fetches-state",
            Self::Halted => "halted",
            Self::NoSpace => "no-space",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Votes => f.write_str("votes"),
            Self::Recovering { until, view } => write!(
                f,
                "recovering: votes again once checkpoint {} is stable and view {} or a later one begins",
                until.0, view.0
            ),
            Self::AwaitsView { view } => {
                write!(f, "waiting for view {} or a later one to begin", view.0)
            }
            Self::FetchesState { seq } => {
                write!(f, "fetching the state of checkpoint {}, which is above its window", seq.0)
            }
            Self::Halted => f.write_str("halted"),
            Self::NoSpace => f.write_str("disk full, waiting for space"),
        }
    }
}

impl Replica {
    /// Whether this replica votes now, as far as it can know.
    pub fn standing(&self) -> Standing {
        match (&self.halted, self.view.abstains(), self.transfer.target()) {
            (Some(_), _, _) => Standing::Halted,
            (None, Some(until), _) => Standing::Recovering { until, view: self.view.number() },
            (None, None, _) if !self.view.is_active() => {
                Standing::AwaitsView { view: self.view.number() }
            }
            (None, None, Some(seq)) if seq > self.log.high() => Standing::FetchesState { seq },
            (None, None, Some(_) | None) => Standing::Votes,
        }
    }
}
