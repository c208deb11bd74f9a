//! Temporary driver.
use pbft_conformance::replay::{Counters, Replay};
fn main() {
    #[cfg(feature = "planted-bugs")]
    {
        use pbft_conformance::planted::*;
        std::panic::set_hook(Box::new(|_| {}));
        for bug in pbft_core::planted::PlantedBug::ALL {
            let h = hunt(*bug, 1, CONFIGURATIONS);
            match h.divergence {
                Some(d) => println!(
                    "{:36} {:6.1}s {:18} step {:2} {:?} {} | {} {:?}",
                    h.bug, h.seconds, d.config, d.step, d.kind, d.action, d.what, d.diff
                ),
                None => println!("{:36} {:6.1}s SURVIVES", h.bug, h.seconds),
            }
        }
    }
    if std::env::args().nth(1).as_deref() == Some("node") {
        use pbft_conformance::{grain::Walked, node_replay, walk};
        let runtime = node_replay::runtime().expect("runtime");
        let mut report = node_replay::NodeReport::default();
        let started = std::time::Instant::now();
        for name in std::env::args().skip(2) {
            let config = name.parse().expect("config");
            let model = pbft_model::Pbft::new(config);
            let walked = Walked { model: model.clone() };
            for seed in 0..20 {
                let trace = walk::walk(&walked, &config, seed, 40);
                if let Some(d) = node_replay::replay(&runtime, &trace, seed, &mut report) {
                    println!("{d}");
                    break;
                }
            }
        }
        println!("{report:?} {:?}", started.elapsed());
        return;
    }
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
