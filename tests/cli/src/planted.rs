//! `pbft-sim planted-bugs`, and what each of its processes does.

use super::Common;
use pbft_checker::run::{ExitCode, Format};
pub(super) use pbft_conformance::planted::refused;
use pbft_plant::catalogue::Entry;
use pbft_plant::tool::{Planted, ToolError};
use pbft_plant::workspace::Kind;
use pbft_sim::planted::{hunt, hunt_all, is_expected, to_text};

/// The crate and the program of which a planted build is made.
pub(super) const PROGRAM: (&str, &str) = ("pbft-sim-cli", "pbft-sim");

/// At least so many bugs must be found.
const FOUND_LEAST: usize = 20;

pub(super) fn planted(common: &Common, names: &[String], all: bool, seeds: u64) -> ExitCode {
    match hunted(common, names, all, seeds) {
        Ok(code) => code,
        Err(error) => refused(&error),
    }
}

fn hunted(common: &Common, names: &[String], all: bool, seeds: u64) -> Result<ExitCode, ToolError> {
    let planted = Planted::build(Kind::Bugs, PROGRAM.0, PROGRAM.1, names)?;
    let known = planted.catalogue().entries();
    let chosen = |entry: &&Entry| match names {
        [] => all || is_expected(entry),
        _ => names.contains(&entry.name),
    };
    let bugs: Vec<&Entry> = known.iter().filter(chosen).collect();
    let hunts = hunt_all(&planted, &bugs, seeds, common.run.threads())?;
    common.run.print(&hunts, |hunts| to_text(hunts, known));
    let found = hunts.iter().filter(|hunt| hunt.found.is_some()).count();
    let as_expected = hunts.iter().all(|hunt| hunt.is_as_expected());
    Ok(match found >= FOUND_LEAST.min(bugs.len()) && as_expected {
        true => ExitCode::Holds,
        false => ExitCode::Finding,
    })
}

/// Looks for the bug that is on in this process.
pub(super) fn here(seeds: u64) -> ExitCode {
    Format::Json.print(&hunt(seeds), |_| String::new());
    ExitCode::Holds
}
