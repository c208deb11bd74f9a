//! `pbft start`: one replica, until it is told to stop.

use super::{CliError, Exit, runtime};
use crate::inbox::Inbox;
use crate::ledger::Ledger;
use crate::node::{Node, Setup};
use clap::Args;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long the end may take after the replica has ended.
const SHUTDOWN: Duration = Duration::from_millis(200);

/// `pbft start`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  pbft start --dir cluster/replica-0\n\n\
    The directory holds cluster.toml, replica.key (mode 0600) and the store that `pbft testnet` made. A replica \
    without its store does not start: it may have voted, and must not vote again having forgotten it.")]
pub struct StartArguments {
    /// The replica's directory
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Listen here instead of on the address in cluster.toml
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Append each step of the replica to this file, for `pbft-conform validate`
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Stop when standard input ends: whoever holds the other end of it is gone
    #[arg(long, hide = true)]
    pub until_stdin_ends: bool,
}

pub(super) fn run(arguments: &StartArguments) -> Result<Exit, CliError> {
    let runtime = runtime()?;
    let result = runtime.block_on(async {
        let setup = Setup { trace: arguments.trace.clone(), ..Setup::load(&arguments.dir)? };
        let service = Box::new(Ledger);
        let node = Node::with_service(setup, service, arguments.listen.as_deref()).await?;
        tracing::info!(replica = %node.replica(), address = %node.address(), "listening");
        stop_on_signal(node.inbox())?;
        if arguments.until_stdin_ends {
            stop_on_end_of_input(node.inbox());
        }
        node.run().await.map_err(CliError::from)
    });
    runtime.shutdown_timeout(SHUTDOWN);
    if result.is_ok() {
        tracing::info!("stopped");
    }
    result.map(|()| Exit::Done)
}

fn stop_on_signal(inbox: Inbox) -> Result<(), CliError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::Runtime)?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        inbox.stop();
    });
    Ok(())
}

fn stop_on_end_of_input(inbox: Inbox) {
    // A thread of its own: reading standard input cannot be cancelled.
    std::thread::spawn(move || {
        let mut ignored = [0; 64];
        while matches!(std::io::stdin().read(&mut ignored), Ok(1..)) {}
        inbox.stop();
    });
}
