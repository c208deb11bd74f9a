//! Random walks whose states and steps are compared with the theorem, for bounds beyond an exhaustive search.
//!
//! In each state of a walk the invariant is evaluated, and *all* steps from there are compared, not only the one that the
//! walk takes. Nothing is forgotten on the way, so the reduction `dead` has no part in it.

use stateright::Model as _;

use super::{Difference, Theorem};
use crate::chance::Chance;
use pbft_model::action::Action;
use pbft_model::state::State;

/// What walks came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// Walks begun.
    pub walks: u64,
    /// States compared, one that was visited twice counted twice.
    pub states: u64,
    /// Steps compared.
    pub steps: u64,
    /// Steps of the longest walk.
    pub depth: u64,
    /// A bit for each step of the theorem's system that was taken, by number.
    pub taken: u64,
    /// A way to the state that ended the walks, and how model and theorem differ there; not at all if it was ended by
    /// whoever looked on.
    pub found: Option<(Vec<Action>, Option<Difference>)>,
}

impl Walked {
    /// Puts the walks of several threads together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            walks: self.walks + other.walks,
            states: self.states + other.states,
            steps: self.steps + other.steps,
            depth: self.depth.max(other.depth),
            taken: self.taken | other.taken,
            found: self.found.or(other.found),
        }
    }
}

impl Theorem {
    /// Walks until so many states were compared, and the walk under way has ended. `look` sees each state with its steps, and says
    /// whether to go on.
    pub fn walk(
        &self,
        seed: u64,
        states: u64,
        mut look: impl FnMut(&State, &[Action]) -> bool,
    ) -> Walked {
        let mut walked = Walked::default();
        let mut chance = Chance::new(seed);
        while walked.states < states {
            walked.walks += 1;
            if !self.one_walk(&mut chance, &mut walked, &mut look) {
                break;
            }
        }
        walked
    }

    /// One walk, until no step is left; whether another may follow.
    fn one_walk(
        &self,
        chance: &mut Chance,
        walked: &mut Walked,
        look: &mut impl FnMut(&State, &[Action]) -> bool,
    ) -> bool {
        let mut state = State::initial(self.pbft.config());
        let mut path = Vec::new();
        let mut actions = Vec::new();
        loop {
            actions.clear();
            self.pbft.actions(&state, &mut actions);
            walked.states += 1;
            walked.steps += actions.len() as u64;
            match self.compare(&state, &actions) {
                Ok(taken) => walked.taken |= taken,
                Err(difference) => {
                    walked.found = Some((path, Some(difference)));
                    return false;
                }
            }
            if !look(&state, &actions) {
                walked.found = Some((path, None));
                return false;
            }
            let at = chance.below(actions.len() as u64) as usize;
            let Some(action) = actions.get(at) else { return true };
            state = self.pbft.stepped(&state, *action);
            path.push(*action);
            walked.depth = walked.depth.max(path.len() as u64);
        }
    }
}
