//! Which crate may know of which.

use crate::source::Text;
use std::path::Path;
use toml::{Table, Value};

/// The crates of this workspace, and which of the others each may depend on. What model and core share is nothing:
/// otherwise conformance would prove a thing equal to itself. All programs print in one way, which knows nothing of the
/// protocol.
const OURS: [(&str, &str, &[&str]); 17] = [
    ("impl/output/Cargo.toml", "pbft-output", &[]),
    ("model/spec/Cargo.toml", "pbft-model", &[]),
    (
        "model/checker/Cargo.toml",
        "pbft-checker",
        &["pbft-model", "pbft-output", "pbft-picture", "pbft-plant", "pbft-proof"],
    ),
    ("model/picture/Cargo.toml", "pbft-picture", &["pbft-output"]),
    ("model/proof/Cargo.toml", "pbft-proof", &["pbft-output", "pbft-picture"]),
    ("impl/core/Cargo.toml", "pbft-core", &[]),
    ("impl/host/Cargo.toml", "pbft-host", &["pbft-core"]),
    ("impl/node/Cargo.toml", "pbft-node", &["pbft-core", "pbft-host", "pbft-ledger"]),
    ("impl/ledger/Cargo.toml", "pbft-ledger", &["pbft-core", "pbft-node"]),
    ("impl/cli/Cargo.toml", "pbft-cli", &["pbft-core", "pbft-ledger", "pbft-node", "pbft-output"]),
    (
        "conformance/Cargo.toml",
        "pbft-conformance",
        &[
            "pbft-checker",
            "pbft-core",
            "pbft-host",
            "pbft-model",
            "pbft-node",
            "pbft-output",
            "pbft-plant",
            "pbft-proof",
        ],
    ),
    ("conformance/plant/Cargo.toml", "pbft-plant", &["pbft-output"]),
    (
        "tests/sim/Cargo.toml",
        "pbft-sim",
        &[
            "pbft-checker",
            "pbft-conformance",
            "pbft-core",
            "pbft-host",
            "pbft-model",
            "pbft-node",
            "pbft-output",
            "pbft-plant",
        ],
    ),
    (
        "tests/lab/Cargo.toml",
        "pbft-lab",
        &[
            "pbft-checker",
            "pbft-conformance",
            "pbft-core",
            "pbft-host",
            "pbft-node",
            "pbft-output",
            "pbft-plant",
            "pbft-sim",
        ],
    ),
    (
        "tests/system/Cargo.toml",
        "pbft-tests",
        &[
            "pbft-cli",
            "pbft-conformance",
            "pbft-core",
            "pbft-experiments",
            "pbft-host",
            "pbft-ledger",
            "pbft-model",
            "pbft-node",
            "pbft-output",
            "pbft-sim",
        ],
    ),
    (
        "tests/experiments/Cargo.toml",
        "pbft-experiments",
        &[
            "pbft-checker",
            "pbft-cli",
            "pbft-core",
            "pbft-lab",
            "pbft-ledger",
            "pbft-node",
            "pbft-output",
            "pbft-plant",
            "pbft-sim",
            "pbft-tests",
        ],
    ),
    (
        "tests/cli/Cargo.toml",
        "pbft-sim-cli",
        &[
            "pbft-checker",
            "pbft-conformance",
            "pbft-core",
            "pbft-experiments",
            "pbft-lab",
            "pbft-output",
            "pbft-plant",
            "pbft-sim",
        ],
    ),
];

/// The crates that others would use. Each has what a registry shows, and can be packaged without the rest.
pub(crate) const FOR_OTHERS: [&str; 4] = ["impl/core", "impl/host", "impl/node", "model/spec"];

/// The categories of crates.io that are used.
const CATEGORIES: [&str; 5] = [
    "algorithms",
    "data-structures",
    "database-implementations",
    "network-programming",
    "simulation",
];

/// What a registry would refuse, or its readers would miss, of a crate for others.
pub(crate) fn unfit_for_others(root: &Path, directory: &str) -> Vec<String> {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let home = root.join(directory);
    let manifest: Table = read(&home.join("Cargo.toml")).parse().unwrap_or_default();
    let workspace: Table = read(&root.join("Cargo.toml")).parse().unwrap_or_default();
    let get = |table: &Table, key: &str| table.get(key).and_then(Value::as_table).cloned();
    let package = get(&manifest, "package").unwrap_or_default();
    let list = |key: &str| {
        let values = package.get(key).and_then(Value::as_array).into_iter().flatten();
        values.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut findings = Vec::new();
    let mut demand = |holds: bool, what: &str| {
        if !holds {
            findings.push(format!("{directory}: {what}"));
        }
    };
    let description = package.get("description").and_then(Value::as_str).unwrap_or_default();
    demand((20..=130).contains(&description.chars().count()), "a description of a line");
    demand(!description.ends_with('.'), "a description without a full stop");
    let keywords = list("keywords");
    let is_keyword = |word: &String| word.len() <= 20 && word.is_ascii();
    demand((1..=5).contains(&keywords.len()), "one to five keywords");
    demand(keywords.iter().all(is_keyword), "keywords of at most twenty characters");
    let categories = list("categories");
    demand((1..=5).contains(&categories.len()), "one to five categories");
    demand(categories.iter().all(|one| CATEGORIES.contains(&&**one)), "known categories");
    demand(["license", "rust-version"].iter().all(|key| package.contains_key(*key)), "a licence");
    let readme = package.get("readme").and_then(Value::as_str).unwrap_or_default();
    demand(!readme.is_empty() && read(&home.join(readme)).starts_with("# "), "a README");
    let front = read(&home.join("src/lib.rs"));
    let front = front.lines().take_while(|line| line.starts_with("//!"));
    demand(front.filter(|line| *line == "//! ```").count() >= 2, "an example that runs, in front");
    // Packaged alone, a crate finds the others by their versions.
    let all = get(&workspace, "workspace").unwrap_or_default();
    let version = get(&all, "package").and_then(|package| package.get("version").cloned());
    let known = get(&all, "dependencies").unwrap_or_default();
    for name in dependencies(&manifest, &["dependencies"]) {
        let ours = OURS.iter().any(|(_, own, _)| *own == name);
        let wanted = known.get(&name).and_then(|known| known.get("version"));
        demand(!ours || wanted == version.as_ref(), &format!("the version of {name}"));
    }
    findings
}

/// All that the core may depend on: no runtime, no clock, no chance, no logger.
const CORE: [&str; 3] = ["serde", "sha2", "thiserror"];

/// All that the host may depend on: the core, and what turns values into bytes.
const HOST: [&str; 4] = ["pbft-core", "bincode", "serde", "thiserror"];

/// Crates that must not be in the production binary.
const VERIFICATION: [&str; 1] = ["stateright"];

/// Crates that who embeds a replica must not get with it: they are the command's. The ledger is one service of many.
const COMMAND: [&str; 8] = [
    "clap",
    "clap_complete",
    "comfy-table",
    "hdrhistogram",
    "pbft-ledger",
    "pbft-output",
    "tracing-appender",
    "tracing-subscriber",
];

/// Names of the dependencies in every table of a manifest whose name ends with one of `kinds`, those of targets
/// included.
pub(crate) fn dependencies(manifest: &Table, kinds: &[&str]) -> Vec<String> {
    let mut names = Vec::new();
    for (key, value) in manifest {
        let Value::Table(table) = value else { continue };
        match kinds.contains(&key.as_str()) {
            true => names.extend(table.iter().map(|(name, value)| {
                let renamed = value.get("package").and_then(Value::as_str);
                renamed.unwrap_or(name).to_owned()
            })),
            false if key == "target" => {
                let targets = table.values().filter_map(Value::as_table);
                names.extend(targets.flat_map(|target| dependencies(target, kinds)));
            }
            false => {}
        }
    }
    names
}

/// Crates depend only on whom they may.
pub(crate) fn crates_know_only_whom_they_may(text: &Text) -> Vec<String> {
    let Some((path, name, allowed)) = OURS.iter().find(|(path, ..)| *path == text.path) else {
        return Vec::new();
    };
    let manifest: Table = match text.content.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![format!("{path}: {error}")],
    };
    let mut findings = Vec::new();
    let all = ["dependencies", "dev-dependencies", "build-dependencies"];
    for dependency in dependencies(&manifest, &all) {
        let ours = OURS.iter().any(|(_, name, _)| *name == dependency);
        if ours && dependency != *name && !allowed.contains(&&*dependency) {
            findings.push(format!("{path}: must not depend on {dependency}"));
        }
    }
    for dependency in dependencies(&manifest, &["dependencies", "build-dependencies"]) {
        let production = path.starts_with("impl/");
        let bad = (*name == "pbft-core" && !CORE.contains(&&*dependency))
            || (*name == "pbft-host" && !HOST.contains(&&*dependency))
            || (*name == "pbft-node" && COMMAND.contains(&&*dependency))
            || (production && VERIFICATION.contains(&&*dependency));
        if bad {
            findings.push(format!("{path}: must not depend on {dependency}"));
        }
    }
    findings
}

/// Model and implementation do not even name each other's crate in their code.
pub(crate) fn model_and_implementation_do_not_name_each_other(text: &Text) -> Vec<String> {
    let forbidden: &[&str] = match text.path.split('/').next() {
        Some("model") => &["pbft_cli", "pbft_core", "pbft_host", "pbft_ledger", "pbft_node"],
        Some("impl") => &["pbft_model", "pbft_checker", "stateright"],
        _ => &[],
    };
    if !text.is_rust() {
        return Vec::new();
    }
    let code = crate::source::code_of(&text.content);
    let named = forbidden.iter().filter(|name| code.contains(**name));
    named.map(|name| format!("{}: names {name}", text.path)).collect()
}

/// The parts of conformance, from the bottom up: each may name those before it. The tests of a part may name all.
const CONFORMANCE: [&str; 19] = [
    "walk",
    "statement",
    "signpost",
    "divergence",
    "panics",
    "refinement",
    "forge",
    "subject",
    "probe",
    "replay",
    "beyond",
    "wide",
    "validate",
    "door",
    "report",
    "job",
    "coverage",
    "planted",
    "cli",
];

/// No part of conformance names one that stands above it.
pub(crate) fn nothing_in_conformance_names_what_is_above_it(text: &Text) -> Vec<String> {
    let Some(path) = text.path.strip_prefix("conformance/src/") else { return Vec::new() };
    let part = path.split(['/', '.']).next().unwrap_or_default();
    if !text.is_rust() || part == "lib" || part == "bin" {
        return Vec::new();
    }
    let place = |part: &str| CONFORMANCE.iter().position(|known| *known == part);
    let Some(own) = place(part) else {
        return vec![format!("{}: say in tests/system/tidy/crates.rs where it stands", text.path)];
    };
    let code = crate::source::code_of(&text.content);
    let code = code.split("mod tests {").next().unwrap_or_default();
    let named = code.split("crate::").skip(1).map(|rest| {
        rest.split(|end: char| !end.is_alphanumeric() && end != '_').next().unwrap_or_default()
    });
    let above = named.filter(|named| place(named).is_some_and(|at| at > own));
    above.map(|above| format!("{}: names {above}, which stands above it", text.path)).collect()
}

/// The manifests that the rules above are about, each with the name of its crate.
pub(crate) fn manifests() -> impl Iterator<Item = (&'static str, &'static str)> {
    OURS.iter().map(|(path, name, _)| (*path, *name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, content: &str) -> Vec<String> {
        crates_know_only_whom_they_may(&Text::sample(path, content))
    }

    #[test]
    fn forbidden_dependencies_are_found() {
        let core = "impl/core/Cargo.toml";
        assert!(found(core, "[dependencies]\nserde.workspace = true\nsha2 = \"1\"").is_empty());
        assert_eq!(found(core, "[dependencies]\ntokio = \"1\"").len(), 1);
        assert_eq!(found(core, "[target.'cfg(unix)'.dependencies]\nlibc = \"1\"").len(), 1);
        assert_eq!(found(core, "[dependencies]\nserde = { package = \"rand\" }").len(), 1);
        assert!(found(core, "[dev-dependencies]\nproptest = \"1\"").is_empty());
        let host = "impl/host/Cargo.toml";
        assert!(found(host, "[dependencies]\npbft-core.workspace = true").is_empty());
        assert_eq!(found(host, "[dependencies]\ntokio = \"1\"").len(), 1);
        assert_eq!(found(host, "[dependencies]\npbft-node.workspace = true").len(), 2);
        let model = "model/spec/Cargo.toml";
        assert_eq!(found(model, "[dev-dependencies]\npbft-core = \"1\"").len(), 1);
        let node = "impl/node/Cargo.toml";
        assert_eq!(found(node, "[dependencies]\nstateright = \"1\"").len(), 1);
        assert_eq!(found(node, "[dependencies]\nclap = \"4\"").len(), 1);
        assert_eq!(found(node, "[dependencies]\npbft-ledger = \"1\"").len(), 1);
        assert!(found(node, "[dev-dependencies]\npbft-ledger = \"1\"").is_empty());
        assert_eq!(found("conformance/Cargo.toml", "[dependencies]\npbft-tests = \"1\"").len(), 1);
        assert_eq!(found(model, "not toml").len(), 1);
    }

    #[test]
    fn names_of_parts_above_are_found() {
        let found = |path: &str, content: &str| {
            nothing_in_conformance_names_what_is_above_it(&Text::sample(path, content)).len()
        };
        let names = "use crate::probe::Place;\nuse crate::refinement::keys;\n";
        assert_eq!(found("conformance/src/subject/mod.rs", names), 1);
        assert_eq!(found("conformance/src/replay/core/mod.rs", names), 0);
        assert_eq!(found("conformance/src/subject/mod.rs", "// crate::probe\n"), 0);
        assert_eq!(found("conformance/src/new.rs", ""), 1, "it has no place yet");
        assert_eq!(found("impl/core/src/log.rs", names), 0);
    }

    #[test]
    fn forbidden_names_are_found() {
        let rule = model_and_implementation_do_not_name_each_other;
        let found = |path, content| rule(&Text::sample(path, content)).len();
        assert_eq!(found("model/checker/src/a.rs", "use pbft_core::View;"), 1);
        assert_eq!(found("impl/core/src/a.rs", "use pbft_model::State;"), 1);
        assert_eq!(found("impl/core/src/a.rs", "// like pbft_model"), 0);
        assert_eq!(found("conformance/src/a.rs", "use pbft_model::State;"), 0);
    }
}
