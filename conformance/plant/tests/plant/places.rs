//! Where bugs go, and what is said of those that cannot go there.

use crate::fixture::{Fixture, LIST, entries};
use pbft_plant::catalogue::Catalogue;
use pbft_plant::place::Planting;
use pbft_plant::workspace::{Kind, Workspace};
use std::path::Path;

const FILE: &str = "code/count/src/list.rs";

/// The file with these bugs.
fn planted(bugs: &[&str]) -> String {
    let planting = Fixture::new().plant(bugs).expect("places for all");
    planting.files[Path::new(FILE)].text.clone()
}

/// Takes the switches out again.
fn without_switches(mut text: String) -> String {
    while let Some(start) = text.find(" match crate::plant::active() {") {
        let original = start + text[start..].find(" _ => {").expect("the body as it is");
        text.replace_range(start..original + " _ => {".len(), "");
        let end = start + text[start..].find("} } }").expect("the end of the match");
        text.replace_range(end..end + "} } ".len(), "");
    }
    text
}

#[test]
fn every_bug_has_a_body_of_its_own_and_nothing_else_changes() {
    let text = planted(&[
        "@ src/list.rs first\n- first()\n+ last()",
        "@ src/list.rs first\n- .copied()\n+ .map(|it| it + 1)",
    ]);
    let body = "\n        self.0.first().copied()\n    ";
    let (last, more) =
        (body.replace("first", "last"), body.replace("copied()", "map(|it| it + 1)"));
    let switch = format!(
        "pub async fn first(&self) -> Option<u64> {{ match crate::plant::active() {{ 1 => {{{last}}} 2 => {{{more}}} _ => {{{body}}} }} }}\n"
    );
    assert!(text.contains(&switch), "{text}");
    assert_eq!(without_switches(text), LIST);
}

#[test]
fn without_its_switches_a_file_is_what_it_was() {
    let bugs = [
        "@ src/list.rs List::sum\n- let mut all=self . 0.iter();\n+ let all = [].iter();",
        "@ src/list.rs List::sum\n- all\n-     .sum()\n+ all.max()",
        "@ src/list.rs <List<'_> as Display>::fmt\n- numbers\n+ }numbers",
        "@ src/list.rs <List<'_> as Debug>::fmt\n- à\n+ á\n@ src/list.rs <List<'_> as Debug>::fmt\n- 8\n+ 9",
        "@ src/list.rs List::largest\n- other| larger\n+ other| 0 + larger",
        "@ src/list.rs larger\n- one > other\n+ false",
        "@ src/list.rs List::first\n- self.0.first().copied()\n+ None",
    ];
    let planting = Fixture::new().plant(&bugs).expect("places for all");
    let file = &planting.files[Path::new(FILE)];
    assert_eq!((planting.files.len(), file.functions, file.bodies.len()), (1, 5, 7));
    for (range, bug) in &file.bodies {
        let expected = [
            "[].iter()",
            "all.max()",
            "}numbers",
            "á {}\", self.len(), 9)",
            "0 + larger",
            "if false",
            "None",
        ];
        assert!(file.text[range.clone()].contains(expected[bug - 1]), "{bug}");
    }
    // The attribute of a body stays in front.
    assert!(file.text.contains("#![allow(unused_mut)]\n match crate"), "{}", file.text);
    assert_eq!(without_switches(file.text.clone()), LIST);
}

#[test]
fn a_function_in_a_function_is_copied_with_it() {
    let bugs = [
        "@ src/list.rs larger\n- one > other\n+ false",
        "@ src/list.rs largest\n- .reduce\n+ .rev().reduce",
    ];
    let text = planted(&bugs);
    assert_eq!(text.matches("match crate::plant::active()").count(), 1, "{text}");
    assert_eq!(text.matches("fn larger").count(), 3, "{text}");
    assert_eq!(text.matches("if false { one }").count(), 1, "{text}");
    let alone = planted(&bugs[..1]);
    assert_eq!(alone.matches("fn larger").count(), 1, "{alone}");
}

#[test]
fn what_cannot_be_planted_is_said_with_list_file_and_function() {
    let cases = [
        ("@ src/none.rs sum\n- x", "No such file"),
        (
            "@ src/list.rs List::product\n- x",
            "there is no such function outside of tests and macros; name",
        ),
        (
            "@ src/list.rs Lists::sum\n- x",
            "no such function outside of tests and macros (there are `List::sum` in line 16)",
        ),
        (
            "@ src/list.rs List::fmt\n- x",
            "not unique (there are `<List<'_> as Display>::fmt` in line 41, `<List<'_> as Debug>::fmt` in line 45)",
        ),
        ("@ src/list.rs tests::sum\n- 0", "there is no such function"),
        ("@ src/list.rs um\n- x", "there is no such function"),
        (
            "@ src/list.rs List::sum\n- self.0.iter().rev()\n- x",
            "line 16: the text `self.0.iter().rev()` is not there any more",
        ),
        (
            "@ src/list.rs List::sum\n- iter",
            "the text `iter` is there more than once (lines 18, 19)",
        ),
        ("@ src/list.rs List::sum\n- al", "the text `al` is not there any more"),
        ("@ src/list.rs List::len\n- self.0.len()\n+ 7", "line 10: a `const fn` cannot have bugs"),
        (
            "@ src/list.rs List::sum\n- all.sum()\n+ 7\n@ src/list.rs sum\n- sum()\n+ max()",
            "line 20: two hunks of this bug overlap",
        ),
        (
            "@ src/list.rs List::sum\n- all.sum()\n+ all.sum(",
            "line 16: the function cannot be parsed with this bug: ",
        ),
        ("@ src/list.rs List::sum\n- all.sum()\n+ 0 // nothing", "{ok}"),
        (
            "@ src/list.rs List::sum\n- All of them\n+ None of them",
            "line 16: the function is the same code with this bug",
        ),
        ("@ Cargo.toml sum\n- x", "the file cannot be parsed: "),
    ];
    for (hunks, expected) in cases {
        let Err(errors) = Fixture::new().plant(&[hunks]) else {
            assert_eq!(expected, "{ok}", "{hunks}");
            continue;
        };
        let [error] = &errors[..] else { panic!("{errors:?}") };
        let said = error.to_string();
        assert!(said.contains(expected), "{said}\nand not\n{expected}");
        assert!(said.starts_with("code/count/bugs.txt:5: bug `bug-1`: code/count/"), "{said}");
    }
}

#[test]
fn all_mistakes_are_said_at_once() {
    let bugs = [
        "@ src/list.rs sum\n- x",
        "@ src/list.rs first\n- first()\n+ last()",
        "@ src/none.rs sum\n- x",
    ];
    let errors = Fixture::new().plant(&bugs).expect_err("two mistakes");
    assert_eq!(errors.iter().map(|error| &*error.bug).collect::<Vec<_>>(), ["bug-1", "bug-3"]);
}

#[test]
fn a_bug_is_shown_as_a_diff() {
    let bug = "@ src/list.rs List::largest\n- .map(|each| of(*each))\n+ .map(|each| {\n+     of(1)\n+ })\n@ src/list.rs List::sum\n- let mut all = self.0.iter(); // with \"}\" and '{'";
    let catalogue: Catalogue = entries(&[bug]);
    let diff = catalogue.entries()[0].diff(&Fixture::new().root()).expect("places");
    let expected = "\
@@ code/count/src/list.rs:31 List::largest @@
             if one > other { one } else { other }
         }
-        self.0.iter().map(|each| of(*each)).reduce(|one, other| larger(one, other))
+        self.0.iter().map(|each| {
+            of(1)
+        }).reduce(|one, other| larger(one, other))
     }

@@ code/count/src/list.rs:19 List::sum @@
         #![allow(unused_mut)]
         // All of them, not self.0.iter().skip(1).
-        let mut all = self.0.iter(); // with \"}\" and '{'
         all.sum()
     }
";
    assert_eq!(diff, expected);
}

#[test]
fn every_bug_of_this_repository_can_be_planted() {
    let workspace = Workspace::of(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("a workspace");
    for kind in Kind::ALL {
        let catalogue = workspace.catalogue(kind).expect("lists that can be read");
        if let Err(errors) = Planting::new(&workspace.root, &catalogue) {
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            panic!("{}", errors.join("\n"));
        }
    }
}
