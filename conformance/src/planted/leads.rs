//! Whether the report of a bug leads to the bug: it has to name a function of the file that the bug is in.

use super::hunt::Found;
use crate::divergence::{Divergence, Kind};
use crate::signpost::given::Given;
use crate::signpost::{Handler, in_core, in_model, in_node};
use pbft_plant::catalogue::Entry;
use serde::{Deserialize, Serialize};

/// A function that a report names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its file.
    pub file: String,
    /// Its name.
    pub function: String,
}

impl Named {
    fn of(place: Handler) -> Self {
        Self { file: place.file.to_owned(), function: place.function.to_owned() }
    }

    /// All that a report names.
    pub fn by(divergence: &Divergence) -> Vec<Self> {
        divergence.signpost.places().map(Self::of).collect()
    }

    /// The model's rule that a report names.
    pub fn ruling(divergence: &Divergence) -> Option<Self> {
        divergence.signpost.rule.place.map(Self::of)
    }

    /// Whether a list calls the function so: with its type, or without.
    fn is_called(&self, function: &str) -> bool {
        let ends = |long: &str, short: &str| {
            long.strip_suffix(short).is_some_and(|rest| rest.is_empty() || rest.ends_with("::"))
        };
        ends(&self.function, function) || ends(function, &self.function)
    }
}

/// How near a report leads to a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lead {
    /// It names no function of a file that the bug is in.
    Nowhere,
    /// It names another function of the file.
    File,
    /// It names the very function.
    Function,
}

impl Lead {
    /// How near these names lead to this bug.
    pub fn to(entry: &Entry, named: &[Named]) -> Self {
        let in_file =
            |name: &Named, path: &std::path::Path| path == std::path::Path::new(&name.file);
        let leads = entry.hunks.iter().flat_map(|hunk| {
            named.iter().filter(|name| in_file(name, &hunk.path)).map(|name| {
                match name.is_called(&hunk.function) {
                    true => Self::Function,
                    false => Self::File,
                }
            })
        });
        leads.max().unwrap_or(Self::Nowhere)
    }
}

/// What the report of a bug must say, to the letter: one bug for each kind of difference.
pub(super) struct Pinned {
    /// The kind.
    pub kind: Kind,
    /// The bug.
    pub bug: &'static str,
    /// The handler.
    pub handler: Handler,
    /// The model's rule.
    pub rule: Option<Handler>,
}

/// See [`Pinned`]. No bug makes a replica halt.
pub(super) const PINNED: &[Pinned] = &[
    pinned(
        Kind::Accepted,
        "second-conflicting-pre-prepare",
        Given::PrePrepare.handler(),
        Some(in_model!("rules.rs", "accept")),
    ),
    pinned(
        Kind::Early,
        "commit-quorum-one-short",
        Given::Commit.handler(),
        Some(in_model!("rules.rs", "execute")),
    ),
    pinned(
        Kind::Execution,
        "duplicate-execution",
        Given::Commit.handler(),
        Some(in_model!("rules.rs", "execute")),
    ),
    pinned(
        Kind::Harness,
        "signatures-unchecked",
        in_node!("transport/handshake.rs", "Acceptor::accept"),
        None,
    ),
    pinned(
        Kind::Messages,
        "p-omitted",
        Given::Suspicion.handler(),
        Some(in_model!("rules.rs", "leave")),
    ),
    pinned(
        Kind::NotDurable,
        "prepare-sent-before-durable",
        Given::PrePrepare.handler(),
        Some(in_model!("rules.rs", "accept")),
    ),
    pinned(
        Kind::Panicked,
        "executes-out-of-order",
        Given::Committed.handler(),
        Some(in_model!("rules.rs", "execute")),
    ),
    pinned(
        Kind::Reaction,
        "join-takes-highest",
        in_core!("view.rs", "CurrentView::view_to_join"),
        Some(in_model!("rules.rs", "join")),
    ),
    pinned(
        Kind::Refused,
        "lock-not-released",
        Given::NewView.handler(),
        Some(in_model!("rules.rs", "enter")),
    ),
    pinned(
        Kind::Restart,
        "restart-forgets-accepted",
        Given::Start.handler(),
        Some(in_model!("durability.rs", "Pbft::restarted")),
    ),
    pinned(
        Kind::State,
        "gc-before-stability",
        Given::Commit.handler(),
        Some(in_model!("rules.rs", "execute")),
    ),
    pinned(
        Kind::StateChanged,
        "new-view-kept-before-checked",
        Given::NewView.handler(),
        Some(in_model!("rules.rs", "enter")),
    ),
    pinned(
        Kind::Timer,
        "patience-not-doubled",
        Given::ViewChange.handler(),
        Some(in_model!("rules.rs", "begin")),
    ),
    pinned(
        Kind::WrongRejection,
        "duplicate-is-a-lie",
        Given::PrePrepare.handler(),
        Some(in_model!("rules.rs", "accept")),
    ),
];

const fn pinned(kind: Kind, bug: &'static str, handler: Handler, rule: Option<Handler>) -> Pinned {
    Pinned { kind, bug, handler, rule }
}

/// Whether a report names the handler and the rule that are pinned for this bug, if any are.
pub(super) fn is_as_pinned(bug: &str, found: &Found) -> bool {
    let same = |pinned: &Pinned| {
        let kind = format!(": {:?}", pinned.kind);
        found.caught_by.as_ref().is_some_and(|caught| caught.ends_with(&kind))
            && found.named.first() == Some(&Named::of(pinned.handler))
            && found.ruled == pinned.rule.map(Named::of)
    };
    PINNED.iter().filter(|pinned| pinned.bug == bug).all(same)
}

/// Bugs whose report leads elsewhere, and why it cannot lead there.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[];

/// So many reports at least name the very function.
pub(super) const FUNCTIONS_MIN: usize = 305;

/// Whether the report may lead there: to the file, or elsewhere for a reason on record. A reason that is not needed any
/// more is none.
pub(super) fn is_as_recorded(bug: &str, lead: Lead) -> bool {
    let excused = ELSEWHERE.iter().any(|(name, _)| *name == bug);
    excused == (lead == Lead::Nowhere)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_plant::tool::catalogue;
    use pbft_plant::workspace::Kind as Kinds;
    use std::collections::BTreeSet;

    fn named(file: &str, function: &str) -> Named {
        Named { file: file.to_owned(), function: function.to_owned() }
    }

    #[test]
    fn a_report_leads_to_the_function_the_file_or_nowhere() {
        let bugs = catalogue(Kinds::Bugs).expect("a catalogue");
        let entry = bugs.entry("p-omitted").expect("it is there");
        let file = "impl/core/src/view_change.rs";
        let other = named("impl/core/src/log.rs", "make_view_change");
        let near = named(file, "Replica::on_suspect");
        assert_eq!(Lead::to(entry, std::slice::from_ref(&other)), Lead::Nowhere);
        assert_eq!(Lead::to(entry, &[other.clone(), near.clone()]), Lead::File);
        for function in ["Replica::make_view_change", "make_view_change"] {
            let all = [near.clone(), named(file, function), other.clone()];
            assert_eq!(Lead::to(entry, &all), Lead::Function);
        }
    }

    /// What the list says about what catches a bug ends with the kind.
    #[test]
    fn each_kind_of_difference_that_a_bug_shows_as_has_a_bug_whose_report_is_pinned() {
        let bugs = catalogue(Kinds::Bugs).expect("a catalogue");
        let kind = |caught: &str| caught.rsplit(": ").next().unwrap_or_default().to_owned();
        let shown: BTreeSet<String> =
            bugs.entries().iter().map(|entry| kind(&entry.caught)).collect();
        let pinned = PINNED.iter().map(|pinned| {
            let entry = bugs.entry(pinned.bug).expect("it is there");
            assert_eq!(kind(&entry.caught), format!("{:?}", pinned.kind), "{}", pinned.bug);
            kind(&entry.caught)
        });
        assert_eq!(pinned.collect::<BTreeSet<_>>(), shown);
    }

    #[test]
    fn an_excuse_is_for_a_bug_that_exists() {
        let bugs = catalogue(Kinds::Bugs).expect("a catalogue");
        for (bug, _) in ELSEWHERE {
            assert!(bugs.entry(bug).is_some(), "{bug}");
        }
        assert!(FUNCTIONS_MIN <= bugs.entries().len());
    }
}
