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
    write_properties(xml, "    ", suite.properties.iter().chain(&seed).chain([&directory]));
    for case in &suite.cases {
        write_case(xml, &name, case);
    }
    *xml += "  </testsuite>\n";
}

fn write_properties<'a>(
    xml: &mut String,
    indent: &str,
    properties: impl Iterator<Item = &'a (String, String)>,
) {
    let _ = writeln!(xml, "{indent}<properties>");
    for (name, value) in properties {
        let (name, value) = (escape(name), escape(value));
        let _ = writeln!(xml, "{indent}  <property name=\"{name}\" value=\"{value}\"/>");
    }
    let _ = writeln!(xml, "{indent}</properties>");
}

fn write_case(xml: &mut String, class: &str, case: &Case) {
    let name = escape(&case.name);
    let _ = write!(
        xml,
        "    <testcase classname=\"{class}\" name=\"{name}\" time=\"{:.3}\"",
        case.seconds
    );
    if case.outcome == Outcome::Passed && case.facts.is_empty() {
        *xml += "/>\n";
        return;
    }
    *xml += ">\n";
    if !case.facts.is_empty() {
        write_properties(xml, "      ", case.facts.iter());
    }
    let _ = match &case.outcome {
        Outcome::Passed => Ok(()),
        Outcome::Failed { message, detail } => {
            let (message, detail) = (escape(message), escape_text(detail));
            writeln!(
                xml,
                "      <failure message=\"{message}\" type=\"violation\">{detail}</failure>"
            )
        }
        Outcome::Inconclusive { message } => {
            writeln!(xml, "      <error message=\"{}\" type=\"inconclusive\"/>", escape(message))
        }
        Outcome::Skipped { reason } => {
            writeln!(xml, "      <skipped message=\"{}\"/>", escape(reason))
        }
    };
    *xml += "    </testcase>\n";
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
    fn what_is_known_of_a_case_stands_before_its_outcome() {
        let facts = vec![("step".to_owned(), "4".to_owned())];
        let case = |outcome, facts| Case { name: "a".to_owned(), outcome, seconds: 0.0, facts };
        let mut xml = String::new();
        let failed = Outcome::Failed { message: "b".to_owned(), detail: "c".to_owned() };
        write_case(&mut xml, "core", &case(failed, facts));
        write_case(&mut xml, "core", &case(Outcome::Passed, Vec::new()));
        let expected = [
            "    <testcase classname=\"core\" name=\"a\" time=\"0.000\">",
            "      <properties>",
            "        <property name=\"step\" value=\"4\"/>",
            "      </properties>",
            "      <failure message=\"b\" type=\"violation\">c</failure>",
            "    </testcase>",
            "    <testcase classname=\"core\" name=\"a\" time=\"0.000\"/>",
        ];
        assert_eq!(xml.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_xml_cannot_hold_is_escaped() {
        assert_eq!(escape("a<b> & \"c\"\n\td"), "a&lt;b&gt; &amp; &quot;c&quot;&#10;&#9;d");
        assert_eq!(escape_text("]]>\u{1b}[0m\0\n–"), "]]&gt;\u{fffd}[0m\u{fffd}\n–");
    }
}
