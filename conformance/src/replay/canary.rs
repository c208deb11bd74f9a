//! Does the comparison compare? It is shown steps that are known to be wrong: a step of the code against a model in
//! which nothing has happened. A comparison that lets one of them pass would let everything pass.

use crate::divergence::Difference;
use crate::refinement::keys::SealKeys;
use crate::refinement::vocabulary::{Vocabulary, replayable};
use crate::replay::core::step::{Step, Work};
use crate::replay::corpus;
use crate::subject::world::World;
use pbft_model as model;
use stateright::Model;
use std::sync::Arc;

/// The trace along which the canaries are released; it has every sort of step of a view and a view change.
const TRACE: &str = "mutant low-water-mark-ignored";

/// Releases the canaries: how many `compare` has noticed, and those that it has not.
pub fn release(
    compare: impl Fn(&Step<'_>, &World) -> Result<World, Difference>,
) -> (u64, Vec<String>) {
    let (mut noticed, mut unnoticed) = (0, Vec::new());
    let traces = corpus::committed().unwrap_or_default();
    let Some(trace) = traces.into_iter().find(|trace| trace.origin == TRACE) else {
        return (0, unnoticed);
    };
    let Ok(config) = replayable(&trace.config) else { return (0, unnoticed) };
    let pbft = model::Pbft::new(config);
    let vocabulary = Vocabulary::new(config, Arc::new(SealKeys));
    let mut world = World::new(&vocabulary);
    let mut state = model::State::initial(&config);
    for action in &trace.actions {
        let Some(after) = pbft.next_state(&state, *action) else { break };
        let step = |after| Step {
            model: &pbft,
            vocabulary: &vocabulary,
            before: &state,
            action,
            after,
            choice: 1,
        };
        match compare(&step(&state), &world) {
            Ok(_) => unnoticed.push(action.to_string()),
            Err(_) => noticed += 1,
        }
        let Ok(next) = step(&after).replay(&world, &mut Work::default()) else { break };
        world = next;
        state = after;
    }
    (noticed, unnoticed)
}
