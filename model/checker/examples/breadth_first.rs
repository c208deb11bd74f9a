//! Counts the states of a configuration with the level breadth-first search, and says what it cost.
//!
//! ```text
//! cargo run --release -p pbft-checker --example breadth_first -- n4-b0-v2-s1-d2
//! ```

use pbft_checker::bfs::{Limits, search};
use pbft_checker::run::{Stderr, peak_memory, say};
use pbft_model::{Config, ConfigError, Pbft};
use std::time::Instant;

fn main() -> Result<(), ConfigError> {
    for name in std::env::args().skip(1) {
        let config: Config = name.parse()?;
        let started = Instant::now();
        let limits = Limits::default();
        let all = search(&Pbft::new(config), limits, |_, _| false, &mut Stderr::new());
        let (states, seconds) = (all.unique_states, started.elapsed().as_secs_f64());
        let memory = peak_memory().unwrap_or(0);
        say(&format_args!(
            "{config}: {states} states, {} edges, {seconds:.1} s, {:.0} states/s, {} bytes a state\n",
            all.edges,
            states as f64 / seconds,
            memory / states.max(1)
        ));
    }
    Ok(())
}
