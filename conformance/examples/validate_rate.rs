//! How fast recorded runs are validated, and that the time grows no faster than the run:
//!
//! ```text
//! cargo run --release --package pbft-conformance --example validate_rate
//! ```
//!
//! Four replicas of the core serve requests, with a view change every thousand batches; their recordings are validated
//! from memory.

#[path = "../tests/recordings/cluster.rs"]
mod cluster;

use cluster::{Cluster, Memory};
use pbft_conformance::validate::{Options, Recording, Validation, Validity, validate};
use pbft_core::Timer;
use std::path::PathBuf;

/// Clients, each with four lanes.
const CLIENTS: u64 = 3;

/// Repetitions of each measurement; the fastest counts.
const REPETITIONS: usize = 3;

fn run(batches: u64) -> Vec<Vec<u8>> {
    let mut cluster = Cluster::new(4, 1, 64);
    for batch in 0..batches {
        cluster.request((batch % CLIENTS) as u32, (batch / CLIENTS % 4) as u16);
        cluster.settle();
        if batch % 1000 == 999 {
            cluster.request(0, 0);
            (0..4).for_each(|id| cluster.fire(id, Timer::ViewChange));
            cluster.settle();
        }
    }
    cluster.stop();
    cluster.files.iter().map(Memory::bytes).collect()
}

fn measure(files: &[Vec<u8>]) -> Validation {
    let once = || {
        let name = |id: usize| PathBuf::from(format!("replica-{id}"));
        let recordings = files.iter().enumerate();
        let recordings = recordings.map(|(id, bytes)| Recording::new(name(id), &bytes[..]));
        let options = Options::default();
        let validation = validate(recordings.collect(), &options).expect("own recordings");
        assert_eq!(validation.verdict, Validity::Valid, "{validation}");
        validation
    };
    let all = (0..REPETITIONS).map(|_| once());
    all.min_by(|one, other| one.seconds.total_cmp(&other.seconds)).expect("repetitions")
}

fn main() {
    println!(
        "{:>10} {:>10} {:>9} {:>11} {:>11}",
        "batches", "steps", "seconds", "steps/s", "remembered"
    );
    let mut seconds = Vec::new();
    for batches in [2_000, 20_000] {
        let validation = measure(&run(batches));
        let rate = validation.steps as f64 / validation.seconds;
        println!(
            "{batches:>10} {:>10} {:>9.3} {rate:>11.0} {:>11}",
            validation.steps, validation.seconds, validation.remembered
        );
        seconds.push(validation.seconds / validation.steps as f64);
    }
    println!("time for ten times the steps: {:.2} times", 10.0 * seconds[1] / seconds[0]);
}
