//! Cases by name: a story, what is done, and what must be seen at the end.

use super::cluster::Setup;
use super::session::Session;
use super::text;

/// A case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Its name.
    pub id: &'static str,
    /// What it shows, in a line.
    pub title: &'static str,
    /// The commands, with the story and what is expected.
    pub script: &'static str,
}

impl Case {
    /// Its line in the list.
    #[must_use]
    pub fn line(&self) -> String {
        format!("  {:<12} {}", self.id.to_lowercase(), self.title)
    }
}

/// What a case came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether everything is as expected, and no rule was broken.
    pub holds: bool,
    /// What was done, expected and seen.
    pub said: String,
}

macro_rules! cases {
    ($($id:literal $file:literal: $title:literal;)*) => {
        const CASES: &[Case] = &[$(Case { id: $id, title: $title, script: include_str!($file) },)*];
    };
}

cases! {
    "S3.1" "agree.lab": "a deposit, and all agree";
    "S3.2" "mixed_votes.lab": "a withdrawal; the Byzantine replica votes for some and not for others";
    "S3.3" "no_prepare.lab": "two replicas withhold their PREPAREs: it does not prepare, and the view changes";
    "S3.4" "no_commit.lab": "it prepares and does not commit; the view change carries it over";
    "S3.5" "crash_one.lab": "a replica crashes, the others go on, and it catches up";
    "S3.6" "five_primaries.lab": "each primary crashes in turn, five view changes";
    "S3.7" "checkpoint.lab": "a checkpoint, and what is in it";
    "S3.8" "practice_one.lab": "practice: two replicas withhold their votes for a withdrawal";
    "S3.9" "practice_two.lab": "practice: the Byzantine replica says yes, no, yes";
    "S3.10" "restart.lab": "list, status, and every replica stopped and started again";
    "S3.11a" "fork.lab": "attack: a primary proposes two requests under one number";
    "S3.11b" "counts_twice.lab": "attack: a new primary counts itself twice";
    "S3.11c" "forged.lab": "attack: NEW-VIEW and REPLY from somebody who may not say them";
    "S3.11d" "negative.lab": "attack: a deposit of -500";
    "S3.11e" "dead_peers.lab": "attack: the primary talks to replicas that are gone";
    "S3.11f" "answered_is_kept.lab": "attack: a view change that hides what a client was answered";
}

/// All cases, in order.
#[must_use]
pub const fn cases() -> &'static [Case] {
    CASES
}

/// The case with this name, in any case.
#[must_use]
pub fn named(name: &str) -> Option<&'static Case> {
    CASES.iter().find(|case| case.id.eq_ignore_ascii_case(name))
}

/// Runs a case in a cluster of its own.
#[must_use]
pub fn run(case: &Case) -> Outcome {
    run_in(case, Setup::default())
}

/// Runs a case in a cluster of this kind; the case says how many replicas it has, and which are Byzantine.
#[must_use]
pub fn run_in(case: &Case, setup: Setup) -> Outcome {
    let title = text::wrap(&format!("{}: {}", case.id, case.title), 0, 2);
    let mut said = title.join("\n") + "\n";
    let reports = match Session::new(setup) {
        Ok(mut session) => {
            session.run_script(case.id, case.script).map(|reports| (session, reports))
        }
        Err(error) => Err(error),
    };
    let (session, reports) = match reports {
        Ok(done) => done,
        Err(error) => return Outcome { holds: false, said: format!("{said}{error}\n") },
    };
    for report in &reports {
        if !report.command.starts_with('#') {
            said += &format!("lab> {}\n", report.command);
        }
        for line in text::lines(report) {
            said += &line;
            said.push('\n');
        }
    }
    let expectations = reports.iter().map(|report| report.checked.len()).sum::<usize>();
    let broken = session.cluster.world().oracle.violation.is_some();
    Outcome { holds: session.failed == 0 && expectations > 0 && !broken, said }
}
