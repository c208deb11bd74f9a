//! The hunt for mutants: does the search find out every planted bug, in the way that is on record?

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use serde::Serialize;

use crate::mutant_record::{Fate, Row};
use crate::reduction::Reductions;
use crate::run::{ExitCode, Silent};
use crate::shortest;
use crate::trace::Trace;
use crate::{Config, ConfigError, Pbft};

/// What became of one mutant.
#[derive(Clone, Debug, Serialize)]
pub struct MutantReport {
    /// Its name.
    pub name: String,
    /// The rule that it breaks.
    pub rule: &'static str,
    /// Whether a property was violated.
    pub killed: bool,
    /// Whether it is on record as equivalent.
    pub equivalent: bool,
    /// The property that is on record, or the reason why there is none.
    pub expected: &'static str,
    /// The property found violated.
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
}

/// Searches for one mutant at the configuration on record.
pub fn hunt(row: &Row) -> Result<MutantReport, ConfigError> {
    let (Fate::Killed { config, .. } | Fate::Equivalent { config, .. }) = row.fate;
    let config: Config = config.parse()?;
    let model = Pbft::new(config).with_mutant(Some(row.mutant)).with_reductions(Reductions::ALL);
    let started = Instant::now();
    let search = match row.fate {
        Fate::Killed { by, .. } => shortest::violation(&model, Some(by), &mut Silent),
        Fate::Equivalent { .. } => shortest::violation(&model, None, &mut Silent),
    };
    let seconds = started.elapsed().as_secs_f64();
    let counterexample = search.found.as_ref().map(|path| Trace::new(&model, path));
    let shows = |by: &str| {
        counterexample.as_ref().is_some_and(|trace| trace.shows.iter().any(|one| one == by))
    };
    let (equivalent, expected, killed_by, as_recorded) = match row.fate {
        Fate::Killed { by, steps, .. } => {
            let as_long = counterexample.as_ref().is_some_and(|trace| trace.actions.len() == steps);
            (false, by, shows(by).then(|| by.to_owned()), shows(by) && as_long)
        }
        Fate::Equivalent { reason, .. } => {
            let found = counterexample.as_ref().map(|trace| trace.shows.join(", "));
            (true, reason, found, search.complete)
        }
    };
    Ok(MutantReport {
        name: row.mutant.to_string(),
        rule: row.rule,
        killed: killed_by.is_some(),
        equivalent,
        expected,
        killed_by,
        config: config.to_string(),
        length: counterexample.as_ref().map(|trace| trace.actions.len()),
        states: search.unique_states,
        seconds,
        as_recorded,
        counterexample,
    })
}

/// Searches for several mutants on `threads` threads, and tells `done` about each as it is finished.
pub fn hunt_all(
    rows: &[Row],
    threads: usize,
    done: impl Fn(&MutantReport) + Sync,
) -> Result<Vec<MutantReport>, ConfigError> {
    let next = AtomicUsize::new(0);
    let reports = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let report = hunt(row);
                    if let Ok(report) = &report {
                        done(report);
                    }
                    if let Ok(mut reports) = reports.lock() {
                        reports.push(report);
                    }
                }
            });
        }
    });
    let reports = reports.into_inner().unwrap_or_default();
    let mut reports = reports.into_iter().collect::<Result<Vec<_>, _>>()?;
    let position = |name: &str| rows.iter().position(|row| row.mutant.to_string() == name);
    reports.sort_by_key(|report| position(&report.name));
    Ok(reports)
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
