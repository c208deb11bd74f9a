//! Which sources of the specification are changed, and why the others are not.

use std::fmt;

/// Where they are, from the root of the workspace.
pub(super) const DIRECTORY: &str = "model/spec/src";

/// Why a part of the specification is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// It makes the search smaller, and tests of its own compare it with the search without it.
    Reduction,
    /// It says what is looked for, and does not say what replicas do.
    Sought,
    /// It is the bounds, their names, and what they make possible.
    Bounds,
    /// It writes or reads text.
    Text,
    /// It is arithmetic, with exhaustive tests of its own.
    Arithmetic,
    /// It is what Byzantine replicas can do. With less of that every property holds all the more.
    Adversary,
    /// It serves who replays a path.
    Replay,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reduction => "makes the search smaller",
            Self::Sought => "says what is looked for",
            Self::Bounds => "is about bounds and their names",
            Self::Text => "writes or reads text",
            Self::Arithmetic => "is arithmetic with tests of its own",
            Self::Adversary => "is what Byzantine replicas can do",
            Self::Replay => "serves who replays a path",
        })
    }
}

/// Each file of the specification: nothing for those whose rules are changed.
pub const FILES: [(&str, Option<LeftOut>); 25] = [
    ("action.rs", Some(LeftOut::Text)),
    ("adversary.rs", None),
    ("batches.rs", None),
    ("bounds.rs", Some(LeftOut::Bounds)),
    ("checkpoint.rs", None),
    ("config.rs", Some(LeftOut::Bounds)),
    ("dead.rs", Some(LeftOut::Reduction)),
    ("durability.rs", None),
    ("events.rs", Some(LeftOut::Sought)),
    ("ids.rs", Some(LeftOut::Arithmetic)),
    ("lib.rs", None),
    ("new_view.rs", None),
    ("normal_case.rs", None),
    ("powers.rs", Some(LeftOut::Sought)),
    ("progress.rs", Some(LeftOut::Sought)),
    ("properties.rs", Some(LeftOut::Sought)),
    ("quorum.rs", Some(LeftOut::Arithmetic)),
    ("reduction.rs", Some(LeftOut::Reduction)),
    ("rules.rs", None),
    ("state.rs", None),
    ("tally.rs", Some(LeftOut::Arithmetic)),
    ("value.rs", Some(LeftOut::Arithmetic)),
    ("view_change.rs", None),
    ("witnesses.rs", Some(LeftOut::Sought)),
    ("words.rs", Some(LeftOut::Text)),
];

/// Functions that are left out in the other files.
pub const FUNCTIONS: [(&str, &str, LeftOut); 8] = [
    ("adversary.rs", "Pbft::anything", LeftOut::Adversary),
    ("adversary.rs", "Pbft::assembled", LeftOut::Adversary),
    ("adversary.rs", "Pbft::claims", LeftOut::Adversary),
    ("adversary.rs", "Pbft::byzantine_view_changes", LeftOut::Adversary),
    ("new_view.rs", "Pbft::byzantine_new_views", LeftOut::Adversary),
    ("new_view.rs", "Pbft::with_claims", LeftOut::Adversary),
    ("new_view.rs", "Pbft::new_view_witnesses", LeftOut::Replay),
    ("new_view.rs", "Witness::claim_of", LeftOut::Replay),
];
