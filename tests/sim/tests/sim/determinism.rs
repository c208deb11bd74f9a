//! A seed is all that a run depends on.

use pbft_sim::campaign::{self, Campaign, MergeError, Report, Seeds, Shard};
use pbft_sim::driver::Run;
use pbft_sim::fault::Plan;
use pbft_sim::judge::{Judged, Judging, judge};
use pbft_sim::world::Mode;
use std::num::NonZeroUsize;

/// A plan with every kind of thing in it, made short: the tests run unoptimised.
fn short(seed: u64, n: u32) -> Plan {
    let mut plan = Plan::draw(seed, n);
    plan.submissions.truncate(8);
    plan.heal_at = plan.heal_at.min(core::time::Duration::from_millis(1500));
    plan
}

fn judged(plan: &Plan) -> Judged {
    judge(plan, Judging { model: true, keep: true })
}

#[test]
fn the_same_seed_gives_the_same_run_to_the_last_byte() {
    for seed in [3, 17] {
        let (one, two) = (judged(&short(seed, 4)), judged(&short(seed, 4)));
        assert!(one.events.len() > 100, "{} events", one.events.len());
        assert_eq!(one.events, two.events, "seed {seed}");
        assert_eq!(one.coverage, two.coverage);
    }
    assert_ne!(judged(&short(3, 4)).events, judged(&short(4, 4)).events);
}

#[test]
fn without_faults_nobody_changes_the_view_and_everything_is_answered() {
    for n in [4, 5, 7] {
        let mut plan = Plan::calm(1, n);
        plan.submissions.truncate(12);
        let judged = judged(&plan);
        assert_eq!(judged.violation, None);
        assert_eq!((judged.view, judged.answered), (0, judged.operations), "n = {n}");
        assert!(judged.validated > 100, "the model saw {} steps", judged.validated);
    }
}

/// Unbatched, without checkpoints and retransmission, a request costs 2n(n−1) messages between replicas: n−1
/// PRE-PREPAREs, (n−1)² PREPAREs and n(n−1) COMMITs.
#[test]
fn messages_are_as_many_as_the_paper_counts() {
    for n in [4u64, 7] {
        let mut plan = Plan::calm(1, n as u32);
        plan.submissions.truncate(1);
        plan.interval = 64;
        let mut run = Run::new(&plan, Mode::default(), true).expect("a size");
        while run.world.history.len() < 2 {
            assert!(run.step(), "it goes on until the answer is there");
        }
        while run.now < core::time::Duration::from_millis(140) && run.step() {}
        let sent = |kind: &str| run.world.coverage.messages.get(kind).copied().unwrap_or_default();
        // Each is counted once, and goes to n−1 replicas.
        let frames = (n - 1) * (sent("pre-prepare") + sent("prepare") + sent("commit"));
        assert_eq!(frames, 2 * n * (n - 1), "n = {n}");
    }
}

fn tiny() -> Campaign {
    Campaign {
        name: "tiny".to_owned(),
        seeds: vec![Seeds { n: 4, from: 1, count: 3 }],
        production: 0,
        twins: 1,
        model: false,
        gate: false,
    }
}

fn run(shard: Shard, threads: usize) -> Report {
    let threads = NonZeroUsize::new(threads).expect("some");
    let report = campaign::run(&tiny(), shard, threads, Some("c0ffee".to_owned()), &|_, _| {});
    Report { seconds: 0.0, ..report }
}

#[test]
fn shards_merge_to_what_one_machine_finds_and_a_missing_one_is_noticed() {
    let whole = run(Shard::WHOLE, 2);
    assert_eq!(whole.runs, 4);
    let shards: Vec<Report> = (1..=2).map(|index| run(Shard { index, of: 2 }, 1)).collect();
    assert_eq!(campaign::merge(&shards).as_ref(), Ok(&whole));
    let alone = campaign::merge(&shards[..1]);
    assert_eq!(alone, Err(MergeError::Missing { missing: vec![2], of: 2 }));
    let twice = [shards[0].clone(), shards[0].clone()];
    assert_eq!(campaign::merge(&twice), Err(MergeError::Twice(1)));
    let mut other = shards[1].clone();
    other.commit = None;
    assert!(matches!(campaign::merge(&[shards[0].clone(), other]), Err(MergeError::Commits(..))));
    assert_eq!(campaign::merge(&[]), Err(MergeError::Nothing));
}
