//! Reading traces from files that may come from anywhere.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value as Json;
use thiserror::Error;

use super::{NotEnabled, Trace, itf};
use crate::mutant_record::active;
use crate::run::ExitCode;
use pbft_model::action::Action;
use pbft_model::{ConfigError, properties};

/// The longest file that is read, in bytes. Sixty steps of seven replicas need a tenth.
pub const BYTES_MAX: u64 = 4 << 20;

/// The most steps of a trace that is read. The state only grows, so paths that lead anywhere are shorter by far.
pub const STEPS_MAX: usize = 1000;

/// Why there is no trace.
#[derive(Debug, Error)]
pub enum TraceError {
    /// The file cannot be read.
    #[error("reading {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file is longer than any trace.
    #[error("longer than {BYTES_MAX} bytes, so it is no trace of this model")]
    TooLong,
    /// It has more steps than any trace.
    #[error("{0} steps, more than {STEPS_MAX}, so it is no trace of this model")]
    TooManySteps(usize),
    /// The file is not JSON.
    #[error("not JSON: {0}; a trace is a .trace.itf.json of a run directory")]
    NotJson(serde_json::Error),
    /// It is JSON of another shape.
    #[error("not a trace: {0}; a trace is a .trace.itf.json of a run directory")]
    Malformed(String),
    /// The file is of another version of the format.
    #[error(
        "trace-version in #meta is {}, this version reads {:?}: make the trace again with `pbft-model check`",
        found.as_deref().unwrap_or("absent"),
        itf::TRACE_VERSION
    )]
    Version {
        /// In the file, if it says.
        found: Option<String>,
    },
    /// Its configuration does not exist.
    #[error("its configuration: {0}")]
    Config(#[from] ConfigError),
    /// It is of other rules than those of this process.
    #[error("it is of {}, and the rules here are those of {}", named(.file), named(.here))]
    Mutant {
        /// The mutant that was on when it was made.
        file: Option<String>,
        /// The mutant that is on.
        here: Option<String>,
    },
    /// A step that the model does not allow there.
    #[error(
        "{0}: the trace is of another version of the model or was changed; make it again with `pbft-model check`"
    )]
    NotEnabled(#[from] NotEnabled),
    /// A state that is not what the model computes.
    #[error(
        "state {state} differs from the model in `{variable}`: the file has {file}, the model computes {model}; \
         the trace is of another version of the model or was changed; make it again with `pbft-model check`"
    )]
    Differs {
        /// Index of the first state that differs; 0 is the initial one.
        state: usize,
        /// The first variable of it that differs, by name.
        variable: String,
        /// Its value in the file.
        file: String,
        /// Its value in the model.
        model: String,
    },
    /// Its last state violates other properties than it claims.
    #[error("it claims to violate [{file}], its last state violates [{model}]")]
    Shows {
        /// What the file claims.
        file: String,
        /// What the model says.
        model: String,
    },
}

fn named(mutant: &Option<String>) -> String {
    mutant.as_ref().map_or("the protocol".to_owned(), |name| format!("the mutant `{name}`"))
}

impl TraceError {
    /// That a trace is of other rules than those of this process, if it is.
    pub(super) fn if_of_others(mutant: Option<&str>) -> Result<(), Self> {
        let here = active();
        match mutant == here {
            true => Ok(()),
            false => {
                let [file, here] = [mutant.map(itf::shortened), here.map(str::to_owned)];
                Err(Self::Mutant { file, here })
            }
        }
    }

    /// The exit status that says so: the data is refused, or the file is not there.
    #[must_use]
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::Io { .. } => ExitCode::Usage,
            Self::TooLong
            | Self::TooManySteps(_)
            | Self::NotJson(_)
            | Self::Malformed(_)
            | Self::Version { .. }
            | Self::Config(_)
            | Self::Mutant { .. }
            | Self::NotEnabled(_)
            | Self::Differs { .. }
            | Self::Shows { .. } => ExitCode::DataRefused,
        }
    }
}

/// A trace as its fields alone, without states.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    config: String,
    #[serde(default)]
    mutant: Option<String>,
    #[serde(default)]
    shows: Option<Vec<String>>,
    /// Why the trace was recorded, where it was not for a violation.
    #[serde(default)]
    #[serde(rename = "origin")]
    _origin: Option<String>,
    actions: Vec<Action>,
}

impl Trace {
    /// Reads a trace file; `-` is standard input. See [`Trace::parse`].
    pub fn read(path: &Path) -> Result<Self, TraceError> {
        Self::parse(&Self::bytes(path)?)
    }

    /// What is in a trace file, or on standard input for `-`, as far as it can be a trace.
    pub fn bytes(path: &Path) -> Result<Vec<u8>, TraceError> {
        let failed = |error| TraceError::Io { path: path.to_owned(), error };
        let mut bytes = Vec::new();
        let limit = BYTES_MAX + 1;
        if path == Path::new("-") {
            io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(failed)?;
        } else {
            let file = File::open(path).map_err(failed)?;
            file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
        }
        Ok(bytes)
    }

    /// The mutant that a file says it is of. Nothing else of it is looked at.
    #[must_use]
    pub fn mutant_of(bytes: &[u8]) -> Option<String> {
        if bytes.len() as u64 > BYTES_MAX {
            return None;
        }
        let json: Json = serde_json::from_slice(bytes).ok()?;
        let named =
            if itf::is_itf(&json) { json.pointer("/#meta/mutant") } else { json.get("mutant") };
        named?.as_str().map(str::to_owned)
    }

    /// A trace as ITF JSON ([`itf`]) or as JSON of its fields. Its steps must be enabled in the model, its states those that the
    /// model computes, and its last state must violate what it says.
    pub fn parse(bytes: &[u8]) -> Result<Self, TraceError> {
        if bytes.len() as u64 > BYTES_MAX {
            return Err(TraceError::TooLong);
        }
        let json: Json = serde_json::from_slice(bytes).map_err(TraceError::NotJson)?;
        if itf::is_itf(&json) {
            return itf::from_json(json);
        }
        let stored: Stored = serde_json::from_value(json)
            .map_err(|error| TraceError::Malformed(error.to_string()))?;
        let Stored { config, mutant, shows, actions, .. } = stored;
        if actions.len() > STEPS_MAX {
            return Err(TraceError::TooManySteps(actions.len()));
        }
        TraceError::if_of_others(mutant.as_deref())?;
        let mut trace = Self { config, mutant, shows: Vec::new(), actions };
        let model = trace.model()?;
        let states = trace.states(&model)?;
        let violated = states.last().map(|last| properties::violated(&model, last));
        trace.shows = violated.into_iter().flatten().map(str::to_owned).collect();
        match shows {
            Some(claimed) if claimed != trace.shows => {
                Err(TraceError::Shows { file: claimed.join(", "), model: trace.shows.join(", ") })
            }
            Some(_) | None => Ok(trace),
        }
    }
}
