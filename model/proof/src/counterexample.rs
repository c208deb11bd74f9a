//! Counterexamples to obligations, small enough to be read: a state that satisfies the invariant, and what a step makes of
//! it.

use crate::formula::Sort;
use crate::instance::Sizes;
use crate::prove::Obligation;
use crate::solver::Solver;
use crate::theory::Theory;
use std::fmt::{self, Write as _};
use std::time::Duration;

/// Bounds to try, the smallest first.
const BOUNDS: [Sizes; 4] = [
    Sizes { replicas: 2, quorums: 1, views: 2, numbers: 1, values: 2, digests: 1 },
    Sizes { replicas: 3, quorums: 2, views: 3, numbers: 1, values: 2, digests: 1 },
    Sizes { replicas: 3, quorums: 2, views: 2, numbers: 2, values: 2, digests: 2 },
    Sizes { replicas: 4, quorums: 3, views: 3, numbers: 2, values: 2, digests: 2 },
];

/// A state, and the step from it that shows what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// The step with its parameters; none if the state itself is the counterexample.
    pub step: Option<String>,
    /// What holds before it, relation by relation.
    pub before: Vec<(String, Vec<String>)>,
    /// What it adds.
    pub adds: Vec<String>,
}

/// A counterexample to an obligation of `theory`; none if there is no small one, or the solver does not find it in time.
#[must_use]
pub fn smallest(
    theory: &Theory,
    obligation: &Obligation<'_>,
    solver: Solver,
    limit: Duration,
) -> Option<Counterexample> {
    BOUNDS.iter().find_map(|sizes| within(theory, obligation, sizes, solver, limit))
}

fn within(
    theory: &Theory,
    obligation: &Obligation<'_>,
    sizes: &Sizes,
    solver: Solver,
    limit: Duration,
) -> Option<Counterexample> {
    let question = Question::new(theory, obligation, sizes);
    let mut answers = question.ask(solver, limit, &[])?;
    // Without each fact that is not needed there is less to read.
    let mut left_out = Vec::new();
    for at in 0..question.facts.len() {
        if answers[at] {
            left_out.push(at);
            match question.ask(solver, limit, &left_out) {
                Some(fewer) => answers = fewer,
                None => drop(left_out.pop()),
            }
        }
    }
    Some(question.counterexample(&obligation.name(theory), &answers))
}

/// A question about finitely many individuals, and whatever is asked of the state that answers it.
struct Question {
    statement: String,
    facts: Vec<Fact>,
    /// Parameters of the step, each with each value that it can have.
    values: Vec<(String, String)>,
}

/// Something that can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The relation.
    pub relation: String,
    /// Its arguments: `n0`, `r1`, ….
    pub arguments: Vec<String>,
}

impl Fact {
    /// The fact that is written so.
    fn read(text: &str) -> Option<Self> {
        let (relation, rest) = text.split_once('(')?;
        let arguments = rest.strip_suffix(')')?.split(',').map(str::to_owned);
        Some(Self { relation: relation.to_owned(), arguments: arguments.collect() })
    }
}

impl Counterexample {
    /// What holds before the step.
    #[must_use]
    pub fn facts_before(&self) -> Vec<Fact> {
        let facts = self.before.iter().flat_map(|(_, facts)| facts);
        facts.filter_map(|fact| Fact::read(fact)).collect()
    }

    /// What the step adds.
    #[must_use]
    pub fn facts_added(&self) -> Vec<Fact> {
        self.adds.iter().filter_map(|fact| Fact::read(fact)).collect()
    }
}

impl Question {
    fn new(theory: &Theory, obligation: &Obligation<'_>, sizes: &Sizes) -> Self {
        let parameters: &[String] = match obligation {
            Obligation::Consecution(action, _) | Obligation::Possible(action) => &action.parameters,
            Obligation::Initiation(_) | Obligation::Goal(_) | Obligation::Satisfiable(_) => &[],
        };
        let mut statement = String::from("(set-option :produce-models true)\n");
        statement.push_str(&obligation.statement(theory));
        bound(&mut statement, sizes);
        let values = parameters.iter().flat_map(|parameter| {
            let sort = Sort::of(parameter);
            let names = sort.map(|sort| individuals(sort, sizes)).unwrap_or_default();
            names.into_iter().map(move |name| (parameter.clone(), name))
        });
        Self { statement, facts: facts_of(theory, sizes), values: values.collect() }
    }

    const fn is_step(&self) -> bool {
        !self.values.is_empty()
    }

    /// Whether each fact holds before the step, and after it, and each parameter has each value; none if there is no state in
    /// which the facts with these numbers do not hold.
    fn ask(&self, solver: Solver, limit: Duration, left_out: &[usize]) -> Option<Vec<bool>> {
        let mut text = self.statement.clone();
        for at in left_out {
            let _ = writeln!(text, "(assert (not {}))", self.facts[*at].term(""));
        }
        let mut asked: Vec<String> = self.facts.iter().map(|fact| fact.term("")).collect();
        if self.is_step() {
            asked.extend(self.facts.iter().map(|fact| fact.term("_after")));
        }
        asked.extend(self.values.iter().map(|(parameter, name)| format!("(= {parameter} {name})")));
        let _ = writeln!(text, "(check-sat)\n(get-value ({}))", asked.join(" "));
        truths(&solver.answer(&text, limit)?).filter(|answers| answers.len() == asked.len())
    }

    fn counterexample(&self, obligation: &str, answers: &[bool]) -> Counterexample {
        let (before, rest) = answers.split_at(self.facts.len());
        let (after, rest) = rest.split_at(if self.is_step() { self.facts.len() } else { 0 });
        let mut by_relation: Vec<(String, Vec<String>)> = Vec::new();
        for (fact, _) in self.facts.iter().zip(before).filter(|(_, holds)| **holds) {
            match by_relation.last_mut().filter(|(name, _)| *name == fact.relation) {
                Some((_, list)) => list.push(fact.to_string()),
                None => by_relation.push((fact.relation.clone(), vec![fact.to_string()])),
            }
        }
        let added = self.facts.iter().zip(before.iter().zip(after));
        let added = added.filter(|(_, (was, is))| !**was && **is).map(|(fact, _)| fact.to_string());
        let chosen = self.values.iter().zip(rest).filter(|(_, is)| **is);
        let chosen: Vec<&str> = chosen.map(|((_, name), _)| &**name).collect();
        let action = obligation.split(": ").next().unwrap_or_default();
        Counterexample {
            step: self.is_step().then(|| format!("{action}({})", chosen.join(","))),
            before: by_relation,
            adds: added.collect(),
        }
    }
}

impl Fact {
    /// The fact for a solver; `after` is what the name of its relation ends with.
    fn term(&self, after: &str) -> String {
        format!("({}{after} {})", self.relation, self.arguments.join(" "))
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.relation, self.arguments.join(","))
    }
}

/// The individuals of a sort: `n0`, `n1`, ….
fn individuals(sort: Sort, sizes: &Sizes) -> Vec<String> {
    let letter = match sort {
        Sort::Replica => 'n',
        Sort::Quorum => 'q',
        Sort::View => 'r',
        Sort::Seq => 's',
        Sort::Value => 'v',
        Sort::Digest => 'd',
    };
    (0..sizes.of(sort)).map(|number| format!("{letter}{number}")).collect()
}

/// Says that there are no other individuals, and that views and sequence numbers are in their order.
fn bound(text: &mut String, sizes: &Sizes) {
    for sort in Sort::ALL {
        let names = individuals(sort, sizes);
        for name in &names {
            let _ = writeln!(text, "(declare-const {name} {})", sort.name());
        }
        let is_one: Vec<_> = names.iter().map(|name| format!("(= x {name})")).collect();
        let _ = writeln!(
            text,
            "(assert (forall ((x {})) (or {} false)))",
            sort.name(),
            is_one.join(" ")
        );
        if names.len() > 1 {
            let _ = writeln!(text, "(assert (distinct {}))", names.join(" "));
        }
        let order = match sort {
            Sort::View => "le_view",
            Sort::Seq => "le_seq",
            _ => continue,
        };
        for pair in names.windows(2) {
            let _ = writeln!(text, "(assert ({order} {} {}))", pair[0], pair[1]);
        }
    }
}

/// Every fact that can hold.
fn facts_of(theory: &Theory, sizes: &Sizes) -> Vec<Fact> {
    let mut facts = Vec::new();
    for relation in &theory.relations {
        let mut tuples = vec![Vec::new()];
        for sort in &relation.sorts {
            let extended = tuples.iter().flat_map(|tuple: &Vec<String>| {
                let names = individuals(*sort, sizes).into_iter();
                names.map(|name| tuple.iter().cloned().chain([name]).collect())
            });
            tuples = extended.collect();
        }
        let of = |arguments| Fact { relation: relation.name.clone(), arguments };
        facts.extend(tuples.into_iter().map(of));
    }
    facts
}

/// The truth values in an answer to `get-value`, if the first line says that there is a state.
fn truths(answer: &str) -> Option<Vec<bool>> {
    let (first, rest) = answer.split_once('\n')?;
    if first.trim() != "sat" {
        return None;
    }
    let words = rest.split(|c: char| c.is_whitespace() || c == '(' || c == ')');
    Some(words.filter_map(|word| word.parse().ok()).collect())
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (_, facts) in &self.before {
            writeln!(f, "  {}", facts.join("  "))?;
        }
        let Some(step) = &self.step else { return Ok(()) };
        writeln!(f, "then {step} adds\n  {}", self.adds.join("  "))
    }
}
