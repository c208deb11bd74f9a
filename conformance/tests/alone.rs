//! Conformance alone, in seconds: a small graph on the core, the corpus and some walks on the core and through the node.
//! It is the only test that the mutants of the core are run against, see docs/mutation.md.

use pbft_conformance::job::{self, Options};
use pbft_conformance::plan::{Plan, Promise};
use pbft_model::run::Silent;
use std::num::NonZeroUsize;

#[test]
fn the_core_takes_the_steps_of_the_model() {
    let config = |name: &&str| name.parse().expect("a configuration");
    let quick = Plan::quick();
    let plan = Plan {
        promise: Promise::default(),
        checked: Vec::new(),
        replayed: ["n4-b1-v1-s1-d1"].iter().map(config).collect(),
        witnessed: ["n4-b3-v1-s1-d1-k1"].iter().map(config).collect(),
        core_walks: 15,
        node_walks: 2,
        ..quick
    };
    let threads = NonZeroUsize::new(2).expect("not zero");
    let options = Options { seed: 1, threads, planted: None };
    let (core, node, divergences) =
        job::replay(&plan, &options, &mut Silent).expect("the corpus can be read");
    if let Some(first) = divergences.first() {
        panic!("{first}");
    }
    assert_eq!((core.edges_replayed, core.edges_total), (core.edges_total, core.edges_replayed));
    assert!(core.edges_replayed > 10_000 && core.walked_steps == core.walked_total);
    assert_eq!(core.blind_spots, Vec::<String>::new());
    assert!(node.traces > 40 && node.steps == node.steps_total && node.crashes > 0);
}
