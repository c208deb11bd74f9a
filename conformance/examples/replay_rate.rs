//! How fast the replays are, on one thread: edges a second on the core, traces a second through the node.
//!
//! `cargo run --release --package pbft-conformance --example replay_rate`

use pbft_conformance::replay::core::{Counters, Replay};
use pbft_conformance::replay::node::{self, NodeReport};
use pbft_conformance::replay::plan::Plan;
use std::error::Error;
use std::time::Instant;

/// Two slots, so that most edges are votes; and checkpoints with a view change.
const CONFIGS: [&str; 2] = ["n4-b1-v1-s2-d1", "n4-b3-v1-s1-d2-k1"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("{:<20} {:>9} {:>8} {:>10}", "core", "edges", "seconds", "edges/s");
    for name in CONFIGS {
        let (report, divergence) = Replay::new(name.parse()?, 1).run(&Counters::default());
        if let Some(divergence) = divergence {
            return Err(divergence.to_string().into());
        }
        let rate = report.edges as f64 / report.seconds;
        println!("{name:<20} {:>9} {:>8.2} {rate:>10.0}", report.edges, report.seconds);
    }
    let runtime = node::runtime()?;
    let traces = Plan::quick().node_traces(1)?;
    let (started, mut report) = (Instant::now(), NodeReport::default());
    for trace in &traces {
        if let Some(divergence) = node::replay(&runtime, trace, 1, &mut report) {
            return Err(divergence.to_string().into());
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{:<20} {:>9} {:>8} {:>10}", "node", "traces", "seconds", "traces/s");
    let rate = report.traces as f64 / seconds;
    println!("{:<20} {:>9} {seconds:>8.2} {rate:>10.0}", "", report.traces);
    Ok(())
}
