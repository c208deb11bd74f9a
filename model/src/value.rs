//! What a sequence number is assigned to, and what applying it does to the service.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The content of a PRE-PREPARE, which stands for its digest as well.
///
/// A value is nothing, the null batch, one request of one client, or a request that no client signed.
/// Client i has exactly one request, with timestamp 1, so the reply table is the set of clients served.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Value(pub u8);

impl Value {
    /// No value.
    pub const NONE: Self = Self(0);
    /// The null batch, which fills gaps after a view change (§4.4).
    pub const NULL: Self = Self(1);
    /// A request that no client signed. Only a replica that skips the signature check accepts it.
    pub const FORGED: Self = Self(7);
    /// Greatest number of clients.
    pub const MAX_REQUESTS: u8 = 4;

    /// The request of a client; clients count from 1.
    #[must_use]
    pub const fn request(client: u8) -> Self {
        Self(client + 1)
    }

    /// The client whose request this is, from 1.
    #[must_use]
    pub const fn client(self) -> Option<u8> {
        if self.0 >= 2 && self.0 < Self::FORGED.0 { Some(self.0 - 1) } else { None }
    }

    /// Whether a client signed it.
    #[must_use]
    pub const fn is_request(self) -> bool {
        self.client().is_some()
    }

    /// Whether there is a value.
    #[must_use]
    pub const fn is_some(self) -> bool {
        self.0 != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (*self, self.client()) {
            (_, Some(client)) => write!(f, "R{client}"),
            (Self::NONE, None) => write!(f, "–"),
            (Self::NULL, None) => write!(f, "null"),
            (_, None) => write!(f, "forged"),
        }
    }
}

/// A set of values.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct ValueSet(pub u8);

impl ValueSet {
    /// The empty set.
    pub const EMPTY: Self = Self(0);

    /// Adds a value.
    pub const fn insert(&mut self, value: Value) {
        self.0 |= 1 << value.0;
    }

    /// Whether the value is in the set.
    #[must_use]
    pub const fn contains(self, value: Value) -> bool {
        self.0 & (1 << value.0) != 0
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Number of values in it.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// The values of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The values, lowest first.
    pub fn iter(self) -> impl Iterator<Item = Value> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            if rest == 0 {
                return None;
            }
            let lowest = rest.trailing_zeros() as u8;
            rest &= rest - 1;
            Some(Value(lowest))
        })
    }
}

impl fmt::Display for ValueSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{")?;
        for (position, value) in self.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            write!(f, "{comma}{value}")?;
        }
        write!(f, "}}")
    }
}

/// The operations a replica's service has applied, oldest first, four bits each.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Applied(pub u16);

impl Applied {
    /// Number of operations applied.
    #[must_use]
    pub const fn len(self) -> u32 {
        (16 - self.0.leading_zeros()).div_ceil(4)
    }

    /// Whether nothing was applied.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Applies one more operation.
    pub const fn push(&mut self, value: Value) {
        self.0 |= (value.0 as u16) << (4 * self.len());
    }

    /// The operations, oldest first.
    pub fn iter(self) -> impl Iterator<Item = Value> {
        (0..self.len()).map(move |position| Value((self.0 >> (4 * position)) as u8 & 0xf))
    }

    /// Whether `self` is where a service stands on its way to `other`.
    #[must_use]
    pub const fn is_prefix_of(self, other: Self) -> bool {
        let mask = ((1u32 << (4 * self.len())) - 1) as u16;
        other.0 & mask == self.0
    }
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[")?;
        for (position, value) in self.iter().enumerate() {
            let space = if position == 0 { "" } else { " " };
            write!(f, "{space}{value}")?;
        }
        write!(f, "]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applied_remembers_order() {
        let mut applied = Applied::default();
        assert!(applied.is_prefix_of(applied));
        applied.push(Value::request(2));
        let short = applied;
        applied.push(Value::request(1));
        assert_eq!(applied.len(), 2);
        assert_eq!(applied.to_string(), "[R2 R1]");
        assert!(short.is_prefix_of(applied));
        assert!(!applied.is_prefix_of(short));
    }

    #[test]
    fn a_set_lists_its_values_in_order() {
        let mut set = ValueSet::EMPTY;
        set.insert(Value::request(1));
        set.insert(Value::NULL);
        assert_eq!(set.to_string(), "{null,R1}");
        assert!(set.contains(Value::NULL) && !set.contains(Value::FORGED));
    }
}
