//! JUnit XML, in the form that Jenkins, GitLab and the actions of GitHub read.

use std::time::Duration;

use quick_junit::{NonSuccessKind, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::{Case, Outcome, Report, Suite};

/// Writes a report. What cannot be told is an error, so that nobody takes it for a pass.
pub(super) fn write(report: &Report) -> Result<String, SerializeError> {
    let mut junit = quick_junit::Report::new(&report.title);
    junit.set_time(report.suites.iter().map(|suite| time(suite.seconds)).sum());
    junit.add_test_suites(report.suites.iter().map(|suite| test_suite(report, suite)));
    junit.to_string()
}

fn time(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn test_suite(report: &Report, suite: &Suite) -> TestSuite {
    let mut written = TestSuite::new(&suite.name);
    written.set_time(time(suite.seconds));
    let seed = report.seed.map(|seed| ("seed".to_owned(), seed.to_string()));
    let directory = ("run-directory".to_owned(), report.directory.display().to_string());
    let properties = suite.properties.iter().chain(&seed).chain([&directory]);
    written.add_properties(properties.map(|(name, value)| (name, value)));
    written.add_test_cases(suite.cases.iter().map(|case| test_case(&suite.name, case)));
    written
}

fn test_case(class: &str, case: &Case) -> TestCase {
    let mut status = TestCaseStatus::success();
    match &case.outcome {
        Outcome::Passed => {}
        Outcome::Failed { message, detail } => {
            status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(message).set_type("violation").set_description(detail);
        }
        Outcome::Inconclusive { message } => {
            status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message(message).set_type("inconclusive");
        }
        Outcome::Skipped { reason } => {
            status = TestCaseStatus::skipped();
            status.set_message(reason);
        }
    }
    let mut written = TestCase::new(&case.name, status);
    written.set_classname(class).set_time(time(case.seconds));
    written.add_properties(case.facts.iter().map(|(name, value)| (name, value)));
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_case_stands_before_its_outcome_and_all_of_it_is_xml() {
        let message = "a<b> & \"c\"".to_owned();
        let detail = "]]>\u{1b}[0m\0\n–".to_owned();
        let outcome = Outcome::Failed { message, detail };
        let facts = vec![("step".to_owned(), "4".to_owned())];
        let case = Case { name: "a".to_owned(), outcome, seconds: 0.5, facts };
        let (name, properties, cases) = ("core".to_owned(), Vec::new(), vec![case]);
        let suites = vec![Suite { name, seconds: 1.5, properties, cases }];
        let (title, directory) = ("title".to_owned(), "runs".into());
        let report = Report { title, seed: None, directory, suites, commands: Vec::new() };
        let expected = [
            "        <testcase name=\"a\" classname=\"core\" time=\"0.500\">",
            "            <properties>",
            "                <property name=\"step\" value=\"4\"/>",
            "            </properties>",
            "            <failure message=\"a&lt;b&gt; &amp; &quot;c&quot;\" type=\"violation\">]]&gt;",
            "–</failure>",
            "        </testcase>",
        ];
        let xml = write(&report).expect("XML");
        assert!(xml.contains(&expected.join("\n")), "{xml}");
    }
}
