//! Writes the copy of a workspace that has the bugs.
//!
//! The copy's manifest is in its directory, and its sources are in `planted-KIND/` below. Cargo tells crates of two
//! workspaces apart by their paths from the root only. With one directory more in that path the copy's crates, built into the
//! same target directory, never pass for the originals, nor for those of a copy of another kind.
//!
//! Only files that differ are written, so that cargo builds again what changed and nothing else.

use crate::catalogue::Catalogue;
use crate::functions::head;
use crate::place::{PlaceError, PlantedFile, Planting};
use crate::workspace::{Kind, Package, Workspace};
use pbft_output::errln;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// What is in the root and not part of the sources, or has its place above them in the copy.
const FOREIGN: [&str; 6] = [".git", "target", "runs", "cluster", "Cargo.toml", "Cargo.lock"];

/// The mark of a copy. Tools that look for it take the directory for one that can be made again.
const MARK: &str = "Signature: 8a477f597d28d172789f06886806bc55\n# Written by pbft-plant; changes here are lost.\n";

const MARK_FILE: &str = "CACHEDIR.TAG";

/// A copy with bugs.
#[derive(Debug)]
pub struct Copy {
    /// The directory with its manifest.
    pub directory: PathBuf,
    /// The files with bugs, by their paths from there.
    pub planted: BTreeMap<PathBuf, PlantedFile>,
    /// Nobody else writes it or builds from it as long as this lives.
    _lock: File,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Bugs cannot be planted.
    #[error("{}", .0.iter().map(PlaceError::to_string).collect::<Vec<_>>().join("\n"))]
    Places(Vec<PlaceError>),
    /// The directory has something else in it.
    #[error("{} is not empty and no copy of this program: name another directory", .0.display())]
    NotOurs(PathBuf),
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A manifest cannot be understood.
    #[error("{}: {why}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A list lies beside no library that could ask which bug is on.
    #[error("{}: must be beside the manifest of a crate with a library that has no `plant.rs`", .0.display())]
    NoLibrary(PathBuf),
}

/// What a program is called in the copy, so that it never replaces the original.
pub fn planted_name(program: &str) -> String {
    format!("{program}-planted")
}

/// Writes the copy to `directory`, or brings the one there up to date.
pub fn write(
    workspace: &Workspace,
    kind: Kind,
    catalogue: &Catalogue,
    directory: &Path,
) -> Result<Copy, CopyError> {
    let mut planting = Planting::new(&workspace.root, catalogue).map_err(CopyError::Places)?;
    let mut changed: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    for package in &workspace.packages {
        let Some(directory) = package.directory(&workspace.root) else { continue };
        let path = directory.join("Cargo.toml");
        let manifest = renamed(package, &read_manifest(&workspace.root, &path)?);
        changed.insert(path, rendered(&manifest));
    }
    let lists = catalogue.entries().iter().map(|entry| &*entry.list);
    for list in lists.collect::<BTreeSet<&Path>>() {
        let library = workspace.library_beside(list);
        let module = library.as_ref().map(|library| library.with_file_name("plant.rs"));
        match (library, module) {
            (Some(library), Some(module)) if !workspace.root.join(&module).exists() => {
                changed.insert(module, switch_module(catalogue).into_bytes());
                declare_switch(workspace, &mut planting, &library)?;
            }
            _ => return Err(CopyError::NoLibrary(list.to_owned())),
        }
    }
    let inner = PathBuf::from(format!("planted-{}", kind.name()));
    let root = moved(read_manifest(&workspace.root, Path::new("Cargo.toml"))?, &inner, workspace)?;
    for (path, file) in &planting.files {
        changed.insert(path.clone(), file.text.clone().into_bytes());
    }
    let lock = claim(directory)?;
    write_changed(&directory.join("Cargo.toml"), &rendered(&root))?;
    let versions = read(&workspace.root.join("Cargo.lock"))?;
    write_changed(&directory.join("Cargo.lock"), &versions)?;
    let copy = directory.join(&inner);
    let mut files = changed.keys().cloned().collect();
    collect(&workspace.root, Path::new(""), &mut files)?;
    fs::create_dir_all(&copy).map_err(at(&copy))?;
    prune(&copy, Path::new(""), &files)?;
    for file in &files {
        let content = changed.remove(file).map_or_else(|| read(&workspace.root.join(file)), Ok)?;
        write_changed(&copy.join(file), &content)?;
    }
    let planted = planting.files.into_iter().map(|(path, file)| (inner.join(path), file));
    Ok(Copy { directory: directory.to_owned(), planted: planted.collect(), _lock: lock })
}

/// Makes the directory and locks it, unless somebody else's files are in it.
fn claim(directory: &Path) -> Result<File, CopyError> {
    let mark = directory.join(MARK_FILE);
    fs::create_dir_all(directory).map_err(at(directory))?;
    let entries = fs::read_dir(directory).map_err(at(directory))?;
    let is_new = entries.flatten().all(|entry| entry.file_name() == MARK_FILE);
    if !is_new && !mark.exists() {
        return Err(CopyError::NotOurs(directory.to_owned()));
    }
    let options = OpenOptions::new().create(true).read(true).append(true).open(&mark);
    let mut file = options.map_err(at(&mark))?;
    if file.try_lock().is_err() {
        errln!("waiting for another program that writes or builds {}", directory.display());
        file.lock().map_err(at(&mark))?;
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(at(&mark))?;
    match text == MARK {
        true => Ok(file),
        false if is_new && text.is_empty() => {
            file.write_all(MARK.as_bytes()).map_err(at(&mark))?;
            Ok(file)
        }
        false => Err(CopyError::NotOurs(directory.to_owned())),
    }
}

/// Adds the files below `root/relative` that belong to the sources.
fn collect(root: &Path, relative: &Path, files: &mut BTreeSet<PathBuf>) -> Result<(), CopyError> {
    let directory = root.join(relative);
    for entry in fs::read_dir(&directory).map_err(at(&directory))? {
        let entry = entry.map_err(at(&directory))?;
        let (path, whole) = (relative.join(entry.file_name()), entry.path());
        if FOREIGN.iter().any(|foreign| path == Path::new(foreign)) {
            continue;
        }
        match whole.is_dir() {
            true if whole.join(MARK_FILE).exists() => {}
            true => collect(root, &path, files)?,
            false => drop(files.insert(path)),
        }
    }
    Ok(())
}

/// Removes from `copy/relative` what is none of these files.
fn prune(copy: &Path, relative: &Path, files: &BTreeSet<PathBuf>) -> Result<(), CopyError> {
    let directory = copy.join(relative);
    for entry in fs::read_dir(&directory).map_err(at(&directory))? {
        let entry = entry.map_err(at(&directory))?;
        let (path, whole) = (relative.join(entry.file_name()), entry.path());
        let is_directory = entry.file_type().map_err(at(&whole))?.is_dir();
        // The first file at or after a directory's path is in it, if any is.
        let kept = files.range(path.clone()..).next().filter(|file| file.starts_with(&path));
        match kept {
            Some(file) if is_directory && *file != path => prune(copy, &path, files)?,
            Some(file) if !is_directory && *file == path => {}
            _ if is_directory => fs::remove_dir_all(&whole).map_err(at(&whole))?,
            _ => fs::remove_file(&whole).map_err(at(&whole))?,
        }
    }
    Ok(())
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> CopyError {
    move |error| CopyError::Io { path: path.to_owned(), error }
}

fn read(path: &Path) -> Result<Vec<u8>, CopyError> {
    fs::read(path).map_err(at(path))
}

fn write_changed(path: &Path, content: &[u8]) -> Result<(), CopyError> {
    match fs::read(path) {
        Ok(there) if there == content => Ok(()),
        _ => {
            let made = path.parent().map_or(Ok(()), fs::create_dir_all);
            made.and_then(|()| fs::write(path, content)).map_err(at(path))
        }
    }
}

/// The module of each crate with bugs that knows which one is on.
fn switch_module(catalogue: &Catalogue) -> String {
    let names = catalogue.entries().iter().map(|entry| format!("    {:?},\n", entry.name));
    let names: String = names.collect();
    format!(
        r#"//! Which bug is on. Written by pbft-plant.

const NAMES: &[&str] = &[
{names}];

static ACTIVE: std::sync::LazyLock<u32> = std::sync::LazyLock::new(|| {{
    let Some(bug) = std::env::var_os("PBFT_PLANT") else {{ return 0 }};
    match NAMES.iter().position(|name| bug == **name) {{
        Some(position) => position as u32 + 1,
        None => panic!("PBFT_PLANT={{}}: there is no such bug in this build", bug.display()),
    }}
}});

pub(crate) fn active() -> u32 {{
    *ACTIVE
}}
"#
    )
}

/// Declares that module at the root of a crate. What the compiler only warns of never stops a bug.
fn declare_switch(
    workspace: &Workspace,
    planting: &mut Planting,
    library: &Path,
) -> Result<(), CopyError> {
    let path = workspace.root.join(library);
    let file = match planting.files.remove(library) {
        Some(file) => file,
        None => {
            let text = fs::read_to_string(&path).map_err(at(&path))?;
            PlantedFile { text, ..PlantedFile::default() }
        }
    };
    let unparsed = |error: syn::Error| CopyError::Manifest { path, why: error.to_string() };
    let end = head(&file.text).map_err(unparsed)?;
    let declared = "\n#![allow(warnings)]\nmod plant;\n";
    let (before, after) = file.text.split_at(end);
    let text = format!("{before}{declared}{after}");
    let moved = |(range, bug): (std::ops::Range<usize>, usize)| {
        (range.start + declared.len()..range.end + declared.len(), bug)
    };
    let bodies = file.bodies.into_iter().map(moved).collect();
    planting.files.insert(library.to_owned(), PlantedFile { text, bodies, ..file });
    Ok(())
}

fn read_manifest(root: &Path, path: &Path) -> Result<Table, CopyError> {
    let path = root.join(path);
    let text = fs::read_to_string(&path).map_err(at(&path))?;
    text.parse()
        .map_err(|error: toml::de::Error| CopyError::Manifest { path, why: error.to_string() })
}

fn rendered(manifest: &Table) -> Vec<u8> {
    manifest.to_string().into_bytes()
}

/// A crate's manifest, in which every program has its planted name.
fn renamed(package: &Package, manifest: &Table) -> Table {
    let mut manifest = manifest.clone();
    let programs = manifest.get("bin").and_then(Value::as_array).cloned().unwrap_or_default();
    let directory = package.manifest_path.parent().unwrap_or(Path::new(""));
    let planted = package.targets.iter().filter(|target| target.is_program()).map(|target| {
        let named =
            |table: &&Table| table.get("name").and_then(Value::as_str) == Some(&target.name);
        let mut program =
            programs.iter().filter_map(Value::as_table).find(named).cloned().unwrap_or_default();
        let path = target.src_path.strip_prefix(directory).unwrap_or(&target.src_path);
        program.insert("name".to_owned(), planted_name(&target.name).into());
        program.insert("path".to_owned(), path.to_string_lossy().into_owned().into());
        Value::Table(program)
    });
    let planted: Vec<Value> = planted.collect();
    manifest.remove("bin");
    if !planted.is_empty() {
        manifest.insert("bin".to_owned(), planted.into());
    }
    if let Some(section) = manifest.get_mut("package").and_then(Value::as_table_mut) {
        section.insert("autobins".to_owned(), false.into());
        if let Some(Value::String(program)) = section.get_mut("default-run") {
            *program = planted_name(program);
        }
    }
    manifest
}

/// The workspace's manifest for sources that are one directory further down, with all lints off.
fn moved(mut manifest: Table, inner: &Path, workspace: &Workspace) -> Result<Table, CopyError> {
    let path = workspace.root.join("Cargo.toml");
    let wrong = |why: &str| CopyError::Manifest { path: path.clone(), why: why.to_owned() };
    if manifest.contains_key("package") {
        return Err(wrong("the root of the workspace must not be a crate itself"));
    }
    let section = manifest.get_mut("workspace").and_then(Value::as_table_mut);
    let section = section.ok_or_else(|| wrong("no [workspace]"))?;
    let further = |path: &mut Value| {
        if let Value::String(path) = path {
            *path = inner.join(&*path).to_string_lossy().into_owned();
        }
    };
    for list in ["members", "exclude", "default-members"] {
        let paths = section.get_mut(list).and_then(Value::as_array_mut);
        paths.into_iter().flatten().for_each(further);
    }
    let dependencies = section.get_mut("dependencies").and_then(Value::as_table_mut);
    for (_, dependency) in dependencies.into_iter().flatten() {
        dependency.get_mut("path").into_iter().for_each(further);
    }
    if section.contains_key("lints") {
        let off = Table::from_iter([("warnings".to_owned(), Value::from("allow"))]);
        let lints = Table::from_iter([("rust".to_owned(), Value::Table(off))]);
        section.insert("lints".to_owned(), lints.into());
    }
    Ok(manifest)
}
