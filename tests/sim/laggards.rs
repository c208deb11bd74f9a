//! Runs in which a replica that had left its view alone, or was skipped by a lying primary, never came level: clients
//! kept the others at work, so that each checkpoint that it was going to fetch was gone when it asked.

use core::time::Duration;
use pbft_tests::sim::bank::Operation;
use pbft_tests::sim::campaign::Task;
use pbft_tests::sim::driver::bound;
use pbft_tests::sim::fault::Submission;
use pbft_tests::sim::judge::{Judging, judge};

#[test]
fn laggards_come_level_while_clients_go_on() {
    let of_four = [24770, 37581, 41727, 61994, 64135, 64367, 76919, 82200, 88209];
    let of_seven = [2016, 9948];
    let tasks = of_four.map(|seed| Task::Seed { n: 4, seed });
    for task in tasks.into_iter().chain(of_seven.map(|seed| Task::Seed { n: 7, seed })) {
        let plan = task.plan();
        let judged = judge(&plan, Judging { model: false, keep: false });
        assert_eq!(judged.violation, None, "{task:?}");
        let converged = judged.converged.expect("no rule is broken");
        assert!(4 * converged < bound(&plan), "{task:?} took {converged:?}");
    }
}

/// A lying primary skips replica 1, replica 2 suspects it alone, and a client that lies never stops: replica 1's votes are
/// needed for each batch, and it learns by its next STATUS only that the batch is final.
#[test]
fn a_replica_may_trail_for_ever_but_not_by_much() {
    let plan = Task::Seed { n: 4, seed: 33757 }.plan();
    let judged = judge(&plan, Judging { model: false, keep: false });
    assert_eq!((judged.violation, judged.converged), (None, None));
    assert_eq!(judged.trailing.as_deref(), Some("replica 1 has executed #403, another one #405"));
}

/// Power goes at all replicas, and no correct one can prove any more that some batches are final; the liar who could is
/// silent. One that lacks them stays behind while all is quiet. Requests fill the log, then, and a view change brings them.
#[test]
fn batches_whose_certificates_are_lost_come_back_with_requests() {
    let mut plan = Task::Seed { n: 4, seed: 95556 }.plan();
    let quiet = judge(&plan, Judging { model: false, keep: false });
    let broken = quiet.violation.expect("known: see docs/reliability.md");
    assert!(broken.detail.contains("replica 2 has executed #36, another one #47"), "{broken}");
    let think = Duration::from_millis(700);
    let operation = Operation::Read { account: 1 };
    plan.submissions.extend((0..20).map(|_| Submission { client: 0, lane: 0, think, operation }));
    let busy = judge(&plan, Judging { model: false, keep: false });
    assert_eq!(busy.violation, None);
    assert!(busy.converged.is_some() && busy.answered == busy.operations);
}
