//! A summary in Markdown, for the page of a job or a comment.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Outcome, Report, Tally};
use crate::check::Verdict;

/// Writes a report: the verdict, a table of the suites, what did not pass, and commands.
pub(super) fn write(report: &Report) -> String {
    let tally = report.tally();
    let verdict = match tally.verdict() {
        Verdict::Holds => "holds",
        Verdict::Violated => "VIOLATED",
        Verdict::Inconclusive => "INCONCLUSIVE",
    };
    let mut text = format!("## {}: {verdict}\n\n", escape(&report.title));
    let _ = writeln!(
        text,
        "{} cases: {} passed, {} failed, {} inconclusive, {} skipped.\n",
        tally.total(),
        tally.passed,
        tally.failed,
        tally.inconclusive,
        tally.skipped
    );
    write_suites(&mut text, report);
    write_findings(&mut text, report);
    if let Some(seed) = report.seed {
        let _ = writeln!(text, "Seed: {seed}\n");
    }
    let directory = escape(&report.directory.display().to_string());
    let _ = writeln!(text, "Run directory: {directory}");
    for command in &report.commands {
        // An indented block: nothing in it has a meaning, and nothing but the end of the line ends it.
        let line = command.line.replace(['\n', '\r'], " ");
        let _ = write!(text, "\n{}:\n\n    {line}\n", escape(&command.purpose));
    }
    text
}

/// A row for each suite; a column for each property that any of them has.
fn write_suites(text: &mut String, report: &Report) {
    let mut columns: Vec<&str> = Vec::new();
    for (name, _) in report.suites.iter().flat_map(|suite| &suite.properties) {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    let header: String = columns.iter().map(|name| format!(" {} |", escape(name))).collect();
    let _ = writeln!(text, "| suite | passed |{header} seconds |");
    let _ = writeln!(text, "|---|---:|{}---:|", "---:|".repeat(columns.len()));
    for suite in &report.suites {
        let tally = Tally::of(&suite.cases);
        let value = |column: &&str| {
            let found = suite.properties.iter().find(|(name, _)| name == column);
            format!(" {} |", found.map_or(String::new(), |(_, value)| escape(value)))
        };
        let values: String = columns.iter().map(value).collect();
        let (name, passed, total) = (escape(&suite.name), tally.passed, tally.total());
        let _ = writeln!(text, "| {name} | {passed}/{total} |{values} {:.1} |", suite.seconds);
    }
    text.push('\n');
}

/// What failed and what cannot be told, case by case; what was skipped, by its reason.
fn write_findings(text: &mut String, report: &Report) {
    let mut lines = Vec::new();
    for suite in &report.suites {
        let name = escape(&suite.name);
        let mut skipped: BTreeMap<&str, usize> = BTreeMap::new();
        for case in &suite.cases {
            let (what, message) = match &case.outcome {
                Outcome::Passed => continue,
                Outcome::Failed { message, .. } => ("FAILED", message),
                Outcome::Inconclusive { message } => ("inconclusive", message),
                Outcome::Skipped { reason } => {
                    *skipped.entry(reason).or_default() += 1;
                    continue;
                }
            };
            lines.push(format!("- {what}: {name}, {}: {}", escape(&case.name), escape(message)));
        }
        for (reason, cases) in skipped {
            lines.push(format!("- {cases} skipped: {name}: {}", escape(reason)));
        }
    }
    if !lines.is_empty() {
        let _ = writeln!(text, "{}\n", lines.join("\n"));
    }
}

/// Escapes whatever has a meaning in Markdown or in HTML; ends of lines would end a table.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '\\' | '|' | '*' | '_' | '`' | '[' | ']' | '#' | '~' | '$' => {
                escaped.push('\\');
                escaped.push(character);
            }
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_markdown_reads_as_markup_is_escaped() {
        assert_eq!(escape("a|b\n<img> *x* [y](z)"), "a\\|b &lt;img&gt; \\*x\\* \\[y\\](z)");
    }
}
