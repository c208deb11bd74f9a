//! A bug as the diff that a reviewer would see.

use crate::catalogue::{Entry, Hunk};
use crate::place::{Place, PlaceError, line_of};
use std::fmt::Write;
use std::path::Path;

/// Lines shown above and below what a hunk changes.
const CONTEXT: usize = 2;

impl Entry {
    /// The bug as a diff of the sources as they are now.
    pub fn diff(&self, root: &Path) -> Result<String, PlaceError> {
        let mut diff = String::new();
        for (hunk, place, source) in self.places(root)? {
            let (path, Place { function, line, .. }) = (hunk.path.display(), &place);
            // Writing to a string does not fail.
            let _ = writeln!(diff, "@@ {path}:{line} {function} @@");
            diff += &lines(&source, hunk, &place);
        }
        Ok(diff)
    }
}

/// Whole lines around one hunk.
fn lines(source: &str, hunk: &Hunk, place: &Place) -> String {
    let all: Vec<&str> = source.lines().collect();
    let (start, end) = (place.range.start, place.range.end);
    let (first, last) = (place.line - 1, line_of(source, end - 1));
    let line_start = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = source[end..].find('\n').map_or(source.len(), |newline| end + newline);
    let (before, after) = (&source[line_start..start], &source[end..line_end]);
    let indent = &before[..before.len() - before.trim_start().len()];
    let new = hunk.new.lines().collect::<Vec<_>>().join(&format!("\n{indent}"));
    let new = format!("{before}{new}{after}");
    let shown = |mark, lines: &[&str]| {
        lines
            .iter()
            .map(|line| format!("{mark}{line}").trim_end().to_owned() + "\n")
            .collect::<String>()
    };
    let new: Vec<&str> = new.lines().filter(|line| !line.trim().is_empty()).collect();
    let above = &all[first.saturating_sub(CONTEXT)..first];
    let below = &all[last..all.len().min(last + CONTEXT)];
    shown(' ', above) + &shown('-', &all[first..last]) + &shown('+', &new) + &shown(' ', below)
}
