//! Whole runs of a cluster.

mod common;

use common::random::{self, Disorder};
use common::{Cluster, craft};

#[test]
fn normal_case() {
    let mut cluster = Cluster::new(4);
    cluster.request(0, &craft::request(1, 1)).expect("accepted");
    cluster.run();
    cluster.assert_all_at(1);
}

#[test]
fn lossy() {
    for seed in 0..200 {
        let disorder = Disorder {
            loss: 30,
            crashes: 0,
            suspicion: 0,
            clients: 4,
            requests_each: 6,
            steps: 4000,
        };
        random::run(4, seed, disorder);
    }
}
#[test]
fn lossy_crashes() {
    for seed in 0..200 {
        let disorder = Disorder {
            loss: 30,
            crashes: 4,
            suspicion: 1,
            clients: 4,
            requests_each: 6,
            steps: 4000,
        };
        random::run(4, seed, disorder);
    }
}
