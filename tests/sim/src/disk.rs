//! A replica's disk as bytes: a log of checksummed entries and a superblock that says how much of it counts.
//!
//! One entry holds everything that a group of steps asks to be durable, so it is there as a whole or not at all. A write
//! is made in two steps, as a journal makes it: [`Disk::write`] hands the bytes to the operating system, [`Disk::sync`]
//! makes them stay and then moves the superblock. What a crash leaves of an unsynced entry is the fault's choice: nothing,
//! a part, or everything. Bytes below the superblock's length that do not check are corruption and refused, as the node
//! refuses them; bytes beyond it are a torn tail and cut off. When a checkpoint is stable the log is replaced by a
//! snapshot, with a new file that takes the old one's place when it is synced.

mod changes;
mod stored;

pub use changes::Books;

use super::bank::Accounts;
use super::rng::fingerprint;
use pbft_core::evidence::Contradiction;
use pbft_core::manifest::{KeptStates, Manifest};
use pbft_core::message::StatePart;
use pbft_core::replies::{LastReply, ReplyTable};
use pbft_core::types::{ClientId, Digest, Lane, ReplicaId, SeqNum, View};
use pbft_core::{Durable, Record, ServiceState};
use pbft_node::codec;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use stored::Stored;
use thiserror::Error;

/// One change of what is on the disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Write {
    /// The core's record.
    Record(Record),
    /// A batch was executed: the balances that changed, and the replies.
    Executed {
        /// Its sequence number.
        seq: SeqNum,
        /// Accounts with their new balances.
        balances: Vec<(u8, u64)>,
        /// Replies with their clients.
        replies: Vec<(ClientId, Lane, LastReply)>,
    },
    /// A checkpoint's state is kept, to be served.
    Checkpoint {
        /// Its manifest.
        manifest: Manifest,
        /// Its chunks, but for those of the reply table that have not changed.
        chunks: Vec<Arc<[u8]>>,
    },
    /// A fetched chunk is kept.
    Stage {
        /// Its digest.
        digest: Digest,
        /// Its bytes.
        bytes: Arc<[u8]>,
    },
    /// Fetched chunks that are not needed go.
    RetainStaged(BTreeSet<Digest>),
    /// The staged chunks are the state now.
    Install {
        /// The checkpoint's manifest.
        manifest: Manifest,
    },
    /// Evidence of a fault is kept.
    Evidence(Box<Contradiction>),
    /// Everything that was there, in one.
    Snapshot(Box<Image>),
}

/// What the bytes say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// The fold of the core's records.
    pub durable: Durable,
    /// The last batch executed.
    pub executed: SeqNum,
    /// The reply table.
    pub replies: ReplyTable,
    /// The service's state.
    pub accounts: Accounts,
    /// Evidence of faults.
    pub evidence: Vec<Contradiction>,
    kept: KeptStates,
}

impl Image {
    /// Makes a change. False if it cannot be made, which only a replica with a bug asks for.
    pub fn apply(&mut self, write: &Write) -> bool {
        match write {
            Write::Record(record) => {
                self.durable.apply(record);
                if let Record::Stable(_) = record {
                    self.kept.on_stable(self.durable.low_water_mark);
                }
            }
            Write::Executed { seq, balances, replies } => {
                self.executed = *seq;
                balances
                    .iter()
                    .for_each(|(account, balance)| self.accounts.set(*account, *balance));
                for (client, lane, reply) in replies {
                    self.replies.record(*client, *lane, reply.clone());
                }
            }
            Write::Checkpoint { manifest, chunks } => {
                return self.kept.keep(manifest, chunks.iter().cloned());
            }
            Write::Stage { digest, bytes } => self.kept.stage(*digest, Arc::clone(bytes)),
            Write::RetainStaged(needed) => self.kept.retain_staged(needed),
            Write::Install { manifest } => return self.install(manifest),
            Write::Evidence(contradiction) => {
                self.evidence.push(Contradiction::clone(contradiction))
            }
            Write::Snapshot(image) => *self = Self::clone(image),
        }
        true
    }

    /// Whether there is evidence against a replica for this place.
    #[must_use]
    pub fn has_evidence(&self, against: ReplicaId, place: (View, SeqNum)) -> bool {
        let is_it = |known: &Contradiction| (known.replica(), known.place()) == (against, place);
        self.evidence.iter().any(is_it)
    }

    fn install(&mut self, manifest: &Manifest) -> bool {
        let Some((replies, service)) = self.kept.install(manifest) else { return false };
        let Some(accounts) = Accounts::from_chunks(service.iter().map(|chunk| &**chunk)) else {
            return false;
        };
        (self.accounts, self.executed, self.replies) = (accounts, manifest.seq, replies);
        true
    }

    /// A part of a stored checkpoint.
    #[must_use]
    pub fn part(&self, seq: SeqNum, part: StatePart) -> Option<Arc<[u8]>> {
        self.kept.part(seq, part)
    }

    /// What a restarting replica is told.
    #[must_use]
    pub fn service_state(&self) -> ServiceState {
        ServiceState {
            last_executed: self.executed,
            replies: self.replies.clone(),
            manifests: self.kept.manifests().cloned().collect(),
            staged: self.kept.staged().collect(),
        }
    }

    /// A number that is equal for equal states of the service and its reply table.
    #[must_use]
    pub fn state_fingerprint(&self) -> u64 {
        let mut bytes = self.replies.chunks().concat();
        for (account, balance) in self.accounts.iter() {
            bytes.push(account);
            bytes.extend(balance.to_le_bytes());
        }
        fingerprint(7, &bytes)
    }

    /// Checkpoints that are kept, and chunks that are staged.
    #[must_use]
    pub fn kept(&self) -> (usize, usize) {
        (self.kept.manifests().count(), self.kept.staged().count())
    }
}

/// Why a disk does not do what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error, Serialize, Deserialize)]
pub enum DiskError {
    /// There is no room.
    #[error("the disk is full")]
    Full,
    /// What was written may be there, or not.
    #[error("fsync failed")]
    SyncFailed,
    /// Bytes that counted were changed.
    #[error("the log is corrupt")]
    Corrupt,
    /// Nothing is there, although something was.
    #[error("the disk is empty")]
    Lost,
    /// What it is to keep consists of parts that are not there.
    #[error("a part of what is to be kept is not there")]
    Impossible,
}

/// What a crash leaves of an entry that was written and not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tail {
    /// Nothing.
    Lost,
    /// Its first bytes, as many hundredths of it.
    Torn(u8),
    /// All of it.
    Kept,
}

/// Bytes on the medium: the log, how much of it counts, and the check of that number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Medium {
    log: Vec<u8>,
    superblock: [u64; 2],
}

/// An entry that is not synced yet.
#[derive(Clone, Debug)]
struct Pending {
    bytes: Vec<u8>,
    /// Whether it takes the place of the log.
    replaces: bool,
}

const LEN: usize = 4;
const HEAD: usize = LEN + 8;

/// A disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    medium: Medium,
    pending: Option<Pending>,
    /// What is really on the medium, while fsync lies.
    beneath: Option<Medium>,
    /// What the bytes say, those that are not synced or not even written included.
    image: Image,
    /// What was changed since the last write.
    open: Vec<Write>,
    /// The balances that the service has changed in the batch that it executes.
    balances: Vec<(u8, u64)>,
    full: bool,
    sync_fails: bool,
    ever_synced: bool,
    syncs: u64,
    /// The node's store, if it is what the bytes are written with.
    stored: Option<Box<Stored>>,
}

fn entry(writes: &[Write]) -> Option<Vec<u8>> {
    let payload = codec::encode(writes).ok()?;
    let mut bytes = Vec::with_capacity(HEAD + payload.len());
    bytes.extend((payload.len() as u32).to_le_bytes());
    bytes.extend(fingerprint(11, &payload).to_le_bytes());
    bytes.extend(payload);
    Some(bytes)
}

fn superblock(len: usize) -> [u64; 2] {
    [len as u64, fingerprint(13, &(len as u64).to_le_bytes())]
}

impl Medium {
    fn take(&mut self, pending: Pending) {
        match pending.replaces {
            true => self.log = pending.bytes,
            false => self.log.extend(pending.bytes),
        }
        self.superblock = superblock(self.log.len());
    }

    /// Reads everything that counts, and cuts off what does not.
    fn read(&mut self) -> Result<Image, DiskError> {
        let len = self.superblock[0] as usize;
        if self.superblock != [0; 2] && self.superblock != superblock(len) {
            return Err(DiskError::Corrupt);
        }
        let mut rest = self.log.get(..len).ok_or(DiskError::Corrupt)?;
        let mut image = Image::default();
        while !rest.is_empty() {
            let (head, body) = rest.split_at_checked(HEAD).ok_or(DiskError::Corrupt)?;
            let (size, check) = head.split_at(LEN);
            let size = size.first_chunk().map(|size| u32::from_le_bytes(*size)).unwrap_or_default();
            let (payload, next) = body.split_at_checked(size as usize).ok_or(DiskError::Corrupt)?;
            if fingerprint(11, payload).to_le_bytes() != check {
                return Err(DiskError::Corrupt);
            }
            let writes: Vec<Write> = codec::decode(payload).map_err(|_| DiskError::Corrupt)?;
            if !writes.iter().all(|write| image.apply(write)) {
                return Err(DiskError::Corrupt);
            }
            rest = next;
        }
        self.log.truncate(len);
        Ok(image)
    }
}

impl Disk {
    /// What is on it, or will be when the write under way is synced.
    #[must_use]
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// What is sure to be on it: what its replica may rely on.
    #[must_use]
    pub fn relied_on(&self) -> Cow<'_, Image> {
        let is_behind = self.stored.as_ref().is_some_and(|stored| stored.is_behind());
        match self.open.is_empty() && self.pending.is_none() && !is_behind {
            true => Cow::Borrowed(&self.image),
            false => Cow::Owned(self.durable_image()),
        }
    }

    /// What would be there if the process ended now and nothing unsynced were left.
    #[must_use]
    pub fn durable_image(&self) -> Image {
        if let Some(stored) = &self.stored {
            return stored.committed.clone();
        }
        self.medium.clone().read().unwrap_or_default()
    }

    /// Whether a write waits to be synced.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        self.pending.is_some()
    }

    /// How often it was synced.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.syncs
    }

    /// Bytes in the log.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.medium.log.len()
    }

    /// Makes a change, which the next write takes along.
    fn change(&mut self, write: Write) -> Result<(), DiskError> {
        if let Some(stored) = &mut self.stored {
            stored.change(&write)?;
            let kept = matches!(write, Write::Checkpoint { .. } | Write::Install { .. });
            if !kept {
                self.image.apply(&write);
            }
            return Ok(());
        }
        match self.image.apply(&write) {
            true => {
                self.open.push(write);
                Ok(())
            }
            false => Err(DiskError::Impossible),
        }
    }

    /// Writes what was changed. After a stable checkpoint everything is written anew.
    pub fn write(&mut self) -> Result<(), DiskError> {
        if self.full {
            return Err(DiskError::Full);
        }
        let writes = std::mem::take(&mut self.open);
        let stable = |write: &Write| matches!(write, Write::Record(Record::Stable(_)));
        let replaces = writes.iter().any(stable);
        let bytes = match replaces {
            true => entry(&[Write::Snapshot(Box::new(self.image.clone()))]),
            false => entry(&writes),
        };
        self.pending = Some(Pending { bytes: bytes.ok_or(DiskError::Full)?, replaces });
        Ok(())
    }

    /// Makes what was written stay.
    pub fn sync(&mut self) -> Result<(), DiskError> {
        if self.sync_fails {
            return Err(DiskError::SyncFailed);
        }
        if let Some(pending) = self.pending.take() {
            self.medium.take(pending);
            self.ever_synced = true;
            self.syncs += 1;
        }
        Ok(())
    }

    /// The power goes, or the process.
    pub fn crash(&mut self, tail: Tail) {
        self.open.clear();
        self.balances.clear();
        if let Some(stored) = &mut self.stored {
            return stored.crash();
        }
        if let Some(beneath) = self.beneath.take() {
            self.medium = beneath;
        }
        let Some(pending) = self.pending.take() else { return };
        match tail {
            Tail::Lost => {}
            Tail::Kept => self.medium.take(pending),
            // A new file that is torn never takes the old one's place.
            Tail::Torn(_) if pending.replaces => {}
            Tail::Torn(hundredths) => {
                let len = pending.bytes.len() * usize::from(hundredths.min(99)) / 100;
                self.medium.log.extend(&pending.bytes[..len]);
            }
        }
    }

    /// Reads the disk at a start.
    pub fn open(&mut self) -> Result<&Image, DiskError> {
        if let Some(stored) = &mut self.stored {
            if self.ever_synced && stored.is_empty() {
                return Err(DiskError::Lost);
            }
            self.ever_synced = true;
            self.image = stored.open()?;
            return Ok(&self.image);
        }
        if self.ever_synced && self.medium == Medium::default() {
            return Err(DiskError::Lost);
        }
        self.image = self.medium.read()?;
        Ok(&self.image)
    }

    /// There is no room from now on, or there is again.
    pub fn set_full(&mut self, full: bool) {
        if let Some(stored) = &mut self.stored {
            stored.set_full(full);
        }
        self.full = full;
    }

    /// Syncing fails from now on, or works again.
    pub fn set_sync_fails(&mut self, fails: bool) {
        if let Some(stored) = &mut self.stored {
            stored.set_sync_fails(fails);
        }
        self.sync_fails = fails;
    }

    /// From now on syncing does nothing but says that it did.
    pub fn begin_to_lie(&mut self) {
        self.beneath.get_or_insert(self.medium.clone());
    }

    /// Changes one bit of what counts. False if there is nothing.
    pub fn flip(&mut self, position: u64) -> bool {
        let len = self.medium.superblock[0] as usize;
        if len == 0 {
            return false;
        }
        self.medium.log[(position / 8) as usize % len] ^= 1 << (position % 8);
        true
    }

    /// Everything is gone.
    pub fn wipe(&mut self) {
        if let Some(stored) = &mut self.stored {
            stored.wipe();
        }
        (self.medium, self.pending, self.image) = (Medium::default(), None, Image::default());
        self.ever_synced = true;
    }
}

#[cfg(test)]
mod tests;
