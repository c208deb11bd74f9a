//! Directories as the disk has them.

use std::fs::File;
use std::io;
use std::path::Path;

/// Waits until the names in a directory are on the disk. A file that is synced and whose name is not can be gone after a
/// power failure, and with it the votes in it.
pub fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The same for the directory that `path` is in.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => sync(Path::new(".")),
        Some(parent) => sync(parent),
        None => Ok(()),
    }
}
