//! How states are hashed: the speed of a search is the speed of this.
//!
//! A derived `Hash` would feed some two hundred single bytes to the hasher. Here a replica is a few words, one for each
//! group of small fields and one for each message or row of votes that is there. The last word says which are there, so
//! that, read from the end, the words tell what they are: two states have the same words exactly if they are equal.

use std::hash::{Hash, Hasher};

use crate::ids::{MAX_SLOTS, MAX_VIEWS};
use crate::state::{Certificate, NewView, ReplicaState, Sent, StateDigest, ViewChange, Votes};
use crate::value::{Value, ValueSet};

// A slot has a byte in a word with three to spare, a view has a bit in a byte and half a byte for its number.
const _: () = assert!(MAX_SLOTS <= 5 && MAX_VIEWS <= 8);

impl Hash for ReplicaState {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        // Taken apart field by field, so that a new field does not compile until it is hashed.
        let Self {
            view,
            active,
            low_water_mark,
            last_executed,
            accepted,
            certificates,
            applied,
            served,
            executed,
            sent,
        } = self;
        let [a, b, c, d] = applied.0.to_le_bytes();
        let position = [view.0, u8::from(*active), low_water_mark.0, last_executed.0, a, b, c, d];
        hasher.write_u64(u64::from_le_bytes(position));
        hasher.write_u64(values(accepted, served.0));
        hasher.write_u64(values(executed, 0));
        hasher.write_u64(shown(certificates, 0));
        sent.hash(hasher);
    }
}

impl Hash for Sent {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self { prepares, commits, view_changes, new_views, checkpoints } = self;
        let mut there = [votes(prepares, hasher), votes(commits, hasher), 0, 0, 0, 0, 0, 0];
        for (view, view_change) in view_changes.iter().enumerate() {
            if let Some(ViewChange { low_water_mark, prepared }) = view_change {
                there[2] |= 1 << view;
                hasher.write_u64(shown(prepared, low_water_mark.0));
            }
        }
        for (view, new_view) in new_views.iter().enumerate() {
            if let Some(NewView { min_s, max_s, order }) = new_view {
                there[3] |= 1 << view;
                hasher.write_u64(values(order, min_s.0 << 4 | max_s.0));
            }
        }
        for (at, digest) in checkpoints.iter().enumerate() {
            if let Some(StateDigest { applied, served }) = digest {
                there[4] |= 1 << at;
                hasher.write_u64(u64::from(served.0) << 32 | u64::from(applied.0));
            }
        }
        hasher.write_u64(u64::from_le_bytes(there));
    }
}

/// A word for each view with votes; a bit for each of these.
#[inline]
fn votes<H: Hasher>(votes: &Votes, hasher: &mut H) -> u8 {
    let mut there = 0;
    for (view, slots) in votes.iter().enumerate() {
        let word = bytes(slots.map(|ValueSet(bits)| bits), 0);
        if word != 0 {
            there |= 1 << view;
            hasher.write_u64(word);
        }
    }
    there
}

#[inline]
fn values(values: &[Value; MAX_SLOTS], other: u8) -> u64 {
    bytes(values.map(|Value(value)| value), other)
}

/// A certificate's value is never none, so a zero stands for no certificate.
#[inline]
fn shown(certificates: &[Option<Certificate>; MAX_SLOTS], other: u8) -> u64 {
    let byte = |one: &Option<Certificate>| match one {
        Some(Certificate { view, value }) => view.0 << 4 | value.0,
        None => 0,
    };
    bytes(certificates.each_ref().map(byte), other)
}

/// A byte for each slot, and another.
#[inline]
fn bytes(slots: [u8; MAX_SLOTS], other: u8) -> u64 {
    slots.iter().rev().fold(u64::from(other), |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use stateright::Model;

    use super::*;
    use crate::{Applied, Pbft, Slot, State, View};

    /// Keeps the words.
    #[derive(Default)]
    struct Words(Vec<u64>);

    impl Hasher for Words {
        fn write(&mut self, bytes: &[u8]) {
            self.0.extend(bytes.iter().map(|byte| u64::from(*byte)));
        }

        fn write_u64(&mut self, word: u64) {
            self.0.push(word);
        }

        fn finish(&self) -> u64 {
            0
        }
    }

    fn words(item: &impl Hash) -> Vec<u64> {
        let mut words = Words::default();
        item.hash(&mut words);
        words.0
    }

    #[test]
    fn states_of_a_graph_have_different_words() -> Result<(), crate::ConfigError> {
        let model = Pbft::new("n4-b0-v1-s1-d1-k1".parse()?);
        let mut seen: HashMap<Vec<u64>, State> = HashMap::new();
        let mut open = model.init_states();
        while let Some(state) = open.pop() {
            if let Some(other) = seen.get(&words(&state)) {
                assert_eq!(*other, state);
                continue;
            }
            open.extend(model.next_steps(&state).into_iter().map(|(_, next)| next));
            seen.insert(words(&state), state);
        }
        assert!(seen.len() > 1000, "{}", seen.len());
        Ok(())
    }

    #[test]
    fn every_field_is_in_the_words() {
        let certificate = Some(Certificate { view: View(1), value: Value::request(1) });
        let last = MAX_SLOTS - 1;
        let changes: [fn(&mut ReplicaState); 9] = [
            |one| one.view = View(1),
            |one| one.active = false,
            |one| one.low_water_mark = Slot(1),
            |one| one.last_executed = Slot(1),
            |one| one.applied = Applied(1),
            |one| one.served = ValueSet(4),
            |one| one.accepted[0] = Value::NULL,
            |one| one.executed[0] = Value::NULL,
            |one| one.executed[MAX_SLOTS - 1] = Value::NULL,
        ];
        let mut all: Vec<_> = changes
            .iter()
            .map(|change| {
                let mut changed = ReplicaState::default();
                change(&mut changed);
                changed
            })
            .collect();
        for slot in 0..MAX_SLOTS {
            let mut changed = ReplicaState::default();
            changed.certificates[slot] = certificate;
            all.push(changed);
            let mut changed = ReplicaState::default();
            changed.sent.checkpoints[slot] = Some(StateDigest::default());
            all.push(changed);
        }
        for view in 0..MAX_VIEWS {
            for slot in [0, last] {
                let mut changed = ReplicaState::default();
                changed.sent.prepares[view][slot] = ValueSet(2);
                all.push(changed);
                let mut changed = ReplicaState::default();
                changed.sent.commits[view][slot] = ValueSet(2);
                all.push(changed);
            }
            for (low, prepared) in [(0, None), (1, None), (0, certificate)] {
                let mut changed = ReplicaState::default();
                let mut view_change =
                    ViewChange { low_water_mark: Slot(low), ..ViewChange::default() };
                view_change.prepared[last] = prepared;
                changed.sent.view_changes[view] = Some(view_change);
                all.push(changed);
            }
            for (min_s, max_s, value) in [(0, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1)] {
                let mut changed = ReplicaState::default();
                let mut new_view =
                    NewView { min_s: Slot(min_s), max_s: Slot(max_s), ..NewView::default() };
                new_view.order[last] = Value(value);
                changed.sent.new_views[view] = Some(new_view);
                all.push(changed);
            }
        }
        let different: HashSet<_> = all.iter().map(words).collect();
        assert_eq!(different.len(), all.len());
        assert!(!different.contains(&words(&ReplicaState::default())));
    }
}
