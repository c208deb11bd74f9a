//! What a cluster replicates.

use crate::state::{State, StateView};
use crate::store::Store;
#[cfg(doc)]
use pbft_core::params::OnPanic;
use pbft_core::types::ClientId;
pub use pbft_host::PANICKED;
use std::borrow::Cow;
use std::fmt;

/// What a service without queries answers to one.
pub const NO_QUERIES: &[u8] = b"refused: this service answers no queries";

/// Which service a cluster replicates: its name, and the version of what operations mean. Both are in the cluster file and
/// in the cluster id, so that a replica with another service is refused before it computes another state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceId {
    name: Cow<'static, str>,
    version: u32,
}

impl ServiceId {
    /// The bundled ledger: what a cluster file without `service` means.
    pub const LEDGER: Self = Self::new("ledger", 1);

    /// A service with this name and version. Another version is one whose results or states may differ.
    pub const fn new(name: &'static str, version: u32) -> Self {
        Self { name: Cow::Borrowed(name), version }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of what operations mean.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Reads `name/version`, as it is displayed. Whether the name is a good one is somebody else's business.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, version) = text.rsplit_once('/')?;
        let read = Self { name: Cow::Owned(name.to_owned()), version: version.parse().ok()? };
        (read.to_string() == text).then_some(read)
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.version)
    }
}

/// A deterministic service. Everything it knows is in the [`State`] that it is handed: `execute` cannot even
/// change the service itself, so nothing can be left out of the checkpoints by mistake.
///
/// The state's digest, its division into chunks, and their transfer to a replica that lags behind are the state's
/// business, not the service's: a service only gets, puts, deletes and ranges over pairs.
pub trait Service: Send + Sync {
    /// What it is called, and the version of what its operations mean: a new one whenever a result or a state would
    /// differ from what earlier programs compute.
    fn id(&self) -> ServiceId;

    /// Executes one operation and returns its result.
    ///
    /// The result and the changes to `state` must depend on nothing but the arguments: no clock, no randomness,
    /// no iteration over unordered containers, no files. Operations are bytes from any client on the
    /// allow-list; those that make no sense are answered with a result that says so. One on which this panics changes
    /// nothing, and its result is [`PANICKED`], or the cluster stops: see [`OnPanic`].
    fn execute(&self, state: &mut State<'_>, client: ClientId, operation: &[u8]) -> Vec<u8>;

    /// Answers a question about one replica's state as it is there and then. Nothing is ordered, so the answer may be
    /// older than results that the client has already; it runs beside the execution, and holds nothing up.
    fn query(&self, _state: &mut StateView, _client: ClientId, _query: &[u8]) -> Vec<u8> {
        NO_QUERIES.to_vec()
    }
}

impl<S: Service + ?Sized> Service for std::sync::Arc<S> {
    fn id(&self) -> ServiceId {
        (**self).id()
    }

    fn execute(&self, state: &mut State<'_>, client: ClientId, operation: &[u8]) -> Vec<u8> {
        (**self).execute(state, client, operation)
    }

    fn query(&self, state: &mut StateView, client: ClientId, query: &[u8]) -> Vec<u8> {
        (**self).query(state, client, query)
    }
}

impl pbft_host::Service<Store> for Box<dyn Service> {
    fn execute(&self, state: &mut State<'_>, client: ClientId, operation: &[u8]) -> Vec<u8> {
        (**self).execute(state, client, operation)
    }
}
