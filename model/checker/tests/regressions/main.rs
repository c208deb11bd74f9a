//! Tests that `pbft-model trace --to test` wrote, and that it still writes them so.
//!
//! Those of a mutant's trace are called `broken`: `cargo plant test --mutants --package pbft-checker --test regressions` runs them with
//! each mutant on.
//!
//! `UPDATE_GOLDENFILES=1 cargo test -p pbft-checker --test regressions` writes them again. Look at what changed.

mod executed_from_certificate;
mod gc_before_stability;

mod p_omitted;
mod restart_forgets_accepted;

use std::path::Path;
use std::{env, fs};

use pbft_checker::bfs::{self, Limits};
use pbft_checker::mutant_record::row;
use pbft_checker::mutants::{hunt, planted};
use pbft_checker::run::Silent;
use pbft_checker::trace::Trace;
use pbft_checker::trace::test_source::rust_test;
use pbft_model::Pbft;
use pbft_model::witnesses::WITNESSES;

fn is_what_is_written(file: &str, trace: &Trace) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/regressions").join(file);
    let source = rust_test(trace).expect("a valid trace");
    if env::var_os("UPDATE_GOLDENFILES").is_some() {
        fs::write(&path, &source).expect("written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == source, "{file} should be:\n{source}");
}

/// The program with the mutants is built for it: some minutes, where it was not before.
#[test]
fn counterexamples_become_these_tests() {
    let planted = planted().expect("a planted build");
    for name in ["p-omitted", "gc-before-stability", "restart-forgets-accepted"] {
        let row = row(name).expect("a record").expect("on record");
        let report = hunt(&planted, &row).expect("an answer");
        let file = format!("{}.rs", name.replace('-', "_"));
        is_what_is_written(&file, &report.counterexample.expect("killed"));
    }
}

#[test]
fn a_path_of_the_correct_protocol_becomes_this_test() {
    let model = Pbft::new("n4-b0-v1-s1-d1".parse().expect("a valid name"));
    let witness =
        WITNESSES.iter().find(|one| one.name == "executed-from-certificate").expect("a witness");
    let shown = |model: &Pbft, state: &_| (witness.shown)(model, state);
    let search = bfs::search(&model, Limits::default(), shown, &mut Silent);
    let path = search.found.expect("a path to it");
    is_what_is_written("executed_from_certificate.rs", &Trace::new(&model, &path));
}

#[test]
fn a_violation_of_the_protocol_itself_becomes_a_test_that_fails_until_it_is_mended() {
    let model = Pbft::new("n4-b0-v0-s1-d1".parse().expect("a valid name"));
    let mut trace = Trace::new(&model, &[]);
    trace.shows = vec!["agreement".to_owned()];
    let source = rust_test(&trace).expect("a valid trace");
    assert!(source.contains("if let Ok(last) = follow(&model, &STEPS) {"), "{source}");
}
