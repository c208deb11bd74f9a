//! What is in the store of a replica that is not running. The files are only read.

use crate::hex;
use crate::store::{Store, StoreError};
use pbft_core::Durable;
use pbft_core::types::{ReplicaId, SeqNum};
use serde::Serialize;
use std::path::Path;

/// Everything of a store that people ask for. Digests are in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The replica that it belongs to.
    pub replica: u32,
    /// The id of its cluster.
    pub cluster: String,
    /// How often it was opened.
    pub incarnation: u64,
    /// How many writes were acknowledged.
    pub commits: u64,
    /// How many records the log holds beside their fold.
    pub log_records: u64,
    /// The view that the replica is in or changes to.
    pub view: u64,
    /// Whether it is still changing to it.
    pub changing: bool,
    /// The stable checkpoint before which it does not vote, because it has lost its memory.
    pub abstains_until: Option<u64>,
    /// Why it has stopped for good, if it has.
    pub halted: Option<String>,
    /// The replicas whose VIEW-CHANGEs began the view; none in view 0 and while changing.
    pub view_begun_by: Vec<u32>,
    /// The last stable checkpoint.
    pub stable: Checkpoint,
    /// The replica's own checkpoints, the stable one among them.
    pub checkpoints: Vec<Checkpoint>,
    /// What the log says of each number above the stable checkpoint.
    pub slots: Vec<Slot>,
    /// The last batch executed.
    pub last_executed: u64,
    /// How many lanes of clients have a last reply.
    pub replies: usize,
    /// The checkpoints whose state is kept, to serve it, with their numbers of chunks.
    pub kept_states: Vec<(u64, usize)>,
    /// The digest of the service's whole state.
    pub state: String,
    /// Evidence of replicas that contradicted themselves.
    pub evidence: Vec<String>,
    /// The first pairs of the service's state.
    pub pairs: Vec<Pair>,
    /// Whether there are more pairs.
    pub more_pairs: bool,
}

/// A checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checkpoint {
    /// Its number; 0 is the initial state.
    pub seq: u64,
    /// The digest of its state, if anybody signed one.
    pub digest: Option<String>,
    /// Who signed it.
    pub signers: Vec<u32>,
}

/// One sequence number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Slot {
    /// The number.
    pub seq: u64,
    /// The pre-prepare that was made or accepted in the current view.
    pub accepted: Option<Vote>,
    /// The prepared certificate of the highest view.
    pub prepared: Option<Vote>,
}

/// What a batch was voted for as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Vote {
    /// The view.
    pub view: u64,
    /// The batch's digest.
    pub digest: String,
    /// How many requests it has, if it is here.
    pub requests: Option<usize>,
    /// The primary, and for a certificate the backups that prepared.
    pub signers: Vec<u32>,
}

/// A pair of the service's state. Bytes that are no printable text are in hexadecimal, after `0x`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

/// Reads the store in `directory`, with at most `pairs` pairs of the service's state.
pub fn inspect(directory: &Path, pairs: usize) -> Result<Inspection, StoreError> {
    let mut store = Store::examine(directory)?;
    let state = hex::encode(&store.state_digest()?.0);
    let (durable, service) = (store.durable(), store.service_state()?);
    let mut shown = store.pairs(b"", pairs.saturating_add(1))?;
    let more_pairs = shown.len() > pairs;
    shown.truncate(pairs);
    let kept = service.manifests.iter().map(|m| (m.seq.0, m.chunks.len())).collect();
    let begun_by = durable.new_view.iter().flat_map(|new_view| &new_view.body.view_changes);
    Ok(Inspection {
        replica: store.identity().replica().0,
        cluster: hex::encode(&store.identity().cluster().0),
        incarnation: store.incarnation(),
        commits: store.commits(),
        log_records: store.log_records()?,
        view: durable.view.0,
        changing: durable.changing,
        abstains_until: durable.abstains.map(|seq| seq.0),
        halted: durable.halted.as_ref().map(ToString::to_string),
        view_begun_by: begun_by.map(|view_change| view_change.body.replica.0).collect(),
        stable: stable(durable),
        checkpoints: own_checkpoints(durable),
        slots: slots(durable),
        last_executed: service.last_executed.0,
        replies: service.replies.iter().count(),
        kept_states: kept,
        state,
        evidence: store.evidence()?.iter().map(ToString::to_string).collect(),
        pairs: shown
            .iter()
            .map(|(key, value)| Pair { key: text(key), value: text(value) })
            .collect(),
        more_pairs,
    })
}

fn stable(durable: &Durable) -> Checkpoint {
    let votes = &durable.stable.checkpoints;
    Checkpoint {
        seq: durable.low_water_mark.0,
        digest: votes.first().map(|vote| hex::encode(&vote.body.digest.0)),
        signers: ids(votes.iter().map(|vote| vote.body.replica)),
    }
}

fn own_checkpoints(durable: &Durable) -> Vec<Checkpoint> {
    let own = durable.checkpoints.values().map(|own| Checkpoint {
        seq: own.body.seq.0,
        digest: Some(hex::encode(&own.body.digest.0)),
        signers: vec![own.body.replica.0],
    });
    own.collect()
}

fn slots(durable: &Durable) -> Vec<Slot> {
    let mut seqs: Vec<SeqNum> =
        durable.accepted.keys().chain(durable.prepared.keys()).copied().collect();
    seqs.sort_unstable();
    seqs.dedup();
    let slot = |seq: SeqNum| Slot {
        seq: seq.0,
        accepted: durable.accepted.get(&seq).map(|proposal| {
            let body = &proposal.pre_prepare.body;
            Vote {
                view: body.view.0,
                digest: hex::encode(&body.digest.0),
                requests: Some(proposal.batch.requests.len()),
                signers: vec![body.replica.0],
            }
        }),
        prepared: durable.prepared.get(&seq).map(|certificate| {
            let body = &certificate.pre_prepare.body;
            let backups = certificate.prepares.iter().map(|prepare| prepare.body.replica);
            Vote {
                view: body.view.0,
                digest: hex::encode(&body.digest.0),
                requests: durable.batch(seq, body.digest).map(|batch| batch.requests.len()),
                signers: ids(std::iter::once(body.replica).chain(backups)),
            }
        }),
    };
    seqs.into_iter().map(slot).collect()
}

fn ids(replicas: impl Iterator<Item = ReplicaId>) -> Vec<u32> {
    replicas.map(|replica| replica.0).collect()
}

fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(|c| !c.is_control()) => text.to_owned(),
        _ => format!("0x{}", hex::encode(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn bytes_that_are_no_text_are_shown_as_digits() {
        assert_eq!(text(b"account/alice"), "account/alice");
        assert_eq!(text(&[0x1b, b'[']), "0x1b5b", "no escape sequence reaches a terminal");
        assert_eq!(text(&[0xff]), "0xff");
    }
}
