//! `pbft-sim elections`.

use super::{SCENES, Told};
use clap::Args;
use pbft_checker::run::{ExitCode, Format, say};
use pbft_checker::run_args::usage;
use pbft_output::errln;

/// `pbft-sim elections`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  cargo sim elections
  cargo sim elections --only S1.5
  cargo sim elections --format json

Each scene says what is done, what is seen and what must be seen. Real processes have a cluster of their own on free
ports of 127.0.0.1, in a temporary directory. Exit status: 0 everything was as expected, 1 something was not.")]
pub struct ElectionsArguments {
    /// Only the scenes of these rows
    #[arg(long, value_name = "ROW", value_delimiter = ',')]
    pub only: Vec<String>,
}

/// Plays the scenes and prints what was seen.
#[must_use]
pub fn run(arguments: &ElectionsArguments, format: Format) -> ExitCode {
    let unknown = arguments.only.iter().find(|row| SCENES.iter().all(|scene| scene.row != **row));
    if let Some(unknown) = unknown {
        return usage(&format_args!("there is no scene of {unknown}; the rows are {}", rows()));
    }
    let wanted =
        |row: &str| arguments.only.is_empty() || arguments.only.iter().any(|one| one == row);
    let mut all: Vec<Told> = Vec::new();
    for scene in SCENES.iter().filter(|scene| wanted(scene.row)) {
        errln!("{}: {}", scene.row, scene.title);
        let told = scene.tell();
        if format == Format::Human {
            say(&told.to_text());
        }
        all.push(told);
    }
    let different = all.iter().filter(|told| !told.holds()).count();
    format.print(&all, |all| match different {
        0 => format!("{} scenes as expected\n", all.len()),
        _ => format!("{different} of {} scenes DIFFERENT\n", all.len()),
    });
    if different == 0 { ExitCode::Holds } else { ExitCode::Finding }
}

/// The rows that have scenes.
fn rows() -> String {
    let mut rows: Vec<&str> = SCENES.iter().map(|scene| scene.row).collect();
    rows.dedup();
    rows.join(", ")
}
