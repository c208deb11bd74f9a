//! The record of the planted bugs: where each is, which rule it breaks, and what catches it. A table in a file of its
//! own, `planted.tsv`, made by `cargo planted-bugs --record`; a change of it is to be reviewed like one of the code.

use super::Teeth;
use serde::Serialize;

const RECORDED: &str = include_str!("../../planted.tsv");

/// What one might think of as bugs, and why they are none.
pub const EQUIVALENT: &[(&str, &str)] = &[
    (
        "verified signatures remembered without their signer",
        "every body names its signer, and the body is part of what is remembered",
    ),
    (
        "a timer that was cancelled runs out all the same",
        "the core refuses a timer that it does not wait for (timer-not-running)",
    ),
    (
        "messages of one group released in another order",
        "the protocol takes messages in any order; the order inside a peer's queue is checked as the transport's own",
    ),
];

/// A bug on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name.
    pub bug: String,
    /// The file that it is in.
    pub place: String,
    /// What catches it: see [`crate::divergence::Divergence::catcher`].
    pub caught_by: String,
    /// The rule that it breaks.
    pub rule: String,
}

/// A line that is no row.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "planted.tsv, line {line}: not four columns; make it again with `cargo planted-bugs --record`"
)]
pub struct RecordError {
    line: usize,
}

/// The rows, below the heading.
pub fn rows() -> Result<Vec<Row>, RecordError> {
    let lines = RECORDED.lines().enumerate().skip(1);
    lines
        .map(|(index, line)| {
            let columns: Vec<&str> = line.split('\t').collect();
            let [bug, place, caught_by, rule] = columns[..] else {
                return Err(RecordError { line: index + 1 });
            };
            let [bug, place, caught_by, rule] = [bug, place, caught_by, rule].map(str::to_owned);
            Ok(Row { bug, place, caught_by, rule })
        })
        .collect()
}

/// The file with what was found now. Places and rules stay as they are; those of a new bug are to be filled in.
pub fn to_file(teeth: &Teeth) -> String {
    let mut text = "bug\tin\tcaught by\trule\n".to_owned();
    for hunt in &teeth.hunts {
        let place = hunt.record.as_ref().map_or("?", |row| &row.place);
        let rule = hunt.record.as_ref().map_or("?", |row| &row.rule);
        let caught_by = hunt.caught_by.as_deref().unwrap_or("?");
        text.push_str(&format!("{}\t{place}\t{caught_by}\t{rule}\n", hunt.bug));
    }
    text
}
