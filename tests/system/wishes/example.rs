//! The wish for a minimal example.

use pbft_tests::binary::{example, workspace_root};
use pbft_tests::cluster::Turn;
use pbft_tests::ports::free_ports;
use pbft_tests::process::run_pbft;
use std::path::Path;
use std::process::Command;

/// Runs the example on a cluster's directory, and returns what it prints.
fn register(directory: &Path) -> String {
    let mut command = Command::new(example("register"));
    let output = command.arg("cluster").current_dir(directory).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn i15_a_replicated_register_takes_at_most_60_lines() {
    let file = workspace_root().join("impl/node/examples/register.rs");
    let source = std::fs::read_to_string(file).expect("the example");
    assert!(source.lines().count() <= 60, "{} lines", source.lines().count());
    assert!(!source.contains("include!") && !source.contains("\nmod "), "all of it is in there");

    let _turn = Turn::take();
    let directory = tempfile::tempdir().expect("temporary directory");
    let directory = directory.path();
    let base_port = free_ports(4).to_string();
    let ports = ["--base-port", &base_port, "--admin-base-port", "0"];
    let testnet = [["testnet", "--service", "register/1"].as_slice(), ports.as_slice()].concat();
    assert!(run_pbft(directory, &testnet).status.success());
    assert_eq!(register(directory), "read: empty\nwrite 42: written\nread: 42\n");
    assert_eq!(register(directory), "read: 42\nwrite 42: written\nread: 42\n", "it is durable");
}
