//! Chance that can be repeated: the same seed gives the same numbers on every machine.

use core::time::Duration;
use pbft_checker::chance::mix;

/// A generator (splitmix64, Steele et al. 2014). Small, fast, and good enough to choose what goes wrong; nothing here
/// is a secret.
#[derive(Clone, Debug)]
pub struct Rng(u64);

/// A number for some bytes: equal for equal bytes, and hardly ever for others.
#[must_use]
pub fn fingerprint(seed: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = mix(seed ^ bytes.len() as u64);
    for word in words {
        hash = mix(hash.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(hash.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ u64::from_le_bytes(last))
}

impl Rng {
    /// A generator for `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own for one purpose, so that drawing more in one place changes nothing in another.
    #[must_use]
    pub fn fork(&self, purpose: &str) -> Self {
        Self(fingerprint(self.0, purpose.as_bytes()))
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound.max(1)
    }

    /// A position in a list of this length.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// True in `chance` of a hundred cases.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// One of the choices; `None` if there are none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.index(choices.len()))
    }

    /// A span of time from `least` to `most`.
    pub fn span(&mut self, least: Duration, most: Duration) -> Duration {
        let width = most.saturating_sub(least).as_micros() as u64;
        least + Duration::from_micros(self.below(width + 1))
    }

    /// Puts a list into another order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, self.index(at + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seeds in reports and in bug reports mean the same numbers for ever.
    #[test]
    fn the_numbers_of_a_seed_never_change() {
        let mut rng = Rng::new(1);
        let first: Vec<u64> = (0..3).map(|_| rng.number()).collect();
        assert_eq!(first, [0x910a_2dec_8902_5cc1, 0xbeeb_8da1_658e_ec67, 0xf893_a2ee_fb32_555e]);
        assert_ne!(Rng::new(1).fork("a").number(), Rng::new(1).fork("b").number());
    }

    #[test]
    fn every_byte_and_the_length_count_in_a_fingerprint() {
        let bytes = [7u8; 27];
        let whole = fingerprint(1, &bytes);
        for at in 0..bytes.len() {
            let mut changed = bytes;
            changed[at] ^= 1;
            assert_ne!(fingerprint(1, &changed), whole, "byte {at}");
        }
        assert_ne!(fingerprint(1, &bytes[..26]), whole);
        assert_ne!(fingerprint(1, &[&bytes[..], &[0]].concat()), whole);
        assert_ne!(fingerprint(2, &bytes), whole);
    }
}
