//! Finds where the bugs of a catalogue go, and writes each file with all of them behind one switch.
//!
//! A function with bugs keeps its signature. Its body becomes a `match` on the number of the bug that is on: an arm for
//! each bug with the whole body as it is with that bug, and the body as it is for all others. So a bug may be anything
//! that the compiler takes there, and one build has all of them. Whatever is not such a body stays byte for byte.

use crate::catalogue::{Catalogue, Entry, Hunk};
use crate::functions::{Function, functions};
use proc_macro2::TokenStream;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The files of a workspace that a catalogue changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planting {
    /// By their paths from the root.
    pub files: BTreeMap<PathBuf, PlantedFile>,
}

/// A source file with bugs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlantedFile {
    /// Its text.
    pub text: String,
    /// Which bytes of it are the body of a function with a bug, and the number of that bug.
    pub bodies: Vec<(Range<usize>, usize)>,
    /// How many functions have bugs.
    pub functions: usize,
}

/// Why a bug cannot be planted.
#[derive(Debug, thiserror::Error)]
#[error("{}:{line}: bug `{bug}`: {} {function}: {problem}", list.display(), path.display())]
pub struct PlaceError {
    /// The bug.
    pub bug: String,
    /// The list with its entry.
    pub list: PathBuf,
    /// The line of the list with its hunk.
    pub line: usize,
    /// The source file.
    pub path: PathBuf,
    /// The function.
    pub function: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with the place of a bug.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("{0}; correct the path, which is relative to the list")]
    NoFile(String),
    /// The file is no Rust.
    #[error("the file cannot be parsed: {0}")]
    NotRust(syn::Error),
    /// No function has that name.
    #[error("there is no such function outside of tests and macros{}; name the one that has the text now", among(.0))]
    NoFunction(Vec<String>),
    /// More than one has.
    #[error("the name is not unique{}; write more of the path", among(.0))]
    AmbiguousFunction(Vec<String>),
    /// The text is not in the body.
    #[error(
        "line {line}: the text `{text}` is not there any more; write what is there now, or drop the bug"
    )]
    NotThere {
        /// The line of the function.
        line: usize,
        /// The beginning of the text.
        text: String,
    },
    /// The text is there more than once.
    #[error("the text `{text}` is there more than once (lines {}); write more of what is around it", numbers(.lines))]
    ThereOften {
        /// The lines where it begins.
        lines: Vec<usize>,
        /// The beginning of the text.
        text: String,
    },
    /// A body that is evaluated at compile time cannot ask which bug is on.
    #[error("line {0}: a `const fn` cannot have bugs; plant this one where it is called")]
    ConstFunction(usize),
    /// Two hunks change the same text.
    #[error("line {0}: two hunks of this bug overlap; make them one")]
    Overlap(usize),
    /// What comes out is no Rust.
    #[error("line {line}: the function cannot be parsed with this bug: {error}")]
    Broken {
        /// The line of the function.
        line: usize,
        /// What the parser says.
        error: syn::Error,
    },
    /// What comes out is the same code.
    #[error(
        "line {0}: the function is the same code with this bug: only a comment or white space differs"
    )]
    Same(usize),
}

/// Where a hunk goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The function, by its full name.
    pub function: String,
    /// The bytes of the file that are replaced.
    pub range: Range<usize>,
    /// The line where they begin, from 1.
    pub line: usize,
}

/// A hunk with the number of its bug.
type Numbered<'a> = (usize, &'a Entry, &'a Hunk);

impl Planting {
    /// Plants all bugs of a catalogue. Bug number n is entry n − 1. The errors are those of all bugs.
    pub fn new(root: &Path, catalogue: &Catalogue) -> Result<Self, Vec<PlaceError>> {
        let mut by_file: BTreeMap<&Path, Vec<Numbered<'_>>> = BTreeMap::new();
        for (number, entry) in (1..).zip(catalogue.entries()) {
            for hunk in &entry.hunks {
                by_file.entry(&hunk.path).or_default().push((number, entry, hunk));
            }
        }
        let (mut planting, mut errors) = (Self::default(), Vec::new());
        for (path, hunks) in by_file {
            match read(root, path).map_err(|problem| vec![wrong(hunks[0].1, hunks[0].2, problem)]) {
                Ok(source) => match plant(&source, &hunks) {
                    Ok(file) => drop(planting.files.insert(path.to_owned(), file)),
                    Err(more) => errors.extend(more),
                },
                Err(more) => errors.extend(more),
            }
        }
        if errors.is_empty() { Ok(planting) } else { Err(errors) }
    }
}

impl Entry {
    /// Where its hunks go, with the text of each file.
    pub fn places<'a>(&'a self, root: &Path) -> Result<Vec<(&'a Hunk, Place, String)>, PlaceError> {
        let place = |hunk: &'a Hunk| {
            let found = read(root, &hunk.path).and_then(|source| {
                let all = functions(&source).map_err(Problem::NotRust)?;
                let (function, range) = locate(&source, &all, hunk)?;
                let line = line_of(&source, range.start);
                Ok((hunk, Place { function: function.full_name().to_owned(), range, line }, source))
            });
            found.map_err(|problem| wrong(self, hunk, problem))
        };
        self.hunks.iter().map(place).collect()
    }
}

fn read(root: &Path, path: &Path) -> Result<String, Problem> {
    std::fs::read_to_string(root.join(path)).map_err(|error| Problem::NoFile(error.to_string()))
}

fn wrong(entry: &Entry, hunk: &Hunk, problem: Problem) -> PlaceError {
    let (bug, list, line) = (entry.name.clone(), entry.list.clone(), hunk.line);
    let (path, function) = (hunk.path.clone(), hunk.function.clone());
    PlaceError { bug, list, line, path, function, problem }
}

/// Bugs in one function: where it is, and for each bug the texts that it replaces.
struct Body<'a> {
    function: &'a Function,
    bugs: BTreeMap<usize, Vec<(Range<usize>, &'a Entry, &'a Hunk)>>,
}

/// One file with its bugs.
fn plant(source: &str, hunks: &[Numbered<'_>]) -> Result<PlantedFile, Vec<PlaceError>> {
    let all = functions(source)
        .map_err(|error| vec![wrong(hunks[0].1, hunks[0].2, Problem::NotRust(error))])?;
    let mut errors = Vec::new();
    let mut found = Vec::new();
    for (number, entry, hunk) in hunks {
        match locate(source, &all, hunk) {
            Ok((function, range)) => found.push((function, *number, (range, *entry, *hunk))),
            Err(problem) => errors.push(wrong(entry, hunk, problem)),
        }
    }
    // A function within another that has bugs, too, is copied with it.
    let with_bugs: Vec<&Function> = found.iter().map(|(function, ..)| *function).collect();
    let mut bodies: BTreeMap<usize, Body<'_>> = BTreeMap::new();
    for (inner, number, edit) in found {
        let around =
            |one: &&&Function| one.body.start <= inner.body.start && inner.body.end <= one.body.end;
        let outermost = with_bugs.iter().filter(around).min_by_key(|one| one.body.start);
        let function = *outermost.unwrap_or(&inner);
        let body = bodies.entry(function.body.start);
        let body = body.or_insert(Body { function, bugs: BTreeMap::new() });
        body.bugs.entry(number).or_default().push(edit);
    }
    let mut planted = PlantedFile::default();
    let mut done = 0;
    for body in bodies.values() {
        planted.text += &source[done..body.function.body.start];
        planted.functions += 1;
        errors.extend(body.write(source, &mut planted));
        done = body.function.body.end;
    }
    planted.text += &source[done..];
    if errors.is_empty() { Ok(planted) } else { Err(errors) }
}

impl Body<'_> {
    /// Appends the body with all its bugs.
    fn write(&self, source: &str, planted: &mut PlantedFile) -> Vec<PlaceError> {
        let mut errors = Vec::new();
        let original = &source[self.function.body.clone()];
        planted.text += " match crate::plant::active() {";
        for (number, edits) in &self.bugs {
            let (_, entry, hunk) = edits[0];
            match self.with(source, edits) {
                Ok(text) => {
                    planted.text += &format!(" {number} => {{");
                    let start = planted.text.len();
                    planted.text += &text;
                    planted.bodies.push((start..planted.text.len(), *number));
                    planted.text += "}";
                }
                Err(problem) => errors.push(wrong(entry, hunk, problem)),
            }
        }
        planted.text += &format!(" _ => {{{original}}} }} ");
        errors
    }

    /// The body with one bug.
    fn with(
        &self,
        source: &str,
        edits: &[(Range<usize>, &Entry, &Hunk)],
    ) -> Result<String, Problem> {
        let Function { line, body, is_const, .. } = self.function;
        if *is_const {
            return Err(Problem::ConstFunction(*line));
        }
        let mut edits: Vec<_> = edits.iter().map(|(range, _, hunk)| (range, hunk)).collect();
        edits.sort_by_key(|(range, _)| range.start);
        let (mut text, mut done) = (String::new(), body.start);
        for (range, hunk) in edits {
            if range.start < done {
                return Err(Problem::Overlap(line_of(source, range.start)));
            }
            text += &source[done..range.start];
            text += &hunk.new;
            done = range.end;
        }
        text += &source[done..body.end];
        let parsed = syn::parse_str::<syn::Block>(&format!("{{{text}}}"));
        parsed.map_err(|error| Problem::Broken { line: *line, error })?;
        match tokens(&text) == tokens(&source[body.clone()]) {
            true => Err(Problem::Same(*line)),
            false => Ok(text),
        }
    }
}

/// The code without comments and white space.
fn tokens(code: &str) -> Option<String> {
    code.parse::<TokenStream>().ok().map(|tokens| tokens.to_string())
}

/// The function of a hunk, and the text in it that the hunk replaces.
fn locate<'a>(
    source: &str,
    all: &'a [Function],
    hunk: &Hunk,
) -> Result<(&'a Function, Range<usize>), Problem> {
    let called: Vec<_> = all.iter().filter(|one| one.is_called(&hunk.function)).collect();
    let function = match called[..] {
        [function] => function,
        [] => {
            let last = hunk.function.rsplit("::").next().unwrap_or_default();
            let similar = all.iter().filter(|one| one.last_name() == last);
            return Err(Problem::NoFunction(similar.map(described).collect()));
        }
        _ => return Err(Problem::AmbiguousFunction(called.into_iter().map(described).collect())),
    };
    let text = || hunk.old.lines().next().unwrap_or_default().trim().to_owned();
    let mut found = occurrences(source, function.body.clone(), &hunk.old);
    match (found.pop(), &found[..]) {
        (Some(range), []) => Ok((function, range)),
        (None, _) => Err(Problem::NotThere { line: function.line, text: text() }),
        (Some(last), others) => {
            let starts = others.iter().chain([&last]).map(|range| range.start);
            let lines = starts.map(|start| line_of(source, start)).collect();
            Err(Problem::ThereOften { lines, text: text() })
        }
    }
}

fn described(function: &Function) -> String {
    format!("`{}` in line {}", function.full_name(), function.line)
}

/// Where `wanted` stands, whatever the white space. It does not begin or end within a word.
fn occurrences(source: &str, within: Range<usize>, wanted: &str) -> Vec<Range<usize>> {
    let wanted: Vec<char> = wanted.chars().filter(|c| !c.is_whitespace()).collect();
    let chars = source[within.clone()].char_indices().filter(|(_, c)| !c.is_whitespace());
    let there: Vec<(usize, char)> = chars.map(|(at, c)| (within.start + at, c)).collect();
    let same = |window: &&[(usize, char)]| window.iter().map(|(_, c)| c).eq(&wanted);
    let range = |window: &[(usize, char)]| {
        let (last, c) = window[window.len() - 1];
        window[0].0..last + c.len_utf8()
    };
    let windows = there.windows(wanted.len().max(1)).filter(same).map(range);
    windows
        .filter(|range| !splits_word(source, range.start) && !splits_word(source, range.end))
        .collect()
}

fn splits_word(source: &str, at: usize) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (before, after) = source.split_at(at);
    before.ends_with(is_word) && after.starts_with(is_word)
}

pub(crate) fn line_of(source: &str, at: usize) -> usize {
    1 + source[..at].matches('\n').count()
}

fn among(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!(" (there are {})", names.join(", ")),
    }
}

fn numbers(lines: &[usize]) -> String {
    lines.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}
