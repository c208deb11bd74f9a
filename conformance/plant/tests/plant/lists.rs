//! What a list may say, and what is wrong with others.

use pbft_plant::catalogue::Catalogue;
use std::fs;
use std::path::Path;

const GOOD: &str = "# Bugs.

one
what: what is wrong.
# A remark.
rule: 1: a rule
caught: here: there
without: symmetry
@ src/a.rs <A as B<C>>::f
- let a = 1;
-
-     a
@ src/b.rs g
-   b();
+ if c {
+     b();
+ }


two-2
caught: nowhere
rule: 2
what: more
@ b.rs g
- b
+ c
";

fn refused(text: &str) -> String {
    let mut catalogue = Catalogue::default();
    catalogue.add(Path::new("a/bugs.txt"), text).expect_err("a bad list").to_string()
}

/// The good list with one text replaced.
fn with(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old}");
    refused(&GOOD.replacen(old, new, 1))
}

#[test]
fn a_list_is_read() {
    for text in [GOOD.to_owned(), GOOD.replace('\n', "\r\n"), GOOD.trim_end().to_owned()] {
        let mut catalogue = Catalogue::default();
        catalogue.add(Path::new("a/bugs.txt"), &text).expect("a good list");
        let [one, two] = catalogue.entries() else { panic!("{catalogue:?}") };
        assert_eq!((&*one.name, one.line, &*one.what), ("one", 3, "what is wrong."));
        assert_eq!((&*one.rule, &*one.caught), ("1: a rule", "here: there"));
        assert_eq!(one.without.as_deref(), Some("symmetry"));
        assert_eq!(one.list, Path::new("a/bugs.txt"));
        let [first, second] = &one.hunks[..] else { panic!("{one:?}") };
        assert_eq!((&*first.path, &*first.function), (Path::new("a/src/a.rs"), "<A as B<C>>::f"));
        assert_eq!((&*first.old, &*first.new), ("let a = 1;\n\n    a", ""));
        assert_eq!((&*second.old, &*second.new), ("  b();", "if c {\n    b();\n}"));
        assert_eq!((first.line, second.line), (9, 13));
        assert_eq!((&*two.name, two.line, two.without.as_ref()), ("two-2", 20, None));
        assert_eq!(catalogue.entry("two-2"), Some(two));
        assert_eq!(catalogue.entry("three"), None);
    }
}

#[test]
fn what_is_wrong_with_a_list_is_said_with_its_line() {
    let cases = [
        (with("\none\n", "\nOne\n"), "a/bugs.txt:3: an entry begins with its name in kebab case"),
        (with("\none\n", "\none--more\n"), "a/bugs.txt:3: an entry begins with its name"),
        (
            with("two-2", "one"),
            "a/bugs.txt:20: `one` is also the name of the entry at a/bugs.txt:3",
        ),
        (with("rule: 1: a rule\n", ""), "a/bugs.txt:3: `one` lacks `rule:`"),
        (with("rule: 1: a rule", "rules: 1"), "a/bugs.txt:6: unknown field `rules`"),
        (with("rule: 1: a rule", "what: 1"), "a/bugs.txt:6: a second `what:`"),
        (with("rule: 1: a rule", "rule:  "), "a/bugs.txt:6: `rule:` needs a value"),
        (with("rule: 1: a rule", "of course"), "a/bugs.txt:6: `of course` is neither a field"),
        (with("rule: 1: a rule", "-x"), "a/bugs.txt:6: `-x` is neither a field"),
        (with("rule: 1: a rule", "- x"), "a/bugs.txt:6: `x` stands before the first hunk"),
        (
            with("+ c\n", "+ c\nwithout: it\n"),
            "a/bugs.txt:27: `without:` must stand before the first",
        ),
        (with("@ src/b.rs g", "@ src/b.rs"), "a/bugs.txt:13: a hunk begins with `@ PATH FUNCTION`"),
        (with("@ src/b.rs g", "@"), "a/bugs.txt:13: a hunk begins with `@ PATH FUNCTION`"),
        (with("src/b.rs", "../b.rs"), "a/bugs.txt:13: `../b.rs` must be a path below"),
        (with("src/b.rs", "/etc/b.rs"), "a/bugs.txt:13: `/etc/b.rs` must be a path below"),
        (with("+ if c {", "+ if c {\n- d"), "a/bugs.txt:16: a `-` line after a `+` line"),
        (with("-   b();", "-  "), "a/bugs.txt:13: the hunk for `g` has no text after `- `"),
        (with("- b\n", ""), "a/bugs.txt:24: the hunk for `g` has no text after `- `"),
        (with("+ c", "+ b"), "a/bugs.txt:24: the hunk for `g` changes nothing"),
        (with("@ b.rs g\n- b\n+ c\n", ""), "a/bugs.txt:20: `two-2` has no hunk"),
        (refused(&"é".repeat(100_000)), "a/bugs.txt:1: an entry begins with its name"),
    ];
    for (said, expected) in cases {
        assert!(said.starts_with(expected), "{said}\nand not\n{expected}");
        assert!(said.len() < 300, "{said}");
    }
}

#[test]
fn names_are_unique_over_all_lists() {
    let mut catalogue = Catalogue::default();
    catalogue.add(Path::new("a/bugs.txt"), GOOD).expect("a good list");
    let text = &GOOD.replace("\none\n", "\nthree\n");
    let error = catalogue.add(Path::new("b/bugs.txt"), text).expect_err("a name again");
    let expected = "b/bugs.txt:20: `two-2` is also the name of the entry at a/bugs.txt:20";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn how_a_bug_is_caught_is_recorded_in_its_place() {
    let directory = tempfile::tempdir().expect("a directory");
    let (root, list) = (directory.path(), Path::new("bugs.txt"));
    let read = || fs::read_to_string(root.join(list)).expect("a list");
    for (before, end) in [(GOOD.to_owned(), "\n"), (GOOD.replace('\n', "\r\n"), "\r\n")] {
        fs::write(root.join(list), &before).expect("written");
        let catalogue = Catalogue::read(root, &[list.to_owned()]).expect("a good list");
        let [one, two] = catalogue.entries() else { panic!("{catalogue:?}") };
        // Its lines may have moved.
        let before = format!("# More.{end}{before}");
        fs::write(root.join(list), &before).expect("written");
        two.record(root, "in time").expect("recorded");
        let now =
            before.replace(&format!("caught: nowhere{end}"), &format!("caught: in time{end}"));
        assert_eq!(read(), now);
        assert_ne!(read(), before);
        for bad in ["", " ", "a\nb", "a\rb"] {
            let error = one.record(root, bad).expect_err("no value");
            assert!(error.to_string().starts_with("bugs.txt:8: `caught:` needs"), "{error}");
        }
        assert_eq!(read(), now);
        fs::write(root.join(list), now.replace("two-2", "two-3")).expect("written");
        let error = two.record(root, "x").expect_err("no such bug");
        assert_eq!(error.to_string(), "bugs.txt:1: there is no entry `two-2`");
    }
}
