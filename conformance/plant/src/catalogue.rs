//! The lists of bugs: text files beside the crates, one entry a bug.
//!
//! ```text
//! # A comment. Empty lines separate entries.
//!
//! commit-quorum-one-short
//! what: q−1 COMMITs commit.
//! rule: §4.2: a batch commits with q COMMITs
//! caught: core, COMMITs one short: Reaction
//! @ src/normal_case.rs Replica::is_committed
//! - let needed = self.params.membership.quorum();
//! + let needed = self.params.membership.quorum() - 1;
//! ```
//!
//! After the name come the fields, each on one line: `what` is wrong, the `rule` that it breaks, how it is `caught`, and
//! where there is need `without`, which reductions of a search the bug makes unsound. Then come one or more hunks. A hunk names
//! a file, relative to the list, and a function: its name, or as much of its path as makes it unique (`Replica::step`,
//! `<View as Display>::fmt`). Its `-` lines are text that stands exactly once in the body of that function, whatever the
//! white space; its `+` lines, if there are any, are what stands there instead.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// The bugs of one or more lists. No two have the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    entries: Vec<Entry>,
}

/// One bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How it is called, in kebab case.
    pub name: String,
    /// What is wrong.
    pub what: String,
    /// The rule that it breaks.
    pub rule: String,
    /// How it is caught.
    pub caught: String,
    /// The reductions of a search that it makes unsound, and that are off while it is on.
    pub without: Option<String>,
    /// What is different in the code. There is at least one hunk.
    pub hunks: Vec<Hunk>,
    /// The list, relative to the root of the workspace.
    pub list: PathBuf,
    /// The line of the list with the name.
    pub line: usize,
    /// The line of the list that says how it is caught.
    caught_line: usize,
}

/// One place of a bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// The file, relative to the root of the workspace.
    pub path: PathBuf,
    /// The function.
    pub function: String,
    /// The text as it is.
    pub old: String,
    /// The text as it would be wrong; empty if it is only missing.
    pub new: String,
    /// The line of the list where the hunk begins.
    pub line: usize,
}

/// Why a list is refused, and where.
#[derive(Debug, thiserror::Error)]
#[error("{}:{line}: {mistake}", list.display())]
pub struct CatalogueError {
    /// The list.
    pub list: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub mistake: Mistake,
}

/// What is wrong with a list.
#[derive(Debug, thiserror::Error)]
pub enum Mistake {
    /// It cannot be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// An entry does not begin with a name.
    #[error("an entry begins with its name in kebab case, not with `{0}`")]
    Name(String),
    /// Another entry is called so.
    #[error("`{name}` is also the name of the entry at {}:{line}", list.display())]
    NameTaken {
        /// The name.
        name: String,
        /// The other entry's list.
        list: PathBuf,
        /// The other entry's line.
        line: usize,
    },
    /// There is no such entry.
    #[error("there is no entry `{0}`")]
    NoEntry(String),
    /// A line is of no known kind.
    #[error("`{0}` is neither a field, nor does it begin with `@ `, `- ` or `+ `")]
    Line(String),
    /// A field is of no known kind.
    #[error("unknown field `{0}`: there are {fields}", fields = FIELDS.join(", "))]
    UnknownField(String),
    /// A field is there twice.
    #[error("a second `{0}:`")]
    FieldAgain(&'static str),
    /// A field is empty, or goes over several lines.
    #[error("`{0}:` needs a value on the same line")]
    FieldValue(&'static str),
    /// A field is missing.
    #[error("`{name}` lacks `{field}:`")]
    FieldMissing {
        /// The entry.
        name: String,
        /// The field.
        field: &'static str,
    },
    /// A field comes after a hunk.
    #[error("`{0}:` must stand before the first hunk")]
    FieldLate(&'static str),
    /// An entry changes nothing.
    #[error("`{0}` has no hunk (`@ PATH FUNCTION`)")]
    NoHunk(String),
    /// The first line of a hunk names no file and function.
    #[error("a hunk begins with `@ PATH FUNCTION`, not with `{0}`")]
    HunkHead(String),
    /// The file of a hunk is not below the list.
    #[error("`{0}` must be a path below the directory of this list")]
    PathOutside(String),
    /// A line of text comes before the first hunk.
    #[error("`{0}` stands before the first hunk (`@ PATH FUNCTION`)")]
    TextEarly(String),
    /// The text as it is comes after the text as it would be.
    #[error("a `-` line after a `+` line: begin another hunk")]
    OldAfterNew,
    /// A hunk does not say what is there now.
    #[error("the hunk for `{0}` has no text after `- `")]
    NothingOld(String),
    /// A hunk replaces text by the same text.
    #[error("the hunk for `{0}` changes nothing")]
    NothingNew(String),
    /// A source file that mutants are made of is no Rust.
    #[error("the file cannot be parsed: {0}")]
    NotRust(#[from] syn::Error),
    /// The program that makes mutants does not do it.
    #[error("cargo mutants makes none: {0}")]
    NoMutants(String),
}

const FIELDS: [&str; 4] = ["what", "rule", "caught", "without"];

impl Catalogue {
    /// Reads lists, named relative to the root of the workspace.
    pub fn read(root: &Path, lists: &[PathBuf]) -> Result<Self, CatalogueError> {
        let mut catalogue = Self::default();
        for list in lists {
            let text = std::fs::read_to_string(root.join(list))
                .map_err(|error| CatalogueError::new(list, 1, error.into()))?;
            catalogue.add(list, &text)?;
        }
        Ok(catalogue)
    }

    /// Adds the entries of one list.
    pub fn add(&mut self, list: &Path, text: &str) -> Result<(), CatalogueError> {
        for entry in parse(list, text)? {
            if let Some(other) = self.entry(&entry.name) {
                let (name, other_list, line) = (entry.name, other.list.clone(), other.line);
                let taken = Mistake::NameTaken { name, list: other_list, line };
                return Err(CatalogueError::new(list, entry.line, taken));
            }
            self.entries.push(entry);
        }
        Ok(())
    }

    /// Those of them that are wanted.
    #[must_use]
    pub fn only(mut self, is_wanted: impl FnMut(&Entry) -> bool) -> Self {
        self.entries.retain(is_wanted);
        self
    }

    /// Entries that are in no list. Their names differ.
    pub(crate) fn of(entries: Vec<Entry>) -> Self {
        Self { entries }
    }

    /// All of them, in the order of the lists.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of that name.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}

impl Entry {
    /// An entry that is in no list: the directory of `beside` says which crate it is of.
    pub(crate) fn generated(name: String, what: String, beside: &Path, hunk: Hunk) -> Self {
        let (line, list) = (hunk.line, beside.to_owned());
        let [rule, caught] =
            [String::from("the line that it changes"), String::from("see the record")];
        let hunks = vec![hunk];
        Self { name, what, rule, caught, without: None, hunks, list, line, caught_line: line }
    }

    /// Rewrites in the list how the bug is caught. Everything else there stays as it is, byte for byte.
    pub fn record(&self, root: &Path, caught: &str) -> Result<(), CatalogueError> {
        let (list, file) = (&self.list, root.join(&self.list));
        let wrong = |line, mistake| CatalogueError::new(list, line, mistake);
        let text = std::fs::read_to_string(&file).map_err(|error| wrong(1, error.into()))?;
        // The list may have changed since this entry was read.
        let entry = parse(list, &text)?.into_iter().find(|entry| entry.name == self.name);
        let entry = entry.ok_or_else(|| wrong(1, Mistake::NoEntry(self.name.clone())))?;
        if caught.trim().is_empty() || caught.contains(['\n', '\r']) {
            return Err(wrong(entry.caught_line, Mistake::FieldValue("caught")));
        }
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        let line = &mut lines[entry.caught_line - 1];
        let ending = line.split_off(line.trim_end_matches(['\n', '\r']).len());
        *line = format!("caught: {}{ending}", caught.trim());
        let written = std::fs::write(&file, lines.concat());
        written.map_err(|error| wrong(entry.caught_line, error.into()))
    }
}

impl CatalogueError {
    pub(crate) fn new(list: &Path, line: usize, mistake: Mistake) -> Self {
        Self { list: list.to_owned(), line, mistake }
    }
}

fn parse(list: &Path, text: &str) -> Result<Vec<Entry>, CatalogueError> {
    let mut entries = Vec::new();
    let mut draft: Option<Draft<'_>> = None;
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.starts_with('#')) {
        let wrong = |mistake| CatalogueError::new(list, number, mistake);
        draft = match draft.take() {
            None if line.trim().is_empty() => None,
            None => Some(Draft::begin(list, number, line).map_err(wrong)?),
            Some(draft) if line.trim().is_empty() => {
                entries.push(draft.finish()?);
                None
            }
            Some(mut draft) => {
                draft.take(number, line).map_err(wrong)?;
                Some(draft)
            }
        };
    }
    if let Some(draft) = draft {
        entries.push(draft.finish()?);
    }
    Ok(entries)
}

/// An entry of which some lines have been read.
struct Draft<'a> {
    list: &'a Path,
    name: &'a str,
    line: usize,
    fields: BTreeMap<&'static str, (usize, &'a str)>,
    hunks: Vec<Hunk>,
}

impl<'a> Draft<'a> {
    fn begin(list: &'a Path, line: usize, name: &'a str) -> Result<Self, Mistake> {
        let name = name.trim_end();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_word = |word: &str| !word.is_empty() && word.chars().all(plain);
        if !name.split('-').all(is_word) || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(Mistake::Name(clipped(name)));
        }
        Ok(Self { list, name, line, fields: BTreeMap::new(), hunks: Vec::new() })
    }

    fn take(&mut self, number: usize, line: &'a str) -> Result<(), Mistake> {
        let (mark, text) = line.split_at_checked(1).unwrap_or_default();
        let text = match text.strip_prefix(' ') {
            Some(text) => Some(text),
            None => text.is_empty().then_some(text),
        };
        match (mark, text) {
            ("@", Some(head)) => self.take_head(number, head),
            ("-" | "+", Some(text)) => self.take_text(mark == "-", text),
            _ => self.take_field(number, line),
        }
    }

    fn take_head(&mut self, line: usize, head: &str) -> Result<(), Mistake> {
        let Some((path, function)) = head.trim().split_once(char::is_whitespace) else {
            return Err(Mistake::HunkHead(clipped(head)));
        };
        let inside = |part| matches!(part, Component::Normal(_));
        if !Path::new(path).components().all(inside) {
            return Err(Mistake::PathOutside(clipped(path)));
        }
        let path = self.list.parent().unwrap_or(Path::new("")).join(path);
        let function = function.trim().to_owned();
        self.hunks.push(Hunk { path, function, old: String::new(), new: String::new(), line });
        Ok(())
    }

    fn take_text(&mut self, is_old: bool, text: &str) -> Result<(), Mistake> {
        let Some(hunk) = self.hunks.last_mut() else {
            return Err(Mistake::TextEarly(clipped(text)));
        };
        if is_old && !hunk.new.is_empty() {
            return Err(Mistake::OldAfterNew);
        }
        let side = if is_old { &mut hunk.old } else { &mut hunk.new };
        side.push_str(text.trim_end());
        side.push('\n');
        Ok(())
    }

    fn take_field(&mut self, number: usize, line: &'a str) -> Result<(), Mistake> {
        let (name, value) = line.split_once(':').ok_or_else(|| Mistake::Line(clipped(line)))?;
        let field = FIELDS.into_iter().find(|field| *field == name);
        let field = field.ok_or_else(|| Mistake::UnknownField(clipped(name)))?;
        if !self.hunks.is_empty() {
            return Err(Mistake::FieldLate(field));
        }
        if value.trim().is_empty() {
            return Err(Mistake::FieldValue(field));
        }
        match self.fields.insert(field, (number, value.trim())) {
            None => Ok(()),
            Some(_) => Err(Mistake::FieldAgain(field)),
        }
    }

    fn finish(self) -> Result<Entry, CatalogueError> {
        let Self { list, name, line, fields, mut hunks } = self;
        let field = |field| {
            let missing = Mistake::FieldMissing { name: name.to_owned(), field };
            fields.get(field).copied().ok_or(CatalogueError::new(list, line, missing))
        };
        let ((_, what), (_, rule), (caught_line, caught)) =
            (field("what")?, field("rule")?, field("caught")?);
        if hunks.is_empty() {
            let mistake = Mistake::NoHunk(name.to_owned());
            return Err(CatalogueError::new(list, line, mistake));
        }
        for hunk in &mut hunks {
            hunk.old.truncate(hunk.old.trim_end().len());
            hunk.new.truncate(hunk.new.trim_end().len());
            let function = hunk.function.clone();
            let mistake = match (hunk.old.is_empty(), hunk.old == hunk.new) {
                (true, _) => Mistake::NothingOld(function),
                (false, true) => Mistake::NothingNew(function),
                (false, false) => continue,
            };
            return Err(CatalogueError::new(list, hunk.line, mistake));
        }
        Ok(Entry {
            name: name.to_owned(),
            what: what.to_owned(),
            rule: rule.to_owned(),
            caught: caught.to_owned(),
            without: fields.get("without").map(|(_, value)| (*value).to_owned()),
            hunks,
            list: list.to_owned(),
            line,
            caught_line,
        })
    }
}

/// Enough of a text to know it by.
fn clipped(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
