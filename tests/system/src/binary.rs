//! Finds the `pbft` command that the tests and the experiments run.
//!
//! Cargo builds the binary of a package for that package's own integration tests only, so for what is here
//! nobody has built it. The first that needs it asks cargo for it, in the same target directory and profile, with
//! the features of the whole workspace: nearly all that it depends on was built for the tests. No crate of this workspace has
//! a feature, so the code is the production binary's.
//! Cargo's own lock keeps several test processes from building at the same time.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// What cargo tells a test about the package that it belongs to. Build scripts of dependencies look at some of these;
/// passed on, they would make cargo build those dependencies anew every time.
const ABOUT_THIS_PACKAGE: [&str; 7] = [
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_MANIFEST_LINKS",
    "CARGO_CRATE_NAME",
    "CARGO_BIN_NAME",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_TARGET_TMPDIR",
];

/// The `pbft` command, built if it is not there or not up to date; or another one, if `PBFT_BINARY` names it.
pub fn pbft_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let named = || std::env::var_os("PBFT_BINARY").map(PathBuf::from);
    BINARY.get_or_init(|| named().unwrap_or_else(|| build(&["--bin", "pbft"], "pbft")))
}

/// The root of the workspace. What cargo says now counts more than what it said when it built the tests: the same target
/// directory may serve two checkouts.
pub fn workspace_root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR");
    let package = package.map_or(PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let root = package.ancestors().find(|above| above.join("Cargo.lock").exists());
    root.expect("the crate is in a workspace").to_owned()
}

/// A file in the target directory that serialises clusters of several test processes.
pub fn turn_file() -> PathBuf {
    let executable = own_executable();
    let top = executable.ancestors().skip(1).find(|one| one.join(Layout::MARK).exists());
    match top {
        Some(top) => top.join("pbft-e2e.turn"),
        None => executable.with_file_name("pbft-e2e.turn"),
    }
}

fn own_executable() -> PathBuf {
    std::env::current_exe().expect("a running program has a path")
}

/// An example of the node, built if it is not there or not up to date.
pub fn example(name: &str) -> PathBuf {
    build(&["--example", name], name)
}

/// A program of the workspace: what `cargo test --workspace` has built for its own package's tests, or, where that was not
/// asked for, built now. Who runs one test alone may get the program of an earlier build.
pub fn program(name: &str) -> PathBuf {
    let executable = own_executable();
    let profile = executable.ancestors().nth(2).map(|directory| directory.join(name));
    profile.filter(|path| path.exists()).unwrap_or_else(|| build(&["--bin", name], name))
}

/// Cargo, called in the workspace, without the network, for the target directory that this program is in.
pub fn cargo() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace_root()).env("CARGO_NET_OFFLINE", "true");
    if let Some(directory) = Layout::of(&own_executable()).target_directory {
        command.env("CARGO_TARGET_DIR", directory);
    }
    let package = std::env::vars_os().map(|(name, _)| name);
    for name in package.filter(|name| name.to_string_lossy().starts_with("CARGO_PKG_")) {
        command.env_remove(name);
    }
    for name in ABOUT_THIS_PACKAGE {
        command.env_remove(name);
    }
    command
}

/// Builds an executable of the node in the profile of this program.
fn build(target: &[&str], name: &str) -> PathBuf {
    let mut command = cargo();
    command.args(["build", "--workspace"]).args(target);
    command.arg("--message-format=json-render-diagnostics");
    command.args(Layout::of(&own_executable()).arguments());
    let output = command.stderr(Stdio::inherit()).output().expect("cargo runs");
    assert!(output.status.success(), "cargo cannot build {name}: {}", output.status);
    executable_in(&output.stdout, name).expect("cargo names the executable that it built")
}

/// The executable of this name in cargo's messages.
fn executable_in(messages: &[u8], name: &str) -> Option<PathBuf> {
    let messages = messages.split(|byte| *byte == b'\n');
    let values = messages.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    let named = values.filter(|message| message["target"]["name"] == name);
    named.filter_map(|message| Some(message["executable"].as_str()?.into())).next_back()
}

/// Where in which target directory an executable is: `TARGET_DIRECTORY/[TRIPLE/]PROFILE/{deps,examples}/NAME`, or, for
/// a binary, `TARGET_DIRECTORY/[TRIPLE/]PROFILE/NAME`.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    target_directory: Option<PathBuf>,
    triple: Option<String>,
    profile: String,
}

impl Layout {
    /// Cargo marks the top of its target directory with this file.
    const MARK: &str = "CACHEDIR.TAG";

    fn of(executable: &Path) -> Self {
        let marked = |directory: &&Path| directory.join(Self::MARK).exists();
        let top = executable.ancestors().skip(1).find(marked);
        Self::below(top, executable)
    }

    fn below(top: Option<&Path>, executable: &Path) -> Self {
        let below = top.and_then(|top| executable.strip_prefix(top).ok()).unwrap_or(executable);
        let names: Vec<_> = below.iter().map(|name| name.to_string_lossy().into_owned()).collect();
        let deps = names.iter().rposition(|name| name == "deps" || name == "examples");
        let own = names.len().checked_sub(1).filter(|_| top.is_some());
        let deps = deps.or(own);
        let profile = deps.and_then(|deps| names.get(deps.checked_sub(1)?)).cloned();
        let triple = deps.and_then(|deps| names.get(deps.checked_sub(2)?)).cloned();
        Self {
            target_directory: top.map(Path::to_owned),
            triple: triple.filter(|_| top.is_some()),
            profile: profile.unwrap_or_else(|| "debug".into()),
        }
    }

    fn arguments(&self) -> Vec<String> {
        let profile = match self.profile.as_str() {
            "debug" => "dev",
            other => other,
        };
        let mut arguments = vec!["--profile".to_owned(), profile.to_owned()];
        if let Some(directory) = &self.target_directory {
            arguments.extend(["--target-dir".to_owned(), directory.display().to_string()]);
        }
        if let Some(triple) = &self.triple {
            arguments.extend(["--target".to_owned(), triple.clone()]);
        }
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(top: Option<&str>, executable: &str) -> String {
        Layout::below(top.map(Path::new), Path::new(executable)).arguments().join(" ")
    }

    #[test]
    fn the_layout_of_the_target_directory_is_understood() {
        assert_eq!(arguments(Some("/t"), "/t/debug/deps/e2e-1"), "--profile dev --target-dir /t");
        assert_eq!(
            arguments(Some("/t"), "/t/release/deps/e2e-1"),
            "--profile release --target-dir /t"
        );
        assert_eq!(
            arguments(Some("/t"), "/t/release/examples/measure"),
            "--profile release --target-dir /t"
        );
        assert_eq!(
            arguments(Some("/t"), "/t/release/pbft-sim"),
            "--profile release --target-dir /t"
        );
        assert_eq!(
            arguments(Some("/t"), "/t/x86_64-unknown-linux-gnu/release/deps/e2e-1"),
            "--profile release --target-dir /t --target x86_64-unknown-linux-gnu"
        );
        assert_eq!(arguments(None, "/elsewhere/e2e-1"), "--profile dev");
    }

    #[test]
    fn the_executable_is_found_among_the_messages() {
        let messages = br#"not json
{"reason":"compiler-artifact","target":{"name":"pbft_node"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"pbft"},"executable":"/t/debug/pbft"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable_in(messages, "pbft"), Some("/t/debug/pbft".into()));
        assert_eq!(executable_in(b"{}", "pbft"), None);
    }
}
