//! JUnit XML, in the form that Jenkins, GitLab and the actions of GitHub read.

use std::fmt::Write;

use super::{Case, Outcome, Report, Suite, Tally};

/// Writes a report. What cannot be told is an error, so that nobody takes it for a pass.
pub(super) fn write(report: &Report) -> String {
    let tally = report.tally();
    let seconds: f64 = report.suites.iter().map(|suite| suite.seconds).sum();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let title = escape(&report.title);
    let _ = writeln!(xml, "<testsuites name=\"{title}\" {}>", counts(&tally, seconds));
    for suite in &report.suites {
        write_suite(&mut xml, report, suite);
    }
    xml += "</testsuites>\n";
    xml
}

fn counts(tally: &Tally, seconds: f64) -> String {
    format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{seconds:.3}\"",
        tally.total(),
        tally.failed,
        tally.inconclusive,
        tally.skipped
    )
}

fn write_suite(xml: &mut String, report: &Report, suite: &Suite) {
    let name = escape(&suite.name);
    let tally = Tally::of(&suite.cases);
    let _ = writeln!(xml, "  <testsuite name=\"{name}\" {}>", counts(&tally, suite.seconds));
    let seed = report.seed.map(|seed| ("seed".to_owned(), seed.to_string()));
    let directory = ("run-directory".to_owned(), report.directory.display().to_string());
    *xml += "    <properties>\n";
    for (name, value) in suite.properties.iter().chain(&seed).chain([&directory]) {
        let (name, value) = (escape(name), escape(value));
        let _ = writeln!(xml, "      <property name=\"{name}\" value=\"{value}\"/>");
    }
    *xml += "    </properties>\n";
    for case in &suite.cases {
        write_case(xml, &name, case);
    }
    *xml += "  </testsuite>\n";
}

fn write_case(xml: &mut String, class: &str, case: &Case) {
    let name = escape(&case.name);
    let _ = write!(
        xml,
        "    <testcase classname=\"{class}\" name=\"{name}\" time=\"{:.3}\"",
        case.seconds
    );
    match &case.outcome {
        Outcome::Passed => *xml += "/>\n",
        Outcome::Failed { message, detail } => {
            let (message, detail) = (escape(message), escape_text(detail));
            let _ = writeln!(
                xml,
                ">\n      <failure message=\"{message}\" type=\"violation\">{detail}</failure>\n    </testcase>"
            );
        }
        Outcome::Inconclusive { message } => {
            let message = escape(message);
            let _ = writeln!(
                xml,
                ">\n      <error message=\"{message}\" type=\"inconclusive\"/>\n    </testcase>"
            );
        }
        Outcome::Skipped { reason } => {
            let reason = escape(reason);
            let _ = writeln!(xml, ">\n      <skipped message=\"{reason}\"/>\n    </testcase>");
        }
    }
}

/// Escapes an attribute. A parser would take an end of line in one for a space.
fn escape(text: &str) -> String {
    escape_text(text).replace('\n', "&#10;").replace('\t', "&#9;")
}

/// Escapes text. Characters that XML 1.0 cannot hold at all become U+FFFD.
fn escape_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\r' => escaped += "&#13;",
            '\n' | '\t' => escaped.push(character),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_hold_is_escaped() {
        assert_eq!(escape("a<b> & \"c\"\n\td"), "a&lt;b&gt; &amp; &quot;c&quot;&#10;&#9;d");
        assert_eq!(escape_text("]]>\u{1b}[0m\0\n–"), "]]&gt;\u{fffd}[0m\u{fffd}\n–");
    }
}
