//! `pbft-plant test`.

use clap::Args;
use pbft_output::{errln, outln};
use pbft_plant::build::{Profile, Program, Target, build};
use pbft_plant::catalogue::Catalogue;
use pbft_plant::switch;
use pbft_plant::tool::ToolError;
use pbft_plant::workspace::{Kind, Workspace};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

#[derive(Args)]
pub(super) struct Arguments {
    /// The crate.
    #[arg(long)]
    package: String,
    /// Its tests.
    #[arg(long)]
    test: String,
    /// Only the tests whose names contain this.
    #[arg(long, default_value = "broken")]
    filter: String,
    /// Only with these bugs on.
    names: Vec<String>,
    /// Without optimisation.
    #[arg(long)]
    debug: bool,
}

/// Lines of a failed test that are shown.
const SHOWN: usize = 40;

pub(super) fn run(
    workspace: &Workspace,
    kind: Kind,
    catalogue: &Catalogue,
    arguments: &Arguments,
) -> Result<u8, ToolError> {
    let unknown = arguments.names.iter().find(|name| catalogue.entry(name).is_none());
    if let Some(name) = unknown {
        return Err(ToolError::NoBug(name.clone()));
    }
    let profile = if arguments.debug { Profile::Dev } else { Profile::Release };
    let (package, name) = (&*arguments.package, &*arguments.test);
    let program = Program { package, name, target: Target::Tests, profile };
    let tests = build(workspace, kind, catalogue, program)?;
    let names = catalogue.entries().iter().map(|entry| &*entry.name);
    let chosen =
        |name: &&str| arguments.names.is_empty() || arguments.names.iter().any(|n| n == name);
    let bugs: Vec<Option<&str>> =
        std::iter::once(None).chain(names.filter(chosen).map(Some)).collect();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(said) = one(&tests, *bug, &arguments.filter) {
                        failed.lock().unwrap_or_else(PoisonError::into_inner).push((*bug, said));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (bug, said) in &failed {
        errln!("with {}: {said}", bug.unwrap_or("no bug"));
    }
    let (all, failed) = (bugs.len() - 1, failed.len());
    outln!("{package}, {name}: without a bug and with each of {all}: {failed} failed");
    Ok(u8::from(failed > 0))
}

/// Runs the tests with one bug on. An error is what they said, if one failed or none ran.
fn one(tests: &Path, bug: Option<&str>, filter: &str) -> Result<(), String> {
    let output = switch::command(tests, bug).arg(filter).output();
    let output = output.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    match output.status.success() && !said.contains("running 0 tests") {
        true => Ok(()),
        false => {
            let said = format!("{said}{}", String::from_utf8_lossy(&output.stderr));
            let lines: Vec<&str> = said.lines().collect();
            Err(lines[lines.len().saturating_sub(SHOWN)..].join("\n"))
        }
    }
}
