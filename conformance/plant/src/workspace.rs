//! The workspace that has the bugs' lists, as cargo sees it.

use crate::catalogue::{Catalogue, CatalogueError};
use crate::generate;
use serde::Deserialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A workspace.
#[derive(Clone, Debug, Deserialize)]
pub struct Workspace {
    /// Its directory.
    #[serde(rename = "workspace_root")]
    pub root: PathBuf,
    /// Where cargo builds it.
    #[serde(rename = "target_directory")]
    pub target: PathBuf,
    /// Its crates.
    pub(crate) packages: Vec<Package>,
}

/// A crate of a workspace.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) targets: Vec<Target>,
}

/// What cargo makes of a crate.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    kind: Vec<String>,
    pub(crate) src_path: PathBuf,
}

impl Target {
    pub(crate) fn is_program(&self) -> bool {
        self.kind.iter().any(|kind| kind == "bin")
    }

    fn is_test(&self) -> bool {
        self.kind.iter().any(|kind| kind == "test")
    }

    pub(crate) fn is_library(&self) -> bool {
        self.kind.iter().any(|kind| kind == "lib")
    }
}

/// The lists that go into one copy. Bugs of the code and mutants of its specification never do: they share names, and
/// a comparison of the two would not see what is wrong in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bugs of the production code: each `bugs.txt` beside a crate's manifest.
    Bugs,
    /// Mutants of the specification: each `mutants.txt`.
    Mutants,
    /// Mutants that are made from the specification, without a list: see [`crate::generate`].
    Generated,
    /// Mutants that cargo-mutants makes of the production code.
    Listed,
}

impl Kind {
    /// All that need no other program.
    pub const ALL: [Self; 3] = [Self::Bugs, Self::Mutants, Self::Generated];

    /// The kind of a mutant by its name: only those that are made by rule name a file and a function.
    pub fn of_mutant(name: &str) -> Self {
        if name.contains(':') { Self::Generated } else { Self::Mutants }
    }

    /// What they are called in a sentence.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Bugs => "bugs",
            Self::Mutants => "mutants",
            Self::Generated => "mutants made by rule",
            Self::Listed => "mutants of cargo-mutants",
        }
    }

    /// What its files are called, without `.txt`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bugs => "bugs",
            Self::Mutants => "mutants",
            Self::Generated => "generated",
            Self::Listed => "listed",
        }
    }
}

/// Why cargo does not say what the workspace is.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// Cargo cannot be started.
    #[error("cargo cannot be started: {0}")]
    NoCargo(std::io::Error),
    /// Cargo refuses.
    #[error("cargo metadata in {}: {said}", directory.display())]
    Refused {
        /// Where it was asked.
        directory: PathBuf,
        /// Its answer.
        said: String,
    },
    /// Its answer is not understood.
    #[error("cargo metadata: {0}")]
    Answer(#[from] serde_json::Error),
}

impl Workspace {
    /// The workspace of a directory.
    pub fn of(directory: &Path) -> Result<Self, WorkspaceError> {
        let mut cargo = cargo();
        cargo.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(directory);
        let output = cargo.output().map_err(WorkspaceError::NoCargo)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(WorkspaceError::Refused { directory: directory.to_owned(), said });
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// The lists of one kind, relative to the root.
    fn lists(&self, kind: Kind) -> Vec<PathBuf> {
        let file = format!("{}.txt", kind.name());
        let mut lists: Vec<PathBuf> = self
            .packages
            .iter()
            .filter_map(|package| Some(package.directory(&self.root)?.join(&file)))
            .filter(|list| self.root.join(list).exists())
            .collect();
        lists.sort();
        lists
    }

    /// The programs of a crate.
    pub fn programs(&self, package: &str) -> Vec<String> {
        self.targets(package, Target::is_program)
    }

    /// The programs that run tests of a crate.
    pub fn tests(&self, package: &str) -> Vec<String> {
        self.targets(package, Target::is_test)
    }

    /// The manifest of a crate, relative to the root.
    pub(crate) fn manifest(&self, package: &str) -> PathBuf {
        let package = self.packages.iter().find(|one| one.name == package);
        let directory = package.and_then(|one| one.directory(&self.root));
        directory.unwrap_or(Path::new("")).join("Cargo.toml")
    }

    fn targets(&self, package: &str, wanted: fn(&Target) -> bool) -> Vec<String> {
        let packages = self.packages.iter().filter(|one| one.name == package);
        let targets = packages.flat_map(|one| one.targets.iter().filter(|one| wanted(one)));
        targets.map(|target| target.name.clone()).collect()
    }

    /// The root of the library of the crate that a list is about.
    pub(crate) fn library_beside(&self, list: &Path) -> Option<PathBuf> {
        let is_beside = |one: &&Package| one.directory(&self.root) == list.parent();
        let package = self.packages.iter().find(is_beside)?;
        let library = package.targets.iter().find(|target| target.is_library())?;
        library.src_path.strip_prefix(&self.root).ok().map(ToOwned::to_owned)
    }

    /// What the lists of one kind say, or the sources.
    pub fn catalogue(&self, kind: Kind) -> Result<Catalogue, CatalogueError> {
        match kind {
            Kind::Generated => generate::buildable(&self.root),
            Kind::Listed => generate::listed(&self.root),
            Kind::Bugs | Kind::Mutants => Catalogue::read(&self.root, &self.lists(kind)),
        }
    }
}

impl Package {
    /// Its directory, relative to the root.
    pub(crate) fn directory(&self, root: &Path) -> Option<&Path> {
        self.manifest_path.parent()?.strip_prefix(root).ok()
    }
}

/// Cargo, as it would be run by hand: without what an outer `cargo run` tells the program that it runs, which would make
/// build scripts run again.
pub(crate) fn cargo() -> Command {
    const TOLD: [&str; 5] =
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or(OsString::from("cargo")));
    for (name, _) in std::env::vars_os() {
        if TOLD.iter().any(|told| name.to_string_lossy().starts_with(told)) {
            command.env_remove(name);
        }
    }
    command.env_remove("CARGO").env_remove("OUT_DIR").env_remove(crate::switch::BUG);
    command
}
