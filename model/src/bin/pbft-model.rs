//! Counts states.
use pbft_model::{Config, check::*, run::*};
fn main() {
    let red: pbft_model::Reductions = std::env::var("RED").unwrap_or("none".into()).parse().unwrap();
    for name in std::env::args().skip(1) {
        let config: Config = name.parse().unwrap();
        let r = check(&config, CheckOptions{reductions: red, ..Default::default()}, &mut Stderr::new());
        println!("{config} unique {} edges {} depth {} {:.1}s {:?} {:?}", r.unique_states, r.edges, r.depth, r.seconds, r.verdict, r.peak_memory_bytes.map(|b|b>>20));
        for (w,b) in &r.witnesses { if !b { println!("  missing {w}") } }
        for (w,b) in &r.properties { if b!="holds" { println!("  {w} {b}") } }
        if let Some(t)=&r.counterexample { println!("{}", t.render(&t.model().unwrap())) }
    }
}
