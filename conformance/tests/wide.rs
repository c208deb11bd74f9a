//! The production node at its full width, in one process and under a paused clock.

use pbft_conformance::wide;
use pbft_plant::{find, switch};

/// `WIDE=name` plays one scenario alone.
#[test]
fn every_scenario_plays() {
    let names: Vec<_> = wide::names().collect();
    let chosen = std::env::var("WIDE").ok();
    let chosen = |name: &&str| chosen.as_deref().is_none_or(|chosen| name.contains(chosen));
    let mut found = Vec::new();
    for name in names.into_iter().filter(chosen) {
        let began = std::time::Instant::now();
        let told = wide::play_named(name);
        println!("{:7.3} s {name}", began.elapsed().as_secs_f64());
        found.extend(told.err().map(|told| told.to_string()));
    }
    assert!(found.is_empty(), "{}", found.join("\n\n"));
}

#[test]
fn every_function_that_is_named_stands_once_in_its_file() {
    let root = switch::sources().expect("an ordinary build");
    let wrong = wide::places().filter_map(|place| {
        let text = std::fs::read_to_string(root.join(place.file)).expect("the file is there");
        Some(format!("{}: {}", place.file, find::find(&text, place.function).err()?))
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
