//! `pbft-sim planted-bugs`.

use super::{Common, usage};
use crate::sim::planted::{hunt_all, is_expected, to_text};
use pbft_core::planted::PlantedBug;
use pbft_model::run::ExitCode;

/// At least so many bugs must be found.
const FOUND_LEAST: usize = 20;

pub(super) fn planted(common: &Common, names: &[String], all: bool, seeds: u64) -> ExitCode {
    if let Some(unknown) = names.iter().find(|name| PlantedBug::named(name).is_none()) {
        return usage(&format!(
            "there is no bug `{unknown}`; without a name all are hunted and listed"
        ));
    }
    let chosen = |bug: &&PlantedBug| match names {
        [] => all || is_expected(bug.name()),
        _ => names.iter().any(|name| name == bug.name()),
    };
    let bugs: Vec<_> = PlantedBug::ALL.iter().filter(chosen).copied().collect();
    let hunts = hunt_all(&bugs, seeds, common.run.threads());
    common.run.print(&hunts, |hunts| to_text(hunts));
    let found = hunts.iter().filter(|hunt| hunt.found.is_some()).count();
    match found >= FOUND_LEAST.min(bugs.len()) && hunts.iter().all(|hunt| hunt.is_as_expected()) {
        true => ExitCode::Holds,
        false => ExitCode::Finding,
    }
}
