//! Temporary driver.
use pbft_conformance::replay::{Counters, Replay};
fn main() {
    for name in std::env::args().skip(1) {
        let config = name.parse().expect("config");
        let (report, divergence) = Replay::new(config, 1).run(&Counters::default());
        println!(
            "{} {} states {} edges complete {} {:.1} s {:.0} edges/s {:?}",
            report.config,
            report.states,
            report.edges,
            report.complete,
            report.seconds,
            report.edges as f64 / report.seconds,
            report.rejections.len()
        );
        if let Some(d) = divergence {
            println!("{d}");
        }
    }
}
