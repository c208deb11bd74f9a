//! What recorded runs have exercised, in the words of the replay.

use crate::refinement::kind::ActionKind;
use crate::subject::tally::{Kind, Phase};
use crate::validate::{Options, Recording, Validation, Validity, merge::ValidateError, validate};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The counts of recorded runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Steps of replicas in all of them.
    pub steps: u64,
    /// Steps of the model by kind.
    pub kinds: BTreeMap<Kind, u64>,
}

/// Why recorded runs cannot be counted.
#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    /// A directory cannot be read.
    #[error("{}: {error}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A directory holds no trace file.
    #[error("{}: no file *.jsonl in it; record a run with `cargo cluster --trace DIR`", path.display())]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// A file is no recording.
    #[error(transparent)]
    Refused(#[from] crate::validate::Refused),
    /// The files are not of one run.
    #[error("{0}")]
    Usage(String),
    /// The model does not allow the run, so that nothing in it counts.
    #[error("{0}")]
    Divergence(Box<Validation>),
}

impl Recorded {
    /// Validates runs and counts what they have: each directory holds one, the other files are one together.
    pub fn read(paths: &[PathBuf]) -> Result<Self, RecordedError> {
        let (directories, files): (Vec<_>, Vec<_>) = paths.iter().partition(|path| path.is_dir());
        let mut runs = Vec::new();
        for directory in directories {
            runs.push(files_of(directory)?);
        }
        if !files.is_empty() {
            runs.push(files.into_iter().cloned().collect());
        }
        let mut recorded = Self::default();
        for run in runs {
            recorded.add(&run)?;
        }
        Ok(recorded)
    }

    fn add(&mut self, files: &[PathBuf]) -> Result<(), RecordedError> {
        let recordings = files.iter().map(|file| Recording::open(file));
        let recordings = recordings.collect::<Result<Vec<_>, _>>()?;
        // What is cut off was exercised up to there.
        let options = Options { truncated_ok: true, ..Options::default() };
        let validation = validate(recordings, &options).map_err(|error| match error {
            ValidateError::Usage(message) => RecordedError::Usage(message),
            ValidateError::Theorem(error) => RecordedError::Usage(error.to_string()),
            ValidateError::Refused(refused) => RecordedError::Refused(refused),
        })?;
        if validation.verdict == Validity::Divergence {
            return Err(RecordedError::Divergence(Box::new(validation)));
        }
        self.steps += validation.steps;
        for (kind, count) in &validation.coverage.kinds {
            *self.kinds.entry(kind.to_kind()).or_default() += count;
        }
        Ok(())
    }

    /// How often an action was taken in a phase.
    pub fn of(&self, action: ActionKind, phase: Phase) -> u64 {
        let is_it = |kind: &&Kind| kind.action == action && kind.phase == phase;
        self.kinds.iter().filter(|(kind, _)| is_it(kind)).map(|(_, count)| count).sum()
    }
}

fn files_of(directory: &Path) -> Result<Vec<PathBuf>, RecordedError> {
    let path = || directory.to_path_buf();
    let failed = |error| RecordedError::Directory { path: path(), error };
    let entries = std::fs::read_dir(directory).map_err(failed)?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(file);
        }
    }
    files.sort();
    match files.is_empty() {
        true => Err(RecordedError::Empty { path: path() }),
        false => Ok(files),
    }
}
