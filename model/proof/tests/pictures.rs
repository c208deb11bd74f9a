//! The pictures in docs/theorem show counterexamples: what is written in them is evaluated, and drawn again.

use pbft_proof::counterexample::{Counterexample, Fact, smallest};
use pbft_proof::formula::Sort;
use pbft_proof::instance::{Facts, Instance, Sizes};
use pbft_proof::picture::Explained;
use pbft_proof::prove::obligation;
use pbft_proof::solver::Solver;
use pbft_proof::theory::{Named, Theory};
use pbft_proof::weakened::{ITSELF, without};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/theorem")
}

fn theory() -> Theory {
    Theory::pbft().expect("a theory")
}

/// The conjuncts that something else rests on, with their places.
fn needed(theory: &Theory) -> impl Iterator<Item = (usize, &Named)> {
    theory.conjuncts.iter().enumerate().filter(|(_, one)| one.needed != ITSELF)
}

/// The counterexample that is written so; the inverse of its text.
fn read(text: &str) -> Counterexample {
    let (before, step) = text.split_once("then ").unwrap_or((text, ""));
    let facts = |text: &str| -> Vec<String> {
        let facts = text.split("  ").map(str::trim);
        facts.filter(|fact| fact.ends_with(')')).map(str::to_owned).collect()
    };
    let by_relation = before.lines().map(facts).filter(|facts| !facts.is_empty());
    let named = by_relation.map(|facts| {
        let name = facts[0].split('(').next().unwrap_or_default();
        (name.to_owned(), facts)
    });
    let step = step.split_once(" adds\n");
    Counterexample {
        step: step.map(|(step, _)| step.to_owned()),
        before: named.collect(),
        adds: step.map_or(Vec::new(), |(_, adds)| facts(adds)),
    }
}

/// What a picture says that it shows.
fn recorded(name: &str) -> (String, Explained) {
    let file = directory().join(format!("{name}.svg"));
    let svg = std::fs::read_to_string(&file).unwrap_or_else(|error| {
        panic!("{}: {error}; `cargo prove --pictures docs/theorem` draws it", file.display())
    });
    let text = svg.split("<desc>").nth(1).and_then(|rest| rest.split("</desc>").next());
    let text = text.expect("a description").replace("&lt;", "<").replace("&gt;", ">");
    let text = text.replace("&apos;", "'").replace("&quot;", "\"").replace("&amp;", "&");
    let mut lines = text.lines();
    let (title, fails) = (lines.next().expect("a title"), lines.next().expect("what fails"));
    let (name, meaning) = title.split_once(": ").expect("a name");
    let fails = fails.split('`').nth(1).expect("an obligation");
    let found = read(&lines.collect::<Vec<_>>().join("\n"));
    let [name, meaning, fails] = [name, meaning, fails].map(str::to_owned);
    (svg, Explained { name, meaning, fails, found })
}

#[test]
fn each_picture_is_what_the_command_draws_and_none_is_missing() {
    let theory = theory();
    let mut names = BTreeSet::new();
    for (_, conjunct) in needed(&theory) {
        let (svg, explained) = recorded(&conjunct.name);
        assert_eq!((&explained.name, &explained.fails), (&conjunct.name, &conjunct.needed));
        assert_eq!(explained.meaning, format!("nothing says that {}", conjunct.why));
        let again = "`cargo prove --pictures docs/theorem` draws it again";
        assert!(explained.to_svg(&theory) + "\n" == svg, "{}: {again}", conjunct.name);
        names.insert(format!("{}.svg", conjunct.name));
    }
    let files = std::fs::read_dir(directory()).expect("the directory");
    let files: BTreeSet<String> = files
        .map(|file| file.expect("a file").file_name().into_string().expect("a name"))
        .collect();
    assert_eq!(files, names);
    let text = std::fs::read_to_string(directory().with_extension("md")).expect("the document");
    for name in &names {
        assert!(text.contains(&format!("](theorem/{name})")), "{name} is not shown");
    }
}

/// As many individuals of each sort as are spoken of; a second batch, since one may be spoken of by the formula only.
fn sizes(facts: &[Fact]) -> Sizes {
    let count = |sort: Sort| {
        let names = facts.iter().flat_map(|fact| &fact.arguments);
        let of = names.filter(|name| Sort::of(name) == Some(sort));
        of.map(|name| number(name) + 1).max().unwrap_or(1)
    };
    Sizes {
        replicas: count(Sort::Replica),
        quorums: count(Sort::Quorum),
        views: count(Sort::View),
        numbers: count(Sort::Seq),
        values: count(Sort::Value).max(2),
        digests: count(Sort::Digest),
    }
}

fn number(name: &str) -> u8 {
    name[1..].parse().expect("a number")
}

fn insert(instance: &Instance, into: &mut Facts, facts: &[Fact]) {
    for fact in facts {
        let place = instance.relation(&fact.relation).expect("a relation");
        let arguments: Vec<u8> = fact.arguments.iter().map(|name| number(name)).collect();
        into.insert(place, &arguments);
    }
}

#[test]
fn each_picture_shows_a_counterexample() {
    let whole = theory();
    for (at, conjunct) in needed(&whole) {
        let (_, explained) = recorded(&conjunct.name);
        let (before, adds) = (explained.found.facts_before(), explained.found.facts_added());
        let instance = |theory: &Theory| {
            Instance::new(theory, sizes(&before.iter().chain(&adds).cloned().collect::<Vec<_>>()))
        };
        let less = without(&whole, at);
        let of_less = instance(&less);
        let mut state = of_less.nothing();
        insert(&of_less, &mut state, &before);
        let wrong: Vec<_> = of_less.broken(&state).chain(of_less.broken_axioms(&state)).collect();
        assert_eq!(wrong, Vec::<&str>::new(), "{}: the rest of it holds", conjunct.name);
        // Goals and conjuncts are looked at alike.
        let mut all = whole.clone();
        all.conjuncts.extend(whole.goals.iter().cloned());
        let of_all = instance(&all);
        let (step, fails) = explained.fails.split_once(": ").expect("what fails");
        let mut after = state.clone();
        insert(&of_all, &mut after, &adds);
        assert!(of_all.broken(&after).any(|name| name == fails), "{}: {fails}", conjunct.name);
        if step == "goal" {
            assert!(adds.is_empty() && explained.found.step.is_none());
            continue;
        }
        let steps = of_less.steps(&state, &after).expect("a step");
        let names: Vec<_> = of_less.step_names().collect();
        assert_eq!(steps.iter().map(|at| names[*at]).collect::<Vec<_>>(), [step]);
        let taken = explained.found.step.expect("a step");
        assert!(taken.starts_with(&format!("{step}(")), "{taken}");
    }
}

#[test]
fn a_solver_finds_none_that_is_smaller() {
    if Solver::Cvc5.version().is_none() {
        return;
    }
    let whole = theory();
    for (at, conjunct) in needed(&whole) {
        if !["commit-is-held", "view-change-shows", "decisions-have-commits"]
            .contains(&&*conjunct.name)
        {
            continue;
        }
        let less = without(&whole, at);
        let fails = obligation(&less, &conjunct.needed).expect("an obligation");
        let found = smallest(&less, &fails, Solver::Cvc5, Duration::from_secs(60)).expect("one");
        let (_, explained) = recorded(&conjunct.name);
        let count = |found: &Counterexample| found.facts_before().len() + found.facts_added().len();
        assert_eq!(count(&found), count(&explained.found), "{}: {found}", conjunct.name);
        assert_eq!(read(&found.to_string()), found, "text and back");
    }
}
