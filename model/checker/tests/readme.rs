//! The numbers that README.md gives for the model are those on record.

use std::fs;
use std::path::Path;

use pbft_checker::golden;
use pbft_checker::mutant_record::record;
use pbft_checker::output::grouped;
use pbft_checker::preset::Preset;
use pbft_model::properties::PROPERTIES;

/// As people write it in a sentence.
fn commas(number: u64) -> String {
    grouped(number).split_whitespace().collect::<Vec<_>>().join(",")
}

/// The row of the table of claims that ends with a command.
fn claim<'a>(readme: &'a str, start: &str) -> &'a str {
    let row = readme.lines().find(|line| line.starts_with(&format!("| {start} |")));
    row.unwrap_or_else(|| panic!("README.md claims nothing that begins with: {start}"))
}

#[test]
fn the_claims_have_the_numbers_on_record() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = fs::read_to_string(path).expect("README.md");
    let quick = Preset::Quick.entries();
    let searched: Vec<_> = quick.iter().filter(|entry| entry.property.is_none()).collect();
    let counts = searched.iter().filter_map(|entry| golden::counts(&entry.config));
    let states: u64 = counts.map(|(states, _)| states).sum();
    let safe = claim(&readme, "The protocol is safe");
    let size = format!("{} configurations, {} states", searched.len(), commas(states));
    assert!(safe.contains(&size), "{size}: {safe}");
    assert!(safe.contains(&format!("{} properties", PROPERTIES.len() - 1)), "{safe}");

    let rows = record().expect("a record");
    let killed = rows.iter().filter(|row| row.fate.by().is_some()).count();
    let fails = claim(&readme, "The model can fail");
    let fates = format!("{} rules broken one by one: {killed} are", rows.len());
    assert!(fails.contains(&fates), "{fates}: {fails}");
}
