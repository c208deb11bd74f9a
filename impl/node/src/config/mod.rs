//! The cluster file (`cluster.toml`): who the replicas and clients are, and the parameters that all of them share.
//! It holds no secret; every replica and every client has a copy.

mod error;
pub mod feasible;
mod file;

pub use error::ConfigError;
pub use file::{ClientEntry, ClusterFile, ClusterTable, ReplicaEntry};

use crate::codec;
use crate::frame::STATE_BYTES_MAX;
use crate::hex;
use crate::keyring::{KeyRing, KeySigner};
use crate::keys::{PublicKey, SecretKey};
use crate::mac::{self, MacKeys};
use crate::service::ServiceId;
use crate::transport::PEER_IDLE;
use pbft_core::canonical::{HashDomain, hash};
use pbft_core::params::{ClientAuthentication, OnPanic};
use pbft_core::types::{ClientId, Digest, Principal, ReplicaId};
use pbft_core::{Membership, Params};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The name of the cluster file in every directory that `pbft testnet` writes.
pub const CLUSTER_FILE: &str = "cluster.toml";

/// The most clients on the allow-list: bounds the reply table.
pub const CLIENTS_MAX: usize = 1024;

/// The longest cluster or client name.
const NAME_BYTES_MAX: usize = 64;

/// A replica, as the cluster file describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaInfo {
    /// Where it listens, `host:port`.
    pub address: String,
    /// Its key.
    pub key: PublicKey,
}

/// A client on the allow-list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// Its id.
    pub id: ClientId,
    /// Its name, for people.
    pub name: String,
    /// Its key.
    pub key: PublicKey,
}

/// A cluster file that passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    path: PathBuf,
    name: String,
    replicas: Vec<ReplicaInfo>,
    clients: Vec<ClientInfo>,
    service: ServiceId,
    /// The parameters, as replica 0 sees them.
    params: Params,
}

impl Cluster {
    /// Reads and checks a cluster file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Checks the text of a cluster file; `path` is for messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let file: ClusterFile =
            toml::from_str(text).map_err(|e| ConfigError::syntax(path, text, &e))?;
        Checker { path }.check(file)
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The cluster id: a digest of everything that must be the same everywhere. Addresses may change, so they are
    /// not in it.
    pub fn id(&self) -> Digest {
        self.params.cluster
    }

    /// The replicas, in order.
    pub fn replicas(&self) -> &[ReplicaInfo] {
        &self.replicas
    }

    /// The clients.
    pub fn clients(&self) -> &[ClientInfo] {
        &self.clients
    }

    /// The service that is replicated.
    pub fn service(&self) -> &ServiceId {
        &self.service
    }

    /// The client with this name.
    pub fn client_named(&self, name: &str) -> Option<&ClientInfo> {
        self.clients.iter().find(|client| client.name == name)
    }

    /// The replica whose key this is.
    pub fn replica_with(&self, key: PublicKey) -> Option<ReplicaId> {
        let position = self.replicas.iter().position(|replica| replica.key == key)?;
        Some(ReplicaId(position as u32))
    }

    /// The client whose key this is.
    pub fn client_with(&self, key: PublicKey) -> Option<ClientId> {
        self.clients.iter().find(|client| client.key == key).map(|client| client.id)
    }

    /// The parameters of one replica.
    pub fn params(&self, replica: ReplicaId) -> Params {
        Params { replica, ..self.params.clone() }
    }

    /// Everybody's public keys.
    pub fn key_ring(&self) -> KeyRing {
        let clients = self.clients.iter().map(|client| (client.id, client.key));
        KeyRing::new(self.replicas.iter().map(|replica| replica.key), clients)
    }

    /// How `own`, whose secret key this is, signs, and what it believes: with MACs where the configuration has them.
    pub fn hand_and_ring(&self, own: Principal, key: SecretKey) -> (KeySigner, KeyRing) {
        let ring = self.key_ring();
        let macs = match self.params.client_authentication {
            ClientAuthentication::Signatures => None,
            ClientAuthentication::Macs => Some(Arc::new(MacKeys::new(own, &key, self.id(), &ring))),
        };
        (KeySigner::new(key).with_macs(macs.clone()), ring.with_macs(macs))
    }
}

/// Checks what the syntax cannot.
struct Checker<'a> {
    path: &'a Path,
}

impl Checker<'_> {
    fn bad(
        &self,
        field: impl Into<String>,
        problem: impl Into<String>,
        remedy: &'static str,
    ) -> ConfigError {
        let (path, field, problem) = (self.path.to_owned(), field.into(), problem.into());
        ConfigError::Field { path, field, problem, remedy }
    }

    fn check(&self, file: ClusterFile) -> Result<Cluster, ConfigError> {
        let table = &file.cluster;
        self.check_name("cluster.name", &table.name)?;
        let Some(nonce) = hex::decode::<16>(&table.nonce) else {
            let problem = "is not 32 lower-case hexadecimal digits";
            return Err(self.bad(
                "cluster.nonce",
                problem,
                "write random ones, or use `pbft testnet`",
            ));
        };
        let replicas = self.check_replicas(&file.replica)?;
        let clients = self.check_clients(&file.client)?;
        self.check_keys(&replicas, &clients)?;
        let service = self.check_service(table.service.as_deref())?;
        let params = self.check_params(table, replicas.len())?;
        let mut cluster = Cluster {
            path: self.path.to_owned(),
            name: table.name.clone(),
            replicas,
            clients,
            service,
            params,
        };
        cluster.params.cluster = cluster_id(&cluster, nonce);
        Ok(cluster)
    }

    fn check_name(&self, field: &str, name: &str) -> Result<(), ConfigError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        match (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed) {
            true => Ok(()),
            false => {
                let problem = format!("`{name}` is not a name");
                Err(self.bad(field, problem, "use 1 to 64 of the characters a-z A-Z 0-9 - _ ."))
            }
        }
    }

    fn check_service(&self, service: Option<&str>) -> Result<ServiceId, ConfigError> {
        let Some(text) = service else { return Ok(ServiceId::LEDGER) };
        let Some(service) = ServiceId::parse(text) else {
            let problem = format!("`{text}` is not a name and a version");
            let remedy = "write, for example, service = \"key-value/1\"";
            return Err(self.bad("cluster.service", problem, remedy));
        };
        self.check_name("cluster.service", service.name())?;
        Ok(service)
    }

    fn check_replicas(&self, entries: &[ReplicaEntry]) -> Result<Vec<ReplicaInfo>, ConfigError> {
        Membership::new(entries.len() as u32).map_err(|e| {
            self.bad(
                "replica",
                e.to_string(),
                "list each replica in a [[replica]] table of its own",
            )
        })?;
        let mut addresses = BTreeMap::new();
        let mut replicas = Vec::new();
        for (id, entry) in (0u32..).zip(entries) {
            let field = |name: &str| format!("replica[{id}].{name}");
            if entry.id != id {
                let problem = format!("is {}, expected {id}", entry.id);
                let remedy = "number the replicas 0, 1, 2, … in order, each once";
                return Err(self.bad(field("id"), problem, remedy));
            }
            if !is_address(&entry.address) {
                let problem = format!("`{}` is not an address", entry.address);
                return Err(self.bad(
                    field("address"),
                    problem,
                    "write host:port, for example 10.0.0.1:7000",
                ));
            }
            if let Some(other) = addresses.insert(&entry.address, id) {
                let problem = format!("`{}` is replica {other}'s address too", entry.address);
                return Err(self.bad(
                    field("address"),
                    problem,
                    "give each replica its own address",
                ));
            }
            let key = self.check_key(field("public_key"), &entry.public_key)?;
            replicas.push(ReplicaInfo { address: entry.address.clone(), key });
        }
        Ok(replicas)
    }

    fn check_clients(&self, entries: &[ClientEntry]) -> Result<Vec<ClientInfo>, ConfigError> {
        if entries.len() > CLIENTS_MAX {
            let problem = format!("{} clients, at most {CLIENTS_MAX} are possible", entries.len());
            return Err(self.bad("client", problem, "remove some [[client]] tables"));
        }
        let (mut ids, mut names) = (BTreeMap::new(), BTreeMap::new());
        let mut clients = Vec::new();
        for (position, entry) in entries.iter().enumerate() {
            let field = |name: &str| format!("client[{position}].{name}");
            self.check_name(&field("name"), &entry.name)?;
            if let Some(other) = ids.insert(entry.id, position) {
                let problem = format!("{} is the id of client[{other}] too", entry.id);
                return Err(self.bad(field("id"), problem, "give each client its own id"));
            }
            if let Some(other) = names.insert(&entry.name, position) {
                let problem = format!("`{}` is the name of client[{other}] too", entry.name);
                return Err(self.bad(field("name"), problem, "give each client its own name"));
            }
            let key = self.check_key(field("public_key"), &entry.public_key)?;
            clients.push(ClientInfo { id: ClientId(entry.id), name: entry.name.clone(), key });
        }
        Ok(clients)
    }

    fn check_key(&self, field: String, text: &str) -> Result<PublicKey, ConfigError> {
        PublicKey::from_hex(text).map_err(|e| {
            self.bad(
                field,
                e.to_string(),
                "copy the public key that `pbft testnet` wrote, or make a new one",
            )
        })
    }

    fn check_keys(
        &self,
        replicas: &[ReplicaInfo],
        clients: &[ClientInfo],
    ) -> Result<(), ConfigError> {
        let replica_keys =
            replicas.iter().enumerate().map(|(i, r)| (format!("replica[{i}].public_key"), r.key));
        let client_keys =
            clients.iter().enumerate().map(|(i, c)| (format!("client[{i}].public_key"), c.key));
        let mut owners: BTreeMap<[u8; 32], String> = BTreeMap::new();
        for (field, key) in replica_keys.chain(client_keys) {
            if let Some(other) = owners.insert(key.to_bytes(), field.clone()) {
                let problem = format!("is the same key as {other}");
                return Err(self.bad(field, problem, "give every replica and client its own key"));
            }
        }
        Ok(())
    }

    fn check_params(&self, table: &ClusterTable, n: usize) -> Result<Params, ConfigError> {
        let remedy = "correct the value, or remove the line to use the default";
        let bad = |e: String| self.bad("cluster", e, remedy);
        let membership = Membership::new(n as u32).map_err(|e| bad(e.to_string()))?;
        let default = Params::new(ReplicaId(0), membership, Digest::default());
        let millis =
            |value: Option<u64>, default: Duration| value.map_or(default, Duration::from_millis);
        let params = Params {
            checkpoint_interval: table.checkpoint_interval.unwrap_or(default.checkpoint_interval),
            window: table.window.unwrap_or(default.window),
            pipeline: table.pipeline.unwrap_or(default.pipeline),
            batch_requests_max: table.batch_requests_max.unwrap_or(default.batch_requests_max),
            batch_delay: table.batch_delay_us.map_or(default.batch_delay, Duration::from_micros),
            operation_bytes_max: table.operation_bytes_max.unwrap_or(default.operation_bytes_max),
            lanes_max: table.lanes_max.unwrap_or(default.lanes_max),
            result_bytes_max: table.result_bytes_max.unwrap_or(default.result_bytes_max),
            client_authentication: table.client_authentication.unwrap_or_default(),
            on_service_panic: table.on_service_panic.unwrap_or_default(),
            view_timeout: millis(table.view_timeout_ms, default.view_timeout),
            view_timeout_max: millis(table.view_timeout_max_ms, default.view_timeout_max),
            status_interval: millis(table.status_interval_ms, default.status_interval),
            slow_primary_percent: table
                .slow_primary_percent
                .unwrap_or(default.slow_primary_percent),
            help_bytes_max: table.help_bytes_max.unwrap_or(default.help_bytes_max),
            ..default
        };
        self.check_times(&params)?;
        params.validate().map_err(|e| bad(e.to_string()))?;
        feasible::check(&params).map_err(|e| self.bad("cluster", e.to_string(), e.remedy()))?;
        if params.client_authentication == ClientAuthentication::Macs
            && !mac::are_possible(membership)
        {
            let problem = format!("{n} replicas; MACs are possible with {}", mac::REPLICAS_MAX);
            let remedy = "write client_authentication = \"signatures\", or have fewer replicas";
            return Err(self.bad("cluster.client_authentication", problem, remedy));
        }
        let replies = params.reply_chunk_bytes_max();
        if replies > STATE_BYTES_MAX {
            let problem = format!(
                "a chunk of the reply table, with result_bytes_max {}, is up to {replies} bytes; \
                 {STATE_BYTES_MAX} are possible",
                params.result_bytes_max
            );
            let remedy = "lower result_bytes_max";
            return Err(self.bad("cluster", problem, remedy));
        }
        Ok(params)
    }
}

/// The longest timeout: who waits for more than a day does not wait for a computer.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest pause between two statuses: three of them may be lost before the others take a replica for gone.
const STATUS_INTERVAL_MAX: Duration = PEER_IDLE.checked_div(3).expect("3 is not 0");

impl Checker<'_> {
    /// Times that each are possible, and contradict each other or what the node does.
    fn check_times(&self, params: &Params) -> Result<(), ConfigError> {
        let Params { view_timeout, view_timeout_max, status_interval, .. } = *params;
        let bad = |field: &str, problem: String, remedy| {
            Err(self.bad(format!("cluster.{field}"), problem, remedy))
        };
        let above = |time: Duration, max: Duration, why: &str| {
            format!("{} is above {}, {why}", time.as_millis(), max.as_millis())
        };
        if view_timeout_max > TIMEOUT_MAX {
            let problem = above(view_timeout_max, TIMEOUT_MAX, "a day");
            return bad("view_timeout_max_ms", problem, "lower it");
        }
        if view_timeout > view_timeout_max {
            let problem = above(view_timeout, view_timeout_max, "which is view_timeout_max_ms");
            return bad("view_timeout_ms", problem, "lower it, or raise view_timeout_max_ms");
        }
        if status_interval > STATUS_INTERVAL_MAX {
            let why = format!("and replicas that are silent for {PEER_IDLE:?} are cut off");
            let problem = above(status_interval, STATUS_INTERVAL_MAX, &why);
            return bad("status_interval_ms", problem, "lower it");
        }
        Ok(())
    }
}

fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let host_allowed = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    !host.is_empty() && host.chars().all(host_allowed) && port.parse::<u16>().is_ok_and(|p| p != 0)
}

/// The digest of everything that must be the same everywhere.
fn cluster_id(cluster: &Cluster, nonce: [u8; 16]) -> Digest {
    let params =
        Params { replica: ReplicaId(0), cluster: Digest::default(), ..cluster.params.clone() };
    let replicas: Vec<[u8; 32]> = cluster.replicas.iter().map(|r| r.key.to_bytes()).collect();
    let clients: Vec<(u32, &str, [u8; 32])> =
        cluster.clients.iter().map(|c| (c.id.0, c.name.as_str(), c.key.to_bytes())).collect();
    let numbers = [
        params.checkpoint_interval,
        params.window,
        params.pipeline,
        params.batch_requests_max as u64,
        params.operation_bytes_max as u64,
        u64::from(params.lanes_max),
        params.result_bytes_max as u64,
        params.client_authentication as u64,
        params.view_timeout.as_millis() as u64,
        params.view_timeout_max.as_millis() as u64,
        params.status_interval.as_millis() as u64,
    ];
    let everything = (cluster.name.as_str(), nonce, replicas, clients, numbers);
    // Far below the codec's limit: the lists are bounded.
    let mut bytes = codec::encode(&everything).unwrap_or_default();
    let delay = params.batch_delay.as_micros() as u64;
    if delay != 0 {
        // Clusters that are older than this field keep their id.
        bytes.extend(delay.to_le_bytes());
    }
    let service =
        (cluster.service.name(), cluster.service.version(), params.on_service_panic as u8);
    if service != (ServiceId::LEDGER.name(), ServiceId::LEDGER.version(), OnPanic::Refuse as u8) {
        // The same, if they have the ledger.
        bytes.extend(codec::encode(&("service", service)).unwrap_or_default());
    }
    if params.slow_primary_percent != pbft_core::params::SLOW_PRIMARY_PERCENT {
        bytes.extend(b"slow-primary");
        bytes.extend(params.slow_primary_percent.to_le_bytes());
    }
    if params.help_bytes_max != pbft_core::params::HELP_BYTES_MAX {
        bytes.extend(b"help");
        bytes.extend((params.help_bytes_max as u64).to_le_bytes());
    }
    hash(HashDomain::Cluster, &bytes)
}

#[cfg(test)]
mod tests;
