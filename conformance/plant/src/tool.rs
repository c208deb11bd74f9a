//! For tools that have a bug on in a build of their own: `--planted BUG`, and hunts for all of them.

use crate::build::{BuildError, Profile, Program, Target, build};
use crate::catalogue::{Catalogue, CatalogueError, Entry};
use crate::copy::CopyError;
use crate::place::PlaceError;
use crate::switch::{SwitchError, active_bug, active_of, command, planted_build};
use crate::workspace::{Kind, Workspace, WorkspaceError};
use serde::de::DeserializeOwned;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How often it is looked whether a program has ended.
const TICK: Duration = Duration::from_millis(20);

/// Why a tool does not run with a bug on.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// There is no such bug.
    #[error(
        "there is no bug `{0}`; `cargo plant list` lists them all, `cargo plant list --mutants` those of the model"
    )]
    NoBug(String),
    /// This is a build with bugs, and another one is on.
    #[error("this build has the bug {on:?} on, not `{asked}`")]
    AnotherBug {
        /// What was asked for.
        asked: String,
        /// What is on.
        on: Option<String>,
    },
    /// The environment asks for what this build cannot do.
    #[error(transparent)]
    Switch(#[from] SwitchError),
    /// The sources are not where this tool was built.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// The list of bugs is refused.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// A bug has no place in the sources.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The copy with the bugs cannot be written.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// A list is not in the workspace.
    #[error("{}: {why}", path.display())]
    Path {
        /// The list.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The tool cannot be built with bugs.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The tool cannot be run.
    #[error("{} cannot be run: {error}", program.display())]
    Run {
        /// The planted build.
        program: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The tool with a bug on did not say what came of it.
    #[error("with {bug:?} on it did not end as it should ({end}): {said}")]
    Said {
        /// The bug.
        bug: Option<String>,
        /// How the process ended.
        end: String,
        /// The end of what it said.
        said: String,
    },
}

impl ToolError {
    /// Whether the arguments are wrong, or the environment is.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::NoBug(_) | Self::AnotherBug { .. } | Self::Switch(_))
    }
}

/// The bugs of the workspace that this tool was built in.
pub fn catalogue(kind: Kind) -> Result<Catalogue, ToolError> {
    Ok(workspace()?.catalogue(kind)?)
}

fn workspace() -> Result<Workspace, ToolError> {
    Ok(Workspace::of(Path::new(env!("CARGO_MANIFEST_DIR")))?)
}

/// What a tool does first with its option `--planted BUG`. An ordinary build has a planted one do all the work, with the same
/// arguments, and ends as that did: with the status returned. Nothing is returned where the work is to be done here.
pub fn elsewhere(
    bug: Option<&str>,
    kind: Kind,
    package: &str,
    name: &str,
) -> Result<Option<u8>, ToolError> {
    let on = active_bug()?;
    match bug {
        None => Ok(None),
        Some(asked) if planted_build() => match active_of(kind)?.as_deref() == Some(asked) {
            true => Ok(None),
            false => Err(ToolError::AnotherBug { asked: asked.to_owned(), on }),
        },
        Some(asked) => {
            let planted = Planted::build(kind, package, name, &[asked])?;
            let mut command = command(&planted.program, Some(asked));
            command.args(std::env::args_os().skip(1));
            instead(&mut command).map(Some).map_err(|error| planted.failed(error))
        }
    }
}

/// Runs a program in the place of this one, so that whoever ends this one ends that.
#[cfg(unix)]
fn instead(command: &mut Command) -> io::Result<u8> {
    Err(std::os::unix::process::CommandExt::exec(command))
}

/// Runs a program, and ends as it does.
#[cfg(not(unix))]
fn instead(command: &mut Command) -> io::Result<u8> {
    // Without a status it was killed, and said nothing.
    let code = command.status()?.code();
    Ok(code.and_then(|code| code.try_into().ok()).unwrap_or(3))
}

/// A bug as a diff of the sources as they are now.
pub fn diff(kind: Kind, bug: &str) -> Result<String, ToolError> {
    let workspace = workspace()?;
    let catalogue = workspace.catalogue(kind)?;
    let entry = catalogue.entry(bug).ok_or_else(|| ToolError::NoBug(bug.to_owned()))?;
    Ok(entry.diff(&workspace.root)?)
}

/// A tool that was built with all bugs of a catalogue.
#[derive(Clone, Debug)]
pub struct Planted {
    root: PathBuf,
    program: PathBuf,
    catalogue: Catalogue,
}

impl Planted {
    /// Builds it, unless a bug that is asked for does not exist: a build takes minutes.
    pub fn build(
        kind: Kind,
        package: &str,
        name: &str,
        asked: &[impl AsRef<str>],
    ) -> Result<Self, ToolError> {
        let catalogue = catalogue(kind)?;
        let unknown = asked.iter().find(|bug| catalogue.entry(bug.as_ref()).is_none());
        if let Some(bug) = unknown {
            return Err(ToolError::NoBug(bug.as_ref().to_owned()));
        }
        Self::build_of(kind, catalogue, package, name)
    }

    /// Builds it with these bugs and no others.
    pub fn build_of(
        kind: Kind,
        catalogue: Catalogue,
        package: &str,
        name: &str,
    ) -> Result<Self, ToolError> {
        let workspace = workspace()?;
        let program = Program { package, name, target: Target::Program, profile: Profile::Release };
        let program = build(&workspace, kind, &catalogue, program)?;
        Ok(Self { root: workspace.root, program, catalogue })
    }

    /// The bugs.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Runs it with one bug on, or with none, and reads what it prints: one value as JSON.
    pub fn ask<T: DeserializeOwned>(
        &self,
        bug: Option<&str>,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<T, ToolError> {
        let mut command = command(&self.program, bug);
        let output = command.args(arguments).output().map_err(|error| self.failed(error))?;
        serde_json::from_slice(&output.stdout).map_err(|error| {
            let said = String::from_utf8_lossy(&output.stderr);
            let lines: Vec<&str> = said.lines().rev().take(5).collect();
            let said = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
            let (bug, end) = (bug.map(str::to_owned), format!("{}; {error}", output.status));
            ToolError::Said { bug, end, said }
        })
    }

    /// The same, for at most so long. Nothing is returned where that is over.
    pub fn ask_within<T: DeserializeOwned>(
        &self,
        bug: Option<&str>,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        limit: Duration,
    ) -> Result<Option<T>, ToolError> {
        let mut command = command(&self.program, bug);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut running = command.spawn().map_err(|error| self.failed(error))?;
        let stdout = running.stdout.take();
        let said = std::thread::spawn(move || {
            let mut said = Vec::new();
            stdout.map_or(Ok(0), |mut stdout| stdout.read_to_end(&mut said)).map(|_| said)
        });
        let started = Instant::now();
        let status = loop {
            match running.try_wait().map_err(|error| self.failed(error))? {
                Some(status) => break status,
                None if started.elapsed() < limit => std::thread::sleep(TICK),
                None => {
                    let ended = running.kill().and_then(|()| running.wait());
                    return ended.map(|_| None).map_err(|error| self.failed(error));
                }
            }
        };
        let said = said.join().unwrap_or_else(|_| Ok(Vec::new()));
        let said = said.map_err(|error| self.failed(error))?;
        serde_json::from_slice(&said).map(Some).map_err(|error| {
            let (bug, end) = (bug.map(str::to_owned), format!("{status}; {error}"));
            ToolError::Said { bug, end, said: String::from_utf8_lossy(&said).into_owned() }
        })
    }

    /// Runs it with one bug on, or with none, and gives it `input` to read. What it says meanwhile is part of the answer.
    pub fn tell(
        &self,
        bug: Option<&str>,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        input: &[u8],
    ) -> Result<Output, ToolError> {
        let mut command = command(&self.program, bug);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let running = command.spawn();
        let told = running.and_then(|mut running| {
            // It reads everything before it writes anything, or does not want to know the rest.
            if let Some(mut stdin) = running.stdin.take() {
                stdin.write_all(input).or_else(|error| match error.kind() {
                    io::ErrorKind::BrokenPipe => Ok(()),
                    _ => Err(error),
                })?;
            }
            running.wait_with_output()
        });
        told.map_err(|error| self.failed(error))
    }

    /// A bug as a diff of the sources as they are now.
    pub fn diff(&self, bug: &str) -> Result<String, ToolError> {
        Ok(self.entry(bug)?.diff(&self.root)?)
    }

    /// Writes into a bug's entry what catches it.
    pub fn record(&self, bug: &str, caught: &str) -> Result<(), ToolError> {
        Ok(self.entry(bug)?.record(&self.root, caught)?)
    }

    fn entry(&self, bug: &str) -> Result<&Entry, ToolError> {
        self.catalogue.entry(bug).ok_or_else(|| ToolError::NoBug(bug.to_owned()))
    }

    fn failed(&self, error: io::Error) -> ToolError {
        ToolError::Run { program: self.program.clone(), error }
    }
}
