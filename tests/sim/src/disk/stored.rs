//! The node's store in the place of the simulated log: the same trait, and what production writes with it, on a disk in
//! memory that forgets what was not synced.

use super::{Disk, DiskError, Image, Write};
use crate::bank::Accounts;
use pbft_core::types::{Digest, ReplicaId};
use pbft_host::Disk as _;
use pbft_node::state::State;
use pbft_node::store::{Identity, MemoryDisk, Store, StoreError};
use std::fmt;
use std::io::ErrorKind::StorageFull;

/// The most accounts of a bank.
const ACCOUNTS_MAX: usize = 256;

/// A store, while the process runs, and what it stands on.
#[derive(Default)]
pub(super) struct Stored {
    medium: MemoryDisk,
    store: Option<Box<Store>>,
    identity: Option<Identity>,
    full: bool,
    failing: bool,
    /// What the image was at the last commit.
    pub(super) committed: Image,
}

impl Clone for Stored {
    /// As the medium would be after a power cut: a store is open once.
    fn clone(&self) -> Self {
        let (medium, committed) = (self.medium.after_power_cut(), self.committed.clone());
        let Self { identity, full, failing, .. } = *self;
        Self { medium, store: None, identity, full, failing, committed }
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored").field("open", &self.store.is_some()).finish_non_exhaustive()
    }
}

/// What the simulated disk would say.
pub(super) fn like(error: &StoreError) -> DiskError {
    match error {
        _ if error.is_full() => DiskError::Full,
        StoreError::Corrupt { path, .. } if path.as_os_str().is_empty() => DiskError::Impossible,
        _ if error.is_lost() => DiskError::Corrupt,
        _ => DiskError::SyncFailed,
    }
}

/// The accounts that a state holds.
fn accounts<'p>(pairs: impl IntoIterator<Item = &'p (Vec<u8>, Vec<u8>)>) -> Accounts {
    let mut accounts = Accounts::default();
    for (key, value) in pairs {
        if let (Some(account), Some(balance)) = (key.first(), value.first_chunk()) {
            accounts.set(*account, u64::from_le_bytes(*balance));
        }
    }
    accounts
}

/// The accounts that a state holds now.
pub(super) fn read(state: &mut State<'_>) -> Accounts {
    accounts(&state.range(&[], None, ACCOUNTS_MAX))
}

/// Changes balances of a state.
pub(super) fn write(state: &mut State<'_>, balances: &[(u8, u64)]) {
    for (account, balance) in balances {
        match balance {
            0 => drop(state.delete(&[*account])),
            _ => state.put(&[*account], &balance.to_le_bytes()).unwrap_or_default(),
        }
    }
}

impl Stored {
    /// For the store of this replica.
    pub(super) fn of(cluster: Digest, replica: ReplicaId) -> Self {
        Self { identity: Some(Identity::new(cluster, replica)), ..Self::default() }
    }

    /// The store; there is one while the process runs.
    pub(super) fn store(&mut self) -> Result<&mut Store, DiskError> {
        self.store.as_deref_mut().ok_or(DiskError::Lost)
    }

    /// The same, to be read.
    pub(super) fn open_store(&self) -> Result<&Store, DiskError> {
        self.store.as_deref().ok_or(DiskError::Lost)
    }

    pub(super) fn is_behind(&self) -> bool {
        self.store.as_deref().is_some_and(Store::is_behind)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.medium.is_empty()
    }

    pub(super) fn set_full(&mut self, full: bool) {
        self.full = full;
        self.medium.set_full(full.then_some(StorageFull));
    }

    pub(super) fn set_sync_fails(&mut self, fails: bool) {
        self.failing = fails;
        self.medium.set_failing(fails);
    }

    /// The power goes.
    pub(super) fn crash(&mut self) {
        self.medium = self.medium.after_power_cut();
        self.medium.set_full(self.full.then_some(StorageFull));
        self.medium.set_failing(self.failing);
        self.store = None;
    }

    /// Everything is gone.
    pub(super) fn wipe(&mut self) {
        *self = Self { identity: self.identity, ..Self::default() };
    }

    /// Opens the store, and reads what it says.
    pub(super) fn open(&mut self) -> Result<Image, DiskError> {
        let identity = self.identity.ok_or(DiskError::Lost)?;
        let store = Store::in_memory(&self.medium, identity).map_err(|error| like(&error))?;
        let read = || -> Result<Image, StoreError> {
            let state = store.service_state()?;
            Ok(Image {
                durable: store.durable().clone(),
                executed: state.last_executed,
                replies: state.replies,
                accounts: accounts(&store.pairs(&[], ACCOUNTS_MAX)?),
                evidence: store.evidence()?,
                ..Image::default()
            })
        };
        let image = read().map_err(|error| like(&error))?;
        self.store = Some(Box::new(store));
        self.committed = image.clone();
        Ok(image)
    }

    /// Makes a change of the simulated disk in the store; but for what has a result.
    pub(super) fn change(&mut self, write: &Write) -> Result<(), DiskError> {
        let store = self.store()?;
        let changed = match write {
            Write::Record(record) => store.append(record),
            Write::Stage { digest, bytes } => store.stage(*digest, bytes),
            Write::RetainStaged(needed) => store.retain_staged(needed),
            Write::Evidence(contradiction) => store.add_evidence(contradiction).map(drop),
            Write::Executed { .. }
            | Write::Checkpoint { .. }
            | Write::Install { .. }
            | Write::Snapshot(_) => Ok(()),
        };
        changed.map_err(|error| like(&error))
    }
}

impl Disk {
    /// A disk with the node's store on it.
    #[must_use]
    pub fn with_store(cluster: Digest, replica: ReplicaId) -> Self {
        Self { stored: Some(Box::new(Stored::of(cluster, replica))), ..Self::default() }
    }
}
