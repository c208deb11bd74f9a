//! What has to be shown, and what the solvers say of it.

use crate::solver::{Answer, Solver};
use crate::theory::{Action, Named, Theory};
use std::time::Duration;

/// One thing to be shown.
#[derive(Clone, Copy, Debug)]
pub enum Obligation<'a> {
    /// The conjunct holds at the start.
    Initiation(&'a Named),
    /// The action keeps the conjunct, if the invariant held before it.
    Consecution(&'a Action, &'a Named),
    /// The invariant, and the goals before this one, imply the goal.
    Goal(usize),
    /// The action can be taken in some state that satisfies the invariant: it is not vacuous.
    Possible(&'a Action),
    /// Some state that satisfies the invariant satisfies this, too.
    Satisfiable(&'a Named),
}

impl Obligation<'_> {
    /// Its name.
    #[must_use]
    pub fn name(&self, theory: &Theory) -> String {
        match self {
            Self::Initiation(conjunct) => format!("start: {}", conjunct.name),
            Self::Consecution(action, conjunct) => format!("{}: {}", action.name, conjunct.name),
            Self::Goal(goal) => format!("goal: {}", theory.goals[*goal].name),
            Self::Possible(action) => format!("possible: {}", action.name),
            Self::Satisfiable(state) => format!("possible: {}", state.name),
        }
    }

    /// The answer that shows it.
    #[must_use]
    pub const fn expected(&self) -> Answer {
        match self {
            Self::Initiation(_) | Self::Consecution(..) | Self::Goal(_) => Answer::Unsat,
            Self::Possible(_) | Self::Satisfiable(_) => Answer::Sat,
        }
    }

    /// The question to a solver.
    #[must_use]
    pub fn query(&self, theory: &Theory) -> String {
        format!("{}(check-sat)\n", self.statement(theory))
    }

    /// What is asked, without the question.
    #[must_use]
    pub fn statement(&self, theory: &Theory) -> String {
        let invariant = || theory.conjuncts.iter().map(|conjunct| &conjunct.formula);
        match self {
            Self::Initiation(conjunct) => theory.consequence(&theory.initially, &conjunct.formula),
            Self::Consecution(action, conjunct) => {
                theory.consecution(invariant(), action, &conjunct.formula)
            }
            Self::Goal(goal) => {
                let before = theory.goals[..*goal].iter().map(|goal| &goal.formula);
                theory.consequence(invariant().chain(before), &theory.goals[*goal].formula)
            }
            Self::Possible(action) => theory.step(invariant(), action),
            Self::Satisfiable(state) => theory.together(invariant().chain([&state.formula])),
        }
    }
}

/// Everything that has to be shown. A step that adds to no relation of a conjunct keeps it, and is left out.
#[must_use]
pub fn obligations(theory: &Theory) -> Vec<Obligation<'_>> {
    let mut all: Vec<_> = theory.conjuncts.iter().map(Obligation::Initiation).collect();
    for action in &theory.actions {
        let touched = theory.conjuncts.iter().filter(|conjunct| touches(action, conjunct));
        all.extend(touched.map(|conjunct| Obligation::Consecution(action, conjunct)));
    }
    all.extend((0..theory.goals.len()).map(Obligation::Goal));
    all.extend(theory.actions.iter().map(Obligation::Possible));
    all.extend(theory.possible.iter().map(Obligation::Satisfiable));
    all
}

/// The obligation with this name.
#[must_use]
pub fn obligation<'a>(theory: &'a Theory, name: &str) -> Option<Obligation<'a>> {
    obligations(theory).into_iter().find(|one| one.name(theory) == name)
}

/// Whether the action adds to a relation that the conjunct speaks of.
fn touches(action: &Action, conjunct: &Named) -> bool {
    let mut touched = false;
    conjunct.formula.relations(&mut |name, _| {
        touched |= action.adds.iter().any(|addition| addition.relation == name);
    });
    touched
}

/// What one solver said of one obligation.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The obligation's name.
    pub obligation: String,
    /// Whom it was asked.
    pub solver: Solver,
    /// The answer.
    pub answer: Answer,
    /// Whether that is the answer that shows it.
    pub shown: bool,
    /// How long it took.
    pub took: Duration,
}

/// What all answers come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Every obligation is shown by every solver that was asked.
    Proved,
    /// A solver did not decide an obligation, and none found it wrong.
    Undecided,
    /// An obligation is wrong: a counterexample exists, or a step can never be taken.
    Refuted,
}

/// Asks each solver about each obligation, and reports each answer as it comes.
pub fn prove(
    theory: &Theory,
    solvers: &[Solver],
    limit: Duration,
    report: &mut impl FnMut(&Finding),
) -> Outcome {
    // Nothing asked is nothing shown.
    let mut outcome = if solvers.is_empty() { Outcome::Undecided } else { Outcome::Proved };
    for obligation in obligations(theory) {
        let query = obligation.query(theory);
        for &solver in solvers {
            let (answer, took) = solver.ask(&query, limit);
            let shown = answer == obligation.expected();
            let decided = matches!(answer, Answer::Unsat | Answer::Sat);
            outcome = outcome.max(match (shown, decided) {
                (true, _) => Outcome::Proved,
                (false, true) => Outcome::Refuted,
                (false, false) => Outcome::Undecided,
            });
            let obligation = obligation.name(theory);
            report(&Finding { obligation, solver, answer, shown, took });
        }
    }
    outcome
}
