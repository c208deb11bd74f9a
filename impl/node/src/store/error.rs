//! What can be wrong with a store.

use crate::codec::CodecError;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What to do about lost memory. A backup is no remedy: it has forgotten what was said since.
const AMNESIA: &str = "The replica may have voted and forgotten it, so it must not vote. Give the right --dir; or, \
    if the store is lost, run `pbft recover` to let the replica fetch what it needs and come back when it is safe. \
    Do not restore an old copy: that forgets the votes since";

/// Why a store cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// There is none.
    #[error("{path}: there is no store. {AMNESIA}")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It is an empty file.
    #[error("{path}: the store is empty. {AMNESIA}")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It exists already.
    #[error("{path}: there is a store already; choose a new directory")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It belongs to another replica or cluster, or to another version of this program.
    #[error(
        "{path}: {field} is {found}, expected {expected}; this data directory belongs to another \
         replica, cluster or version: give the right --dir, or, if this replica's own store is lost, \
         run `pbft recover`"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What differs.
        field: &'static str,
        /// What is there.
        found: String,
        /// What should be there.
        expected: String,
    },
    /// Another process has it open.
    #[error(
        "{path}: another process has this store open; stop it first: one key votes from one process"
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be understood.
    #[error("{path}: the store is damaged: {what}. {AMNESIA}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The operating system refused.
    #[error(
        "{path}: {source}; check the disk and its free space, and that this user may write there"
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// The database failed, for instance to write to a full disk.
    #[error("{path}: {source}; check the disk and its free space")]
    Database {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: Box<redb::Error>,
    },
}

impl StoreError {
    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { path: PathBuf::new(), what: what.into() }
    }

    /// Whether what the replica knew is lost, as far as this store goes: it is not there, damaged, or another's.
    pub fn is_lost(&self) -> bool {
        match self {
            Self::Missing { .. }
            | Self::Empty { .. }
            | Self::Foreign { .. }
            | Self::Corrupt { .. } => true,
            Self::Exists { .. } | Self::Locked { .. } | Self::Io { .. } | Self::Database { .. } => {
                false
            }
        }
    }

    /// Whether there was no room for a write. What was not written was never acknowledged; the store is as it was.
    pub fn is_full(&self) -> bool {
        let error = match self {
            Self::Io { source, .. } => source,
            Self::Database { source, .. } => match &**source {
                redb::Error::Io(error) => error,
                _ => return false,
            },
            _ => return false,
        };
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
    }

    /// What opening the database at `path` says.
    pub(super) fn at(path: &Path, error: redb::DatabaseError) -> Self {
        let path = path.to_owned();
        match error {
            redb::DatabaseError::DatabaseAlreadyOpen => Self::Locked { path },
            redb::DatabaseError::Storage(redb::StorageError::Corrupted(what)) => {
                Self::Corrupt { path, what }
            }
            redb::DatabaseError::Storage(redb::StorageError::Io(source))
                if matches!(
                    source.kind(),
                    // The latter is a file that was cut off.
                    std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
                ) =>
            {
                Self::Corrupt { path, what: source.to_string() }
            }
            other => Self::Database { path, source: Box::new(other.into()) },
        }
    }

    /// The same error, with the file that it is about.
    #[must_use]
    pub fn with_path(mut self, file: &Path) -> Self {
        match &mut self {
            Self::Corrupt { path, .. } | Self::Database { path, .. } => file.clone_into(path),
            Self::Missing { .. }
            | Self::Empty { .. }
            | Self::Exists { .. }
            | Self::Foreign { .. }
            | Self::Locked { .. }
            | Self::Io { .. } => {}
        }
        self
    }
}

impl From<CodecError> for StoreError {
    fn from(error: CodecError) -> Self {
        Self::corrupt(error.to_string())
    }
}

macro_rules! from_redb {
    ($($error:ty),* $(,)?) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Database { path: PathBuf::new(), source: Box::new(error.into()) }
            }
        }
    )*};
}

from_redb!(
    redb::DatabaseError,
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
    redb::SetDurabilityError,
);
