//! The clauses of `docs/paper.md`: what is said there to show each, and to probe it.

/// The document.
pub const PAPER: &str = include_str!("../../../docs/paper.md");

/// A clause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clause {
    /// `N6`.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Kinds of refusals and effects that show it.
    pub shows: Vec<String>,
    /// Probes that it has.
    pub probes: Vec<String>,
}

/// The clauses of a document, in its order. A clause is a third heading that begins with its id and a full stop; below it,
/// items begin with a key and hold names between backquotes.
pub fn clauses(document: &str) -> Vec<Clause> {
    let mut clauses: Vec<Clause> = Vec::new();
    let mut key = "";
    for line in document.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            let (id, title) = heading.split_once(". ").unwrap_or((heading, ""));
            let (id, title) = (id.to_owned(), title.to_owned());
            clauses.push(Clause { id, title, ..Clause::default() });
            key = "";
        } else if line.starts_with("## ") {
            key = "";
        } else if let Some((name, _)) =
            line.strip_prefix("- ").and_then(|rest| rest.split_once(':'))
        {
            key = name;
        } else if !line.starts_with("  ") {
            key = "";
        }
        let Some(clause) = clauses.last_mut() else { continue };
        let names = match key {
            "shows" => &mut clause.shows,
            "probes" => &mut clause.probes,
            _ => continue,
        };
        names.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    clauses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe;
    use pbft_core::RejectionKind;

    #[test]
    fn names_are_found_below_their_clause_and_key() {
        let document = "## Part\n- shows: `no-clause`\n\n### A1. Title one\n(§2) `prose`\n\n- core: `f`\n\
                        - shows: `one`,\n  `two`\n- probes: `a probe`\n\n### B2. Other\n- tests: `t`\n";
        let found = clauses(document);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].id.as_str(), found[0].title.as_str()), ("A1", "Title one"));
        assert_eq!(found[0].shows, ["one", "two"]);
        assert_eq!(found[0].probes, ["a probe"]);
        assert!(found[1].shows.is_empty() && found[1].probes.is_empty());
    }

    /// Every clause of the index is there, and what it names exists.
    #[test]
    fn the_paper_is_read_whole() {
        let found = clauses(PAPER);
        let indexed = PAPER.lines().filter(|line| {
            let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
            cells.next().is_some_and(|id| {
                id.starts_with(|c: char| "ARNCVW".contains(c)) && id[1..].parse::<u8>().is_ok()
            })
        });
        assert_eq!(found.len(), indexed.count());
        for clause in &found {
            for name in &clause.probes {
                assert!(probe::names().any(|known| known == name), "{}: {name}", clause.id);
            }
        }
        let kinds = found.iter().flat_map(|clause| &clause.shows);
        let rejections = kinds.filter(|name| name.parse::<RejectionKind>().is_ok());
        assert!(rejections.count() > 20);
    }
}
