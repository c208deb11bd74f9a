//! What the model leaves out, as scenarios: batches of many requests, several requests of a lane, a pipeline shorter than
//! the window; what exactly is said again, and how much is held; CHECKPOINTs far ahead; a replica that lost its memory; a
//! view change that is overtaken by the next.
//!
//! Each runs on the core, and most in production nodes, too. The scenario holds the network in its hands, and demands what
//! the replicas say to the letter, not only that they come to the same end. After every delivery a replica that refused
//! must be as before, and one that did not must hold no more than its bounds allow.

mod bounds;
mod checkpoints;
mod label;
mod lacks;
mod liars;
mod memory;
mod ordering;
mod stage;
mod views;

use crate::divergence::{Difference, Divergence, Kind};
use crate::replay::node;
use pbft_core::Params;
use stage::{Outcome, Stage};
use std::panic::{AssertUnwindSafe, catch_unwind};

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
}

const fn both(
    name: &'static str,
    bounds: fn(&mut Params),
    play: fn(&mut Stage<'_>) -> Outcome,
) -> Scenario {
    Scenario { name, arms: Arms::Both, bounds, play }
}

const fn core(
    name: &'static str,
    bounds: fn(&mut Params),
    play: fn(&mut Stage<'_>) -> Outcome,
) -> Scenario {
    Scenario { arms: Arms::Core, ..both(name, bounds, play) }
}

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
    core("a lost memory", memory::bounds, memory::lost),
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
    play("core", |_| true, |scenario| (scenario.play)(&mut Stage::on_the_core(scenario.bounds)?))
}

/// Plays the scenarios in production nodes.
pub fn at_nodes() -> Result<u64, Box<Divergence>> {
    let runtime = node::runtime();
    play(
        "node",
        |scenario| scenario.arms == Arms::Both,
        |scenario| {
            let harness =
                |error: &std::io::Error| Difference::new(Kind::Harness, error.to_string());
            let runtime = runtime.as_ref().map_err(harness)?;
            (scenario.play)(&mut Stage::at_nodes(runtime, scenario.bounds)?)
        },
    )
}

/// How many scenarios run in production nodes.
pub fn count_at_nodes() -> u64 {
    SCENARIOS.iter().filter(|scenario| scenario.arms == Arms::Both).count() as u64
}

fn play(
    arm: &'static str,
    which: impl Fn(&Scenario) -> bool,
    stage: impl Fn(&Scenario) -> Outcome,
) -> Result<u64, Box<Divergence>> {
    let mut played = 0;
    for scenario in SCENARIOS.iter().filter(|scenario| which(scenario)) {
        // A panic is a difference like any other.
        let outcome = catch_unwind(AssertUnwindSafe(|| stage(scenario))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            let what = format!("panicked: {}", text.unwrap_or("no message"));
            Err(Difference::new(Kind::Panicked, what))
        });
        outcome.map_err(|difference| Box::new(divergence(arm, scenario.name, difference)))?;
        played += 1;
    }
    Ok(played)
}

fn divergence(arm: &'static str, name: &'static str, difference: Difference) -> Divergence {
    let difference = difference.by_probe("scenario", name);
    Divergence {
        arm,
        seed: 0,
        step: 1,
        replica: 0,
        action: format!("scenario: {name}"),
        kind: difference.kind,
        what: difference.what,
        diff: difference.diff,
        probe: difference.probe,
        shrunk_from: None,
        path: Vec::new(),
        actions: Vec::new(),
        reproduce: "cargo test -p pbft-conformance --test beyond".to_owned(),
        explore: "beyond the model".to_owned(),
        config: "n4".to_owned(),
    }
}
