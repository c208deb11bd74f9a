//! Builds a program of the copy, and tells which bug a mistake of the compiler is about.

use crate::catalogue::{Catalogue, Entry};
use crate::copy::{self, Copy, CopyError, planted_name};
use crate::switch;
use crate::workspace::{Kind, Workspace, cargo};
use pbft_output::errln;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// What to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program<'a> {
    /// The crate.
    pub package: &'a str,
    /// Its program or its tests, as they are called in the sources.
    pub name: &'a str,
    /// Which of the two.
    pub target: Target,
    /// How it is compiled.
    pub profile: Profile,
}

/// What there is of a crate to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A program.
    Program,
    /// A program that runs tests.
    Tests,
}

/// How a program is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// To be fast.
    Release,
    /// To be built fast.
    Dev,
}

/// Why there is no program with bugs.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The copy cannot be written.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// There is no such program or test.
    #[error("`{package}` has no such program or test as `{program}` in this workspace{}", among(.known))]
    NoProgram {
        /// The crate.
        package: String,
        /// Its name.
        program: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// Cargo cannot be run.
    #[error("cargo cannot be run: {0}")]
    Cargo(#[from] io::Error),
    /// Bugs do not compile.
    #[error("{}", .0.iter().map(Refused::to_string).collect::<Vec<_>>().join("\n"))]
    Refused(Vec<Refused>),
    /// The copy does not compile, and no bug is the reason.
    #[error("the copy in {} cannot be built:\n{errors}", directory.display())]
    Failed {
        /// The copy.
        directory: PathBuf,
        /// What the compiler says.
        errors: String,
    },
}

/// A bug that the compiler does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bug {bug}: {errors}\n{}:{line}: `{bug}` is\n{diff}", list.display())]
pub struct Refused {
    /// The bug.
    pub bug: String,
    /// The list with its entry.
    pub list: PathBuf,
    /// The line of the list with its name.
    pub line: usize,
    /// What the compiler says.
    pub errors: String,
    /// The bug as a diff.
    pub diff: String,
}

/// Builds a program with all bugs of a catalogue, and returns where it is. What was built before is built again only where
/// sources or bugs have changed.
pub fn build(
    workspace: &Workspace,
    kind: Kind,
    catalogue: &Catalogue,
    program: Program<'_>,
) -> Result<PathBuf, BuildError> {
    let known = match program.target {
        Target::Program => workspace.programs(program.package),
        Target::Tests => workspace.tests(program.package),
    };
    if !known.iter().any(|name| name == program.name) {
        let (package, program) = (program.package.to_owned(), program.name.to_owned());
        return Err(BuildError::NoProgram { package, program, known });
    }
    let directory = workspace.target.join("plant").join(kind.name());
    let copy = copy::write(workspace, kind, catalogue, &directory)?;
    let bugs = catalogue.entries().len();
    let name = match program.target {
        Target::Program => planted_name(program.name),
        Target::Tests => program.name.to_owned(),
    };
    errln!("building {name} with {bugs} {} (minutes the first time)", kind.noun());
    let mut cargo = cargo();
    // From the root of the workspace, so that its configuration counts.
    cargo.current_dir(&workspace.root).arg("build").arg("--quiet").arg("--locked");
    cargo.arg("--manifest-path").arg(directory.join("Cargo.toml"));
    let target = match program.target {
        Target::Program => "--bin",
        Target::Tests => "--test",
    };
    // With the features of the whole workspace, so that the dependencies that were built for the originals serve here, too.
    cargo.args(["--workspace", target, &name, "--message-format", "json"]);
    let built = match program.profile {
        Profile::Release => "release",
        Profile::Dev => "debug",
    };
    if program.profile == Profile::Release {
        cargo.arg("--release");
    }
    if program.target == Target::Tests {
        // Tests know their crate's programs by the names in the sources. Those of another crate may have the same name, and
        // must compile, too.
        for name in workspace.packages.iter().flat_map(|one| workspace.programs(&one.name)) {
            let path = workspace.target.join(built).join(planted_name(&name));
            cargo.env(format!("CARGO_BIN_EXE_{name}"), path);
        }
    }
    cargo.env("CARGO_TARGET_DIR", &workspace.target).env(switch::BUILD, kind.name());
    let mut running = cargo.stdout(Stdio::piped()).spawn()?;
    let mut said = Said { manifest: workspace.manifest(program.package), ..Said::default() };
    let lines = running.stdout.take().map(|stdout| BufReader::new(stdout).lines());
    for line in lines.into_iter().flatten() {
        said.take(&line?, &name);
    }
    let status = running.wait()?;
    match said.executable {
        Some(executable) if status.success() => Ok(executable),
        _ => Err(mistakes(workspace, catalogue, &copy, &said.errors)),
    }
}

/// A line of what cargo says.
#[derive(Deserialize)]
struct Line {
    message: Option<Message>,
    target: Option<Named>,
    executable: Option<PathBuf>,
    manifest_path: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// What the compiler says.
#[derive(Deserialize)]
struct Message {
    level: String,
    #[serde(default)]
    rendered: Option<String>,
    spans: Vec<Span>,
    children: Vec<Self>,
}

#[derive(Deserialize)]
struct Span {
    file_name: PathBuf,
    byte_start: usize,
    is_primary: bool,
    expansion: Option<Box<Expansion>>,
}

#[derive(Deserialize)]
struct Expansion {
    span: Span,
}

#[derive(Default)]
struct Said {
    /// The manifest of the crate that the program is of, from the root.
    manifest: PathBuf,
    executable: Option<PathBuf>,
    errors: Vec<Message>,
}

impl Said {
    fn take(&mut self, line: &str, program: &str) {
        // Build scripts and the compiler's plugins may print what they like.
        let Ok(line) = serde_json::from_str::<Line>(line) else { return };
        if let Some(message) = line.message.filter(|message| message.level == "error") {
            self.errors.push(message);
        }
        let is_it = line.target.is_some_and(|target| target.name == program)
            && line.manifest_path.is_some_and(|path| path.ends_with(&self.manifest));
        if is_it && line.executable.is_some() {
            self.executable = line.executable;
        }
    }
}

impl Message {
    /// Every place that it speaks of, those it is about first.
    fn places(&self) -> Vec<(&Path, usize)> {
        let mut spans: Vec<&Span> = self.spans.iter().collect();
        spans.sort_by_key(|span| !span.is_primary);
        let mut places = Vec::new();
        for mut span in spans {
            places.push((&*span.file_name, span.byte_start));
            while let Some(expansion) = &span.expansion {
                span = &expansion.span;
                places.push((&*span.file_name, span.byte_start));
            }
        }
        places.extend(self.children.iter().flat_map(Self::places));
        places
    }

    /// The bug in whose body one of those places is.
    fn bug<'a>(&self, catalogue: &'a Catalogue, copy: &Copy) -> Option<&'a Entry> {
        self.places().into_iter().find_map(|(file, at)| {
            let bodies = &copy.planted.get(file)?.bodies;
            let (_, number) = bodies.iter().find(|(body, _)| body.contains(&at))?;
            catalogue.entries().get(number - 1)
        })
    }
}

/// The compiler's errors, by bug.
fn mistakes(
    workspace: &Workspace,
    catalogue: &Catalogue,
    copy: &Copy,
    errors: &[Message],
) -> BuildError {
    let mut by_bug: BTreeMap<usize, Refused> = BTreeMap::new();
    let mut others = String::new();
    for message in errors {
        let text = message.rendered.as_deref().unwrap_or_default();
        let Some(entry) = message.bug(catalogue, copy) else {
            others += text;
            continue;
        };
        let number = catalogue.entries().iter().position(|one| one.name == entry.name);
        let refused = by_bug.entry(number.unwrap_or_default()).or_insert_with(|| Refused {
            bug: entry.name.clone(),
            list: entry.list.clone(),
            line: entry.line,
            errors: String::new(),
            diff: entry.diff(&workspace.root).unwrap_or_else(|error| error.to_string()),
        });
        refused.errors += text;
    }
    match by_bug.is_empty() {
        true => BuildError::Failed { directory: copy.directory.clone(), errors: others },
        false => BuildError::Refused(by_bug.into_values().collect()),
    }
}

fn among(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!(": it has {}", names.join(", ")),
    }
}
