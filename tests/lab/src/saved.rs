//! Sessions in files: the commands, what the correct replicas did, and a picture.

use super::cluster::Setup;
use super::diagram;
use super::session::{LabError, Session};
use super::words::list;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The longest script that is read, in bytes.
const SCRIPT_BYTES_MAX: u64 = 1 << 20;

/// The name of the commands in a directory.
const SCRIPT: &str = "session.lab";

/// Why a session cannot be saved or loaded.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The operating system refuses.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Something else is there.
    #[error("{path} is there already and is no session of the lab; choose another name", path = .0.display())]
    Occupied(PathBuf),
    /// It is too long for a script.
    #[error("{path}: more than {SCRIPT_BYTES_MAX} bytes are no session of the lab", path = .0.display())]
    TooLong(PathBuf),
    /// The session cannot be played again.
    #[error("the session cannot be played again: {0}")]
    Replay(String),
}

impl SaveError {
    fn of(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::File { path: path.to_owned(), source }
    }
}

/// The command that makes such a cluster.
#[must_use]
pub fn new_line(setup: &Setup) -> String {
    let byzantine =
        if setup.byzantine.is_empty() { "nobody".to_owned() } else { list(&setup.byzantine) };
    format!("new {} byzantine {byzantine}", setup.replicas)
}

/// Writes a file. A directory in between is made.
pub fn write(path: &Path, bytes: &[u8]) -> Result<String, SaveError> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(SaveError::of(parent))?;
    }
    fs::write(path, bytes).map_err(SaveError::of(path))?;
    Ok(format!("written: {}", path.display()))
}

/// The recordings of the correct replicas: file names and contents.
pub fn recordings(session: &Session) -> Result<Vec<(String, Vec<u8>)>, LabError> {
    let mut again = session.again()?;
    again.cluster.stop();
    let recordings = again.cluster.world().recordings().into_iter();
    Ok(recordings.map(|(host, bytes)| (format!("r{host}.jsonl"), bytes)).collect())
}

/// Saves a session, and says what was written.
pub fn save(session: &Session, path: &Path) -> Result<String, SaveError> {
    let script = session.script.join("\n") + "\n";
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("svg") => return write(path, diagram::draw(session).as_bytes()),
        Some("lab") => return write(path, script.as_bytes()),
        _ => {}
    }
    let entries = path.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    if path.is_file() || (entries && !path.join(SCRIPT).is_file()) {
        return Err(SaveError::Occupied(path.to_owned()));
    }
    let recordings = recordings(session).map_err(|error| SaveError::Replay(error.to_string()))?;
    write(&path.join(SCRIPT), script.as_bytes())?;
    write(&path.join("session.svg"), diagram::draw(session).as_bytes())?;
    let mut files = Vec::new();
    for (name, bytes) in recordings {
        write(&path.join(&name), &bytes)?;
        files.push(name);
    }
    Ok(format!("written: {}/ with {SCRIPT}, session.svg, {}", path.display(), files.join(", ")))
}

/// Reads a saved session: its name, and the commands.
pub fn read(path: &Path) -> Result<(String, String), SaveError> {
    let file = if path.is_dir() { path.join(SCRIPT) } else { path.to_owned() };
    let metadata = fs::metadata(&file).map_err(SaveError::of(&file))?;
    if metadata.len() > SCRIPT_BYTES_MAX {
        return Err(SaveError::TooLong(file));
    }
    let script = fs::read_to_string(&file).map_err(SaveError::of(&file))?;
    Ok((file.display().to_string(), script))
}
