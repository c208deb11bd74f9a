//! A workspace of two crates in a temporary directory: `count` adds numbers, and `show` prints the sum.

use pbft_plant::catalogue::Catalogue;
use pbft_plant::place::{PlaceError, Planting};
use pbft_plant::workspace::{Kind, Workspace};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const FILES: [(&str, &str); 9] = [
    (
        "Cargo.toml",
        r#"
[workspace]
resolver = "3"
members = ["code/count", "code/show"]
[workspace.package]
version = "0.1.0"
edition = "2024"
[workspace.dependencies]
count = { path = "code/count" }
[workspace.lints.rust]
unsafe_code = "forbid"
unused_variables = "deny"
"#,
    ),
    (
        "Cargo.lock",
        r#"version = 4

[[package]]
name = "count"
version = "0.1.0"

[[package]]
name = "show"
version = "0.1.0"
dependencies = [
 "count",
]
"#,
    ),
    (
        "code/count/Cargo.toml",
        r#"
package = { name = "count", version.workspace = true, edition.workspace = true }
lints.workspace = true
"#,
    ),
    (
        "code/count/src/lib.rs",
        "//! Numbers.\n#![warn(missing_docs)]\n\nmod list;\npub use list::List;\n",
    ),
    ("code/count/src/list.rs", LIST),
    ("code/count/bugs.txt", COUNT_BUGS),
    (
        "code/show/Cargo.toml",
        r#"
package = { name = "show", version.workspace = true, edition.workspace = true, default-run = "show" }
lints.workspace = true
dependencies = { count.workspace = true }
"#,
    ),
    ("code/show/src/lib.rs", SHOW),
    (
        "code/show/src/bin/show.rs",
        "fn main() {\n    println!(\"{}\", show::shown(&[1, 2, 3]));\n}\n",
    ),
];

/// A source file with what makes it hard to find a body.
pub(crate) const LIST: &str = r#"//! A list.

use std::fmt::{Debug, Display, Formatter, Result};

/// Numbers.
pub struct List<'a>(pub &'a [u64]);

impl<'a> List<'a> {
    /// How many there are: `}` and "{" are no braces.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Their sum.
    #[inline]
    pub fn sum(&self) -> u64 {
        #![allow(unused_mut)]
        // All of them, not self.0.iter().skip(1).
        let mut all = self.0.iter(); // with "}" and '{'
        all.sum()
    }

    /// The largest.
    pub fn largest<F>(&self, of: F) -> Option<u64>
    where
        F: Fn(u64) -> u64,
    {
        fn larger(one: u64, other: u64) -> u64 {
            if one > other { one } else { other }
        }
        self.0.iter().map(|each| of(*each)).reduce(|one, other| larger(one, other))
    }

    /// Resolves to the first.
    pub async fn first(&self) -> Option<u64> {
        self.0.first().copied()
    }
}

impl Display for List<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result { write!(f, "{} numbers", self.len()) }
}

impl Debug for List<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} Zahlen à {}", self.len(), 8)
    }
}

/// The even ones: a type without a name.
pub fn evens(list: List<'_>) -> impl Iterator<Item = u64> {
    list.0.iter().copied().filter(|each| each % 2 == 0)
}

#[cfg(test)]
mod tests {
    fn sum() -> u64 {
        0
    }
}
"#;

const SHOW: &str = r#"//! What is shown.
use count::List;

/// The numbers in words.
pub fn shown(numbers: &[u64]) -> String {
    let list = List(numbers);
    let largest = list.largest(|each| each).unwrap_or_default();
    let (count, sum) = (list.to_string(), list.sum());
    format!("{count}, sum {sum}, largest {largest}")
}
"#;

const COUNT_BUGS: &str = "
skips-first
what: the first number does not count.
rule: 1: the sum is of all
caught: sum 5
@ src/list.rs List::sum
- self.0.iter();
+ self.0.iter();
+ all.next();

smallest
what: the smallest passes for the largest.
rule: 2: the largest is the largest
caught: largest 1
@ src/list.rs larger
- one > other
+ one < other

largest-doubled
what: the largest is doubled.
rule: 2: the largest is the largest
caught: largest 6
@ src/list.rs List::largest
- larger(one, other))
+ larger(one, other)).map(|each| each * 2)
";

pub(crate) struct Fixture {
    directory: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let fixture = Self { directory: TempDir::new().expect("a temporary directory") };
        for (path, text) in FILES {
            fixture.write(path, text);
        }
        fixture
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().canonicalize().expect("a directory")
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, text).expect("written");
    }

    /// The workspace, whatever the target directory of the test's own build is.
    pub(crate) fn workspace(&self) -> Workspace {
        let mut workspace = Workspace::of(&self.root()).expect("a workspace");
        workspace.target = self.root().join("target");
        workspace
    }

    pub(crate) fn catalogue(&self) -> Catalogue {
        self.workspace().catalogue(Kind::Bugs).expect("lists that can be read")
    }

    /// What comes of planting hunks into `list.rs`, each entry of `bugs` without its head.
    pub(crate) fn plant(&self, bugs: &[&str]) -> Result<Planting, Vec<PlaceError>> {
        Planting::new(&self.root(), &entries(bugs))
    }
}

/// A catalogue of the bugs `bug-1`, `bug-2`, … with these hunks.
pub(crate) fn entries(bugs: &[&str]) -> Catalogue {
    let entry = |(number, hunks)| format!("bug-{number}\nwhat: w\nrule: r\ncaught: c\n{hunks}\n\n");
    let text: String = (1..).zip(bugs).map(entry).collect();
    let mut catalogue = Catalogue::default();
    catalogue.add(Path::new("code/count/bugs.txt"), &text).expect("a good list");
    catalogue
}
