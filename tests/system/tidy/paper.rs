//! What `docs/paper.md` names is there: a clause that points to a function of yesterday leads nobody anywhere.

use crate::source::Text;

/// Where the names behind a key of a clause must be found: the beginnings of paths, and what stands before a name there.
fn places(key: &str) -> Option<(&'static [&'static str], &'static [&'static str])> {
    match key {
        "model" => Some((&["model/spec/src/"], &["fn "])),
        "core" => Some((&["impl/core/src/"], &["fn ", "struct ", "enum "])),
        "tests" => Some((&["impl/", "model/", "tests/", "conformance/"], &["fn "])),
        "probes" => Some((&["conformance/src/probe/"], &["\""])),
        _ => None,
    }
}

/// The names in the document that are not where they should be.
pub(crate) fn lost_names(document: &str, texts: &[Text]) -> Vec<String> {
    let (mut clause, mut key, mut lost) = ("", "", Vec::new());
    for line in document.lines() {
        if let Some(title) = line.strip_prefix("### ") {
            (clause, key) = (title, "");
        } else if let Some((name, _)) =
            line.strip_prefix("- ").and_then(|rest| rest.split_once(':'))
        {
            key = name;
        } else if !line.starts_with("  ") {
            key = "";
        }
        let Some((paths, before)) = places(key).filter(|_| !clause.is_empty()) else { continue };
        for name in line.split('`').skip(1).step_by(2) {
            let here = |text: &&Text| {
                text.is_rust() && paths.iter().any(|path| text.path.starts_with(path))
            };
            if !texts.iter().filter(here).any(|text| names(&text.content, before, name)) {
                lost.push(format!("{clause}: {key}: {name}"));
            }
        }
    }
    lost
}

/// Whether `content` has the whole name after one of these.
fn names(content: &str, before: &[&str], name: &str) -> bool {
    before.iter().any(|before| {
        let sought = format!("{before}{name}");
        let is_whole = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        content.match_indices(&sought).any(|(at, _)| is_whole(&content[at + sought.len()..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_there_are_found() {
        let document = "- model: `not_in_a_clause`\n\n### A1. Title\n(§2) `nothing`\n\n- model: `there`,\n  `gone`\n- core: `Part`\n- shows: `other`\n";
        let model = Text::sample("model/spec/src/a.rs", "fn there() {}\nfn gone_by() {}\n");
        let core = Text::sample("impl/core/src/a.rs", "struct Part;");
        let lost = |texts: &[Text]| lost_names(document, texts);
        assert_eq!(lost(&[model.clone(), core.clone()]), ["A1. Title: model: gone"]);
        assert_eq!(lost(&[model]).len(), 2, "the core's is gone, too");
        assert_eq!(lost(&[core]).len(), 2, "both of the model's are");
    }
}
