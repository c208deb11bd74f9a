//! Twins (Bano et al. 2020): Byzantine behaviour without a liar. One replica runs twice under one key, each half honest;
//! in each round the processes are split into two sides, in every way, and the primary is suspected or not. Between them
//! the halves equivocate, vote twice, forget and contradict their own view changes, with nobody having to invent it.

use super::fault::{Fault, FaultKind, Plan};
use core::time::Duration;

/// The replicas of a scenario. With the twin there are five processes.
const REPLICAS: u64 = 4;

/// Rounds of a scenario.
const ROUNDS: u32 = 3;

/// How long a round lasts: longer than replicas wait for a request in the first view.
const ROUND: Duration = Duration::from_millis(600);

/// Ways to split five processes in two (the first is always on the first side), times whether the primary is suspected.
const CHOICES: u64 = 16 * 2;

/// The number of all scenarios.
pub const SCENARIOS: u64 = REPLICAS * CHOICES.pow(ROUNDS);

/// A scenario out of `count` that are spread over all of them.
#[must_use]
pub const fn spread(index: u64, count: u64) -> u64 {
    if count >= SCENARIOS {
        return index % SCENARIOS;
    }
    // An odd factor reaches every number once.
    index.wrapping_mul((SCENARIOS / count) | 1).wrapping_add(index / 7) % SCENARIOS
}

/// The plan of a scenario.
#[must_use]
pub fn plan(scenario: u64) -> Plan {
    let scenario = scenario % SCENARIOS;
    let mut plan = Plan::calm(scenario, REPLICAS as u32);
    plan.interval = 2;
    plan.twins = vec![(scenario % REPLICAS) as usize];
    plan.submissions.truncate(24);
    plan.delay = (Duration::from_millis(1), Duration::from_millis(8));
    plan.heal_at = ROUND * ROUNDS;
    let mut rest = scenario / REPLICAS;
    for round in 0..ROUNDS {
        let (from, until) = (ROUND * round, ROUND * (round + 1));
        let choice = rest % CHOICES;
        rest /= CHOICES;
        let side = (0..REPLICAS as usize + 1)
            .filter(|host| *host == 0 || (choice >> host) & 1 == 1)
            .collect();
        plan.faults.push(Fault { from, until, kind: FaultKind::Partition { side } });
        if choice & 1 == 1 {
            for host in 0..=REPLICAS as usize {
                plan.faults.push(Fault { from, until, kind: FaultKind::Suspect { host } });
            }
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_scenario_is_another() {
        let mut seen = BTreeSet::new();
        for scenario in (0..SCENARIOS).step_by(97) {
            let plan = plan(scenario);
            let faults: Vec<_> = plan.faults.iter().map(|fault| format!("{fault:?}")).collect();
            assert!(seen.insert((plan.twins, faults)), "{scenario}");
        }
    }

    #[test]
    fn a_sample_is_spread_over_all_scenarios() {
        let sample: BTreeSet<u64> = (0..600).map(|index| spread(index, 600)).collect();
        assert!(sample.len() > 590, "{}", sample.len());
        let twins: BTreeSet<u64> = sample.iter().map(|scenario| scenario % REPLICAS).collect();
        assert_eq!(twins.len(), 4, "each replica is doubled");
        assert!(sample.iter().any(|scenario| *scenario > SCENARIOS / 10 * 9));
    }
}
