//! The cargo commands that the documentation shows. Shared by the tests of the crates whose tools they run, each of which
//! can ask its own binary for help.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Commands of cargo itself.
const CARGO: [&str; 12] = [
    "bench", "build", "check", "clippy", "doc", "fmt", "install", "mutants", "package", "run",
    "test", "tree",
];

/// A command in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Where, and what.
    pub(crate) place: String,
    /// The tool of this repository that it runs, and what it is told.
    pub(crate) tool: Option<(String, Vec<String>)>,
    /// Whether cargo knows the command, and hands options on to the tool: an alias has the `--` before them already.
    pub(crate) is_known: bool,
}

/// The root of the repository, from a crate's tests.
pub(crate) fn root() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let above = package.as_deref().into_iter().flat_map(Path::ancestors);
    let root = above.into_iter().find(|directory| directory.join("Cargo.lock").exists());
    root.expect("cargo runs the tests of a crate of the workspace").to_owned()
}

/// All commands in README.md, in the READMEs of crates, and below docs/.
pub(crate) fn shown(root: &Path) -> Vec<Shown> {
    let config = read(&root.join(".cargo/config.toml"));
    let mut documents = vec![root.join("README.md"), root.join("model/README.md")];
    for directory in ["docs", "docs/adr"] {
        let entries = fs::read_dir(root.join(directory)).expect("a directory that can be listed");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        documents.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "md")));
    }
    documents.sort();
    let mut all = Vec::new();
    for path in documents {
        let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        all.extend(
            commands(&read(&path)).iter().map(|command| understand(&config, &name, command)),
        );
    }
    all
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The commands that begin with `cargo`, in blocks and between backticks, without comments.
fn commands(document: &str) -> Vec<String> {
    let (mut found, mut text, mut in_block) = (Vec::new(), String::new(), false);
    for line in document.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            let line = line.split(" #").next().unwrap_or_default();
            found.extend(
                line.split("&&").map(|part| part.trim().trim_start_matches("$ ").to_owned()),
            );
        } else {
            text.push_str(line);
            // A paragraph may be broken inside a command; a backtick that is alone must not reach into the next one.
            text.push(if line.is_empty() { '\n' } else { ' ' });
        }
    }
    let spans = text.lines().flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2));
    found.extend(spans.map(str::to_owned));
    found.retain(|command| command.starts_with("cargo "));
    found
}

/// Replaces an alias by what it stands for, and finds the tool.
fn understand(config: &str, document: &str, command: &str) -> Shown {
    let mut words: Vec<String> = command.split_whitespace().skip(1).map(str::to_owned).collect();
    let alias = words.first().and_then(|word| {
        let line = config.lines().find_map(|line| line.strip_prefix(&format!("{word} = \"")));
        line.map(|line| line.trim_end_matches('"').split_whitespace().map(str::to_owned).collect())
    });
    if let Some(meaning) = alias {
        let meaning: Vec<String> = meaning;
        words.splice(..1, meaning);
    }
    let dashes = words.iter().filter(|word| *word == "--").count();
    let is_known = words.first().is_some_and(|word| CARGO.contains(&&**word)) && dashes <= 1;
    let after = |option: &str| {
        let at = words.iter().position(|word| word == option)?;
        words.get(at + 1).cloned()
    };
    let runs = words.first().is_some_and(|word| word == "run") && after("--example").is_none();
    let name = after("--bin").or_else(|| after("-p")).filter(|_| runs);
    let arguments = words.iter().skip_while(|word| *word != "--").skip(1);
    let tool = name.map(|name| (name, arguments.cloned().collect()));
    Shown { place: format!("{document}: {command}"), tool, is_known }
}

/// The commands that run `tool` with a subcommand or an option that its help does not have. `help` runs it with some
/// words, and returns what it prints if it accepts them.
pub(crate) fn outdated(
    all: &[Shown],
    tool: &str,
    help: impl Fn(&[String]) -> Option<String>,
) -> Vec<String> {
    let mut findings = Vec::new();
    for Shown { place, tool: run, .. } in all {
        let Some((_, arguments)) = run.as_ref().filter(|(name, _)| name == tool) else { continue };
        let words: Vec<_> =
            arguments.iter().take_while(|word| !word.starts_with('-')).cloned().collect();
        // Some of the first words are subcommands, and others what they are to work on.
        let answers = (0..=words.len()).rev().find_map(|len| {
            let asked = [&words[..len], &["--help".to_owned()]].concat();
            help(&asked).map(|text| (len, text))
        });
        let Some((len, text)) = answers else {
            findings.push(format!("{place}: {tool} gives no help"));
            continue;
        };
        if len < words.len() && text.contains("\nCommands:") {
            findings.push(format!("{place}: {tool} has no {}", words[len]));
        }
        let options = arguments.iter().filter(|word| word.starts_with("--") && word.len() > 2);
        for option in options {
            let name = option.split('=').next().unwrap_or(option);
            let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-');
            if !text.match_indices(name).any(|(at, _)| ends(&text[at + name.len()..])) {
                findings.push(format!("{place}: {tool} has no {name} there"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[alias]\ndo = \"run --release --package a --bin tool -- check\"\n";

    fn understood(command: &str) -> (bool, Option<String>) {
        let Shown { is_known, tool, .. } = understand(CONFIG, "a.md", command);
        (is_known, tool.map(|(name, arguments)| format!("{name}: {}", arguments.join(" "))))
    }

    #[test]
    fn commands_are_found_in_blocks_and_between_backticks() {
        let document = "`cargo a\n--b` and `c`\n\n```console\n$ cargo d  # e\nX=1 cargo f\n$ cargo g && cargo h\n```\n";
        assert_eq!(commands(document), ["cargo d", "cargo g", "cargo h", "cargo a --b"]);
    }

    #[test]
    fn aliases_stand_for_what_they_mean() {
        let checked = Some("tool: check --all x".to_owned());
        assert_eq!(understood("cargo do --all x"), (true, checked));
        assert_eq!(understood("cargo run -p tool -- list"), (true, Some("tool: list".to_owned())));
        assert_eq!(understood("cargo run -p tool --example x -- list"), (true, None));
        assert_eq!(understood("cargo test --workspace"), (true, None));
        assert_eq!(understood("cargo undo"), (false, None));
        assert!(!understood("cargo do -- --all").0, "the alias has the dashes already");
    }

    #[test]
    fn what_the_help_does_not_have_is_found() {
        let help = |words: &[String]| match words.join(" ").as_str() {
            "--help" => Some("\nCommands:\n  check".to_owned()),
            "check --help" => Some("--all-of-it <N>\n--some".to_owned()),
            _ => None,
        };
        let found =
            |command: &str| outdated(&[understand(CONFIG, "a.md", command)], "tool", help).len();
        assert_eq!(found("cargo do"), 0);
        assert_eq!(found("cargo do file --some --all-of-it=2"), 0);
        assert_eq!(found("cargo do --all"), 1, "a part of an option");
        assert_eq!(found("cargo run -p tool -- repair"), 1, "no such subcommand");
        assert_eq!(found("cargo run -p another -- repair"), 0, "another tool");
    }
}
