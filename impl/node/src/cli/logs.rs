//! Logs on standard error.

use super::CliError;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// Whether standard error may be coloured.
pub(super) fn colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::io::stderr().is_terminal()
}

/// Starts logging.
pub(super) fn init(filter: &str) -> Result<(), CliError> {
    let parsed = EnvFilter::try_new(filter).map_err(|e| {
        CliError::usage(format!("--log {filter}: {e}"), "write, for example, --log debug")
    })?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_ansi(colours())
        .with_target(false)
        .with_writer(std::io::stderr);
    // A second initialisation (in tests) changes nothing.
    let _ = logs.try_init();
    Ok(())
}
