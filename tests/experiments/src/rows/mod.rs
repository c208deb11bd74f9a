//! What readers of other systems expect, row by row, with the command that shows each here (`pbft-sim rows`).
//!
//! S0 is PBFT in DistAlgo, S1 a Byzantine Raft in Python, S2 a ledger on libbyz, S3 an interactive lab, S4 a simulator in
//! asyncio; I is what users of other PBFT systems have asked for.

pub mod cli;
mod list;
mod run;
mod table;

pub use list::ENTRIES;

use run::Test;
use serde::Serialize;

/// How a row is shown.
#[derive(Clone, Copy, Debug)]
pub enum Shown {
    /// By the experiment of that name.
    Experiment,
    /// By scenes of `pbft-sim elections`.
    Elections,
    /// By cases of the lab.
    Lab,
    /// By rows of the fault matrix.
    Matrix(&'static [u8]),
    /// By a test of the workspace.
    Test(Test),
    /// By a page to read.
    Page(&'static str),
    /// Not yet.
    Planned(&'static str),
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its number.
    pub id: &'static str,
    /// What is expected, in short.
    pub title: &'static str,
    /// What shows it; all of these must hold.
    pub shown: &'static [Shown],
}

/// A row as it went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ran {
    /// Its number.
    pub row: &'static str,
    /// What is expected.
    pub title: &'static str,
    /// The commands that show it.
    pub commands: Vec<String>,
    /// Whether it is shown.
    pub holds: bool,
    /// What was seen.
    pub said: String,
    /// The day, in UTC.
    pub date: String,
}

impl Entry {
    /// Runs everything that shows the row.
    #[must_use]
    pub fn run(&self, date: &str) -> Ran {
        let mut holds = !self.shown.is_empty();
        let (mut commands, mut said) = (Vec::new(), Vec::new());
        for shown in self.shown {
            let outcome = shown.run(self);
            holds &= outcome.holds;
            commands.extend(Some(shown.command(self)).filter(|command| !command.is_empty()));
            said.push(outcome.said);
        }
        let (row, title, said) = (self.id, self.title, said.join("; "));
        Ran { row, title, commands, holds, said, date: date.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_sim::matrix;
    use pbft_tests::binary::workspace_root;

    /// The rows that there must be: each part with its number of rows.
    const PARTS: [(&str, u32); 6] =
        [("S0", 13), ("S1", 11), ("S2", 10), ("S3", 11), ("S4", 8), ("I", 15)];

    #[test]
    fn every_row_is_there_once_and_has_something_to_show_it() {
        let part = |(part, rows)| (1..=rows).map(move |row| format!("{part}.{row}"));
        let expected: Vec<String> = PARTS.into_iter().flat_map(part).collect();
        let found: Vec<&str> = ENTRIES.iter().map(|entry| entry.id).collect();
        assert_eq!(found, expected);
        for entry in ENTRIES {
            assert!(!entry.shown.is_empty(), "{}", entry.id);
            let planned = entry.shown.iter().any(|shown| matches!(shown, Shown::Planned(_)));
            assert_eq!(planned, entry.id == "S1.9", "{}", entry.id);
        }
    }

    #[test]
    fn what_the_rows_name_exists() {
        for (entry, shown) in
            ENTRIES.iter().flat_map(|entry| entry.shown.iter().map(move |shown| (entry, shown)))
        {
            let id = entry.id;
            match shown {
                Shown::Test(test) => {
                    let (file, name) = test.place();
                    let text = std::fs::read_to_string(workspace_root().join(&file));
                    let text = text.unwrap_or_else(|error| panic!("{id}: {file}: {error}"));
                    assert!(text.contains(&format!("fn {name}(")), "{id}: {file} has no {name}");
                }
                Shown::Matrix(rows) => {
                    let is_there = |row| matrix::ROWS.iter().any(|other| other.number == row);
                    assert!(rows.iter().all(|row| is_there(*row)), "{id}");
                }
                Shown::Elections => {
                    let scenes = crate::elections::SCENES;
                    assert!(scenes.iter().any(|scene| scene.row == id), "{id}");
                }
                Shown::Page(page) => assert!(workspace_root().join(page).exists(), "{id}"),
                Shown::Experiment => {
                    let rows = crate::rows();
                    assert_eq!(rows.iter().filter(|row| row.id == id).count(), 1, "{id}");
                }
                Shown::Lab => assert_ne!(shown.command(entry), "cargo sim lab -c ''", "{id}"),
                Shown::Planned(_) => {}
            }
        }
    }

    #[test]
    fn a_row_that_nothing_shows_does_not_hold() {
        let nothing = Entry { id: "S9.1", title: "nothing", shown: &[] };
        assert!(!nothing.run("2026-01-31").holds);
        for shown in [Shown::Experiment, Shown::Elections, Shown::Lab, Shown::Matrix(&[99])] {
            let entry = Entry { id: "S9.1", title: "nothing", shown: &[] };
            assert!(!shown.run(&entry).holds, "{shown:?}");
        }
    }
}
