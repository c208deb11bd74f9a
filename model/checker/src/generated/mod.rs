//! The hunt for mutants that are made from the specification by rule: does anything notice each of them?
//!
//! A mutant is on for a whole process, as with those of the list. The process goes through the configurations of the quick
//! preset and some smaller ones, the small ones first, with every property, every witness and every event, until something is wrong or its budget of
//! states is used up. What it searches is what the claim rests on: all reductions are on, whatever the mutant does to their
//! arguments.
//!
//! What came of each is on record ([`record`]). A mutant that is on record as found out is first searched for where that was.

pub mod record;
pub mod search;

use std::fmt;
use std::str::FromStr;
use std::time::Instant;

use pbft_plant::catalogue::Entry;
use pbft_plant::generate;
use pbft_plant::tool::{Planted, ToolError};
use pbft_plant::workspace::Kind;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::record::Row;
use self::search::{End, Searched};
use crate::golden;
use crate::mutants::{PROGRAM, in_turn};
use crate::preset::Preset;
use crate::run::ExitCode;
use pbft_model::properties::PROPERTIES;
use pbft_model::{Config, ConfigError};

/// States that a mutant is given, unless said: enough for every configuration of up to 83,000, a third of them all.
pub const BUDGET: u64 = 700_000;

/// Bounds beside those of the quick preset: smaller ones.
const SMALL: [&str; 5] = [
    "n4-bnone-v1-s1-d2",
    "n4-b1-v1-s1-d2-k1",
    "n4-b0-v0-s2-d1-k1-l1",
    "n4-bnone-v0-s1-d2-k1-r",
    "n4-b0-v1-s1-d1-r",
];

/// What stands in the record where nobody has said why a mutant survives.
pub const NOT_EXPLAINED: &str = "not explained";

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was found out in a configuration.
    Killed {
        /// By what.
        by: Killer,
        /// Where.
        config: Config,
    },
    /// Every configuration has the states and edges that it has without it.
    SameStates {
        /// Why.
        reason: String,
    },
    /// Some configuration has others, and nothing is wrong with them.
    Survives {
        /// Why.
        reason: String,
    },
    /// The compiler does not take it.
    Refused,
    /// Nobody has looked: so it is never what a hunt finds.
    NotSearched,
}

/// What finds a mutant out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Killer {
    /// A property is violated, after so many steps at least.
    Property {
        /// The property.
        name: &'static str,
        /// The length of a shortest path.
        steps: usize,
    },
    /// Something that must happen never does.
    Lost {
        /// The witness, the event, or the test of a property.
        what: String,
    },
    /// The rules ask for what is not there.
    Panic,
    /// The rules do not come to an end.
    Endless,
}

impl Fate {
    /// Whether it is the same but for the reason.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::SameStates { .. }, Self::SameStates { .. })
            | (Self::Survives { .. }, Self::Survives { .. }) => true,
            _ => self == other,
        }
    }

    /// Why it survives, if it does.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::SameStates { reason } | Self::Survives { reason } => Some(reason),
            Self::Killed { .. } | Self::Refused | Self::NotSearched => None,
        }
    }

    /// Whether it survives, and nobody has said why.
    #[must_use]
    pub fn is_unexplained(&self) -> bool {
        self.reason() == Some(NOT_EXPLAINED)
    }

    /// What a search came to.
    fn of(searched: &[Searched], reason: &str) -> Self {
        let killed = searched.iter().find_map(|one| Some((one.end.killer()?, one.config)));
        let reason = reason.to_owned();
        match killed {
            Some((by, config)) => Self::Killed { by, config },
            None if searched.iter().all(Searched::is_as_without) => Self::SameStates { reason },
            None => Self::Survives { reason },
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed { by: Killer::Property { name, steps }, config } => {
                write!(f, "{name} in {steps} steps at {config}")
            }
            Self::Killed { by: Killer::Lost { what }, config } => {
                write!(f, "never at {config}: {what}")
            }
            Self::Killed { by: Killer::Panic, config } => write!(f, "panics at {config}"),
            Self::Killed { by: Killer::Endless, config } => write!(f, "does not end at {config}"),
            Self::SameStates { reason } => write!(f, "same states: {reason}"),
            Self::Survives { reason } => write!(f, "other states: {reason}"),
            Self::Refused => write!(f, "does not compile"),
            Self::NotSearched => write!(f, "not searched"),
        }
    }
}

/// Why the fate of a mutant cannot be read.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum UnreadableFate {
    /// It has another form.
    #[error(
        "`{0}` is none of `PROPERTY in STEPS steps at CONFIGURATION`, `never at CONFIGURATION: WITNESS`, `panics at \
         CONFIGURATION`, `does not end at CONFIGURATION`, `same states: REASON`, `other states: REASON`, `does not compile`, `not \
         searched`"
    )]
    Form(String),
    /// There is no such configuration.
    #[error("its configuration: {0}")]
    Config(#[from] ConfigError),
}

impl FromStr for Fate {
    type Err = UnreadableFate;

    fn from_str(text: &str) -> Result<Self, UnreadableFate> {
        let form = || UnreadableFate::Form(text.to_owned());
        let (before, after) = text.split_once(": ").unwrap_or((text, ""));
        match before {
            "same states" => return Ok(Self::SameStates { reason: after.to_owned() }),
            "other states" => return Ok(Self::Survives { reason: after.to_owned() }),
            "does not compile" => return Ok(Self::Refused),
            "not searched" => return Ok(Self::NotSearched),
            _ => {}
        }
        let (found, config) = before.rsplit_once(" at ").ok_or_else(form)?;
        let config = config.parse()?;
        let by = match found {
            "never" => Killer::Lost { what: after.to_owned() },
            "panics" => Killer::Panic,
            "does not end" => Killer::Endless,
            _ => {
                let (name, steps) = found.split_once(" in ").ok_or_else(form)?;
                let property = PROPERTIES.iter().find(|one| one.name == name).ok_or_else(form)?;
                let steps = steps.strip_suffix(" steps").and_then(|steps| steps.parse().ok());
                Killer::Property { name: property.name, steps: steps.ok_or_else(form)? }
            }
        };
        Ok(Self::Killed { by, config })
    }
}

impl Serialize for Fate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What became of one mutant, and what is on record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// What is different in the rules.
    pub change: String,
    /// What became of it. The reason is that on record.
    pub fate: Fate,
    /// Whether that is on record.
    pub as_recorded: bool,
    /// What was on record, if it was.
    pub recorded: Option<Fate>,
    /// Each configuration searched.
    pub searched: Vec<Searched>,
    /// Wall time.
    pub seconds: f64,
}

impl Report {
    /// Holds what was found against the record.
    #[must_use]
    pub fn new(row: &Row, recorded: Option<&Fate>, searched: Vec<Searched>, seconds: f64) -> Self {
        let reason = recorded.and_then(Fate::reason).unwrap_or(NOT_EXPLAINED);
        let fate = match recorded {
            Some(Fate::Refused) => Fate::Refused,
            _ => Fate::of(&searched, reason),
        };
        // Why one survives says nothing any more where something else came of it.
        let fate = match (&fate, recorded) {
            (Fate::SameStates { .. } | Fate::Survives { .. }, Some(recorded))
                if !fate.is_like(recorded) =>
            {
                Fate::of(&searched, NOT_EXPLAINED)
            }
            _ => fate,
        };
        let as_recorded = recorded.is_some_and(|recorded| recorded.is_like(&fate));
        let (name, change, recorded) = (row.name.clone(), row.change.clone(), recorded.cloned());
        Self { name, change, fate, as_recorded, recorded, searched, seconds }
    }

    /// States of all configurations searched.
    #[must_use]
    pub fn states(&self) -> u64 {
        self.searched.iter().map(|one| one.states).sum()
    }
}

/// Builds the program that has the mutants: those that are not on record as refused by the compiler.
pub fn planted() -> Result<Planted, ToolError> {
    Planted::build(Kind::Generated, PROGRAM.0, PROGRAM.1, &[""; 0])
}

/// Every mutant that can be made of the sources.
pub fn all() -> Result<Vec<Row>, record::RecordError> {
    let catalogue = generate::catalogue(&record::root())?;
    let row = |entry: &Entry| Row { name: entry.name.clone(), change: entry.what.clone() };
    Ok(catalogue.entries().iter().map(row).collect())
}

/// The configurations that are gone through: small ones, and those of the quick preset that are to hold, by their number of
/// states.
#[must_use]
pub fn ladder() -> Vec<Config> {
    let entries = Preset::Quick.entries().into_iter().filter(|entry| entry.property.is_none());
    let small = SMALL.iter().filter_map(|name| name.parse().ok());
    let configs = small.chain(entries.map(|entry| entry.config));
    let counted = configs.filter_map(|config| Some((golden::counts(&config)?, config)));
    let mut counted: Vec<_> = counted.collect();
    counted.sort_unstable();
    counted.into_iter().map(|(_, config)| config).collect()
}

/// Searches for one mutant.
pub fn hunt(
    planted: &Planted,
    row: &Row,
    recorded: Option<&Fate>,
    budget: u64,
) -> Result<Report, ToolError> {
    let started = Instant::now();
    let searched = match recorded {
        Some(Fate::Refused) => Vec::new(),
        Some(Fate::Killed { config, .. }) => {
            search::elsewhere(planted, &row.name, budget, Some(*config))?
        }
        _ => search::elsewhere(planted, &row.name, budget, None)?,
    };
    Ok(Report::new(row, recorded, searched, started.elapsed().as_secs_f64()))
}

/// Searches for several, so many at a time, and tells `done` about each as it is finished.
pub fn hunt_all(
    planted: &Planted,
    rows: &[(Row, Option<Fate>)],
    budget: u64,
    threads: usize,
    done: impl Fn(&Report) + Sync,
) -> Result<Vec<Report>, ToolError> {
    in_turn(rows, threads, |(row, recorded)| {
        let report = hunt(planted, row, recorded.as_ref(), budget)?;
        done(&report);
        Ok(report)
    })
}

/// What a hunt for so many came to: everything as recorded and explained, a finding, or no end.
#[must_use]
pub fn exit_code(wanted: usize, reports: &[Report]) -> ExitCode {
    let is_odd = |report: &Report| !report.as_recorded || report.fate.is_unexplained();
    if reports.iter().any(is_odd) {
        ExitCode::Finding
    } else if wanted == 0 || reports.len() != wanted {
        ExitCode::Inconclusive
    } else {
        ExitCode::Holds
    }
}

impl End {
    /// What finds the mutant out, if it is found out.
    fn killer(&self) -> Option<Killer> {
        match self {
            Self::Violated { property, steps } => {
                let property = PROPERTIES.iter().find(|one| one.name == property)?;
                Some(Killer::Property { name: property.name, steps: *steps })
            }
            Self::Lost { what } => Some(Killer::Lost { what: what.clone() }),
            Self::Panicked => Some(Killer::Panic),
            Self::Endless => Some(Killer::Endless),
            Self::Whole | Self::Limited => None,
        }
    }
}
