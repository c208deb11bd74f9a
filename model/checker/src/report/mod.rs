//! Reports for continuous integration: what was checked, in a form that is written as JUnit XML and as Markdown.
//!
//! The data knows nothing of models: a report has suites, a suite has cases, a case has an outcome. A report
//! without a single case that passed never says that anything holds.

mod junit;
mod markdown;
mod model;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

pub(crate) use self::model::look_at;
pub use self::model::{CheckSummary, check_report, mutants_report, simulate_report};
use crate::check::Verdict;

/// What one case came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is as it should be.
    Passed,
    /// It is not.
    Failed {
        /// In a sentence.
        message: String,
        /// All there is to know, in any number of lines.
        detail: String,
    },
    /// It cannot be told.
    Inconclusive {
        /// Why not.
        message: String,
    },
    /// It was not looked at.
    Skipped {
        /// Why not.
        reason: String,
    },
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Its name, unique in its suite.
    pub name: String,
    /// What it came to.
    pub outcome: Outcome,
    /// Wall time, if it took any of its own.
    pub seconds: f64,
    /// What is known of it beside its outcome, by name.
    pub facts: Vec<(String, String)>,
}

/// Cases that were checked together.
#[derive(Clone, Debug, PartialEq)]
pub struct Suite {
    /// Its name, unique in the report.
    pub name: String,
    /// Wall time.
    pub seconds: f64,
    /// Counts and settings, by name.
    pub properties: Vec<(String, String)>,
    /// The cases.
    pub cases: Vec<Case>,
}

/// A command for whoever reads the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What it does.
    pub purpose: String,
    /// To be typed in a checkout.
    pub line: String,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What was run.
    pub title: String,
    /// The seed, for runs that draw anything.
    pub seed: Option<u64>,
    /// Where the run directory is.
    pub directory: PathBuf,
    /// The suites.
    pub suites: Vec<Suite>,
    /// How to do the same again, how to look at a counterexample.
    pub commands: Vec<Command>,
}

/// Numbers of cases by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// As they should be.
    pub passed: usize,
    /// Not as they should be.
    pub failed: usize,
    /// Not to be told.
    pub inconclusive: usize,
    /// Not looked at.
    pub skipped: usize,
}

impl Tally {
    /// Counts cases.
    #[must_use]
    pub fn of<'a>(cases: impl IntoIterator<Item = &'a Case>) -> Self {
        let mut tally = Self::default();
        for case in cases {
            match case.outcome {
                Outcome::Passed => tally.passed += 1,
                Outcome::Failed { .. } => tally.failed += 1,
                Outcome::Inconclusive { .. } => tally.inconclusive += 1,
                Outcome::Skipped { .. } => tally.skipped += 1,
            }
        }
        tally
    }

    /// All cases.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.passed + self.failed + self.inconclusive + self.skipped
    }

    /// A failure outranks what cannot be told; where nothing passed, nothing holds.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        if self.failed > 0 {
            Verdict::Violated
        } else if self.inconclusive > 0 || self.passed == 0 {
            Verdict::Inconclusive
        } else {
            Verdict::Holds
        }
    }
}

impl Report {
    /// Numbers of all its cases.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally::of(self.suites.iter().flat_map(|suite| &suite.cases))
    }

    /// The report as JUnit XML.
    pub fn to_junit(&self) -> io::Result<String> {
        junit::write(self).map_err(io::Error::other)
    }

    /// The report as a summary in Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        markdown::write(self)
    }
}

/// The arguments that ask for reports.
#[derive(Clone, Debug, Default, Args)]
pub struct ReportArgs {
    /// Write a report as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write a summary as Markdown
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}

impl ReportArgs {
    /// Creates the files before the run: one that cannot be written is found out at once, and a run that dies does not
    /// leave the report of another.
    pub fn create(&self) -> Result<ReportFiles, String> {
        let create = |path: &Option<PathBuf>| {
            let Some(path) = path else { return Ok(None) };
            let failed = |error| format!("creating the report {}: {error}", path.display());
            File::create(path).map(|file| Some((path.clone(), file))).map_err(failed)
        };
        Ok(ReportFiles { junit: create(&self.junit)?, markdown: create(&self.markdown)? })
    }
}

/// Files that wait for a report.
#[derive(Debug)]
pub struct ReportFiles {
    junit: Option<(PathBuf, File)>,
    markdown: Option<(PathBuf, File)>,
}

impl ReportFiles {
    /// Writes the report in every form that was asked for.
    pub fn write(self, report: &Report) -> Result<(), String> {
        let failed = |path: &Path, error: io::Error| {
            format!("writing the report {}: {error}", path.display())
        };
        if let Some((path, mut file)) = self.junit {
            let written = report.to_junit().and_then(|text| file.write_all(text.as_bytes()));
            written.map_err(|error| failed(&path, error))?;
        }
        if let Some((path, mut file)) = self.markdown {
            file.write_all(report.to_markdown().as_bytes())
                .map_err(|error| failed(&path, error))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(outcome: Outcome) -> Case {
        Case { name: "a case".to_owned(), outcome, seconds: 0.0, facts: Vec::new() }
    }

    #[test]
    fn a_verdict_is_never_better_than_its_cases() {
        let failed = || case(Outcome::Failed { message: String::new(), detail: String::new() });
        let unknown = || case(Outcome::Inconclusive { message: String::new() });
        let skipped = || case(Outcome::Skipped { reason: String::new() });
        let passed = || case(Outcome::Passed);
        let verdict = |cases: &[Case]| Tally::of(cases).verdict();
        assert_eq!(verdict(&[]), Verdict::Inconclusive);
        assert_eq!(verdict(&[skipped()]), Verdict::Inconclusive);
        assert_eq!(verdict(&[passed(), skipped()]), Verdict::Holds);
        assert_eq!(verdict(&[passed(), unknown()]), Verdict::Inconclusive);
        assert_eq!(verdict(&[passed(), unknown(), failed()]), Verdict::Violated);
    }

    #[test]
    fn a_report_file_that_cannot_be_written_is_found_out_first() {
        let missing = PathBuf::from("no/such/directory/report.xml");
        let args = ReportArgs { junit: Some(missing), markdown: None };
        let error = args.create().expect_err("there is no such directory");
        assert!(error.contains("no/such/directory/report.xml"), "{error}");
    }
}
