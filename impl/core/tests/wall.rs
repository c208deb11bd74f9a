//! The wall around the core: it depends on nothing that knows of time, chance or the operating system.
//! (`clippy.toml` beside it bans what the standard library has of these.)

use std::collections::BTreeSet;

const MANIFEST: &str = include_str!("../Cargo.toml");
const CLIPPY: &str = include_str!("../clippy.toml");

/// The keys of one table of the manifest.
fn keys<'a>(manifest: &'a str, table: &str) -> BTreeSet<&'a str> {
    let lines = manifest.lines().map(str::trim).skip_while(|line| *line != table).skip(1);
    let inside = lines.take_while(|line| !line.starts_with('['));
    let entries = inside.filter(|line| !line.is_empty() && !line.starts_with('#'));
    entries.filter_map(|line| line.split(['=', '.', ' ']).next()).collect()
}

#[test]
fn the_dependencies_are_exactly_these() {
    assert_eq!(keys(MANIFEST, "[dependencies]"), ["serde", "sha2", "thiserror"].into());
    let tables = MANIFEST.lines().map(str::trim).filter(|line| line.starts_with('['));
    let tables: Vec<_> = tables.filter(|line| line.contains("dependencies")).collect();
    assert_eq!(
        tables,
        ["[dependencies]", "[dev-dependencies]"],
        "no build script, no target tables"
    );
}

#[test]
fn the_reader_of_the_manifest_reads() {
    let manifest =
        "[a]\nx = 1\n[dependencies]\n# no\nserde = { a = 1 }\ntokio.workspace = true\n\n[b]\ny = 1";
    assert_eq!(keys(manifest, "[dependencies]"), ["serde", "tokio"].into());
}

#[test]
fn clippy_bans_clocks_chance_and_the_operating_system() {
    for banned in ["HashMap", "HashSet", "Instant", "SystemTime", "thread::spawn", "fs::", "net::"]
    {
        assert!(CLIPPY.contains(banned), "{banned} is not banned");
    }
}
