//! Links about as long as the timeout, and primaries that are as slow as they may be.

use core::time::Duration;
use pbft_sim::bank::Operation;
use pbft_sim::behaviour::Behaviour;
use pbft_sim::campaign::Task;
use pbft_sim::driver::{Run, bound};
use pbft_sim::fault::{Plan, Submission};
use pbft_sim::judge::{Judging, judge};
use pbft_sim::tuning::{Link, Tuning};
use pbft_sim::world::Mode;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Thirty operations of one client, one after the other, over links of 800 ms one way: the view that the cluster comes
/// to; what went over the wire is printed.
fn thirty_operations(view_timeout: Duration) -> u64 {
    let mut plan = Plan::calm(1, 4);
    plan.interval = 64;
    plan.delay = (ms(800), ms(801));
    plan.heal_at = ms(1);
    let one = |_| Submission {
        client: 0,
        lane: 0,
        think: ms(10),
        operation: Operation::Deposit { account: 1, amount: 1 },
    };
    plan.submissions = (0..30).map(one).collect();
    plan.tuning = Some(Tuning {
        view_timeout,
        view_timeout_max: ms(60_000),
        status_interval: ms(250),
        patience: (ms(4000), ms(16_000)),
        batch: 400,
        pipeline: 32,
        lanes: 4,
        events_max: 1_000_000,
        link: Link::default(),
    });
    let mut run = Run::new(&plan, Mode::default(), false).expect("four replicas");
    run.finish();
    assert_eq!(run.world.oracle.violation, None);
    let correct: Vec<_> = run.world.correct().collect();
    let views = correct.iter().filter_map(|host| run.world.hosts[*host].replica());
    let view = views.map(|replica| replica.status().view.0).max().expect("four are up");
    println!("{view_timeout:?}: view {view} after {:?}, {:?}", run.now, run.traffic.frames);
    view
}

/// Outside fault F4: Links of 800 ms and a timeout of 2 s cost a view change for each operation.
#[test]
fn links_longer_than_the_timeout_cost_a_few_view_changes_in_all() {
    let views = thirty_operations(ms(2000));
    assert!((1..=5).contains(&views), "{views} view changes for thirty operations");
    let patient = thirty_operations(ms(8000));
    assert_eq!(patient, 0, "with a timeout that is long enough there is no view change");
}

/// Outside fault F4: Long links and clients that never stop: views were left as fast as they began, and a client waited.
#[test]
fn over_long_links_everybody_is_served() {
    let of_four = [10468, 33604, 55829, 62173, 64992, 67996];
    let tasks = of_four.map(|seed| Task::Seed { n: 4, seed });
    for task in tasks.into_iter().chain([Task::Seed { n: 5, seed: 959 }]) {
        let plan = task.plan();
        let judged = judge(&plan, Judging { model: false, keep: false });
        assert_eq!(judged.violation, None, "{task:?}");
        assert!(judged.converged.is_some_and(|converged| converged < bound(&plan)), "{task:?}");
    }
}

/// Outside fault F6: A primary that delays everything to just under the timeout is left in a simulated cluster.
#[test]
fn a_slow_primary_is_left_within_five_timeouts() {
    for seed in 1..=5 {
        let mut plan = Plan::calm(seed, 4);
        plan.liars.insert(0, vec![Behaviour::Slow]);
        let judged = judge(&plan, Judging { model: true, keep: false });
        assert_eq!(judged.violation, None, "seed {seed}");
        assert!((1..=2).contains(&judged.view), "seed {seed}: view {}", judged.view);
    }
}
