//! What is said in each story, to the letter. `goldens/NAME.txt` is the transcript of the case or of `goldens/NAME.lab`,
//! whose name is what it shows.
//!
//! ```console
//! $ UPDATE_GOLDENFILES=1 cargo test -p pbft-lab --test lab goldens     # writes them anew; read the difference
//! ```

use pbft_lab::{Case, cases, run};
use pbft_plant::switch::active_bug;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens")
}

/// The stories of the directory: each a case that is in no list.
fn stories() -> Vec<Case> {
    let entries = fs::read_dir(directory()).expect("the directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let scripts = paths.filter(|path| path.extension().is_some_and(|kind| kind == "lab"));
    let story = |path: PathBuf| {
        let id = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let title = id.replace('_', " ");
        let script = fs::read_to_string(path).expect("a script");
        Case { id: id.leak(), title: title.leak(), script: script.leak() }
    };
    scripts.map(story).collect()
}

/// The transcript of each story, by the name of its file.
fn told() -> BTreeMap<String, String> {
    let all = stories().into_iter().chain(cases().iter().copied());
    let tell = |case: Case| {
        let outcome = run(&case);
        assert!(outcome.holds, "{}", outcome.said);
        (format!("{}.txt", case.id.to_lowercase()), outcome.said)
    };
    all.map(tell).collect()
}

/// The transcripts on record.
fn recorded() -> BTreeMap<String, String> {
    let entries = fs::read_dir(directory()).expect("the directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let texts = paths.filter(|path| path.extension().is_some_and(|kind| kind == "txt"));
    let read = |path: PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, fs::read_to_string(path).expect("a text"))
    };
    texts.map(read).collect()
}

#[test]
fn every_story_is_told_as_on_record() {
    if active_bug().is_ok_and(|bug| bug.is_some()) {
        return; // A broken rule tells other stories: `cases` says which.
    }
    let told = told();
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        for (name, text) in &told {
            fs::write(directory().join(name), text).expect("written");
        }
    }
    let recorded = recorded();
    let names = |all: &BTreeMap<String, String>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&told), names(&recorded), "a transcript for each story, and a story for each");
    for (name, text) in &told {
        let recorded = &recorded[name];
        let line = text.lines().zip(recorded.lines()).position(|(told, known)| told != known);
        assert!(
            text == recorded,
            "goldens/{name} differs from line {}: it is told as\n{text}",
            line.map_or(text.lines().count().min(recorded.lines().count()), |line| line) + 1,
        );
    }
}
