//! Counts states.
use pbft_model::{Config, Pbft};
use stateright::{Checker, Model};
fn main() {
    for name in std::env::args().skip(1) {
        let config: Config = name.parse().unwrap();
        let start = std::time::Instant::now();
        let checker = Pbft::new(config).checker().threads(2).spawn_dfs().join();
        println!(
            "{config} unique {} edges {} depth {} {:.1}s",
            checker.unique_state_count(),
            checker.state_count() - 1,
            checker.max_depth(),
            start.elapsed().as_secs_f64()
        );
    }
}
