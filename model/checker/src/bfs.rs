//! A second search engine: breadth-first, level by level, with its own hash.
//!
//! It serves two ends. Stateright's breadth-first search works in blocks and so does not promise the shortest path;
//! this one does. And an exhaustive result is believed when two searches that share nothing but the model count the
//! same states and edges, under two hash seeds.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};

use stateright::Model;

use crate::run::{Counts, Progress};

/// Two seeds for the hash, to be tried in turn.
pub const SEEDS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03];

/// What a search found.
#[derive(Clone, Debug)]
pub struct Search<A> {
    /// Distinct states found.
    pub unique_states: u64,
    /// Successor states generated.
    pub edges: u64,
    /// Number of levels, the initial state's included.
    pub depth: u64,
    /// Whether every reachable state was visited.
    pub complete: bool,
    /// Indices of the actions that lead to the first state that matched, if one did.
    pub found: Option<Vec<A>>,
}

/// When a search ends before its frontier is empty.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Seed of the hash.
    pub seed: u64,
    /// Most states to visit.
    pub max_states: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { seed: SEEDS[0], max_states: u64::MAX }
    }
}

/// Searches breadth-first for a state that matches; the path returned is a shortest one.
pub fn search<M>(
    model: &M,
    limits: Limits,
    matches: impl Fn(&M, &M::State) -> bool,
    progress: &mut dyn Progress,
) -> Search<M::Action>
where
    M: Model,
    M::State: Hash + Clone,
    M::Action: Clone,
{
    let mut frontier = Frontier::start(model, limits.seed);
    let mut result = Search { unique_states: 0, edges: 0, depth: 0, complete: false, found: None };
    let mut matching = frontier.level.iter().position(|state| matches(model, state));
    while matching.is_none() && !frontier.level.is_empty() {
        result.depth += 1;
        if frontier.parents.len() as u64 >= limits.max_states {
            break;
        }
        matching = frontier.advance(model, &mut result.edges, &matches, &mut |unique, edges| {
            progress.tick(&Counts { unique, edges, depth: result.depth, queue: None });
        });
    }
    result.complete = matching.is_none() && frontier.level.is_empty();
    result.unique_states = frontier.parents.len() as u64;
    result.found = matching.map(|at| frontier.path_to(model, at));
    result
}

/// Counts states and edges under each seed, until `stop`: as many searches as there are seeds, which share the work of
/// taking steps and nothing else. Each has its own set of what it has visited, and goes on only from what it found itself.
pub fn count<M, const N: usize>(model: &M, seeds: [u64; N], stop: &AtomicBool) -> [(u64, u64); N]
where
    M: Model,
    M::State: Hash,
{
    let mut counts = [(0, 0); N];
    let mut visited = seeds.map(|seed| (seed, FingerprintSet::new()));
    // By which of the searches a state that one of them comes to is found.
    let mut visit = |state: &M::State, by: [bool; N], counts: &mut [(u64, u64); N]| {
        std::array::from_fn::<bool, N, _>(|search| {
            let (seed, visited) = &mut visited[search];
            let is_new = by[search] && visited.insert(fingerprint(*seed, state));
            counts[search].0 += u64::from(is_new);
            is_new
        })
    };
    let mut level = Vec::new();
    for state in model.init_states() {
        let by = visit(&state, [true; N], &mut counts);
        level.push((state, by));
    }
    let mut actions = Vec::new();
    while !level.is_empty() && !stop.load(Ordering::Relaxed) {
        for (state, by) in std::mem::take(&mut level) {
            model.actions(&state, &mut actions);
            for action in actions.drain(..) {
                let Some(next) = model.next_state(&state, action) else { continue };
                (0..N).for_each(|search| counts[search].1 += u64::from(by[search]));
                let by = visit(&next, by, &mut counts);
                if by.contains(&true) {
                    level.push((next, by));
                }
            }
        }
    }
    counts
}

/// The current level, with enough memory of the earlier ones to find the way back.
struct Frontier<S> {
    seed: u64,
    visited: FingerprintSet,
    level: Vec<S>,
    /// Discovery number of the first state of the level.
    first: usize,
    /// Per state in order of discovery: its parent's number and the index of the action.
    parents: Vec<(u32, u16)>,
}

impl<S: Hash + Clone> Frontier<S> {
    fn start<M: Model<State = S>>(model: &M, seed: u64) -> Self {
        let mut visited = FingerprintSet::new();
        let mut level = model.init_states();
        level.retain(|state| visited.insert(fingerprint(seed, state)));
        let parents = vec![(0, 0); level.len()];
        Self { seed, visited, level, first: 0, parents }
    }

    /// Replaces the level by the next one; stops at a state that matches.
    fn advance<M: Model<State = S>>(
        &mut self,
        model: &M,
        edges: &mut u64,
        matches: &impl Fn(&M, &S) -> bool,
        report: &mut dyn FnMut(u64, u64),
    ) -> Option<usize> {
        const REPORT_EVERY: usize = 4096;
        let level = std::mem::take(&mut self.level);
        let first = std::mem::replace(&mut self.first, self.parents.len());
        let mut actions = Vec::new();
        for (at, state) in level.into_iter().enumerate() {
            if at % REPORT_EVERY == 0 {
                report(self.parents.len() as u64, *edges);
            }
            model.actions(&state, &mut actions);
            for (index, action) in actions.drain(..).enumerate() {
                let Some(next) = model.next_state(&state, action) else { continue };
                *edges += 1;
                if !self.visited.insert(fingerprint(self.seed, &next)) {
                    continue;
                }
                let matching = matches(model, &next);
                self.parents.push(((first + at) as u32, index as u16));
                self.level.push(next);
                if matching {
                    return Some(self.level.len() - 1);
                }
            }
        }
        None
    }

    fn path_to<M: Model<State = S>>(&self, model: &M, at: usize) -> Vec<M::Action>
    where
        M::Action: Clone,
    {
        let roots = model.init_states().len();
        let mut number = self.first + at;
        let mut indices = Vec::new();
        while number >= roots {
            let (parent, index) = self.parents[number];
            indices.push(usize::from(index));
            number = parent as usize;
        }
        let mut path = Vec::new();
        let mut state = model.init_states().swap_remove(number);
        for index in indices.into_iter().rev() {
            let mut actions = Vec::new();
            model.actions(&state, &mut actions);
            let action = actions.swap_remove(index);
            path.push(action.clone());
            match model.next_state(&state, action) {
                Some(next) => state = next,
                None => break,
            }
        }
        path
    }
}

/// The fingerprint of a value under a seed; never zero.
pub fn fingerprint<T: Hash>(seed: u64, value: &T) -> u64 {
    let mut hasher = FoldHasher { state: seed };
    value.hash(&mut hasher);
    hasher.finish().max(1)
}

/// A multiply-and-fold hash over words of eight bytes.
struct FoldHasher {
    state: u64,
}

const MULTIPLIER: u64 = 0x9fb2_1c65_1e98_df25;

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

impl Hasher for FoldHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        // The rotation keeps a product of zero from erasing what came before.
        self.state = fold(self.state ^ word, MULTIPLIER) ^ self.state.rotate_left(23);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        fold(self.state ^ (self.state >> 29), MULTIPLIER.rotate_left(32) | 1)
    }
}

/// A set of fingerprints: open addressing, a power of two in size, at most three quarters full.
struct FingerprintSet {
    table: Vec<u64>,
    len: usize,
}

impl FingerprintSet {
    fn new() -> Self {
        Self { table: vec![0; 1 << 12], len: 0 }
    }

    fn insert(&mut self, fingerprint: u64) -> bool {
        if self.len * 4 >= self.table.len() * 3 {
            let larger = vec![0; self.table.len() * 2];
            for old in std::mem::replace(&mut self.table, larger) {
                if old != 0 {
                    self.place(old);
                }
            }
        }
        let fresh = self.place(fingerprint);
        self.len += usize::from(fresh);
        fresh
    }

    fn place(&mut self, fingerprint: u64) -> bool {
        let mask = self.table.len() - 1;
        let mut at = fingerprint as usize & mask;
        loop {
            match self.table[at] {
                0 => {
                    self.table[at] = fingerprint;
                    return true;
                }
                taken if taken == fingerprint => return false,
                _ => at = (at + 1) & mask,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_keeps_what_it_was_given_across_growth() {
        let mut set = FingerprintSet::new();
        let key = |i: u64| fingerprint(SEEDS[0], &i);
        assert!((0..20_000).all(|i| set.insert(key(i))));
        assert!((0..20_000).all(|i| !set.insert(key(i))));
        assert!(set.insert(key(20_000)));
    }

    #[test]
    fn seeds_give_different_fingerprints() {
        assert_ne!(fingerprint(SEEDS[0], &1u64), fingerprint(SEEDS[1], &1u64));
    }
}
