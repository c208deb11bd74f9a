//! `pbft init`: the directory of one replica of a cluster that is spread over machines.

use super::testnet::{cannot_write, make_directory};
use super::{CliError, Exit};
use clap::Args;
use pbft_node::config::{CLUSTER_FILE, Cluster};
use pbft_node::directory;
use pbft_node::keys::SecretKey;
use pbft_node::node::{REPLICA_KEY_FILE, StartError};
use pbft_node::store::{Identity, Store};
use pbft_output::errln;
use std::path::PathBuf;

/// `pbft init`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  \
    pbft init --cluster cluster.toml --key replica.key --dir replica-0 --never-ran\n\n\
    Makes DIR with a copy of both files and an empty store, once in a replica's life. A replica that has run before \
    and lost its disk must not begin with an empty store: it would contradict votes that it has forgotten. Give it its \
    disk back, or see `pbft recover --help`.")]
pub struct InitArguments {
    /// The cluster file, the same for all replicas
    #[arg(long, value_name = "FILE")]
    pub cluster: PathBuf,
    /// The replica's secret key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The replica's directory; must not exist
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Says that this replica has never run: without its votes it must not run again
    #[arg(long)]
    pub never_ran: bool,
}

pub(super) fn run(arguments: &InitArguments) -> Result<Exit, CliError> {
    let InitArguments { cluster: file, key: key_file, dir, never_ran } = arguments;
    if !never_ran {
        let problem = "an empty store is only for a replica that has never run";
        return Err(CliError::usage(
            problem,
            "say so with --never-ran, or see `pbft recover --help`",
        ));
    }
    if dir.symlink_metadata().is_ok() {
        let problem = format!("{} exists already", dir.display());
        return Err(CliError::usage(problem, "choose another --dir; nothing is ever overwritten"));
    }
    let cluster = Cluster::load(file)?;
    let key = SecretKey::load(key_file)?;
    let Some(replica) = cluster.replica_with(key.public()) else {
        return Err(CliError::Start(StartError::NotAReplica {
            key: key_file.clone(),
            public: key.public().to_hex(),
            cluster: file.clone(),
        }));
    };
    let made = make_directory(dir).and_then(|()| {
        let target = dir.join(CLUSTER_FILE);
        std::fs::copy(file, &target).map_err(|e| cannot_write(&target, e))?;
        key.create(&dir.join(REPLICA_KEY_FILE))?;
        drop(Store::create(dir, Identity::new(cluster.id(), replica))?);
        directory::sync_parent(dir).map_err(|e| cannot_write(dir, e))
    });
    if made.is_err() {
        // It was not there before, so what is in it is what has just failed.
        let _ = std::fs::remove_dir_all(dir);
    }
    made?;
    errln!("{}: replica {} of {}", dir.display(), replica.0, cluster.name());
    errln!("next: pbft start --dir {}", dir.display());
    Ok(Exit::Done)
}
