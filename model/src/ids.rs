//! Replicas, views and slots: small numbers that must not be mixed up.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Greatest number of replicas the model can hold.
pub const MAX_REPLICAS: usize = 7;
/// Number of views the model can hold: views 0 to 4.
pub const MAX_VIEWS: usize = 5;
/// Number of sequence numbers the model can hold: slots 1 to 3.
pub const MAX_SLOTS: usize = 3;

/// A replica, 0 to n−1.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct ReplicaId(pub u8);

impl ReplicaId {
    /// Position in arrays indexed by replica.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "replica {}", self.0)
    }
}

/// A view number, from 0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct View(pub u8);

impl View {
    /// Position in arrays indexed by view.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The view after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "view {}", self.0)
    }
}

/// A sequence number. The first that is ever assigned is 1; 0 stands before all of them (the genesis
/// checkpoint, nothing executed).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Slot(pub u8);

impl Slot {
    /// Before the first sequence number.
    pub const GENESIS: Self = Self(0);

    /// Position in arrays indexed by slot. Slot 0 has none: callers never ask for it.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize - 1
    }

    /// The slot at a position of an array.
    #[must_use]
    pub const fn at(index: usize) -> Self {
        Self(index as u8 + 1)
    }

    /// The next sequence number.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The slots above `self` up to and including `last`.
    pub fn until(self, last: Self) -> impl DoubleEndedIterator<Item = Self> + use<> {
        (self.0 + 1..=last.0).map(Self)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {}", self.0)
    }
}
