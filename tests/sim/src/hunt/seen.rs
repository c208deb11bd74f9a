//! What a moment of a run is, once names and large numbers are left out, so that two moments can be the same.
//!
//! A cluster's *abstract state* is what the correct replicas are in the model's words: view, phase, certificates, what is
//! final, what is executed. The model is bounded, a run is not; so the state is seen through a window of two numbers above
//! what all of them have executed and of four views above the lowest. Digests are told apart by when they are met, replicas
//! not at all, but for the primary of a view.

use crate::rng::fingerprint;
use pbft_core::message::{Batch, Message};
use pbft_core::types::{Digest, SeqNum, View};
use pbft_core::{Effect, Footprint, Input, Rejection, Replica, Summary, Timer};
use std::collections::{BTreeMap, BTreeSet};

/// So many numbers above what everybody has executed are looked at.
const SLOTS: u64 = 2;

/// Larger differences are not told apart.
const FAR: u64 = 3;

/// Everything that runs have shown, as fingerprints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Abstract states of clusters.
    pub states: BTreeSet<u64>,
    /// Abstract states of one replica with what it holds beside them: votes, requests and batches, to the order of magnitude.
    pub cores: BTreeSet<u64>,
    /// Reasons to refuse, with the kind of message and the phase of the replica.
    pub refusals: BTreeSet<u64>,
    /// Pairs of steps that followed one another at a replica.
    pub pairs: BTreeSet<u64>,
}

impl Seen {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            states: BTreeSet::new(),
            cores: BTreeSet::new(),
            refusals: BTreeSet::new(),
            pairs: BTreeSet::new(),
        }
    }

    /// Adds what another run has shown; how much of it is new.
    pub fn add(&mut self, other: &Self) -> Fresh {
        let add = |mine: &mut BTreeSet<u64>, theirs: &BTreeSet<u64>| {
            theirs.iter().filter(|one| mine.insert(**one)).count() as u64
        };
        Fresh {
            states: add(&mut self.states, &other.states),
            others: add(&mut self.cores, &other.cores)
                + add(&mut self.refusals, &other.refusals)
                + add(&mut self.pairs, &other.pairs),
        }
    }
}

/// How much of what a run has shown was new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fresh {
    /// Abstract states.
    pub states: u64,
    /// Everything else.
    pub others: u64,
}

/// Looks at the correct replicas of one run.
#[derive(Debug)]
pub struct Sightings {
    /// The number of replicas.
    n: u64,
    /// What there was to see.
    pub seen: Seen,
    /// Each process that runs.
    replicas: BTreeMap<usize, Summary>,
    /// The last step of each.
    last: BTreeMap<usize, u64>,
    /// The process that is looked at.
    pub(crate) current: usize,
}

impl Sightings {
    /// Of a cluster of this size.
    #[must_use]
    pub fn new(n: u32) -> Self {
        Self {
            n: u64::from(n),
            seen: Seen::new(),
            replicas: BTreeMap::new(),
            last: BTreeMap::new(),
            current: 0,
        }
    }

    /// A replica made a step.
    pub(crate) fn on_step(
        &mut self,
        input: &Input,
        outcome: &Result<Vec<Effect>, Rejection>,
        replica: &Replica,
    ) {
        let status = replica.status();
        let phase = (status.view.0.min(FAR) << 1) | u64::from(status.active);
        let step = match outcome {
            Err(rejection) => {
                let words = [kind(input), rejection.kind() as u64, phase];
                self.seen.refusals.insert(of(&words));
                of(&[kind(input), 1 << 32 | rejection.kind() as u64])
            }
            Ok(effects) => of(&[kind(input), did(effects), phase]),
        };
        let before = self.last.insert(self.current, step).unwrap_or_default();
        self.seen.pairs.insert(of(&[before, step]));
    }

    /// An event is over at a process.
    pub(crate) fn on_event(&mut self, index: usize, replica: Option<&Replica>) {
        match replica {
            Some(replica) => {
                let summary = replica.summary();
                if self.replicas.get(&index) != Some(&summary) {
                    self.replicas.insert(index, summary);
                    self.look(index, replica);
                }
            }
            None => {
                self.last.remove(&index);
                if self.replicas.remove(&index).is_some() {
                    self.seen.states.insert(self.cluster());
                }
            }
        }
    }

    fn look(&mut self, index: usize, replica: &Replica) {
        self.seen.states.insert(self.cluster());
        let Some(own) = self.replicas.get(&index) else { return };
        let mut words = Vec::new();
        self.base(std::iter::once(own)).describe(own, &mut words);
        words.extend(holdings(&replica.footprint()));
        words.push(u64::from(replica.is_view_timer_running()));
        self.seen.cores.insert(of(&words));
    }

    fn base<'s>(&self, replicas: impl Iterator<Item = &'s Summary> + Clone) -> Base {
        let view = replicas.clone().map(|one| one.view).min().unwrap_or_default();
        let executed = replicas.map(|one| one.last_executed).min().unwrap_or_default();
        Base {
            n: self.n,
            view,
            executed,
            names: vec![vec![Batch::default().digest()]; SLOTS as usize],
        }
    }

    /// The abstract state of the processes that run.
    fn cluster(&self) -> u64 {
        let mut base = self.base(self.replicas.values());
        let describe = |replica: &Summary| {
            let mut words = Vec::new();
            base.describe(replica, &mut words);
            words
        };
        let mut each: Vec<Vec<u64>> = self.replicas.values().map(describe).collect();
        each.sort_unstable();
        of(&each.concat())
    }
}

/// What states are relative to.
struct Base {
    n: u64,
    view: View,
    executed: SeqNum,
    /// The digests that were met at each number, in order; the first is that of the null batch.
    names: Vec<Vec<Digest>>,
}

impl Base {
    fn describe(&mut self, replica: &Summary, words: &mut Vec<u64>) {
        let Summary { view, active, low_water_mark, last_executed, .. } = replica;
        words.push((view.0 - self.view.0).min(FAR));
        words.push(u64::from(*active));
        words.push(u64::from(view.0 % self.n == u64::from(replica.replica.0)));
        words.push((last_executed.0 - self.executed.0).min(FAR));
        words.push(low_water_mark.0.saturating_sub(self.executed.0).min(FAR));
        for index in 0..SLOTS {
            let seq = SeqNum(self.executed.0 + 1 + index);
            let at = index as usize;
            let accepted = replica.accepted.get(&seq).map(|digest| self.name(at, *digest));
            let prepared = replica.prepared.get(&seq).map(|(of, digest)| {
                (1 + view.0.saturating_sub(of.0).min(FAR)) << 8 | self.name(at, *digest)
            });
            let committed = replica.committed.get(&seq).map(|digest| self.name(at, *digest));
            let own = u64::from(replica.checkpoints.contains_key(&seq));
            words.extend([accepted, prepared, committed].map(Option::unwrap_or_default));
            words.push(own);
        }
    }

    /// The number of a digest, by when it was met.
    fn name(&mut self, at: usize, digest: Digest) -> u64 {
        let names = &mut self.names[at];
        let known = names.iter().position(|one| *one == digest).unwrap_or_else(|| {
            names.push(digest);
            names.len() - 1
        });
        1 + known as u64
    }
}

fn of(words: &[u64]) -> u64 {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    fingerprint(words.len() as u64, &bytes)
}

/// What a replica holds: none, one, or how many bits the number has.
fn holdings(footprint: &Footprint) -> [u64; 7] {
    let Footprint { votes, pending, checkpoint_votes, view_changes, bodies, fetched, .. } =
        *footprint;
    [votes, pending, checkpoint_votes, view_changes, bodies, fetched, footprint.must_sign]
        .map(|number| u64::from(usize::BITS - number.leading_zeros()))
}

fn kind(input: &Input) -> u64 {
    let message = |message: &Message| fingerprint(1, message.kind().as_bytes()) >> 8;
    match input {
        Input::Message { message: one, .. } => message(one.get()),
        Input::Request(one) => 1 ^ message(one.get()),
        Input::Timer(Timer::ViewChange) => 1,
        Input::Timer(Timer::Status) => 2,
        Input::Timer(_) => 3,
        Input::Suspect => 4,
        Input::Executed { .. } => 5,
        Input::Installed { .. } => 6,
    }
}

/// What a step led to: the kinds of its effects, each a bit.
fn did(effects: &[Effect]) -> u64 {
    effects.iter().fold(0, |bits, effect| {
        bits | 1
            << match effect {
                Effect::Persist(_) => 0,
                Effect::Send { .. } => 1,
                Effect::Broadcast(message) => 16 + (fingerprint(2, message.kind().as_bytes()) & 31),
                Effect::Execute { .. } => 2,
                Effect::StoreCheckpoint { .. } => 3,
                Effect::Reply(_) => 4,
                Effect::SetTimer { .. } => 5,
                Effect::CancelTimer(_) => 6,
                Effect::ServeState { .. } => 7,
                Effect::StageChunk { .. } => 8,
                Effect::RetainStaged { .. } => 9,
                Effect::Install { .. } => 10,
                Effect::Halt(_) => 11,
            }
    })
}
