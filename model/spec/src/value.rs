//! What a sequence number is assigned to, and what applying it does to the service.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The content of a PRE-PREPARE, which stands for its digest as well.
///
/// A value is nothing, the null batch, one request of one client, or a request that no client signed. A request is a
/// client and its number, 1 or 2. The second request of a client exists from the start too: a correct client sends it
/// when the first is answered, a faulty one whenever it likes. What its timestamp is, [`crate::Config::timestamp`] says.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Value(pub u8);

impl Value {
    /// No value.
    pub const NONE: Self = Self(0);
    /// The null batch, which fills gaps after a view change (§4.4).
    pub const NULL: Self = Self(1);
    /// A request that no client signed. No correct replica accepts it.
    pub const FORGED: Self = Self(7);
    /// Greatest number of clients.
    pub const MAX_CLIENTS: u8 = 3;
    /// Greatest number of clients that have a second request.
    pub const MAX_CLIENTS_OF_TWO: u8 = 2;

    /// The first request of a client; clients count from 1.
    #[must_use]
    pub const fn request(client: u8) -> Self {
        Self(client + 1)
    }

    /// A request of a client, its first or its second.
    #[must_use]
    pub const fn numbered(client: u8, number: u8) -> Self {
        Self(client + 1 + (number - 1) * Self::MAX_CLIENTS)
    }

    /// The client whose request this is, from 1.
    #[must_use]
    pub const fn client(self) -> Option<u8> {
        match self.0 {
            2..=4 => Some(self.0 - 1),
            5..=6 => Some(self.0 - 1 - Self::MAX_CLIENTS),
            _ => None,
        }
    }

    /// Which of its client's requests it is, from 1; 0 for what is none.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self.0 {
            2..=4 => 1,
            5..=6 => 2,
            _ => 0,
        }
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
            (_, Some(client)) if self.number() == 2 => write!(f, "R{client}.2"),
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

    /// One value.
    #[must_use]
    pub(crate) const fn of(value: Value) -> Self {
        Self(1 << value.0)
    }

    /// Adds a value.
    pub const fn insert(&mut self, value: Value) {
        self.0 |= 1 << value.0;
    }

    /// Whether the value is in the set.
    #[must_use]
    pub const fn contains(self, value: Value) -> bool {
        self.0 & (1 << value.0) != 0
    }

    /// Whether all of the sets are empty.
    #[inline]
    pub(crate) fn all_empty(sets: &[Self]) -> bool {
        sets.iter().fold(0, |all, set| all | set.0) == 0
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

    /// The values in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
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

/// The operations a replica's service has applied, oldest first, four bits each: eight at most, and there are no more
/// slots than that.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Applied(pub u32);

impl Applied {
    /// Number of operations applied.
    #[must_use]
    pub const fn len(self) -> u32 {
        (32 - self.0.leading_zeros()).div_ceil(4)
    }

    /// Whether nothing was applied.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Applies one more operation. A ninth is not remembered: only a replica that repeats operations comes that far.
    pub const fn push(&mut self, value: Value) {
        if let Some(operation) = (value.0 as u32).checked_shl(4 * self.len()) {
            self.0 |= operation;
        }
    }

    /// The operations, oldest first.
    pub fn iter(self) -> impl Iterator<Item = Value> {
        (0..self.len()).map(move |position| Value((self.0 >> (4 * position)) as u8 & 0xf))
    }

    /// Whether `self` is where a service stands on its way to `other`.
    #[must_use]
    pub const fn is_prefix_of(self, other: Self) -> bool {
        let mask = ((1u64 << (4 * self.len())) - 1) as u32;
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
    fn a_request_is_a_client_and_a_number() {
        for client in 1..=Value::MAX_CLIENTS {
            for number in 1..=2 {
                if number == 2 && client > Value::MAX_CLIENTS_OF_TWO {
                    continue;
                }
                let value = Value::numbered(client, number);
                assert_eq!((value.client(), value.number()), (Some(client), number));
                assert!(value.0 < Value::FORGED.0);
            }
        }
        assert_eq!(Value::numbered(2, 1), Value::request(2));
        assert_eq!(Value::numbered(2, 2).to_string(), "R2.2");
    }

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
