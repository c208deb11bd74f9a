//! What `progress` is sensitive to: what replicas keep, hand on and wait for.

use pbft_model::bfs::{self, Limits};
use pbft_model::properties::PROPERTIES;
use pbft_model::run::Silent;
use pbft_model::{Config, Mutant, Pbft, Reductions, State};

fn config(name: &str) -> Config {
    name.parse().expect("a valid name")
}

/// Steps to the nearest state in which a property does not hold; none if it holds in all.
fn steps_to_violation(name: &str, mutant: Option<Mutant>, property: &str) -> Option<usize> {
    let model = Pbft::new(config(name)).with_mutant(mutant).with_reductions(Reductions::ALL);
    let property = PROPERTIES.iter().find(|one| one.name == property).expect("a property");
    let violates = |model: &Pbft, state: &State| !(property.holds)(model, state);
    let search = bfs::search(&model, Limits::default(), violates, &mut Silent);
    assert!(search.complete || search.found.is_some());
    search.found.map(|path| path.len())
}

/// Outside fault F1: A batch that only a silent replica serves blocks every view, if V is taken from fixed replicas.
#[test]
fn batches_that_are_dropped_block_a_primary_that_takes_a_fixed_v() {
    let name = "n4-b0-v1-s1-d1";
    let progress = |mutant| steps_to_violation(name, mutant, "progress");
    assert_eq!(progress(Some(Mutant::BatchesDroppedAndVFixed)), Some(3));
    // Either of the two is enough.
    assert_eq!(progress(Some(Mutant::BatchesDropped)), None);
    assert_eq!(progress(Some(Mutant::VFixed)), None);
    assert_eq!(progress(None), None);
}

/// Outside fault F1: A batch that a certificate can name is kept by nobody who follows the protocol.
#[test]
fn batches_that_are_dropped_can_be_had_nowhere() {
    let obtainable = |mutant| steps_to_violation("n4-b0-v1-s1-d1", mutant, "batch-obtainable");
    assert_eq!(obtainable(Some(Mutant::BatchesDropped)), Some(3));
    assert_eq!(obtainable(Some(Mutant::VFixed)), None);
    assert_eq!(obtainable(None), None);
}

/// Outside fault F2: What two replicas have executed cannot be proved to the third after a restart.
#[test]
fn commit_certificates_that_a_crash_forgets_leave_a_replica_behind() {
    let name = "n4-b3-v1-s1-d1-r";
    let progress = |mutant| steps_to_violation(name, mutant, "progress");
    assert_eq!(progress(Some(Mutant::RestartForgetsCommitCertificates)), Some(13));
    assert_eq!(progress(Some(Mutant::CommittedNotHandedOn)), Some(11));
    assert_eq!(progress(None), None);
}
