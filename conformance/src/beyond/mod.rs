//! What the model leaves out, as scenarios: batches of many requests, several requests of a lane, a pipeline shorter than
//! the window; what exactly is said again, and how much is held; CHECKPOINTs far ahead; a replica that lost its memory; a
//! view change that is overtaken by the next.
//!
//! Each runs on the core, and most in production nodes, too. The scenario holds the network in its hands, and demands what
//! the replicas say to the letter, not only that they come to the same end. After every delivery a replica that refused
//! must be as before, and one that did not must hold no more than its bounds allow.

mod bounds;
mod checkpoints;
mod disk;
pub(crate) mod label;
mod lacks;
mod liars;
mod memory;
mod ordering;
mod patience;
mod spent;
mod stage;
mod views;

use crate::divergence::{Difference, Divergence, Kind, Moment};
use crate::panics::guarded;
use crate::replay::node;
use crate::signpost::{Arm, Clue, Handler, in_core};
use pbft_core::Params;
use stage::{Outcome, Stage};

/// Where a scenario can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arms {
    /// It starts replicas from a disk that it makes up, or asks the core's own functions.
    Core,
    Both,
}

/// One story, with exact expectations.
struct Scenario {
    name: &'static str,
    arms: Arms,
    bounds: fn(&mut Params),
    play: fn(&mut Stage<'_>) -> Outcome,
    /// What has a part in it, beside what was given to the replicas.
    places: &'static [Handler],
}

impl Scenario {
    const fn about(self, places: &'static [Handler]) -> Self {
        Self { places, ..self }
    }
}

const fn both(
    name: &'static str,
    bounds: fn(&mut Params),
    play: fn(&mut Stage<'_>) -> Outcome,
) -> Scenario {
    Scenario { name, arms: Arms::Both, bounds, play, places: &[] }
}

const fn core(
    name: &'static str,
    bounds: fn(&mut Params),
    play: fn(&mut Stage<'_>) -> Outcome,
) -> Scenario {
    Scenario { arms: Arms::Core, ..both(name, bounds, play) }
}

const PACE: &[Handler] =
    &[in_core!("pace.rs", "Pace::executed"), in_core!("pace.rs", "Pace::allowed")];

const SCENARIOS: &[Scenario] = &[
    both("a batch holds what waits", ordering::small_batches, ordering::batches_hold_what_waits),
    both("a batch holds what fits", ordering::large_batches, ordering::batches_hold_what_fits),
    both("a primary that waits for more", ordering::patient, ordering::batches_fill),
    both("a pipeline of two", ordering::short_pipeline, ordering::the_pipeline_is_kept),
    both("a window of four", ordering::short_window, ordering::the_window_is_kept),
    both("several requests of a lane", ordering::small_batches, ordering::lanes_go_forward),
    both("a liar's batches", ordering::small_batches, ordering::batches_of_a_liar),
    both("what O orders is ordered", ordering::short_window, ordering::what_o_orders_is_ordered),
    both("what a peer in this view lacks", lacks::bounds, lacks::lacks_in_a_view),
    both("a peer that was given enough", lacks::sparing, lacks::given_enough),
    both("large certificates, a share at a time", lacks::large, lacks::large_certificates)
        .about(&[in_core!("size.rs", "committed"), in_core!("budget.rs", "Budget::give")]),
    both("what is held in a view", lacks::bounds, lacks::held_in_a_view),
    both("what a peer lacks after a restart", lacks::bounds, lacks::lacks_after_a_restart),
    both("what a peer in another view lacks", lacks::bounds, lacks::lacks_of_a_view),
    both("CHECKPOINTs beyond the window", lacks::bounds, checkpoints::beyond_the_window),
    both("a transfer, part by part", lacks::bounds, checkpoints::a_transfer),
    both("a transfer that is not needed", lacks::bounds, checkpoints::execution_comes_first),
    both("a NEW-VIEW that is overtaken", lacks::bounds, views::overtaken),
    both("a NEW-VIEW that is waited for", lacks::bounds, views::waited_for),
    both("a batch that is waited for", lacks::bounds, views::waits_for_a_batch),
    both("more VIEW-CHANGEs than a quorum", lacks::bounds, views::more_than_a_quorum),
    both("VIEW-CHANGEs for a later view", lacks::bounds, views::later_view),
    both("patience, and what a view did", lacks::bounds, views::patience),
    both("a primary that becomes slow", patience::bounds, patience::slow_at_last).about(PACE),
    both("a request that is left out", patience::bounds, patience::left_out)
        .about(&[in_core!("participation.rs", "Peers::have_overtaken")]),
    both("patience when all goes well", patience::calm, patience::floor)
        .about(&[in_core!("timer.rs", "ViewTimer::on_calm")]),
    core("two primaries that are fast", patience::bounds, patience::two_are_fast).about(PACE),
    core("a timestamp that is spent", lacks::bounds, spent::words)
        .about(&[in_core!("client.rs", "ClientLane::on_spent")]),
    core("batches of views that were left", lacks::bounds, disk::keeps_bodies).about(&[
        in_core!("bodies.rs", "Bodies::keep"),
        in_core!("durable.rs", "Durable::apply_stable"),
    ]),
    core("a lost memory", memory::bounds, memory::lost),
    core("a view that begins without a memory", memory::bounds, memory::a_view_begins)
        .about(&[in_core!("view_change.rs", "Replica::follow_awaited")]),
    core("what a service completes", lacks::bounds, memory::completions),
    core("two certificates for one number", lacks::bounds, memory::conflicting_certificates),
    core("another state than a NEW-VIEW proves", lacks::bounds, memory::diverged),
    core("the most that is held", lacks::bounds, memory::most),
    core("parameters", lacks::bounds, bounds::parameters),
    core("the size of batches", bounds::small, bounds::sizes),
    core("for whom statements are", bounds::small, bounds::audiences),
    core("a liar's messages to four replicas", bounds::small, liars::to_four),
    core("a liar's messages to five replicas", bounds::small, liars::to_five),
    core("a liar's messages to six replicas", bounds::small, liars::to_six),
    core("a liar's messages to seven replicas", bounds::small, liars::to_seven),
];

/// The names of all scenarios.
pub fn names() -> impl Iterator<Item = &'static str> {
    SCENARIOS.iter().map(|scenario| scenario.name)
}

/// Plays every scenario on the core; how many were played, or the first difference.
pub fn on_the_core() -> Result<u64, Box<Divergence>> {
    play(Arm::Core, |_| true, |scenario| Stage::on_the_core(scenario.bounds))
}

/// Plays the scenarios in production nodes.
pub fn at_nodes() -> Result<u64, Box<Divergence>> {
    let runtime = node::runtime();
    play(
        Arm::Node,
        |scenario| scenario.arms == Arms::Both,
        |scenario| {
            let harness =
                |error: &std::io::Error| Difference::new(Kind::Harness, error.to_string());
            let runtime = runtime.as_ref().map_err(harness)?;
            Stage::at_nodes(runtime, scenario.bounds)
        },
    )
}

/// How many scenarios run in production nodes.
pub fn count_at_nodes() -> u64 {
    SCENARIOS.iter().filter(|scenario| scenario.arms == Arms::Both).count() as u64
}

fn play<'r>(
    arm: Arm,
    which: impl Fn(&Scenario) -> bool,
    stage: impl Fn(&Scenario) -> Outcome<Stage<'r>>,
) -> Result<u64, Box<Divergence>> {
    let mut played = 0;
    for scenario in SCENARIOS.iter().filter(|scenario| which(scenario)) {
        play_one(arm, scenario, &stage)?;
        played += 1;
    }
    Ok(played)
}

fn play_one<'r>(
    arm: Arm,
    scenario: &Scenario,
    stage: impl Fn(&Scenario) -> Outcome<Stage<'r>>,
) -> Result<(), Box<Divergence>> {
    let outcome = guarded(|| stage(scenario)).flatten().and_then(|mut stage| {
        let played = guarded(|| (scenario.play)(&mut stage)).flatten();
        played.map_err(|difference| stage.tell(difference))
    });
    outcome.map_err(|difference| divergence(arm, scenario, difference))
}

fn divergence(arm: Arm, scenario: &Scenario, difference: Difference) -> Box<Divergence> {
    let name = scenario.name;
    let difference = difference.by_probe("scenario", name);
    let begins = || format!("scenario: {name}");
    let moment = difference.moment.as_deref().cloned();
    let moment = moment.unwrap_or_else(|| Moment {
        replica: 0,
        step: 1,
        action: begins(),
        path: Vec::new(),
    });
    let mut signpost = difference.signpost(arm, None);
    let clue = |handler: &Handler| {
        let why = "has a part in what the story is about".to_owned();
        Clue { handler: *handler, why }
    };
    signpost.look_at.extend(scenario.places.iter().map(clue));
    let again = "cargo test -p pbft-conformance --test beyond".to_owned();
    Divergence::in_scenario(arm, difference, signpost, moment, again)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stage::expect;

    fn told(play: fn(&mut Stage<'_>) -> Outcome) -> Divergence {
        let scenario = core("a story", lacks::bounds, play);
        let told = play_one(Arm::Core, &scenario, |one| Stage::on_the_core(one.bounds));
        *told.expect_err("it differs")
    }

    fn asks_twice(stage: &mut Stage<'_>) -> Outcome {
        stage.ask(2, &stage.request(0, 1, 1))?;
        stage.tick(1)?;
        expect("the view", 9, stage.replica(2)?.status().view.0)
    }

    fn panics(stage: &mut Stage<'_>) -> Outcome {
        stage.tick(3)?;
        panic!("a step of the story")
    }

    #[test]
    fn what_a_scenario_finds_is_told_with_replica_step_and_handler() {
        let told = told(asks_twice);
        assert_eq!((told.replica, told.step), (2, 2), "looked at last, after two steps");
        assert_eq!(told.action, "replica 1: timer Status");
        assert_eq!(told.path, ["replica 2: REQUEST lane 0 t1 of a client"]);
        assert_eq!(
            told.signpost.handler.function, "Replica::on_request",
            "given last to replica 2"
        );
    }

    #[test]
    fn a_panic_in_a_scenario_is_told_with_its_step() {
        let told = told(panics);
        assert_eq!((told.kind, told.replica, told.step), (Kind::Panicked, 3, 1));
        assert_eq!(told.signpost.handler.function, "Replica::on_status_timer");
    }
}
