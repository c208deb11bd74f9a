//! The documentation shows this tool's commands as they are.

#[path = "../../../tests/system/tidy/commands.rs"]
mod commands;

use std::process::Command;

#[test]
fn the_commands_of_the_model_in_the_documentation_are_there() {
    let help = |words: &[String]| {
        let run = Command::new(env!("CARGO_BIN_EXE_pbft-model")).args(words).output();
        let output = run.expect("the binary runs");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let shown = commands::shown(&commands::root());
    let ours =
        shown.iter().filter(|one| one.tool.as_ref().is_some_and(|(name, _)| name == "pbft-model"));
    assert!(ours.count() >= 10);
    let outdated = commands::outdated(&shown, "pbft-model", help);
    assert!(outdated.is_empty(), "{outdated:#?}");
}
