//! Everything that is in a directory.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// What there is at a path.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Permission bits and type.
    pub mode: u32,
    /// The content of a file; `None` for anything else.
    pub content: Option<Vec<u8>>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let len = self.content.as_ref().map(Vec::len);
        write!(f, "mode {:o}, {len:?} bytes", self.mode)
    }
}

/// Every path below `directory`, with what is there.
pub fn snapshot(directory: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut entries = BTreeMap::new();
    collect(directory, &mut entries);
    entries
}

fn collect(directory: &Path, entries: &mut BTreeMap<PathBuf, Entry>) {
    for entry in std::fs::read_dir(directory).expect("a directory that can be listed") {
        let path = entry.expect("an entry").path();
        let metadata = path.symlink_metadata().expect("it is there");
        let content = metadata.is_file().then(|| std::fs::read(&path).expect("a readable file"));
        if metadata.is_dir() {
            collect(&path, entries);
        }
        entries.insert(path, Entry { mode: metadata.permissions().mode(), content });
    }
}

/// The paths that are in one snapshot only, or differ.
pub fn differences(
    before: &BTreeMap<PathBuf, Entry>,
    after: &BTreeMap<PathBuf, Entry>,
) -> Vec<PathBuf> {
    let all: BTreeSet<&PathBuf> = before.keys().chain(after.keys()).collect();
    all.into_iter().filter(|path| before.get(*path) != after.get(*path)).cloned().collect()
}

/// Copies a directory with everything in it, permissions included.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a new directory");
    for (path, entry) in snapshot(from) {
        let target = to.join(path.strip_prefix(from).expect("below it"));
        match entry.content {
            Some(content) => std::fs::write(&target, content).expect("written"),
            None => std::fs::create_dir_all(&target).expect("created"),
        }
        let permissions = std::fs::Permissions::from_mode(entry.mode & 0o7777);
        std::fs::set_permissions(&target, permissions).expect("permissions");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_is_seen() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let root = directory.path().join("original");
        std::fs::create_dir_all(root.join("a/b")).expect("created");
        std::fs::write(root.join("a/file"), "text").expect("written");
        type Change = (&'static str, fn(&Path));
        let changes: [Change; 4] = [
            ("a/file", |root| std::fs::write(root.join("a/file"), "texT").expect("written")),
            ("a/new", |root| std::fs::write(root.join("a/new"), "").expect("written")),
            ("a/b", |root| std::fs::remove_dir(root.join("a/b")).expect("removed")),
            ("a/file", |root| {
                let mode = std::fs::Permissions::from_mode(0o600);
                std::fs::set_permissions(root.join("a/file"), mode).expect("changed");
            }),
        ];
        for (number, (path, change)) in changes.iter().enumerate() {
            let root_of_copy = directory.path().join(format!("copy-{number}"));
            copy(&root, &root_of_copy);
            assert_eq!(snapshot(&root_of_copy).len(), snapshot(&root).len(), "a true copy");
            let before = snapshot(&root_of_copy);
            assert!(differences(&before, &snapshot(&root_of_copy)).is_empty());
            change(&root_of_copy);
            let after = snapshot(&root_of_copy);
            assert_eq!(differences(&before, &after), [root_of_copy.join(path)], "{number}");
        }
    }
}
