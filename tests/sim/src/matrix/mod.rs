//! The fault matrix: every kind of fault that the system must survive, the scenario that shows it in simulation, and the
//! test that shows it on real processes. `pbft-sim matrix` runs the scenarios and prints the table of
//! `docs/reliability.md`.

mod checks;
mod plans;
mod rows;

pub use rows::ROWS;

use super::fault::Plan;
use super::judge::{Judged, Judging, judge};
use serde::Serialize;
use std::fmt::Write as _;

/// Looks at one run of a scenario.
pub type Demand = fn(&Plan, &Judged) -> Result<(), String>;

/// How a row is shown in simulation.
#[derive(Clone, Copy, Debug)]
pub enum Simulated {
    /// These runs, none of which may break a rule, and each of which must satisfy the demand.
    Runs {
        /// The scenario's name.
        name: &'static str,
        /// Its runs.
        plans: fn() -> Vec<Plan>,
        /// What each must show.
        demand: Demand,
    },
    /// Something that is no run. Says what it looked at.
    Check {
        /// Its name.
        name: &'static str,
        /// Looks.
        check: fn() -> Result<String, String>,
    },
    /// There is nothing to simulate.
    Nothing(&'static str),
}

/// A test of the workspace: its file, and its name there.
pub type RealTest = (&'static str, &'static str);

/// A row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its number, from 1.
    pub number: u8,
    /// The fault.
    pub fault: &'static str,
    /// What is expected; S is safety, L is that correct clients are served in the end.
    pub expected: &'static str,
    /// In simulation.
    pub simulated: Simulated,
    /// Tests on the production node or on real processes.
    pub real: &'static [RealTest],
}

/// What trying a row came to.
#[derive(Clone, Debug, Serialize)]
pub struct Tried {
    number: u8,
    fault: &'static str,
    expected: &'static str,
    scenario: Option<&'static str>,
    real: Vec<String>,
    runs: u64,
    /// What was seen; an error says what should have been.
    result: Result<String, String>,
}

impl Tried {
    /// What was seen; an error says what should have been.
    pub fn result(&self) -> Result<String, String> {
        self.result.clone()
    }

    /// Whether everything was as expected.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.result.is_ok()
    }
}

/// Runs a row's scenario.
#[must_use]
pub fn try_row(row: &Row) -> Tried {
    let (scenario, runs, result) = match row.simulated {
        Simulated::Runs { name, plans, demand } => {
            let plans = plans();
            (Some(name), plans.len() as u64, try_plans(&plans, demand))
        }
        Simulated::Check { name, check } => (Some(name), 1, check()),
        Simulated::Nothing(why) => (None, 0, Ok(why.to_owned())),
    };
    let real = row.real.iter().map(|(file, name)| format!("{file}: {name}")).collect();
    let Row { number, fault, expected, .. } = *row;
    Tried { number, fault, expected, scenario, real, runs, result }
}

fn try_plans(plans: &[Plan], demand: Demand) -> Result<String, String> {
    let (mut operations, mut view, mut slowest) = (0, 0, 0.0f64);
    for (index, plan) in plans.iter().enumerate() {
        let judged = judge(plan, Judging { model: true, keep: false });
        if let Some(violation) = &judged.violation {
            return Err(format!("run {index}: {violation}"));
        }
        demand(plan, &judged).map_err(|problem| format!("run {index}: {problem}"))?;
        operations += judged.answered;
        view = view.max(judged.view);
        slowest = slowest.max(judged.converged.unwrap_or_default().as_secs_f64());
    }
    Ok(format!(
        "{operations} operations answered, views up to {view}, converged within {slowest:.1} s"
    ))
}

/// The table.
#[must_use]
pub fn to_markdown(tried: &[Tried]) -> String {
    let mut text =
        "| # | fault | expected | simulated | runs | result | on real processes |\n".to_owned();
    text.push_str("|---|---|---|---|---|---|---|\n");
    for one in tried {
        let result = match &one.result {
            Ok(seen) => seen.clone(),
            Err(problem) => format!("**fails**: {}", problem.lines().next().unwrap_or_default()),
        };
        let names =
            one.real.iter().map(|name| format!("`{}`", name.rsplit(": ").next().unwrap_or(name)));
        let real: Vec<String> = names.collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {result} | {} |",
            one.number,
            one.fault,
            one.expected,
            one.scenario.map_or("–".to_owned(), |name| format!("`{name}`")),
            one.runs,
            if real.is_empty() { "–".to_owned() } else { real.join(", ") }
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_rows_are_numbered_and_their_tests_exist() {
        let numbers: Vec<u8> = ROWS.iter().map(|row| row.number).collect();
        assert_eq!(numbers, (1..=53).collect::<Vec<u8>>());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for row in ROWS {
            for (file, name) in row.real {
                let path = root.join(file);
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                assert!(
                    text.contains(&format!("fn {name}(")),
                    "row {}: {file} has no {name}",
                    row.number
                );
            }
            let is_shown = !matches!(row.simulated, Simulated::Nothing(_)) || !row.real.is_empty();
            assert!(is_shown || row.number == 45, "row {} is shown by nothing", row.number);
        }
    }

    #[test]
    fn a_row_that_does_not_hold_says_so() {
        let row = Row {
            number: 1,
            fault: "none",
            expected: "a view change",
            simulated: Simulated::Runs {
                name: "calm",
                plans: || vec![Plan::calm(1, 4)],
                demand: plans::changes_views,
            },
            real: &[],
        };
        let tried = try_row(&row);
        assert!(!tried.holds());
        assert!(to_markdown(&[tried]).contains("**fails**: run 0: no view change"));
    }
}
