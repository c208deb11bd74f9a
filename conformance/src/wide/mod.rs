//! The production node at its full width: what a replay of one input a step does not meet. Many inputs with one write, and
//! the power that fails; timers and the clock; a disk that fills; a state of many chunks that changes, is served, and is
//! fetched; the bounds of queues, and who is refused why; both ways to authenticate clients; queries, reports and numbers
//! that operators look at; replicas that lost their memory.
//!
//! All runs in one process on the real driver, inbox and store, under a paused clock. The network is in the story's hands. What
//! is demanded comes from the papers and the documentation: from numbers that stand here, from
//! [`crate::refinement::layout`], and from a second implementation of the service and its chunks on a plain map.

mod clock;
mod cluster;
mod doors;
mod groups;
mod lost;
mod pages;
mod reads;
mod space;
mod states;
mod story;
mod targets;
mod votes;
mod watch;

use crate::divergence::{Difference, Divergence, Kind, Moment};
use crate::panics::guarded;
use crate::signpost::{Arm, Clue, Fact, Handler, Rule, Signpost};
use story::{Outcome, Story};

/// One story, with exact expectations.
struct Scenario {
    name: &'static str,
    /// What has a part in it, the nearest first.
    places: &'static [Handler],
    play: fn(&Story) -> Outcome,
}

const fn scenario(
    name: &'static str,
    places: &'static [Handler],
    play: fn(&Story) -> Outcome,
) -> Scenario {
    Scenario { name, places, play }
}

const SCENARIOS: &[Scenario] = &[
    scenario("one write for many requests", groups::PLACES, groups::one_write_for_many),
    scenario("inputs at once or one by one", groups::PLACES, groups::at_once_or_one_by_one),
    scenario("turns of replicas and clients", groups::PLACES, groups::turns),
    scenario("the power fails after each write", groups::POWER, groups::power_cuts),
    scenario("STATUS, to the millisecond", clock::TIMERS, clock::status),
    scenario("patience, to the millisecond", clock::TIMERS, clock::patience),
    scenario("a timer that is set again", clock::TIMERS, clock::set_again),
    scenario("a batch that waits, to the millisecond", clock::TIMERS, clock::batches),
    scenario("a write that waits", clock::PUT_OFF, clock::put_off),
    scenario("writes that wait together", clock::PUT_OFF, clock::put_off_together),
    scenario("a word while a write waits", clock::PUT_OFF, clock::said_while_put_off),
    scenario("a full disk", space::FULL, space::full),
    scenario("a full disk, and an end", space::FULL, space::full_and_stopped),
    scenario("a disk that fails", space::ENDS, space::fails),
    scenario("an end in order", space::ENDS, space::stops),
    scenario("a service that panics, and the end", space::ENDS, space::panics),
    scenario("queues, exactly full", doors::QUEUES, doors::queues),
    scenario("who is refused, and why", doors::REFUSALS, doors::refusals),
    scenario("clients that are told why", doors::REFUSALS, doors::told_why),
    scenario("authenticators", doors::MACS, doors::authenticators),
    scenario("a request that some believe", doors::MACS, doors::half_believed),
    scenario("authenticators at backups", doors::MACS, doors::only_at_the_primary),
    scenario("authenticators for seven", doors::MACS, doors::tags_of_seven),
    scenario("a panic in a batch", states::PANICS, states::panics),
    scenario("a state that changes", states::CHANGES, states::changes),
    scenario("a state that is fetched", states::FETCHED, states::transfer),
    scenario("a state, a share at a time", targets::SHARES, targets::a_share_at_a_time),
    scenario("a state that moves on and back", targets::MOVING, targets::there_and_back),
    scenario("queries", reads::QUERIES, reads::queries),
    scenario("queries in turns", reads::QUERIES, reads::queries_in_turns),
    scenario("reports and numbers", reads::REPORTS, reads::reports),
    scenario("an operator's suspicion", reads::SUSPICION, reads::suspicion),
    scenario("evidence", reads::EVIDENCE, reads::evidence),
    scenario("who votes", reads::VOTERS, reads::voters),
    scenario("votes of a view that is left", votes::SURPLUS, votes::of_a_view_that_is_left),
    scenario("votes after a full disk", votes::SURPLUS, votes::after_a_full_disk),
    scenario("a late vote and another", votes::SURPLUS, votes::against_another),
    scenario("all votes in one group", votes::GROUPED, votes::in_one_group),
    scenario("STATUS after an execution", votes::GROUPED, votes::status_after_execution),
    scenario("a replica that must halt", votes::HALTS, votes::must_halt),
    scenario("a lost memory, in a node", lost::MEMORY, lost::memory),
    scenario("stores in files", lost::FILES, lost::files),
    scenario("writes that were lost", lost::FILES, lost::lost_writes),
];

/// The names of all scenarios.
pub fn names() -> impl Iterator<Item = &'static str> {
    SCENARIOS.iter().map(|scenario| scenario.name)
}

/// All places that scenarios name from their start on.
pub fn places() -> impl Iterator<Item = Handler> {
    SCENARIOS.iter().flat_map(|scenario| scenario.places).copied()
}

/// Plays every scenario; how many were played, or the first difference.
pub fn play() -> Result<u64, Box<Divergence>> {
    SCENARIOS.iter().try_for_each(play_one)?;
    Ok(SCENARIOS.len() as u64)
}

/// Plays the scenario of this name.
pub fn play_named(name: &str) -> Result<(), Box<Divergence>> {
    SCENARIOS.iter().filter(|scenario| scenario.name == name).try_for_each(play_one)
}

fn play_one(scenario: &Scenario) -> Result<(), Box<Divergence>> {
    let told =
        |story: Option<&Story>, difference: Difference| divergence(scenario, story, difference);
    let story = Story::begin(scenario.places).map_err(|difference| told(None, difference))?;
    let played = guarded(|| (scenario.play)(&story)).flatten();
    played.map_err(|difference| told(Some(&story), difference))
}

fn divergence(
    scenario: &Scenario,
    story: Option<&Story>,
    difference: Difference,
) -> Box<Divergence> {
    let difference = difference.by_probe("scenario", scenario.name);
    let mut path = story.map(Story::steps).unwrap_or_default();
    let (step, action) = (path.len().max(1), path.pop().unwrap_or_default());
    let replica = story.map_or(0, Story::replica) as u8;
    let signpost = signpost(story.map_or(scenario.places, Story::places), &difference);
    let again = "cargo test -p pbft-conformance --test wide".to_owned();
    let moment = Moment { replica, step, action, path };
    Divergence::in_scenario(Arm::Node, difference, signpost, moment, again)
}

/// Where the story says that one should look; first of all, where the code panicked.
fn signpost(places: &'static [Handler], difference: &Difference) -> Signpost {
    let panicked = difference.facts.iter().filter_map(|fact| match fact {
        Fact::Panicked(place) => Some(*place),
        _ => None,
    });
    let mut all = panicked.chain(places.iter().copied());
    let handler = all.next().unwrap_or(crate::signpost::given::STEP);
    let why = "has a part in what the story is about";
    let clue = |handler| Clue { handler, why: why.to_owned() };
    let rule = match difference.kind {
        Kind::NotDurable | Kind::Restart => Rule { section: "2", place: None },
        _ => Rule { section: "4", place: None },
    };
    Signpost { handler, rule, look_at: all.map(clue).collect() }
}
