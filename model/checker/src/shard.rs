//! Parts of a long run, for several machines.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One of some parts of a list of work: every N-th piece. All parts together are the whole, and no piece is in two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which, from 1.
    pub index: u64,
    /// Of how many.
    pub of: u64,
}

/// Words that are no shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a shard is I/N, such as 2/8: the second of eight")]
pub struct ShardError;

impl std::str::FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let (index, of) = text.split_once('/').ok_or(ShardError)?;
        let (index, of) =
            (index.parse().map_err(|_| ShardError)?, of.parse().map_err(|_| ShardError)?);
        match (1..=of).contains(&index) {
            true => Ok(Self { index, of }),
            false => Err(ShardError),
        }
    }
}

impl Shard {
    /// Everything.
    pub const WHOLE: Self = Self { index: 1, of: 1 };

    /// Whether the piece at this place of the list, from 0, is in it.
    #[must_use]
    pub const fn has(self, place: usize) -> bool {
        place as u64 % self.of == self.index - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_piece_is_in_one_shard() {
        for of in 1..6 {
            for place in 0..20 {
                let with_it = (1..=of).filter(|index| Shard { index: *index, of }.has(place));
                assert_eq!(with_it.count(), 1, "{place} of {of}");
            }
        }
    }

    #[test]
    fn words_that_are_no_shard_are_refused() {
        assert_eq!("2/8".parse(), Ok(Shard { index: 2, of: 8 }));
        for words in ["", "1", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b"] {
            assert_eq!(words.parse::<Shard>(), Err(ShardError), "{words}");
        }
    }
}
