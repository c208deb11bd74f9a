//! A shortest path to a violation.

use crate::bfs::{self, Limits, Search};
use crate::run::Progress;
use crate::sweep::Sweep;
use crate::theorem::Theorem;
use pbft_model::properties::PROPERTIES;
use pbft_model::{Action, Pbft, State};
use stateright::Model as _;

/// States to hold before the search is given up: about 100 bytes each, and some 700 for each on the frontier. The largest
/// search for a mutant on record needs a tenth.
const MAX_STATES: u64 = 12_000_000;

/// Searches for a shortest path to a violation of one property, or of any.
pub(crate) fn violation(
    model: &Pbft,
    property: Option<&str>,
    progress: &mut dyn Progress,
) -> Search<Action> {
    let violates = |model: &Pbft, state: &State| {
        let mut asked =
            PROPERTIES.iter().filter(|one| property.is_none_or(|name| name == one.name));
        asked.any(|one| !(one.holds)(model, state))
    };
    search(model, violates, progress)
}

/// Searches for a shortest path to a violation of any property, and says what must be seen and was not.
pub(crate) fn violation_or_unseen(
    model: &Pbft,
    progress: &mut dyn Progress,
) -> (Search<Action>, Vec<String>) {
    let sweep = Sweep::new(model.clone(), None);
    let limits = Limits { max_states: MAX_STATES, ..Limits::default() };
    let search = bfs::search(&sweep, limits, |sweep, state| !sweep.visit(state), progress);
    let unseen = sweep.must_be_seen().into_iter().filter(|(_, seen)| !seen);
    let unseen = unseen.map(|(name, _)| name).collect();
    (search, unseen)
}

/// Searches for a shortest path to a state that matches, as far as memory goes.
fn search(
    model: &Pbft,
    matches: impl Fn(&Pbft, &State) -> bool,
    progress: &mut dyn Progress,
) -> Search<Action> {
    bfs::search(model, Limits { max_states: MAX_STATES, ..Limits::default() }, matches, progress)
}

/// Searches for a shortest path to a state, or to a step from it, in which model and theorem differ.
pub(crate) fn difference(
    model: &Pbft,
    theorem: &Theorem,
    progress: &mut dyn Progress,
) -> Search<Action> {
    let differs = |model: &Pbft, state: &State| {
        let mut actions = Vec::new();
        model.actions(state, &mut actions);
        theorem.compare(state, &actions).is_err()
    };
    search(model, differs, progress)
}
