//! What real replicas do is allowed.

use crate::cluster::{disorderly, orderly};
use crate::{files, validated};
use pbft_conformance::refinement::kind::ActionKind;
use pbft_conformance::validate::{Options, Validity};
use std::collections::BTreeMap;

#[test]
fn an_orderly_run_is_valid() {
    for n in [4, 5, 7] {
        let run = orderly(n, 100);
        let validation = validated(&files(&run), &Options::default()).expect("a recording");
        assert_eq!(validation.verdict, Validity::Valid, "n = {n}: {validation}");
        assert_eq!(validation.coverage.applied, 100);
        assert_eq!(validation.coverage.of(ActionKind::Execute), 100 * u64::from(n));
        assert!(validation.remembered < 2000, "bounded by the window: {}", validation.remembered);
    }
}

#[test]
fn disorderly_runs_with_crashes_are_valid_and_exercise_every_action() {
    let mut seen: BTreeMap<ActionKind, [u64; 3]> = BTreeMap::new();
    let mut crashes = 0;
    for seed in 1..=30 {
        let n = [4, 4, 5, 7][seed as usize % 4];
        let run = disorderly(n, seed, 4000);
        crashes += run.crashes;
        let validation = validated(&files(&run), &Options::default()).expect("a recording");
        assert_eq!(validation.verdict, Validity::Valid, "n = {n}, seed {seed}: {validation}");
        for (action, phases) in validation.coverage.actions {
            let sum = seen.entry(action).or_default();
            sum.iter_mut().zip(phases).for_each(|(sum, count)| *sum += count);
        }
    }
    for action in ActionKind::recorded() {
        let total: u64 = seen.get(&action).into_iter().flatten().sum();
        assert!(total > 20, "{action}: {total} of {seen:?}");
    }
    assert!(crashes > 50, "{crashes}");
}
