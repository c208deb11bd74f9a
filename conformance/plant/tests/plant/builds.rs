//! A copy is built and run, beside the original.

use crate::fixture::Fixture;
use pbft_plant::build::{BuildError, Profile, Program, Target, build};
use pbft_plant::switch::command;
use pbft_plant::workspace::{Kind, Workspace};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

const RIGHT: &str = "3 numbers, sum 6, largest 3\n";
const SHOW: Program<'_> =
    Program { package: "show", name: "show", target: Target::Program, profile: Profile::Dev };

fn planted(fixture: &Fixture) -> Result<PathBuf, BuildError> {
    build(&fixture.workspace(), Kind::Bugs, &fixture.catalogue(), SHOW)
}

fn printed(program: &Path, bug: Option<&str>) -> String {
    let output = command(program, bug).output().expect("a program that runs");
    assert!(output.status.success(), "{bug:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn built(program: &Path) -> SystemTime {
    fs::metadata(program).and_then(|it| it.modified()).expect("a program")
}

/// Builds the original and runs it, with an environment that would switch a bug on.
fn original(workspace: &Workspace) -> String {
    let mut cargo = Command::new(std::env::var_os("CARGO").expect("cargo runs the tests"));
    cargo.args(["run", "--quiet", "--locked", "--package", "show"]).current_dir(&workspace.root);
    cargo.env("CARGO_TARGET_DIR", &workspace.target).env("PBFT_PLANT", "skips-first");
    String::from_utf8(cargo.output().expect("cargo runs").stdout).expect("text")
}

#[test]
fn one_build_has_every_bug_and_the_original_has_none() {
    let fixture = Fixture::new();
    let workspace = fixture.workspace();
    assert_eq!(original(&workspace), RIGHT);
    let program = planted(&fixture).expect("built");
    assert_eq!(program, workspace.target.join("debug/show-planted"));
    assert_eq!(printed(&program, None), RIGHT);
    assert_eq!(printed(&program, Some("skips-first")), "3 numbers, sum 5, largest 3\n");
    assert_eq!(printed(&program, Some("smallest")), "3 numbers, sum 6, largest 1\n");
    assert_eq!(printed(&program, Some("largest-doubled")), "3 numbers, sum 6, largest 6\n");
    for unknown in ["skips-last", "", "skips-first "] {
        let output = command(&program, Some(unknown)).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(101), "{output:?}");
        assert!(said.contains(&format!("PBFT_PLANT={unknown}: there is no such bug")), "{said}");
    }
    // The original is built into the same directory, and neither build takes or replaces the other's crates.
    let first = built(&program);
    assert_eq!(original(&workspace), RIGHT);
    planted(&fixture).expect("built");
    assert_eq!(built(&program), first);
    fixture.write(
        "code/show/src/bin/show.rs",
        "fn main() {\n    println!(\"{}\", show::shown(&[4]));\n}\n",
    );
    assert_eq!(original(&workspace), "1 numbers, sum 4, largest 4\n");
    assert_eq!(printed(&program, Some("skips-first")), "3 numbers, sum 5, largest 3\n");
    let again = planted(&fixture).expect("built");
    assert_eq!(printed(&again, Some("skips-first")), "1 numbers, sum 0, largest 4\n");
    assert_eq!(printed(&again, None), "1 numbers, sum 4, largest 4\n");
}

#[test]
fn what_has_not_changed_is_not_built_again() {
    let fixture = Fixture::new();
    let program = planted(&fixture).expect("built");
    let first = built(&program);
    planted(&fixture).expect("built");
    assert_eq!(built(&program), first);
    // A bug that does something else now.
    let list = fs::read_to_string(fixture.root().join("code/count/bugs.txt")).expect("a list");
    fixture.write("code/count/bugs.txt", &list.replace("each * 2", "each * 5"));
    planted(&fixture).expect("built");
    assert!(built(&program) > first);
    assert_eq!(printed(&program, Some("largest-doubled")), "3 numbers, sum 6, largest 15\n");
}

#[test]
fn a_bug_that_does_not_compile_is_named() {
    let fixture = Fixture::new();
    let list = fs::read_to_string(fixture.root().join("code/count/bugs.txt")).expect("a list");
    fixture.write("code/count/bugs.txt", &list.replace("one < other", "one.is_below(other)"));
    let Err(BuildError::Refused(refused)) = planted(&fixture) else { panic!("it was built") };
    let [refused] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!((&*refused.bug, refused.line), ("smallest", 11));
    let said = refused.to_string();
    assert!(said.starts_with("bug smallest: error"), "{said}");
    assert!(said.contains("no method named `is_below`"), "{said}");
    assert!(said.contains("-            if one > other { one } else { other }\n"), "{said}");
    assert!(
        said.contains("+            if one.is_below(other) { one } else { other }\n"),
        "{said}"
    );
}

#[test]
fn a_bug_whose_body_has_another_type_is_named() {
    let fixture = Fixture::new();
    let list = fs::read_to_string(fixture.root().join("code/count/bugs.txt")).expect("a list");
    let odd =
        "odd\nwhat: w\nrule: r\ncaught: c\n@ src/list.rs evens\n- each % 2 == 0\n+ each % 2 == 1\n";
    fixture.write("code/count/bugs.txt", &format!("{list}\n{odd}"));
    let Err(BuildError::Refused(refused)) = planted(&fixture) else { panic!("it was built") };
    let names: Vec<_> = refused.iter().map(|refused| &*refused.bug).collect();
    assert_eq!(names, ["odd"], "{refused:?}");
}

#[test]
fn a_bug_in_the_root_of_a_crate_is_named() {
    let fixture = Fixture::new();
    // At the very end of the body, and the switch is declared above it.
    let lost = "lost\nwhat: w\nrule: r\ncaught: c\n@ src/lib.rs shown\n- {largest}\n+ {lost}\n";
    fixture.write("code/show/bugs.txt", lost);
    let Err(BuildError::Refused(refused)) = planted(&fixture) else { panic!("it was built") };
    assert_eq!(refused.len(), 1);
    assert!(refused[0].to_string().starts_with("bug lost: error"), "{refused:?}");
    fixture.write("code/show/bugs.txt", &lost.replace("{lost}", "{sum}"));
    let program = planted(&fixture).expect("built");
    assert_eq!(printed(&program, Some("lost")), "3 numbers, sum 6, largest 6\n");
    assert_eq!(printed(&program, Some("skips-first")), "3 numbers, sum 5, largest 3\n");
}

#[test]
fn what_is_no_mistake_of_a_bug_is_said_as_it_is() {
    let fixture = Fixture::new();
    fixture.write("code/show/src/bin/show.rs", "fn main() {\n    nothing();\n}\n");
    let Err(BuildError::Failed { errors, .. }) = planted(&fixture) else { panic!("it was built") };
    assert!(errors.contains("cannot find function `nothing`"), "{errors}");
    let program = Program { name: "shows", ..SHOW };
    let error = build(&fixture.workspace(), Kind::Bugs, &fixture.catalogue(), program);
    let Err(BuildError::NoProgram { known, .. }) = error else { panic!("{error:?}") };
    assert_eq!(known, ["show"]);
}
