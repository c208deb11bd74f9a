//! Rules that are broken on purpose are noticed, by name.

use pbft_sim::bank::Operation;
use pbft_sim::coverage::Coverage;
use pbft_sim::driver::Run;
use pbft_sim::event::{Event, Node};
use pbft_sim::fault::Plan;
use pbft_sim::oracle::Rule;
use pbft_sim::shrink::{Patience, replay, shrink};
use pbft_sim::world::{Mode, World};

/// A calm run in which a correct replica's service begins to compute something else; which nobody allowed for.
fn diverged() -> (Plan, Vec<Event>, pbft_sim::oracle::Violation) {
    let mut plan = Plan::calm(2, 4);
    plan.submissions.truncate(10);
    let mut run = Run::new(&plan, Mode::default(), true).expect("a size");
    while run.world.oracle.executed() == 0 {
        assert!(run.step());
    }
    let event = Event::Diverge { host: 2 };
    assert!(run.world.apply(&event));
    run.events.push((run.now, event));
    while run.step() {}
    let violation = run.world.oracle.violation.take().expect("the states differ");
    (plan, run.events.into_iter().map(|(_, event)| event).collect(), violation)
}

#[test]
fn a_state_that_differs_is_noticed_and_the_run_made_small() {
    let (plan, events, violation) = diverged();
    assert_eq!(violation.rule, Rule::EqualStates);
    let shrunk = shrink(&plan, &events, &violation, Patience::default());
    assert_eq!(shrunk.violation.rule, Rule::EqualStates);
    let len = shrunk.events.len();
    assert!(len <= 30 && len < events.len() / 2, "{len} of {}", events.len());
    let again = replay(&plan, &shrunk.events, Rule::EqualStates);
    assert_eq!(again.happened, shrunk.events);
    assert_eq!(again.violation, Some(shrunk.violation));
    // Not one of them can be left out.
    for left_out in 0..len {
        let fewer = [&shrunk.events[..left_out], &shrunk.events[left_out + 1..]].concat();
        let found = replay(&plan, &fewer, Rule::EqualStates).violation;
        assert!(
            found.is_none_or(|found| found.rule != Rule::EqualStates),
            "event {left_out} is not needed"
        );
    }
}

/// In a replay a frame arrives only if it was sent, so that leaving events out never makes a message out of nothing.
#[test]
fn a_frame_that_was_not_sent_does_not_arrive() {
    let (plan, events, _) = diverged();
    let deliveries = events.iter().filter(|event| matches!(event, Event::Deliver { .. }));
    let only_deliveries: Vec<Event> = deliveries.cloned().collect();
    assert!(only_deliveries.len() > 50);
    assert_eq!(replay(&plan, &only_deliveries, Rule::Agreement).happened, []);
}

#[test]
fn what_no_client_asked_for_must_not_be_executed() {
    let mut plan = Plan::calm(1, 4);
    plan.submissions.clear();
    let mut real = World::new(&plan, Mode::default()).expect("a size");
    let mut other = World::new(&plan, Mode::default()).expect("a size");
    real.boot();
    other.boot();
    // The same client, with the same key, asks in another world.
    let operation = Operation::Deposit { account: 1, amount: 5 };
    assert!(other.apply(&Event::Submit { client: 0, lane: 0, timestamp: 1, operation }));
    let mut under_way: Vec<Event> = frames(&mut other);
    while let Some(event) = under_way.pop() {
        real.apply(&event);
        under_way.extend(frames(&mut real));
    }
    let violation = real.oracle.violation.expect("it was executed");
    assert_eq!(violation.rule, Rule::Validity);
}

fn frames(world: &mut World) -> Vec<Event> {
    let outputs = std::mem::take(&mut world.output).into_iter();
    outputs
        .filter_map(|output| match output {
            pbft_sim::world::Output::Frame { from, to, frame, .. } => {
                Some(Event::Deliver { from, to, frame })
            }
            _ => None,
        })
        .filter(|event| !matches!(event, Event::Deliver { to: Node::Client(_), .. }))
        .collect()
}

#[test]
fn what_never_happened_is_named() {
    let missing = Coverage::default().missing();
    assert!(missing.iter().any(|name| name == "rejection wrong-new-view"), "{missing:?}");
    assert!(missing.iter().any(|name| name == "fault partition"));
    assert!(missing.iter().any(|name| name == "behaviour equivocate"));
    assert!(missing.iter().any(|name| name == "effect install"));
    assert!(!missing.iter().any(|name| name == "rejection last-view"), "that cannot happen");
}
