//! The mutants that cargo-mutants makes of the production code.
//!
//! It lists them, each with its place and what stands there instead; here they become entries like those of a list, so that
//! all go into one build. Left out are those that stand in no body of a function, or in one that may be called in constants.

use super::hunk;
use crate::catalogue::{Catalogue, CatalogueError, Entry, Mistake};
use crate::functions::{Function, functions};
use crate::workspace::cargo;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The crates that are changed.
const CRATES: [&str; 2] = ["pbft-core", "pbft-host"];

/// One of them, as `cargo mutants --list --json` prints it.
#[derive(Debug, Deserialize)]
struct Mutant {
    name: String,
    file: PathBuf,
    span: Span,
    replacement: String,
}

#[derive(Debug, Deserialize)]
struct Span {
    start: Place,
    end: Place,
}

/// A line, and a column in characters, each from 1.
#[derive(Debug, Deserialize)]
struct Place {
    line: usize,
    column: usize,
}

impl Place {
    fn offset(&self, source: &str) -> Option<usize> {
        let before = source.split_inclusive('\n').take(self.line.checked_sub(1)?);
        let start: usize = before.map(str::len).sum();
        let line = source[start..].lines().next().unwrap_or_default();
        let mut places = line.char_indices().map(|(at, _)| at).chain([line.len()]);
        Some(start + places.nth(self.column.checked_sub(1)?)?)
    }
}

/// All of them.
pub(crate) fn listed(root: &Path) -> Result<Catalogue, CatalogueError> {
    let refused = |why: String| {
        let mistake = Mistake::NoMutants(format!(
            "{why}\ninstall it with `cargo install cargo-mutants --locked`"
        ));
        CatalogueError::new(Path::new("Cargo.toml"), 1, mistake)
    };
    let mut command = cargo();
    command.current_dir(root).args(["mutants", "--list", "--json"]);
    command.args(CRATES.iter().flat_map(|name| ["--package", name]));
    let output = command.output().map_err(|error| refused(error.to_string()))?;
    if !output.status.success() {
        return Err(refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let mutants: Vec<Mutant> =
        serde_json::from_slice(&output.stdout).map_err(|error| refused(error.to_string()))?;
    let mut sources: BTreeMap<PathBuf, (String, Vec<Function>)> = BTreeMap::new();
    let mut entries = Vec::new();
    for mutant in mutants {
        if !sources.contains_key(&mutant.file) {
            let at = |mistake| CatalogueError::new(&mutant.file, 1, mistake);
            let text = std::fs::read_to_string(root.join(&mutant.file));
            let text = text.map_err(|error| at(error.into()))?;
            let functions = functions(&text).map_err(|error| at(error.into()))?;
            sources.insert(mutant.file.clone(), (text, functions));
        }
        let (source, functions) = &sources[&mutant.file];
        entries.extend(entry(&mutant, source, functions));
    }
    Ok(Catalogue::of(entries))
}

fn entry(mutant: &Mutant, source: &str, functions: &[Function]) -> Option<Entry> {
    let range = mutant.span.start.offset(source)?..mutant.span.end.offset(source)?;
    let is_around = |one: &&Function| one.body.contains(&range.start) && one.body.end >= range.end;
    let around = functions.iter().filter(is_around);
    let function = around.min_by_key(|one| one.body.len()).filter(|one| !one.is_const)?;
    let line = source[..range.start].rfind('\n').map_or(0, |newline| newline + 1);
    let line = source[line..].lines().next().unwrap_or_default().trim();
    let described = without_place(&mutant.name, &mutant.file);
    let what = format!("{}: {described}, at `{line}`", mutant.file.display());
    let hunk = hunk(&mutant.file, source, function, &range, &mutant.replacement);
    let crate_of = mutant.file.ancestors().find(|path| path.ends_with("src"))?;
    (hunk.old != hunk.new).then(|| {
        Entry::generated(mutant.name.clone(), what, &crate_of.with_file_name("list"), hunk)
    })
}

/// What a mutant does, without file, line and column.
fn without_place<'a>(name: &'a str, file: &Path) -> &'a str {
    let rest = name.strip_prefix(&*file.to_string_lossy()).unwrap_or(name);
    rest.trim_start_matches(|one: char| one == ':' || one.is_ascii_digit()).trim_start()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_becomes_an_entry_of_the_function_that_it_changes() {
        let source = "impl A {\n    fn of(é: u8) -> bool {\n        /* é */ é < 2\n    }\n}\nconst B: bool = 1 < 2;\n";
        let functions = functions(source).expect("Rust");
        let mutant = |line, column, end| Mutant {
            name: format!("impl/core/src/a.rs:{line}:{column}: replace < with <= in A::of"),
            file: "impl/core/src/a.rs".into(),
            span: Span { start: Place { line, column }, end: Place { line, column: end } },
            replacement: "<=".to_owned(),
        };
        let made = entry(&mutant(3, 19, 20), source, &functions).expect("in a function");
        let [hunk] = &made.hunks[..] else { panic!("{made:?}") };
        assert_eq!((hunk.old.trim(), hunk.new.trim()), ("/* é */ é < 2", "/* é */ é <= 2"));
        assert_eq!(hunk.function, "A::of");
        assert_eq!(made.what, "impl/core/src/a.rs: replace < with <= in A::of, at `/* é */ é < 2`");
        assert_eq!(entry(&mutant(6, 19, 20), source, &functions), None, "in a constant");
        assert_eq!(entry(&mutant(9, 1, 2), source, &functions), None, "beyond the end");
    }
}
