//! One expectation of a reader who comes from another system, and the experiment that shows whether it is met here.

use serde::Serialize;

/// What an experiment runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The production core in the simulator, in virtual time.
    Simulation,
    /// Processes of the `pbft` command, with real disks and sockets.
    Processes,
}

/// What an experiment came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Whether the expectation is met.
    pub holds: bool,
    /// What was seen, in a sentence with its numbers.
    pub said: String,
}

impl Outcome {
    /// An outcome that says why it does not hold.
    #[must_use]
    pub fn failed(why: &dyn std::fmt::Display) -> Self {
        Self { holds: false, said: why.to_string() }
    }
}

/// An expectation with its experiment.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its number, such as `S0.3`.
    pub id: &'static str,
    /// What is expected here.
    pub title: &'static str,
    /// What the other system reported.
    pub theirs: &'static str,
    /// The command that repeats it.
    pub command: &'static str,
    /// What it runs on.
    pub kind: Kind,
    /// Runs it.
    pub run: fn() -> Outcome,
}

impl Row {
    /// A row that the simulator answers.
    #[must_use]
    pub fn simulated(
        id: &'static str,
        title: &'static str,
        theirs: &'static str,
        command: &'static str,
        run: fn() -> Outcome,
    ) -> Self {
        Self { id, title, theirs, command, kind: Kind::Simulation, run }
    }
}
