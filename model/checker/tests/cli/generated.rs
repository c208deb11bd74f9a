//! `mutants --generated`, as far as it goes without a build of its own.

use std::fs;

use super::bench::{Bench, stderr, stdout};

#[test]
fn a_mutant_that_is_not_made_is_named() {
    let output = Bench::new().run("mutants --generated --name rules.rs:accept:luck-1-removed");
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("there is no mutant `rules.rs:accept:luck-1-removed`"), "{said}");
}

#[test]
fn its_options_are_of_no_use_without_it() {
    for line in ["mutants --budget 5", "mutants --record", "mutants --generated --traces"] {
        assert_eq!(Bench::new().run(line).status.code(), Some(2), "{line}");
    }
}

#[test]
fn a_merge_of_shards_without_results_is_not_finished() {
    let bench = Bench::new();
    fs::create_dir(bench.path("shard")).expect("a directory");
    fs::write(bench.path("shard/finished.jsonl"), "").expect("written");
    let name = "rules.rs:accept:check-1-passes";
    let output = bench.run(&format!("mutants --generated --name {name} --merge shard"));
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(said.contains("1 mutants: 0 killed") && said.contains("1 not searched"), "{said}");
}
