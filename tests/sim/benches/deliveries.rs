//! How many frames a second the simulator delivers on one core: each is decoded, verified, stepped, performed, and looked at
//! by the oracle.
//!
//! ```text
//! cargo bench --package pbft-sim --bench deliveries
//! ```
//!
//! `recorded` is with every step recorded and held against the model, as in `cargo sim seeds`; `ed25519` is with
//! production's signatures. The time is that of the processor, where the system tells it, so that other work on the machine
//! does not count.
#![allow(missing_docs, reason = "what criterion's macros make")]

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use pbft_sim::fault::Plan;
use pbft_sim::judge::{Judging, judge};
use pbft_sim::keys::Scheme;
use pbft_sim::processor::processor_time;
use std::time::Duration;

/// Runs of each measurement.
const SEEDS: u64 = 20;

/// A name, the plan of each seed, how signatures are made, and whether the model is asked.
type Kind = (&'static str, fn(u64) -> Plan, Scheme, bool);

const KINDS: [Kind; 4] = [
    ("calm", |seed| Plan::calm(seed, 4), Scheme::Fast, false),
    ("faulty", |seed| Plan::draw(seed, 4), Scheme::Fast, false),
    ("faulty, recorded", |seed| Plan::draw(seed, 4), Scheme::Fast, true),
    ("calm, ed25519", |seed| Plan::calm(seed, 4), Scheme::Ed25519, false),
];

/// Time that this thread has had the processor.
struct ProcessorTime;

impl Measurement for ProcessorTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Self::Intermediate {
        processor_time()
    }

    fn end(&self, before: Duration) -> Duration {
        processor_time().saturating_sub(before)
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// Runs all seeds, and returns the deliveries.
fn deliveries(plan: fn(u64) -> Plan, scheme: Scheme, model: bool) -> u64 {
    let run = |seed| {
        let judged = judge(&Plan { scheme, ..plan(seed) }, Judging { model, keep: false });
        assert_eq!(judged.violation, None, "seed {seed}");
        judged.coverage.deliveries
    };
    (1..=SEEDS).map(run).sum()
}

fn simulator(criterion: &mut Criterion<ProcessorTime>) {
    let mut group = criterion.benchmark_group("simulator");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    for (name, plan, scheme, model) in KINDS {
        group.throughput(Throughput::Elements(deliveries(plan, scheme, model)));
        group.bench_function(name, |bencher| bencher.iter(|| deliveries(plan, scheme, model)));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(ProcessorTime);
    targets = simulator
}
criterion_main!(benches);
