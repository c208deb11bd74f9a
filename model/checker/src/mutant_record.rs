//! The record of the mutants, `mutants.txt`: the rule that each breaks, and how it is found out.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::LazyLock;

use pbft_plant::catalogue::{Catalogue, CatalogueError, Entry};
use pbft_plant::switch::active_of;
use pbft_plant::workspace::Kind;
use thiserror::Error;

use crate::sweep;
use pbft_model::properties::PROPERTIES;
use pbft_model::reduction::{Reductions, UnknownReduction};
use pbft_model::{Config, ConfigError};

/// The list, as it was when this was built.
const LIST: &str = include_str!("../../spec/mutants.txt");

/// What is expected of the search under a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The property is violated; the configuration is the smallest in which it is.
    Killed {
        /// The property.
        by: &'static str,
        /// The configuration.
        config: Config,
        /// Length of the shortest counterexample.
        steps: usize,
    },
    /// No property is violated, and something that must be seen is not: a search that is complete shows it nowhere.
    Missing {
        /// The witness, event or test of a property.
        what: String,
        /// The configuration, which is large enough for it.
        config: Config,
    },
    /// No property can be violated, and everything that must be seen is.
    Equivalent {
        /// Why.
        reason: String,
        /// The configuration that is searched exhaustively all the same.
        config: Config,
    },
}

/// A mutant on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub what: String,
    /// The rule that it breaks, with its section of the paper.
    pub rule: String,
    /// What is expected.
    pub fate: Fate,
    /// The reductions whose argument it breaks. They are off under it.
    pub without: Reductions,
    /// What is different in the rules: for each place its file and function, the text as it is, and as it is wrong.
    pub diff: String,
}

/// Why the record cannot be read.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The list is refused.
    #[error(transparent)]
    List(#[from] CatalogueError),
    /// What is said of how a mutant is caught cannot be read.
    #[error("mutants.txt: `{name}`: {why}")]
    Entry {
        /// The mutant.
        name: String,
        /// What is wrong.
        why: Unreadable,
    },
}

/// What is wrong with an entry.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// The sentence has another form.
    #[error(
        "`caught: {0}` is none of `PROPERTY in STEPS steps at CONFIGURATION`, `witness NAME missing at CONFIGURATION` and \
         `nothing at CONFIGURATION: REASON`"
    )]
    Form(String),
    /// There is no such property.
    #[error("there is no property `{0}`")]
    Property(String),
    /// Nothing of this name must be seen.
    #[error("there is no witness `{0}`")]
    Witness(String),
    /// There is no such configuration.
    #[error("its configuration: {0}")]
    Config(#[from] ConfigError),
    /// There is no such reduction.
    #[error("`without`: {0}")]
    Reduction(#[from] UnknownReduction),
}

impl Fate {
    /// The configuration that is searched.
    #[must_use]
    pub const fn config(&self) -> &Config {
        let (Self::Killed { config, .. }
        | Self::Missing { config, .. }
        | Self::Equivalent { config, .. }) = self;
        config
    }

    /// The property whose violation is looked for; none for any of them, and for whatever must be seen.
    #[must_use]
    pub const fn by(&self) -> Option<&'static str> {
        match self {
            Self::Killed { by, .. } => Some(by),
            Self::Missing { .. } | Self::Equivalent { .. } => None,
        }
    }

    /// Whether the mutant is found out.
    #[must_use]
    pub const fn is_found_out(&self) -> bool {
        !matches!(self, Self::Equivalent { .. })
    }
}

/// The sentence of an entry.
impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed { by, config, steps } => write!(f, "{by} in {steps} steps at {config}"),
            Self::Missing { what, config } => write!(f, "witness {what} missing at {config}"),
            Self::Equivalent { reason, config } => write!(f, "nothing at {config}: {reason}"),
        }
    }
}

impl FromStr for Fate {
    type Err = Unreadable;

    fn from_str(caught: &str) -> Result<Self, Unreadable> {
        let form = || Unreadable::Form(caught.to_owned());
        if let Some(rest) = caught.strip_prefix("nothing at ") {
            let (config, reason) = rest.split_once(": ").ok_or_else(form)?;
            return Ok(Self::Equivalent { reason: reason.to_owned(), config: config.parse()? });
        }
        if let Some(rest) = caught.strip_prefix("witness ") {
            let (what, config) = rest.split_once(" missing at ").ok_or_else(form)?;
            let known = sweep::names().any(|name| name == what);
            let what = known.then(|| what.to_owned());
            let what = what.ok_or_else(|| Unreadable::Witness(rest.to_owned()))?;
            return Ok(Self::Missing { what, config: config.parse()? });
        }
        let (by, rest) = caught.split_once(" in ").ok_or_else(form)?;
        let (steps, config) = rest.split_once(" steps at ").ok_or_else(form)?;
        let property = PROPERTIES.iter().find(|one| one.name == by);
        let by = property.ok_or_else(|| Unreadable::Property(by.to_owned()))?.name;
        let steps = steps.parse().map_err(|_| form())?;
        Ok(Self::Killed { by, config: config.parse()?, steps })
    }
}

impl Row {
    fn of(entry: &Entry) -> Result<Self, RecordError> {
        let wrong = |why| RecordError::Entry { name: entry.name.clone(), why };
        let without = entry.without.as_deref().unwrap_or("none").parse();
        Ok(Self {
            name: entry.name.clone(),
            what: entry.what.clone(),
            rule: entry.rule.clone(),
            fate: entry.caught.parse().map_err(wrong)?,
            without: without.map_err(|error: UnknownReduction| wrong(error.into()))?,
            diff: entry.hunks.iter().map(ToString::to_string).collect(),
        })
    }
}

/// All mutants, in the order of the list.
pub fn record() -> Result<Vec<Row>, RecordError> {
    let mut catalogue = Catalogue::default();
    catalogue.add(Path::new("model/spec/mutants.txt"), LIST)?;
    catalogue.entries().iter().map(Row::of).collect()
}

/// A mutant by its name.
pub fn row(name: &str) -> Result<Option<Row>, RecordError> {
    Ok(record()?.into_iter().find(|row| row.name == name))
}

/// The mutant that is on in this process: none unless it runs a build that has them.
#[must_use]
pub fn active() -> Option<&'static str> {
    static ACTIVE: LazyLock<Option<String>> = LazyLock::new(|| {
        let kinds = [Kind::Mutants, Kind::Generated];
        kinds.into_iter().find_map(|kind| active_of(kind).ok().flatten())
    });
    ACTIVE.as_deref()
}

/// The reductions whose argument does not hold for the rules as they are in this process.
#[must_use]
pub fn unsound() -> Reductions {
    let row = active().and_then(|name| row(name).ok().flatten());
    row.map_or(Reductions::NONE, |row| row.without)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_is_shown_as_the_list_has_it() {
        let row = row("commit-quorum-one-short").expect("a record").expect("a mutant");
        assert_eq!(
            row.diff,
            "@@ model/spec/src/adversary.rs Pbft::commits_needed @@\n\
             - self.quorums().quorum\n\
             + self.quorums().quorum - 1\n"
        );
    }

    #[test]
    fn a_fate_is_read_as_it_is_written() {
        for caught in [
            "agreement in 14 steps at n4-b0-v1-s1-d2",
            "witness join-jump missing at n4-b0-v2-s1-d1",
            "nothing at n4-b0-v2-s1-d1: time is not modelled: nothing is lost but time",
        ] {
            assert_eq!(caught.parse::<Fate>().map(|fate| fate.to_string()), Ok(caught.to_owned()));
        }
        for (caught, why) in [
            ("agreement", "is none of"),
            ("agreement in few steps at n4-b0-v1-s1-d2", "is none of"),
            ("nothing at n4-b0-v1-s1-d2", "is none of"),
            ("witness join-jump", "is none of"),
            ("witness luck missing at n4-b0-v1-s1-d2", "no witness `luck"),
            ("luck in 2 steps at n4-b0-v1-s1-d2", "no property `luck`"),
            ("agreement in 2 steps at n3-b0-v1-s1-d2", "its configuration"),
        ] {
            let error = caught.parse::<Fate>().expect_err(caught).to_string();
            assert!(error.contains(why), "{caught}: {error}");
        }
    }
}
