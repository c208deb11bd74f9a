//! Replicas, views and slots: small numbers that must not be mixed up.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Greatest number of replicas the model can hold.
pub const MAX_REPLICAS: usize = 7;
/// Number of views the model can hold: those of a configuration (0 to 4 at most), and the views after them that the
/// property `progress` lets pass.
pub const MAX_VIEWS: usize = 8;
/// Number of sequence numbers the model can hold: those of a configuration (1 to 3 at most), and those after them in
/// which the property `progress` has the outstanding requests executed.
pub const MAX_SLOTS: usize = 5;

/// Arrays with an element for each slot, as text: without what is empty at the end, so that a trace does not depend on
/// how many slots a model can hold.
pub(crate) mod per_slot {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::MAX_SLOTS;

    pub(crate) fn serialize<S, T>(array: &[T; MAX_SLOTS], serializer: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
        T: Serialize + Default + PartialEq,
    {
        let used = array.iter().rposition(|one| *one != T::default()).map_or(0, |last| last + 1);
        serializer.collect_seq(&array[..used])
    }

    pub(crate) fn deserialize<'de, D, T>(deserializer: D) -> Result<[T; MAX_SLOTS], D::Error>
    where
        D: Deserializer<'de>,
        T: Deserialize<'de> + Default + Copy,
    {
        let items = Vec::<T>::deserialize(deserializer)?;
        let mut array = [T::default(); MAX_SLOTS];
        let room = array.get_mut(..items.len()).ok_or_else(|| {
            D::Error::custom(format_args!("{} slots, where {MAX_SLOTS} are possible", items.len()))
        })?;
        room.copy_from_slice(&items);
        Ok(array)
    }
}

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

/// The replicas of a set that has a bit for each.
pub fn members(mut set: u8) -> impl Iterator<Item = ReplicaId> {
    std::iter::from_fn(move || {
        let next = (set != 0).then(|| ReplicaId(set.trailing_zeros() as u8));
        set &= set.wrapping_sub(1);
        next
    })
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
