//! A divergence made shorter: steps without which it shows all the same are left out.

use crate::divergence::{Divergence, Kind};
use crate::refinement::vocabulary::replayable;
use crate::replay::core::Replay;
use crate::replay::node::{self, NodeReport};
use crate::walk::Trace;
use pbft_checker::trace::shrink::remove_steps;
use pbft_model as model;
use std::cell::{Cell, RefCell};
use tokio::runtime::Runtime;

/// How often a path is replayed to make it shorter, at most. A path of sixty steps takes a few hundred.
const REPLAYS_MAX: u32 = 2000;

/// The shortest divergence of the same sort that leaving steps out leads to: caught by the same comparison or probe, on the
/// same arm. What cannot be seen along its own path, or accuses the replay itself, stays as it is.
pub fn shrink(found: &Divergence) -> Divergence {
    let Ok(config) = replayable(&found.config) else { return found.clone() };
    match found.arm {
        _ if found.kind == Kind::Harness => found.clone(),
        "core" => {
            let replay = Replay::new(config, found.seed);
            // The schedule that showed it may be none that the seed selects there.
            let replay = match found.what.starts_with("schedule ") {
                true => replay.under_all_schedules(),
                false => replay,
            };
            by(found, |actions| replay.follow(actions).err().map(|shorter| *shorter))
        }
        _ => match node::runtime() {
            Ok(runtime) => by(found, |actions| through_the_node(&runtime, found, actions)),
            Err(_) => found.clone(),
        },
    }
}

fn through_the_node(
    runtime: &Runtime,
    found: &Divergence,
    actions: &[model::Action],
) -> Option<Divergence> {
    let origin = "shrunk".to_owned();
    let trace = Trace { config: found.config.clone(), origin, actions: actions.to_vec() };
    node::replay(runtime, &trace, found.seed, &mut NodeReport::default())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::divergence::Difference;
    use crate::signpost::Arm;

    /// Steps that stand for nothing but themselves.
    fn steps(replicas: &[u8]) -> Vec<model::Action> {
        let step = |&id| model::Action::Restart { replica: model::ReplicaId(id) };
        replicas.iter().map(step).collect()
    }

    fn divergence(kind: Kind, actions: &[model::Action]) -> Divergence {
        Divergence {
            arm: "core",
            config: "n4-b3-v0-s1-d1".to_owned(),
            seed: 1,
            step: actions.len(),
            replica: 0,
            action: String::new(),
            kind,
            what: String::new(),
            diff: Vec::new(),
            signpost: Difference::new(kind, "").signpost(Arm::Core, None),
            probe: Some("a probe"),
            path: Vec::new(),
            actions: actions.to_vec(),
            shrunk_from: None,
            reproduce: "the first command".to_owned(),
            explore: String::new(),
        }
    }

    /// Shows itself as soon as 2 and, later, 5 were there; without 2, 5 shows another difference.
    fn replayed(actions: &[model::Action]) -> Option<Divergence> {
        let at = |id| actions.iter().position(|action| action.replica().0 == id);
        let end = at(5)?;
        let kind = match at(2) {
            Some(first) if first < end => Kind::State,
            _ => Kind::Messages,
        };
        let shown = Divergence { reproduce: String::new(), ..divergence(kind, &actions[..=end]) };
        Some(shown)
    }

    #[test]
    fn what_is_left_shows_the_same_difference_and_no_step_can_be_left_out() {
        let found = divergence(Kind::State, &steps(&[0, 1, 2, 3, 3, 4, 0, 5]));
        let shorter = by(&found, replayed);
        assert_eq!(shorter.actions, steps(&[2, 5]));
        assert_eq!(replayed(&shorter.actions).map(|again| again.kind), Some(found.kind));
        for left_out in 0..shorter.actions.len() {
            let mut fewer = shorter.actions.clone();
            fewer.remove(left_out);
            assert_ne!(replayed(&fewer).map(|again| again.kind), Some(found.kind));
        }
        assert_eq!((shorter.shrunk_from, shorter.reproduce), (Some(8), found.reproduce));
    }

    #[test]
    fn what_does_not_show_itself_again_stays_as_it_is() {
        let vanished = divergence(Kind::State, &steps(&[0, 2, 1]));
        assert_eq!(by(&vanished, replayed), vanished, "nothing is shown");
        let other = divergence(Kind::Timer, &steps(&[0, 2, 1, 5]));
        assert_eq!(by(&other, replayed), other, "another difference is shown");
        let shortest = divergence(Kind::State, &steps(&[2, 5]));
        assert_eq!(by(&shortest, replayed), shortest, "nothing can be left out");
    }
}
