//! State transfer (§4.3, and §6.2 of the journal version): a replica that cannot reach a stable checkpoint by
//! executing fetches its state. The target is a stable certificate, so every part can be checked by its digest
//! and no source needs to be trusted; who is asked for what is decided in [`crate::sources`].
//!
//! A transfer ends, however fast the checkpoints follow each other and whatever f of the sources do. What was fetched
//! is kept by its digest, so that a later target costs only what differs from the states that are here. A target is
//! kept while its state is one of the last two that the others serve; the manifest is asked of f+1 sources at once, so
//! that one correct source answers it in one round trip; and a source that has been silent is not relied on again.

use crate::budget::Help;
use crate::effect::Effect;
use crate::execution::Execution;
use crate::manifest::{Manifest, chunk_digest};
use crate::message::{FetchState, Message, StableCertificate, StateData, StatePart};
use crate::params::Params;
use crate::rejection::{Rejection, refuse_if};
use crate::replica::{Outcome, Replica};
use crate::replies::{ReplyTable, is_chunk};
use crate::sources::{Asked, Sources};
use crate::types::{Digest, ReplicaId, SeqNum};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A transfer, planned or under way.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
struct Transfer {
    seq: SeqNum,
    digest: Digest,
    stable: Arc<StableCertificate>,
    /// The latest stable checkpoint that was learned of meanwhile.
    later: Option<Arc<StableCertificate>>,
    /// Whether anything was asked for; if not, the transfer is only planned.
    begun: bool,
    /// Signers asked for a manifest so far: whose turn it is.
    turn: usize,
    manifest: Option<Manifest>,
    /// Chunks that are not here yet, by digest, with an index at which the manifest has them. While there is no
    /// manifest, those of the target before: they may be in this state, too.
    missing: BTreeMap<Digest, u32>,
    /// Of these, the indices of those that nobody is asked for.
    unasked: BTreeSet<u32>,
}

/// State that is fetched: one transfer at most, from many sources. What was staged is of no use without one, and is let
/// go of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StateTransfer {
    current: Option<Transfer>,
    /// What is known of those that state is fetched from.
    sources: Sources,
    /// Chunks that were fetched and not installed yet.
    staged: BTreeSet<Digest>,
}

/// Asks `to`, one of `count` sources, for the next chunk that nobody is asked for, if it has room; or, if there is
/// none and it has nothing to do, for one that a slow source alone is asked for.
fn next_chunk(
    transfer: &mut Transfer,
    manifest: &Manifest,
    sources: &mut Sources,
    to: ReplicaId,
    count: usize,
) -> Option<Asked> {
    let next = transfer.unasked.first().copied();
    let next = next.and_then(|index| Some((index, manifest.chunks.get(index as usize)?)));
    let (part, seq, digest, len) = match next {
        Some((index, chunk)) if sources.has_room(to, chunk.len as usize, count) => {
            transfer.unasked.remove(&index);
            (StatePart::Chunk(index), transfer.seq, chunk.digest, chunk.len as usize)
        }
        None if sources.is_idle(to) => {
            sources.worth_doubling(to).filter(|(.., len)| sources.will_give(to, *len))?
        }
        Some(_) | None => return None,
    };
    sources.on_ask((to, seq, part), digest, len);
    Some((to, seq, part))
}

impl StateTransfer {
    /// Nothing is fetched. These chunks were staged before a restart.
    pub(crate) fn new(params: &Params, staged: impl IntoIterator<Item = Digest>) -> Self {
        let sources = Sources::new(params.help_bytes_max);
        Self { current: None, sources, staged: staged.into_iter().collect() }
    }

    /// The checkpoint whose state is to be fetched, if there is one.
    pub(crate) fn target(&self) -> Option<SeqNum> {
        self.current.as_ref().map(|transfer| transfer.seq)
    }

    /// Plans to fetch a checkpoint. It begins at the next tick, if execution has not come so far by then: a
    /// replica that is only a little behind needs no transfer. One that had not even reached the checkpoint before is
    /// not only a little behind: it begins at once.
    pub(crate) fn plan(
        &mut self,
        stable: Arc<StableCertificate>,
        params: &Params,
        effects: &mut Vec<Effect>,
    ) {
        let Some((seq, digest)) = stable.proves() else { return };
        let Some(transfer) = &mut self.current else {
            self.current = Some(Transfer { seq, digest, stable, ..Transfer::default() });
            return;
        };
        let latest = transfer.later.as_ref().and_then(|later| later.proves()).map(|(seq, _)| seq);
        if latest.unwrap_or(transfer.seq) >= seq {
            return;
        }
        if transfer.begun && !params.is_forgotten(transfer.seq, seq) {
            transfer.later = Some(stable);
            return;
        }
        let (missing, turn) = (std::mem::take(&mut transfer.missing), transfer.turn);
        self.sources.retain(|digest| missing.contains_key(digest));
        self.current = Some(Transfer { seq, digest, stable, missing, turn, ..Transfer::default() });
        self.begin(params, effects);
    }

    /// Begins the planned transfer now.
    pub(crate) fn begin(&mut self, params: &Params, effects: &mut Vec<Effect>) {
        if let Some(transfer) = &mut self.current
            && !std::mem::replace(&mut transfer.begun, true)
        {
            self.request_missing(params, effects);
        }
    }

    /// The transfer, if execution has come as far as its target: nothing is fetched any more.
    fn take_reached(&mut self, executed: SeqNum) -> Option<Transfer> {
        let transfer = self.current.take_if(|transfer| transfer.seq <= executed)?;
        self.sources.clear();
        Some(transfer)
    }

    /// The transfer of the checkpoint at `seq`, if all of it was fetched.
    fn take_complete(&mut self, seq: SeqNum) -> Result<Transfer, Rejection> {
        let expected = self.current.as_ref().and_then(Transfer::complete);
        let expected = expected.map(|manifest| manifest.seq);
        let transfer = self.current.take_if(|_| expected == Some(seq));
        let transfer = transfer.ok_or(Rejection::UnexpectedCompletion { expected, got: seq })?;
        self.staged.clear();
        self.sources.clear();
        Ok(transfer)
    }

    /// At each tick: begin, or ask others for what is overdue.
    pub(crate) fn tick(&mut self, params: &Params, effects: &mut Vec<Effect>) {
        let Some(transfer) = &mut self.current else { return };
        let overdue = self.sources.on_tick();
        let under_way: BTreeSet<Digest> = self.sources.under_way().collect();
        transfer.begun = true;
        if transfer.manifest.is_some() {
            let again = overdue.iter().filter(|digest| !under_way.contains(digest));
            transfer.unasked.extend(again.filter_map(|digest| transfer.missing.get(digest)));
        }
        self.fetch_or_install(params, effects);
    }

    /// Asks for the manifest, or for as many chunks as may be under way.
    fn request_missing(&mut self, params: &Params, effects: &mut Vec<Effect>) {
        let Some(transfer) = &mut self.current else { return };
        let signers = transfer.signers(params.replica);
        let willing = self.sources.willing(&signers);
        let mut asks: Vec<Asked> = Vec::new();
        let manifest = transfer.manifest.take();
        match &manifest {
            None => {
                let under_way = self.sources.under_way().filter(|d| *d == transfer.digest).count();
                for _ in under_way..params.membership.weak() {
                    let (seq, digest) = (transfer.seq, transfer.digest);
                    let turns = (0..signers.len()).map(|i| (transfer.turn + i) % signers.len());
                    let is_free = |to| willing.contains(&to) && !self.sources.asks(to, digest);
                    let Some(at) = turns.into_iter().find(|at| is_free(signers[*at])) else {
                        break;
                    };
                    let to = signers[at];
                    transfer.turn = at + 1;
                    self.sources.on_ask((to, seq, StatePart::Manifest), digest, 0);
                    asks.push((to, seq, StatePart::Manifest));
                }
            }
            Some(manifest) => {
                let (lagging, prompt): (Vec<_>, Vec<_>) =
                    willing.iter().partition(|id| self.sources.lags(**id));
                let count = willing.len();
                loop {
                    let before = asks.len();
                    for to in if prompt.is_empty() { &lagging } else { &prompt } {
                        asks.extend(next_chunk(transfer, manifest, &mut self.sources, *to, count));
                    }
                    if asks.len() == before {
                        break;
                    }
                }
                // One that lags is asked when all others are busy, and for one part at a time.
                for to in lagging {
                    if self.sources.is_idle(to) && !transfer.unasked.is_empty() {
                        asks.extend(next_chunk(transfer, manifest, &mut self.sources, to, count));
                    }
                }
            }
        }
        transfer.manifest = manifest;
        effects.extend(asks.into_iter().map(|(to, seq, part)| Effect::Send {
            to,
            message: Message::FetchState(FetchState { seq, part }),
        }));
    }

    /// State that this replica asked `from` for. `kept`: the states that are here.
    pub(crate) fn on_state_data(
        &mut self,
        from: ReplicaId,
        data: &StateData,
        kept: &BTreeMap<SeqNum, Manifest>,
        params: &Params,
    ) -> Outcome {
        let Some(transfer) = &self.current else { return Err(Rejection::NotRequested) };
        let asked = (from, data.seq, data.part);
        // Before the bytes are hashed: what nobody asked for costs nothing.
        let Some(ask) = self.sources.ask(&asked) else {
            return Err(match transfer.has(data) {
                true => Rejection::Duplicate,
                false => Rejection::NotRequested,
            });
        };
        let expected = ask.digest;
        let mut effects = match data.part {
            StatePart::Manifest => {
                let manifest = Manifest::decode(&data.bytes);
                let manifest = manifest.filter(|manifest| manifest.seq == transfer.seq);
                let manifest = manifest.ok_or(Rejection::UnreadableStateData)?;
                let got = manifest.digest();
                refuse_if(got != expected, Rejection::WrongStateData { expected, got })?;
                // All checks passed; nothing has changed yet.
                self.sources.on_answer(&asked);
                self.on_manifest(manifest, kept)
            }
            StatePart::Chunk(_) => {
                let got = chunk_digest(&data.bytes);
                refuse_if(got != expected, Rejection::WrongStateData { expected, got })?;
                let is_unreadable = transfer.is_reply_chunk(expected) && !is_chunk(&data.bytes);
                refuse_if(is_unreadable, Rejection::UnreadableStateData)?;
                // All checks passed; nothing has changed yet.
                self.sources.on_answer(&asked);
                self.on_chunk(expected, &data.bytes)
            }
        };
        self.fetch_or_install(params, &mut effects);
        Ok(effects)
    }

    fn on_manifest(
        &mut self,
        manifest: Manifest,
        kept: &BTreeMap<SeqNum, Manifest>,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        let needed: BTreeSet<Digest> = manifest.chunks.iter().map(|chunk| chunk.digest).collect();
        if self.staged.iter().any(|digest| !needed.contains(digest)) {
            self.staged.retain(|digest| needed.contains(digest));
            effects.push(Effect::RetainStaged { needed });
        }
        if let Some(transfer) = &mut self.current {
            transfer.manifest = Some(manifest);
        }
        self.recount_missing(kept);
        effects
    }

    /// What is missing is what is neither staged nor in a state that is kept here.
    fn recount_missing(&mut self, kept: &BTreeMap<SeqNum, Manifest>) {
        let Some(transfer) = &mut self.current else { return };
        let Some(manifest) = &transfer.manifest else { return };
        let own = kept.values().flat_map(|own| &own.chunks).map(|chunk| chunk.digest);
        let own: BTreeSet<Digest> = own.collect();
        let is_here = |digest: &Digest| self.staged.contains(digest) || own.contains(digest);
        let all = (0u32..).zip(&manifest.chunks).map(|(index, chunk)| (chunk.digest, index));
        transfer.missing.clear();
        for (digest, index) in all.filter(|(digest, _)| !is_here(digest)) {
            transfer.missing.entry(digest).or_insert(index);
        }
        self.sources.retain(|digest| transfer.missing.contains_key(digest));
        let under_way: BTreeSet<Digest> = self.sources.under_way().collect();
        let unasked = transfer.missing.iter().filter(|(digest, _)| !under_way.contains(digest));
        transfer.unasked = unasked.map(|(_, index)| *index).collect();
    }

    fn on_chunk(&mut self, digest: Digest, bytes: &Arc<[u8]>) -> Vec<Effect> {
        if let Some(transfer) = &mut self.current
            && let Some(index) = transfer.missing.remove(&digest)
        {
            transfer.unasked.remove(&index);
        }
        self.staged.insert(digest);
        vec![Effect::StageChunk { digest, bytes: Arc::clone(bytes) }]
    }

    fn fetch_or_install(&mut self, params: &Params, effects: &mut Vec<Effect>) {
        match self.current.as_ref().and_then(Transfer::complete) {
            Some(manifest) => effects.push(Effect::Install { manifest: manifest.clone() }),
            None => self.request_missing(params, effects),
        }
    }

    /// States at and below `stable` are not fetched any more, and some that are kept here may just have been let go of.
    pub(crate) fn on_stable(
        &mut self,
        stable: SeqNum,
        kept: &BTreeMap<SeqNum, Manifest>,
        effects: &mut Vec<Effect>,
    ) {
        self.take_reached(stable);
        if self.current.is_some() {
            self.recount_missing(kept);
        } else if !self.staged.is_empty() {
            self.staged.clear();
            effects.push(Effect::RetainStaged { needed: BTreeSet::new() });
        }
    }
}

impl Replica {
    /// Execution has come as far as the target: the proof makes the own checkpoint stable.
    pub(crate) fn settle_transfer(&mut self, effects: &mut Vec<Effect>) {
        if let Some(transfer) = self.transfer.take_reached(self.execution.last_executed()) {
            self.learn_stable(transfer.stable, effects);
            if let Some(later) = transfer.later {
                self.learn_stable(later, effects);
            }
        }
    }

    /// Another replica asks for state.
    pub(crate) fn on_fetch_state(&mut self, from: ReplicaId, fetch: FetchState) -> Outcome {
        let manifest = self.checkpoints.manifests.get(&fetch.seq).ok_or(Rejection::Unavailable)?;
        let bytes = manifest.part_len(fetch.part).ok_or(Rejection::Unavailable)?;
        self.peers.budget.give(from, Some(Help::State), bytes)?;
        Ok(vec![Effect::ServeState { to: from, seq: fetch.seq, part: fetch.part }])
    }

    /// The fetched state is the service's state now.
    pub(crate) fn on_installed(&mut self, seq: SeqNum, replies: ReplyTable) -> Outcome {
        let transfer = self.transfer.take_complete(seq)?;
        // All checks passed; nothing has changed yet (but for what was taken).
        assert!(seq > self.execution.last_executed(), "a transfer never goes back");
        let mut effects = Vec::new();
        self.execution = Execution::new(seq, replies);
        self.pending.settle_all(&self.execution.replies);
        self.checkpoints.manifests.extend(transfer.manifest.map(|manifest| (seq, manifest)));
        self.stabilise(seq, transfer.stable, &mut effects);
        if self.view.is_active() {
            self.refresh_timer(&mut effects);
            self.propose(&mut effects);
        }
        self.execute_next(&mut effects);
        if let Some(later) = transfer.later {
            // It was not reached while this one was fetched, so it is not reached soon.
            self.learn_stable(later, &mut effects);
            self.transfer.begin(&self.params, &mut effects);
        }
        self.try_awaited(&mut effects);
        self.try_new_view(&mut effects);
        // The peers have gone on meanwhile: what they have above this state is asked for before they forget it, too.
        effects.push(Effect::Broadcast(Message::Status(self.signed(self.status()))));
        Ok(effects)
    }
}

impl Transfer {
    /// The signers of the proof without this replica: at least f+1 correct ones have the state.
    fn signers(&self, own: ReplicaId) -> Vec<ReplicaId> {
        let signers = self.stable.checkpoints.iter().map(|vote| vote.body.replica);
        signers.filter(|signer| *signer != own).collect()
    }

    /// The manifest, if everything that it names is here.
    fn complete(&self) -> Option<&Manifest> {
        self.manifest.as_ref().filter(|_| self.missing.is_empty())
    }

    /// Whether the part that `data` claims to be is here.
    fn has(&self, data: &StateData) -> bool {
        let Some(manifest) = self.manifest.as_ref().filter(|_| data.seq == self.seq) else {
            return false;
        };
        match data.part {
            StatePart::Manifest => true,
            StatePart::Chunk(index) => {
                let chunk = manifest.chunks.get(index as usize);
                chunk.is_some_and(|chunk| !self.missing.contains_key(&chunk.digest))
            }
        }
    }

    /// Whether a chunk with this digest is one of the reply table.
    fn is_reply_chunk(&self, digest: Digest) -> bool {
        let replies = self.manifest.as_ref().map_or(0, |manifest| manifest.replies);
        self.missing.get(&digest).is_some_and(|index| *index < replies)
    }
}
