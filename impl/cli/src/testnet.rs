//! `pbft testnet`: a new cluster on this machine.

use super::keys::{CLIENTS_DIRECTORY, key_path};
use super::settings::{SETTINGS_FILE, Settings};
use super::{CliError, Exit};
use clap::{Args, ValueEnum};
use pbft_core::params::ClientAuthentication;
use pbft_core::types::{Digest, ReplicaId};
use pbft_core::{Membership, Params};
use pbft_node::config::{
    CLUSTER_FILE, ClientEntry, Cluster, ClusterFile, ClusterTable, ReplicaEntry,
};
use pbft_node::directory;
use pbft_node::frame::STATE_BYTES_MAX;
use pbft_node::hex;
use pbft_node::keys::SecretKey;
use pbft_node::node::REPLICA_KEY_FILE;
use pbft_node::service::ServiceId;
use pbft_node::store::{Identity, Store};
use pbft_output::errln;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// With one batch under way at a time, requests gather into the next one meanwhile. With all replicas on one machine a
/// batch costs processor time whatever is in it, so that few large ones are best: docs/performance.md.
pub(super) const PIPELINE: u64 = 1;

/// As long as clients of the same machine take to come again with their next request, at most.
pub(super) const BATCH_DELAY_US: u64 = 1000;

/// `pbft testnet`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    pbft testnet                                   four replicas, four clients, in ./cluster\n  \
    pbft testnet --replicas 7 --dir seven --base-port 7100\n\n\
    Writes DIR/cluster.toml, DIR/clients/NAME.key and DIR/replica-N/. Nothing is ever overwritten.")]
pub struct TestnetArguments {
    /// How many replicas; 3f+1 tolerate f faulty ones
    #[arg(long, default_value_t = 4)]
    pub replicas: u32,
    /// How many clients
    #[arg(long, default_value_t = 4)]
    pub clients: u32,
    /// Where to write; must not exist
    #[arg(long, default_value = "cluster", value_name = "DIR")]
    pub dir: PathBuf,
    /// Replica N listens on this port plus N
    #[arg(long, default_value_t = 7000, value_name = "PORT")]
    pub base_port: u16,
    /// The admin endpoint of replica N listens on 127.0.0.1, on this port plus N; 0 for none [default: 100 above --base-port]
    #[arg(long, value_name = "PORT")]
    pub admin_base_port: Option<u16>,
    /// The host that replicas listen on; `{}` in it stands for the replica's number
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// The cluster's name
    #[arg(long, default_value = "testnet")]
    pub name: String,
    /// The service that is replicated; `pbft` itself has the ledger only
    #[arg(long, value_name = "NAME/VERSION", default_value_t = ServiceId::LEDGER.to_string())]
    pub service: String,
    /// A checkpoint every so many batches [default: 64]
    #[arg(long, value_name = "K")]
    pub checkpoint_interval: Option<u64>,
    /// The size of the log [default: 128]
    #[arg(long, value_name = "L")]
    pub window: Option<u64>,
    /// How many batches the primary has under way at a time; fewer make larger batches
    #[arg(long, default_value_t = PIPELINE)]
    pub pipeline: u64,
    /// How long requests may wait for others to share a batch with; 0 for not at all
    #[arg(long, default_value_t = BATCH_DELAY_US, value_name = "MICROSECONDS")]
    pub batch_delay_us: u64,
    /// How clients and replicas authenticate requests and replies; docs/deviations.md, D24, says what MACs give up
    #[arg(long, value_enum, default_value_t = Authentication::Signatures)]
    pub client_authentication: Authentication,
    /// How long a request may wait before the primary is suspected [default: 2000]
    #[arg(long, value_name = "MS")]
    pub view_timeout_ms: Option<u64>,
}

/// How requests and replies are authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Authentication {
    /// Every request and every reply is signed
    Signatures,
    /// A request carries a code for each replica, a reply one for its client; at most seven replicas
    Macs,
}

impl Authentication {
    /// What the file says; nothing for what is the default.
    fn field(self) -> Option<ClientAuthentication> {
        (self == Self::Macs).then_some(ClientAuthentication::Macs)
    }
}

pub(super) fn run(arguments: &TestnetArguments) -> Result<Exit, CliError> {
    create(arguments)?;
    let dir = arguments.dir.display();
    errln!("{dir}: {} replicas, {} clients", arguments.replicas, arguments.clients);
    errln!("next: pbft up --dir {dir}");
    Ok(Exit::Done)
}

/// Makes the whole cluster beside its place, then moves it there: it is there completely or not at all.
pub(super) fn create(arguments: &TestnetArguments) -> Result<(), CliError> {
    let dir = &arguments.dir;
    if dir.symlink_metadata().is_ok() {
        let problem = format!("{} exists already", dir.display());
        return Err(CliError::usage(problem, "choose another --dir, or remove it first"));
    }
    if u64::from(arguments.base_port) + u64::from(arguments.replicas) > 1 << 16 {
        let problem = format!("--base-port {}: ports end at 65535", arguments.base_port);
        return Err(CliError::usage(problem, "choose a lower one"));
    }
    if admin_base_port(arguments).is_some_and(|port| port + arguments.replicas > 1 << 16) {
        let problem = "the ports of the admin endpoints would end above 65535";
        return Err(CliError::usage(problem, "choose a lower --admin-base-port, or 0 for none"));
    }
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(format!(".partial-{}", std::process::id()));
    let partial = dir.with_file_name(name);
    let written = write_all(arguments, &partial)
        .and_then(|()| std::fs::rename(&partial, dir).map_err(|e| cannot_write(dir, e)))
        .and_then(|()| directory::sync_parent(dir).map_err(|e| cannot_write(dir, e)));
    if written.is_err() {
        // Whatever is left of the attempt is nobody's data.
        let _ = std::fs::remove_dir_all(&partial);
    }
    written
}

pub(super) fn cannot_write(path: &Path, source: std::io::Error) -> CliError {
    CliError::Write { path: path.to_owned(), source, remedy: "choose a --dir that can be written" }
}

pub(super) fn make_directory(path: &Path) -> Result<(), CliError> {
    DirBuilder::new().mode(0o700).recursive(true).create(path).map_err(|e| cannot_write(path, e))
}

fn write_all(arguments: &TestnetArguments, dir: &Path) -> Result<(), CliError> {
    let generate = |count: u32| (0..count).map(|_| SecretKey::generate()).collect();
    let replicas: Vec<SecretKey> = Result::from_iter::<Vec<_>>(generate(arguments.replicas))?;
    let clients: Vec<SecretKey> = Result::from_iter::<Vec<_>>(generate(arguments.clients))?;
    let text = cluster_text(arguments, &replicas, &clients)?;
    // What the replicas will read is checked before anything is written.
    let cluster = Cluster::parse(&text, &arguments.dir.join(CLUSTER_FILE))?;
    make_directory(&dir.join(CLIENTS_DIRECTORY))?;
    let write = |path: PathBuf| std::fs::write(&path, &text).map_err(|e| cannot_write(&path, e));
    write(dir.join(CLUSTER_FILE))?;
    for (client, key) in cluster.clients().iter().zip(&clients) {
        key.create(&key_path(dir, &client.name))?;
    }
    for (id, key) in (0..).map(ReplicaId).zip(&replicas) {
        let directory = dir.join(format!("replica-{}", id.0));
        make_directory(&directory)?;
        write(directory.join(CLUSTER_FILE))?;
        let settings = directory.join(SETTINGS_FILE);
        std::fs::write(&settings, settings_text(arguments, id)?)
            .map_err(|e| cannot_write(&settings, e))?;
        key.create(&directory.join(REPLICA_KEY_FILE))?;
        drop(Store::create(&directory, Identity::new(cluster.id(), id))?);
    }
    for written in [&*dir.join(CLIENTS_DIRECTORY), dir] {
        directory::sync(written).map_err(|e| cannot_write(written, e))?;
    }
    Ok(())
}

/// The first admin port, if there are any.
fn admin_base_port(arguments: &TestnetArguments) -> Option<u32> {
    let default = u32::from(arguments.base_port) + 100;
    Some(arguments.admin_base_port.map_or(default, u32::from)).filter(|port| *port != 0)
}

fn settings_text(arguments: &TestnetArguments, id: ReplicaId) -> Result<String, CliError> {
    let admin = admin_base_port(arguments).map(|port| format!("127.0.0.1:{}", port + id.0));
    let settings = Settings { admin, ..Settings::default() };
    let fields = toml::to_string(&settings).map_err(unwritable)?;
    Ok(format!(
        "# What this replica's process is told; docs/configuration.md has every field.\n\n{fields}"
    ))
}

fn unwritable(error: toml::ser::Error) -> CliError {
    CliError::usage(format!("the configuration cannot be written: {error}"), "report this bug")
}

fn cluster_text(
    arguments: &TestnetArguments,
    replicas: &[SecretKey],
    clients: &[SecretKey],
) -> Result<String, CliError> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce)?;
    let cluster = ClusterTable {
        name: arguments.name.clone(),
        nonce: hex::encode(&nonce),
        service: (arguments.service != ServiceId::LEDGER.to_string())
            .then(|| arguments.service.clone()),
        checkpoint_interval: arguments.checkpoint_interval,
        window: arguments.window.or(arguments.checkpoint_interval.map(|k| k.saturating_mul(2))),
        pipeline: Some(arguments.pipeline),
        batch_delay_us: Some(arguments.batch_delay_us),
        lanes_max: lanes_for(replicas.len(), clients.len()),
        client_authentication: arguments.client_authentication.field(),
        view_timeout_ms: arguments.view_timeout_ms,
        ..ClusterTable::default()
    };
    let replica = (0u32..).zip(replicas).map(|(id, key)| ReplicaEntry {
        id,
        address: format!(
            "{}:{}",
            arguments.host.replace("{}", &id.to_string()),
            u32::from(arguments.base_port) + id
        ),
        public_key: key.public().to_hex(),
    });
    let client = (0u32..).zip(clients).map(|(id, key)| ClientEntry {
        id,
        name: format!("client-{id}"),
        public_key: key.public().to_hex(),
    });
    let file = ClusterFile { cluster, replica: replica.collect(), client: client.collect() };
    let tables = toml::to_string(&file).map_err(unwritable)?;
    Ok(format!(
        "# A cluster: its replicas and the clients that are let in. No secret is in here; every replica\n\
         # and every client needs the same file (only addresses may differ).\n\n{tables}"
    ))
}

/// The lanes of each of so many clients: the default, or as many as the reply table has room for.
fn lanes_for(replicas: usize, clients: usize) -> Option<u16> {
    // A wrong number of replicas is refused later, with its reason.
    let membership = Membership::new(replicas as u32).ok()?;
    let one = Params::new(ReplicaId(0), membership, Digest::default());
    let all = one.reply_table_bytes_max(clients);
    (all > STATE_BYTES_MAX).then(|| {
        let per_lane = Params { lanes_max: 1, ..one }.reply_table_bytes_max(clients);
        u16::try_from(STATE_BYTES_MAX / per_lane).unwrap_or(u16::MAX).max(1)
    })
}
