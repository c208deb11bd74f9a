//! The whole node and the client library, from outside: each scenario alone, and where it leads.

use pbft_conformance::door;

#[test]
fn every_scenario_plays() {
    match door::run() {
        Ok(played) => assert_eq!(played.len(), door::names().count()),
        Err(found) => panic!("{found}"),
    }
}

#[test]
fn scenarios_have_names_of_their_own_and_lead_to_functions_that_are_there() {
    let mut names: Vec<_> = door::names().collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), door::names().count());
    let lost: Vec<_> = door::places().filter(|place| place.line().is_none()).collect();
    assert!(lost.is_empty(), "{lost:#?}");
}
