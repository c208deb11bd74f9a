//! What README.md, docs/claims.md and docs/conformance.md say of the replays is what the presets do.

use pbft_conformance::replay::plan::{Plan, Preset};
use pbft_plant::tool::catalogue;
use pbft_plant::workspace::Kind;
use std::fs;
use std::path::Path;

/// A document of the workspace, in one line.
fn document(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join(path)).expect("a document");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A small number in a sentence.
fn word(number: usize) -> &'static str {
    const WORDS: [&str; 21] = [
        "no",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
        "twenty",
    ];
    WORDS[number]
}

fn says(document: &str, sentence: &str) {
    assert!(document.contains(sentence), "it does not say: {sentence}");
}

#[test]
fn the_graphs_are_as_many_as_it_is_said() {
    let (quick, release) = (Plan::quick(), Plan::of(Preset::Release));
    let (graphs, scheduled) = (word(quick.replayed.len()), word(release.scheduled.len()));
    let (readme, claims) = (document("README.md"), document("docs/claims.md"));
    says(&readme, &format!("every edge of {graphs} graphs replayed"));
    says(&readme, &format!("{scheduled} graphs, each schedule"));
    says(&claims, &format!("replays every edge of {graphs} graphs"));
    let behind = word(quick.behind.len());
    says(&claims, &format!("and of {behind} that are larger every edge behind the first slot"));
    says(&claims, &format!("Every edge of {scheduled} graphs under every schedule"));
    let page = document("docs/conformance.md");
    says(&page, &format!("all of {graphs} graphs"));
    says(&page, &format!("all of {scheduled} graphs, one in 64 of the others"));
    says(&page, &format!("for each of {} larger graphs", word(quick.walked.len())));
}

#[test]
fn the_planted_bugs_are_as_many_as_it_is_said() {
    let bugs = catalogue(Kind::Bugs).expect("a catalogue").entries().len();
    says(&document("README.md"), &format!("{bugs} planted bugs: conformance catches each"));
    says(&document("README.md"), &format!("{bugs} bugs planted in the code"));
    says(&document("docs/claims.md"), &format!("{bugs} bugs of core, client and node"));
    says(&document("docs/reliability.md"), &format!("have {bugs} planted bugs"));
}

#[test]
fn the_walks_with_leftovers_are_as_many_as_it_is_said() {
    let plans = [Preset::Quick, Preset::Release, Preset::Nightly].map(Plan::of);
    let page = document("docs/conformance.md");
    let configs = word(plans[0].carried.len());
    let [quick, release, nightly] = plans.map(|plan| commas(plan.carried_walks));
    let row = format!(
        "| walks with leftovers, for each of {configs} graphs | {quick} | {release} | {nightly} |"
    );
    says(&page, &row);
}

/// As people write it.
fn commas(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", number / 1000, number % 1000),
    }
}
