//! The command of the hunt for bugs.

use super::{Hunt, Parts, hunt, hunt_all, refused, to_text};
use pbft_checker::run::{ExitCode, Format};
use pbft_checker::run_args::{RunArgs, usage};
use pbft_plant::switch::active_bug;
use pbft_plant::tool::Planted;

/// Has each bug of these names on, or all, and says whether it is caught as its entry says.
pub fn planted_bugs(names: &[String], record: bool, seed: u64, run: &RunArgs) -> ExitCode {
    let hunted = hunt_all(names, seed, run.threads());
    let (build, teeth) = match hunted {
        Ok(hunted) => hunted,
        Err(error) => return refused(&error),
    };
    if record {
        for hunt in &teeth.hunts {
            let Some(caught) = &hunt.found.caught_by else { continue };
            if let Err(error) = build.record(&hunt.bug, caught) {
                return refused(&error);
            }
        }
    }
    run.print(&teeth, |teeth| match &teeth.hunts[..] {
        [one] => format!("{}{}", in_full(&build, one), to_text(teeth)),
        _ => to_text(teeth),
    });
    let caught = teeth.hunts.iter().all(|hunt| hunt.found.caught_by.is_some());
    match teeth.hold() || (record && caught) {
        true => ExitCode::Holds,
        false => ExitCode::Finding,
    }
}

/// A bug as its diff, and the report that it leads to.
fn in_full(build: &Planted, hunt: &Hunt) -> String {
    let diff = build.diff(&hunt.bug).unwrap_or_else(|error| error.to_string());
    format!(
        "{diff}
{}
",
        hunt.found.report.as_deref().unwrap_or_default()
    )
}

/// Looks for the bug that is on in this process, and prints what came of it.
pub fn hunt_here(begin: Option<&str>, parts: Parts, seed: u64) -> ExitCode {
    let bug = match active_bug() {
        Ok(bug) => bug,
        Err(error) => return usage(&error),
    };
    match hunt(bug.as_deref(), begin, parts, seed) {
        Ok(found) => {
            Format::Json.print(&found, |_| String::new());
            ExitCode::Holds
        }
        Err(error) => usage(&error),
    }
}
