//! The model with a single property, which evaluates all of them in every state and notes on the side what was seen.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use stateright::Model;

use crate::theorem::{Difference, Theorem};
use pbft_model::Pbft;
use pbft_model::action::Action;
use pbft_model::events::EVENTS;
use pbft_model::properties::PROPERTIES;
use pbft_model::state::State;
use pbft_model::witnesses::WITNESSES;

/// The name of the one property.
pub(crate) const PROPERTY: &str = "all properties";

/// The model with the single property that drives a search by Stateright.
#[derive(Clone)]
pub(crate) struct Sweep {
    pbft: Pbft,
    /// The property whose violation ends the search; all of them if there is none.
    only: Option<usize>,
    /// What every state and step is compared with.
    theorem: Option<Arc<Theorem>>,
    pub(crate) seen: Arc<Seen>,
}

/// What the threads of a search have seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// States visited.
    pub(crate) visited: AtomicU64,
    /// How often a search or a walk began at the initial state.
    pub(crate) begun: AtomicU64,
    /// Bit i is property i.
    violated: AtomicU64,
    /// Bit i is the witness i, and after the witnesses the test of a property: see [`Sweep::must_be_seen`].
    shown: AtomicU64,
    /// Bit i is event i.
    taken: AtomicU64,
    /// Set to end the search early: then no state has successors any more.
    pub(crate) stopped: AtomicBool,
    /// Where model and theorem differ, if somewhere.
    difference: Mutex<Option<Difference>>,
    /// Bit i is step i of the theorem's system.
    theorem_steps: AtomicU64,
}

impl Seen {
    /// Where model and theorem differ, if somewhere.
    pub(crate) fn difference(&self) -> Option<Difference> {
        self.difference.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps the first difference, and ends the search.
    fn differs(&self, difference: Difference) {
        let mut first = self.difference.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(difference);
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// What states show: a bit for each.
const STATES: usize = WITNESSES.len() + PROPERTIES.len();
const _: () = assert!(STATES < u64::BITS as usize && EVENTS.len() < u64::BITS as usize);

/// The names of everything that may have to be seen: the witnesses, states that put each property to the test, the events.
pub(crate) fn names() -> impl Iterator<Item = String> {
    let witnesses = WITNESSES.iter().map(|one| one.name.to_owned());
    let tests = PROPERTIES.iter().map(|one| format!("{} put to the test", one.name));
    let events = EVENTS.iter().map(|one| one.name.to_owned());
    witnesses.chain(tests).chain(events)
}

impl Sweep {
    /// A search that ends at a violation of one property, by its place in [`PROPERTIES`], or of any.
    pub(crate) fn new(pbft: Pbft, only: Option<usize>) -> Self {
        let sweep = Self { pbft, only, theorem: None, seen: Arc::default() };
        // What does not apply is marked from the start, so that it costs nothing.
        for bit in (0..STATES + EVENTS.len()).filter(|bit| !sweep.is_applicable(*bit)) {
            sweep.mark(bit);
        }
        sweep
    }

    /// The same, comparing every state and step with the theorem.
    pub(crate) fn with_theorem(mut self, theorem: Option<Arc<Theorem>>) -> Self {
        self.theorem = theorem;
        self
    }

    /// The names of the theorem's steps that were taken.
    pub(crate) fn theorem_steps(&self) -> Vec<String> {
        let taken = self.seen.theorem_steps.load(Ordering::Relaxed);
        let names = self.theorem.iter().flat_map(|theorem| theorem.step_names()).enumerate();
        names.filter(|(bit, _)| taken & (1 << bit) != 0).map(|(_, name)| name.to_owned()).collect()
    }

    /// Compares a state, and all steps from it, with the theorem.
    fn compare(&self, theorem: &Theorem, state: &State, actions: &[Action]) {
        match theorem.compare(state, actions) {
            Ok(taken) if taken & !self.seen.theorem_steps.load(Ordering::Relaxed) != 0 => {
                self.seen.theorem_steps.fetch_or(taken, Ordering::Relaxed);
            }
            Ok(_) => {}
            Err(difference) => self.seen.differs(difference),
        }
    }

    /// Whether the configuration is large enough for something that must be seen. Where there are more Byzantine replicas
    /// than the protocol tolerates nothing is: there the search is for a violation.
    fn is_applicable(&self, bit: usize) -> bool {
        let config = self.pbft.config();
        let property = bit.wrapping_sub(WITNESSES.len());
        let applicable = match (WITNESSES.get(bit), PROPERTIES.get(property)) {
            (Some(witness), _) => witness.applicable,
            (None, Some(property)) => property.applicable,
            (None, None) => EVENTS[bit - STATES].applicable,
        };
        applicable(config) && !config.is_beyond_tolerance()
    }

    fn mark(&self, bit: usize) {
        match bit.checked_sub(STATES) {
            Some(event) => self.seen.taken.fetch_or(1 << event, Ordering::Relaxed),
            None => self.seen.shown.fetch_or(1 << bit, Ordering::Relaxed),
        };
    }

    fn is_marked(&self, bit: usize) -> bool {
        let seen = |bits: &AtomicU64, bit: usize| bits.load(Ordering::Relaxed) & (1 << bit) != 0;
        match bit.checked_sub(STATES) {
            Some(event) => seen(&self.seen.taken, event),
            None => seen(&self.seen.shown, bit),
        }
    }

    /// Everything that some state or step must show where the configuration is large enough, with whether it was seen:
    /// the witnesses, states that put each property to the test, and the events.
    pub(crate) fn must_be_seen(&self) -> BTreeMap<String, bool> {
        let applicable = names().enumerate().filter(|(bit, _)| self.is_applicable(*bit));
        applicable.map(|(bit, name)| (name, self.is_marked(bit))).collect()
    }

    /// Per property whether it is violated in some state that was visited.
    pub(crate) fn violations(&self) -> [bool; PROPERTIES.len()] {
        let violated = self.seen.violated.load(Ordering::Relaxed);
        std::array::from_fn(|bit| violated & (1 << bit) != 0)
    }

    /// Whether the search has found what ends it.
    pub(crate) fn is_violated(&self) -> bool {
        self.counts(self.seen.violated.load(Ordering::Relaxed))
    }

    fn counts(&self, violated: u64) -> bool {
        self.only.map_or(violated != 0, |only| violated & (1 << only) != 0)
    }

    /// Visits a state: notes what it shows that was not seen before, and says whether the search may go on.
    pub(crate) fn visit(&self, state: &State) -> bool {
        self.seen.visited.fetch_add(1, Ordering::Relaxed);
        let shown = self.seen.shown.load(Ordering::Relaxed);
        if shown != (1 << STATES) - 1 {
            self.look(state, shown);
        }
        let mut violated = 0;
        for (bit, property) in PROPERTIES.iter().enumerate() {
            if !(property.holds)(&self.pbft, state) {
                violated |= 1 << bit;
            }
        }
        if violated != 0 {
            self.seen.violated.fetch_or(violated, Ordering::Relaxed);
        }
        !self.counts(violated)
    }

    fn look(&self, state: &State, shown: u64) {
        let witnesses = WITNESSES.iter().map(|one| one.shown);
        let tests = PROPERTIES.iter().map(|one| one.exercised);
        for (bit, shows) in witnesses.chain(tests).enumerate() {
            if shown & (1 << bit) == 0 && shows(&self.pbft, state) {
                self.mark(bit);
            }
        }
    }

    /// Notes which events the actions show that were not seen before.
    pub(crate) fn look_at_steps(&self, state: &State, actions: &[Action]) {
        let taken = self.seen.taken.load(Ordering::Relaxed);
        if taken == (1 << EVENTS.len()) - 1 {
            return;
        }
        for (at, event) in EVENTS.iter().enumerate().filter(|(at, _)| taken & (1 << at) == 0) {
            if actions.iter().any(|action| (event.shown)(&self.pbft, state, action)) {
                self.mark(STATES + at);
            }
        }
    }
}

impl Model for Sweep {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        self.seen.begun.fetch_add(1, Ordering::Relaxed);
        self.pbft.init_states()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if self.seen.stopped.load(Ordering::Relaxed) {
            return;
        }
        self.pbft.actions(state, actions);
        self.look_at_steps(state, actions);
        if let Some(theorem) = &self.theorem {
            self.compare(theorem, state, actions);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.pbft.next_state(state, action)
    }

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        vec![stateright::Property::always(PROPERTY, Self::visit)]
    }
}
