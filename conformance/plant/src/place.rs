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
    pub problem: Box<Problem>,
}

/// What is wrong with the place of a bug.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("{0}; correct the path, which is relative to the list")]
    NoFile(std::io::Error),
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

/// A hunk of a bug with a number.
#[derive(Clone, Copy)]
struct Numbered<'a> {
    number: usize,
    entry: &'a Entry,
    hunk: &'a Hunk,
}

impl Planting {
    /// Plants all bugs of a catalogue. Bug number n is entry n − 1. The errors are those of all bugs.
    pub fn new(root: &Path, catalogue: &Catalogue) -> Result<Self, Vec<PlaceError>> {
        let mut by_file: BTreeMap<&Path, Vec<Numbered<'_>>> = BTreeMap::new();
        for (number, entry) in (1..).zip(catalogue.entries()) {
            for hunk in &entry.hunks {
                let numbered = Numbered { number, entry, hunk };
                by_file.entry(&hunk.path).or_default().push(numbered);
            }
        }
        let (mut planting, mut errors) = (Self::default(), Vec::new());
        for (path, hunks) in by_file {
            let whole = |problem| vec![hunks[0].entry.misplaced(hunks[0].hunk, problem)];
            let source = read(root, path).map_err(whole);
            match source.and_then(|source| plant(&source, &hunks)) {
                Ok(file) => drop(planting.files.insert(path.to_owned(), file)),
                Err(more) => errors.extend(more),
            }
        }
        if errors.is_empty() { Ok(planting) } else { Err(errors) }
    }
}

impl Entry {
    /// The error that one of its hunks has no place.
    pub(crate) fn misplaced(&self, hunk: &Hunk, problem: Problem) -> PlaceError {
        let (bug, list, line) = (self.name.clone(), self.list.clone(), hunk.line);
        let (path, function) = (hunk.path.clone(), hunk.function.clone());
        PlaceError { bug, list, line, path, function, problem: Box::new(problem) }
    }
}

pub(crate) fn read(root: &Path, path: &Path) -> Result<String, Problem> {
    std::fs::read_to_string(root.join(path)).map_err(Problem::NoFile)
}

/// A function with bugs: for each the texts that it replaces.
struct Body<'a> {
    function: &'a Function,
    bugs: BTreeMap<usize, Vec<Edit<'a>>>,
}

type Edit<'a> = (Range<usize>, Numbered<'a>);

/// One file with its bugs.
fn plant(source: &str, hunks: &[Numbered<'_>]) -> Result<PlantedFile, Vec<PlaceError>> {
    let whole = |error| vec![hunks[0].entry.misplaced(hunks[0].hunk, Problem::NotRust(error))];
    let all = functions(source).map_err(whole)?;
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for one in hunks {
        match locate(source, &all, one.hunk) {
            Ok((function, range)) => found.push((function, (range, *one))),
            Err(problem) => errors.push(one.entry.misplaced(one.hunk, problem)),
        }
    }
    // A function within another that has bugs, too, is copied with it.
    let with_bugs: Vec<&Function> = found.iter().map(|(function, _)| *function).collect();
    let mut bodies: BTreeMap<usize, Body<'_>> = BTreeMap::new();
    for (inner, edit) in found {
        let around = with_bugs.iter().filter(|outer| outer.body.contains(&inner.body.start));
        let function = *around.min_by_key(|outer| outer.body.start).unwrap_or(&inner);
        let body = bodies.entry(function.body.start);
        let body = body.or_insert(Body { function, bugs: BTreeMap::new() });
        body.bugs.entry(edit.1.number).or_default().push(edit);
    }
    let mut planted = PlantedFile { functions: bodies.len(), ..PlantedFile::default() };
    let mut done = 0;
    for body in bodies.values() {
        planted.text += &source[done..body.function.body.start];
        errors.extend(body.write(source, &mut planted));
        done = body.function.body.end;
    }
    planted.text += &source[done..];
    if errors.is_empty() { Ok(planted) } else { Err(errors) }
}

impl Body<'_> {
    /// Appends the body with all its bugs, and returns what is wrong with them.
    fn write(&self, source: &str, planted: &mut PlantedFile) -> Vec<PlaceError> {
        let mut errors = Vec::new();
        planted.text += " match crate::plant::active() {";
        for (number, edits) in &self.bugs {
            let Numbered { entry, hunk, .. } = edits[0].1;
            match self.with(source, edits) {
                Ok(text) => {
                    planted.text += &format!(" {number} => {{");
                    let start = planted.text.len();
                    planted.text += &text;
                    planted.bodies.push((start..planted.text.len(), *number));
                    planted.text += "}";
                }
                Err(problem) => errors.push(entry.misplaced(hunk, problem)),
            }
        }
        planted.text += &format!(" _ => {{{}}} }} ", &source[self.function.body.clone()]);
        errors
    }

    /// The body with one bug.
    fn with(&self, source: &str, edits: &[Edit<'_>]) -> Result<String, Problem> {
        let Function { line, body, is_const, .. } = self.function;
        if *is_const {
            return Err(Problem::ConstFunction(*line));
        }
        let mut edits: Vec<&Edit<'_>> = edits.iter().collect();
        edits.sort_by_key(|(range, _)| range.start);
        let (mut text, mut done) = (String::new(), body.start);
        for (range, numbered) in edits {
            if range.start < done {
                return Err(Problem::Overlap(line_of(source, range.start)));
            }
            text += &source[done..range.start];
            text += &numbered.hunk.new;
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
pub(crate) fn locate<'a>(
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
pub(crate) fn occurrences(source: &str, within: Range<usize>, wanted: &str) -> Vec<Range<usize>> {
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
