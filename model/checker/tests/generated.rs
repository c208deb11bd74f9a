//! Mutants that are made from the specification by rule: the record is of today's sources, and says of each what came of it.
//! `cargo mutants-of-model --generated` searches for them.

use pbft_checker::generated::record::{Row, read};
use pbft_checker::generated::search::{End, Searched, here};
use pbft_checker::generated::{BUDGET, Fate, Report, all, exit_code, ladder};
use pbft_checker::golden;
use pbft_checker::run::ExitCode;
use pbft_model::Config;

fn config(name: &str) -> Config {
    name.parse().expect("a valid name")
}

fn fate(text: &str) -> Fate {
    text.parse().expect("a fate")
}

/// A search that found what there is without a mutant.
fn unchanged() -> Searched {
    let (config, states, edges) = golden::table().next().expect("counts on record");
    Searched { config, states, edges, end: End::Whole }
}

fn report(recorded: Option<&str>, searched: &[Searched]) -> Report {
    let row = Row { name: "a.rs:b:check-1-passes".to_owned(), change: "`true` for `c`".to_owned() };
    Report::new(&row, recorded.map(fate).as_ref(), searched.to_vec(), 0.1)
}

/// A changed rule has other mutants: `cargo mutants-of-model --generated --record` writes what comes of them.
#[test]
fn the_record_has_the_mutants_that_are_made_of_the_sources() {
    let recorded: Vec<Row> = read().expect("a record").into_iter().map(|(row, _)| row).collect();
    let made = all().expect("sources");
    let new: Vec<_> = made.iter().filter(|row| !recorded.contains(row)).collect();
    let gone: Vec<_> = recorded.iter().filter(|row| !made.contains(row)).collect();
    assert!(new.is_empty() && gone.is_empty(), "not on record: {new:#?}\nnot made: {gone:#?}");
    assert_eq!(recorded, made);
}

#[test]
fn each_was_searched_for_and_of_each_survivor_the_record_says_why() {
    let is_open = |fate: &Fate| *fate == Fate::NotSearched || fate.is_unexplained();
    let recorded = read().expect("a record");
    let open: Vec<_> = recorded.iter().filter(|(_, fate)| is_open(fate)).collect();
    assert!(open.is_empty(), "{open:#?}");
    let killed = recorded.iter().filter(|(_, fate)| matches!(fate, Fate::Killed { .. })).count();
    assert!(killed * 2 > recorded.len(), "{killed} of {}", recorded.len());
}

#[test]
fn without_a_mutant_nothing_is_found_and_the_counts_are_those_on_record() {
    let name = "n7-b01-v0-s1-d2";
    let searched = here(config(name), BUDGET);
    assert_eq!((searched.states, searched.edges, &searched.end), (181, 739, &End::Whole));
    assert!(searched.is_as_without());
    assert_eq!(here(config(name), 100).end, End::Limited);
    let violated = here(config("n4-b01-v0-s1-d2"), BUDGET).end;
    assert!(matches!(violated, End::Violated { .. }), "{violated:?}");
}

#[test]
fn small_configurations_come_first() {
    let states = |config: &Config| golden::counts(config).map(|(states, _)| states);
    let ladder = ladder();
    assert_eq!(ladder.first(), Some(&config("n7-b01-v0-s1-d2")));
    assert!(ladder.is_sorted_by_key(states) && ladder.len() == 80 + 5, "{}", ladder.len());
    assert!(ladder.iter().all(|config| !config.is_beyond_tolerance()));
}

#[test]
fn a_fate_is_what_the_searches_say() {
    let name = "n4-b0-v1-s2-d2";
    let with = |end: End| Searched { config: config(name), states: 5, edges: 6, end };
    let violated = End::Violated { property: "agreement".to_owned(), steps: 7 };
    let lost = End::Lost { what: "executed".to_owned() };
    for (searched, said) in [
        (vec![unchanged()], "same states: not explained".to_owned()),
        (vec![unchanged(), with(End::Whole)], "other states: not explained".to_owned()),
        (vec![with(End::Limited)], "other states: not explained".to_owned()),
        (vec![with(End::Whole), with(violated)], format!("agreement in 7 steps at {name}")),
        (vec![unchanged(), with(lost)], format!("never at {name}: executed")),
        (vec![with(End::Panicked)], format!("panics at {name}")),
        (vec![with(End::Endless)], format!("does not end at {name}")),
    ] {
        assert_eq!(report(None, &searched).fate.to_string(), said);
        let again = report(Some(&said), &searched);
        assert!(again.as_recorded && again.fate == fate(&said), "{again:?}");
    }
}

#[test]
fn what_is_not_as_recorded_or_not_explained_is_a_finding() {
    let same = [unchanged()];
    let explained = report(Some("same states: it is asked twice"), &same);
    assert_eq!(explained.fate, fate("same states: it is asked twice"));
    let explained = [explained];
    assert_eq!(exit_code(1, &explained), ExitCode::Holds);
    assert_eq!(exit_code(2, &explained), ExitCode::Inconclusive);
    assert_eq!(exit_code(0, &[]), ExitCode::Inconclusive);
    for recorded in [
        None,
        Some("same states: not explained"),
        Some("other states: it is asked twice"),
        Some("agreement in 7 steps at n4-b0-v1-s2-d2"),
    ] {
        let odd = report(recorded, &same);
        assert!(odd.fate.is_unexplained(), "a reason is of the fate on record: {odd:?}");
        assert_eq!(exit_code(1, &[odd]), ExitCode::Finding);
    }
    let refused = report(Some("does not compile"), &[]);
    assert_eq!(exit_code(1, &[refused]), ExitCode::Holds);
}
