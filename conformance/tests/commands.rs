//! The documentation shows this tool's commands as they are.

#[path = "../../tests/system/tidy/commands.rs"]
mod commands;

use std::process::Command;

#[test]
fn the_commands_of_conformance_in_the_documentation_are_there() {
    let help = |words: &[String]| {
        let run = Command::new(env!("CARGO_BIN_EXE_pbft-conform")).args(words).output();
        let output = run.expect("the binary runs");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let mut shown = commands::shown(&commands::root());
    shown.retain(|one| one.tool.as_ref().is_some_and(|(name, _)| name == "pbft-conform"));
    assert!(shown.len() >= 3, "only {} commands", shown.len());
    let outdated = commands::outdated(&shown, "pbft-conform", help);
    assert!(outdated.is_empty(), "{outdated:#?}");
}
