//! The commands in the documentation print what the documentation says.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use tempfile::TempDir;

/// The run directory that the documentation names.
const RUN: &str = "20260131T120000Z-check";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A command and the lines that it is said to print.
struct Shown {
    command: String,
    output: Vec<String>,
}

/// The commands of the blocks marked `console`.
fn commands(document: &str) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    let mut inside = false;
    for line in document.lines() {
        match (line, inside) {
            ("```console", _) => inside = true,
            ("```", _) => inside = false,
            (_, false) => {}
            (line, true) => match (line.strip_prefix("$ "), shown.last_mut()) {
                (Some(command), _) => {
                    shown.push(Shown { command: command.to_owned(), output: Vec::new() });
                }
                (None, Some(last)) => last.output.push(line.to_owned()),
                (None, None) => panic!("a block must begin with a command: {line}"),
            },
        }
    }
    shown
}

/// The arguments that an alias of the checkout gives to `pbft-model`.
fn arguments(command: &str) -> Vec<String> {
    let config = read(&repository().join(".cargo/config.toml"));
    let words: Vec<_> = command.split_whitespace().collect();
    let ["cargo", alias, rest @ ..] = words.as_slice() else {
        panic!("not a cargo alias: {command}")
    };
    let line = config.lines().find(|line| line.starts_with(&format!("{alias} = ")));
    let line = line.unwrap_or_else(|| panic!("no alias {alias}")).trim_end_matches('"');
    let (tool, first) = line.split_once(" -- ").expect("an alias with arguments");
    assert!(tool.contains("--bin pbft-model"), "{line}");
    [first].iter().chain(rest).map(|word| (*word).to_owned()).collect()
}

/// Runs a command and gives its run directory the name that the documentation uses.
fn run(directory: &TempDir, command: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_pbft-model"))
        .args(arguments(command))
        .current_dir(directory.path())
        .output()
        .expect("the binary runs");
    let mut text = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
    let Ok(runs) = fs::read_dir(directory.path().join("runs")) else { return text };
    for entry in runs {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        if name != RUN {
            let runs = directory.path().join("runs");
            fs::rename(runs.join(&name), runs.join(RUN)).expect("renamed");
            text = text.replace(&name, RUN);
        }
    }
    text
}

/// Whether the lines are those expected, where `…` stands for any number of lines.
fn matches(expected: &[String], lines: &[&str]) -> bool {
    match (expected, lines) {
        ([], rest) => rest.is_empty(),
        ([any, rest @ ..], lines) if any == "…" => {
            (0..=lines.len()).any(|skipped| matches(rest, &lines[skipped..]))
        }
        ([first, expected @ ..], [line, lines @ ..]) => first == line && matches(expected, lines),
        (_, []) => false,
    }
}

/// A counterexample in which replica 1 is in another view after the first step than the model says.
fn change(directory: &TempDir) {
    let file = directory.path().join("runs").join(RUN).join("n4-b0-v1-s1-d2.trace.itf.json");
    let Ok(text) = fs::read_to_string(file) else { return };
    let view = "\"view\": {\"#map\":[[1,0]";
    let second = text.match_indices(view).nth(1).expect("two states").0;
    let changed = text[second..].replacen(view, "\"view\": {\"#map\":[[1,1]", 1);
    let changed = text[..second].to_owned() + &changed;
    fs::write(directory.path().join("changed.itf.json"), changed).expect("written");
}

#[test]
fn the_commands_of_the_page_on_traces_print_what_it_says() {
    let document = read(&repository().join("docs/traces.md"));
    let shown = commands(&document);
    assert!(shown.len() >= 5, "only {} commands", shown.len());
    let directory = tempfile::tempdir().expect("a directory");
    for Shown { command, output } in &shown {
        change(&directory);
        let text = run(&directory, command);
        let lines: Vec<_> = text.lines().collect();
        assert!(matches(output, &lines), "docs/traces.md, {command} prints:\n{text}");
    }
}

#[test]
fn the_searches_of_the_tutorial_print_what_it_says_and_draw_its_picture() {
    let document = read(&repository().join("docs/tutorial.md"));
    let shown = commands(&document);
    let searches = shown.iter().filter(|one| one.command.starts_with("cargo check-model "));
    let directory = tempfile::tempdir().expect("a directory");
    let mut pictures = Vec::new();
    for Shown { command, output } in searches.clone() {
        let text = run(&directory, command);
        let lines: Vec<_> = text.lines().collect();
        assert!(matches(output, &lines), "docs/tutorial.md, {command} prints:\n{text}");
        let run = directory.path().join("runs").join(RUN);
        pictures.extend(fs::read_to_string(run.join("n4-b0-v0-s1-d2.trace.svg")).ok());
        fs::remove_dir_all(run).expect("a run directory");
    }
    assert_eq!((searches.count(), pictures.len()), (2, 1), "one of two finds something");
    let kept = repository().join("docs/images/tutorial-counterexample.svg");
    if env::var_os("UPDATE_GOLDENFILES").is_some() {
        fs::write(&kept, &pictures[0]).expect("written");
    }
    assert!(read(&kept) == pictures[0], "{} is outdated", kept.display());
}

#[test]
fn an_ellipsis_stands_for_lines_and_nothing_else_does() {
    let expected = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
    assert!(matches(&expected(&["a", "…", "d"]), &["a", "b", "c", "d"]));
    assert!(matches(&expected(&["a", "…"]), &["a"]));
    assert!(!matches(&expected(&["a", "…", "d"]), &["a", "b"]));
    assert!(!matches(&expected(&["a"]), &["a", "b"]));
    assert!(!matches(&expected(&["a", "b"]), &["a"]));
}
