//! How many commits were acknowledged, in a small file beside the store.
//!
//! The database's one-phase commit has a gap: after a crash, a last commit that does not verify is taken for one that
//! was cut off, and the one before it is opened without a word. It was cut off only if it was never acknowledged. So
//! every commit has a number, and the number of the last acknowledged one is written here, after the commit and
//! without waiting for the disk. A store with fewer commits has lost some that messages already depended on.
//!
//! What a process wrote survives its death, whenever the disk gets it. After a power failure the number may be an
//! older one; the check is then weaker, and never wrong.

use super::StoreError;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// The file's name.
pub(super) const SEAL_FILE: &str = "store.seal";

const PREFIX: &str = "commits = ";

/// The open file.
#[derive(Debug)]
pub(super) struct Seal {
    file: File,
    path: PathBuf,
}

impl Seal {
    /// Makes the file for a new store.
    pub(super) fn create(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(SEAL_FILE);
        let file = File::create_new(&path).map_err(|source| io(&path, source))?;
        let seal = Self { file, path };
        seal.write(0)?;
        seal.sync()?;
        Ok(seal)
    }

    /// Opens the file, with the number in it.
    pub(super) fn open(directory: &Path) -> Result<(Self, u64), StoreError> {
        let path = directory.join(SEAL_FILE);
        let mut options = File::options();
        let file = match options.read(true).write(true).open(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(StoreError::Corrupt { path, what: "it is missing".to_owned() });
            }
            file => file.map_err(|source| io(&path, source))?,
        };
        let mut bytes = [0; line(0).len()];
        let commits = match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => parse(&bytes),
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => None,
            Err(source) => return Err(io(&path, source)),
        };
        match commits {
            Some(commits) => Ok((Self { file, path }, commits)),
            None => Err(StoreError::Corrupt { path, what: "it holds no number".to_owned() }),
        }
    }

    /// Writes the number. The line's length never changes, so there is nothing but the number to be written.
    pub(super) fn write(&self, commits: u64) -> Result<(), StoreError> {
        self.file.write_all_at(&line(commits), 0).map_err(|source| io(&self.path, source))
    }

    /// Waits until it is on the disk.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_all().map_err(|source| io(&self.path, source))
    }
}

/// The line with this number, in 20 digits.
const fn line(commits: u64) -> [u8; PREFIX.len() + 21] {
    let mut line = [b'\n'; PREFIX.len() + 21];
    let mut at = 0;
    while at < PREFIX.len() {
        line[at] = PREFIX.as_bytes()[at];
        at += 1;
    }
    let (mut rest, mut at) = (commits, PREFIX.len() + 20);
    while at > PREFIX.len() {
        at -= 1;
        line[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    line
}

fn parse(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.strip_prefix(PREFIX)?.strip_suffix('\n')?.parse().ok()
}

fn io(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_it_was_written() {
        for commits in [0, 7, 1234567890, u64::MAX] {
            assert_eq!(parse(&line(commits)), Some(commits));
        }
        assert_eq!(&line(42), b"commits = 00000000000000000042\n");
        assert_eq!(parse(b"commits = 0000000000000000004x\n"), None);
    }
}
