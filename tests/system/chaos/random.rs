//! Whatever comes to mind, drawn from a seed.

use crate::Chaos;
use pbft_sim::rng::Rng;
use pbft_tests::proxy::Mode;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::time::Duration;

/// Rounds of the short form.
const ROUNDS: u64 = 5;

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

/// One fault, from which the cluster must come back while it lasts, or as soon as it is over.
async fn round(chaos: &mut Chaos, rng: &mut Rng) -> String {
    let n = chaos.cluster.cluster.replicas().len() as u64;
    let one = rng.below(n) as u32;
    let operations = 5 + rng.below(15);
    match rng.below(8) {
        0 => {
            chaos.fabric.set(Mode::Cut, |from, to| from == one && to != one);
            chaos.serves(operations, "nobody hears one").await;
            format!("nobody heard {one}")
        }
        1 => {
            chaos.fabric.set(Mode::Held, |from, to| to == one || from == one);
            chaos.serves(operations, "one is cut off").await;
            format!("{one} was cut off")
        }
        2 => {
            let delay = rng.span(Duration::from_millis(1), Duration::from_millis(60));
            chaos.fabric.set(Mode::Open(delay), |from, to| (from + to) % 2 == one % 2);
            chaos.serves(operations, "links are slow").await;
            format!("links were {delay:?} slow")
        }
        3 => {
            for _ in 0..3 {
                chaos.fabric.sever();
                chaos.serves(2, "connections break").await;
            }
            "connections broke".to_owned()
        }
        4 => {
            chaos.cluster.kill_replica(one);
            chaos.serves(operations, "one is killed").await;
            chaos.cluster.start_replica(one);
            format!("{one} was killed")
        }
        5 => {
            chaos.cluster.process(one).signal(Signal::STOP);
            chaos.serves(operations, "one is frozen").await;
            chaos.cluster.process(one).signal(Signal::CONT);
            format!("{one} was frozen")
        }
        6 => {
            chaos.cluster.kill_all();
            (0..n as u32).for_each(|id| chaos.cluster.start_replica(id));
            "all were killed".to_owned()
        }
        _ => {
            let last = rng.below(n - 1) as u32;
            chaos.fabric.set(Mode::Cut, |from, to| (from <= last) != (to <= last));
            chaos.cluster.kill_replica(one);
            tokio::time::sleep(Duration::from_millis(500)).await;
            chaos.cluster.start_replica(one);
            format!("a split after {last}, and {one} was killed")
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_clients_see_one_ledger() {
    let (rounds, seed) = (number("PBFT_CHAOS_ROUNDS", ROUNDS), number("PBFT_SEED", 1));
    eprintln!("PBFT_CHAOS_ROUNDS={rounds} PBFT_SEED={seed}");
    let mut rng = Rng::new(seed).fork("chaos");
    let replicas = if rng.percent(75) { 4 } else { 7 };
    let mut chaos = Chaos::start(replicas).await;
    for number in 1..=rounds {
        let what = round(&mut chaos, &mut rng).await;
        chaos.fabric.heal();
        chaos.serves(5, "when it is over").await;
        chaos.cluster.assert_all_run();
        eprintln!("round {number}: {what}, {} acknowledged", chaos.workload.acknowledged());
    }
    chaos.end(BTreeSet::new()).await;
}
