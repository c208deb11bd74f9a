//! How many distinct states a second the two engines visit on one core, all properties evaluated in each:
//!
//! ```text
//! cargo bench -p pbft-checker
//! ```
//!
//! Criterion prints `thrpt`: elements are distinct states.

use std::num::NonZeroUsize;
use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use pbft_checker::bfs::{self, Limits};
use pbft_checker::check::{CheckOptions, check};
use pbft_checker::run::Silent;
use pbft_model::{Config, Pbft, Reductions};

/// One configuration of each kind in the quick preset, small enough to be searched several times.
const CONFIGS: [&str; 5] = [
    "n4-b3-v1-s2-d2",
    "n4-b1-v2-s1-d2",
    "n4-b3-v2-s1-d2-k1",
    "n4-b3-v1-s2-d1-t2",
    "n4-b0-v1-s1-d2-r",
];

fn searches(criterion: &mut Criterion) {
    for (engine, one_engine) in
        [("dfs", depth_first as fn(&Config) -> u64), ("levels", level_by_level)]
    {
        let mut group = criterion.benchmark_group(engine);
        group.sampling_mode(SamplingMode::Flat).sample_size(10);
        group.warm_up_time(Duration::from_millis(500));
        for name in CONFIGS {
            let Ok(config) = name.parse::<Config>() else { continue };
            group.throughput(Throughput::Elements(one_engine(&config)));
            group.bench_function(name, |bencher| bencher.iter(|| one_engine(&config)));
        }
        group.finish();
    }
}

fn depth_first(config: &Config) -> u64 {
    let options = CheckOptions { threads: NonZeroUsize::new(1), ..CheckOptions::default() };
    let report = check(config, options, &mut Silent);
    assert!(report.complete, "{config}");
    report.unique_states
}

fn level_by_level(config: &Config) -> u64 {
    let model = Pbft::new(*config).with_reductions(Reductions::ALL);
    let search = bfs::search(&model, Limits::default(), |_, _| false, &mut Silent);
    assert!(search.complete, "{config}");
    search.unique_states
}

criterion_group!(benches, searches);
criterion_main!(benches);
