//! The knobs of `pbft-sim run`.

use super::faults::{self, FaultError, Planned};
use super::setup::{Byzantine, Setup};
use super::words::{range, share, span};
use clap::Args;
use core::time::Duration;
use pbft_sim::keys::Scheme;
use pbft_sim::tuning::Link;
use std::path::{Path, PathBuf};

/// The longest fault plan that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The knobs of an experiment.
#[derive(Clone, Debug, Args)]
pub struct Knobs {
    /// Replicas, at least four
    #[arg(long, default_value_t = 4)]
    pub replicas: u32,
    /// Clients
    #[arg(long, default_value_t = 1)]
    pub clients: u32,
    /// Operations of each client
    #[arg(long, default_value_t = 10)]
    pub requests: u32,
    /// Operations that a client has under way at a time
    #[arg(long, default_value_t = 1)]
    pub lanes: u16,
    /// How long a client waits after a result before it asks again
    #[arg(long, default_value = "0", value_name = "TIME", value_parser = span)]
    pub think: Duration,
    /// Of a hundred operations so many are reads; the others are deposits and transfers
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub reads: u8,
    /// How long a replica waits for a request before it suspects the primary; clients ask all replicas after half of it
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = span)]
    pub timeout: Duration,
    /// Delay of every message
    #[arg(long, value_name = "TIME", value_parser = span, conflicts_with = "delay")]
    pub network_delay: Option<Duration>,
    /// Delay of every message in milliseconds, drawn evenly from a range
    #[arg(long, value_name = "LEAST..MOST", value_parser = range)]
    pub delay: Option<(Duration, Duration)>,
    /// How long a replica takes before each message of its own
    #[arg(long, default_value = "0", value_name = "TIME", value_parser = span)]
    pub replica_delay: Duration,
    /// The share of messages that are lost
    #[arg(long, default_value = "0", value_name = "SHARE", value_parser = share)]
    pub drop: u32,
    /// The share of messages that are held back until later ones have passed
    #[arg(long, default_value = "0", value_name = "SHARE", value_parser = share)]
    pub reorder: u32,
    /// The share of messages that arrive twice
    #[arg(long, default_value = "0", value_name = "SHARE", value_parser = share)]
    pub duplicate: u32,
    /// Which replicas are Byzantine; also 0, 1 or 2
    #[arg(long, value_enum, default_value_t)]
    pub byzantine: Byzantine,
    /// How many replicas are Byzantine [default: f, the most that is tolerated]
    #[arg(long, value_name = "COUNT")]
    pub faulty: Option<u32>,
    /// What Byzantine replicas do, strategies with commas between [default: a primary is silent, backups vote for
    /// digests of nothing]
    #[arg(long, value_name = "STRATEGIES")]
    pub strategy: Option<String>,
    /// A fault, like `replica 2: crash at 1s, back at 3s`; may be given several times
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<Planned>,
    /// A file of faults
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,
    /// The most requests in a batch
    #[arg(long, default_value_t = 1)]
    pub batch: usize,
    /// A checkpoint every so many batches
    #[arg(long, default_value_t = 64, value_name = "BATCHES")]
    pub checkpoint_interval: u64,
    /// Selects everything that is drawn
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The end of the run, whatever has happened by then
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub limit: Option<Duration>,
}

impl Knobs {
    /// The experiment that they describe.
    pub fn setup(&self, scheme: Scheme) -> Result<Setup, FaultError> {
        let mut faults = self.fault.clone();
        if let Some(path) = &self.faults {
            faults.extend(faults::read(&read(path)?)?);
        }
        let strategy = self.strategy.as_deref().map(faults::strategies).transpose()?;
        let fixed = self.network_delay.unwrap_or_default();
        Ok(Setup {
            name: "run".to_owned(),
            replicas: self.replicas,
            clients: self.clients,
            requests: self.requests,
            lanes: self.lanes,
            think: self.think,
            reads: self.reads,
            timeout: self.timeout,
            delay: self.delay.unwrap_or((fixed, fixed)),
            link: Link {
                drop: self.drop,
                duplicate: self.duplicate,
                reorder: self.reorder,
                replica_delay: self.replica_delay,
            },
            byzantine: self.byzantine,
            faulty: self.faulty,
            strategy: strategy.unwrap_or_default(),
            faults,
            batch: self.batch,
            interval: self.checkpoint_interval,
            seed: self.seed,
            limit: self.limit,
            scheme,
        })
    }
}

fn read(path: &Path) -> Result<String, FaultError> {
    let refused =
        |what: &dyn std::fmt::Display| FaultError::File(format!("{}: {what}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| refused(&error))?.len();
    if size > FILE_BYTES_MAX {
        return Err(refused(&format!("{size} bytes, at most {FILE_BYTES_MAX} are read")));
    }
    std::fs::read_to_string(path).map_err(|error| refused(&error))
}
