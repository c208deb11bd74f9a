//! Formulas over finitely many individuals, made ready to be evaluated often.
//!
//! A quantifier becomes a search: variables are given values, where possible those of a relation's facts, else one after
//! the other, and each condition is asked as soon as its variables have values.

use crate::formula::{Comparison, Formula, Sort, Term, ZERO};
use crate::instance::{Facts, Place};

/// Values of variables, by slot. Slot 0 is the first view.
pub(crate) type Env = [u8; SLOTS];

/// Variables that a formula or an action can have.
const SLOTS: usize = 32;

/// A formula that can be evaluated.
#[derive(Clone, Debug)]
pub(crate) enum Check {
    Constant(bool),
    Holds(Place, Vec<u8>),
    Equal(u8, u8),
    AtMost(u8, u8),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
    Iff(Box<Self>, Box<Self>),
    ForAll(Search, Box<Self>),
    Exists(Search),
}

/// All values of some variables that meet conditions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Search {
    /// Conditions on variables that have values already.
    before: Vec<Check>,
    levels: Vec<Level>,
}

/// More variables, and the conditions that can be asked then.
#[derive(Clone, Debug)]
struct Level {
    values: Values,
    conditions: Vec<Check>,
}

/// Where values come from.
#[derive(Clone, Debug)]
enum Values {
    /// Each individual of a sort.
    Each { slot: u8, size: u8 },
    /// The facts of a relation; of each argument, its slot, and whether it has a value already.
    Facts { place: Place, arguments: Vec<(u8, bool)> },
}

impl Check {
    pub(crate) fn holds(&self, facts: &Facts, env: &mut Env) -> bool {
        match self {
            Self::Constant(value) => *value,
            Self::Holds(place, slots) => facts.has_at(place.at(slots, env)),
            Self::Equal(a, b) => env[usize::from(*a)] == env[usize::from(*b)],
            Self::AtMost(a, b) => env[usize::from(*a)] <= env[usize::from(*b)],
            Self::Not(inner) => !inner.holds(facts, env),
            Self::And(parts) => parts.iter().all(|part| part.holds(facts, env)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(facts, env)),
            Self::Iff(a, b) => a.holds(facts, env) == b.holds(facts, env),
            Self::ForAll(search, body) => !search.find(facts, env, |env| !body.holds(facts, env)),
            Self::Exists(search) => search.find(facts, env, |_| true),
        }
    }
}

impl Search {
    /// Whether `accept` says yes to some values; asks no further then.
    pub(crate) fn find(
        &self,
        facts: &Facts,
        env: &mut Env,
        mut accept: impl FnMut(&mut Env) -> bool,
    ) -> bool {
        self.before.iter().all(|condition| condition.holds(facts, env))
            && descend(&self.levels, facts, env, &mut accept)
    }
}

fn descend(
    levels: &[Level],
    facts: &Facts,
    env: &mut Env,
    accept: &mut impl FnMut(&mut Env) -> bool,
) -> bool {
    let Some((level, rest)) = levels.split_first() else { return accept(env) };
    let mut go_on = |env: &mut Env| {
        level.conditions.iter().all(|condition| condition.holds(facts, env))
            && descend(rest, facts, env, accept)
    };
    match &level.values {
        Values::Each { slot, size } => (0..*size).any(|value| {
            env[usize::from(*slot)] = value;
            go_on(env)
        }),
        Values::Facts { place, arguments } => facts.any_of(place, |bit| {
            let fits = arguments.iter().zip(place.arguments(bit)).all(|((slot, known), value)| {
                let variable = &mut env[usize::from(*slot)];
                let fits = !known || *variable == value;
                *variable = if *known { *variable } else { value };
                fits
            });
            fits && go_on(env)
        }),
    }
}

/// What is needed to make formulas ready: where relations are, how many individuals there are, and which variables are
/// bound.
pub(crate) struct Compiler<'a> {
    pub(crate) place: &'a dyn Fn(&str) -> Place,
    pub(crate) size: &'a dyn Fn(Sort) -> u8,
    /// Variables by slot, the innermost last; slot 0 is [`ZERO`].
    scope: Vec<String>,
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(place: &'a dyn Fn(&str) -> Place, size: &'a dyn Fn(Sort) -> u8) -> Self {
        Self { place, size, scope: vec![ZERO.to_owned()] }
    }

    /// Gives variables a slot each.
    pub(crate) fn bind(&mut self, variables: &[String]) {
        self.scope.extend(variables.iter().cloned());
        assert!(self.scope.len() <= SLOTS, "too many variables: {:?}", self.scope);
    }

    pub(crate) fn slot(&self, name: &str) -> u8 {
        let slot = self.scope.iter().rposition(|known| known == name);
        slot.expect("a theory has no free variables") as u8
    }

    pub(crate) fn slots(&self, terms: &[Term]) -> Vec<u8> {
        terms.iter().map(|term| self.slot(&term.0)).collect()
    }

    pub(crate) fn check(&mut self, formula: &Formula) -> Check {
        match formula {
            Formula::Constant(value) => Check::Constant(*value),
            Formula::Holds(name, terms) => Check::Holds((self.place)(name), self.slots(terms)),
            Formula::Compare(Comparison::Equal, a, b) => {
                Check::Equal(self.slot(&a.0), self.slot(&b.0))
            }
            Formula::Compare(Comparison::AtMost, a, b) => {
                Check::AtMost(self.slot(&a.0), self.slot(&b.0))
            }
            Formula::Not(inner) => Check::Not(Box::new(self.check(inner))),
            Formula::And(parts) => Check::And(parts.iter().map(|one| self.check(one)).collect()),
            Formula::Or(parts) => Check::Or(parts.iter().map(|one| self.check(one)).collect()),
            Formula::Implies(a, b) => {
                Check::Or(vec![Check::Not(Box::new(self.check(a))), self.check(b)])
            }
            Formula::Iff(a, b) => Check::Iff(Box::new(self.check(a)), Box::new(self.check(b))),
            Formula::ForAll(variables, inner) => self.within(variables, |this| {
                let (conditions, body) = match &**inner {
                    Formula::Implies(a, b) => (a.conjunction(), this.check(b)),
                    other => (Vec::new(), this.check(other)),
                };
                Check::ForAll(this.search(variables, &conditions), Box::new(body))
            }),
            Formula::Exists(variables, inner) => self.within(variables, |this| {
                Check::Exists(this.search(variables, &inner.conjunction()))
            }),
        }
    }

    pub(crate) fn within<T>(
        &mut self,
        variables: &[String],
        inner: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let outer = self.scope.len();
        self.bind(variables);
        let result = inner(self);
        self.scope.truncate(outer);
        result
    }

    /// A search for values of these variables, which are bound: first those of facts, then those with the narrowest
    /// conditions.
    pub(crate) fn search(&mut self, variables: &[String], conditions: &[&Formula]) -> Search {
        let mut open: Vec<&String> = variables.iter().collect();
        let mut left = conditions.to_vec();
        let mut search = Search { before: self.answerable(&mut left, &open), levels: Vec::new() };
        while !open.is_empty() {
            let fact = |one: &&Formula| {
                matches!(one, Formula::Holds(..)) && open.iter().any(|name| one.mentions(name))
            };
            // The one that gives most variables a value: what is left is then asked once for each, and not searched for.
            let gives = |one: &Formula| open.iter().filter(|name| one.mentions(name)).count();
            let facts = left.iter().enumerate().filter(|(_, one)| fact(one));
            let most = facts.rev().max_by_key(|(_, one)| gives(one)).map(|(at, _)| at);
            if let Some(at) = most {
                let (values, still) = self.values_of(left.remove(at), &open);
                open = still;
                search.levels.push(Level { values, conditions: self.answerable(&mut left, &open) });
                continue;
            }
            let unbound =
                |formula: &&&Formula| open.iter().filter(|one| formula.mentions(one)).count();
            let narrowest = left.iter().min_by_key(unbound).copied();
            let (now, later): (Vec<_>, Vec<_>) =
                open.iter().partition(|one| narrowest.is_none_or(|formula| formula.mentions(one)));
            open = later;
            for (at, variable) in now.iter().enumerate() {
                let still: Vec<&String> = now[at + 1..].iter().chain(&open).copied().collect();
                let sort = Sort::of(variable).expect("a variable has a sort");
                let values = Values::Each { slot: self.slot(variable), size: (self.size)(sort) };
                let conditions = self.answerable(&mut left, &still);
                search.levels.push(Level { values, conditions });
            }
        }
        search
    }

    /// Values from the facts of a relation, and the variables that have none then.
    fn values_of<'b>(&self, fact: &Formula, open: &[&'b String]) -> (Values, Vec<&'b String>) {
        let Formula::Holds(name, terms) = fact else { unreachable!("a fact is a relation's") };
        let mut open = open.to_vec();
        let mut arguments = Vec::new();
        for term in terms {
            let known = !open.iter().any(|name| **name == term.0);
            open.retain(|name| **name != term.0);
            arguments.push((self.slot(&term.0), known));
        }
        (Values::Facts { place: (self.place)(name), arguments }, open)
    }

    /// Takes the conditions that mention none of these variables.
    fn answerable(&mut self, left: &mut Vec<&Formula>, open: &[&String]) -> Vec<Check> {
        let (ready, later) = left
            .iter()
            .partition::<Vec<_>, _>(|one| !open.iter().any(|variable| one.mentions(variable)));
        *left = later;
        ready.into_iter().map(|formula| self.check(formula)).collect()
    }
}
