//! What facts are drawn as.

use crate::counterexample::Fact;
use crate::formula::Sort;

/// An individual, as people write it.
pub(super) fn label(name: &str) -> String {
    let number: usize = name[1..].parse().unwrap_or_default();
    let letter = |first: u8| char::from(first + (number % 26) as u8);
    match Sort::of(name) {
        Some(Sort::Seq) => format!("#{}", number + 1),
        Some(Sort::Value) => letter(b'A').to_string(),
        Some(Sort::Digest) => format!("digest {}", number + 1),
        Some(Sort::Quorum) => format!("Q{}", number + 1),
        _ => number.to_string(),
    }
}

/// Something in a lane. It stands for one fact, or for several that belong together.
pub(super) struct Item {
    /// The replica, or none for certificates.
    pub(super) who: Option<String>,
    /// View and kind.
    pub(super) order: (String, u8),
    pub(super) label: String,
    pub(super) content: String,
    /// The batch that it is about, which colours it.
    pub(super) value: Option<String>,
    /// The fact.
    pub(super) fact: Fact,
    pub(super) step: bool,
    pub(super) wrong: bool,
}

impl Item {
    fn new(fact: &Fact, (place, kind): (&&str, u8), label: String, content: String) -> Self {
        let who = fact.arguments.first().filter(|one| one.starts_with('n')).cloned();
        let value = fact.arguments.iter().find(|one| one.starts_with('v')).cloned();
        // Execution comes after all views.
        let order = (place.replace('s', "z"), kind);
        Self { who, order, label, content, value, fact: fact.clone(), step: false, wrong: false }
    }
}

/// The facts of a relation that begin with these arguments.
fn facts_with<'a>(all: &'a [Fact], relation: &str, first: &[&str]) -> Vec<&'a Fact> {
    let fits = |one: &&Fact| {
        one.relation == relation && one.arguments.iter().zip(first).all(|(a, b)| a == b)
    };
    all.iter().filter(fits).collect()
}

/// Of views up to one the last says it all.
fn is_last(all: &[Fact], relation: &str, first: &[&str], of: &str) -> bool {
    let facts = facts_with(all, relation, first);
    facts.iter().all(|other| *other.arguments[first.len()] <= *of)
}

/// What facts are drawn as.
pub(super) fn items_of(facts: &[Fact]) -> Vec<Item> {
    facts.iter().filter_map(|fact| item(fact, facts)).collect()
}

fn item(fact: &Fact, all: &[Fact]) -> Option<Item> {
    let arguments: Vec<&str> = fact.arguments.iter().map(|one| &**one).collect();
    let with = |relation: &str, first: &[&str]| facts_with(all, relation, first);
    let is_last = |relation: &str, first: &[&str], of: &str| is_last(all, relation, first, of);
    let (order, words, content) = match (&*fact.relation, &*arguments) {
        ("vote", [_, r, s, v]) => {
            ((r, 2), format!("PREPARE view {}", label(r)), [s, v].map(|one| label(one)).join(" "))
        }
        ("voted", [r, s, v]) => {
            let seen =
                all.iter().any(|one| one.relation == "vote" && one.arguments[1..] == [*r, *s, *v]);
            (!seen).then_some(())?;
            ((r, 3), format!("VOTED view {}", label(r)), [s, v].map(|one| label(one)).join(" "))
        }
        ("prepared", [r, s, v]) => {
            ((r, 4), format!("PREPARED view {}", label(r)), [s, v].map(|one| label(one)).join(" "))
        }
        ("reached", [n, s, r]) => {
            is_last("reached", &[n, s], r).then_some(())?;
            ((r, 5), "HOLDS certificate".to_owned(), format!("{} view {}", label(s), label(r)))
        }
        ("commit", [_, r, s, v]) => {
            ((r, 6), format!("COMMIT view {}", label(r)), [s, v].map(|one| label(one)).join(" "))
        }
        ("committed", [r, s, v]) => {
            ((r, 7), format!("DECIDED view {}", label(r)), [s, v].map(|one| label(one)).join(" "))
        }
        ("left", [n, r]) => {
            let asks = with("view_change", &[n]);
            (is_last("left", &[n], r) && asks.is_empty()).then_some(())?;
            ((r, 8), format!("HAS-LEFT view {}", label(r)), String::new())
        }
        ("view_change", [n, r]) => {
            ((r, 0), format!("VIEW-CHANGE to {}", label(r)), shown(n, r, &with))
        }
        ("new_view", [r, q]) => {
            ((r, 1), format!("NEW-VIEW {}", label(r)), format!("V = {}", label(q)))
        }
        _ => return executed(fact, all),
    };
    Some(Item::new(fact, order, words, content))
}

/// Execution and checkpoints.
fn executed(fact: &Fact, all: &[Fact]) -> Option<Item> {
    let arguments: Vec<&str> = fact.arguments.iter().map(|one| &**one).collect();
    let with = |relation: &str, first: &[&str]| facts_with(all, relation, first);
    let (order, words, content) = match (&*fact.relation, &*arguments) {
        ("executed", [n, s]) => {
            let batches = with("history", &[n, s]);
            let batch = batches.first().map_or("?".to_owned(), |one| label(&one.arguments[2]));
            (batches.len() < 2).then_some(())?;
            ((s, 20), "EXECUTED".to_owned(), format!("{} {batch}", label(s)))
        }
        ("history", [n, s, v]) => {
            let several = with("history", &[n, s]).len() > 1;
            (several || with("executed", &[n, s]).is_empty()).then_some(())?;
            ((s, 21), "STATE has".to_owned(), [s, v].map(|one| label(one)).join(" "))
        }
        ("checkpoint", [_, s, d]) => ((s, 22), format!("CHECKPOINT {}", label(s)), label(d)),
        ("stable", [s, d]) => ((s, 23), format!("STABLE {}", label(s)), label(d)),
        ("low", [n, s]) => {
            is_last(all, "low", &[n], s).then_some(())?;
            ((s, 24), "h".to_owned(), label(s))
        }
        ("content", [d, s, _]) => {
            let first = with("content", &[d]).first().is_some_and(|one| *one.arguments[1] == **s);
            first.then_some(())?;
            let parts = with("content", &[d]);
            let parts: Vec<_> = parts
                .iter()
                .map(|one| format!("{} {}", label(&one.arguments[1]), label(&one.arguments[2])))
                .collect();
            ((s, 19), format!("BEHIND {}", label(d)), parts.join(", "))
        }
        _ => return None,
    };
    Some(Item::new(fact, order, words, content))
}

/// P of a VIEW-CHANGE, with h where it matters.
fn shown<'a>(n: &str, r: &str, with: &impl Fn(&str, &[&str]) -> Vec<&'a Fact>) -> String {
    let shows = with("shows", &[n, r]);
    let last = |fact: &&&Fact| {
        shows.iter().all(|other| {
            other.arguments[2] != fact.arguments[2] || other.arguments[3] <= fact.arguments[3]
        })
    };
    let shown = shows.iter().filter(last);
    let shown =
        shown.map(|one| format!("{} view {}", label(&one.arguments[2]), label(&one.arguments[3])));
    let shown: Vec<String> = shown.collect();
    let past = with("past", &[n, r]);
    match past.last() {
        Some(past) => format!("h={} P=[{}]", label(&past.arguments[2]), shown.join(", ")),
        None => format!("P=[{}]", shown.join(", ")),
    }
}
