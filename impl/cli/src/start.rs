//! `pbft start`: one replica, until it is told to stop.

use super::logs::log_panics;
use super::settings::Settings;
use super::{CliError, Exit, runtime};
use clap::Args;
use pbft_ledger::Ledger;
use pbft_node::admin::Admin;
use pbft_node::control::Control;
use pbft_node::node::{Node, Setup};
use pbft_node::store::CACHE_BYTES_MIN;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// How long the end may take after the replica has ended.
const SHUTDOWN: Duration = Duration::from_millis(200);

/// `pbft start`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    pbft start --dir cluster/replica-0\n  \
    pbft start --dir cluster/replica-0 --admin 127.0.0.1:7100 --log-format json\n\n\
    The directory holds cluster.toml, replica.key (mode 0600) and the store that `pbft testnet` made. A replica \
    without its store does not start: it may have voted, and must not vote again having forgotten it. What is not \
    given here is taken from the environment, then from node.toml in the directory.")]
pub struct StartArguments {
    /// The replica's directory
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Listen here instead of on the address in cluster.toml
    #[arg(long, value_name = "HOST:PORT", env = "PBFT_LISTEN")]
    pub listen: Option<String>,
    /// Answer GET /live, /ready, /status and /metrics on this address
    #[arg(long, value_name = "IP:PORT", env = "PBFT_ADMIN")]
    pub admin: Option<String>,
    /// Let --admin be an address that other machines can reach
    #[arg(long)]
    pub admin_remote: bool,
    /// A name beside localhost under which --admin is asked; may be repeated
    #[arg(long = "admin-host", value_name = "NAME")]
    pub admin_hosts: Vec<String>,
    /// Append each step of the replica to this file, for `pbft-conform validate`
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Keep so many bytes of the store's file in memory [default: 33554432]
    #[arg(long, value_name = "BYTES", env = "PBFT_STORE_CACHE_BYTES", value_parser = cache_bytes)]
    pub store_cache_bytes: Option<usize>,
    /// Stop when standard input ends: whoever holds the other end of it is gone
    #[arg(long, hide = true)]
    pub until_stdin_ends: bool,
}

pub(super) fn run(arguments: &StartArguments, settings: Settings) -> Result<Exit, CliError> {
    let cache_bytes = arguments.store_cache_bytes.unwrap_or(settings.store_cache_bytes());
    let listen = arguments.listen.clone().or(settings.listen);
    let admin = arguments.admin.clone().or(settings.admin);
    let admin_remote = arguments.admin_remote || settings.admin_remote.unwrap_or(false);
    let admin_hosts = match arguments.admin_hosts.is_empty() {
        true => settings.admin_hosts.unwrap_or_default(),
        false => arguments.admin_hosts.clone(),
    };
    let trace = arguments.trace.clone().or(settings.trace);
    log_panics();
    let runtime = runtime()?;
    let result = runtime.block_on(async {
        // The store first: of two processes for one replica, the second is to say so.
        let setup = Setup { trace, ..Setup::load_with(&arguments.dir, cache_bytes)? };
        let admin = match admin {
            Some(address) => {
                Some(Admin::bind(&address, admin_remote).await?.with_hosts(admin_hosts))
            }
            None => None,
        };
        let mut node = Node::start(setup, Box::new(Ledger), listen.as_deref()).await?;
        tracing::info!(replica = %node.replica(), address = %node.address(), "listening");
        if let Some(admin) = admin {
            tracing::info!(address = %admin.address(), "admin endpoint");
            let serving = admin.serve(node.inbox(), node.metrics());
            node.attend("the admin endpoint", serving);
        }
        match Control::bind(&arguments.dir) {
            Ok(control) => node.attend("the control socket", control.serve(node.inbox())),
            Err(error) => tracing::warn!("`pbft suspect` will not reach this replica: {error}"),
        }
        stop_on_signal(&mut node)?;
        if arguments.until_stdin_ends {
            stop_on_end_of_input(&mut node);
        }
        node.run().await.map_err(CliError::from)
    });
    runtime.shutdown_timeout(SHUTDOWN);
    if result.is_ok() {
        tracing::info!("stopped");
    }
    result.map(|()| Exit::Done)
}

fn cache_bytes(text: &str) -> Result<usize, String> {
    let bytes = text.parse().map_err(|_| format!("{text} is no number of bytes"))?;
    match bytes {
        ..CACHE_BYTES_MIN => Err(format!("give at least {CACHE_BYTES_MIN}")),
        _ => Ok(bytes),
    }
}

fn stop_on_signal(node: &mut Node) -> Result<(), CliError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::Runtime)?;
    let inbox = node.inbox();
    node.attend("who waits for signals", async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        inbox.stop();
    });
    Ok(())
}

fn stop_on_end_of_input(node: &mut Node) {
    let (reader, ended) = oneshot::channel::<()>();
    // A thread of its own: reading standard input cannot be cancelled.
    std::thread::spawn(move || {
        let _reader = reader;
        let mut ignored = [0; 64];
        while matches!(std::io::stdin().read(&mut ignored), Ok(1..)) {}
    });
    let inbox = node.inbox();
    node.attend("who waits for the end of input", async move {
        // However the thread ends, whoever holds the other end cannot be heard any more.
        let _ = ended.await;
        inbox.stop();
    });
}
