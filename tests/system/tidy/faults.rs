//! The faults that were found from outside, and the tests that show that they are gone: a table in
//! `docs/past-bugs.md`, made from the tests themselves.
//!
//! A test takes part by a line of its documentation: `Outside fault F7: ` and what it shows.

use crate::source::Text;

/// The kinds of faults, in the order in which they were reported.
pub(crate) const KINDS: [&str; 19] = [
    "What a certificate names can be lost",
    "What is final cannot be proved after a restart",
    "A state transfer starts from nothing at every checkpoint",
    "Patience is forgotten at the first execution",
    "A poisoned request changes views for ever",
    "A slow primary is never left, and a replica that left alone never comes back",
    "A halt is forgotten, and a service that panics stops everybody",
    "Parameters that cannot work together are accepted",
    "An acknowledgement is not bound to what it acknowledges",
    "A service is not named in the cluster's identity",
    "A replica that is up is taken for one that votes",
    "Health endpoints can be blinded, and mislead their probes",
    "Logging can stop a replica, and says nothing of the protocol",
    "Exit codes and lost output mislead supervisors and scripts",
    "Error messages lead nowhere",
    "One client starves the others",
    "Small questions get large answers",
    "Evidence leaves out view changes",
    "Work and memory grow with the state that did not change",
];

const MARK: &str = "/// Outside fault F";
const BEGIN: &str = "<!-- begin: made by a test, see above -->\n";
const END: &str = "<!-- end -->\n";

/// What one test shows of a kind.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shown {
    /// The kind's number, from 1.
    kind: usize,
    path: String,
    test: String,
    what: String,
}

/// The tests that say which fault they are about. A line that leads to no test is an error.
pub(crate) fn shown(texts: &[Text]) -> Result<Vec<Shown>, String> {
    let mut found = Vec::new();
    for text in texts.iter().filter(|text| text.is_rust()) {
        let lines: Vec<&str> = text.content.lines().map(str::trim_start).collect();
        for (number, line) in lines.iter().enumerate() {
            let Some(said) = line.strip_prefix(MARK) else { continue };
            let place = format!("{}:{}", text.path, number + 1);
            let (kind, what) = said.split_once(": ").ok_or(format!("{place}: no sentence"))?;
            let kind = kind.parse().ok().filter(|kind| (1..=KINDS.len()).contains(kind));
            let kind = kind.ok_or(format!("{place}: no kind of fault has this number"))?;
            let test = test_below(&lines[number..]).ok_or(format!("{place}: no test follows"))?;
            found.push(Shown { kind, path: text.path.clone(), test, what: what.to_owned() });
        }
    }
    found.sort();
    Ok(found)
}

/// The name of the test whose documentation and attributes `lines` begin with.
fn test_below(lines: &[&str]) -> Option<String> {
    let head = lines.iter().take_while(|line| line.starts_with("///") || line.starts_with("#["));
    let head = head.count();
    let is_test = lines[..head].iter().any(|line| line.starts_with("#[") && line.contains("test"));
    let (_, name) = lines.get(head)?.split_once("fn ")?;
    is_test
        .then(|| name.split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned))?
}

/// The table as the document must have it.
pub(crate) fn table(shown: &[Shown]) -> String {
    let mut table = String::from("| | kind | test | what it shows |\n|---|---|---|---|\n");
    for (number, title) in KINDS.iter().enumerate().map(|(at, title)| (at + 1, title)) {
        let mut first = true;
        if shown.iter().all(|shown| shown.kind != number) {
            table.push_str(&format!("| F{number} | {title} | – | no test yet: open |\n"));
        }
        for Shown { path, test, what, .. } in shown.iter().filter(|shown| shown.kind == number) {
            let (id, title) =
                if first { (format!("F{number}"), *title) } else { (String::new(), "") };
            first = false;
            let row = format!("| {id} | {title} | [`{test}`](../{path}) | {what} |\n");
            table.push_str(&row);
        }
    }
    table
}

/// The document with its table renewed.
pub(crate) fn renewed(document: &str, table: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}

/// The numbers of kinds that no test is about.
pub(crate) fn without_test(shown: &[Shown]) -> Vec<usize> {
    (1..=KINDS.len()).filter(|kind| shown.iter().all(|shown| shown.kind != *kind)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(content: &str) -> Result<Vec<Shown>, String> {
        shown(&[Text::sample("a/tests/b.rs", &content.replace("MARK", MARK))])
    }

    #[test]
    fn a_marked_test_is_found_with_its_sentence() {
        let found = sample("/// A\nMARK7: It stays halted.\n#[test]\nfn stays_halted() {}\n");
        let found = found.expect("readable");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].kind, &*found[0].test), (7, "stays_halted"));
        assert_eq!(found[0].what, "It stays halted.");
        assert_eq!(without_test(&found).len(), KINDS.len() - 1);
        let with_runtime = "MARK1: B.\n#[tokio::test]\nasync fn waits() {}\n";
        assert_eq!(sample(with_runtime).expect("readable")[0].test, "waits");
    }

    #[test]
    fn marks_that_lead_nowhere_are_refused() {
        for bad in [
            "MARK0: Nothing.\n#[test]\nfn a() {}\n",
            "MARK20: Nothing.\n#[test]\nfn a() {}\n",
            "MARK1 nothing\n#[test]\nfn a() {}\n",
            "MARK1: No test.\nfn a() {}\n",
            "MARK1: No function.\n#[test]\n",
        ] {
            assert!(sample(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_table_is_renewed_between_its_marks_only() {
        let shown = sample("MARK2: It is.\n#[test]\nfn is_final() {}\n").expect("readable");
        let document = format!("# A\n{BEGIN}old\n{END}rest\n");
        let new = renewed(&document, &table(&shown)).expect("marks");
        assert!(new.starts_with("# A\n") && new.ends_with("rest\n") && !new.contains("old"));
        assert!(
            new.contains("| F2 | What is final cannot be proved after a restart | [`is_final`]")
        );
        assert_eq!(renewed(&new, &table(&shown)).as_ref(), Some(&new), "again: no change");
        assert_eq!(renewed("# A\n", ""), None);
    }
}
