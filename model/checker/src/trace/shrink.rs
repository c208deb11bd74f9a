//! Making a counterexample shorter: steps that do not matter are removed, the rest is put in order.

use thiserror::Error;

use super::{Trace, end};
use pbft_model::action::Action;
use pbft_model::{ConfigError, properties};

/// Why a trace cannot be made shorter.
#[derive(Debug, Error)]
pub enum ShrinkError {
    /// Its configuration does not exist.
    #[error("its configuration: {0}")]
    Config(#[from] ConfigError),
    /// There is nothing that the shorter trace would have to show.
    #[error(
        "the last state violates no property, so there is nothing that a shorter trace would have to show"
    )]
    NothingViolated,
}

/// A trace to a violation of the same properties from which no single step can be left out.
///
/// Delta debugging over the steps, from halves down to single ones; then neighbours are exchanged where the trace stays enabled and
/// the first would come later in the order of [`Action`]. So traces that differ only in the order of independent steps
/// tend to become the same.
pub fn shrink(trace: &Trace) -> Result<Trace, ShrinkError> {
    let model = trace.model()?;
    if trace.shows.is_empty() {
        return Err(ShrinkError::NothingViolated);
    }
    let still_shows = |actions: &[Action]| {
        end(&model, actions).is_some_and(|last| {
            let violated = properties::violated(&model, &last);
            trace.shows.iter().all(|shown| violated.contains(&shown.as_str()))
        })
    };
    let mut actions = trace.actions.clone();
    loop {
        let before = actions.len();
        remove_steps(&mut actions, &still_shows);
        put_in_order(&mut actions, &still_shows);
        // Another order may make another step superfluous.
        if actions.len() == before {
            return Ok(Trace::new(&model, &actions));
        }
    }
}

/// Removes steps until none can be left out: what is left still shows what it has to.
pub fn remove_steps(actions: &mut Vec<Action>, still_shows: &impl Fn(&[Action]) -> bool) {
    let mut chunk = actions.len().div_ceil(2).max(1);
    loop {
        let mut removed = false;
        let mut at = 0;
        while at < actions.len() {
            let mut shorter = actions.clone();
            shorter.drain(at..actions.len().min(at + chunk));
            if still_shows(&shorter) {
                *actions = shorter;
                removed = true;
            } else {
                at += chunk;
            }
        }
        if chunk == 1 && !removed {
            return;
        }
        chunk = (chunk / 2).max(1);
    }
}

/// Exchanges neighbours until none of them should and can be exchanged. Each exchange makes the sequence smaller, so it ends.
fn put_in_order(actions: &mut [Action], still_shows: &impl Fn(&[Action]) -> bool) {
    loop {
        let mut changed = false;
        for at in 1..actions.len() {
            if actions[at] >= actions[at - 1] {
                continue;
            }
            actions.swap(at - 1, at);
            if still_shows(actions) {
                changed = true;
            } else {
                actions.swap(at - 1, at);
            }
        }
        if !changed {
            return;
        }
    }
}
