//! The hunt for mutants: does the search find out every planted bug, in the way that is on record?
//!
//! A mutant is on for a whole process: a planted build of this program, which does one search and says what it found. The
//! search is the very one that the claim rests on, less the reductions that the mutant's entry names.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use pbft_output::errln;
use pbft_plant::tool::{Planted, ToolError};
use pbft_plant::workspace::Kind;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::mutant_record::{Fate, Row, active, row, unsound};
use crate::run::{ExitCode, Silent};
use crate::shortest;
use crate::trace::compare::Followed;
use crate::trace::{Trace, TraceError, Written};
use pbft_model::reduction::Reductions;
use pbft_model::{Config, Pbft};

/// The crate and the program of which a planted build is made.
pub const PROGRAM: (&str, &str) = ("pbft-checker", "pbft-model");

/// What a search with a mutant on came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Found {
    /// Distinct states searched.
    pub states: u64,
    /// Whether there are no others.
    pub complete: bool,
    /// Wall time.
    pub seconds: f64,
    /// The shortest counterexample.
    pub counterexample: Option<Trace>,
    /// The same as files, since no process without the mutant could make them.
    pub written: Option<Written>,
    /// What must be seen and was not. It says something if the search is complete, and was for any property.
    pub unseen: Vec<String>,
}

impl Found {
    /// Searches for the shortest counterexample to a property, or to any, under the rules as they are in this process. In a
    /// search for any it also notes what is not seen. An error if the counterexample cannot be followed.
    pub fn here(config: Config, property: Option<&str>) -> Result<Self, TraceError> {
        let model = Pbft::new(config).with_reductions(Reductions::ALL.without(unsound()));
        let started = Instant::now();
        let (search, unseen) = match property {
            Some(_) => (shortest::violation(&model, property, &mut Silent), Vec::new()),
            None => shortest::violation_or_unseen(&model, &mut Silent),
        };
        let seconds = started.elapsed().as_secs_f64();
        let counterexample = search.found.as_ref().map(|path| Trace::new(&model, path));
        let written = counterexample.as_ref().map(Written::of).transpose()?;
        let (states, complete) = (search.unique_states, search.complete);
        Ok(Self { states, complete, seconds, counterexample, written, unseen })
    }

    fn shows(&self, property: &str) -> bool {
        let shown = self.counterexample.iter().flat_map(|trace| &trace.shows);
        shown.into_iter().any(|one| one == property)
    }

    /// The properties violated, or what must be seen and is not.
    fn finding(&self) -> Option<String> {
        let shown = self.counterexample.as_ref().map(|trace| trace.shows.join(", "));
        let unseen = (self.complete && !self.unseen.is_empty()).then(|| self.unseen.join(", "));
        shown.or(unseen.map(|names| format!("missing {names}")))
    }
}

/// What became of one mutant.
#[derive(Clone, Debug, Serialize)]
pub struct MutantReport {
    /// Its name.
    pub name: String,
    /// The rule that it breaks.
    pub rule: String,
    /// What is different in the rules.
    pub diff: String,
    /// Whether a property was violated, or something that must be seen was not.
    pub killed: bool,
    /// Whether it is on record as equivalent.
    pub equivalent: bool,
    /// The property or what is missing, as on record, or the reason why there is none.
    pub expected: String,
    /// The property found violated, or what is missing.
    pub killed_by: Option<String>,
    /// The configuration searched.
    pub config: String,
    /// Steps of the shortest counterexample.
    pub length: Option<usize>,
    /// Distinct states searched.
    pub states: u64,
    /// Wall time.
    pub seconds: f64,
    /// Whether all this is as recorded.
    pub as_recorded: bool,
    /// The shortest counterexample.
    pub counterexample: Option<Trace>,
    /// The same as files.
    #[serde(skip)]
    pub written: Option<Written>,
}

impl MutantReport {
    /// Holds what was found against the record.
    #[must_use]
    pub fn new(row: &Row, diff: String, found: Found) -> Self {
        let length = found.counterexample.as_ref().map(|trace| trace.actions.len());
        let (expected, killed_by, as_recorded) = match &row.fate {
            Fate::Killed { by, steps, .. } => {
                let shows = found.shows(by);
                let killed_by = shows.then(|| (*by).to_owned());
                ((*by).to_owned(), killed_by, shows && length == Some(*steps))
            }
            Fate::Missing { what, .. } => {
                let is_missing = found.complete && found.unseen.contains(what);
                let expected = format!("missing {what}");
                let killed_by = if is_missing { Some(expected.clone()) } else { found.finding() };
                (expected, killed_by, is_missing && length.is_none())
            }
            Fate::Equivalent { reason, .. } => {
                let finding = found.finding();
                let nothing = found.complete && finding.is_none();
                (reason.clone(), finding, nothing)
            }
        };
        Self {
            name: row.name.clone(),
            rule: row.rule.clone(),
            diff,
            killed: killed_by.is_some(),
            equivalent: !row.fate.is_found_out(),
            expected,
            killed_by,
            config: row.fate.config().to_string(),
            length,
            states: found.states,
            seconds: found.seconds,
            as_recorded,
            counterexample: found.counterexample,
            written: found.written,
        }
    }
}

/// Builds the program that has the mutants of the list. It takes minutes the first time.
pub fn planted() -> Result<Planted, ToolError> {
    planted_with(Kind::Mutants)
}

fn planted_with(kind: Kind) -> Result<Planted, ToolError> {
    // Who asks for one has it from the record, so that it exists.
    Planted::build(kind, PROGRAM.0, PROGRAM.1, &[""; 0])
}

/// The mutant that a trace is of, if the rules of this process are not its rules.
#[must_use]
pub fn of_another(trace: &[u8]) -> Option<String> {
    let known = |name: &String| {
        Kind::of_mutant(name) == Kind::Generated || row(name).is_ok_and(|row| row.is_some())
    };
    Trace::mutant_of(trace).filter(|_| active().is_none()).filter(known)
}

/// Why a process with a mutant on has no answer.
#[derive(Debug, Error)]
pub enum TellError {
    /// There is none.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// It refuses the trace.
    #[error("{said}")]
    Refused {
        /// Its exit status.
        code: Option<i32>,
        /// What it said.
        said: String,
    },
}

/// What this program prints with a mutant on for these arguments, in which `-` is a trace.
pub fn tell(mutant: &str, arguments: &[&str], trace: &[u8]) -> Result<String, TellError> {
    let planted = planted_with(Kind::of_mutant(mutant))?;
    let output = planted.tell(Some(mutant), arguments, trace)?;
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().trim_start_matches("error: ").trim_start_matches("- is refused: ");
    if !output.status.success() {
        return Err(TellError::Refused { code: output.status.code(), said: said.to_owned() });
    }
    if !said.is_empty() {
        errln!("{said}");
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Follows a mutant's trace in a process with the mutant on.
pub fn followed(mutant: &str, trace: &[u8]) -> Result<Followed, TellError> {
    let text = tell(mutant, &["follow", "-"], trace)?;
    serde_json::from_str(&text)
        .map_err(|error| TellError::Refused { code: None, said: error.to_string() })
}

/// Searches for one mutant at the configuration on record.
pub fn hunt(planted: &Planted, row: &Row) -> Result<MutantReport, ToolError> {
    let config = row.fate.config().to_string();
    let mut arguments = vec!["hunt", "--config", &config];
    arguments.extend(row.fate.by().into_iter().flat_map(|by| ["--property", by]));
    let found = planted.ask(Some(&row.name), arguments)?;
    Ok(MutantReport::new(row, planted.diff(&row.name)?, found))
}

/// Searches for several mutants, each in a process of its own, so many at a time, and tells `done` about each as it is finished.
pub fn hunt_all(
    planted: &Planted,
    rows: &[Row],
    threads: usize,
    done: impl Fn(&MutantReport) + Sync,
) -> Result<Vec<MutantReport>, ToolError> {
    in_turn(rows, threads, |row| {
        let report = hunt(planted, row)?;
        done(&report);
        Ok(report)
    })
}

/// Does the work for each item, so many at a time. The results are in the order of the items.
pub(crate) fn in_turn<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> Result<R, ToolError> + Sync,
) -> Result<Vec<R>, ToolError> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { return };
                    let result = work(item);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

/// What a hunt came to: everything as recorded, a finding, or nothing because nothing ran.
#[must_use]
pub fn exit_code(rows: &[Row], reports: &[MutantReport]) -> ExitCode {
    if rows.is_empty() || reports.len() != rows.len() {
        ExitCode::Inconclusive
    } else if reports.iter().all(|report| report.as_recorded) {
        ExitCode::Holds
    } else {
        ExitCode::Finding
    }
}
