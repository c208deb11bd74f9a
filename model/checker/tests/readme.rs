//! The numbers that README.md and docs/claims.md give for the model are those on record.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use pbft_checker::axes::{Axis, Meetings};
use pbft_checker::generated::{self, Fate};
use pbft_checker::golden;
use pbft_checker::mutant_record::record;
use pbft_checker::output::grouped;
use pbft_checker::preset::Preset;
use pbft_model::config::Config;
use pbft_model::ids::ReplicaId;
use pbft_model::properties::PROPERTIES;

/// As people write it in a sentence.
fn commas(number: u64) -> String {
    grouped(number).split_whitespace().collect::<Vec<_>>().join(",")
}

/// A small number in a sentence.
fn word(number: usize) -> &'static str {
    const WORDS: [&str; 8] = ["no", "one", "two", "three", "four", "five", "six", "seven"];
    WORDS[number]
}

/// The configurations of a preset that say something of the protocol.
fn searched(preset: Preset) -> Vec<Config> {
    let entries = preset.entries().into_iter().filter(|entry| entry.property.is_none());
    entries.map(|entry| entry.config).collect()
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// In one line, so that a sentence is found however it is wrapped.
fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The page with all claims.
fn claims() -> String {
    in_one_line(&read("docs/claims.md"))
}

/// The row of README.md that makes a claim.
fn row(title: &str) -> String {
    let readme = read("README.md");
    let row = readme.lines().find(|line| line.starts_with(&format!("| {title} |")));
    row.unwrap_or_else(|| panic!("README.md does not claim: {title}")).to_owned()
}

/// The section of docs/claims.md on a claim.
fn section(title: &str) -> String {
    let page = read("docs/claims.md");
    let heading = format!("\n### {title}\n");
    let (_, rest) = page.split_once(&heading).unwrap_or_else(|| panic!("no section: {title}"));
    in_one_line(rest.split("\n##").next().unwrap_or(rest))
}

/// Whether `title` is a row of README.md, too, and has `text` there and in its section.
fn both_say(title: &str, text: &str) {
    for said in [row(title), section(title)] {
        assert!(said.contains(text), "{text}: {said}");
    }
}

#[test]
fn the_claims_have_the_numbers_on_record() {
    let searched = searched(Preset::Quick);
    let counts = searched.iter().filter_map(golden::counts);
    let states: u64 = counts.map(|(states, _)| states).sum();
    let safe = "The protocol is safe";
    both_say(safe, &format!("{} configurations, {} states", searched.len(), commas(states)));
    both_say(safe, &format!("{} properties", PROPERTIES.len() - 1));

    let rows = record().expect("a record");
    let killed = rows.iter().filter(|row| row.fate.is_found_out()).count();
    let fates = format!("{} rules broken one by one: {killed} are found out", rows.len());
    both_say("The model can fail", &fates);
    let mutants = format!("{} mutants of the model", rows.len());
    assert!(in_one_line(&read("README.md")).contains(&mutants), "{mutants}");

    let made = generated::record::read().expect("a record");
    let count = |is: fn(&Fate) -> bool| made.iter().filter(|(_, fate)| is(fate)).count();
    let killed = count(|fate| matches!(fate, Fate::Killed { .. }));
    let refused = count(|fate| *fate == Fate::Refused);
    let fates = format!(
        "Of {} more, made from its sources by rule, {killed} are found out within small bounds; {refused} do not compile; \
         the record says of the other {} why",
        made.len(),
        count(|fate| fate.reason().is_some()),
    );
    let fails = section("The model can fail");
    assert!(fails.contains(&fates), "{fates}: {fails}");
}

/// Every bound that the claim names is one of a configuration that is searched, and none goes further.
#[test]
fn the_claim_names_the_bounds_that_are_searched() {
    let quick = searched(Preset::Quick);
    let safe = section("The protocol is safe");
    let claims = |text: &str| assert!(safe.contains(text), "{text}: {safe}");

    let shapes: BTreeSet<_> =
        quick.iter().map(|config| (config.replicas(), config.byzantine_count())).collect();
    let shapes: Vec<_> = shapes.into_iter().collect();
    assert_eq!(shapes, [(4, 0), (4, 1), (5, 0), (5, 1), (6, 1), (7, 2)]);
    claims("four replicas, of which none or any one is Byzantine");
    claims("five with none or one, six with one, seven with two;");
    for liar in (0..4).map(ReplicaId) {
        let is_liar = |config: &&Config| config.replicas() == 4 && config.is_byzantine(liar);
        assert!(quick.iter().any(|config| is_liar(&config)), "{liar} is never Byzantine");
    }

    let most = |bound: fn(&Config) -> u8| quick.iter().map(bound).max().map_or(0, usize::from);
    let (views, slots) = (most(|config| config.max_view().0) + 1, most(|c| c.last_slot().0));
    let requests = most(Config::timestamps);
    assert!(quick.iter().any(|one| one.operations() > 1), "one operation for each timestamp");
    claims(&format!(
        "up to {} views, {} slots, {} requests a client (also with one timestamp), checkpoints and fetched state, crashes",
        word(views),
        word(slots),
        word(requests)
    ));
    assert!(quick.iter().any(Config::restarts), "no configuration has crashes");
    assert!(quick.iter().any(|config| config.checkpoint_interval().is_some()), "nor checkpoints");
}

/// What the claim says of bounds that meet is what the table of pairs says.
#[test]
fn the_claim_says_which_bounds_meet() {
    let (quick, safe) = (Meetings::of(Preset::Quick), section("The protocol is safe"));
    let missing: Vec<_> = quick.missing().map(|pair| pair.axes.clone()).collect();
    assert_eq!(missing, [[Axis::SecondViewChange, Axis::Restarts]]);
    let met = quick.triples.iter().filter(|triple| triple.config.is_some()).count();
    let says = format!(
        "each pair meets in some configuration, but for crashes with a second view change, and {met} of {} triples do",
        quick.triples.len()
    );
    assert!(safe.contains(&says), "{says}: {safe}");
}

/// The nightly preset is as large as docs/claims.md says, as far as it is on record.
#[test]
fn the_nightly_preset_has_the_numbers_on_record() {
    let nightly = searched(Preset::Nightly);
    let counts: Vec<_> = nightly.iter().filter_map(golden::counts).collect();
    assert_eq!(counts.len(), nightly.len(), "all are on record");
    let states: u64 = counts.iter().map(|(states, _)| states).sum();
    let says = format!("{} searches, {} states, all visited", nightly.len(), commas(states));
    assert!(claims().contains(&says), "{says}");
}
