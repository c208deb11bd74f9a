//! Whose a store is, asked before anything in it is changed.

use super::*;

/// Refuses a foreign store before it is opened for writing, which alone changes the file. One that was not closed
/// cannot be read before it is repaired; its identity is compared after that.
pub(super) fn refuse_foreign(path: &Path, identity: &Identity) -> Result<(), StoreError> {
    medium::guarded(path, || match ReadOnlyDatabase::open(path) {
        Ok(database) => check_identity(&database, identity, path),
        Err(redb::DatabaseError::RepairAborted) => Ok(()),
        Err(error) => Err(StoreError::at(path, error)),
    })
}

pub(super) fn check_identity(
    database: &impl ReadableDatabase,
    expected: &Identity,
    path: &Path,
) -> Result<(), StoreError> {
    let found = read_identity(database).map_err(|e| e.with_path(path))?;
    expected.compare(&found, path)
}

/// Whether there is a journal before the database.
pub(super) fn has_journal(database: &Database) -> Result<bool, StoreError> {
    Ok(database.begin_read()?.open_table(META)?.get(JOURNALED)?.is_some())
}

pub(super) fn read_identity(database: &impl ReadableDatabase) -> Result<Identity, StoreError> {
    let read = database.begin_read()?;
    let meta = match read.open_table(META) {
        Err(redb::TableError::TableDoesNotExist(_)) => {
            return Err(StoreError::corrupt("it was never initialised"));
        }
        meta => meta?,
    };
    let Some(stored) = meta.get(IDENTITY)? else {
        return Err(StoreError::corrupt("it does not say whose it is"));
    };
    decode("identity", stored.value())
}
