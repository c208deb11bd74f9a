//! The copy of a workspace.

use crate::fixture::Fixture;
use pbft_plant::catalogue::Catalogue;
use pbft_plant::copy::{CopyError, write};
use pbft_plant::workspace::Kind;
use std::fs;
use std::path::{Path, PathBuf};

fn copied(fixture: &Fixture) -> PathBuf {
    copied_to(fixture, "copy")
}

fn copied_to(fixture: &Fixture, directory: &str) -> PathBuf {
    let directory = fixture.root().join(directory);
    write(&fixture.workspace(), Kind::Bugs, &fixture.catalogue(), &directory).expect("a copy");
    directory.join("planted-bugs")
}

#[test]
fn a_copy_has_the_sources_as_they_are_now_and_nothing_else() {
    let fixture = Fixture::new();
    for foreign in ["target/a.o", "runs/1/run.json", "cluster/key", ".git/HEAD", "code/built/a.rs"]
    {
        fixture.write(foreign, "x");
    }
    fixture.write("code/built/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55");
    fixture.write("docs/deep/a.md", "one");
    fixture.write("docs/deep/b.md", "b");
    let copy = copied(&fixture);
    let read = |path: &str| fs::read_to_string(copy.join(path)).ok();
    assert_eq!(read("docs/deep/a.md").as_deref(), Some("one"));
    assert_eq!(read("docs/deep/b.md").as_deref(), Some("b"));
    assert_eq!(
        read("code/show/src/lib.rs"),
        fs::read_to_string(fixture.root().join("code/show/src/lib.rs")).ok()
    );
    for foreign in ["target", "runs", "cluster", ".git", "code/built", "copy", "Cargo.toml"] {
        assert!(!copy.join(foreign).exists(), "{foreign}");
    }
    let modified = |path: &str| fs::metadata(copy.join(path)).and_then(|it| it.modified()).ok();
    let before =
        ["code/count/src/list.rs", "code/count/src/plant.rs", "../Cargo.toml"].map(modified);
    fixture.write("docs/deep/a.md", "two");
    fs::remove_file(fixture.root().join("docs/deep/b.md")).expect("removed");
    copied(&fixture);
    assert_eq!(read("docs/deep/a.md").as_deref(), Some("two"));
    assert!(!copy.join("docs/deep/b.md").exists());
    let after =
        ["code/count/src/list.rs", "code/count/src/plant.rs", "../Cargo.toml"].map(modified);
    assert!(before[0].is_some() && before == after);
    fs::remove_dir_all(fixture.root().join("docs")).expect("removed");
    copied(&fixture);
    assert!(!copy.join("docs").exists());
}

#[test]
fn programs_and_crates_of_a_copy_are_told_apart_from_the_originals() {
    let fixture = Fixture::new();
    let copy = copied(&fixture);
    let manifest = |path: &str| -> toml::Table {
        fs::read_to_string(copy.join(path)).expect("a manifest").parse().expect("toml")
    };
    let root = manifest("../Cargo.toml");
    let members = root["workspace"]["members"].to_string();
    assert_eq!(members, r#"["planted-bugs/code/count", "planted-bugs/code/show"]"#);
    let path = &root["workspace"]["dependencies"]["count"]["path"];
    assert_eq!(path.as_str(), Some("planted-bugs/code/count"));
    assert_eq!(root["workspace"]["lints"].to_string(), r#"{ rust = { warnings = "allow" } }"#);
    let show = manifest("code/show/Cargo.toml");
    assert_eq!(show["bin"].to_string(), r#"[{ name = "show-planted", path = "src/bin/show.rs" }]"#);
    assert_eq!(show["package"]["autobins"].as_bool(), Some(false));
    assert_eq!(show["package"]["default-run"].as_str(), Some("show-planted"));
    // Only the crate with bugs has the switch.
    let root = fs::read_to_string(copy.join("code/count/src/lib.rs")).expect("a crate");
    assert!(
        root.starts_with("//! Numbers.\n#![warn(missing_docs)]\n#![allow(warnings)]\nmod plant;\n"),
        "{root}"
    );
    assert!(!copy.join("code/show/src/plant.rs").exists());
}

#[test]
fn other_peoples_files_are_left_alone() {
    let fixture = Fixture::new();
    for (file, content) in [("kept", "x"), ("CACHEDIR.TAG", "Signature: of another tool")] {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join(file), content).expect("written");
        let refused =
            write(&fixture.workspace(), Kind::Bugs, &fixture.catalogue(), directory.path());
        assert!(matches!(refused, Err(CopyError::NotOurs(_))), "{refused:?}");
        assert_eq!(fs::read_to_string(directory.path().join(file)).ok().as_deref(), Some(content));
        assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 1);
    }
}

#[test]
fn a_crate_that_cannot_ask_for_its_bug_is_refused() {
    let fixture = Fixture::new();
    let directory = fixture.root().join("copy");
    let workspace = fixture.workspace();
    let list = fs::read_to_string(fixture.root().join("code/count/bugs.txt")).expect("a list");
    for (file, content) in [("code/bugs.txt", &*list), ("code/count/src/plant.rs", "")] {
        fixture.write(file, content);
        let list = if file.ends_with(".rs") { "code/count/bugs.txt" } else { file };
        let text = list_for(&fixture, list);
        let mut catalogue = Catalogue::default();
        catalogue.add(Path::new(list), &text).expect("a good list");
        let refused = write(&workspace, Kind::Bugs, &catalogue, &directory);
        let is_named =
            matches!(&refused, Err(CopyError::NoLibrary(path)) if path == Path::new(list));
        assert!(is_named, "{refused:?}");
        assert!(!directory.exists());
    }
}

/// A list whose paths lead to the sources from where it is.
fn list_for(fixture: &Fixture, list: &str) -> String {
    let text = fs::read_to_string(fixture.root().join(list)).expect("a list");
    match list {
        "code/bugs.txt" => text.replace("@ src/", "@ count/src/"),
        _ => text,
    }
}

#[test]
fn a_mutant_may_be_called_like_a_bug_and_is_never_in_the_same_copy() {
    let fixture = Fixture::new();
    let mutants = "skips-first\nwhat: a\nrule: b\ncaught: c\nwithout: symmetry\n@ src/lib.rs shown\n- sum {sum}\n+ sum";
    fixture.write("code/show/mutants.txt", mutants);
    let workspace = fixture.workspace();
    let catalogue = workspace.catalogue(Kind::Mutants).expect("a good list");
    assert_eq!(catalogue.entries().len(), 1);
    let directory = fixture.root().join("copy");
    write(&workspace, Kind::Mutants, &catalogue, &directory).expect("a copy");
    let sources = directory.join("planted-mutants/code");
    assert!(sources.join("show/src/plant.rs").exists());
    assert!(!sources.join("count/src/plant.rs").exists());
    let catalogue = fixture.catalogue();
    assert_eq!(catalogue.entries().len(), 3);
    let copy = copied_to(&fixture, "another");
    assert!(!copy.join("code/show/src/plant.rs").exists());
}
