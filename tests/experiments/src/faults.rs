//! Fault plans: which replicas are faulty, how, and when.
//!
//! One fault is a sentence, `replica 2: crash at 1s, back at 3s`, or a table of a TOML file:
//!
//! ```toml
//! [[fault]]
//! replicas = [2]
//! how = "crash"
//! from = "1s"
//! until = "3s"
//! ```
//!
//! Without a beginning a fault is there from the start, without an end it stays.

use super::words::{WordError, span};
use core::time::Duration;
use pbft_sim::behaviour::Behaviour;
use pbft_sim::disk::Tail;
use pbft_sim::fault::{Fault, FaultKind};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How a replica is faulty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Its process ends, and starts again at the end of the fault, from its disk.
    Crash,
    /// Its process is stopped; what arrives waits.
    Pause,
    /// Nobody hears it, and it hears nobody.
    CutOff,
    /// Its frames come later.
    Slow,
    /// Its process ends and its disk is lost.
    LoseDisk,
    /// Its service computes something else.
    Diverge,
    /// It is Byzantine, with this strategy.
    Lies(Behaviour),
}

/// The names of [`How`] that are no strategies.
const NAMES: [(&str, How); 6] = [
    ("crash", How::Crash),
    ("pause", How::Pause),
    ("cut-off", How::CutOff),
    ("slow", How::Slow),
    ("lose-disk", How::LoseDisk),
    ("diverge", How::Diverge),
];

/// How late a slow replica's frames come, unless said.
const SLOW_BY: Duration = Duration::from_millis(200);

/// A fault as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// The replicas.
    pub replicas: Vec<u32>,
    /// How.
    pub how: How,
    /// From when on.
    pub from: Duration,
    /// Until when; to the end if not said.
    pub until: Option<Duration>,
    /// How much, for what has a measure.
    pub by: Option<Duration>,
}

/// A fault that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FaultError {
    /// It is no such sentence.
    #[error(
        "`{0}`: write it like `replica 2: crash at 1s, back at 3s`, or `replicas 3 4: equivocate`"
    )]
    Shape(String),
    /// There is no such kind of fault.
    #[error("there is no fault `{name}`; there are {all}")]
    Unknown {
        /// What was written.
        name: String,
        /// What there is.
        all: String,
    },
    /// A span of time that is none.
    #[error(transparent)]
    Word(#[from] WordError),
    /// It ends before it begins.
    #[error("`{0}`: it ends before it begins; give it a later end")]
    Backwards(String),
    /// The file is no plan.
    #[error("the fault plan: {0}")]
    File(String),
}

fn how(name: &str) -> Result<How, FaultError> {
    let simple = NAMES.iter().find(|(known, _)| *known == name).map(|(_, how)| *how);
    simple.or_else(|| Behaviour::named(name).map(How::Lies)).ok_or_else(|| {
        let strategies = Behaviour::ALL.iter().chain(Behaviour::ASKED).map(|one| one.name());
        let all: Vec<&str> = NAMES.iter().map(|(name, _)| *name).chain(strategies).collect();
        FaultError::Unknown { name: name.to_owned(), all: all.join(", ") }
    })
}

/// Reads a list of strategies.
pub fn strategies(text: &str) -> Result<Vec<Behaviour>, FaultError> {
    let each = text.split(',').map(|name| match how(name.trim())? {
        How::Lies(strategy) => Ok(strategy),
        _ => Err(FaultError::Unknown {
            name: name.trim().to_owned(),
            all: Behaviour::ALL.iter().map(|one| one.name()).collect::<Vec<_>>().join(", ")
                + ", collude",
        }),
    });
    each.collect()
}

impl std::str::FromStr for Planned {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let shape = || FaultError::Shape(text.to_owned());
        let (who, what) = text.split_once(':').ok_or_else(shape)?;
        let words = |text: &str| -> Vec<String> {
            let words = text.split(|c: char| c == ',' || c.is_whitespace());
            words.filter(|word| !word.is_empty() && *word != "and").map(str::to_owned).collect()
        };
        let who = words(who);
        let Some((first, ids)) = who.split_first() else { return Err(shape()) };
        if !["replica", "replicas"].contains(&&**first) || ids.is_empty() {
            return Err(shape());
        }
        let ids: Result<Vec<u32>, _> = ids.iter().map(|id| id.parse::<u32>()).collect();
        let what = words(what);
        let Some((name, rest)) = what.split_first() else { return Err(shape()) };
        let mut planned = Self {
            replicas: ids.map_err(|_| shape())?,
            how: how(name)?,
            from: Duration::ZERO,
            until: None,
            by: None,
        };
        let mut rest = rest.iter().map(String::as_str);
        while let Some(word) = rest.next() {
            let value = match word {
                "back" if rest.next() != Some("at") => return Err(shape()),
                "at" | "from" | "until" | "back" | "by" => rest.next().ok_or_else(shape)?,
                _ => return Err(shape()),
            };
            match word {
                "at" | "from" => planned.from = span(value)?,
                "by" => planned.by = Some(span(value)?),
                _ => planned.until = Some(span(value)?),
            }
        }
        planned.check(text)
    }
}

/// A fault plan's file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    fault: Vec<Table>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    replicas: Vec<u32>,
    how: String,
    from: Option<String>,
    until: Option<String>,
    by: Option<String>,
}

/// Reads a fault plan's file.
pub fn read(text: &str) -> Result<Vec<Planned>, FaultError> {
    let file: File = toml::from_str(text).map_err(|error| FaultError::File(error.to_string()))?;
    let optional = |text: &Option<String>| text.as_deref().map(span).transpose();
    let each = file.fault.iter().map(|table| {
        let planned = Planned {
            replicas: table.replicas.clone(),
            how: how(&table.how)?,
            from: optional(&table.from)?.unwrap_or_default(),
            until: optional(&table.until)?,
            by: optional(&table.by)?,
        };
        planned.check(&table.how)
    });
    each.collect()
}

/// What a fault plan comes to in a run.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// Faults of processes, disks and network.
    pub faults: Vec<Fault>,
    /// Replicas whose disk or service is not to be trusted from some moment on.
    pub broken: Vec<usize>,
    /// When a replica begins (true) or ceases to follow a strategy.
    pub switches: Vec<(Duration, usize, Behaviour, bool)>,
}

impl Planned {
    fn check(self, text: &str) -> Result<Self, FaultError> {
        match self.until.is_some_and(|until| until <= self.from) {
            true => Err(FaultError::Backwards(text.to_owned())),
            false => Ok(self),
        }
    }

    /// Adds what it comes to in a run that ends at `end`.
    pub fn add_to(&self, effects: &mut Effects, end: Duration) {
        for host in self.replicas.iter().map(|id| *id as usize) {
            let kind = match self.how {
                How::Crash => FaultKind::Crash { host, tail: Tail::Lost },
                How::Pause => FaultKind::Pause { host },
                How::CutOff => FaultKind::Partition { side: vec![host] },
                How::Slow => FaultKind::SlowLink { host, by: self.by.unwrap_or(SLOW_BY) },
                How::LoseDisk => FaultKind::Wipe { host },
                How::Diverge => FaultKind::Diverge { host },
                How::Lies(strategy) => {
                    effects.switches.push((self.from, host, strategy, true));
                    let until = self.until.map(|until| (until, host, strategy, false));
                    effects.switches.extend(until);
                    continue;
                }
            };
            if matches!(self.how, How::LoseDisk | How::Diverge) {
                effects.broken.push(host);
            }
            let until = self.until.unwrap_or(end);
            effects.faults.push(Fault { from: self.from, until, kind });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(text: &str) -> Result<Planned, FaultError> {
        text.parse()
    }

    #[test]
    fn sentences_and_tables_say_the_same() {
        let seconds = Duration::from_secs;
        let crash = Planned {
            replicas: vec![2],
            how: How::Crash,
            from: seconds(1),
            until: Some(seconds(3)),
            by: None,
        };
        assert_eq!(planned("replica 2: crash at 1s, back at 3s"), Ok(crash.clone()));
        let table = "[[fault]]\nreplicas = [2]\nhow = \"crash\"\nfrom = \"1s\"\nuntil = \"3s\"\n";
        assert_eq!(read(table), Ok(vec![crash]));
        let lies = planned("replicas 3 and 4: equivocate").expect("a sentence");
        assert_eq!((lies.replicas, lies.until), (vec![3, 4], None));
        assert_eq!(lies.how, How::Lies(Behaviour::Equivocate));
        let slow = planned("replica 1: slow by 90ms from 2s until 3s").expect("a sentence");
        assert_eq!(slow.by, Some(Duration::from_millis(90)));
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_reason() {
        for text in [
            "",
            "replica 2",
            "replica x: crash",
            "node 2: crash",
            "replica 2: crash 1s",
            "replica 2: crash at",
            "replica 2: crash back 3s",
            "replica: crash",
            "replica 2:",
        ] {
            assert_eq!(planned(text), Err(FaultError::Shape(text.to_owned())), "{text}");
        }
        let unknown = planned("replica 2: explode").expect_err("no such fault").to_string();
        assert!(unknown.contains("equivocate") && unknown.contains("crash"), "{unknown}");
        let backwards = planned("replica 2: crash at 3s, back at 1s");
        assert!(matches!(backwards, Err(FaultError::Backwards(_))));
        assert!(matches!(planned("replica 2: crash at soon"), Err(FaultError::Word(_))));
        assert!(matches!(read("[[fault]]\nreplica = 2\n"), Err(FaultError::File(_))));
        assert!(strategies("equivocate,crash").is_err(), "a crash is no strategy");
        assert_eq!(strategies("silent, random").map(|all| all.len()), Ok(2));
    }

    #[test]
    fn a_strategy_may_be_followed_for_a_while() {
        let mut effects = Effects::default();
        let end = Duration::from_secs(60);
        planned("replica 1: silent from 1s until 2s").expect("one").add_to(&mut effects, end);
        planned("replica 2: lose-disk at 1s").expect("one").add_to(&mut effects, end);
        assert_eq!(effects.switches.len(), 2);
        assert_eq!((effects.broken, effects.faults[0].until), (vec![2], end));
    }
}
