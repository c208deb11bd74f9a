//! The tables of signposts name functions that exist, and say of them what is true.

use pbft_conformance::divergence::{Difference, Kind};
use pbft_conformance::probe;
use pbft_conformance::probe::frame::FRAME_PROBES;
use pbft_conformance::probe::handshake::HANDSHAKES;
use pbft_conformance::probe::reaction::REACTIONS;
use pbft_conformance::signpost::deeds::{Deed, Field, taken_by};
use pbft_conformance::signpost::given::Given;
use pbft_conformance::signpost::{Arm, Fact, Handler, deeds, given, guards, owed};
use pbft_conformance::statement::StatementKind;
use pbft_core::RejectionKind;
use pbft_model as model;
use pbft_plant::{find, switch};
use std::collections::{BTreeMap, BTreeSet};

fn place(file: &'static str, function: &'static str) -> Handler {
    Handler { file, function }
}

fn source(file: &str) -> String {
    let root = switch::sources().expect("an ordinary build");
    std::fs::read_to_string(root.join(file)).expect("the file is there")
}

fn actions() -> [model::Action; 11] {
    let replica = model::ReplicaId(0);
    let (view, slot, value) = (model::View(0), model::Slot(1), model::Value::NULL);
    let (digest, outcome) = (model::StateDigest::default(), model::NewView::default());
    [
        model::Action::PrePrepare { replica, slot, value },
        model::Action::Prepare { replica, slot, value },
        model::Action::Commit { replica, slot },
        model::Action::Execute { replica, view, value },
        model::Action::Stabilise { replica, slot },
        model::Action::StateTransfer { replica, slot, digest },
        model::Action::StartViewChange { replica, to: view },
        model::Action::NewView { replica, outcome },
        model::Action::EnterView { replica, view, outcome },
        model::Action::Flush { replica },
        model::Action::Restart { replica },
    ]
}

/// Everything that any table names.
fn all_places() -> BTreeSet<Handler> {
    let mut all = BTreeSet::new();
    let mut ruled = Vec::new();
    for given in Given::ALL {
        all.insert(given.handler());
        all.extend(given.encoded());
        ruled.push(given.rule());
        for reason in RejectionKind::ALL {
            all.extend(guards::raise(Some(given), *reason));
            all.extend(guards::read(Some(given), *reason));
            ruled.extend(guards::rule(Some(given), &[Fact::MustRefuse(*reason)]));
        }
    }
    for deed in Deed::ALL {
        all.extend(deed.decided().iter().chain(deed.made()).chain(deed.sent()));
    }
    for field in Field::ALL {
        all.extend(field.set().iter().chain(field.recovered()).chain(field.stored()));
    }
    for owed in owed::all() {
        all.extend(owed.places);
        ruled.push(owed.rule);
    }
    for action in actions() {
        let (place, rule) = taken_by(&action);
        all.insert(place);
        ruled.push(rule);
    }
    for places in [
        deeds::RECOVERY,
        deeds::SYNC,
        deeds::BATCH_DIGEST,
        deeds::EVIDENCE,
        deeds::QUEUES,
        deeds::PERFORM,
        deeds::KEEP_EVIDENCE,
        deeds::STORE_SERVICE,
        deeds::ON_THE_WAY,
        deeds::BY_THE_HOST,
        &[given::STEP, given::RECOVER],
    ] {
        all.extend(places);
    }
    all.extend(ruled.iter().filter_map(|rule| rule.place));
    all
}

#[test]
fn every_function_that_is_named_stands_once_in_its_file() {
    let mut sources: BTreeMap<&str, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    for Handler { file, function } in all_places() {
        let text = sources.entry(file).or_insert_with(|| source(file));
        wrong.extend(find::find(text, function).err().map(|error| format!("{file}: {error}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether a function's body names the variant: no longer one, and none of a client's reasons.
fn gives(body: &str, reason: RejectionKind) -> bool {
    let named = format!("Rejection::{reason:?}");
    body.match_indices(&*named).any(|(at, _)| {
        let (before, after) = (&body[..at], &body[at + named.len()..]);
        !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric)
    })
}

#[test]
fn each_reason_is_given_by_the_functions_that_are_listed_for_it() {
    for reason in RejectionKind::ALL {
        assert!(guards::raised(*reason).next().is_some(), "nobody is listed for {reason}");
        for Handler { file, function } in guards::raised(*reason) {
            let found = find::find(&source(file), function).expect("it is there");
            assert!(gives(&found.body, *reason), "{file} {function} does not refuse as {reason}");
        }
    }
}

/// Refusals before a message is verified repeat those of the replica; who gives a completion twice is no peer.
const ELSEWHERE: [&str; 2] = ["stale.rs", "rejection.rs"];

#[test]
fn every_function_of_the_core_that_gives_a_reason_is_listed_for_it() {
    let core = switch::sources().expect("an ordinary build").join("impl/core/src");
    let mut missing = Vec::new();
    for entry in std::fs::read_dir(core).expect("the core is there") {
        let file = entry.expect("an entry").file_name().into_string().expect("a name");
        if !file.ends_with(".rs") || ELSEWHERE.contains(&&*file) {
            continue;
        }
        let path = format!("impl/core/src/{file}");
        for (function, body) in find::bodies(&source(&path)).expect("Rust") {
            for reason in RejectionKind::ALL.iter().filter(|reason| gives(&body, **reason)) {
                let same =
                    |place: Handler| place.file == path && function.ends_with(place.function);
                if !guards::raised(*reason).any(same) {
                    missing.push(format!("{path} {function}: {reason}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn whatever_is_owed_has_a_place_and_whatever_has_one_is_probed() {
    let known: BTreeSet<&str> = probe::all_names().collect();
    for name in owed::names() {
        assert!(known.contains(name), "no such probe: {name}");
    }
    let reactions = REACTIONS.iter().map(|(name, _, _)| *name);
    let frames = FRAME_PROBES.iter().map(|(name, _)| *name);
    let doors = HANDSHAKES.iter().map(|(name, _)| *name);
    for name in reactions.chain(frames).chain(doors) {
        assert!(owed::of(name).is_some(), "nobody owes: {name}");
    }
}

#[test]
fn what_is_lacking_and_what_is_there_too_much_lead_to_who_decides_on_it() {
    let step = model::Action::Commit { replica: model::ReplicaId(1), slot: model::Slot(1) };
    let difference = Difference::new(Kind::Messages, "the messages differ")
        .with(Fact::Lacks(Deed::Says(StatementKind::Commit)))
        .given(Given::Prepare);
    let post = difference.signpost(Arm::Core, Some(&step));
    assert_eq!(post.handler, place("impl/core/src/normal_case.rs", "Replica::on_prepare"));
    assert_eq!(post.look_at[0].handler, place("impl/core/src/normal_case.rs", "Replica::advance"));
    assert_eq!(post.look_at[0].why, "decides on COMMIT, lacking here");
    assert_eq!(post.rule.place, Some(place("model/spec/src/rules.rs", "commit")));
    let other =
        Difference { facts: vec![Fact::Did(Deed::Says(StatementKind::Commit))], ..difference };
    let post = other.signpost(Arm::Core, Some(&step));
    assert_eq!(post.look_at[0].why, "decides on COMMIT, done here");
}

#[test]
fn a_report_has_the_lines_that_the_functions_stand_at() {
    let propose = place("impl/core/src/normal_case.rs", "Replica::propose");
    let text = source(propose.file);
    let line = text.lines().position(|line| line.contains("fn propose(")).expect("it is there");
    assert_eq!(propose.line(), Some(line + 1));
    assert_eq!(propose.to_string(), format!("{}:{} Replica::propose", propose.file, line + 1));
    let value = serde_json::to_value(propose).expect("it can be written");
    let expected = serde_json::json!({
        "file": "impl/core/src/normal_case.rs", "function": "Replica::propose", "line": line + 1
    });
    assert_eq!(value, expected);
    assert_eq!(place("impl/core/src/nowhere.rs", "nothing").line(), None);
    let inside = Handler::at(propose.file, line as u32 + 3).expect("a function");
    assert_eq!(inside, propose);
}
