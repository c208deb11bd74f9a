//! What the model leaves out, on the core and in production nodes.

use pbft_conformance::beyond;

#[test]
fn every_scenario_plays_on_the_core() {
    match beyond::on_the_core() {
        Ok(played) => assert_eq!(played, beyond::names().count() as u64),
        Err(found) => panic!("{found}"),
    }
}

#[test]
fn most_scenarios_play_in_production_nodes() {
    match beyond::at_nodes() {
        Ok(played) => assert_eq!(played, beyond::count_at_nodes()),
        Err(found) => panic!("{found}"),
    }
}
