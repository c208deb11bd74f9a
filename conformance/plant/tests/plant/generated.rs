//! Mutants that are made from sources by rule: what each operator makes of a text, and of which texts nothing is made.

use pbft_plant::generate::{FILES, FUNCTIONS, catalogue, changes};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The mutants of a text: what their names say after the function, and what is different.
fn made(source: &str) -> Vec<(String, String)> {
    let entries = changes("a.rs", Path::new("src/a.rs"), source).expect("Rust");
    let short = |name: &str| name.strip_prefix("a.rs:f:").unwrap_or(name).to_owned();
    entries.into_iter().map(|entry| (short(&entry.name), entry.what)).collect()
}

fn assert_made(source: &str, expected: &[(&str, &str)]) {
    let made = made(source);
    let made: Vec<_> = made.iter().map(|(name, what)| (&**name, &**what)).collect();
    assert_eq!(made, expected, "{source}");
}

#[test]
fn each_of_several_conditions_is_dropped() {
    assert_made(
        "fn f(a: bool, b: bool, c: bool) -> bool { a && (b || c) && !a }",
        &[
            ("conjunct-1-dropped", "`(b || c) && !a` for `a && (b || c) && !a`"),
            ("conjunct-2-dropped", "`a && !a` for `a && (b || c) && !a`"),
            ("conjunct-3-dropped", "`a && (b || c)` for `a && (b || c) && !a`"),
            ("disjunct-1-dropped", "`c` for `b || c`"),
            ("disjunct-2-dropped", "`b` for `b || c`"),
        ],
    );
}

#[test]
fn a_condition_that_names_something_stays() {
    assert_made(
        "fn f(a: Option<u8>, b: bool) -> u8 { if let Some(c) = a && b { return c; } 0 }",
        &[("conjunct-1-dropped", "`let Some(c) = a` for `let Some(c) = a && b`")],
    );
}

#[test]
fn comparisons_are_shifted_and_equalities_negated() {
    assert_made(
        "fn f(a: u8) -> [bool; 6] { [a < 1, a <= 2, a > 3, a >= 4, a == 5, a != 6] }",
        &[
            ("comparison-1-shifted", "`a <= 1` for `a < 1`"),
            ("comparison-2-shifted", "`a < 2` for `a <= 2`"),
            ("comparison-3-shifted", "`a >= 3` for `a > 3`"),
            ("comparison-4-shifted", "`a > 4` for `a >= 4`"),
            ("equality-1-negated", "`a != 5` for `a == 5`"),
            ("equality-2-negated", "`a == 6` for `a != 6`"),
        ],
    );
}

#[test]
fn methods_are_exchanged_and_filters_removed() {
    assert_made(
        "fn f(a: A) -> bool { a.max(b).iter().filter(|c| c.is_b()).rfind(d).union(e).any(|c| c.g()) }",
        &[
            ("extreme-1-exchanged", "`.min(b)` for `.max(b)`"),
            ("filter-1-removed", "without `.filter(|c| c.is_b())`"),
            ("extreme-2-exchanged", "`.find(d)` for `.rfind(d)`"),
            ("sets-1-exchanged", "`.intersection(e)` for `.union(e)`"),
            ("quantifier-1-exchanged", "`.all(|c| c.g())` for `.any(|c| c.g())`"),
        ],
    );
    assert_made(
        "fn f(a: A) -> B { a.min_by_key(|b| b.c).find(d).first() }",
        &[
            ("extreme-1-exchanged", "`.max_by_key(|b| b.c)` for `.min_by_key(|b| b.c)`"),
            ("extreme-2-exchanged", "`.rfind(d)` for `.find(d)`"),
            ("extreme-3-exchanged", "`.last()` for `.first()`"),
        ],
    );
}

#[test]
fn one_more_and_one_less_are_neither() {
    assert_made(
        "fn f(a: u8) -> u8 { let b = a - 1; b + 2 + (a + 1) }",
        &[("one-1-dropped", "`a` for `a - 1`"), ("one-2-dropped", "`a` for `a + 1`")],
    );
}

#[test]
fn what_leaves_at_once_is_removed_and_what_is_done_under_a_condition_is_done_always() {
    assert_made(
        "fn f(a: bool, b: &mut B) { if a { return; } if b.c() { b.d(); } if a { e() } else { g() } }",
        &[
            ("guard-1-removed", "without `if a { return; }`"),
            ("condition-1-always", "`true` for `b.c()`"),
            ("statement-1-removed", "without `b.d();`"),
        ],
    );
    assert_made(
        "fn f(a: Option<u8>) -> u8 { match a { Some(b) if c(b) => b, _ => 0 } }",
        &[("arm-1-always", "without `if c(b)`")],
    );
    // After an else there must be something.
    assert_made("fn f(a: bool, b: bool) { if a { c() } else if b { return; } }", &[]);
}

#[test]
fn checks_pass_and_parts_of_a_step_are_left_out() {
    assert_made(
        "fn f(a: bool, b: &mut B) -> C { ensure(a, D::E)?; b.admits()?; b.c = 1; b.d |= 2; ensure(!a, D::G) }",
        &[
            ("check-1-passes", "`true` for `a`"),
            ("statement-1-removed", "without `b.admits()?;`"),
            ("statement-2-removed", "without `b.c = 1;`"),
            ("statement-3-removed", "without `b.d |= 2;`"),
            ("check-2-passes", "`true` for `!a`"),
        ],
    );
}

#[test]
fn constant_functions_constants_and_tests_stay_as_they_are() {
    assert_made("const fn f(a: u8) -> bool { a > 1 }", &[]);
    assert_made("const A: bool = 1 + 1 > 1;", &[]);
    assert_made("#[cfg(test)] mod tests { fn f(a: u8) -> bool { a > 1 } }", &[]);
}

#[test]
fn functions_of_one_name_have_mutants_of_different_names() {
    let source =
        "impl A { fn f(a: u8) -> bool { a > 1 } } impl B { fn f(a: u8) -> bool { a > 1 } }";
    let names: Vec<_> = made(source).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a.rs:A::f:comparison-1-shifted", "a.rs:B::f:comparison-1-shifted"]);
}

/// Where the same line is there twice, the lines around it tell which is meant.
#[test]
fn a_change_has_as_much_around_it_as_makes_its_place_unique() {
    let source =
        "fn f(a: &mut u8) {\n    g(1);\n    *a -= 1;\n    g(2);\n    *a -= 1;\n    g(3);\n}\n";
    let entries = changes("a.rs", Path::new("src/a.rs"), source).expect("Rust");
    let second = entries.iter().find(|entry| entry.name.ends_with("statement-4-removed"));
    let hunk = &second.expect("made").hunks[0];
    assert_eq!(hunk.old, "    g(2);\n    *a -= 1;\n    g(3);");
    assert_eq!(hunk.new, "    g(2);\n    \n    g(3);");
    let alone = entries.iter().find(|entry| entry.name.ends_with("statement-3-removed"));
    assert_eq!(alone.expect("made").hunks[0].old, "    g(2);");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn every_source_of_the_specification_is_changed_or_left_out_for_a_reason() {
    let there = fs::read_dir(root().join("model/spec/src")).expect("the specification");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    let there: BTreeSet<_> = there.map(|one| name(one).into_string().expect("text")).collect();
    assert_eq!(there, FILES.iter().map(|(file, _)| (*file).to_owned()).collect());
}

#[test]
fn what_is_left_out_is_there_and_would_be_changed() {
    let all = catalogue(&root()).expect("sources");
    for (file, function, why) in FUNCTIONS {
        let source = root().join("model/spec/src").join(file);
        let source = fs::read_to_string(source).expect("a source");
        let under_another_name = changes("another.rs", Path::new(file), &source).expect("Rust");
        let is_of = |name: &str| name.contains(&format!(":{function}:"));
        assert!(under_another_name.iter().any(|one| is_of(&one.name)), "{function}: {why}");
        assert!(!all.entries().iter().any(|one| one.name.starts_with(file) && is_of(&one.name)));
    }
}

#[test]
fn no_two_mutants_have_one_name() {
    let all = catalogue(&root()).expect("sources");
    let names: BTreeSet<_> = all.entries().iter().map(|entry| &entry.name).collect();
    assert_eq!(names.len(), all.entries().len());
    assert!(names.contains(&"rules.rs:accept:check-1-passes".to_owned()), "{names:?}");
}
