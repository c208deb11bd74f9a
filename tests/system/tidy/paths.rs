//! What documents point at is there: paths of this repository in code spans, and the targets of links.

use crate::source::Text;
use std::path::{Component, Path, PathBuf};

/// Characters of a pattern or a placeholder, which names no file.
const PATTERN: [char; 8] = ['*', '…', '<', '>', '{', '}', '|', '$'];

/// The paths of a document that lead nowhere, each with its line.
pub(crate) fn dangling(root: &Path, text: &Text) -> Vec<String> {
    if !text.path.ends_with(".md") {
        return Vec::new();
    }
    let here = Path::new(&text.path).parent().unwrap_or(Path::new(""));
    let mut findings = Vec::new();
    for (number, line) in text.content.lines().enumerate() {
        let spans = line.split('`').skip(1).step_by(2).filter_map(|span| path_in(root, span));
        let spans = spans.filter(|path| !root.join(path).exists() && !is_there(root, here, path));
        let links = links(line).filter(|target| !is_there(root, here, target));
        for path in spans.chain(links) {
            findings.push(format!("{}:{}: {path} is not there", text.path, number + 1));
        }
    }
    findings
}

/// The path that a code span is, if it begins with a directory of the root and is no pattern; without a line's number.
fn path_in<'a>(root: &Path, span: &'a str) -> Option<&'a str> {
    let path = span.split([':', '#']).next()?;
    let (first, _) = path.split_once('/')?;
    let is_path = !first.is_empty() && !path.contains(char::is_whitespace);
    let named = is_path && first != "target" && first != "runs" && root.join(first).is_dir();
    (named && !span.contains(PATTERN)).then_some(path)
}

/// The targets of a line's links that are files, without their anchors.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains(':') && !target.contains(' '))
}

/// The links of a document that lead to files: their paths from the root, and their anchors, which may be empty.
pub(crate) fn links_to(text: &Text) -> Vec<(String, String)> {
    let here = Path::new(&text.path).parent().unwrap_or(Path::new(""));
    let targets = text.content.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let targets = targets.filter(|target| !target.contains([':', ' ', '\n']));
    let found = targets.map(|target| {
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let path = if file.is_empty() { PathBuf::from(&text.path) } else { from_root(here, file) };
        (path.to_string_lossy().into_owned(), anchor.to_owned())
    });
    found.collect()
}

/// Where `target` is, seen from the root.
fn from_root(here: &Path, target: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in here.join(target).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            part => path.push(part),
        }
    }
    path
}

fn is_there(root: &Path, here: &Path, target: &str) -> bool {
    let mut path = PathBuf::from(root);
    for part in here.join(target).components() {
        match part {
            Component::ParentDir if path != root => drop(path.pop()),
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            _ => return false,
        }
    }
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, content: &str) -> Vec<String> {
        let root = &crate::commands::root();
        dangling(root, &Text::sample(path, content))
    }

    #[test]
    fn what_leads_nowhere_is_found() {
        let nothing = Vec::<String>::new();
        assert_eq!(
            found("README.md", "see `impl/core/src/log.rs:12` and `impl/*/bugs.txt`"),
            nothing
        );
        assert_eq!(
            found("README.md", "see [it](docs/architecture.md#teeth), `n/a`, `cargo x`"),
            nothing
        );
        assert_eq!(found("model/README.md", "see `checker/tests/engines.rs`"), nothing);
        let gone = "see\n`impl/core/src/gone.rs` and [it](docs/gone.md#x)";
        assert_eq!(
            found("README.md", gone),
            [
                "README.md:2: impl/core/src/gone.rs is not there",
                "README.md:2: docs/gone.md is not there"
            ]
        );
        assert_eq!(
            found("docs/a.md", "[out](../../b.md)"),
            ["docs/a.md:1: ../../b.md is not there"]
        );
    }
}
