//! `pbft-model list`: what there is, by name.

use clap::Args;

use super::print_json;
use crate::axes::Meetings;
use crate::output;
use crate::preset::Preset;
use crate::run::{ExitCode, Format, say};

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The preset whose configurations are listed
    #[arg(long, value_enum, default_value = "quick")]
    preset: Preset,
    /// Instead: each pair of bounds with the smallest configuration of the preset in which they meet
    #[arg(long)]
    axes: bool,
    /// How to write the list
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// Prints the names.
pub(super) fn run(args: &ListArgs) -> Result<ExitCode, String> {
    if args.axes {
        let meetings = Meetings::of(args.preset);
        match args.format {
            Format::Json => print_json(&meetings)?,
            Format::Human => say(&meetings),
        }
        return Ok(match meetings.missing().next() {
            None => ExitCode::Holds,
            Some(_) => ExitCode::Finding,
        });
    }
    let catalogue = output::Catalogue::new(args.preset).map_err(|error| error.to_string())?;
    match args.format {
        Format::Json => print_json(&catalogue)?,
        Format::Human => say(&catalogue),
    }
    Ok(ExitCode::Holds)
}
