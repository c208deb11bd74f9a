//! A divergence made shorter: steps without which it shows all the same are left out.

use crate::divergence::{Divergence, Kind};
use crate::node_replay::{self, NodeReport};
use crate::refinement::vocabulary::replayable;
use crate::replay::Replay;
use crate::walk::Trace;
use pbft_model as model;
use pbft_model::trace::shrink::remove_steps;
use std::cell::{Cell, RefCell};
use tokio::runtime::Runtime;

/// How often a path is replayed to make it shorter, at most. A path of sixty steps takes a few hundred.
const REPLAYS_MAX: u32 = 2000;

/// The shortest divergence of the same sort that leaving steps out leads to: caught by the same comparison or probe, on the
/// same arm. What cannot be seen along its own path, or accuses the replay itself, stays as it is.
pub fn shrink(found: &Divergence, bug: Option<&str>) -> Divergence {
    let Ok(config) = replayable(&found.config) else { return found.clone() };
    match found.arm {
        _ if found.kind == Kind::Harness => found.clone(),
        "core" => {
            let replay = Replay::planted(config, found.seed, bug);
            // The schedule that showed it may be none that the seed selects there.
            let replay = match found.what.starts_with("schedule ") {
                true => replay.under_all_schedules(),
                false => replay,
            };
            by(found, |actions| replay.follow(actions).err().map(|shorter| *shorter))
        }
        _ => match node_replay::runtime() {
            Ok(runtime) => by(found, |actions| through_the_node(&runtime, found, actions, bug)),
            Err(_) => found.clone(),
        },
    }
}

fn through_the_node(
    runtime: &Runtime,
    found: &Divergence,
    actions: &[model::Action],
    bug: Option<&str>,
) -> Option<Divergence> {
    let origin = "shrunk".to_owned();
    let trace = Trace { config: found.config.clone(), origin, actions: actions.to_vec() };
    node_replay::planted(runtime, &trace, found.seed, bug, &mut NodeReport::default())
}

fn by(found: &Divergence, replay: impl Fn(&[model::Action]) -> Option<Divergence>) -> Divergence {
    let (replays, shortest) = (Cell::new(0), RefCell::new(None::<Divergence>));
    let still_shows = |actions: &[model::Action]| {
        replays.set(replays.get() + 1);
        if actions.is_empty() || replays.get() > REPLAYS_MAX {
            return false;
        }
        let Some(shorter) = replay(actions) else { return false };
        if shorter.catcher() != found.catcher() || shorter.actions.len() != actions.len() {
            return false;
        }
        *shortest.borrow_mut() = Some(shorter);
        true
    };
    let mut actions = found.actions.clone();
    if !still_shows(&actions) {
        return found.clone();
    }
    remove_steps(&mut actions, &still_shows);
    match shortest.into_inner() {
        Some(shorter) if shorter.actions.len() < found.actions.len() => Divergence {
            shrunk_from: Some(found.actions.len()),
            reproduce: found.reproduce.clone(),
            ..shorter
        },
        Some(_) | None => found.clone(),
    }
}
