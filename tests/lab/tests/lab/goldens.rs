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

/// The files of a kind, by name without the kind.
fn files(kind: &str) -> BTreeMap<String, String> {
    let entries = fs::read_dir(directory()).expect("the directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let read = |path: PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        (name, fs::read_to_string(path).expect("a text"))
    };
    paths.filter(|path| path.extension().is_some_and(|own| own == kind)).map(read).collect()
}

/// The stories of the directory: each a case that is in no list.
fn stories() -> impl Iterator<Item = Case> {
    files("lab").into_iter().map(|(id, script)| {
        let title = id.replace('_', " ");
        Case { id: id.leak(), title: title.leak(), script: script.leak() }
    })
}

/// The transcript of each story, by the name of its file.
fn told() -> BTreeMap<String, String> {
    let all = stories().chain(cases().iter().copied());
    let tell = |case: Case| {
        let outcome = run(&case);
        assert!(outcome.holds, "{}", outcome.said);
        (case.id.to_lowercase(), outcome.said)
    };
    all.map(tell).collect()
}

#[test]
fn every_story_is_told_as_on_record() {
    if active_bug().is_ok_and(|bug| bug.is_some()) {
        return; // A broken rule tells other stories: `cases` says which.
    }
    let told = told();
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        for (name, text) in &told {
            fs::write(directory().join(format!("{name}.txt")), text).expect("written");
        }
    }
    let recorded = files("txt");
    let names = |all: &BTreeMap<String, String>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&told), names(&recorded), "a transcript for each story, and a story for each");
    for (name, text) in &told {
        let recorded = &recorded[name];
        let line = text.lines().zip(recorded.lines()).position(|(told, known)| told != known);
        assert!(
            text == recorded,
            "goldens/{name}.txt differs from line {}: it is told as\n{text}",
            line.map_or(text.lines().count().min(recorded.lines().count()), |line| line) + 1,
        );
    }
}
