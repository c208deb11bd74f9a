//! Runs on the node's store, with the node's signatures.

use pbft_core::types::SeqNum;
use pbft_sim::campaign::Task;
use pbft_sim::driver::Run;
use pbft_sim::judge::{Judging, judge};
use pbft_sim::world::Mode;

/// Crashes, full disks and fetched states included.
#[test]
fn drawn_plans_hold_on_the_node_s_store() {
    for seed in 1..=6 {
        let judged = judge(&Task::Production { seed }.plan(), Judging { model: true, keep: false });
        assert_eq!(judged.violation, None, "seed {seed}");
        assert!(judged.converged.is_some() || judged.trailing.is_some(), "seed {seed}");
    }
}

/// The log of the simulated disk stays empty, and the store has what was executed.
#[test]
fn the_store_is_what_a_process_writes_to() {
    let plan = Task::Production { seed: 1 }.plan();
    let mut run = Run::new(&plan, Mode::default(), false).expect("a valid size");
    run.finish();
    let correct: Vec<usize> = run.world.correct().collect();
    for host in correct {
        let disk = run.world.hosts[host].disk();
        assert_eq!(disk.bytes(), 0, "the log of replica {host}");
        assert!(disk.syncs() > 10, "{} commits", disk.syncs());
        assert!(disk.durable_image().executed > SeqNum(0), "replica {host}");
    }
}
