//! What `progress` is sensitive to: what replicas keep, hand on and wait for.
//!
//! The tests that are called `broken` say what holds with no mutant on, and in a planted build what each mutant that they name does:
//! `cargo plant test --mutants --package pbft-checker --test progress`.

use pbft_checker::bfs::{self, Limits};
use pbft_checker::mutant_record::{active, unsound};
use pbft_checker::run::Silent;
use pbft_model::properties::PROPERTIES;
use pbft_model::{Config, Pbft, Reductions, State};

fn config(name: &str) -> Config {
    name.parse().expect("a valid name")
}

/// Steps to the nearest state in which a property does not hold; none if it holds in all.
fn steps_to_violation(name: &str, property: &str) -> Option<usize> {
    let reductions = Reductions::ALL.without(unsound());
    let model = Pbft::new(config(name)).with_reductions(reductions);
    let property = PROPERTIES.iter().find(|one| one.name == property).expect("a property");
    let violates = |model: &Pbft, state: &State| !(property.holds)(model, state);
    let search = bfs::search(&model, Limits::default(), violates, &mut Silent);
    assert!(search.complete || search.found.is_some());
    search.found.map(|path| path.len())
}

/// Asserts how many steps it takes to a violation with each of these mutants on; with none on there is no way to one.
fn assert_steps(name: &str, property: &str, expected: &[(&str, Option<usize>)]) {
    let steps = match active() {
        None => Some(None),
        Some(on) => expected.iter().find(|(mutant, _)| *mutant == on).map(|(_, steps)| *steps),
    };
    if let Some(steps) = steps {
        assert_eq!(steps_to_violation(name, property), steps, "{property} with {:?}", active());
    }
}

/// Outside fault F1: A batch that only a silent replica serves blocks every view, if V is taken from fixed replicas.
#[test]
fn broken_batches_that_are_dropped_block_a_primary_that_takes_a_fixed_v() {
    // Either of the two is enough.
    let expected =
        [("batches-dropped-and-v-fixed", Some(3)), ("batches-dropped", None), ("v-fixed", None)];
    assert_steps("n4-b0-v1-s1-d1", "progress", &expected);
}

/// Outside fault F1: A batch that a certificate can name is kept by nobody who follows the protocol.
#[test]
fn broken_batches_that_are_dropped_can_be_had_nowhere() {
    let expected = [("batches-dropped", Some(3)), ("v-fixed", None)];
    assert_steps("n4-b0-v1-s1-d1", "batch-obtainable", &expected);
}

/// Outside fault F2: What two replicas have executed cannot be proved to the third after a restart.
#[test]
fn broken_commit_certificates_that_a_crash_forgets_leave_a_replica_behind() {
    let expected =
        [("restart-forgets-commit-certificates", Some(13)), ("committed-not-handed-on", Some(11))];
    assert_steps("n4-b3-v1-s1-d1-r", "progress", &expected);
}
