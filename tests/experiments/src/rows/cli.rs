//! `pbft-sim rows`.

use super::{ENTRIES, Entry, Ran, table};
use clap::Args;
use pbft_checker::run::{ExitCode, Format, say, utc_date};
use pbft_checker::run_args::usage;
use pbft_output::errln;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

/// `pbft-sim rows`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  cargo sim rows                                     every row; takes many minutes
  cargo sim rows --only S1                           one part
  cargo sim rows --only I.2,I.3 --write docs/experiments.md

Prints the table of docs/experiments.md. Rows that are shown by tests of the workspace run `cargo test`, in the profile in
which `cargo test` builds. Exit status: 0 all hold, 1 one does not, 2 wrong arguments, 5 the page is refused.")]
pub struct RowsArguments {
    /// Only these rows, or parts such as S1
    #[arg(long, value_name = "ROW", value_delimiter = ',')]
    pub only: Vec<String>,
    /// List the rows, and run nothing
    #[arg(long)]
    pub list: bool,
    /// Also put the rows into the table of this page, where those that were not run stay as they are
    #[arg(long, value_name = "PAGE")]
    pub write: Option<PathBuf>,
}

/// The rows that were asked for; an error names what is none.
fn selected(only: &[String]) -> Result<Vec<&'static Entry>, String> {
    let is_in = |entry: &Entry, name: &str| {
        entry.id == name || entry.id.split_once('.').is_some_and(|(part, _)| part == name)
    };
    if let Some(unknown) = only.iter().find(|name| !ENTRIES.iter().any(|entry| is_in(entry, name)))
    {
        return Err(format!("there is no row {unknown}; `--list` shows them"));
    }
    let wanted = |entry: &&Entry| only.is_empty() || only.iter().any(|name| is_in(entry, name));
    Ok(ENTRIES.iter().filter(wanted).collect())
}

/// Runs the rows, and prints the table.
#[must_use]
pub fn run(arguments: &RowsArguments, format: Format) -> ExitCode {
    let entries = match selected(&arguments.only) {
        Ok(entries) => entries,
        Err(error) => return usage(&error),
    };
    if arguments.list {
        entries.iter().for_each(|entry| say(&format_args!("{:6} {}\n", entry.id, entry.title)));
        return ExitCode::Holds;
    }
    let date = utc_date(SystemTime::now());
    let mut all: Vec<Ran> = Vec::new();
    for entry in entries {
        errln!("{}: {}", entry.id, entry.title);
        let began = Instant::now();
        let ran = entry.run(&date);
        let verdict = if ran.holds { "holds" } else { "FAILS" };
        errln!("{}: {verdict}, {:.1} s: {}", entry.id, began.elapsed().as_secs_f64(), ran.said);
        all.push(ran);
    }
    format.print(&all, |all| table::to_markdown(all));
    if let Some(page) = &arguments.write {
        let written = std::fs::read_to_string(page)
            .map_err(|error| error.to_string())
            .and_then(|text| table::replaced(&text, &all))
            .and_then(|text| std::fs::write(page, text).map_err(|error| error.to_string()));
        if let Err(error) = written {
            errln!("error: {}: {error}; give the page that has the table", page.display());
            return ExitCode::DataRefused;
        }
    }
    let failed: Vec<&str> = all.iter().filter(|ran| !ran.holds).map(|ran| ran.row).collect();
    if failed.is_empty() {
        return ExitCode::Holds;
    }
    errln!("{} of {} rows do not hold: {}", failed.len(), all.len(), failed.join(", "));
    ExitCode::Finding
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_selected_by_name_and_by_part() {
        let ids = |only: &[&str]| -> Result<Vec<&str>, String> {
            let only: Vec<String> = only.iter().map(ToString::to_string).collect();
            selected(&only).map(|all| all.iter().map(|entry| entry.id).collect())
        };
        assert_eq!(ids(&[]).map(|all| all.len()), Ok(ENTRIES.len()));
        assert_eq!(ids(&["S1.1", "I.1"]), Ok(vec!["S1.1", "I.1"]), "S1.10 is another row");
        assert_eq!(ids(&["S4"]).map(|all| all.len()), Ok(8));
        assert!(ids(&["S5"]).is_err());
    }
}
