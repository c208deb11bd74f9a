//! Who is asked for state, and for how much at a time.
//!
//! All signers of the stable certificate are asked in parallel. How much a source may have under way follows from how
//! long its answers take: more while they come at once, less when they begin to queue, so that a slow link is kept
//! busy and never flooded. What a source does not deliver in its patience is asked of another; one that delivers
//! nothing is left alone for longer and longer. A faulty source holds up at most what it has under way, which is
//! little, since nothing that it did not deliver made it more.
//!
//! The core has no clock: time is counted in ticks ([`crate::Timer::Status`]) of a transfer.

use crate::message::StatePart;
use crate::types::{Digest, ReplicaId, SeqNum};
use std::collections::BTreeMap;

/// The most bytes of chunks under way, of all sources together: enough for 100 Mbit/s with a round trip of a third of
/// a second, and what waits in a peer's queue to this replica stays small beside its votes.
const BYTES_UNDER_WAY: usize = 4 * 1024 * 1024;

/// Parts that a source may have under way at first.
const WINDOW_FIRST: usize = 4;

/// The most parts of one source under way, however small they are.
const WINDOW_MAX: usize = 128;

/// Ticks that a part may be under way before another source is asked for it.
const PATIENCE: u64 = 4;

/// The longest patience with a source whose answers came late: a chunk of a megabyte on a link of 64 kB/s.
const PATIENCE_MAX: u64 = 64;

/// The most ticks that a source is left alone after it was silent.
const BENCH_MAX: u64 = 256;

/// An answer that took so many ticks more than the fastest one has waited in a queue.
const QUEUEING: u64 = 2;

/// A part under way for so many ticks may be asked of a source that has nothing else to do.
const DOUBLED_AFTER: u64 = 2;

/// What is known of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    window: usize,
    patience: u64,
    /// How many ticks its fastest answer took.
    fastest: Option<u64>,
    /// How many ticks its last answer took.
    latest: u64,
    /// Since when it has been asked for something and has said nothing, whatever targets there were.
    waiting_since: Option<u64>,
    /// The tick before which it is asked for nothing.
    benched_until: u64,
    /// How long it is left alone the next time.
    bench: u64,
    /// The bytes that it was asked for since the last tick.
    asked: usize,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            window: WINDOW_FIRST,
            patience: PATIENCE,
            fastest: None,
            latest: 0,
            waiting_since: None,
            benched_until: 0,
            bench: PATIENCE,
            asked: 0,
        }
    }
}

/// A part that a source was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// The digest that it must have.
    pub(crate) digest: Digest,
    /// Its length, as the manifest says.
    pub(crate) len: usize,
    /// The tick at which it was asked for.
    at: u64,
    /// Another source is asked for it; it is taken all the same if it comes.
    given_up: bool,
}

/// A part of a checkpoint's state, as one source was asked for it.
pub(crate) type Asked = (ReplicaId, SeqNum, StatePart);

/// All sources, and what is under way from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sources {
    tick: u64,
    /// The most bytes that a source is asked for between two ticks.
    tick_bytes_max: usize,
    known: BTreeMap<ReplicaId, Source>,
    asked: BTreeMap<Asked, Ask>,
}

impl Sources {
    /// Nothing is known of anybody. A source gives `help_bytes_max` between two ticks of its own, into which parts of two
    /// ticks here may fall: what it would refuse is not asked for, since that would look as if it were silent.
    pub(crate) fn new(help_bytes_max: usize) -> Self {
        let (known, asked) = (BTreeMap::new(), BTreeMap::new());
        Self { tick: 0, tick_bytes_max: help_bytes_max / 2, known, asked }
    }

    /// What was asked of a source under this name.
    pub(crate) fn ask(&self, asked: &Asked) -> Option<&Ask> {
        self.asked.get(asked)
    }

    /// A source is asked for a part.
    pub(crate) fn on_ask(&mut self, asked: Asked, digest: Digest, len: usize) {
        let source = self.known.entry(asked.0).or_default();
        source.waiting_since.get_or_insert(self.tick);
        // How long a manifest is, nobody knows yet; it counts all the same.
        source.asked = source.asked.saturating_add(len.max(1));
        self.asked.insert(asked, Ask { digest, len, at: self.tick, given_up: false });
    }

    /// A part came from the source that was asked for it: nobody else need send it, and the source has shown how fast
    /// it is.
    pub(crate) fn on_answer(&mut self, asked: &Asked) {
        let Some(ask) = self.asked.remove(asked) else { return };
        self.asked.retain(|_, other| other.digest != ask.digest);
        let age = self.tick - ask.at;
        let source = self.known.entry(asked.0).or_default();
        let fastest = source.fastest.map_or(age, |fastest| fastest.min(age));
        source.fastest = Some(fastest);
        source.latest = age;
        source.waiting_since =
            self.asked.keys().any(|(of, ..)| *of == asked.0).then_some(self.tick);
        (source.benched_until, source.bench) = (0, PATIENCE);
        if ask.given_up {
            source.patience = (2 * source.patience).min(PATIENCE_MAX);
        }
        if age < fastest + QUEUEING {
            source.window = (source.window + 1).min(WINDOW_MAX);
        } else if age > fastest + QUEUEING {
            source.window = (source.window - 1).max(1);
        }
    }

    /// Time passes: what is overdue is given up. Returns the digests of those parts.
    pub(crate) fn on_tick(&mut self) -> Vec<Digest> {
        self.tick += 1;
        let mut overdue = Vec::new();
        for ((id, ..), ask) in &mut self.asked {
            let source = self.known.entry(*id).or_default();
            if ask.given_up || self.tick - ask.at <= source.patience {
                continue;
            }
            ask.given_up = true;
            overdue.push(ask.digest);
            source.window = 1;
        }
        for source in self.known.values_mut() {
            source.asked = 0;
            let silent = source.waiting_since.is_some_and(|at| self.tick - at > source.patience);
            if silent {
                (source.window, source.waiting_since) = (1, None);
                source.benched_until = self.tick + source.bench;
                source.bench = (2 * source.bench).min(BENCH_MAX);
            }
        }
        overdue
    }

    /// Nothing is under way any more: the transfer is over.
    pub(crate) fn clear(&mut self) {
        self.asked.clear();
        self.known.values_mut().for_each(|source| source.waiting_since = None);
    }

    /// Forgets what was asked for and is not needed any more.
    pub(crate) fn retain(&mut self, is_needed: impl Fn(&Digest) -> bool) {
        self.asked.retain(|_, ask| is_needed(&ask.digest));
    }

    /// The digests of all that somebody is asked for and may still send in time.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = Digest> {
        self.asked.values().filter(|ask| !ask.given_up).map(|ask| ask.digest)
    }

    /// What is under way from `id`.
    fn under_way_from(&self, id: ReplicaId) -> impl Iterator<Item = &Ask> {
        let own = self.asked.iter().filter(move |((of, ..), ask)| *of == id && !ask.given_up);
        own.map(|(_, ask)| ask)
    }

    /// Whether this is under way from `id`.
    pub(crate) fn asks(&self, id: ReplicaId, digest: Digest) -> bool {
        self.under_way_from(id).any(|ask| ask.digest == digest)
    }

    /// Of `signers`, those that are worth asking now; all of them if all have been silent.
    pub(crate) fn willing(&self, signers: &[ReplicaId]) -> Vec<ReplicaId> {
        let benched = |id: &ReplicaId| {
            self.known.get(id).is_some_and(|source| source.benched_until > self.tick)
        };
        let willing: Vec<_> = signers.iter().copied().filter(|id| !benched(id)).collect();
        if willing.is_empty() { signers.to_vec() } else { willing }
    }

    /// Whether `id` takes longer than the fastest source by more than what a queue would explain: it is relied on only
    /// for what all others have no room for.
    pub(crate) fn lags(&self, id: ReplicaId) -> bool {
        let Some(source) = self.known.get(&id) else { return false };
        let fastest = self.known.values().filter_map(|source| source.fastest).min();
        let waiting = source.waiting_since.map_or(0, |at| self.tick - at);
        fastest.is_some_and(|fastest| source.latest.max(waiting) >= fastest + QUEUEING)
    }

    /// Whether `id` will give `len` bytes more before the next tick; one part is always given.
    pub(crate) fn will_give(&self, id: ReplicaId, len: usize) -> bool {
        let asked = self.known.get(&id).map_or(0, |source| source.asked);
        asked == 0 || asked.saturating_add(len) <= self.tick_bytes_max
    }

    /// Whether `id`, one of `count` sources, may be asked for `len` more bytes. Each has its share of the budget, so
    /// that none can use it up by being silent; one part is always possible, whatever its size.
    pub(crate) fn has_room(&self, id: ReplicaId, len: usize, count: usize) -> bool {
        let bytes: usize = self.under_way_from(id).map(|ask| ask.len).sum();
        let window = self.known.get(&id).map_or(WINDOW_FIRST, |source| source.window);
        self.under_way_from(id).count() < window
            && (bytes == 0 || bytes + len <= BYTES_UNDER_WAY / count.max(1))
            && self.will_give(id, len)
    }

    /// Whether nothing is under way from `id`.
    pub(crate) fn is_idle(&self, id: ReplicaId) -> bool {
        self.under_way_from(id).next().is_none()
    }

    /// A chunk that one slow source alone is asked for, and that `id` was not.
    pub(crate) fn worth_doubling(
        &self,
        id: ReplicaId,
    ) -> Option<(StatePart, SeqNum, Digest, usize)> {
        self.asked.iter().find_map(|((of, seq, part), ask)| {
            let slow = *of != id && !ask.given_up && self.tick - ask.at >= DOUBLED_AFTER;
            let same = self.asked.iter().filter(|(_, other)| other.digest == ask.digest);
            let once = same.clone().filter(|(_, other)| !other.given_up).count() == 1;
            let asked_before = || same.clone().any(|((other, ..), _)| *other == id);
            let chunk = matches!(part, StatePart::Chunk(_));
            (chunk && slow && once && !asked_before()).then_some((*part, *seq, ask.digest, ask.len))
        })
    }
}
