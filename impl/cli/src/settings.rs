//! What one replica's process is told, as opposed to what all of the cluster share: `node.toml` in the replica's
//! directory. Every field may be left out; options on the command line and the environment come before it.

use super::CliError;
use pbft_node::store::{CACHE_BYTES, CACHE_BYTES_MIN};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The name of the file.
pub const SETTINGS_FILE: &str = "node.toml";

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// `node.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the replica listens, `host:port`, if not on its address in the cluster file.
    pub listen: Option<String>,
    /// Where the admin endpoint listens, `host:port`; there is none without it.
    pub admin: Option<String>,
    /// Whether `admin` may be another address than the machine's own (loopback).
    pub admin_remote: Option<bool>,
    /// Names beside `localhost` under which the admin endpoint is asked.
    pub admin_hosts: Option<Vec<String>>,
    /// What to log: a level or a filter.
    pub log: Option<String>,
    /// How to log it: `text` or `json`.
    pub log_format: Option<LogFormat>,
    /// The file in which the replica's steps are recorded.
    pub trace: Option<PathBuf>,
    /// How much of the store's file is kept in memory.
    pub store_cache_bytes: Option<usize>,
}

impl Settings {
    /// The settings in a replica's directory: the defaults if there is no file.
    pub fn load(directory: &Path) -> Result<Self, CliError> {
        let path = directory.join(SETTINGS_FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => {
                let problem = format!("{}: {e}", path.display());
                return Err(CliError::usage(problem, "make it readable, or remove it"));
            }
        };
        let settings: Self = toml::from_str(&text).map_err(|e| {
            let line = e.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
            let problem = format!("{}: line {line}: {}", path.display(), e.message());
            CliError::usage(problem, "correct the line; docs/configuration.md has every field")
        })?;
        match settings.store_cache_bytes() {
            ..CACHE_BYTES_MIN => {
                let problem = format!("{}: store_cache_bytes is too small", path.display());
                let advice = format!("give at least {CACHE_BYTES_MIN}, or leave it out");
                Err(CliError::usage(problem, advice))
            }
            _ => Ok(settings),
        }
    }

    /// How much of the store's file is kept in memory: what is said, or the default.
    pub fn store_cache_bytes(&self) -> usize {
        self.store_cache_bytes.unwrap_or(CACHE_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_may_be_missing_and_must_be_known() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join(SETTINGS_FILE);
        assert_eq!(Settings::load(directory.path()).expect("defaults"), Settings::default());
        std::fs::write(&path, "admin = \"127.0.0.1:7100\"\nlog_format = \"json\"\n")
            .expect("written");
        let settings = Settings::load(directory.path()).expect("good");
        assert_eq!(settings.admin.as_deref(), Some("127.0.0.1:7100"));
        assert_eq!(settings.log_format, Some(LogFormat::Json));
        for (text, word) in [("\nadmn = 1", "line 2"), ("log_format = \"xml\"", "xml")] {
            std::fs::write(&path, text).expect("written");
            let error = Settings::load(directory.path()).expect_err("refused").to_string();
            assert!(error.contains(word) && error.contains("docs/configuration.md"), "{error}");
        }
    }

    /// Outside fault F19: How much memory a store takes cannot be said.
    #[test]
    fn a_cache_that_is_too_small_is_refused() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let loaded = |bytes: usize| {
            let path = directory.path().join(SETTINGS_FILE);
            std::fs::write(&path, format!("store_cache_bytes = {bytes}\n")).expect("written");
            Settings::load(directory.path()).map(|settings| settings.store_cache_bytes())
        };
        for bytes in [1 << 20, 256 << 20] {
            assert_eq!(loaded(bytes).expect("good"), bytes);
        }
        let error = loaded((1 << 20) - 1).expect_err("refused").to_string();
        assert!(error.contains("store_cache_bytes") && error.contains("1048576"), "{error}");
    }
}
