//! What every file has to keep to. Each rule gives its findings, and is shown to find something.

use crate::source::{Text, block_end, code_of, without_test_modules};

/// The most lines of a file that is no test.
pub(crate) const FILE_LINES_MAX: usize = 500;

/// The most lines of a function that is no test.
pub(crate) const FUNCTION_LINES_MAX: usize = 70;

/// The files that may calculate with the number of faulty replicas.
const QUORUM_FILES: [&str; 2] = ["impl/core/src/membership.rs", "model/spec/src/quorum.rs"];

/// What is said of code that is not finished, and of tests that do not run.
pub(crate) const LEFT: &str = "left for later";

fn finding(text: &Text, line: usize, what: &str) -> String {
    format!("{}:{}: {what}", text.path, line + 1)
}

/// Lines of `code` that satisfy a condition, as findings.
fn lines_with(text: &Text, code: &str, what: &str, bad: impl Fn(&str) -> bool) -> Vec<String> {
    let bad_lines = code.lines().enumerate().filter(|(_, line)| bad(line));
    bad_lines.map(|(number, _)| finding(text, number, what)).collect()
}

/// Files are small.
pub(crate) fn files_are_small(text: &Text) -> Vec<String> {
    let lines = text.content.lines().count();
    match text.is_rust() && !text.is_test() && lines > FILE_LINES_MAX {
        true => vec![format!("{}: {lines} lines, at most {FILE_LINES_MAX}", text.path)],
        false => Vec::new(),
    }
}

/// Functions are small.
pub(crate) fn functions_are_small(text: &Text) -> Vec<String> {
    if !text.is_rust() || text.is_test() {
        return Vec::new();
    }
    let code = without_test_modules(&code_of(&text.content));
    let mut findings = Vec::new();
    for (start, _) in code.match_indices("fn ") {
        let begins_a_word = code[..start].chars().next_back().is_none_or(|c| !is_word(c));
        let names_something = code[start + 3..].starts_with(is_word);
        let Some(len) = block_end(&code[start..]) else { continue };
        let lines = code[start..start + len].lines().count();
        if begins_a_word && names_something && lines > FUNCTION_LINES_MAX {
            let line = code[..start].matches('\n').count();
            let what = format!("a function of {lines} lines, at most {FUNCTION_LINES_MAX}");
            findings.push(finding(text, line, &what));
        }
    }
    findings
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Nothing is left for later, and no test is switched off.
pub(crate) fn nothing_is_left_for_later(text: &Text) -> Vec<String> {
    if !text.is_rust() {
        return Vec::new();
    }
    let code = code_of(&text.content);
    let bad = ["todo!(", "unimplemented!(", "dbg!(", "#[ignore"];
    let in_code = lines_with(text, &code, LEFT, |line| bad.iter().any(|bad| line.contains(bad)));
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X"].concat()];
    let in_comments = lines_with(text, &text.content, "a note to oneself", |line| {
        let comment = line.split_once("//").map_or("", |(_, comment)| comment);
        comment.split(|c| !is_word(c)).any(|word| marks.iter().any(|mark| mark == word))
    });
    [in_code, in_comments].concat()
}

/// Calculations with f have one place in the core and one in the model.
pub(crate) fn quorums_are_calculated_in_one_place(text: &Text) -> Vec<String> {
    if !text.is_rust() || text.is_test() || QUORUM_FILES.contains(&&*text.path) {
        return Vec::new();
    }
    let code = without_test_modules(&code_of(&text.content));
    lines_with(text, &code, "quorum arithmetic; ask the membership", |line| {
        let tokens: Vec<&str> = tokens(line);
        let has = |pattern: &[&str]| tokens.windows(pattern.len()).any(|part| part == pattern);
        let f = [&["f"][..], &["faults"], &["faults", "(", ")"]];
        f.iter().any(|f| {
            has(&[&["2", "*"], *f].concat())
                || has(&[&["3", "*"], *f].concat())
                || has(&[*f, &["+", "1"]].concat())
                || has(&[*f, &["*", "2"]].concat())
                || has(&[&["*", "self", "."], *f].concat())
        }) || has(&["/", "3"])
    })
}

/// Words and single characters, without spaces.
fn tokens(line: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let len = match is_word(first) {
            true => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        tokens.push(&rest[..len]);
        rest = rest[len..].trim_start();
    }
    tokens
}

/// Who prints panics where nobody reads, or loses what it says without a word, unless `pbft_output` does it.
pub(crate) fn programs_print_in_one_way(text: &Text) -> Vec<String> {
    // What tests share is read by whoever runs them.
    let shared_by_tests = text.path == "tests/system/src/cluster.rs";
    let is_program = text.path.contains("/src/") && !text.path.starts_with("impl/output/");
    if !text.is_rust() || text.is_test() || shared_by_tests || !is_program {
        return Vec::new();
    }
    let code = without_test_modules(&code_of(&text.content));
    let bad = ["print!(", "println!(", "io::stdout().lock()", "::parse();"];
    lines_with(text, &code, "prints by itself; use pbft_output", |line| {
        bad.iter().any(|bad| line.contains(bad))
    })
}

/// No path of somebody's machine.
pub(crate) fn no_path_of_a_machine(text: &Text) -> Vec<String> {
    // In parts, so that this file keeps to the rule.
    let places = ["home", "root", "Users", "work", "tmp", "mnt"].map(|place| format!("/{place}/"));
    lines_with(text, &text.content, "a path of one machine", |line| {
        places.iter().any(|place| {
            line.match_indices(place.as_str()).any(|(position, _)| {
                // `a/tmp/b` is a relative path.
                let before = line[..position].chars().next_back();
                before.is_none_or(|c| !is_word(c) && !".-}*".contains(c))
            })
        })
    })
}

/// The production code has no bug, no switch for one, and no feature under which it behaves otherwise.
pub(crate) fn production_has_no_bugs(text: &Text) -> Vec<String> {
    let source = text.path.starts_with("impl/") && text.path.contains("/src/");
    let manifest = text.path.starts_with("impl/") && text.path.ends_with("Cargo.toml");
    let bad = |line: &str| {
        let line = line.to_lowercase();
        let switched = line.contains("planted") || line.contains("mutant");
        (source || manifest) && switched
            || source && line.contains("cfg") && line.contains("feature =")
            || manifest && line.trim() == "[features]"
    };
    lines_with(text, &text.content, "a bug, or a switch for one", bad)
}

/// The specification has no mutant, and no switch for one.
pub(crate) fn specification_has_no_mutants(text: &Text) -> Vec<String> {
    let is_specification = text.path.starts_with("model/spec/src/");
    let bad = |line: &str| {
        let line = line.to_lowercase();
        is_specification && ["mutant", "planted", "breaks("].iter().any(|word| line.contains(word))
    };
    lines_with(text, &text.content, "a mutant, or a switch for one", bad)
}

/// A document has one title, and begins with it. To mdBook the parts of a table of contents look like titles.
pub(crate) fn documents_have_one_title(text: &Text) -> Vec<String> {
    if !text.path.ends_with(".md") || text.path == crate::site::CONTENTS {
        return Vec::new();
    }
    let mut fenced = false;
    let mut titles = Vec::new();
    for (number, line) in text.content.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced && line.starts_with("# ") {
            titles.push(number);
        }
    }
    match titles[..] {
        [0] => Vec::new(),
        [first] => vec![finding(text, first, "the title is not the first line")],
        [] => vec![format!("{}: no title", text.path)],
        [_, second, ..] => vec![finding(text, second, "a second title")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rule = fn(&Text) -> Vec<String>;

    fn found(rule: Rule, path: &str, content: &str) -> usize {
        rule(&Text::sample(path, content)).len()
    }

    #[test]
    fn long_files_and_functions_are_found() {
        let lines = |count: usize| "let a = 1;\n".repeat(count);
        assert_eq!(found(files_are_small, "a/src/b.rs", &lines(500)), 0);
        assert_eq!(found(files_are_small, "a/src/b.rs", &lines(501)), 1);
        assert_eq!(found(files_are_small, "a/tests/b.rs", &lines(501)), 0, "a test");
        let function = |count| format!("struct S;\npub fn f(a: [u8; 2]) {{\n{}}}\n", lines(count));
        assert_eq!(found(functions_are_small, "a/src/b.rs", &function(68)), 0);
        assert_eq!(found(functions_are_small, "a/src/b.rs", &function(69)), 1);
        let nested = format!("impl S {{\n{}\n{}}}\n", function(60), function(60));
        assert_eq!(found(functions_are_small, "a/src/b.rs", &nested), 0);
        let in_test = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", function(90));
        assert_eq!(found(functions_are_small, "a/src/b.rs", &in_test), 0);
        let declared = format!("trait T {{ fn f(&self); }}\nfn g(f: fn(u8)) {{\n{}}}", lines(90));
        assert_eq!(found(functions_are_small, "a/src/b.rs", &declared), 1);
    }

    #[test]
    fn what_is_left_for_later_is_found() {
        let rule = nothing_is_left_for_later;
        let later = [
            "fn f() { todo!() }",
            "fn f() { unimplemented!(\"x\") }",
            "dbg!(x);",
            "#[ignore = \"slow\"]\nfn f() {}",
        ];
        for code in later {
            assert_eq!(found(rule, "a/tests/b.rs", code), 1, "{code}");
        }
        let note = format!("fn f() {{}} // {}{}: more", "TO", "DO");
        assert_eq!(found(rule, "a/src/b.rs", &note), 1);
        assert_eq!(found(rule, "a/src/b.rs", "// todo!( in a comment\nlet s = \"dbg!(\";"), 0);
    }

    #[test]
    fn printing_is_found() {
        let rule = programs_print_in_one_way;
        let bad = ["println!(\"x\");", "eprint!(\"x\");", "let cli = Cli::parse();"];
        for code in bad {
            assert_eq!(found(rule, "a/src/b.rs", code), 1, "{code}");
            assert_eq!(found(rule, "a/examples/b.rs", code), 0, "{code}");
            assert_eq!(found(rule, "impl/output/src/b.rs", code), 0, "{code}");
        }
        let good = ["outln!(\"x\");", "// println!(", "let n: u8 = text.parse();"];
        assert!(good.iter().all(|code| found(rule, "a/src/b.rs", code) == 0));
    }

    #[test]
    fn quorum_arithmetic_is_found() {
        let rule = quorums_are_calculated_in_one_place;
        let bad = [
            "let q = 2 * f + 1;",
            "n >= 3 * faults",
            "(n - 1) / 3",
            "membership.faults() + 1",
            "f+1",
            "f * 2",
            "2 * self.faults()",
        ];
        for code in bad {
            assert_eq!(found(rule, "a/src/b.rs", code), 1, "{code}");
            assert_eq!(found(rule, "impl/core/src/membership.rs", code), 0, "{code}");
        }
        for code in ["2 * fee", "x / 30", "self.faults()", "// 2 * f + 1", "buf + 1"] {
            assert_eq!(found(rule, "a/src/b.rs", code), 0, "{code}");
        }
    }

    #[test]
    fn paths_of_machines_are_found() {
        let path = ["/ho", "me/somebody/x"].concat();
        assert_eq!(found(no_path_of_a_machine, "README.md", &format!("see {path}")), 1);
        assert_eq!(found(no_path_of_a_machine, "README.md", &format!("see a{path}")), 0);
        assert_eq!(found(no_path_of_a_machine, "README.md", "see docs/architecture.md"), 0);
    }

    #[test]
    fn switches_for_bugs_are_found() {
        let rule = production_has_no_bugs;
        assert_eq!(found(rule, "impl/core/src/log.rs", "if planted!(self, Bug) {"), 1);
        assert_eq!(found(rule, "impl/core/src/log.rs", "#[cfg(feature = \"bugs\")]"), 1);
        assert_eq!(found(rule, "impl/core/src/log.rs", "if seq <= last {"), 0);
        assert_eq!(found(rule, "impl/core/Cargo.toml", "[features]"), 1);
        assert_eq!(found(rule, "conformance/plant/src/copy.rs", "planted"), 0);
    }

    #[test]
    fn switches_for_mutants_are_found() {
        let rule = specification_has_no_mutants;
        let switch = "if self.breaks(Mutant::POmitted) {";
        assert_eq!(found(rule, "model/spec/src/view_change.rs", switch), 1);
        assert_eq!(found(rule, "model/spec/src/view_change.rs", "self.active = false;"), 0);
        assert_eq!(found(rule, "model/checker/src/mutants.rs", switch), 0);
    }

    #[test]
    fn documents_without_their_title_are_found() {
        let rule = documents_have_one_title;
        assert_eq!(found(rule, "a.md", "# A\n\n## B\n\n```sh\n# comment\n```\n"), 0);
        assert_eq!(found(rule, "a.md", "text\n# A\n"), 1);
        assert_eq!(found(rule, "a.md", "# A\n# B\n"), 1);
        assert_eq!(found(rule, "a.md", "## A\n"), 1);
        assert_eq!(found(rule, "a.rs", ""), 0);
    }
}
