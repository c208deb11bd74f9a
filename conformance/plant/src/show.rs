//! A bug as the diff that a reviewer would see.

use crate::catalogue::{Entry, Hunk};
use crate::functions::functions;
use crate::place::{PlaceError, Problem, line_of, locate, read};
use std::fmt;
use std::ops::Range;
use std::path::Path;

/// Lines shown above and below what a hunk changes.
const CONTEXT: usize = 2;

impl Entry {
    /// The bug as a diff of the sources as they are now.
    pub fn diff(&self, root: &Path) -> Result<String, PlaceError> {
        let mut diff = String::new();
        for hunk in &self.hunks {
            diff += &lines(root, hunk).map_err(|problem| self.misplaced(hunk, problem))?;
        }
        Ok(diff)
    }
}

/// What the list says, without a look at the sources: in a build that has the bugs those are not what they were.
impl fmt::Display for Hunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "@@ {} {} @@", self.path.display(), self.function)?;
        self.old.lines().try_for_each(|line| writeln!(f, "- {line}"))?;
        self.new.lines().try_for_each(|line| writeln!(f, "+ {line}"))
    }
}

/// Whole lines around one hunk.
fn lines(root: &Path, hunk: &Hunk) -> Result<String, Problem> {
    let source = &read(root, &hunk.path)?;
    let functions = functions(source).map_err(Problem::NotRust)?;
    let (function, Range { start, end }) = locate(source, &functions, hunk)?;
    let all: Vec<&str> = source.lines().collect();
    let (first, last) = (line_of(source, start) - 1, line_of(source, end - 1));
    let line_start = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = source[end..].find('\n').map_or(source.len(), |newline| end + newline);
    let (before, after) = (&source[line_start..start], &source[end..line_end]);
    let indent = &before[..before.len() - before.trim_start().len()];
    let new = format!("{before}{}{after}", hunk.new.replace('\n', &format!("\n{indent}")));
    let new: Vec<&str> = new.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = |mark, lines: &[&str]| -> String {
        lines.iter().map(|line| format!("{mark}{line}").trim_end().to_owned() + "\n").collect()
    };
    let above = &all[first.saturating_sub(CONTEXT)..first];
    let below = &all[last..all.len().min(last + CONTEXT)];
    let changed = shown('-', &all[first..last]) + &shown('+', &new);
    let head = format!("@@ {}:{} {} @@\n", hunk.path.display(), first + 1, function.full_name());
    Ok(head + &shown(' ', above) + &changed + &shown(' ', below))
}
