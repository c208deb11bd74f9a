//! Logs on standard error.

use super::CliError;
use super::settings::LogFormat;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// Whether standard error may be coloured.
pub(super) fn colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::io::stderr().is_terminal()
}

/// Starts logging.
pub(super) fn init(filter: &str, format: LogFormat) -> Result<(), CliError> {
    let parsed = EnvFilter::try_new(filter).map_err(|e| {
        CliError::usage(format!("--log {filter}: {e}"), "write, for example, --log debug")
    })?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_ansi(colours())
        .with_target(false)
        .with_writer(std::io::stderr);
    // A second initialisation (in tests) changes nothing.
    let _ = match format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
    Ok(())
}
