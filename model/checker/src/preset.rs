//! Sets of configurations, by how long one is willing to wait.

use pbft_model::config::Config;

/// A set of configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Preset {
    /// For continuous integration: three views, two slots, checkpoints, clients, crashes; up to three minutes on two cores
    Quick,
    /// Quick, and three views of two slots with checkpoints, five views, n = 5 and n = 7: up to ninety minutes
    Nightly,
    /// Nightly, and as far as memory allows: hours
    Deep,
    /// For --theorem, where nothing is forgotten: smaller bounds, two minutes on two cores
    Theorem,
}

/// One configuration of a preset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The bounds.
    pub config: Config,
    /// The one property that is asked for; all of them if there is none.
    pub property: Option<&'static str>,
}

/// Bounds at n = 4, and the positions of the Byzantine replica that they are checked for. Without one there is one more
/// replica to interleave, and several times as many states: the largest of these are left to the night.
const QUICK: [(&str, &[&str]); 26] = [
    ("v1-s1-d2", &["0", "1", "3"]),
    ("v1-s1-d2-k1", &["0"]),
    ("v1-s2-d1", &["0"]),
    ("v1-s2-d1-k1-l1", &["0"]),
    ("v2-s1-d2", &["0"]),
    ("v0-s2-d2-t2", &["none"]),
    ("v0-s2-d2-k1", &ALL),
    ("v0-s2-d1-k1-t2", &["none", "0"]),
    ("v0-s2-d1-o2", &ALL),
    ("v1-s1-d1-o2", &["0"]),
    ("v1-s2-d1-o2", &["3"]),
    ("v0-s2-d1-o2-k1", &["0"]),
    ("v0-s2-d1-o2-r", &["0"]),
    ("v2-s2-d1", &["3"]),
    ("v1-s2-d1-r", &["2"]),
    ("v1-s1-d1-t2-r", &["3"]),
    ("v2-s1-d1-k1-t2", &["3"]),
    ("v3-s1-d2", &FAULTY),
    ("v1-s2-d2", &ALL),
    ("v2-s1-d2-k1", &ALL),
    ("v1-s2-d1-k1", &ALL),
    ("v1-s2-d2-k2", &FAULTY),
    ("v1-s2-d1-t2", &FAULTY),
    ("v1-s1-d2-r", &ALL),
    ("v1-s1-d1-k1-r", &FAULTY),
    ("v0-s2-d1-t2-r", &ALL),
];

/// The same for the night.
const NIGHTLY: [(&str, &[&str]); 11] = [
    ("v0-s2-d2-t2", &["0"]),
    ("v0-s2-d2-t2-k1", &["0"]),
    ("v0-s2-d2-r", &["0"]),
    ("v0-s2-d1-t2-k1-r", &["0"]),
    ("v3-s1-d2", &NONE),
    ("v1-s2-d2-k2", &NONE),
    ("v1-s2-d1-t2", &NONE),
    ("v1-s1-d1-k1-r", &NONE),
    ("v1-s2-d2-k1", &ALL),
    ("v4-s1-d2", &FAULTY),
    ("v2-s2-d2-k2", &FAULTY),
];

/// The same for as long as it takes.
const DEEP: [(&str, &[&str]); 4] =
    [("v4-s1-d2", &NONE), ("v2-s2-d2-k2", &NONE), ("v2-s2-d2", &FAULTY), ("v2-s3-d1-k1", &FAULTY)];

const NONE: [&str; 1] = ["none"];
const FAULTY: [&str; 4] = ["0", "1", "2", "3"];
const ALL: [&str; 5] = ["none", "0", "1", "2", "3"];

/// The same for the comparison with the theorem.
const THEOREM: [(&str, &[&str]); 6] = [
    ("v1-s1-d2", &ALL),
    ("v1-s2-d1", &["1", "2", "3"]),
    ("v1-s2-d1-k2", &["1", "2", "3"]),
    ("v2-s1-d1", &["3"]),
    ("v1-s1-d2-r", &FAULTY),
    ("v1-s1-d1-k1-r", &["3"]),
];

/// For walks beside the theorem: the largest of the quick preset, and beyond it more views, slots, clients' requests and
/// replicas, each with what the exhaustive comparison has apart.
const WALKS: [&str; 12] = [
    "n4-b0-v3-s1-d2",
    "n4-b1-v3-s1-d2",
    "n4-b3-v4-s1-d2",
    "n4-bnone-v2-s2-d2-k1",
    "n4-b0-v2-s3-d2-k1",
    "n4-b2-v2-s2-d2-k2",
    "n4-b3-v1-s2-d2-t2",
    "n4-b1-v2-s2-d2-k1-r",
    "n5-b1-v2-s2-d2-k1",
    "n6-b0-v2-s2-d1-k1",
    "n7-b01-v2-s1-d2",
    "n7-b16-v1-s2-d2-k1",
];

/// The configurations of `simulate --theorem`.
#[must_use]
pub fn walks() -> Vec<Config> {
    WALKS.iter().filter_map(|name| name.parse().ok()).collect()
}

/// Other group sizes.
const QUICK_SIZES: [&str; 11] = [
    "n5-bnone-v1-s1-d1",
    "n5-b0-v0-s2-d1-t2",
    "n5-b0-v0-s1-d1-k1-r",
    "n5-b0-v1-s1-d1-k1",
    "n5-b0-v1-s1-d2",
    "n5-b4-v1-s1-d2",
    "n5-b4-v1-s2-d1",
    "n5-b4-v2-s1-d1",
    "n6-b0-v1-s1-d1",
    "n7-b01-v0-s1-d2",
    "n7-b16-v1-s1-d1",
];
const NIGHTLY_SIZES: [&str; 15] = [
    "n5-b0-v0-s2-d2-t2",
    "n5-b0-v0-s1-d2-k1-r",
    "n5-b0-v0-s2-d1-t2-r",
    "n5-bnone-v0-s2-d1-t2-k1",
    "n5-bnone-v1-s1-d1-t2-k1",
    "n5-b1-v1-s1-d1-t2-k1",
    "n5-b1-v1-s2-d1-k1",
    "n5-b4-v1-s1-d2-t2",
    "n5-b4-v1-s1-d1-r",
    "n5-b0-v2-s1-d2",
    "n5-b1-v2-s1-d2",
    "n5-bnone-v1-s1-d2",
    "n6-b0-v1-s1-d2",
    "n7-b01-v1-s1-d2",
    "n7-b56-v1-s1-d1-k1",
];
const THEOREM_SIZES: [&str; 5] = [
    "n4-b0-v0-s2-d1-o2",
    "n4-b0-v0-s3-d1-k1",
    "n4-b0-v0-s2-d1-t2-r",
    "n5-b0-v1-s1-d2",
    "n7-b01-v0-s1-d2",
];
const DEEP_SIZES: [&str; 2] = ["n7-b0-v1-s1-d2", "n7-b01-v2-s1-d1"];

/// Negative controls: with more than f Byzantine replicas agreement must break.
const CONTROLS: [&str; 2] = ["n4-b01-v0-s1-d2", "n4-b23-v1-s1-d2"];

impl Preset {
    /// What is in it, the cheap things first.
    #[must_use]
    pub fn entries(self) -> Vec<Entry> {
        let controls = CONTROLS.iter().map(|name| ((*name).to_owned(), Some("agreement")));
        // Of more Byzantine replicas than are tolerated the theorem says nothing.
        let controls = controls.filter(|_| self != Self::Theorem);
        let mut entries: Vec<(String, Option<&str>)> = controls.collect();
        let (bounds, sizes): (Vec<&[_]>, Vec<&[&str]>) = match self {
            Self::Quick => (vec![&QUICK], vec![&QUICK_SIZES]),
            Self::Nightly => (vec![&QUICK, &NIGHTLY], vec![&QUICK_SIZES, &NIGHTLY_SIZES]),
            Self::Theorem => (vec![&THEOREM], vec![&THEOREM_SIZES]),
            Self::Deep => {
                (vec![&QUICK, &NIGHTLY, &DEEP], vec![&QUICK_SIZES, &NIGHTLY_SIZES, &DEEP_SIZES])
            }
        };
        entries.extend(sizes.concat().iter().map(|name| ((*name).to_owned(), None)));
        for (bounds, positions) in bounds.concat() {
            let each = positions.iter().map(|position| format!("n4-b{position}-{bounds}"));
            entries.extend(each.map(|name| (name, None)));
        }
        let entry =
            |(name, property): (String, _)| Some(Entry { config: name.parse().ok()?, property });
        entries.into_iter().filter_map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_a_configuration_and_none_is_there_twice() {
        let sizes = [
            (Preset::Quick, 82),
            (Preset::Nightly, 118),
            (Preset::Deep, 130),
            (Preset::Theorem, 22),
        ];
        for (preset, entries) in sizes {
            let names: BTreeSet<_> = preset.entries().iter().map(|entry| entry.config).collect();
            assert_eq!((names.len(), preset.entries().len()), (entries, entries), "{preset:?}");
        }
    }

    #[test]
    fn walks_go_where_the_exhaustive_comparison_does_not() {
        let walks = walks();
        assert_eq!(walks.len(), WALKS.len());
        let compared: BTreeSet<_> =
            Preset::Theorem.entries().iter().map(|entry| entry.config).collect();
        assert!(walks.iter().all(|one| !compared.contains(one) && !one.is_beyond_tolerance()));
        let most = walks.iter().map(|one| one.max_view().0).max();
        assert_eq!(most, Some(Config::MAX_VIEW));
    }

    #[test]
    fn controls_and_only_they_are_beyond_what_is_tolerated() {
        for entry in Preset::Deep.entries() {
            assert_eq!(entry.config.is_beyond_tolerance(), entry.property.is_some(), "{entry:?}");
        }
    }
}
