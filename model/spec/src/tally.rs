//! Counting votes for several values at once.

use crate::value::{Value, ValueSet};

/// For each value, how many voters named it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// A byte for each value. There are seven voters at most.
    counts: u64,
}

/// A byte of one for each bit of a set.
const SPREAD: [u64; 256] = {
    let mut spread = [0; 256];
    let mut set = 0;
    while set < 256 {
        let mut value = 0;
        while value < 8 {
            spread[set] |= ((set as u64 >> value) & 1) << (8 * value);
            value += 1;
        }
        set += 1;
    }
    spread
};

/// A byte of one for each value.
const EACH: u64 = SPREAD[255];

impl Tally {
    /// Counts a voter who named these values.
    pub(crate) const fn add(&mut self, values: ValueSet) {
        self.counts += SPREAD[values.0 as usize];
    }

    /// Counts voters who may be taken to have named whatever helps.
    pub(crate) const fn add_for_any(&mut self, voters: u8) {
        self.counts += EACH * voters as u64;
    }

    /// How many named a value.
    pub(crate) const fn votes(self, value: Value) -> u8 {
        (self.counts >> (8 * value.0)) as u8
    }

    /// The values that at least `needed` voters named; 1 to 128.
    pub(crate) const fn at_least(self, needed: u8) -> ValueSet {
        // Adding what is missing to 128 sets the highest bit of a byte exactly where the count is enough.
        let enough = (self.counts + EACH * (128 - needed) as u64) & (EACH << 7);
        // Gathers these bits, one of each byte, in the highest byte.
        ValueSet(((enough >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_its_own_count() {
        for first in 0..=255 {
            for second in 0..=255 {
                let mut tally = Tally::default();
                tally.add(ValueSet(first));
                tally.add(ValueSet(second));
                assert_eq!(tally.at_least(1), ValueSet(first | second));
                assert_eq!(tally.at_least(2), ValueSet(first & second));
                assert_eq!(tally.at_least(3), ValueSet::EMPTY);
                tally.add_for_any(2);
                assert_eq!(tally.at_least(3), ValueSet(first | second));
                for value in (0..8).map(Value) {
                    let named = |set| u8::from(ValueSet(set).contains(value));
                    assert_eq!(tally.votes(value), named(first) + named(second) + 2);
                }
            }
        }
    }
}
