//! What a scene tells: what was done, what was seen, and what was expected.

use crate::Kind;
use serde::Serialize;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// One step of a scene.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// When it was over, in milliseconds from the beginning of the scene.
    pub at_ms: u64,
    /// What was done.
    pub did: String,
    /// What was seen then.
    pub saw: String,
    /// What must be seen; `None` where there is nothing to check.
    pub expected: Option<String>,
    /// Whether it was.
    pub as_expected: bool,
}

/// The end of a scene that did not go as expected; its story has the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Different;

/// The steps of a scene so far.
#[derive(Debug)]
pub(super) struct Story {
    began: Instant,
    steps: Vec<Step>,
}

impl Default for Story {
    fn default() -> Self {
        Self { began: Instant::now(), steps: Vec::new() }
    }
}

impl Story {
    /// A step with nothing to check.
    pub(super) fn note(&mut self, did: impl Into<String>, saw: impl Into<String>) {
        self.push(did.into(), saw.into(), None, true);
    }

    /// A step with what must come of it. The scene ends here if it does not.
    pub(super) fn check(
        &mut self,
        did: impl Into<String>,
        saw: impl Into<String>,
        expected: impl Into<String>,
        as_expected: bool,
    ) -> Result<(), Different> {
        self.push(did.into(), saw.into(), Some(expected.into()), as_expected);
        if as_expected { Ok(()) } else { Err(Different) }
    }

    fn push(&mut self, did: String, saw: String, expected: Option<String>, as_expected: bool) {
        let at_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.steps.push(Step { at_ms, did, saw, expected, as_expected });
    }

    /// All steps, and how long they took.
    #[must_use]
    pub(super) fn into_steps(self) -> (Vec<Step>, Duration) {
        (self.steps, self.began.elapsed())
    }
}

/// A scene as it went.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// The row that it shows.
    pub row: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// Where it plays.
    pub kind: Kind,
    /// Its steps.
    pub steps: Vec<Step>,
    /// How long it took, in seconds of real time.
    pub seconds: f64,
}

impl Told {
    /// Whether every step went as expected. A scene in which nothing was checked shows nothing.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.steps.iter().all(|step| step.as_expected)
            && self.steps.iter().any(|step| step.expected.is_some())
    }

    /// In one line: the last thing that was seen, or what was different.
    #[must_use]
    pub fn said(&self) -> String {
        match self.steps.iter().find(|step| !step.as_expected) {
            Some(step) => {
                let expected = step.expected.as_deref().unwrap_or_default();
                format!("{}: expected {expected}; seen {}", step.did, step.saw)
            }
            None => {
                let checked = self.steps.iter().filter(|step| step.expected.is_some());
                let last = self.steps.last().map_or("nothing", |step| step.saw.as_str());
                format!("{} steps as expected; at the end {last}", checked.count())
            }
        }
    }

    /// The story, to be read.
    #[must_use]
    pub fn to_text(&self) -> String {
        let stage = match self.kind {
            Kind::Processes => "on real processes",
            Kind::Simulation => "in simulation",
        };
        let mut text = format!("{} {} ({stage})\n", self.row, self.title);
        for step in &self.steps {
            let seconds = step.at_ms as f64 / 1000.0;
            let _ = writeln!(text, "{seconds:6.1} s  {}", step.did);
            let _ = writeln!(text, "          seen      {}", step.saw);
            if let Some(expected) = &step.expected {
                let verdict = if step.as_expected { "" } else { "  <-- DIFFERENT" };
                let _ = writeln!(text, "          expected  {expected}{verdict}");
            }
        }
        let verdict = if self.holds() { "as expected" } else { "DIFFERENT" };
        let _ = writeln!(text, "          {verdict}, {:.1} s\n", self.seconds);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(story: Story) -> Told {
        let (steps, _) = story.into_steps();
        Told { row: "S1.0", title: "a test", kind: Kind::Simulation, steps, seconds: 0.0 }
    }

    #[test]
    fn a_scene_holds_if_something_was_checked_and_nothing_was_different() {
        let mut story = Story::default();
        story.note("something", "a thing");
        assert!(!told(Story::default()).holds(), "nothing was checked");
        assert_eq!(story.check("look", "2", "2", true), Ok(()));
        assert_eq!(story.check("look", "3", "2", false), Err(Different));
        let told = told(story);
        assert!(!told.holds());
        assert_eq!(told.said(), "look: expected 2; seen 3");
        assert!(told.to_text().contains("DIFFERENT"));
    }
}
