//! `docs/paper.md` names the mutants of the record, each at a clause of the section whose rule it breaks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use pbft_checker::mutant_record::record;

/// A clause: its letter and number, the sections of the paper that it is about, the mutants that switch it off.
#[derive(Debug, Default)]
struct Clause {
    id: String,
    sections: String,
    mutants: Vec<String>,
}

/// What is between backticks.
fn quoted(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// The clauses: a heading `### A1. Title`, a text that begins with `(§2, §4)`, and keys such as `- mutants: …`.
fn clauses(document: &str) -> Vec<Clause> {
    let mut clauses: Vec<Clause> = Vec::new();
    let mut in_mutants = false;
    for line in document.lines() {
        let heading = line.strip_prefix("### ").and_then(|title| title.split_once('.'));
        if let Some((id, _)) = heading {
            clauses.push(Clause { id: id.to_owned(), ..Clause::default() });
        }
        let Some(clause) = clauses.last_mut() else { continue };
        if clause.sections.is_empty() && line.starts_with('(') {
            clause.sections = line[1..line.find(')').unwrap_or(line.len())].to_owned();
        }
        in_mutants = line.starts_with("- mutants:") || (in_mutants && line.starts_with("  "));
        if in_mutants {
            clause.mutants.extend(quoted(line));
        }
    }
    clauses
}

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/paper.md");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The section at which a rule of the record begins: `§4.2` of `§4.2: prepared needs …`.
fn section(rule: &str) -> &str {
    rule.split([':', ' ']).next().unwrap_or(rule)
}

#[test]
fn every_mutant_is_named_at_a_clause_of_its_section_and_no_other_name_is() {
    let clauses = clauses(&document());
    let mut wrong = Vec::new();
    let mut named = BTreeSet::new();
    let rows = record().expect("a record");
    let rules: BTreeMap<String, &str> =
        rows.iter().map(|row| (row.name.clone(), &*row.rule)).collect();
    for Clause { id, sections, mutants } in &clauses {
        for mutant in mutants {
            named.insert(mutant.clone());
            match rules.get(mutant).map(|rule| section(rule)) {
                None => wrong.push(format!("{id} names {mutant}, which is not on record")),
                Some(section) if !sections.split(", ").any(|one| one == section) => {
                    wrong.push(format!("{id} is about {sections}; {mutant} breaks {section}"));
                }
                Some(_) => {}
            }
        }
    }
    let missing = rules.keys().filter(|mutant| !named.contains(*mutant));
    wrong.extend(missing.map(|mutant| format!("no clause names {mutant}")));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_index_lists_the_clauses_as_they_are() {
    let document = document();
    let rows = document.lines().filter_map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let ["", id, rule, sections, ""] = cells[..] else { return None };
        let is_clause = id.len() >= 2 && id[1..].chars().all(|digit| digit.is_ascii_digit());
        is_clause.then(|| (format!("### {id}. {rule}"), sections.to_owned()))
    });
    let rows: Vec<_> = rows.collect();
    let titles: Vec<_> = document.lines().filter(|line| line.starts_with("### ")).collect();
    let sections: Vec<_> = clauses(&document).into_iter().map(|clause| clause.sections).collect();
    assert!(rows.len() > 40, "{} rows", rows.len());
    assert_eq!(rows.iter().map(|(title, _)| title.as_str()).collect::<Vec<_>>(), titles);
    assert_eq!(rows.into_iter().map(|(_, sections)| sections).collect::<Vec<_>>(), sections);
}
