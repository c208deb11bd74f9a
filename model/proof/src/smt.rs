//! The same definitions as SMT-LIB 2, for solvers: questions, each without its `(check-sat)`.

use crate::formula::{Comparison, Formula, Sort};
use crate::theory::{Action, Addition, Theory};
use std::fmt::Write as _;

/// Whether relations are meant as they were before the step, or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Before,
    After,
}

impl Theory {
    /// Sorts, relations and axioms.
    fn preamble(&self) -> String {
        let mut text = String::from("(set-logic UF)\n");
        for sort in Sort::ALL {
            let _ = writeln!(text, "(declare-sort {} 0)", sort.name());
        }
        text.push_str("(declare-const zero View)\n");
        text.push_str("(declare-fun le_view (View View) Bool)\n");
        text.push_str("(declare-fun le_seq (Number Number) Bool)\n");
        for relation in &self.relations {
            let sorts: Vec<_> = relation.sorts.iter().map(|sort| sort.name()).collect();
            let _ = writeln!(text, "(declare-fun {} ({}) Bool)", relation.name, sorts.join(" "));
        }
        for axiom in &self.axioms {
            assert_that(&mut text, &axiom.formula, When::Before);
        }
        text
    }

    /// Can these hold in one state? A solver answers `sat` if they can.
    #[must_use]
    pub fn together<'a>(&self, formulas: impl IntoIterator<Item = &'a Formula>) -> String {
        let mut text = self.preamble();
        for formula in formulas {
            assert_that(&mut text, formula, When::Before);
        }
        text
    }

    /// Do these imply `formula`, in one state? A solver answers `unsat` if they do.
    #[must_use]
    pub fn consequence<'a>(
        &self,
        assumptions: impl IntoIterator<Item = &'a Formula>,
        formula: &Formula,
    ) -> String {
        let mut text = self.together(assumptions);
        assert_that(&mut text, &formula.clone().negated(), When::Before);
        text
    }

    /// If these hold and the step is taken, does `formula` hold afterwards? A solver answers `unsat` if it does.
    #[must_use]
    pub fn consecution<'a>(
        &self,
        assumptions: impl IntoIterator<Item = &'a Formula>,
        action: &Action,
        formula: &Formula,
    ) -> String {
        let mut text = self.step(assumptions, action);
        assert_that(&mut text, &formula.clone().negated(), When::After);
        text
    }

    /// Assumptions, and one step from there: `sat` if the step can be taken.
    #[must_use]
    pub fn step<'a>(
        &self,
        assumptions: impl IntoIterator<Item = &'a Formula>,
        action: &Action,
    ) -> String {
        let mut text = self.preamble();
        for parameter in &action.parameters {
            if let Some(sort) = Sort::of(parameter) {
                let _ = writeln!(text, "(declare-const {parameter} {})", sort.name());
            }
        }
        for assumption in assumptions {
            assert_that(&mut text, assumption, When::Before);
        }
        for guard in &action.requires {
            assert_that(&mut text, guard, When::Before);
        }
        for relation in &self.relations {
            let adds = action.adds.iter().filter(|addition| addition.relation == relation.name);
            let arguments: Vec<String> =
                (0..relation.sorts.len()).map(|at| format!("x{at}")).collect();
            let typed = arguments.iter().zip(&relation.sorts);
            let typed: Vec<_> = typed.map(|(x, sort)| format!("({x} {})", sort.name())).collect();
            let mut cases = format!("({} {})", relation.name, arguments.join(" "));
            for addition in adds {
                let _ = write!(cases, " {}", added(addition, action, &arguments));
            }
            let (name, typed) = (&relation.name, typed.join(" "));
            let _ = writeln!(text, "(define-fun {name}_after ({typed}) Bool (or {cases} false))");
        }
        text
    }
}

/// That the arguments `xs` are among those that the addition adds.
fn added(addition: &Addition, action: &Action, xs: &[String]) -> String {
    let mut conditions = Vec::new();
    let mut variables = Vec::new();
    for (term, x) in addition.arguments.iter().zip(xs) {
        if action.parameters.contains(&term.0) {
            conditions.push(format!("(= {x} {})", term.0));
        } else {
            variables.push(format!("({} {x})", term.0));
        }
    }
    let condition = written(&addition.condition, When::Before);
    conditions.push(match variables.is_empty() {
        true => condition,
        false => format!("(let ({}) {condition})", variables.join(" ")),
    });
    format!("(and {})", conditions.join(" "))
}

fn assert_that(text: &mut String, formula: &Formula, when: When) {
    let _ = writeln!(text, "(assert {})", written(formula, when));
}

fn written(formula: &Formula, when: When) -> String {
    let all = |parts: &[Formula]| parts.iter().map(|part| written(part, when)).collect::<Vec<_>>();
    match formula {
        Formula::Constant(value) => value.to_string(),
        Formula::Holds(name, terms) => {
            let terms: Vec<&str> = terms.iter().map(|term| &*term.0).collect();
            let after = if when == When::After { "_after" } else { "" };
            format!("({name}{after} {})", terms.join(" "))
        }
        Formula::Compare(Comparison::Equal, a, b) => format!("(= {} {})", a.0, b.0),
        Formula::Compare(Comparison::AtMost, a, b) => {
            let order = if a.sort() == Some(Sort::View) { "le_view" } else { "le_seq" };
            format!("({order} {} {})", a.0, b.0)
        }
        Formula::Not(inner) => format!("(not {})", written(inner, when)),
        Formula::And(parts) => format!("(and {})", all(parts).join(" ")),
        Formula::Or(parts) => format!("(or {})", all(parts).join(" ")),
        Formula::Implies(a, b) => format!("(=> {} {})", written(a, when), written(b, when)),
        Formula::Iff(a, b) => format!("(= {} {})", written(a, when), written(b, when)),
        Formula::ForAll(variables, inner) => quantified("forall", variables, inner, when),
        Formula::Exists(variables, inner) => quantified("exists", variables, inner, when),
    }
}

fn quantified(which: &str, variables: &[String], inner: &Formula, when: When) -> String {
    let typed = variables.iter().map(|variable| {
        let sort = Sort::of(variable).map_or("Replica", Sort::name);
        format!("({variable} {sort})")
    });
    format!("({which} ({}) {})", typed.collect::<Vec<_>>().join(" "), written(inner, when))
}
