//! Runs in which a replica that had left its view alone, or was skipped by a lying primary, never came level: clients
//! kept the others at work, so that each checkpoint that it was going to fetch was gone when it asked.

use pbft_sim::campaign::Task;
use pbft_sim::driver::bound;
use pbft_sim::judge::{Judging, judge};

#[test]
fn laggards_come_level_while_clients_go_on() {
    let of_four = [24770, 37581, 41727, 61994, 64135, 64367, 82200, 88209];
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

/// Each write takes nearly as long as the first patience here, so that it has to grow before a view lasts: the run comes
/// level within the bound for all runs, and no earlier.
#[test]
fn a_laggard_with_slow_disks_comes_level_too() {
    let plan = Task::Seed { n: 4, seed: 76919 }.plan();
    let judged = judge(&plan, Judging { model: false, keep: false });
    assert_eq!(judged.violation, None);
    assert!(judged.converged.is_some_and(|converged| converged < bound(&plan)));
}

/// Outside fault F6: A replica that left its view alone, and one whose votes were needed for each batch, trailed for ever.
#[test]
fn a_replica_that_left_alone_does_not_make_another_one_trail() {
    let plan = Task::Seed { n: 4, seed: 33757 }.plan();
    let judged = judge(&plan, Judging { model: false, keep: false });
    assert_eq!((judged.violation, judged.trailing), (None, None));
    assert!(judged.converged.is_some());
}

/// Outside fault F6: Power goes at all replicas; one that had left the view alone stayed behind while all was quiet.
#[test]
fn a_replica_that_left_alone_gets_the_batches_whose_certificates_are_lost() {
    let plan = Task::Seed { n: 4, seed: 95556 }.plan();
    let judged = judge(&plan, Judging { model: false, keep: false });
    assert_eq!(judged.violation, None);
    assert!(judged.converged.is_some() && judged.answered == judged.operations);
}
