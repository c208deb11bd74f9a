//! Which bug is on, for the programs of a planted build and those that run them.

use crate::workspace::Kind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The environment variable with the name of the bug that is on.
pub const BUG: &str = "PBFT_PLANT";

/// The environment variable that says, while a copy is built, which kind of bugs it has.
pub(crate) const BUILD: &str = "PBFT_PLANTED_BUILD";

/// The environment variable that tells a program of a planted build where the sources are that its copy was made of.
const SOURCES: &str = "PBFT_PLANT_SOURCES";

/// The directory of the workspace that this program was built from; in a planted build that is the copy.
pub const BUILT_FROM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The directory of the workspace without bugs, whose lines people read; none if a planted build was not told.
pub fn sources() -> Option<PathBuf> {
    match planted_build() {
        true => std::env::var_os(SOURCES).map(PathBuf::from),
        false => Some(PathBuf::from(BUILT_FROM)),
    }
}

/// Why the bug that is asked for cannot be on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwitchError {
    /// An ordinary build has no bugs.
    #[error("{BUG}={0} is set, but no bug is in this build: unset it, or run a planted build")]
    OrdinaryBuild(String),
    /// The name cannot be one.
    #[error("{BUG} is set, but is not UTF-8")]
    NotText,
}

/// Whether this program was built from a copy with bugs.
pub const fn planted_build() -> bool {
    option_env!("PBFT_PLANTED_BUILD").is_some()
}

/// The bug that is on. A program whose build can have none must not seem to have one.
pub fn active_bug() -> Result<Option<String>, SwitchError> {
    bug_in(planted_build(), std::env::var_os(BUG))
}

/// The bug that is on, if this build has bugs of that kind.
pub fn active_of(kind: Kind) -> Result<Option<String>, SwitchError> {
    let has_them = option_env!("PBFT_PLANTED_BUILD") == Some(kind.name());
    Ok(active_bug()?.filter(|_| has_them))
}

fn bug_in(
    planted_build: bool,
    value: Option<std::ffi::OsString>,
) -> Result<Option<String>, SwitchError> {
    let Some(value) = value else { return Ok(None) };
    match value.into_string() {
        Err(_) => Err(SwitchError::NotText),
        Ok(name) if !planted_build => Err(SwitchError::OrdinaryBuild(name)),
        Ok(name) => Ok(Some(name)),
    }
}

/// How a command says that the bug that is on here is to be on: nothing if none is.
pub fn option() -> String {
    let on = active_bug().ok().flatten();
    on.map_or_else(String::new, |bug| format!(" --planted {bug}"))
}

/// A command that runs a program of a planted build with one bug on, or with none.
pub fn command(program: &Path, bug: Option<&str>) -> Command {
    let mut command = Command::new(program);
    if let Some(sources) = sources() {
        command.env(SOURCES, sources);
    }
    match bug {
        Some(bug) => command.env(BUG, bug),
        None => command.env_remove(BUG),
    };
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_planted_build_has_a_bug_on() {
        assert_eq!(bug_in(true, Some("skip".into())), Ok(Some("skip".to_owned())));
        assert_eq!(bug_in(true, None), Ok(None));
        assert_eq!(bug_in(false, None), Ok(None));
        let refused = SwitchError::OrdinaryBuild("skip".to_owned());
        assert_eq!(bug_in(false, Some("skip".into())), Err(refused));
    }
}
