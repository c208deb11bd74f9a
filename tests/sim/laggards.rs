//! Runs in which a replica that had left its view alone, or was skipped by a lying primary, never came level: clients
//! kept the others at work, so that each checkpoint that it was going to fetch was gone when it asked.

use pbft_tests::sim::campaign::Task;
use pbft_tests::sim::driver::bound;
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
    assert_eq!(judged.trailing.as_deref(), Some("replica 1 has executed #404, another one #406"));
}
