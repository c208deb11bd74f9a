//! The rules of this repository, as tests.

mod commands;
mod crates;
mod faults;
mod monitoring;
mod paper;
mod paths;
mod picture;
mod rules;
mod site;
mod source;

use source::{Text, all_texts};

/// What is found but is right all the same: the file, the finding, and the reason.
const EXCEPTIONS: [(&str, &str, &str); 3] = [
    ("impl/core/tests/disorder.rs", rules::LEFT, "a search of many seeds that takes minutes"),
    (
        "model/checker/tests/mutants.rs",
        rules::LEFT,
        "a search of many configurations that takes minutes",
    ),
    ("model/checker/tests/reductions.rs", rules::LEFT, "the larger bounds take minutes"),
];

fn is_excused(finding: &str) -> bool {
    EXCEPTIONS.iter().any(|(path, what, _)| finding.starts_with(path) && finding.ends_with(what))
}

/// Checks every file of the repository.
fn holds(rule: fn(&Text) -> Vec<String>) {
    let texts = all_texts(&commands::root());
    let findings = texts.iter().flat_map(rule).filter(|finding| !is_excused(finding));
    let findings: Vec<String> = findings.collect();
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn every_exception_is_needed() {
    let texts = all_texts(&commands::root());
    let findings: Vec<String> = texts.iter().flat_map(rules::nothing_is_left_for_later).collect();
    for (path, what, _) in EXCEPTIONS {
        let needed = |finding: &String| finding.starts_with(path) && finding.ends_with(what);
        assert!(findings.iter().any(needed), "nothing is wrong with {path}: remove the exception");
    }
}

#[test]
fn files_are_small() {
    holds(rules::files_are_small);
}

#[test]
fn functions_are_small() {
    holds(rules::functions_are_small);
}

#[test]
fn nothing_is_left_for_later() {
    holds(rules::nothing_is_left_for_later);
}

#[test]
fn quorums_are_calculated_in_one_place() {
    holds(rules::quorums_are_calculated_in_one_place);
}

#[test]
fn no_path_of_a_machine() {
    holds(rules::no_path_of_a_machine);
}

#[test]
fn nothing_in_conformance_names_what_is_above_it() {
    holds(crates::nothing_in_conformance_names_what_is_above_it);
}

#[test]
fn production_has_no_bugs() {
    holds(rules::production_has_no_bugs);
}

#[test]
fn specification_has_no_mutants() {
    holds(rules::specification_has_no_mutants);
}

#[test]
fn programs_print_in_one_way() {
    holds(rules::programs_print_in_one_way);
}

#[test]
fn documents_have_one_title() {
    holds(rules::documents_have_one_title);
}

#[test]
fn crates_know_only_whom_they_may() {
    holds(crates::crates_know_only_whom_they_may);
}

#[test]
fn crates_for_others_have_what_a_registry_shows() {
    let root = commands::root();
    let unfit = crates::FOR_OTHERS.iter().flat_map(|one| crates::unfit_for_others(&root, one));
    let unfit: Vec<String> = unfit.collect();
    assert!(unfit.is_empty(), "{unfit:#?}");
    assert!(crates::unfit_for_others(&root, "conformance/plant").len() >= 3, "not for others");
}

#[test]
fn the_picture_of_the_crates_is_true() {
    let differences = picture::differences(&commands::root());
    assert!(differences.is_empty(), "docs/images/architecture.svg: {differences:#?}");
}

#[test]
fn model_and_implementation_do_not_name_each_other() {
    holds(crates::model_and_implementation_do_not_name_each_other);
}

#[test]
fn cargo_knows_the_commands_in_the_documentation() {
    let shown = commands::shown(&commands::root());
    assert!(shown.len() > 30, "only {} commands", shown.len());
    let unknown: Vec<_> = shown.iter().filter(|command| !command.is_known).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn what_the_page_on_the_paper_names_is_there() {
    let texts = all_texts(&commands::root());
    let page = texts.iter().find(|text| text.path == "docs/paper.md").expect("the page");
    let lost = paper::lost_names(&page.content, &texts);
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
fn the_paths_in_documents_are_there() {
    let root = commands::root();
    let texts = all_texts(&root);
    let lost: Vec<String> = texts.iter().flat_map(|text| paths::dangling(&root, text)).collect();
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
fn every_page_of_the_site_is_in_its_contents() {
    let lost = site::not_in_contents(&all_texts(&commands::root()));
    assert!(lost.is_empty(), "docs/SUMMARY.md does not name these once: {lost:#?}");
}

#[test]
fn the_places_that_links_name_are_there() {
    let lost = site::lost_anchors(&all_texts(&commands::root()));
    assert!(lost.is_empty(), "{lost:#?}");
}

/// From the first page an answer is one click away.
#[test]
fn ten_questions_are_answered() {
    let texts = all_texts(&commands::root());
    let front = texts.iter().find(|text| text.path == site::FRONT).expect("the first page");
    let questions = site::questions(front);
    assert_eq!(questions.len(), 10, "{questions:#?}");
    for (question, (path, _)) in questions {
        assert!(texts.iter().any(|text| text.path == path), "{question}: there is no {path}");
    }
}

#[test]
fn documents_have_short_lines() {
    holds(site::documents_have_short_lines);
}

#[test]
fn the_rules_see_the_whole_repository() {
    let texts = all_texts(&commands::root());
    let has = |path: &str| texts.iter().any(|text| text.path == path);
    assert!(crates::manifests().all(|(path, _)| has(path)), "every manifest");
    assert!(
        has("README.md") && has("impl/core/src/replica.rs") && has("tests/system/tidy/main.rs")
    );
    assert!(!texts.iter().any(|text| text.path.starts_with("target/")));
    assert!(texts.len() > 100, "{} files", texts.len());
}

/// `RENEW=1` writes the table instead of comparing it.
#[test]
fn faults_found_from_outside_have_tests_or_are_listed_as_open() {
    let root = commands::root();
    let shown = faults::shown(&all_texts(&root)).expect("marks that lead to tests");
    // Kinds that are open: the table says so. A kind that has a test keeps one.
    const OPEN: [usize; 0] = [];
    assert_eq!(faults::without_test(&shown), OPEN, "kinds that no test says that it is about");
    let path = root.join("docs/past-bugs.md");
    let document = std::fs::read_to_string(&path).expect("the document");
    let renewed = faults::renewed(&document, &faults::table(&shown)).expect("marks of the table");
    if std::env::var_os("RENEW").is_some() {
        std::fs::write(&path, renewed).expect("written");
    } else {
        assert!(
            document == renewed,
            "renew it: RENEW=1 cargo test -p pbft-tests --test tidy faults"
        );
    }
}
