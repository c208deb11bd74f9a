//! The record of what came of each mutant: `generated.txt` beside the specification.
//!
//! ```text
//! # A comment.
//!
//! rules.rs:accept:check-1-passes
//! change: `true` for `role.active`
//! fate: certificate-uniqueness in 5 steps at n4-b0-v1-s1-d2
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pbft_plant::catalogue::CatalogueError;
use pbft_plant::generate::RECORD;
use thiserror::Error;

use super::{Fate, UnreadableFate};

/// A mutant on record, or to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What is different in the rules.
    pub change: String,
}

/// Why there is no record, or none that can be compared.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The sources cannot be read.
    #[error(transparent)]
    Sources(#[from] CatalogueError),
    /// The file cannot be read or written.
    #[error("{RECORD}: {0}")]
    Io(#[from] io::Error),
    /// A line is none of a record.
    #[error("{RECORD}:{line}: expected {expected}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// A fate cannot be read.
    #[error("{RECORD}:{line}: {why}")]
    Fate {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        why: UnreadableFate,
    },
}

/// What stands above the mutants.
const HEAD: &str = "\
# What came of each mutant that is made from the specification by rule. `cargo mutants-of-model --generated` compares, and with
# `--record` writes: docs/mutation.md. Only the reasons are written by hand: after `same states:` (within the budget every
# configuration has the states and edges that it has without the mutant) and after `other states:` (some has others, and nothing
# is wrong with them). A reason stays as long as the fate does.
";

/// The root of the workspace that this was built in.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Everything on record; nothing if there is no record yet.
pub fn read() -> Result<Vec<(Row, Fate)>, RecordError> {
    match fs::read_to_string(root().join(RECORD)) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Writes the record anew.
pub fn write(rows: &[(Row, Fate)]) -> Result<(), RecordError> {
    Ok(fs::write(root().join(RECORD), text(rows))?)
}

/// A record as it is written.
#[must_use]
pub fn text(rows: &[(Row, Fate)]) -> String {
    let entries = rows
        .iter()
        .map(|(Row { name, change }, fate)| format!("\n{name}\nchange: {change}\nfate: {fate}\n"));
    HEAD.to_owned() + &entries.collect::<String>()
}

/// Reads a record.
pub fn parse(text: &str) -> Result<Vec<(Row, Fate)>, RecordError> {
    let is_entry = |(_, line): &(usize, &str)| !line.is_empty() && !line.starts_with('#');
    let mut lines = (1..).zip(text.lines()).filter(is_entry).peekable();
    let mut rows = Vec::new();
    while let Some((at, name)) = lines.next() {
        let mut line = at;
        let mut field = |head: &'static str| {
            line += 1;
            let found = lines.next_if(|(_, line)| line.starts_with(head));
            let value = found.map(|(line, text)| (line, text[head.len()..].to_owned()));
            value.ok_or(RecordError::Line { line, expected: head })
        };
        let (_, change) = field("change: ")?;
        let (line, fate) = field("fate: ")?;
        let fate = fate.parse().map_err(|why| RecordError::Fate { line, why })?;
        rows.push((Row { name: name.to_owned(), change }, fate));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_is_written() {
        let fates = [
            "agreement in 12 steps at n4-b0-v1-s1-d2",
            "never at n4-b0-v1-s1-d2-k1: Commit, by a backup",
            "panics at n4-b0-v1-s1-d2",
            "does not end at n4-b0-v1-s1-d2",
            "same states: it is asked twice: here and there",
            "other states: not explained",
            "does not compile",
            "not searched",
        ];
        let row = |at: usize| Row { name: format!("a.rs:b:c-{at}-d"), change: "`a: b`".to_owned() };
        let rows = fates.iter().enumerate();
        let rows = rows.map(|(at, fate)| Ok((row(at), fate.parse()?)));
        let rows = rows.collect::<Result<Vec<_>, UnreadableFate>>().expect("fates");
        let read = parse(&text(&rows)).expect("a record");
        assert_eq!(read, rows);
        let written: Vec<_> = read.iter().map(|(_, fate)| fate.to_string()).collect();
        assert_eq!(written, fates);
    }

    #[test]
    fn a_record_with_something_else_in_it_is_refused_with_its_line() {
        for (text, said) in [
            ("a.rs:b\nfate: does not compile\n", "generated.txt:2: expected change: "),
            ("# c\n\na.rs:b\nchange: x\n", "generated.txt:5: expected fate: "),
            ("a.rs:b\nchange: x\nfate: by luck\n", "generated.txt:3: `by luck` is none of"),
            ("a.rs:b\nchange: x\nfate: panics at n1\n", "generated.txt:3: its configuration"),
            ("a.rs:b\nchange: x\nfate: luck in 2 steps at n4-b0-v1-s1-d2\n", "3: `luck in"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
