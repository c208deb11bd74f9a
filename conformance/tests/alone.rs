//! Conformance alone, in seconds: a small graph on the core, the corpus and some walks on the core and through the node, the
//! node's door, and the scenarios of what the model leaves out. It ends at the first divergence. It is the only test that the
//! mutants of the core are run against, see docs/mutation.md.

use pbft_conformance::beyond;
use pbft_conformance::probe::handshake;
use pbft_conformance::refinement::vocabulary::replayable;
use pbft_conformance::replay::core::{Counters, Replay};
use pbft_conformance::replay::node::{self, NodeReport};
use pbft_conformance::replay::plan::{Plan, Promise};
use pbft_model as model;

const SEED: u64 = 1;

fn plan() -> Plan {
    let quick = Plan::quick();
    let witnessed = "n4-b3-v1-s1-d1-k1".parse().expect("a configuration");
    Plan {
        promise: Promise::default(),
        witnessed: vec![witnessed],
        core_walks: 15,
        node_walks: 2,
        ..quick
    }
}

#[test]
fn beyond_the_model_the_core_keeps_to_the_letter() {
    if let Err(found) = beyond::on_the_core() {
        panic!("{found}");
    }
}

#[test]
fn what_the_model_leaves_out_nodes_do_as_well() {
    if let Err(found) = beyond::at_nodes() {
        panic!("{found}");
    }
}

#[test]
fn the_core_takes_the_steps_of_the_model() {
    let graph: model::Config = replayable("n4-b1-v1-s1-d1").expect("a configuration");
    let (report, divergence) = Replay::new(graph, SEED).run(&Counters::default());
    if let Some(found) = divergence {
        panic!("{found}");
    }
    assert!(report.complete && report.edges > 10_000);
    let plan = plan();
    for trace in plan.core_traces(SEED).expect("a corpus") {
        let config = replayable(&trace.config).expect("a replayable configuration");
        match Replay::new(config, SEED).follow(&trace.actions) {
            Ok(steps) => assert_eq!(steps, trace.actions.len()),
            Err(found) => panic!("{found}"),
        }
    }
    let runtime = node::runtime().expect("a runtime");
    let mut node = NodeReport::default();
    for trace in plan.node_traces(SEED).expect("a corpus") {
        if let Some(found) = node::replay(&runtime, &trace, SEED, &mut node) {
            panic!("{found}");
        }
    }
    assert!(node.traces > 40 && node.crashes > 0);
    if let Err(found) = handshake::run() {
        panic!("{found}");
    }
}
