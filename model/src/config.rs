//! The bounds of one model, and the names they go by.
//!
//! `n4-b0-v2-s1-d2` is four replicas of which replica 0 is Byzantine (`bnone`: none is), views 0 to 2, one
//! slot, and two clients with one request each. `-k1` adds a checkpoint every slot and `-l2` sets the
//! window, which is twice the checkpoint interval unless said.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::ids::{MAX_REPLICAS, MAX_SLOTS, MAX_VIEWS, ReplicaId, Slot, View};
use crate::quorum::Quorums;
use crate::value::Value;

/// Bounds of a model. Always valid: built by [`Config::new`] or parsed from a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Config {
    replicas: u8,
    byzantine: Option<u8>,
    max_view: u8,
    slots: u8,
    values: u8,
    interval: Option<u8>,
    window: u8,
}

/// Why a configuration was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// A field has a value outside its bounds.
    #[error("{field} is {found}: it must be {expected}")]
    OutOfBounds {
        /// The letter of the field in the name, with its meaning.
        field: &'static str,
        /// The value found.
        found: u8,
        /// The values allowed.
        expected: String,
    },
    /// A part of the name cannot be read.
    #[error("`{part}` in `{name}`: {reason}")]
    Part {
        /// The whole name.
        name: String,
        /// The part.
        part: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A field that has no default is absent.
    #[error(
        "`{name}` does not say {field}; a full name is `n4-b0-v2-s1-d2`, optionally with `-k1-l2`"
    )]
    Missing {
        /// The whole name.
        name: String,
        /// The field.
        field: &'static str,
    },
}

fn within(field: &'static str, found: u8, low: u8, high: u8) -> Result<(), ConfigError> {
    if (low..=high).contains(&found) {
        return Ok(());
    }
    let expected = if low == high { low.to_string() } else { format!("{low} to {high}") };
    Err(ConfigError::OutOfBounds { field, found, expected })
}

impl Config {
    /// Checks bounds and fills in the window (2K, or every slot where there are no checkpoints).
    pub fn new(
        replicas: u8,
        byzantine: Option<u8>,
        max_view: u8,
        slots: u8,
        values: u8,
        checkpoints: Option<(u8, Option<u8>)>,
    ) -> Result<Self, ConfigError> {
        within("n (replicas)", replicas, 4, MAX_REPLICAS as u8)?;
        if let Some(byzantine) = byzantine {
            within("b (Byzantine replica)", byzantine, 0, replicas - 1)?;
        }
        within("v (highest view)", max_view, 0, MAX_VIEWS as u8 - 1)?;
        within("s (slots)", slots, 1, MAX_SLOTS as u8)?;
        within("d (clients, one request each)", values, 1, Value::MAX_REQUESTS)?;
        let (interval, window) = match checkpoints {
            None => (None, slots),
            Some((interval, window)) => {
                within("k (checkpoint interval)", interval, 1, slots)?;
                let window = window.unwrap_or(2 * interval);
                within("l (window)", window, interval, 2 * MAX_SLOTS as u8)?;
                (Some(interval), window)
            }
        };
        Ok(Self { replicas, byzantine, max_view, slots, values, interval, window })
    }

    /// The configurations of the quick check: each Byzantine position that differs, and none.
    #[must_use]
    pub fn quick_preset() -> Vec<Self> {
        let mut preset = Vec::new();
        for bounds in ["v2-s1-d2", "v1-s2-d2", "v1-s1-d2-k1"] {
            for byzantine in ["none", "0", "1", "3"] {
                let name = format!("n4-b{byzantine}-{bounds}");
                preset.extend(name.parse::<Self>());
            }
        }
        preset
    }

    /// Number of replicas, n.
    #[must_use]
    pub const fn replicas(&self) -> u8 {
        self.replicas
    }

    /// The Byzantine replica, if there is one.
    #[must_use]
    pub const fn byzantine(&self) -> Option<ReplicaId> {
        match self.byzantine {
            Some(id) => Some(ReplicaId(id)),
            None => None,
        }
    }

    /// The highest view.
    #[must_use]
    pub const fn max_view(&self) -> View {
        View(self.max_view)
    }

    /// The last slot.
    #[must_use]
    pub const fn last_slot(&self) -> Slot {
        Slot(self.slots)
    }

    /// Number of clients, each with one request.
    #[must_use]
    pub const fn values(&self) -> u8 {
        self.values
    }

    /// Checkpoint interval K, if there are checkpoints.
    #[must_use]
    pub const fn checkpoint_interval(&self) -> Option<u8> {
        self.interval
    }

    /// Window L: a replica takes part in slots n with h < n ≤ h+L.
    #[must_use]
    pub const fn window(&self) -> u8 {
        self.window
    }

    /// Quorum sizes for this number of replicas.
    #[must_use]
    pub const fn quorums(&self) -> Quorums {
        Quorums::of(self.replicas)
    }

    /// Whether the slot is a multiple of K.
    #[must_use]
    pub const fn is_checkpoint(&self, slot: Slot) -> bool {
        match self.interval {
            Some(interval) => slot.0.is_multiple_of(interval),
            None => false,
        }
    }

    /// The highest slot in the window above `low`, within the bounds of the model.
    #[must_use]
    pub const fn high_water_mark(&self, low: Slot) -> Slot {
        let high = low.0 + self.window;
        Slot(if high < self.slots { high } else { self.slots })
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}-b", self.replicas)?;
        match self.byzantine {
            Some(id) => write!(f, "{id}")?,
            None => write!(f, "none")?,
        }
        write!(f, "-v{}-s{}-d{}", self.max_view, self.slots, self.values)?;
        if let Some(interval) = self.interval {
            write!(f, "-k{interval}")?;
            if self.window != 2 * interval {
                write!(f, "-l{}", self.window)?;
            }
        }
        Ok(())
    }
}

impl Serialize for Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The fields of a name while it is read.
#[derive(Default)]
struct Fields {
    n: Option<u8>,
    b: Option<Option<u8>>,
    v: Option<u8>,
    s: Option<u8>,
    d: Option<u8>,
    k: Option<u8>,
    l: Option<u8>,
}

fn set<T>(field: &mut Option<T>, value: T) -> Result<(), &'static str> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err("given twice"),
    }
}

impl Fields {
    fn read(&mut self, part: &str) -> Result<(), &'static str> {
        const NUMBER: &str = "a number from 0 to 255 must follow the letter";
        let mut letters = part.chars();
        let letter = letters.next().ok_or("empty part")?;
        let rest = letters.as_str();
        let number = || {
            let plain = rest.bytes().all(|byte| byte.is_ascii_digit());
            let padded = rest.len() > 1 && rest.starts_with('0');
            if plain && !padded { rest.parse::<u8>().map_err(|_| NUMBER) } else { Err(NUMBER) }
        };
        match letter {
            'n' => set(&mut self.n, number()?),
            'b' if rest == "none" => set(&mut self.b, None),
            'b' => set(&mut self.b, Some(number().map_err(|_| "`none` or a number must follow")?)),
            'v' => set(&mut self.v, number()?),
            's' => set(&mut self.s, number()?),
            'd' => set(&mut self.d, number()?),
            'k' => set(&mut self.k, number()?),
            'l' => set(&mut self.l, number()?),
            _ => Err("not a field; fields are n, b, v, s, d, k and l"),
        }
    }
}

impl FromStr for Config {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        let mut fields = Fields::default();
        for part in name.split('-') {
            fields.read(part).map_err(|reason| ConfigError::Part {
                name: name.to_owned(),
                part: part.to_owned(),
                reason,
            })?;
        }
        let missing = |field| ConfigError::Missing { name: name.to_owned(), field };
        if fields.l.is_some() && fields.k.is_none() {
            return Err(missing("k (checkpoint interval), without which l has no meaning"));
        }
        Self::new(
            fields.n.ok_or_else(|| missing("n (replicas)"))?,
            fields.b.ok_or_else(|| missing("b (Byzantine replica, or `bnone`)"))?,
            fields.v.ok_or_else(|| missing("v (highest view)"))?,
            fields.s.ok_or_else(|| missing("s (slots)"))?,
            fields.d.ok_or_else(|| missing("d (clients)"))?,
            fields.k.map(|interval| (interval, fields.l)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_round_trip(
            n in 4u8..=7, b in proptest::option::of(0u8..4), v in 0u8..=4, s in 1u8..=3, d in 1u8..=4,
            k in proptest::option::of((1u8..=3, proptest::option::of(1u8..=6))),
        ) {
            if let Ok(config) = Config::new(n, b, v, s, d, k) {
                prop_assert_eq!(config.to_string().parse::<Config>(), Ok(config));
            }
        }

        #[test]
        fn no_name_panics(name in "[nbvsdkl0-9-]{0,24}") {
            if let Ok(config) = name.parse::<Config>() {
                prop_assert_eq!(config.to_string().parse::<Config>(), Ok(config));
            }
        }
    }

    #[test]
    fn errors_name_the_field() {
        let error = |name: &str| name.parse::<Config>().map_err(|error| error.to_string());
        for (name, expected) in [
            ("n3-b0-v2-s1-d2", "n (replicas) is 3"),
            ("n4-b4-v2-s1-d2", "b (Byzantine replica) is 4"),
            ("n4-b0-v5-s1-d2", "v (highest view) is 5"),
            ("n4-b0-v2-s4-d2", "s (slots) is 4"),
            ("n4-b0-v2-s1-d0", "d (clients, one request each) is 0"),
            ("n4-b0-v2-s1-d2-k2", "k (checkpoint interval) is 2"),
            ("n4-b0-v2-s2-d2-k2-l1", "l (window) is 1"),
            ("n4-b0-v2-s1-d2-l2", "k (checkpoint interval)"),
            ("n4-v2-s1-d2", "b (Byzantine"),
            ("n4-b0-v2-v2-s1-d2", "given twice"),
            ("n4-b0-v2-s1-d2-x", "not a field"),
            ("", "empty part"),
        ] {
            let message = error(name).expect_err(name);
            assert!(message.contains(expected), "{name}: {message}");
        }
    }

    #[test]
    fn the_quick_preset_is_whole() {
        assert_eq!(Config::quick_preset().len(), 12);
    }
}
