//! The hunt for every mutant that cargo-mutants makes of core and host, with conformance as the only test.
//!
//! All go into one build, and each is on in a process of its own. What is left to do after an interruption is known by the
//! run directory. Each survivor must have its reason in the file [`REASONS`].

pub mod command;

use super::{Found, PROGRAM};
use crate::job::in_parallel;
use pbft_checker::finished::Finished;
use pbft_checker::run::ExitCode;
use pbft_checker::shard::Shard;
use pbft_output::errln;
use pbft_plant::build::BuildError;
use pbft_plant::catalogue::{Catalogue, Entry};
use pbft_plant::tool::{self, Planted, ToolError};
use pbft_plant::workspace::Kind;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Why each survivor survives, from the root of the workspace: a line with what is changed, and below it one with the reason.
pub const REASONS: &str = "impl/survivors.txt";

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Only those whose names contain one of these; all if there is none.
    pub names: Vec<String>,
    /// Only a part of them.
    pub shard: Shard,
    /// The run directory of an interrupted hunt.
    pub resume: Option<PathBuf>,
    /// How long each may take before the graphs; a mutant that takes longer does not end.
    pub limit: Duration,
    /// How long each that survives so far may be looked for in the graphs.
    pub graphs: Duration,
    /// Selects schedules and walks.
    pub seed: u64,
    /// Processes at a time.
    pub threads: NonZeroUsize,
}

/// What came of a mutant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Something differs.
    Caught {
        /// See [`crate::divergence::Divergence::catcher`].
        by: String,
    },
    /// The process died: the code panics where it must not, or runs out of memory.
    Dies,
    /// It goes on for ever.
    Endless,
    /// Nothing differs.
    Survives,
    /// The compiler does not take it.
    Refused,
}

/// A mutant, and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Its name: file, line, column and what is done there.
    pub name: String,
    /// What is changed, without numbers that move.
    pub change: String,
    /// What came of it.
    pub fate: Fate,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// What came of all.
#[derive(Clone, Debug, Serialize)]
pub struct Mutants {
    /// How many there are of these names, in this part.
    pub asked: usize,
    /// Each that was tried.
    pub reports: Vec<Report>,
    /// The reason of each survivor that has one.
    pub reasons: BTreeMap<String, String>,
}

impl Mutants {
    fn count(&self, is: impl Fn(&Fate) -> bool) -> usize {
        self.reports.iter().filter(|report| is(&report.fate)).count()
    }

    fn unexplained(&self) -> impl Iterator<Item = &Report> {
        let survivors = self.reports.iter().filter(|report| report.fate == Fate::Survives);
        survivors.filter(|report| !self.reasons.contains_key(&report.change))
    }

    /// Holds if all were tried, and each that survives has its reason.
    pub fn exit_code(&self) -> ExitCode {
        match (self.unexplained().next(), self.reports.len() == self.asked && self.asked > 0) {
            (Some(_), _) => ExitCode::Finding,
            (None, false) => ExitCode::Inconclusive,
            (None, true) => ExitCode::Holds,
        }
    }
}

/// Why the hunt is not begun, or not finished.
#[derive(Debug, thiserror::Error)]
pub enum MutantsError {
    /// There is no build with them.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A run directory cannot be read or written.
    #[error("{0}")]
    Results(String),
    /// The reasons cannot be read.
    #[error("{REASONS}:{line}: {why}")]
    Reasons {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

/// Hunts them, and keeps what came of each as soon as it is known.
pub fn hunt_mutants(asked: &Asked, kept: Finished) -> Result<Mutants, MutantsError> {
    let reasons = read_reasons(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(REASONS))?;
    let chosen = chosen(asked, tool::catalogue(Kind::Listed)?);
    let known: Vec<Report> = match &asked.resume {
        Some(earlier) => Finished::read(earlier).map_err(MutantsError::Results)?,
        None => Vec::new(),
    };
    let of_chosen = |report: &Report| chosen.entry(&report.name).is_some();
    let known: Vec<Report> = known.into_iter().filter(of_chosen).collect();
    let sink = Sink { kept, reports: Vec::new(), failed: None, of: chosen.entries().len() };
    let sink = Mutex::new(sink);
    let tell = |report: Report, is_new: bool| {
        sink.lock().unwrap_or_else(PoisonError::into_inner).take(report, is_new);
    };
    known.iter().for_each(|report| tell(report.clone(), false));
    let done: BTreeSet<&str> = known.iter().map(|report| &*report.name).collect();
    let open = chosen.entries().iter().filter(|entry| !done.contains(&*entry.name)).cloned();
    let open: Vec<Entry> = open.collect();
    if !open.is_empty() {
        let refused = known.iter().filter(|report| report.fate == Fate::Refused);
        let refused = refused.map(|report| report.name.clone()).collect();
        let (planted, refused) = built(&chosen, refused)?;
        in_parallel(
            asked.threads,
            open.len(),
            |index| {
                let (entry, started) = (&open[index], Instant::now());
                let fate = match refused.contains(&entry.name) {
                    true => Fate::Refused,
                    false => fate(&planted, &entry.name, asked),
                };
                let (name, change) = (entry.name.clone(), entry.what.clone());
                let seconds = started.elapsed().as_secs_f64();
                tell(Report { name, change, fate, seconds }, true);
            },
            || {},
        );
    }
    let Sink { mut reports, failed, .. } =
        sink.into_inner().unwrap_or_else(PoisonError::into_inner);
    reports.sort_by(|one, other| one.name.cmp(&other.name));
    match failed {
        Some(error) => Err(MutantsError::Results(error)),
        None => Ok(Mutants { asked: chosen.entries().len(), reports, reasons }),
    }
}

/// Where reports go.
struct Sink {
    kept: Finished,
    reports: Vec<Report>,
    failed: Option<String>,
    of: usize,
}

impl Sink {
    fn take(&mut self, report: Report, is_new: bool) {
        self.failed = self.kept.add(&report).err().or(self.failed.take());
        if is_new {
            let (at, of) = (self.reports.len() + 1, self.of);
            errln!("[{at}/{of}] {}: {}, {:.1} s", report.name, words(&report.fate), report.seconds);
        }
        self.reports.push(report);
    }
}

fn chosen(asked: &Asked, all: Catalogue) -> Catalogue {
    let is_named = |entry: &Entry| {
        asked.names.is_empty() || asked.names.iter().any(|name| entry.name.contains(name))
    };
    let mut place = 0..;
    all.only(|entry| is_named(entry) && place.next().is_some_and(|place| asked.shard.has(place)))
}

/// A build with all of these that compile, and the names of those that do not. The compiler finds some mistakes only where there are
/// no others.
fn built(
    chosen: &Catalogue,
    mut refused: Vec<String>,
) -> Result<(Planted, Vec<String>), ToolError> {
    loop {
        let catalogue = chosen.clone().only(|entry| !refused.contains(&entry.name));
        match Planted::build_of(Kind::Listed, catalogue, PROGRAM.0, PROGRAM.1) {
            Ok(planted) => return Ok((planted, refused)),
            Err(ToolError::Build(BuildError::Refused(more))) => {
                errln!("{} do not compile", more.len());
                refused.extend(more.into_iter().map(|one| one.bug));
            }
            Err(error) => return Err(error),
        }
    }
}

/// First what is short, then the graphs.
fn fate(planted: &Planted, name: &str, asked: &Asked) -> Fate {
    let seed = asked.seed.to_string();
    let hunt = |parts, limit| {
        let arguments = ["hunt", "--seed", &seed, "--only", parts];
        planted.ask_within::<Found>(Some(name), arguments, limit)
    };
    match hunt("scenarios", asked.limit) {
        Err(_) => Fate::Dies,
        Ok(None) => Fate::Endless,
        Ok(Some(Found { caught_by: Some(by), .. })) => Fate::Caught { by },
        Ok(Some(_)) => match hunt("graphs", asked.graphs) {
            Err(_) => Fate::Dies,
            Ok(Some(Found { caught_by: Some(by), .. })) => Fate::Caught { by },
            Ok(_) => Fate::Survives,
        },
    }
}

fn words(fate: &Fate) -> &str {
    match fate {
        Fate::Caught { by } => by,
        Fate::Dies => "dies",
        Fate::Endless => "does not end",
        Fate::Survives => "SURVIVES",
        Fate::Refused => "does not compile",
    }
}

fn read_reasons(path: &Path) -> Result<BTreeMap<String, String>, MutantsError> {
    let wrong = |line, why: &str| MutantsError::Reasons { line, why: why.to_owned() };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(1, &error.to_string()))?;
    let lines = (1..).zip(text.lines());
    let mut lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let mut reasons = BTreeMap::new();
    while let Some((at, change)) = lines.next() {
        let reason = lines.next().and_then(|(_, line)| line.strip_prefix("reason: "));
        let reason = reason.ok_or_else(|| wrong(at + 1, "expected `reason: `"))?;
        if reasons.insert(change.to_owned(), reason.to_owned()).is_some() {
            return Err(wrong(at, "is there twice"));
        }
    }
    Ok(reasons)
}

/// The summary, and each survivor with its reason.
pub fn to_text(mutants: &Mutants) -> String {
    let mut text = String::new();
    for report in mutants.reports.iter().filter(|report| report.fate == Fate::Survives) {
        let reason = mutants.reasons.get(&report.change).map_or("NO REASON", String::as_str);
        text += &format!("{}\n  {}\n  {reason}\n", report.name, report.change);
    }
    let refused = mutants.count(|fate| *fate == Fate::Refused);
    let caught = mutants.count(|fate| matches!(fate, Fate::Caught { .. }));
    let (dies, endless) =
        (mutants.count(|fate| *fate == Fate::Dies), mutants.count(|fate| *fate == Fate::Endless));
    let survive = mutants.count(|fate| *fate == Fate::Survives);
    let (tried, asked) = (mutants.reports.len(), mutants.asked);
    let viable = tried - refused;
    let percent = 100.0 * (viable - survive) as f64 / viable.max(1) as f64;
    text + &format!(
        "{tried} of {asked} mutants tried: {refused} do not compile; of {viable} others {caught} are caught, {dies} die, \
         {endless} do not end, {survive} survive ({percent:.1} % noticed), {} without a reason\n",
        mutants.unexplained().count(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_survivor_without_a_reason_is_a_finding_and_one_not_tried_is_inconclusive() {
        let report = |change: &str, fate| Report {
            name: change.to_owned(),
            change: change.to_owned(),
            fate,
            seconds: 0.0,
        };
        let of = |asked, reports: Vec<Report>| {
            let reasons = BTreeMap::from([("known".to_owned(), "text".to_owned())]);
            Mutants { asked, reports, reasons }.exit_code()
        };
        let caught = || report("a", Fate::Caught { by: "core".to_owned() });
        assert_eq!(of(1, vec![caught()]), ExitCode::Holds);
        assert_eq!(of(2, vec![caught(), report("known", Fate::Survives)]), ExitCode::Holds);
        assert_eq!(of(2, vec![caught(), report("new", Fate::Survives)]), ExitCode::Finding);
        assert_eq!(of(2, vec![caught()]), ExitCode::Inconclusive);
        assert_eq!(of(0, Vec::new()), ExitCode::Inconclusive);
    }

    #[test]
    fn reasons_are_read_and_what_is_none_is_refused_with_its_line() {
        let path = std::env::temp_dir().join(format!("pbft-reasons-{}", std::process::id()));
        let read = |text: &str| {
            std::fs::write(&path, text).expect("written");
            read_reasons(&path).map_err(|error| error.to_string())
        };
        let known = read("# c\n\na: b, at `c`\nreason: because\n").expect("reasons");
        assert_eq!(known.get("a: b, at `c`").map(String::as_str), Some("because"));
        let twice = read("a\nreason: b\n\na\nreason: c\n").expect_err("twice");
        assert_eq!(twice, format!("{REASONS}:4: is there twice"));
        let none = read("a\nb\n").expect_err("no reason");
        assert_eq!(none, format!("{REASONS}:2: expected `reason: `"));
        std::fs::remove_file(&path).expect("removed");
    }
}
