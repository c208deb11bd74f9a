//! The page on configuration has every field of both files, with its default, and no other.

use pbft_cli::{LogFormat, Settings};
use pbft_core::types::{Digest, ReplicaId};
use pbft_core::{Membership, Params};
use pbft_node::config::{ClientEntry, ClusterFile, ClusterTable, ReplicaEntry};
use pbft_node::store::CACHE_BYTES;
use std::collections::BTreeMap;
use std::path::Path;

/// The rows of the tables below `heading`: the first cell's code, and the other cells.
fn rows(page: &str, heading: &str) -> BTreeMap<String, Vec<String>> {
    let after = page.split_once(&format!("{heading}\n")).expect("the heading").1;
    let lines = after.lines().take_while(|line| !line.starts_with('#'));
    let cells = lines.filter_map(|line| line.strip_prefix("| `"));
    let cut = |line: &str| {
        let (name, rest) = line.split_once("` |")?;
        Some((name.to_owned(), rest.split('|').map(|cell| cell.trim().to_owned()).collect()))
    };
    cells.filter_map(cut).collect()
}

fn fields(value: &impl serde::Serialize) -> Vec<String> {
    let table = toml::Table::try_from(value).expect("a table");
    let mut names: Vec<String> = table.keys().cloned().collect();
    names.sort();
    names
}

fn names(rows: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    rows.keys().cloned().collect()
}

/// Every field set: one that is new does not compile until it is here, and is not found until it is on the page.
fn cluster_table(params: &Params) -> ClusterTable {
    ClusterTable {
        name: "a".to_owned(),
        nonce: "b".to_owned(),
        service: Some("c/1".to_owned()),
        on_service_panic: Some(params.on_service_panic),
        checkpoint_interval: Some(params.checkpoint_interval),
        window: Some(params.window),
        pipeline: Some(params.pipeline),
        batch_requests_max: Some(params.batch_requests_max),
        batch_delay_us: Some(params.batch_delay.as_micros() as u64),
        operation_bytes_max: Some(params.operation_bytes_max),
        lanes_max: Some(params.lanes_max),
        result_bytes_max: Some(params.result_bytes_max),
        client_authentication: Some(params.client_authentication),
        view_timeout_ms: Some(params.view_timeout.as_millis() as u64),
        view_timeout_max_ms: Some(params.view_timeout_max.as_millis() as u64),
        status_interval_ms: Some(params.status_interval.as_millis() as u64),
        slow_primary_percent: Some(params.slow_primary_percent),
        help_bytes_max: Some(params.help_bytes_max),
    }
}

#[test]
fn every_field_is_documented_with_its_default() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/configuration.md")).expect("the page");
    let params = Params::new(ReplicaId(0), Membership::new(4).expect("four"), Digest::default());
    let table = cluster_table(&params);
    let documented = rows(&page, "### `[cluster]`");
    assert_eq!(names(&documented), fields(&table));
    for (field, value) in toml::Table::try_from(&table).expect("a table") {
        if let toml::Value::Integer(default) = value {
            let cell = &documented[&field][0];
            let number = cell.split(|c: char| !c.is_ascii_digit()).next();
            assert_eq!(number, Some(&*default.to_string()), "the default of {field}: {cell}");
        }
    }
    let entry = ReplicaEntry { id: 0, address: String::new(), public_key: String::new() };
    assert_eq!(names(&rows(&page, "### `[[replica]]`")), fields(&entry));
    let client = ClientEntry { id: 0, name: String::new(), public_key: String::new() };
    assert_eq!(names(&rows(&page, "### `[[client]]`")), fields(&client));
    let file = ClusterFile { cluster: table, replica: vec![entry], client: vec![client] };
    assert_eq!(fields(&file), ["client", "cluster", "replica"], "a heading for each");

    let settings = Settings {
        listen: Some(String::new()),
        admin: Some(String::new()),
        admin_remote: Some(false),
        admin_hosts: Some(Vec::new()),
        log: Some(String::new()),
        log_format: Some(LogFormat::Json),
        trace: Some(Path::new("x").to_owned()),
        store_cache_bytes: Some(CACHE_BYTES),
    };
    let documented = rows(&page, "## node.toml");
    assert_eq!(names(&documented), fields(&settings));
    assert_eq!(documented["store_cache_bytes"][1], CACHE_BYTES.to_string());
}
