//! The theorem's invariant along recorded runs: it holds in those of real replicas, and where a recording says what breaks
//! it, the conjunct is named before two replicas have executed differently.

use crate::cluster::{Cluster, orderly};
use crate::tampered::{OTHER, Tampered, commits, prepares, run, view_change};
use crate::{files, validated};
use pbft_conformance::validate::refusal::Reason;
use pbft_conformance::validate::{Options, Recording, Validation, Validity, validate_against};
use pbft_core::Timer;
use pbft_core::message::Message;
use pbft_node::trace::ShortDigest;
use pbft_node::trace::format::{Body, Input, Output, Step};
use pbft_proof::theory::{SOURCE, Theory};
use std::path::PathBuf;

/// Requests one after the other, and now and then the primary is killed: the next view begins, and it comes back.
fn long(n: u32, rounds: u64) -> Cluster {
    let mut cluster = Cluster::new(n, 1, 8);
    let mut view = 0;
    for round in 0..rounds {
        cluster.request((round % 3) as u32, (round / 3 % 4) as u16);
        if round % 50 == 25 {
            // Something has prepared, here and there.
            (0..n * 5).for_each(|_| cluster.deliver_next());
            cluster.kill(view % n);
            (0..n).for_each(|id| cluster.fire(id, Timer::ViewChange));
            cluster.settle();
            cluster.start(view % n);
            cluster.heal(2);
            view += 1;
        }
        cluster.settle();
    }
    cluster.heal(3);
    cluster.stop();
    cluster
}

fn valid(run: &Cluster) -> Validation {
    let validation = validated(&files(run), &Options::default()).expect("a recording");
    assert_eq!(validation.verdict, Validity::Valid, "{validation}");
    validation
}

#[test]
fn the_invariant_holds_along_a_hundred_thousand_steps_of_sixteen_replicas() {
    let validation = valid(&long(16, 190));
    let theorem = &validation.theorem;
    assert!(theorem.applies && theorem.broken.is_empty());
    assert_eq!(theorem.steps, validation.steps);
    assert!(theorem.steps >= 100_000, "{}", theorem.steps);
    assert!(validation.coverage.view >= 3, "{validation}");
    for (conjunct, instances) in &theorem.conjuncts {
        assert!(*instances >= 20, "{conjunct}: {instances}");
    }
    let line =
        format!("theorem: {} steps, {} instances evaluated", theorem.steps, theorem.instances);
    assert!(validation.to_string().contains(&format!("{line}, the invariant holds\n")));
    eprintln!("{line} in {:.1} s", validation.seconds);
}

#[test]
fn what_is_remembered_does_not_grow_with_the_run() {
    let most = |rounds| valid(&long(4, rounds)).theorem.remembered;
    let (short, longer) = (most(200), most(800));
    assert!(longer < short + 200, "{short} facts, then {longer}");
}

#[test]
fn replicas_that_are_not_recorded_may_have_said_anything() {
    let recording = Tampered::new(&long(4, 60));
    for byzantine in 0..4 {
        let options = Options { byzantine: [byzantine].into(), ..Options::default() };
        let validation = validated(&recording.bytes(), &options).expect("recordings");
        assert_eq!(validation.verdict, Validity::Valid, "{validation}");
        assert!(validation.theorem.instances > 1000, "{validation}");
    }
    // Two quorums need not share one of two.
    let two = validated(&recording.bytes()[..2], &Options::default()).expect("recordings");
    assert_eq!(two.verdict, Validity::Inconclusive);
    assert!(!two.theorem.applies && two.theorem.instances == 0);
    assert!(two.to_string().contains("theorem: not evaluated"), "{two}");
}

#[test]
fn what_the_run_has_nothing_of_is_said() {
    let text = valid(&orderly(4, 20)).to_string();
    let line = "(nothing in the run to evaluate for choosable, new-view-has-view-changes, ";
    assert!(text.contains(line), "{text}");
}

/// The outputs of the first step of a replica that fulfils a condition are changed.
fn change(recording: &mut Tampered, id: usize, first: fn(&Step) -> bool, to: fn(&mut Output)) {
    let at = recording.find(id, first);
    recording.step(id, at).out.iter_mut().for_each(to);
}

fn begins(step: &Step) -> bool {
    step.out.iter().any(|output| matches!(output, Output::All(Body::NewView(_))))
}

fn asks(step: &Step) -> bool {
    step.out.iter().any(|output| matches!(output, Output::Execute { .. }))
}

fn is_stable(step: &Step) -> bool {
    step.out.iter().any(|output| matches!(output, Output::Stable(_)))
}

#[test]
fn a_second_vote_for_one_view_and_number() {
    let mut recording = run();
    let at = recording.find(2, prepares);
    let second = recording.step(2, at).out.iter().find_map(|output| match output {
        Output::All(Body::Prepare(vote)) => {
            let mut vote = *vote;
            vote.digest = OTHER;
            Some(Output::All(Body::Prepare(vote)))
        }
        _ => None,
    });
    recording.step(2, at).out.extend(second);
    let found = recording.divergence();
    let [breach] = &*found.broken else { panic!("{found}") };
    assert_eq!((found.replica, breach.conjunct.as_str()), (2, "one-vote"));
    let text = found.to_string();
    let line = format!("replica-2.jsonl:{}: replica 2 ", at + 1);
    let facts = ["    vote(2, v0, #1, 00000000)", "    but not "];
    assert!(facts.iter().all(|fact| text.contains(fact)) && text.starts_with(&line), "{text}");
}

#[test]
fn a_second_certificate_for_one_view_and_number() {
    let mut recording = run();
    change(&mut recording, 1, commits, |output| match output {
        Output::Prepared(proof) => proof.digest = OTHER,
        Output::All(Body::Commit(vote)) => vote.digest = OTHER,
        _ => {}
    });
    assert_eq!(recording.broken(), ["certificates-have-votes"]);
}

#[test]
fn a_commit_without_a_certificate_on_the_disk() {
    let mut recording = run();
    let at = recording.find(1, commits);
    recording.step(1, at).out.retain(|output| !matches!(output, Output::Prepared(_)));
    assert_eq!(recording.broken(), ["commit-is-held"]);
}

#[test]
fn a_decision_without_its_commits() {
    let mut recording = run();
    change(&mut recording, 3, asks, |output| {
        if let Output::Execute { committed, .. } = output {
            committed.digest = OTHER;
        }
    });
    assert_eq!(recording.broken(), ["decisions-have-commits"]);
}

#[test]
fn an_execution_that_leaves_a_gap() {
    let mut recording = run();
    let of = |seq: u64| {
        move |step: &Step| {
            let is = |output: &Output| matches!(output, Output::Execute { committed, .. } if committed.seq == seq);
            step.out.iter().any(is)
        }
    };
    let fifth = recording.find(3, of(5));
    recording.step(3, fifth).out.retain(|output| !matches!(output, Output::Execute { .. }));
    let completion = recording.find(3, |step| step.input == Input::Executed { seq: 5 });
    recording.step(3, completion).input = Input::Suspect;
    assert_eq!(recording.broken(), ["executed-is-a-prefix"]);
}

#[test]
fn a_stable_checkpoint_that_nobody_signed() {
    let mut recording = run();
    change(&mut recording, 0, is_stable, |output| {
        if let Output::Stable(proof) = output {
            proof.digest = OTHER;
        }
    });
    assert_eq!(recording.broken(), ["stable-has-checkpoints"]);
}

#[test]
fn a_view_change_that_omits_a_certificate() {
    let mut recording = view_change();
    for step in recording.steps(3) {
        for output in &mut step.out {
            if let Output::All(Body::ViewChange(change)) = output {
                change.prepared.clear();
            }
        }
    }
    let found = recording.divergence();
    let [breach] = &*found.broken else { panic!("{found}") };
    assert_eq!(breach.conjunct, "view-change-shows");
    assert!(breach.facts.contains(&"view_change(3, v1)".to_owned()), "{breach}");
    assert_eq!(breach.missing, ["shows(3, v1, #1, v0)", "past(3, v1, #1)"]);
}

#[test]
fn a_commit_in_a_view_that_was_left() {
    let mut recording = view_change();
    let leaves = |step: &Step| {
        step.out.iter().any(|output| matches!(output, Output::All(Body::ViewChange(_))))
    };
    let (at, left) = (recording.find(2, commits), recording.find(2, leaves));
    let mut late = recording.step(2, at).out.clone();
    for output in &mut late {
        match output {
            Output::Prepared(proof) => proof.seq += 4,
            Output::All(Body::Commit(vote)) => vote.seq += 4,
            _ => {}
        }
    }
    recording.step(2, left).out.extend(late);
    let broken = recording.broken();
    assert_eq!(broken, ["certificates-have-votes", "view-change-shows"]);
}

#[test]
fn a_v_with_somebody_who_did_not_ask() {
    let mut recording = view_change();
    change(&mut recording, 1, begins, |output| {
        if let Output::All(Body::NewView(new_view)) = output {
            new_view.view_changes[0].replica = 0;
        }
    });
    assert_eq!(recording.broken(), ["new-view-has-view-changes"]);
}

/// Replica 3 alone holds a certificate of view 0 for one batch. In view 1 the others decide another batch at that number.
/// In V for view 2 are both certificates.
fn two_certificates() -> Tampered {
    let mut cluster = Cluster::new(4, 1, 8);
    cluster.request(0, 0);
    cluster.settle_where(|_, to, message| match message {
        Message::PrePrepare(_) => true,
        Message::Prepare(_) => to == 3,
        _ => false,
    });
    cluster.request(1, 0);
    cluster.settle_where(|_, _, _| false);
    for id in 0..3 {
        cluster.fire(id, Timer::ViewChange);
    }
    cluster.settle_where(|from, to, _| from != 3 && to != 3);
    cluster.request(2, 0);
    cluster.settle_where(|_, _, _| false);
    cluster.fire(0, Timer::ViewChange);
    cluster.fire(2, Timer::ViewChange);
    cluster.settle_where(|from, to, _| (from, to) != (1, 2));
    cluster.heal(5);
    cluster.stop();
    Tampered::new(&cluster)
}

#[test]
fn a_new_view_that_picks_the_lower_certificate() {
    let mut recording = two_certificates();
    let whole = recording.validate().expect("a recording");
    assert_eq!(whole.verdict, Validity::Valid, "{whole}");
    let mut certificates: Vec<(u64, ShortDigest)> = Vec::new();
    for step in recording.steps(2) {
        for output in &mut step.out {
            let Output::All(Body::NewView(new_view)) = output else { continue };
            let shown = new_view.view_changes.iter().flat_map(|change| &change.prepared);
            let shown =
                shown.filter(|proof| proof.seq == 1).map(|proof| (proof.view, proof.digest));
            certificates.extend(shown);
            certificates.sort_unstable();
            certificates.dedup();
            let [(0, lower), (1, higher)] = *certificates else { panic!("{certificates:?}") };
            assert_eq!(new_view.order[0], (1, higher));
            new_view.order[0].1 = lower;
        }
    }
    let found = recording.divergence();
    let [breach] = &*found.broken else { panic!("{found}") };
    assert_eq!(breach.conjunct, "choosable");
    assert!(found.act.starts_with("sends NEW-VIEW for v2"), "{found}");
    let [(_, lower), (_, higher)] = *certificates else { panic!("two") };
    let mut expected = vec![format!("voted(v2, #1, {lower})")];
    expected.extend((0..3).map(|id| format!("commit({id}, v1, #1, {higher})")));
    assert_eq!(breach.facts, expected, "{found}");
}

#[test]
fn what_the_model_allows_and_the_invariant_does_not_is_a_finding() {
    let honest = "honest(N) & commit(N,R,S,V) -> prepared(R,S,V)";
    assert_eq!(SOURCE.matches(honest).count(), 1);
    let strong = SOURCE.replace(honest, &format!("{honest} & committed(R,S,V)"));
    let theory = Theory::read(&strong).expect("a theory");
    let bytes = run().bytes();
    let recordings = bytes.iter().enumerate().map(|(id, bytes)| {
        Recording::new(PathBuf::from(format!("replica-{id}.jsonl")), &bytes[..])
    });
    let validation = validate_against(recordings.collect(), &Options::default(), theory);
    let validation = validation.expect("a recording");
    assert_eq!(validation.exit_code(), pbft_checker::run::ExitCode::Finding);
    let found = validation.divergence.as_ref().expect("a finding");
    assert_eq!(found.reason, Some(Reason::Invariant));
    let [breach] = &*found.broken else { panic!("{found}") };
    assert_eq!(breach.conjunct, "commit-follows-certificate");
    let text = validation.to_string();
    let first = format!(
        "replica-{}.jsonl:{}: replica {} breaks the theorem's invariant\n",
        found.replica, found.line, found.replica
    );
    assert!(text.contains(&first), "{text}");
    assert!(text.contains("but not committed(v0, #1, "), "{text}");
    assert!(text.contains("commit-follows-certificate does not hold\n"), "{text}");
}

#[test]
fn a_number_that_there_is_not_is_refused_as_any_other() {
    for (id, first) in [(0, asks as fn(&Step) -> bool), (1, commits), (2, prepares), (0, is_stable)]
    {
        let mut recording = run();
        change(&mut recording, id, first, |output| match output {
            Output::Prepared(proof) => proof.seq = 0,
            Output::Stable(proof) => proof.seq = 0,
            Output::Execute { committed, .. } => committed.seq = 0,
            Output::All(Body::Commit(vote) | Body::Prepare(vote)) => vote.seq = 0,
            _ => {}
        });
        recording.divergence();
    }
    let mut recording = view_change();
    change(&mut recording, 1, begins, |output| {
        if let Output::All(Body::NewView(new_view)) = output {
            new_view.order.push((0, OTHER));
            new_view.view_changes[0].prepared.iter_mut().for_each(|proof| proof.seq = 0);
        }
    });
    recording.divergence();
}
