//! `pbft probe`: asks a replica's admin endpoint, for supervisors that run commands.

use super::settings::{SETTINGS_FILE, Settings};
use super::{CliError, Exit, runtime};
use clap::{Args, ValueEnum};
use pbft_node::admin;
use pbft_output::out;
use std::path::PathBuf;
use std::time::Duration;

/// `pbft probe`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    pbft probe ready --dir cluster/replica-0        prints: ready\n  \
    pbft probe metrics --dir cluster/replica-0\n\n\
    Exits with 0 if the endpoint says yes, with 1 if it says no, and with 4 if nobody answers.")]
pub struct ProbeArguments {
    /// What to ask for
    pub what: Probe,
    /// The replica's directory; its node.toml says where the endpoint is
    #[arg(long, value_name = "DIR", required_unless_present = "address")]
    pub dir: Option<PathBuf>,
    /// The endpoint
    #[arg(long, value_name = "IP:PORT", conflicts_with = "dir")]
    pub address: Option<String>,
    /// How long to wait for an answer
    #[arg(long, default_value_t = 6000, value_name = "MS")]
    pub wait: u64,
}

/// What an admin endpoint can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Probe {
    /// Whether its protocol task answers
    Live,
    /// Whether it takes part in its view
    Ready,
    /// View, sequence numbers and digests
    Status,
    /// Everything that it counts
    Metrics,
}

impl Probe {
    fn path(self) -> &'static str {
        match self {
            Self::Live => "/live",
            Self::Ready => "/ready",
            Self::Status => "/status",
            Self::Metrics => "/metrics",
        }
    }
}

pub(super) fn run(arguments: &ProbeArguments) -> Result<Exit, CliError> {
    let address = address(arguments)?;
    let wait = Duration::from_millis(arguments.wait);
    let answered = runtime()?.block_on(async {
        tokio::time::timeout(wait, admin::get(&address, arguments.what.path())).await
    });
    let silence = |why: String| CliError::NoQuorum {
        problem: format!("{address}: {why}"),
        remedy: "is the replica running, with this admin address?".to_owned(),
    };
    let (code, text) = answered
        .map_err(|_| silence(format!("no answer within {wait:?}")))?
        .map_err(|error| silence(error.to_string()))?;
    out!("{text}");
    Ok(if code == 200 { Exit::Done } else { Exit::Finding })
}

fn address(arguments: &ProbeArguments) -> Result<String, CliError> {
    if let Some(address) = &arguments.address {
        return Ok(address.clone());
    }
    let dir = arguments.dir.clone().unwrap_or_default();
    Settings::load(&dir)?.admin.ok_or_else(|| {
        let problem = format!("{}: names no `admin` address", dir.join(SETTINGS_FILE).display());
        CliError::usage(problem, "add one, or give --address")
    })
}
