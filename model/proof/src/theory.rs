//! The system and its invariant, as read from `pbft.txt`.

use crate::formula::{Formula, Sort, SyntaxError, Term, ZERO, parse};
use std::collections::BTreeSet;

/// The text that everything here is made from: one definition for solvers, for states and for readers.
pub const SOURCE: &str = include_str!("pbft.txt");

/// A relation between individuals. It only grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Its name.
    pub name: String,
    /// The sorts of its arguments.
    pub sorts: Vec<Sort>,
    /// What it says of them.
    pub meaning: String,
}

/// A formula with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// What it says.
    pub formula: Formula,
    /// The same as text.
    pub text: String,
    /// Why it holds, or what it says, in words; empty for axioms.
    pub why: String,
    /// Of a conjunct: the obligation that cannot be shown without it, or `itself`.
    pub needed: String,
}

/// What an action adds to a relation: for all values of the variables among the arguments that are no parameters
/// of the action, if the condition holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition {
    /// The relation.
    pub relation: String,
    /// Parameters of the action, and variables.
    pub arguments: Vec<Term>,
    /// Of which values, in the state before.
    pub condition: Formula,
}

/// A step of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// Its name.
    pub name: String,
    /// What it is taken with.
    pub parameters: Vec<String>,
    /// When it can be taken.
    pub requires: Vec<Formula>,
    /// What it adds.
    pub adds: Vec<Addition>,
}

impl Action {
    /// Whether a replica takes it; others happen when the votes are there.
    #[must_use]
    pub fn has_actor(&self) -> bool {
        self.parameters.iter().any(|one| Sort::of(one) == Some(Sort::Replica))
    }
}

/// The transition system with its invariant and what follows from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Theory {
    /// The relations, in the order of the text.
    pub relations: Vec<Relation>,
    /// What is known without looking at a state.
    pub axioms: Vec<Named>,
    /// What holds at the start.
    pub initially: Vec<Formula>,
    /// The steps.
    pub actions: Vec<Action>,
    /// The invariant, which is all of these.
    pub conjuncts: Vec<Named>,
    /// What the invariant implies.
    pub goals: Vec<Named>,
    /// What must be possible: some state satisfies it and the invariant.
    pub possible: Vec<Named>,
}

/// Why a text is no theory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TheoryError {
    /// A formula cannot be read.
    #[error("line {line}: {error}")]
    Syntax {
        /// From 1.
        line: usize,
        /// What is wrong.
        error: SyntaxError,
    },
    /// A line is not what may stand there.
    #[error("line {line}: {what}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// A formula does not fit the relations.
    #[error("{place}: {what}")]
    Sorts {
        /// The name of what it belongs to.
        place: String,
        /// What is wrong.
        what: String,
    },
}

impl Theory {
    /// The theory of this repository.
    ///
    /// # Errors
    /// If `pbft.txt` is damaged; a test reads it.
    pub fn pbft() -> Result<Self, TheoryError> {
        Self::read(SOURCE)
    }

    /// Reads a theory.
    ///
    /// # Errors
    /// If the text is none: the first line, or the first name, that is wrong.
    pub fn read(text: &str) -> Result<Self, TheoryError> {
        let mut theory = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                let (keyword, rest) = line.split_once(' ').unwrap_or((line, ""));
                theory.line(number + 1, keyword, rest.trim())?;
            }
        }
        theory.check_sorts()?;
        Ok(theory)
    }

    fn line(&mut self, line: usize, keyword: &str, rest: &str) -> Result<(), TheoryError> {
        let wrong = |what: &str| TheoryError::Line { line, what: what.to_owned() };
        let formula = |text: &str| parse(text).map_err(|error| TheoryError::Syntax { line, error });
        match keyword {
            "relation" => {
                let (head, meaning) = rest.split_once("  ").ok_or(wrong("no meaning"))?;
                let (name, arguments) = head_of(head).ok_or(wrong("no arguments"))?;
                let sorts: Option<Vec<_>> = arguments.iter().map(|a| Sort::of(a)).collect();
                let sorts = sorts.ok_or(wrong("an argument without a sort"))?;
                self.relations.push(Relation { name, sorts, meaning: meaning.trim().to_owned() });
            }
            "axiom" => {
                let (name, text) = rest.split_once(' ').ok_or(wrong("no formula"))?;
                self.axioms.push(named(name, text, formula(text)?));
            }
            "initially" => self.initially.push(formula(rest)?),
            "action" => {
                let (name, parameters) = head_of(rest).ok_or(wrong("no parameters"))?;
                let action = Action { name, parameters, requires: Vec::new(), adds: Vec::new() };
                self.actions.push(action);
            }
            "requires" => {
                let action = self.actions.last_mut().ok_or(wrong("no action"))?;
                action.requires.push(formula(rest)?);
            }
            "adds" => {
                let (head, condition) = rest.split_once(" where ").unwrap_or((rest, "true"));
                let (relation, arguments) = head_of(head).ok_or(wrong("no arguments"))?;
                let arguments = arguments.into_iter().map(Term).collect();
                let action = self.actions.last_mut().ok_or(wrong("no action"))?;
                action.adds.push(Addition { relation, arguments, condition: formula(condition)? });
            }
            "conjunct" | "goal" | "possible" => {
                let list = match keyword {
                    "conjunct" => &mut self.conjuncts,
                    "goal" => &mut self.goals,
                    _ => &mut self.possible,
                };
                list.push(named(rest, "", Formula::Constant(true)));
            }
            "says" => {
                // Goals follow the conjuncts, and what must be possible the goals.
                let last = self.possible.last_mut().or(self.goals.last_mut());
                let last = last.or(self.conjuncts.last_mut());
                let last = last.ok_or(wrong("nothing that says it"))?;
                (last.formula, last.text) = (formula(rest)?, rest.to_owned());
            }
            "why" => {
                let last = self.goals.last_mut().or(self.conjuncts.last_mut());
                last.ok_or(wrong("nothing to explain"))?.why = rest.to_owned();
            }
            "needed" => {
                let last = self.conjuncts.last_mut().ok_or(wrong("nothing that is needed"))?;
                last.needed = rest.to_owned();
            }
            _ => return Err(wrong(&format!("`{keyword}` is unknown"))),
        }
        Ok(())
    }

    /// The relation with this name.
    #[must_use]
    pub fn relation(&self, name: &str) -> Option<&Relation> {
        self.relations.iter().find(|relation| relation.name == name)
    }

    /// Every formula must use the relations as they are declared, and only variables that are bound.
    fn check_sorts(&self) -> Result<(), TheoryError> {
        let named = self.axioms.iter().chain(&self.conjuncts).chain(&self.goals);
        let named = named.chain(&self.possible);
        for Named { name, formula, .. } in named {
            self.check_formula(name, formula, &BTreeSet::new())?;
        }
        for formula in &self.initially {
            self.check_formula("initially", formula, &BTreeSet::new())?;
        }
        for action in &self.actions {
            let parameters: BTreeSet<&str> = action.parameters.iter().map(|p| &**p).collect();
            for formula in &action.requires {
                self.check_formula(&action.name, formula, &parameters)?;
            }
            for Addition { relation, arguments, condition } in &action.adds {
                let mut known = parameters.clone();
                known.extend(arguments.iter().map(|term| &*term.0));
                let head = Formula::Holds(relation.clone(), arguments.clone());
                self.check_formula(&action.name, &head, &known)?;
                self.check_formula(&action.name, condition, &known)?;
            }
        }
        Ok(())
    }

    fn check_formula(
        &self,
        place: &str,
        formula: &Formula,
        known: &BTreeSet<&str>,
    ) -> Result<(), TheoryError> {
        let wrong = |what: String| Err(TheoryError::Sorts { place: place.to_owned(), what });
        let bound = |term: &Term| term.0 == ZERO || known.contains(&*term.0);
        match formula {
            Formula::Constant(_) => Ok(()),
            Formula::Holds(name, terms) => {
                let Some(relation) = self.relation(name) else {
                    return wrong(format!("no relation `{name}`"));
                };
                let sorts: Vec<_> = terms.iter().filter_map(Term::sort).collect();
                if sorts != relation.sorts || terms.len() != relation.sorts.len() {
                    return wrong(format!("`{formula}` does not fit the relation"));
                }
                match terms.iter().find(|term| !bound(term)) {
                    Some(free) => wrong(format!("`{}` is not bound in `{formula}`", free.0)),
                    None => Ok(()),
                }
            }
            Formula::Compare(_, a, b) => match a.sort() == b.sort() && bound(a) && bound(b) {
                true => Ok(()),
                false => wrong(format!("`{formula}` compares what it cannot")),
            },
            Formula::Not(inner) => self.check_formula(place, inner, known),
            Formula::And(parts) | Formula::Or(parts) => {
                parts.iter().try_for_each(|part| self.check_formula(place, part, known))
            }
            Formula::Implies(a, b) | Formula::Iff(a, b) => {
                self.check_formula(place, a, known)?;
                self.check_formula(place, b, known)
            }
            Formula::ForAll(variables, inner) | Formula::Exists(variables, inner) => {
                let mut known = known.clone();
                known.extend(variables.iter().map(|variable| &**variable));
                self.check_formula(place, inner, &known)
            }
        }
    }
}

fn named(name: &str, text: &str, formula: Formula) -> Named {
    Named {
        name: name.to_owned(),
        formula,
        text: text.trim().to_owned(),
        why: String::new(),
        needed: String::new(),
    }
}

/// A name and the words in the parentheses behind it.
fn head_of(text: &str) -> Option<(String, Vec<String>)> {
    let (name, rest) = text.trim().split_once('(')?;
    let (arguments, _) = rest.split_once(')')?;
    Some((name.to_owned(), arguments.split(',').map(|word| word.trim().to_owned()).collect()))
}
