//! What the documentation shows of the lab is what the lab shows. With `UPDATE_GOLDENFILES=1` the pages and pictures are
//! brought up to date: read the difference before you keep it.

use crate::commands;
use pbft_lab::cluster::Setup;
use pbft_lab::diagram;
use pbft_lab::session::Session;
use pbft_lab::text::WIDTH;
use std::fs;
use std::path::Path;
use std::process::Command;

fn updates() -> bool {
    std::env::var_os("UPDATE_GOLDENFILES").is_some()
}

/// The words of a shell's command, with `'…'` around some of them.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in command.split('\'').enumerate() {
        match at % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// What a command of the lab prints, standard output first.
fn run(directory: &Path, command: &str) -> String {
    let words = words(command);
    let arguments = words.strip_prefix(&["cargo".to_owned(), "sim".to_owned()]).expect("cargo sim");
    let output = Command::new(env!("CARGO_BIN_EXE_pbft-sim"))
        .args(arguments)
        .current_dir(directory)
        .output();
    let output = output.expect("it runs");
    String::from_utf8([output.stdout, output.stderr].concat()).expect("text")
}

/// Whether `text` has the lines of `shown`, where `…` stands for any number of lines.
fn matches(shown: &[&str], text: &[&str]) -> bool {
    match (shown, text) {
        ([], rest) => rest.is_empty(),
        (["…", shown @ ..], text) => {
            (0..=text.len()).any(|skipped| matches(shown, &text[skipped..]))
        }
        ([first, shown @ ..], [line, text @ ..]) => first == line && matches(shown, text),
        (_, []) => false,
    }
}

/// The page with the output of its commands as it is now, and how many there are.
fn brought_up_to_date(page: &str) -> (String, usize) {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut all, mut count, mut in_console) = (String::new(), 0, false);
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        all += line;
        all.push('\n');
        in_console = line == "```console" || (in_console && !line.starts_with("```"));
        let Some(command) =
            line.strip_prefix("$ ").filter(|line| in_console && line.starts_with("cargo sim lab"))
        else {
            continue;
        };
        let mut shown = Vec::new();
        while lines.peek().is_some_and(|next| !next.starts_with("$ ") && !next.starts_with("```")) {
            shown.extend(lines.next());
        }
        count += 1;
        let text = run(directory.path(), command);
        let now: Vec<&str> = text.lines().collect();
        assert!(
            now.iter().all(|line| line.chars().count() <= WIDTH),
            "{command}: a line is too wide"
        );
        let kept = if matches(&shown, &now) { shown } else { now };
        kept.iter().for_each(|line| all.extend([line, "\n"]));
    }
    (all, count)
}

fn page(name: &str, least: usize) {
    let path = commands::root().join("docs").join(name);
    let page =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (now, count) = brought_up_to_date(&page);
    assert!(count >= least, "docs/{name} has {count} commands of the lab");
    if updates() {
        fs::write(&path, &now).expect("written");
    } else {
        assert!(
            now == page,
            "docs/{name} is outdated; with UPDATE_GOLDENFILES=1 it would be:\n{now}"
        );
    }
}

#[test]
fn the_page_on_the_lab_shows_what_it_shows() {
    page("lab.md", 3);
}

#[test]
fn the_tutorial_shows_what_the_lab_shows() {
    page("tutorial.md", 3);
}

#[test]
fn pictures_are_those_of_the_sessions_they_show() {
    let pictures: [(&str, &[&str]); 3] = [
        ("lab-normal-case.svg", &["new", "deposit alice 100", "deliver"]),
        (
            "lab-view-change.svg",
            &[
                "new",
                "withhold commit",
                "withhold status",
                "deposit alice 100",
                "deliver",
                "time 250ms",
                "deliver",
                "timeout",
                "drop commit",
                "drop status",
                "release",
                "deliver",
            ],
        ),
        (
            "tutorial-equivocation.svg",
            &[
                "new 4 byzantine 0",
                "withhold all from 0",
                "deposit alice 100",
                "deposit bob 50",
                "deliver",
                "0 says pre-prepare for 1 seq 1 to 1",
                "0 says pre-prepare for 2 seq 1 to 2 3",
                "deliver",
            ],
        ),
    ];
    for (name, lines) in pictures {
        let mut session = Session::new(Setup::default()).expect("a session");
        lines.iter().for_each(|line| drop(session.run(line).expect(line)));
        let now = diagram::draw(&session);
        roxmltree::Document::parse(&now).expect("XML");
        let path = commands::root().join("docs/images").join(name);
        if updates() {
            fs::write(&path, &now).expect("written");
        } else {
            let kept = fs::read_to_string(&path).unwrap_or_default();
            assert!(kept == now, "docs/images/{name} is outdated: UPDATE_GOLDENFILES=1");
        }
    }
}
