//! Mutants that nobody thought of: every rule of the specification, weakened or turned round in each place where it can be.
//!
//! A list says what somebody feared. Here the sources say what there is to break: [`Operator`] has what is done, [`FILES`]
//! and [`FUNCTIONS`] where it is not done and why. Neither are constant functions changed, which cannot ask what is on: the
//! quorum sizes among them are broken where they are used, by the list.
//!
//! Each change becomes an entry like those of a list, and is planted like them. Its name is made of file, function, operator and
//! the number of the place: `rules.rs:accept:check-1-passes`. What the compiler does not take is on record in the file
//! [`RECORD`], beside what the search made of all the others.

mod listed;
mod operators;
mod sources;

use crate::catalogue::{Catalogue, CatalogueError, Entry, Hunk};
use crate::functions::{Function, functions};
use crate::place::{line_of, occurrences};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

pub(crate) use listed::listed;
pub use operators::Operator;
pub use sources::{FILES, FUNCTIONS, LeftOut};

/// What came of each mutant, from the root of the workspace.
pub const RECORD: &str = "model/spec/generated.txt";

/// The line of the record under the name of a mutant that cannot be built.
pub const REFUSED: &str = "fate: does not compile";

/// All mutants of the specification of a workspace, those that do not compile among them. None where there is no
/// specification.
pub fn catalogue(root: &Path) -> Result<Catalogue, CatalogueError> {
    let mut entries = Vec::new();
    for (file, _) in FILES.iter().filter(|(_, left_out)| left_out.is_none()) {
        let path = Path::new(sources::DIRECTORY).join(file);
        if !root.join(sources::DIRECTORY).exists() {
            continue;
        }
        let source = std::fs::read_to_string(root.join(&path))
            .map_err(|error| CatalogueError::new(&path, 1, error.into()))?;
        let changed = changes(file, &path, &source).map_err(|error| {
            let line = error.span().start().line;
            CatalogueError::new(&path, line, error.into())
        })?;
        entries.extend(changed);
    }
    Ok(Catalogue::of(entries))
}

/// Those of them that can be built, by what is on record.
pub(crate) fn buildable(root: &Path) -> Result<Catalogue, CatalogueError> {
    let text = std::fs::read_to_string(root.join(RECORD)).unwrap_or_default();
    let refused = refused(&text);
    let all = catalogue(root)?;
    let kept = all.entries().iter().filter(|entry| !refused.contains(&*entry.name));
    Ok(Catalogue::of(kept.cloned().collect()))
}

/// The names in a record of which it says that they cannot be built.
fn refused(record: &str) -> BTreeSet<&str> {
    let mut name = "";
    let mut names = BTreeSet::new();
    for line in record.lines().filter(|line| !line.starts_with('#')) {
        match line.split_once(": ") {
            None if !line.is_empty() => name = line,
            Some(_) if line == REFUSED => drop(names.insert(name)),
            _ => {}
        }
    }
    names
}

/// The mutants of one file.
pub fn changes(file: &str, path: &Path, source: &str) -> syn::Result<Vec<Entry>> {
    let functions = functions(source)?;
    let mut numbers: BTreeMap<(String, Operator), usize> = BTreeMap::new();
    let mut entries = Vec::new();
    for edit in operators::edits(source)? {
        let around = functions.iter().filter(|one| one.body.contains(&edit.range.start));
        let Some(function) = around.min_by_key(|one| one.body.len()) else { continue };
        let left_out = FUNCTIONS.iter().any(|(of, name, _)| *of == file && *name == function.name);
        if function.is_const || left_out {
            continue;
        }
        let number = numbers.entry((function.name.clone(), edit.operator)).or_default();
        *number += 1;
        let (noun, verb) = edit.operator.words();
        let name = format!("{file}:{}:{noun}-{number}-{verb}", function.name);
        let what = sentence(&source[edit.range.clone()], &edit.new);
        let hunk = hunk(path, source, function, &edit.range, &edit.new);
        entries.push(Entry::generated(name, what, Path::new(RECORD), hunk));
    }
    Ok(entries)
}

/// What is different, on one line.
fn sentence(old: &str, new: &str) -> String {
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    match new.is_empty() {
        true => format!("without `{}`", line(old)),
        false => format!("`{}` for `{}`", line(new), line(old)),
    }
}

/// The change with as many lines around it as make its place unique in the function.
fn hunk(path: &Path, source: &str, function: &Function, range: &Range<usize>, new: &str) -> Hunk {
    let body = &function.body;
    let whole_lines = |wide: Range<usize>| {
        let start = source[..wide.start].rfind('\n').map_or(0, |newline| newline + 1);
        let end = source[wide.end..].find('\n').map_or(source.len(), |newline| wide.end + newline);
        start.max(body.start)..end.min(body.end)
    };
    let mut wide = whole_lines(range.clone());
    while wide != *body && occurrences(source, body.clone(), &source[wide.clone()]).len() != 1 {
        let above = wide.start.saturating_sub(1).max(body.start);
        wide = whole_lines(above..(wide.end + 1).min(body.end));
    }
    let old = source[wide.clone()].trim_end().to_owned();
    let changed = [&source[wide.start..range.start], new, &source[range.end..wide.end]].concat();
    Hunk {
        path: PathBuf::from(path),
        function: function.full_name().to_owned(),
        old,
        new: changed.trim_end().to_owned(),
        line: line_of(source, range.start),
    }
}
