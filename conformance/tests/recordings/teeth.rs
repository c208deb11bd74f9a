//! Recordings that say what no correct replica does are refused, each for its own reason.

use crate::cluster::orderly;
use crate::tampered::{OTHER, Tampered, commits, prepares, run, takes_prepare, view_change};
use crate::validated;
use pbft_conformance::validate::merge::ValidateError;
use pbft_conformance::validate::refusal::{Property, Reason};
use pbft_conformance::validate::{Options, Validity};
use pbft_model::rules::Unmet;
use pbft_node::trace::Line;
use pbft_node::trace::format::{Body, Input, Output, Step};

#[test]
fn what_is_not_tampered_with_is_valid() {
    for recording in [run(), view_change()] {
        let validation = recording.validate().expect("a recording");
        assert_eq!(validation.verdict, Validity::Valid, "{validation}");
    }
    let validation = view_change().validate().expect("a recording");
    assert_eq!(validation.coverage.view, 1, "{validation}");
}

#[test]
fn a_vote_that_was_changed() {
    let mut said = run();
    let at = said.find(2, prepares);
    for output in &mut said.step(2, at).out {
        if let Output::All(Body::Prepare(vote)) = output {
            vote.digest = OTHER;
        }
    }
    assert_eq!(said.reason(), Reason::Guard(Unmet::NotPrePrepared));

    let mut heard = run();
    let at = heard.find(1, takes_prepare);
    if let Input::Message { body: Body::Prepare(vote), .. } = &mut heard.step(1, at).input {
        vote.digest = OTHER;
    }
    assert_eq!(heard.reason(), Reason::NeverSaid);
}

#[test]
fn a_commit_without_its_prepared_certificate() {
    let mut unheard = run();
    // Nothing of the PREPARE that made the certificate complete is heard.
    let at = unheard.find(1, commits);
    unheard.step(1, at).input = Input::StatusTimer;
    assert_eq!(unheard.reason(), Reason::Guard(Unmet::PreparesMissing));

    let mut unwritten = run();
    let at = unwritten.find(1, commits);
    unwritten.step(1, at).out.retain(|output| !matches!(output, Output::Prepared(_)));
    assert_eq!(unwritten.reason(), Reason::Guard(Unmet::PreparesMissing));

    let mut short = run();
    let at = short.find(1, commits);
    for output in &mut short.step(1, at).out {
        if let Output::Prepared(proof) = output {
            proof.signers.pop();
        }
    }
    assert_eq!(short.reason(), Reason::Guard(Unmet::PreparesMissing));
}

#[test]
fn an_execution_out_of_order() {
    let mut recording = run();
    for step in recording.steps(3).filter(|step| step.input == Input::Executed { seq: 5 }) {
        step.input = Input::Executed { seq: 6 };
    }
    assert_eq!(recording.reason(), Reason::Effect, "the service was asked for another");

    let mut recording = run();
    let executes = |step: &Step, number: u64| {
        step.out.iter().any(
            |output| matches!(output, Output::Execute { committed, .. } if committed.seq == number),
        )
    };
    let (fifth, sixth) =
        (recording.find(3, |step| executes(step, 5)), recording.find(3, |step| executes(step, 6)));
    // The fifth is left out: what asked for it and its completion.
    recording.step(3, fifth).out.retain(|output| !matches!(output, Output::Execute { .. }));
    let completion = recording.find(3, |step| step.input == Input::Executed { seq: 5 });
    recording.step(3, completion).input = Input::Suspect;
    assert!(fifth < sixth);
    assert_eq!(recording.reason(), Reason::Guard(Unmet::NotNext));
}

#[test]
fn a_request_executed_twice_and_one_left_out() {
    for twice in [true, false] {
        let mut recording = run();
        let asks = |step: &Step| step.out.iter().any(|o| matches!(o, Output::Execute { .. }));
        let at = recording.find(2, asks);
        for output in &mut recording.step(2, at).out {
            if let Output::Execute { applied, .. } = output {
                match twice {
                    true => applied.push(applied[0]),
                    false => applied.clear(),
                }
            }
        }
        assert_eq!(recording.reason(), Reason::Property(Property::ExactlyOnce));
    }
}

#[test]
fn a_second_prepare() {
    let mut recording = run();
    let at = recording.find(2, prepares);
    let mut second = recording.step(2, at).clone();
    for output in &mut second.out {
        if let Output::All(Body::Prepare(vote)) = output {
            vote.digest = OTHER;
        }
    }
    recording.0[2].insert(at + 1, Line::Step(Box::new(second)));
    recording.renumber(2);
    assert_eq!(recording.reason(), Reason::Property(Property::OneStatement));
}

#[test]
fn a_checkpoint_of_another_state() {
    let mut recording = run();
    for step in recording.steps(1) {
        for output in &mut step.out {
            if let Output::All(Body::Checkpoint(vote)) = output {
                vote.digest = OTHER;
            }
        }
    }
    // Whichever of the replicas comes second is the one that differs.
    let reason = recording.reason();
    let expected = [Reason::Property(Property::CheckpointAgreement), Reason::NeverSaid];
    assert!(expected.contains(&reason), "{reason:?}");
}

#[test]
fn a_vote_in_a_view_that_was_left() {
    let mut recording = view_change();
    let at = recording.find(2, prepares);
    let mut late = recording.step(2, at).clone();
    for output in &mut late.out {
        if let Output::All(Body::Prepare(vote)) = output {
            vote.seq += 4;
        }
    }
    let leaves = |step: &Step| {
        step.out.iter().any(|output| matches!(output, Output::All(Body::ViewChange(_))))
    };
    let left = recording.find(2, leaves);
    late.group = recording.step(2, left).group;
    recording.0[2].insert(left + 1, Line::Step(Box::new(late)));
    recording.renumber(2);
    assert_eq!(recording.reason(), Reason::Property(Property::VotesInItsView));
}

#[test]
fn a_view_change_that_leaves_a_certificate_out() {
    let mut recording = view_change();
    let mut changed = 0;
    for step in recording.steps(3) {
        for output in &mut step.out {
            if let Output::All(Body::ViewChange(change)) = output {
                changed += change.prepared.len();
                change.prepared.clear();
            }
        }
    }
    assert!(changed > 0, "something had prepared");
    assert_eq!(recording.reason(), Reason::Effect);
}

#[test]
fn a_wrong_o() {
    let mut recording = view_change();
    let begins = |step: &Step| step.out.iter().any(|o| matches!(o, Output::All(Body::NewView(_))));
    let at = recording.find(1, begins);
    for output in &mut recording.step(1, at).out {
        if let Output::All(Body::NewView(new_view)) = output {
            new_view.order[0].1 = OTHER;
        }
    }
    assert_eq!(recording.reason(), Reason::Guard(Unmet::WrongOrder));
}

#[test]
fn a_v_of_too_few() {
    let mut recording = view_change();
    let begins = |step: &Step| step.out.iter().any(|o| matches!(o, Output::All(Body::NewView(_))));
    let at = recording.find(1, begins);
    for output in &mut recording.step(1, at).out {
        if let Output::All(Body::NewView(new_view)) = output {
            new_view.view_changes.pop();
        }
    }
    assert_eq!(recording.reason(), Reason::Guard(Unmet::NotAQuorum));
}

#[test]
fn a_restart_that_forgets() {
    let forgets: [fn(&mut pbft_node::trace::format::Resumed); 4] = [
        |state| state.executed -= 1,
        |state| state.prepared.clear(),
        |state| state.view += 1,
        |state| state.checkpoints = vec![(8, OTHER)],
    ];
    for forget in forgets {
        let mut recording = view_change();
        let last = recording.0[0].iter_mut().rev().find_map(|line| match line {
            Line::Header(header) => Some(header),
            _ => None,
        });
        let header = last.expect("a second start");
        assert!(header.state.executed > 0 && !header.state.prepared.is_empty());
        forget(&mut header.state);
        assert_eq!(recording.reason(), Reason::Restart);
    }
}

#[test]
fn events_that_were_dropped_and_doubled() {
    let mut dropped = run();
    dropped.0[2].remove(30);
    assert!(dropped.problem().contains("follows step"), "a number is missing");

    let mut doubled = run();
    let line = doubled.0[2][30].clone();
    doubled.0[2].insert(30, line);
    assert!(doubled.problem().contains("follows step"), "a number is there twice");

    let mut at_the_end = run();
    let end = at_the_end.0[2].len() - 1;
    at_the_end.0[2].remove(end - 1);
    assert!(at_the_end.problem().contains("the end speaks of"), "fewer steps than the end says");

    // Numbered anew, so that only the protocol can tell.
    let mut hidden = run();
    let at = hidden.find(2, commits);
    hidden.0[2].remove(at);
    hidden.renumber(2);
    let reason = Reason::Guard(Unmet::CommitsMissing);
    assert_eq!(hidden.reason(), reason, "its own COMMIT is in the certificate");
}

#[test]
fn logs_of_two_replicas_that_were_swapped() {
    let mut recording = run();
    for (id, other) in [(1, 2), (2, 1)] {
        let Line::Header(header) = &mut recording.0[id][0] else { panic!("a header") };
        header.replica = other;
    }
    assert_eq!(recording.reason(), Reason::Effect);
}

#[test]
fn a_log_that_ends_early() {
    let mut recording = run();
    let half = recording.0[2].len() / 2;
    recording.0[2].truncate(half);
    let validation = recording.validate().expect("a recording");
    assert_eq!(validation.verdict, Validity::Inconclusive);
    assert!(validation.doubts[0].contains("ends without an end"), "{validation}");
    // Also where an end may be missing: others have heard what is not there.
    let options = Options { truncated_ok: true, ..Options::default() };
    let validation = validated(&recording.bytes(), &options).expect("a recording");
    assert_eq!(validation.verdict, Validity::Inconclusive, "{validation}");

    // Cut in the middle of a line.
    let mut bytes = run().bytes();
    let len = bytes[1].len() - 5;
    bytes[1].truncate(len);
    let validation = validated(&bytes, &Options::default()).expect("a recording");
    assert_eq!(validation.verdict, Validity::Inconclusive);
    let validation = validated(&bytes, &options).expect("a recording");
    assert_eq!(validation.verdict, Validity::Valid, "only the end is lost: {validation}");
}

#[test]
fn nothing_and_too_little() {
    let recording = run();
    let gap = |mut recording: Tampered| {
        recording.0[3].insert(40, Line::Gap { steps: 2 });
        recording
    };
    let with_a_gap = gap(run()).validate().expect("a recording");
    assert_eq!(with_a_gap.verdict, Validity::Inconclusive);
    assert!(with_a_gap.doubts[0].contains("2 steps are missing"), "{with_a_gap}");

    let three = validated(&recording.bytes()[..3], &Options::default()).expect("recordings");
    assert_eq!(three.verdict, Validity::Valid, "the fourth may have said anything: {three}");
    let two = validated(&recording.bytes()[..2], &Options::default()).expect("recordings");
    assert_eq!(two.verdict, Validity::Inconclusive, "{two}");

    let idle = Tampered::new(&orderly(4, 0)).validate().expect("a recording");
    assert_eq!(idle.verdict, Validity::Inconclusive);
    assert_eq!(idle.doubts, ["nothing was executed"]);

    let mut late = run();
    let Line::Header(header) = &mut late.0[0][0] else { panic!("a header") };
    header.state.executed = 3;
    let late = late.validate().expect("a recording");
    assert_eq!(late.verdict, Validity::Inconclusive);
    assert!(late.doubts[0].contains("begins in the middle"), "{late}");
}

#[test]
fn byzantine_replicas_are_left_out_at_most_f_of_them() {
    let mut recording = run();
    // Whatever its file says.
    recording.steps(3).for_each(|step| step.out.clear());
    assert_eq!(recording.reason(), Reason::Effect, "it executes what it did not ask for");
    let named = |byzantine: &[u32]| Options {
        byzantine: byzantine.iter().copied().collect(),
        ..Options::default()
    };
    let validation = validated(&recording.bytes(), &named(&[3])).expect("recordings");
    assert_eq!(validation.verdict, Validity::Valid, "{validation}");
    for (ids, part) in [(&[2, 3][..], "at most 1"), (&[9], "0 to 3")] {
        match validated(&recording.bytes(), &named(ids)) {
            Err(ValidateError::Usage(message)) => assert!(message.contains(part), "{message}"),
            other => panic!("{ids:?}: {other:?}"),
        }
    }
}

#[test]
fn files_that_are_no_recordings_are_refused() {
    let good = run().bytes();
    let refused = |bytes: Vec<u8>| {
        let mut files = good.clone();
        files[0] = bytes;
        match validated(&files, &Options::default()) {
            Err(ValidateError::Refused(refused)) => refused.problem,
            other => panic!("{other:?}"),
        }
    };
    let text = String::from_utf8(good[0].clone()).expect("text");
    let changed = |from: &str, to: &str| refused(text.replacen(from, to, 1).into_bytes());
    assert!(refused(Vec::new()).contains("nothing is recorded"));
    assert!(refused(b"\xff\xfe\n{}\n".to_vec()).contains("expected value"));
    assert!(refused(good[1].clone()).contains("is of replica 1, too"));
    assert!(changed("\"format\":1", "\"format\":2").contains("format 2"));
    assert!(changed("\"replicas\":4", "\"replicas\":3").contains("replica 0 of 3"));
    assert!(changed("\"window\":32", "\"window\":99999999").contains("L = 99999999"));
    assert!(changed("\"interval\":8", "\"interval\":4").contains("another cluster"));
    assert!(changed("\"number\":1,", "\"number\":1,\"extra\":0,").contains("unknown field"));
    let endless = [&good[0][..], &vec![b' '; 5 << 20]].concat();
    assert!(refused(endless).contains("more than"));
}
