//! The bounds of one model, and the names they go by.
//!
//! `n4-b0-v2-s1-d2` is four replicas of which replica 0 is Byzantine (`bnone`: none is; `b01`: replicas 0 and 1), views
//! 0 to 2, one slot, and two clients with one request each. `-t2` gives each client a second request, `-o2` one that has
//! the timestamp of the first (a correct client sends none such). `-k1` adds a checkpoint every slot, and `-l2` sets the
//! window, which is twice the checkpoint interval unless said. `-r` adds crashes: a step and its write to the disk are two
//! things, and a replica may restart between them.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::ids::{MAX_REPLICAS, MAX_SLOTS, MAX_VIEWS, ReplicaId, Slot, View};
use crate::quorum::Quorums;
use crate::value::Value;

/// Bounds of a model. Always valid: built by [`Config::new`] or parsed from a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Config {
    replicas: u8,
    /// A bit for each Byzantine replica.
    byzantine: u8,
    max_view: u8,
    slots: u8,
    clients: u8,
    timestamps: u8,
    operations: u8,
    interval: Option<u8>,
    window: u8,
    restarts: bool,
}

/// What a configuration is built from; see the letters of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds<'a> {
    /// Number of replicas, n.
    pub replicas: u8,
    /// The Byzantine replicas, ascending.
    pub byzantine: &'a [u8],
    /// The highest view.
    pub max_view: u8,
    /// Number of slots.
    pub slots: u8,
    /// Number of clients.
    pub clients: u8,
    /// Timestamps that each client uses, 1 or 2; 0 stands for 1.
    pub timestamps: u8,
    /// Requests that each client sends with its one timestamp, 1 or 2; 0 stands for 1.
    pub operations: u8,
    /// Checkpoint interval K.
    pub interval: Option<u8>,
    /// Window L, where it is not 2K.
    pub window: Option<u8>,
    /// Whether replicas crash and restart.
    pub restarts: bool,
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
    /// The highest view that a configuration may have.
    pub const MAX_VIEW: u8 = 4;
    /// The greatest number of slots that a configuration may have.
    pub const MAX_SLOTS: u8 = 3;

    /// Checks bounds and fills in the window (2K, or every slot where there are no checkpoints).
    pub fn new(bounds: Bounds<'_>) -> Result<Self, ConfigError> {
        let Bounds { replicas, byzantine, max_view, slots, clients, restarts, .. } = bounds;
        within("n (replicas)", replicas, 4, MAX_REPLICAS as u8)?;
        let mut set = 0u8;
        for id in byzantine {
            within("b (Byzantine replica)", *id, 0, replicas - 1)?;
            set |= 1 << id;
        }
        // One more than the protocol tolerates, to show that it tolerates no more.
        let most = Quorums::of(replicas).faulty + 1;
        within("b (number of Byzantine replicas)", set.count_ones() as u8, 0, most)?;
        within("v (highest view)", max_view, 0, Self::MAX_VIEW)?;
        within("s (slots)", slots, 1, Self::MAX_SLOTS)?;
        let timestamps = bounds.timestamps.max(1);
        within("t (timestamps of each client)", timestamps, 1, 2)?;
        let operations = bounds.operations.max(1);
        within("o (requests with one timestamp)", operations, 1, 3 - timestamps)?;
        let most = if timestamps * operations == 2 {
            Value::MAX_CLIENTS_OF_TWO
        } else {
            Value::MAX_CLIENTS
        };
        within("d (clients)", clients, 1, most)?;
        let (interval, window) = match bounds.interval {
            None => (None, slots),
            Some(interval) => {
                within("k (checkpoint interval)", interval, 1, slots)?;
                let window = bounds.window.unwrap_or(2 * interval);
                within("l (window)", window, interval, 2 * Self::MAX_SLOTS)?;
                (Some(interval), window)
            }
        };
        let byzantine = set;
        Ok(Self {
            replicas,
            byzantine,
            max_view,
            slots,
            clients,
            timestamps,
            operations,
            interval,
            window,
            restarts,
        })
    }

    /// The same with more views and slots, as far as the model can hold them, for what comes after the bounds.
    #[must_use]
    pub(crate) fn extended(self, views: u8, slots: u8) -> Self {
        let slots = (self.slots + slots).min(MAX_SLOTS as u8);
        Self {
            max_view: (self.max_view + views).min(MAX_VIEWS as u8 - 1),
            slots,
            window: if self.interval.is_none() { slots } else { self.window },
            ..self
        }
    }

    /// Number of replicas, n.
    #[must_use]
    pub const fn replicas(&self) -> u8 {
        self.replicas
    }

    /// Whether a replica is Byzantine.
    #[must_use]
    pub const fn is_byzantine(&self, id: ReplicaId) -> bool {
        self.byzantine & (1 << id.0) != 0
    }

    /// A bit for each replica that is not Byzantine.
    #[must_use]
    pub const fn honest_bits(&self) -> u8 {
        ((1u16 << self.replicas) - 1) as u8 & !self.byzantine
    }

    /// The Byzantine replicas.
    pub fn byzantines(&self) -> impl Iterator<Item = ReplicaId> + use<> {
        let config = *self;
        (0..self.replicas).map(ReplicaId).filter(move |id| config.is_byzantine(*id))
    }

    /// Number of Byzantine replicas.
    #[must_use]
    pub const fn byzantine_count(&self) -> u8 {
        self.byzantine.count_ones() as u8
    }

    /// Whether there are more Byzantine replicas than the f that the protocol tolerates. Then it claims nothing, and a
    /// check must find a violation: a negative control.
    #[must_use]
    pub const fn is_beyond_tolerance(&self) -> bool {
        self.byzantine_count() > self.quorums().faulty
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

    /// Number of clients.
    #[must_use]
    pub const fn clients(&self) -> u8 {
        self.clients
    }

    /// Timestamps that each client uses, 1 or 2.
    #[must_use]
    pub const fn timestamps(&self) -> u8 {
        self.timestamps
    }

    /// Requests that each client sends with one timestamp, 1 or 2. A correct client sends one.
    #[must_use]
    pub const fn operations(&self) -> u8 {
        self.operations
    }

    /// Requests of each client, 1 or 2.
    #[must_use]
    pub const fn requests_each(&self) -> u8 {
        self.timestamps * self.operations
    }

    /// The timestamp of a request; 0 for what is none.
    #[must_use]
    pub const fn timestamp(&self, value: Value) -> u8 {
        let number = value.number();
        if number > self.timestamps { self.timestamps } else { number }
    }

    /// Number of requests, of all clients together.
    #[must_use]
    pub const fn requests(&self) -> u8 {
        self.clients * self.requests_each()
    }

    /// Whether replicas crash and restart.
    #[must_use]
    pub const fn restarts(&self) -> bool {
        self.restarts
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
        if self.byzantine == 0 {
            write!(f, "none")?;
        }
        self.byzantines().try_for_each(|id| write!(f, "{}", id.0))?;
        write!(f, "-v{}-s{}-d{}", self.max_view, self.slots, self.clients)?;
        if self.timestamps != 1 {
            write!(f, "-t{}", self.timestamps)?;
        }
        if self.operations != 1 {
            write!(f, "-o{}", self.operations)?;
        }
        if let Some(interval) = self.interval {
            write!(f, "-k{interval}")?;
            if self.window != 2 * interval {
                write!(f, "-l{}", self.window)?;
            }
        }
        if self.restarts { write!(f, "-r") } else { Ok(()) }
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(D::Error::custom)
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
    b: Option<Vec<u8>>,
    v: Option<u8>,
    s: Option<u8>,
    d: Option<u8>,
    t: Option<u8>,
    o: Option<u8>,
    k: Option<u8>,
    l: Option<u8>,
    r: Option<()>,
}

fn set<T>(field: &mut Option<T>, value: T) -> Result<(), &'static str> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err("given twice"),
    }
}

/// The number after a letter, without signs and leading zeros, so that a configuration has one name.
fn number(text: &str) -> Result<u8, &'static str> {
    const EXPECTED: &str = "a number from 0 to 255 must follow the letter";
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    if plain && !padded { text.parse().map_err(|_| EXPECTED) } else { Err(EXPECTED) }
}

/// Replicas by their digits, ascending.
fn digits(text: &str) -> Result<Vec<u8>, &'static str> {
    if text == "none" {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = text.bytes().map(|byte| byte.wrapping_sub(b'0')).collect();
    let valid = !ids.is_empty() && ids.iter().all(|id| *id <= 9) && ids.is_sorted_by(|a, b| a < b);
    if valid { Ok(ids) } else { Err("`none` or the replicas' digits, ascending, must follow") }
}

impl Fields {
    fn read(&mut self, part: &str) -> Result<(), &'static str> {
        let mut letters = part.chars();
        let letter = letters.next().ok_or("empty part")?;
        let rest = letters.as_str();
        match letter {
            'n' => set(&mut self.n, number(rest)?),
            'b' => set(&mut self.b, digits(rest)?),
            'v' => set(&mut self.v, number(rest)?),
            's' => set(&mut self.s, number(rest)?),
            'd' => set(&mut self.d, number(rest)?),
            't' => set(&mut self.t, number(rest)?),
            'o' => set(&mut self.o, number(rest)?),
            'k' => set(&mut self.k, number(rest)?),
            'l' => set(&mut self.l, number(rest)?),
            'r' if rest.is_empty() => set(&mut self.r, ()),
            'r' => Err("nothing follows `r`"),
            _ => Err("not a field; fields are n, b, v, s, d, t, o, k, l and r"),
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
        if fields.t == Some(0) {
            within("t (timestamps of each client)", 0, 1, 2)?;
        }
        if fields.o == Some(0) {
            within("o (requests with one timestamp)", 0, 1, 2)?;
        }
        Self::new(Bounds {
            replicas: fields.n.ok_or_else(|| missing("n (replicas)"))?,
            byzantine: &fields.b.ok_or_else(|| missing("b (Byzantine replicas, or `bnone`)"))?,
            max_view: fields.v.ok_or_else(|| missing("v (highest view)"))?,
            slots: fields.s.ok_or_else(|| missing("s (slots)"))?,
            clients: fields.d.ok_or_else(|| missing("d (clients)"))?,
            timestamps: fields.t.unwrap_or(1),
            operations: fields.o.unwrap_or(1),
            interval: fields.k,
            window: fields.l,
            restarts: fields.r.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_round_trip(
            replicas in 4u8..=7, byzantine in proptest::collection::btree_set(0u8..7, 0..4),
            max_view in 0u8..=4, slots in 1u8..=3, clients in 1u8..=3, timestamps in 1u8..=2,
            operations in 1u8..=2, interval in proptest::option::of(1u8..=3), window in proptest::option::of(1u8..=6),
            restarts in proptest::bool::ANY,
        ) {
            let byzantine: Vec<u8> = byzantine.into_iter().collect();
            let bounds = Bounds {
                replicas, byzantine: &byzantine, max_view, slots, clients, timestamps, operations, interval,
                window, restarts,
            };
            if let Ok(config) = Config::new(bounds) {
                prop_assert_eq!(config.to_string().parse::<Config>(), Ok(config));
            }
        }

        #[test]
        fn no_name_panics(name in "[nbvsdtoklr0-9-]{0,24}") {
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
            ("n4-b0-v2-s1-d0", "d (clients) is 0"),
            ("n4-b0-v2-s1-d3-t2", "d (clients) is 3"),
            ("n4-b0-v2-s1-d1-t0", "t (timestamps of each client) is 0"),
            ("n4-b0-v2-s1-d1-t3", "t (timestamps of each client) is 3"),
            ("n4-b0-v2-s1-d1-o0", "o (requests with one timestamp) is 0"),
            ("n4-b0-v2-s1-d1-o3", "o (requests with one timestamp) is 3"),
            ("n4-b0-v2-s1-d1-t2-o2", "o (requests with one timestamp) is 2"),
            ("n4-b0-v2-s1-d3-o2", "d (clients) is 3"),
            ("n4-b012-v2-s1-d2", "b (number of Byzantine replicas) is 3"),
            ("n4-b10-v2-s1-d2", "ascending"),
            ("n4-b00-v2-s1-d2", "ascending"),
            ("n4-b-v2-s1-d2", "ascending"),
            ("n4-b0-v2-s1-d2-r1", "nothing follows"),
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
}
