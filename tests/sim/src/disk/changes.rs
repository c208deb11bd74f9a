//! The simulated disk as a host's: every change is made in the image at once, and noted for the next write.

use super::stored::{self, like};
use super::{Disk, DiskError, Write};
use crate::bank::Accounts;
use pbft_core::evidence::Contradiction;
use pbft_core::manifest::{ChunkId, Manifest};
use pbft_core::message::{Request, StatePart};
use pbft_core::replies::{LastReply, ReplyTable};
use pbft_core::types::{Digest, SeqNum};
use pbft_core::{Durable, Record, ServiceState};
use pbft_host::Undo;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The accounts while they are executed on.
#[derive(Debug)]
pub struct Books<'a> {
    /// The accounts.
    pub accounts: &'a mut Accounts,
    before: Accounts,
}

impl Undo for Books<'_> {
    fn begin_operation(&mut self) {
        self.before.clone_from(self.accounts);
    }

    fn undo(&mut self) {
        self.accounts.clone_from(&self.before);
    }
}

/// Accounts whose balance is another one now.
fn changed(before: &Accounts, after: &Accounts) -> Vec<(u8, u64)> {
    let gone = before.iter().filter(|(account, _)| after.balance(*account) == 0);
    let gone = gone.map(|(account, _)| (account, 0));
    after
        .iter()
        .filter(|(account, balance)| before.balance(*account) != *balance)
        .chain(gone)
        .collect()
}

impl pbft_host::Disk for Disk {
    type Error = DiskError;
    type State<'a> = Books<'a>;

    fn durable(&self) -> &Durable {
        &self.image.durable
    }

    fn service_state(&self) -> Result<ServiceState, DiskError> {
        match &self.stored {
            Some(stored) => stored.open_store()?.service_state().map_err(|error| like(&error)),
            None => Ok(self.image.service_state()),
        }
    }

    fn evidence(&self) -> Result<Vec<Contradiction>, DiskError> {
        Ok(self.image.evidence.clone())
    }

    fn is_behind(&self) -> bool {
        match &self.stored {
            Some(stored) => stored.is_behind(),
            None => !self.open.is_empty(),
        }
    }

    /// Hands the changes to the operating system. The process syncs them, at once or when a slow disk is ready, before it
    /// lets anything go.
    fn commit(&mut self) -> Result<(), DiskError> {
        if let Some(stored) = &mut self.stored {
            stored.store()?.commit().map_err(|error| like(&error))?;
            stored.committed = self.image.clone();
            self.syncs += 1;
            return Ok(());
        }
        self.write()
    }

    fn is_full(error: &DiskError) -> bool {
        *error == DiskError::Full
    }

    fn append(&mut self, record: &Record) -> Result<(), DiskError> {
        self.change(Write::Record(record.clone()))
    }

    fn with_state<R>(
        &mut self,
        use_state: impl FnOnce(&mut Books<'_>) -> R,
    ) -> Result<R, DiskError> {
        let Self { stored, image, balances, .. } = self;
        let accounts = &mut image.accounts;
        let Some(stored) = stored else {
            let before = accounts.clone();
            let result = use_state(&mut Books { accounts, before: before.clone() });
            balances.extend(changed(&before, accounts));
            return Ok(result);
        };
        let result = stored.store()?.with_state(|state| {
            let before = stored::read(state);
            accounts.clone_from(&before);
            let result = use_state(&mut Books { accounts, before: before.clone() });
            stored::write(state, &changed(&before, accounts));
            result
        });
        result.map_err(|error| like(&error))
    }

    fn executed<'r>(
        &mut self,
        seq: SeqNum,
        results: impl IntoIterator<Item = (&'r Request, LastReply)>,
    ) -> Result<(), DiskError> {
        let results: Vec<_> = results.into_iter().collect();
        if let Some(stored) = &mut self.stored {
            let executed = stored.store()?.executed(seq, results.clone());
            executed.map_err(|error| like(&error))?;
        }
        let replies = results.into_iter().map(|(request, reply)| {
            let Request { client, lane, .. } = request;
            (*client, *lane, reply)
        });
        let replies = replies.collect();
        let balances = std::mem::take(&mut self.balances);
        self.change(Write::Executed { seq, balances, replies })
    }

    fn chunks(&mut self) -> Result<Vec<ChunkId>, DiskError> {
        match &mut self.stored {
            Some(stored) => stored.store()?.chunks().map_err(|error| like(&error)),
            None => Ok(self.image.accounts.chunk_ids()),
        }
    }

    fn store_checkpoint(
        &mut self,
        manifest: &Manifest,
        replies: &[Arc<[u8]>],
    ) -> Result<(), DiskError> {
        if let Some(stored) = &mut self.stored {
            let kept = stored.store()?.store_checkpoint(manifest, replies);
            return kept.map_err(|error| like(&error));
        }
        let chunks = replies.iter().cloned().chain(self.image.accounts.chunks()).collect();
        self.change(Write::Checkpoint { manifest: manifest.clone(), chunks })
    }

    fn state_part(&mut self, seq: SeqNum, part: StatePart) -> Result<Option<Arc<[u8]>>, DiskError> {
        match &mut self.stored {
            Some(stored) => {
                let part = pbft_host::Disk::state_part(stored.store()?, seq, part);
                part.map_err(|error| like(&error))
            }
            None => Ok(self.image.part(seq, part)),
        }
    }

    fn stage(&mut self, digest: Digest, bytes: &Arc<[u8]>) -> Result<(), DiskError> {
        self.change(Write::Stage { digest, bytes: Arc::clone(bytes) })
    }

    fn retain_staged(&mut self, needed: &BTreeSet<Digest>) -> Result<(), DiskError> {
        self.change(Write::RetainStaged(needed.clone()))
    }

    fn install(&mut self, manifest: &Manifest) -> Result<ReplyTable, DiskError> {
        let Some(stored) = &mut self.stored else {
            self.change(Write::Install { manifest: manifest.clone() })?;
            return Ok(self.image.replies.clone());
        };
        let store = stored.store()?;
        let replies = store.install(manifest).map_err(|error| like(&error))?;
        let accounts = store.with_state(stored::read).map_err(|error| like(&error))?;
        (self.image.accounts, self.image.executed) = (accounts, manifest.seq);
        self.image.replies = replies.clone();
        Ok(replies)
    }

    fn add_evidence(&mut self, contradiction: &Contradiction) -> Result<bool, DiskError> {
        let is_new = !self.image.has_evidence(contradiction.replica(), contradiction.place());
        if is_new {
            self.change(Write::Evidence(Box::new(contradiction.clone())))?;
        }
        Ok(is_new)
    }
}
