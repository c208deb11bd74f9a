//! The documentation as a site: every page is in its contents, every link to a place in a page leads there, and
//! questions that people have are answered near its front.

use crate::paths::links_to;
use crate::source::Text;
use std::collections::BTreeSet;

/// The pages of the site are below this directory.
const PAGES: &str = "docs/";

/// Its table of contents.
pub(crate) const CONTENTS: &str = "docs/SUMMARY.md";

/// Its first page.
pub(crate) const FRONT: &str = "docs/README.md";

fn is_document(text: &&Text) -> bool {
    text.path.ends_with(".md")
}

/// The name under which a browser finds a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The anchors of a page. Of headings that are alike only the first can be linked to.
fn anchors(content: &str) -> BTreeSet<String> {
    let mut is_code = false;
    let mut found = BTreeSet::new();
    for line in content.lines() {
        is_code ^= line.trim_start().starts_with("```");
        let heading = line.trim_start_matches('#');
        if !is_code && heading.len() < line.len() && heading.starts_with(' ') {
            found.insert(anchor(heading));
        }
    }
    found
}

/// The links to headings that are not there.
pub(crate) fn lost_anchors(texts: &[Text]) -> Vec<String> {
    let mut lost = Vec::new();
    for text in texts.iter().filter(is_document) {
        for (path, anchor) in links_to(text) {
            let Some(page) = texts.iter().filter(is_document).find(|page| page.path == path) else {
                continue;
            };
            if !anchor.is_empty() && !anchors(&page.content).contains(&anchor) {
                lost.push(format!("{}: {path} has no heading #{anchor}", text.path));
            }
        }
    }
    lost
}

/// The pages that the table of contents does not name exactly once.
pub(crate) fn not_in_contents(texts: &[Text]) -> Vec<String> {
    let contents = texts.iter().find(|text| text.path == CONTENTS);
    let named: Vec<String> =
        contents.iter().flat_map(|text| links_to(text)).map(|(path, _)| path).collect();
    let pages = texts.iter().filter(is_document).filter(|text| text.path.starts_with(PAGES));
    let pages = pages.filter(|text| text.path != CONTENTS && !is_of_an_example(text));
    let wrong = pages.filter(|text| named.iter().filter(|path| **path == text.path).count() != 1);
    wrong.map(|text| text.path.clone()).collect()
}

/// Examples are projects of their own, with READMEs of their own.
fn is_of_an_example(text: &Text) -> bool {
    text.path.starts_with("docs/examples/")
}

/// The questions of the first page, each with the place that answers it.
pub(crate) fn questions(front: &Text) -> Vec<(String, (String, String))> {
    let Some((_, after)) = front.content.split_once("\n## Ten questions\n") else {
        return Vec::new();
    };
    let section = after.split("\n## ").next().unwrap_or_default();
    let items = section.split('\n').filter_map(|line| line.split_once(". "));
    let items = items.filter(|(number, _)| number.parse::<u8>().is_ok());
    let answered = items.filter_map(|(_, item)| {
        let (question, answer) = item.split_once("? ")?;
        let link = links_to(&Text::sample(&front.path, answer)).into_iter().next()?;
        (!link.1.is_empty()).then(|| (question.to_owned(), link))
    });
    answered.collect()
}

/// Pages that were written with wider lines, and are to be wrapped when their text is next changed.
const WIDE: [&str; 3] = ["docs/explorer.md", "docs/performance.md", "docs/traces.md"];

/// Lines of prose that are wider than a screen is. Tables and blocks cannot be wrapped.
pub(crate) fn documents_have_short_lines(text: &Text) -> Vec<String> {
    const COLUMNS: usize = 120;
    if !is_document(&text) || WIDE.contains(&&*text.path) {
        return Vec::new();
    }
    let mut is_code = false;
    let mut wide = Vec::new();
    for (number, line) in text.content.lines().enumerate() {
        is_code ^= line.trim_start().starts_with("```");
        let is_prose = !is_code && !line.starts_with('|');
        if is_prose && line.chars().count() > COLUMNS {
            wide.push(format!("{}:{}: more than {COLUMNS} columns", text.path, number + 1));
        }
    }
    wide
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_found_under_the_names_that_browsers_know() {
        let page = "# `cargo x`: what, and why?\n```sh\n# no heading\n```\n## §4.2 A_b\n#hashtag\n";
        let expected = ["cargo-x-what-and-why", "42-a_b"].map(str::to_owned);
        assert_eq!(anchors(page), BTreeSet::from(expected));
    }

    #[test]
    fn links_to_headings_that_are_gone_are_found() {
        let page =
            Text::sample("docs/a.md", "# A\n\n## Here\n[b](b.md#there) [c](#here) [d](#gone)\n");
        let other = Text::sample("docs/b.md", "# B\n[a](a.md#here) [a](a.md) [x](x.rs#L1)\n");
        let lost = lost_anchors(&[page, other]);
        let expected = ["docs/b.md has no heading #there", "docs/a.md has no heading #gone"];
        assert_eq!(lost, expected.map(|what| format!("docs/a.md: {what}")));
    }

    #[test]
    fn pages_that_nobody_finds_are_found() {
        let contents = Text::sample(CONTENTS, "# Summary\n- [A](a.md)\n- [B](b.md)\n- [B](b.md)\n");
        let page = |name: &str| Text::sample(&format!("docs/{name}.md"), "# A\n");
        let texts = [contents, page("a"), page("b"), page("adr/c"), Text::sample("d.md", "# D\n")];
        assert_eq!(not_in_contents(&texts), ["docs/b.md", "docs/adr/c.md"]);
    }

    #[test]
    fn questions_need_an_answer() {
        let front = "# A\n\n## Ten questions\n\n1. Why? [Because](b.md#because)\n2. How? See b.md\n\
                     3. When? [Then](b.md)\n\n## Other\n1. No? [No](b.md#no)\n";
        let found = questions(&Text::sample(FRONT, front));
        let answer = ("docs/b.md".to_owned(), "because".to_owned());
        assert_eq!(found, [("Why".to_owned(), answer)]);
    }

    #[test]
    fn wide_lines_are_found() {
        let wide = |content: &str| documents_have_short_lines(&Text::sample("a.md", content)).len();
        let line = "é".repeat(121);
        assert_eq!(wide(&line), 1);
        assert_eq!(wide(&line[2..]), 0);
        assert_eq!(wide(&format!("| {line} |\n```\n{line}\n```\n{line}\n")), 1);
    }
}
