//! The tables of a store.

use super::{Identity, StoreError};
use crate::codec;
use pbft_core::Durable;
use redb::{Database, TableDefinition};

/// Single values by name.
pub(super) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// The records since the last fold.
pub(super) const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
/// The last reply per client and lane.
pub(super) const REPLIES: TableDefinition<(u32, u16), &[u8]> = TableDefinition::new("replies");
/// The service's pairs.
pub(super) const SERVICE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("service");
/// Kept checkpoints by sequence number: the manifest, and the keys at which the service's chunks begin.
pub(super) const CHECKPOINTS: TableDefinition<u64, (&[u8], &[u8])> =
    TableDefinition::new("checkpoints");
/// By checkpoint and key, what a pair had at the checkpoint, if it has changed before the next one; nothing, if it was
/// not there.
pub(super) const FORMER: TableDefinition<(u64, &[u8]), Option<&[u8]>> =
    TableDefinition::new("former-pairs");
/// The reply tables of all kept checkpoints in chunks, by digest, so that an unchanged chunk is kept once.
pub(super) const REPLY_CHUNKS: TableDefinition<&[u8; 32], &[u8]> =
    TableDefinition::new("reply-chunks");
/// Fetched chunks of a checkpoint that is not complete yet, by digest.
pub(super) const STAGED: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("staged-chunks");
/// Equivocations by (replica, view, sequence number).
pub(super) const EVIDENCE: TableDefinition<(u32, u64, u64), &[u8]> =
    TableDefinition::new("evidence");

/// In [`META`]: the [`Identity`].
pub(super) const IDENTITY: &str = "identity";
/// In [`META`]: how often the store was opened.
pub(super) const INCARNATION: &str = "incarnation";
/// In [`META`]: the fold of all earlier records.
pub(super) const DURABLE: &str = "durable";
/// In [`META`]: the number of this commit; see the seal.
pub(super) const COMMITS: &str = "commits";
/// In [`META`]: the last commit whose records are in the log; those of later ones are in the journal. A store of a version
/// without a journal does not have it.
pub(super) const JOURNALED: &str = "journaled";
/// In [`META`]: the last batch executed.
pub(super) const EXECUTED: &str = "executed";

/// Writes the identity and makes every table, so that readers need not wonder whether one exists.
pub(super) fn initialise(
    database: &Database,
    identity: &Identity,
    durable: &Durable,
) -> Result<(), StoreError> {
    let write = database.begin_write()?;
    {
        let mut meta = write.open_table(META)?;
        meta.insert(IDENTITY, &*codec::encode(identity)?)?;
        meta.insert(DURABLE, &*codec::encode(durable)?)?;
        meta.insert(JOURNALED, &*codec::encode(&0_u64)?)?;
        write.open_table(LOG)?;
        write.open_table(REPLIES)?;
        write.open_table(SERVICE)?;
        write.open_table(CHECKPOINTS)?;
        write.open_table(FORMER)?;
        write.open_table(REPLY_CHUNKS)?;
        write.open_table(STAGED)?;
        write.open_table(EVIDENCE)?;
    }
    write.commit()?;
    Ok(())
}
