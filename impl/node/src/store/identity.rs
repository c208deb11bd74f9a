//! Whose store it is. Kept twice: in the store, and in a small text file beside it, so that a foreign store is
//! refused before its database is opened (opening alone may write to it). If only the file is lost, the store's own word
//! is enough, and the file is written again.

use super::StoreError;
use crate::hex;
use pbft_core::types::{Digest, ReplicaId};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The layout of the tables and of everything in them.
const FORMAT: u32 = 3;

/// The name of the text file.
pub(super) const IDENTITY_FILE: &str = "store.id";

/// The replica and the cluster that a store belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    format: u32,
    cluster: Digest,
    replica: ReplicaId,
}

impl Identity {
    /// The store of `replica` in the cluster with id `cluster`.
    pub fn new(cluster: Digest, replica: ReplicaId) -> Self {
        Self { format: FORMAT, cluster, replica }
    }

    /// The cluster.
    pub fn cluster(&self) -> Digest {
        self.cluster
    }

    /// The replica.
    pub fn replica(&self) -> ReplicaId {
        self.replica
    }

    fn fields(&self) -> [(&'static str, String); 3] {
        [
            ("format", self.format.to_string()),
            ("cluster", hex::encode(&self.cluster.0)),
            ("replica", self.replica.0.to_string()),
        ]
    }

    fn to_text(self) -> String {
        self.fields().map(|(field, value)| format!("{field} = {value}\n")).concat()
    }

    /// Refuses what differs from `self`.
    pub(super) fn compare(&self, found: &Self, path: &Path) -> Result<(), StoreError> {
        self.compare_fields(found.fields().map(|(_, value)| value), path)
    }

    fn compare_fields(&self, found: [String; 3], path: &Path) -> Result<(), StoreError> {
        for ((field, expected), found) in self.fields().into_iter().zip(found) {
            if expected != found {
                return Err(StoreError::Foreign { path: path.to_owned(), field, found, expected });
            }
        }
        Ok(())
    }

    pub(super) fn write(&self, directory: &Path) -> Result<(), StoreError> {
        let path = directory.join(IDENTITY_FILE);
        let write = || {
            let mut file = std::fs::File::create_new(&path)?;
            std::io::Write::write_all(&mut file, self.to_text().as_bytes())?;
            file.sync_all()
        };
        write().map_err(|source| StoreError::Io { path: path.clone(), source })
    }

    /// Refuses a directory whose file names another. `false` if there is no file: then the store itself has to say
    /// whose it is.
    pub(super) fn check(&self, directory: &Path) -> Result<bool, StoreError> {
        let path = directory.join(IDENTITY_FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(StoreError::Io { path, source }),
        };
        let mut lines = text.lines();
        let mut found = [String::new(), String::new(), String::new()];
        for ((field, _), found) in self.fields().into_iter().zip(&mut found) {
            let value = lines.next().and_then(|line| line.strip_prefix(field)?.strip_prefix(" = "));
            let Some(value) = value else { return Err(unreadable(path, field)) };
            value.clone_into(found);
        }
        self.compare_fields(found, &path)?;
        Ok(true)
    }
}

fn unreadable(path: PathBuf, field: &'static str) -> StoreError {
    StoreError::Corrupt { path, what: format!("the line `{field} = …` is missing") }
}
