//! z3 and cvc5, as programs that are found on the path.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a solver says of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing satisfies it: the goal follows.
    Unsat,
    /// Something does.
    Sat,
    /// The solver gave up, or its time was over.
    Unknown,
    /// The solver did not understand, or broke; its own words.
    Failed(String),
}

/// A program that decides queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Solver {
    /// <https://github.com/Z3Prover/z3>
    Z3,
    /// <https://github.com/cvc5/cvc5>
    Cvc5,
}

impl Solver {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Z3, Self::Cvc5];

    /// The program's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Z3 => "z3",
            Self::Cvc5 => "cvc5",
        }
    }

    /// What the program says of its version; `None` if it is not on the path.
    #[must_use]
    pub fn version(self) -> Option<String> {
        let output = Command::new(self.name()).arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Some(text.lines().next()?.trim().to_owned()).filter(|_| output.status.success())
    }

    fn command(self, limit: Duration) -> Command {
        let mut command = Command::new(self.name());
        match self {
            Self::Z3 => command.arg("-in").arg(format!("-T:{}", limit.as_secs().max(1))),
            // Quantifiers range over sorts of which nothing says that they are infinite, and no function leads from a
            // sort to itself: looking for finite models ends, here, with one or with a proof that there is none.
            Self::Cvc5 => command
                .args(["--lang=smt2", "--finite-model-find"])
                .arg(format!("--tlimit={}", limit.as_millis())),
        };
        command
    }

    /// Asks, and waits for the answer; with the time that it took.
    #[must_use]
    pub fn ask(self, text: &str, limit: Duration) -> (Answer, Duration) {
        let started = Instant::now();
        let answer = match self.run(text, limit) {
            Ok(output) => match output.lines().next().unwrap_or_default().trim() {
                "unsat" => Answer::Unsat,
                "sat" => Answer::Sat,
                "unknown" | "timeout" | "" => Answer::Unknown,
                other if other.contains("interrupted by timeout") => Answer::Unknown,
                other => Answer::Failed(other.to_owned()),
            },
            Err(error) => Answer::Failed(error.to_string()),
        };
        (answer, started.elapsed())
    }

    /// Everything that it says to `text`; none if it cannot be run.
    #[must_use]
    pub fn answer(self, text: &str, limit: Duration) -> Option<String> {
        self.run(text, limit).ok()
    }

    fn run(self, text: &str, limit: Duration) -> std::io::Result<String> {
        let mut child = self
            .command(limit)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(text.as_bytes())?;
        }
        Ok(String::from_utf8_lossy(&child.wait_with_output()?.stdout).into_owned())
    }
}
