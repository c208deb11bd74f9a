//! The table of `docs/experiments.md`: written, and replaced row by row.

use super::Ran;
use std::fmt::Write as _;

/// What the table begins with, in the page.
pub(super) const HEAD: &str =
    "| row | what is expected | command | result | date |\n|---|---|---|---|---|\n";

/// The longest result that a line holds, in characters.
const RESULT_MAX: usize = 240;

/// One line of the table.
fn line(ran: &Ran) -> String {
    let command =
        |one: &String| if one.starts_with('[') { one.clone() } else { format!("`{one}`") };
    let commands: Vec<String> = ran.commands.iter().map(command).collect();
    let commands = if commands.is_empty() { "–".to_owned() } else { commands.join("<br>") };
    let verdict = match (ran.holds, ran.said.starts_with("planned")) {
        (_, true) => "",
        (true, _) => "holds: ",
        (false, _) => "**fails**: ",
    };
    let said = cell(&ran.said);
    format!("| {} | {} | {commands} | {verdict}{said} | {} |\n", ran.row, cell(ran.title), ran.date)
}

/// Text that stays in its cell.
fn cell(text: &str) -> String {
    let one_line = text.replace(['\n', '\r'], " ").replace('|', "\\|");
    match one_line.char_indices().nth(RESULT_MAX) {
        Some((end, _)) => format!("{}…", &one_line[..end]),
        None => one_line,
    }
}

/// The whole table.
#[must_use]
pub(super) fn to_markdown(all: &[Ran]) -> String {
    let mut text = HEAD.to_owned();
    all.iter().for_each(|ran| text.push_str(&line(ran)));
    text
}

/// The page with these rows in place of those that it had.
pub(super) fn replaced(page: &str, all: &[Ran]) -> Result<String, String> {
    let (before, rest) = page.split_once(HEAD).ok_or("it has no table of rows")?;
    let is_row = |line: &&str| line.starts_with("| ");
    let old: Vec<&str> = rest.lines().take_while(is_row).collect();
    let after = rest.lines().skip(old.len());
    let mut text = format!("{before}{HEAD}");
    for entry in super::ENTRIES {
        let start = format!("| {} |", entry.id);
        match all.iter().find(|ran| ran.row == entry.id) {
            Some(ran) => text.push_str(&line(ran)),
            None => {
                if let Some(kept) = old.iter().find(|line| line.starts_with(&start)) {
                    let _ = writeln!(text, "{kept}");
                }
            }
        }
    }
    after.for_each(|line| {
        let _ = writeln!(text, "{line}");
    });
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(row: &'static str, said: &str) -> Ran {
        let (title, date) = ("a title", "2026-01-31".to_owned());
        Ran { row, title, commands: vec!["cargo x".into()], holds: true, said: said.into(), date }
    }

    #[test]
    fn rows_are_replaced_and_the_others_stay() {
        let page = format!("# Title\n\n{HEAD}| I.1 | old |\n| I.3 | old |\n\nThe end.\n");
        let new = replaced(&page, &[ran("I.2", "a|b\nc"), ran("I.3", &"x".repeat(999))])
            .expect("a table");
        let lines: Vec<&str> = new.lines().collect();
        assert_eq!(lines[4], "| I.1 | old |");
        assert_eq!(lines[5], "| I.2 | a title | `cargo x` | holds: a\\|b c | 2026-01-31 |");
        assert!(lines[6].starts_with("| I.3 | a title") && lines[6].contains('…'));
        assert_eq!(&lines[7..], ["", "The end."]);
        assert!(replaced("# Title\n", &[]).is_err());
    }

    #[test]
    fn a_row_that_fails_and_one_that_is_planned_look_like_it() {
        let failed = Ran { holds: false, ..ran("I.1", "too late") };
        assert!(to_markdown(&[failed]).contains("| **fails**: too late |"));
        assert!(to_markdown(&[ran("S1.9", "planned: epochs")]).contains("| planned: epochs |"));
    }
}
