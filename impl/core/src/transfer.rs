//! State transfer (§4.3, and §6.2 of the journal version): a replica that cannot reach a stable checkpoint by
//! executing fetches its state. The target is a stable certificate, so every part can be checked by its digest
//! and no source needs to be trusted; a source that says nothing is replaced at the next tick.

use crate::budget::Help;
use crate::effect::Effect;
use crate::manifest::{Manifest, chunk_digest};
use crate::message::{FetchState, Message, StableCertificate, StateData, StatePart};
use crate::planted::planted;
use crate::rejection::Rejection;
use crate::replica::{Outcome, Replica};
use crate::replies::ReplyTable;
use crate::types::{Digest, ReplicaId, SeqNum};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Chunks asked for at a time: bounds what is on its way to this replica.
const CHUNKS_IN_FLIGHT: usize = 16;

/// What a chunk counts for: services cut their state into chunks of about this size.
const CHUNK_BYTES: usize = 64 * 1024;

/// A transfer, planned or under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transfer {
    pub(crate) seq: SeqNum,
    digest: Digest,
    stable: Arc<StableCertificate>,
    /// Requests sent since the beginning: rotates the source. 0 while the transfer is only planned.
    attempts: usize,
    /// Whether something useful came since the last tick.
    progress: bool,
    manifest: Option<Manifest>,
    replies: Option<ReplyTable>,
    /// Chunks that are not here yet.
    missing: BTreeSet<u32>,
    /// Of these, the ones that were asked for.
    requested: BTreeSet<u32>,
}

impl Replica {
    /// Plans to fetch a checkpoint. It begins at the next tick, if execution has not come so far by then: a
    /// replica that is only a little behind needs no transfer. One that had not even reached the checkpoint before is
    /// not only a little behind: it begins at once, while this one is the latest. At the tick there may be a later
    /// one, and its peers keep the state of none before that.
    pub(crate) fn target_transfer(
        &mut self,
        stable: Arc<StableCertificate>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(first) = stable.checkpoints.first() else { return };
        let (seq, digest) = (first.body.seq, first.body.digest);
        if self.transfer.as_ref().is_some_and(|transfer| transfer.seq >= seq) {
            return;
        }
        let overtaken = self.transfer.is_some();
        self.transfer = Some(Transfer {
            seq,
            digest,
            stable,
            attempts: 0,
            progress: false,
            manifest: None,
            replies: None,
            missing: BTreeSet::new(),
            requested: BTreeSet::new(),
        });
        if overtaken {
            self.begin_transfer(effects);
        }
    }

    /// Begins the planned transfer now.
    pub(crate) fn begin_transfer(&mut self, effects: &mut Vec<Effect>) {
        if self.transfer.as_ref().is_some_and(|transfer| transfer.attempts == 0) {
            self.request_state(effects);
        }
    }

    /// Execution has come as far as the target: nothing is fetched any more, and the proof makes the own checkpoint
    /// stable.
    pub(crate) fn settle_transfer(&mut self, effects: &mut Vec<Effect>) {
        let last_executed = self.last_executed;
        if let Some(transfer) = self.transfer.take_if(|transfer| transfer.seq <= last_executed) {
            self.learn_stable(transfer.stable, effects);
        }
    }

    /// At each tick: begin, or ask the next source if this one was silent.
    pub(crate) fn continue_transfer(&mut self, effects: &mut Vec<Effect>) {
        let Some(transfer) = &mut self.transfer else { return };
        if !std::mem::take(&mut transfer.progress) {
            transfer.requested.clear();
            self.request_state(effects);
        }
    }

    fn request_state(&mut self, effects: &mut Vec<Effect>) {
        if let Some(transfer) = &mut self.transfer {
            transfer.attempts += 1;
        }
        self.request_missing(effects);
    }

    /// Asks the current source for the manifest, or for the next chunks.
    fn request_missing(&mut self, effects: &mut Vec<Effect>) {
        let own = self.params.replica;
        let Some(transfer) = &mut self.transfer else { return };
        let to = transfer.source(own);
        let parts: Vec<StatePart> = match transfer.manifest {
            None => vec![StatePart::Manifest],
            Some(_) => {
                let room = CHUNKS_IN_FLIGHT.saturating_sub(transfer.requested.len());
                let next = transfer.missing.difference(&transfer.requested).take(room);
                next.copied().map(StatePart::Chunk).collect()
            }
        };
        for part in parts {
            if let StatePart::Chunk(index) = part {
                transfer.requested.insert(index);
            }
            let fetch = FetchState { seq: transfer.seq, part };
            effects.push(Effect::Send { to, message: Message::FetchState(fetch) });
        }
    }

    /// Another replica asks for state.
    pub(crate) fn on_fetch_state(&mut self, from: ReplicaId, fetch: FetchState) -> Outcome {
        let known = match (self.manifests.get(&fetch.seq), fetch.part) {
            (None, _) => planted!(self.params, UnknownStateServed),
            (Some(_), StatePart::Manifest) => true,
            (Some(manifest), StatePart::Chunk(index)) => {
                (index as usize) < manifest.chunks.len() || planted!(self.params, UnknownPartServed)
            }
        };
        if !known {
            return Err(Rejection::Unavailable);
        }
        let (bytes, max) = (self.part_size(fetch), self.params.help_bytes_max);
        self.budget.check(from, Help::State, bytes, max)?;
        // All checks passed; nothing has changed yet.
        self.budget.spend(from, Some(Help::State), bytes);
        Ok(vec![Effect::ServeState { to: from, seq: fetch.seq, part: fetch.part }])
    }

    /// How many bytes a part has, as far as it is known here.
    fn part_size(&self, fetch: FetchState) -> usize {
        let manifest = self.manifests.get(&fetch.seq);
        match fetch.part {
            StatePart::Manifest => manifest.map_or(0, |manifest| manifest.encode().len()),
            StatePart::Chunk(_) => CHUNK_BYTES,
        }
    }

    /// State that this replica asked for.
    pub(crate) fn on_state_data(&mut self, data: &StateData) -> Outcome {
        let unchecked = planted!(self.params, StateTransferUnverified);
        let Some(transfer) = self.transfer.as_ref().filter(|transfer| transfer.seq == data.seq)
        else {
            return Err(Rejection::NotRequested);
        };
        match data.part {
            StatePart::Manifest => {
                let manifest = transfer.check_manifest(data, unchecked)?;
                // All checks passed; nothing has changed yet.
                self.on_manifest(manifest)
            }
            StatePart::Chunk(index) => {
                let replies = transfer.check_chunk(index, data, unchecked)?;
                // All checks passed; nothing has changed yet.
                self.on_chunk(index, &data.bytes, replies)
            }
        }
    }

    fn on_manifest(&mut self, manifest: Manifest) -> Outcome {
        let mut effects = Vec::new();
        if let Some(transfer) = &mut self.transfer {
            transfer.missing = (0..manifest.chunks.len() as u32).collect();
            transfer.manifest = Some(manifest);
            transfer.progress = true;
        }
        self.request_missing(&mut effects);
        Ok(effects)
    }

    fn on_chunk(&mut self, index: u32, bytes: &Arc<[u8]>, replies: Option<ReplyTable>) -> Outcome {
        let mut effects = Vec::new();
        let Some(transfer) = &mut self.transfer else { return Ok(effects) };
        transfer.missing.remove(&index);
        transfer.requested.remove(&index);
        transfer.progress = true;
        if replies.is_some() {
            transfer.replies = replies;
        }
        let (seq, bytes) = (transfer.seq, Arc::clone(bytes));
        effects.push(Effect::StageChunk { seq, index, bytes });
        if !transfer.missing.is_empty() {
            self.request_missing(&mut effects);
        } else if let (Some(manifest), Some(replies)) =
            (transfer.manifest.clone(), transfer.replies.clone())
        {
            effects.push(Effect::Install { manifest, replies });
        }
        Ok(effects)
    }

    /// The fetched state is the service's state now.
    pub(crate) fn on_installed(&mut self, seq: SeqNum) -> Outcome {
        let expected = self.transfer.as_ref().filter(|transfer| transfer.is_complete());
        let expected = expected.map(|transfer| transfer.seq);
        let unexpected = Rejection::UnexpectedCompletion { expected, got: seq };
        let Some(mut transfer) = self.transfer.take_if(|t| t.is_complete() && t.seq == seq) else {
            return Err(unexpected);
        };
        let (Some(manifest), Some(replies)) = (transfer.manifest.take(), transfer.replies.take())
        else {
            return Err(unexpected);
        };
        // All checks passed; nothing has changed yet (but for what was taken).
        assert!(seq > self.last_executed, "a transfer never goes back");
        let mut effects = Vec::new();
        self.last_executed = seq;
        self.executing = None;
        self.replies = replies;
        self.pending.settle_all(&self.replies);
        self.manifests.insert(seq, manifest);
        self.stabilise(seq, transfer.stable, &mut effects);
        if self.active {
            self.refresh_timer(&mut effects);
            self.propose(&mut effects);
        }
        self.execute_next(&mut effects);
        if planted!(self.params, InactiveAfterTransfer) {
            return Ok(effects);
        }
        self.try_awaited(&mut effects);
        self.try_new_view(&mut effects);
        // The peers have gone on meanwhile: what they have above this state is asked for before they forget it, too.
        effects.push(Effect::Broadcast(Message::Status(self.signed(self.status()))));
        Ok(effects)
    }
}

impl Transfer {
    /// The signers of the proof in turn, without this replica: at least f+1 correct ones have the state.
    fn source(&self, own: ReplicaId) -> ReplicaId {
        let signers = self.stable.checkpoints.iter().map(|vote| vote.body.replica);
        let others: Vec<_> = signers.filter(|signer| *signer != own).collect();
        others[self.attempts % others.len()]
    }

    fn is_complete(&self) -> bool {
        self.manifest.is_some() && self.missing.is_empty() && self.replies.is_some()
    }

    fn check_manifest(&self, data: &StateData, unchecked: bool) -> Result<Manifest, Rejection> {
        if self.manifest.is_some() {
            return Err(Rejection::Duplicate);
        }
        let manifest = Manifest::decode(&data.bytes).filter(|manifest| manifest.seq == self.seq);
        let manifest = manifest.ok_or(Rejection::UnreadableStateData)?;
        let (expected, got) = (self.digest, manifest.digest());
        if got != expected && !unchecked {
            return Err(Rejection::WrongStateData { expected, got });
        }
        Ok(manifest)
    }

    /// The reply table, if it is in this chunk.
    fn check_chunk(
        &self,
        index: u32,
        data: &StateData,
        unchecked: bool,
    ) -> Result<Option<ReplyTable>, Rejection> {
        let expected = self.manifest.as_ref().and_then(|m| m.chunks.get(index as usize));
        let expected = *expected.ok_or(Rejection::NotRequested)?;
        if !self.missing.contains(&index) {
            return Err(Rejection::Duplicate);
        }
        let got = chunk_digest(&data.bytes);
        if got != expected && !unchecked {
            return Err(Rejection::WrongStateData { expected, got });
        }
        match index {
            0 => ReplyTable::decode(&data.bytes).map(Some).ok_or(Rejection::UnreadableStateData),
            _ => Ok(None),
        }
    }
}
