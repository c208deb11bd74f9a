//! Finding a client's key beside the cluster file.

use super::{AsClient, CliError};
use pbft_node::client::{Client, ClientOptions, Timestamps};
use pbft_node::config::{CLUSTER_FILE, Cluster};
use pbft_node::keys::SecretKey;
use std::path::{Path, PathBuf};

/// The directory of client keys in a cluster's directory.
pub(super) const CLIENTS_DIRECTORY: &str = "clients";

pub(super) fn key_path(directory: &Path, name: &str) -> PathBuf {
    directory.join(CLIENTS_DIRECTORY).join(format!("{name}.key"))
}

fn clock_path(directory: &Path, name: &str) -> PathBuf {
    directory.join(CLIENTS_DIRECTORY).join(format!("{name}.clock"))
}

/// The names of the clients whose keys are here, in the cluster file's order.
pub(super) fn names(directory: &Path, cluster: &Cluster) -> Vec<String> {
    let here = |name: &&str| key_path(directory, name).exists();
    cluster.clients().iter().map(|c| c.name.as_str()).filter(here).map(str::to_owned).collect()
}

/// The cluster, and the name of the client to act as.
pub(super) fn choose(who: &AsClient) -> Result<(Cluster, String), CliError> {
    let cluster = Cluster::load(&who.dir.join(CLUSTER_FILE))?;
    let here = names(&who.dir, &cluster);
    let name = match &who.client {
        Some(name) if cluster.client_named(name).is_some() => name.clone(),
        Some(name) => {
            let problem =
                format!("--client {name}: {} has no such client", cluster.path().display());
            return Err(CliError::usage(problem, format!("choose one of: {}", here.join(", "))));
        }
        None => here.into_iter().next().ok_or_else(|| {
            let directory = who.dir.join(CLIENTS_DIRECTORY);
            let problem = format!("{}: no client's key is here", directory.display());
            CliError::usage(problem, "give the right --dir")
        })?,
    };
    Ok((cluster, name))
}

/// Connects as `name`. Call it in a runtime.
pub(super) fn connect(
    directory: &Path,
    cluster: &Cluster,
    name: &str,
    timestamps: Timestamps,
    options: ClientOptions,
) -> Result<Client, CliError> {
    let key = SecretKey::load(&key_path(directory, name))?;
    Ok(Client::connect(cluster, key, timestamps, options)?)
}

/// The client's timestamps, which only one process may use at a time. May wait for another process.
pub(super) fn timestamps(directory: &Path, name: &str) -> Result<Timestamps, CliError> {
    // A key that is refused must not leave the file of its timestamps behind.
    SecretKey::load(&key_path(directory, name))?;
    Ok(Timestamps::open(&clock_path(directory, name))?)
}
