//! What can be wrong with a cluster file: always the file, the field, and what to do.

use std::path::{Path, PathBuf};
use thiserror::Error;

/// A cluster file that cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("{path}: {source}; give the right --dir, or write a new cluster with `pbft testnet`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It is not TOML, or has fields that it should not have, or lacks some.
    #[error(
        "{path}: line {line}: {problem}; correct the line, `pbft config check` explains the file"
    )]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A value makes no sense.
    #[error("{path}: {field}: {problem}; {remedy}")]
    Field {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl ConfigError {
    pub(super) fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
        let problem = error.message().replace('\n', " ");
        Self::Syntax { path: path.to_owned(), line, problem }
    }
}
