//! What the picture says of paths that are known.

use std::fmt::Write;

use super::story::{Kind, Story};
use super::swim_lanes;
use crate::bfs::{self, Limits};
use crate::run::Silent;
use pbft_model::ids::ReplicaId;
use pbft_model::{Action, Config, Pbft, State, properties};
use stateright::Model as _;

/// One Byzantine replica more than is tolerated, so that there are violations to show.
const CONTROL: &str = "n4-b01-v1-s1-d2";

fn model(config: &str) -> Pbft {
    let config: Config = config.parse().expect("a configuration");
    Pbft::new(config)
}

/// A path by the labels of its steps.
fn path(model: &Pbft, labels: &[&str]) -> Vec<Action> {
    let mut state = State::initial(model.config());
    let mut actions = Vec::new();
    for label in labels {
        let mut enabled = Vec::new();
        model.actions(&state, &mut enabled);
        let step = enabled.into_iter().find(|action| action.to_string() == **label);
        let step = step.unwrap_or_else(|| panic!("{label}"));
        state = model.stepped(&state, step);
        actions.push(step);
    }
    actions
}

fn shortest(model: &Pbft, matches: impl Fn(&Pbft, &State) -> bool) -> Vec<Action> {
    bfs::search(model, Limits::default(), matches, &mut Silent).found.expect("reachable")
}

fn disagreement(model: &Pbft, state: &State) -> bool {
    properties::violated(model, state).contains(&"agreement")
}

/// The quorums of the normal case, with the Byzantine vote only where the others do not suffice.
#[test]
fn a_quorum_names_its_members_and_a_message_its_step() {
    let model = model("n4-b3-v0-s1-d1");
    let path = shortest(&model, |_, state| state.replica(ReplicaId(0)).last_executed.0 == 1);
    let story = Story::new(&model, &path);
    assert_eq!(story.steps.len(), path.len());
    let execute = story.steps.last().expect("a step");
    let quorum = execute.quorum.as_ref().expect("a commit certificate");
    assert_eq!((quorum.voters.len(), quorum.needed, quorum.is_short()), (3, 3, false));
    let byzantine = quorum.voters.contains(&ReplicaId(3));
    // A shortest path takes the vote that costs no step.
    assert!(byzantine, "{:?}", quorum.voters);
    for message in &execute.uses {
        assert_eq!(message.kind, Kind::Commit);
        match message.sent_at {
            None => assert_eq!(message.from, ReplicaId(3)),
            Some(at) => assert!(
                matches!(story.steps[at].action, Action::Commit { replica, .. } if replica == message.from)
            ),
        }
    }
    let prepare = story.steps.iter().find(|step| step.action.name() == "Prepare").expect("a step");
    assert_eq!(prepare.uses.len(), 1);
    assert_eq!((prepare.uses[0].kind, prepare.uses[0].sent_at), (Kind::PrePrepare, Some(0)));
}

/// With the honest votes there, the Byzantine one is not needed and not shown.
#[test]
fn byzantine_votes_are_the_last_to_be_counted() {
    let model = model("n4-b3-v0-s1-d1");
    let all_committed = |_: &Pbft, state: &State| {
        let committed = |id: u8| !state.replica(ReplicaId(id)).sent.commits[0][0].is_empty();
        (0..3).all(committed) && state.replica(ReplicaId(0)).last_executed.0 == 1
    };
    let mut path = shortest(&model, all_committed);
    // Executed last, whenever the search did it.
    let at = path.iter().position(|action| action.name() == "Execute").expect("an execution");
    let execute = path.remove(at);
    path.push(execute);
    let story = Story::new(&model, &path);
    let quorum = story.steps.last().and_then(|step| step.quorum.clone()).expect("a certificate");
    assert_eq!(quorum.voters, [ReplicaId(0), ReplicaId(1), ReplicaId(2)]);
}

/// None is marked as too small where none is. That one is where it is `tests/pictures.rs` shows.
#[test]
fn quorums_of_the_protocol_are_not_too_small() {
    let short = |step: &super::story::Step| step.quorum.as_ref().is_some_and(|one| one.is_short());
    let correct = model("n4-b0-v1-s1-d2");
    let path = shortest(&correct, |_, state| state.replica(ReplicaId(1)).last_executed.0 == 1);
    assert!(!Story::new(&correct, &path).steps.iter().any(short));
}

/// The NEW-VIEW of a Byzantine primary rests on VIEW-CHANGEs that were sent.
#[test]
fn a_byzantine_new_view_shows_what_it_rests_on() {
    let model = model("n4-b1-v1-s1-d1");
    let entered = |_: &Pbft, state: &State| {
        let replica = state.replica(ReplicaId(2));
        replica.active && replica.view.0 == 1
    };
    let path = shortest(&model, entered);
    let story = Story::new(&model, &path);
    let enter = story.steps.last().expect("a step");
    assert_eq!((enter.uses.len(), enter.uses[0].kind), (1, Kind::NewView));
    assert_eq!(enter.uses[0].from, ReplicaId(1));
    assert_eq!(enter.behind.len(), 2);
    assert!(enter.behind.iter().all(|one| one.kind == Kind::ViewChange && one.sent_at.is_some()));
    assert_eq!(enter.quorum.as_ref().map(|quorum| quorum.voters.len()), Some(3));
}

#[test]
fn the_picture_names_what_is_violated_and_who_is_byzantine() {
    let model = model(CONTROL);
    let path = path(
        &model,
        &[
            "replica 2 StartViewChange to view 1",
            "replica 3 Prepare R1 at slot 1",
            "replica 3 Commit slot 1",
            "replica 3 Execute R1, committed in view 0",
            "replica 2 EnterView view 1 with O=[]",
            "replica 2 Prepare R2 at slot 1",
            "replica 2 Commit slot 1",
            "replica 2 Execute R2, committed in view 1",
        ],
    );
    let svg = swim_lanes(&model, &path);
    for expected in [
        "✗ VIOLATED agreement: no two honest",
        ">Byzantine<",
        "view 1",
        "✗ R1",
        "✗ R2",
        "<desc>1. replica",
    ] {
        assert!(svg.contains(expected), "{expected}");
    }
    let before = swim_lanes(&model, &path[..path.len() - 1]);
    assert!(!before.contains("VIOLATED agreement"));
    for step in 1..=path.len() {
        let mut node = String::new();
        let _ = write!(node, "<text class='number'");
        assert!(
            svg.matches(&node).count() == path.len()
                && svg.contains(&format!("data-step='{step}'"))
        );
    }
    assert!(!svg.contains("http://www.w3.org/1999/xlink") && svg.matches("http").count() == 1);
}

/// Every picture of a counterexample is well formed: tags are closed in order, quotes are balanced.
#[test]
fn pictures_are_well_formed() {
    for config in [CONTROL, "n4-b01-v1-s1-d2-k1", "n4-b12-v1-s1-d2", "n4-b01-v0-s1-d2-r"] {
        let model = model(config);
        let svg = swim_lanes(&model, &shortest(&model, disagreement));
        let mut open = Vec::new();
        for tag in svg.split('<').skip(1) {
            let tag = tag.split_once('>').map(|(tag, _)| tag).expect("a tag that ends");
            assert_eq!(tag.matches('\'').count() % 2, 0, "{tag}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') {
                open.push(tag.split(' ').next().expect("a name"));
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }
    let model = model("n7-b6-v0-s2-d1");
    assert!(swim_lanes(&model, &[]).contains("replica 6"));
}

/// Where a message leaves after a write, it comes from the step that wrote.
#[test]
fn with_restarts_a_message_leaves_with_the_write() {
    let model = model("n4-b3-v0-s1-d1-r");
    let path =
        shortest(&model, |_, state| state.replica(ReplicaId(1)).sent.commits[0][0].len() == 1);
    let story = Story::new(&model, &path);
    let origins: Vec<_> = story
        .steps
        .iter()
        .flat_map(|step| &step.uses)
        .filter_map(|message| message.sent_at)
        .map(|at| story.steps[at].action.name())
        .collect();
    assert!(!origins.is_empty() && origins.iter().all(|name| *name == "Flush"), "{origins:?}");
}
