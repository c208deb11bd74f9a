//! How many frames a second the simulator delivers on one core: each decoded, verified, stepped, performed and looked at
//! by the oracle.
//!
//! ```text
//! cargo run --release --package pbft-tests --example delivery_rate
//! ```
//!
//! `recorded` is with every step recorded and held against the model, as in `cargo sim seeds`; `ed25519` is with
//! production's signatures. Seconds are those of the processor, where the system tells them, so that other work on the
//! machine does not count.

use pbft_tests::sim::fault::Plan;
use pbft_tests::sim::judge::{Judging, judge};
use pbft_tests::sim::keys::Scheme;
use std::time::Instant;

/// Repetitions of each measurement; the fastest counts.
const REPETITIONS: usize = 5;

/// Runs of each repetition.
const RUNS: u64 = 20;

/// A name, the plan of each seed, how signatures are made, and whether the model is asked.
type Kind = (&'static str, fn(u64) -> Plan, Scheme, bool);

/// Seconds that this thread has had the processor.
fn processor_seconds(begun: Instant) -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|word| word.parse::<f64>().ok());
    nanoseconds.map_or_else(|| begun.elapsed().as_secs_f64(), |nanoseconds| nanoseconds / 1e9)
}

fn main() {
    let faulty = |seed| Plan::draw(seed, 4);
    let calm = |seed| Plan::calm(seed, 4);
    let kinds: [Kind; 4] = [
        ("calm", calm, Scheme::Fast, false),
        ("faulty", faulty, Scheme::Fast, false),
        ("faulty, recorded", faulty, Scheme::Fast, true),
        ("calm, ed25519", calm, Scheme::Ed25519, false),
    ];
    println!("{:<18} {:>11} {:>9} {:>14}", "runs", "deliveries", "seconds", "deliveries/s");
    for (name, plan, scheme, model) in kinds {
        let once = || {
            let begun = Instant::now();
            let before = processor_seconds(begun);
            let deliveries: u64 = (1..=RUNS)
                .map(|seed| {
                    let plan = Plan { scheme, ..plan(seed) };
                    let judged = judge(&plan, Judging { model, keep: false });
                    assert_eq!(judged.violation, None, "seed {seed}");
                    judged.coverage.deliveries
                })
                .sum();
            (deliveries, processor_seconds(begun) - before)
        };
        let all = (0..REPETITIONS).map(|_| once());
        let fastest = all.min_by(|one, other| one.1.total_cmp(&other.1));
        let (deliveries, seconds) = fastest.unwrap_or_default();
        println!(
            "{name:<18} {deliveries:>11} {seconds:>9.3} {:>14.0}",
            deliveries as f64 / seconds
        );
    }
}
