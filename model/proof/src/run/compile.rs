//! Conjuncts made ready to be asked only of what is new.
//!
//! A conjunct `forall X. A -> B` that held before can be broken only where a relation that stands in a negative place
//! (in A, or under a negation in B) has a new fact: for each such place there is a [`Trigger`], which takes values for
//! some of X from the fact and looks for the others.
//!
//! *Where values are looked for.* Nothing but stored facts and comparisons tell individuals apart. So a replica is one
//! of n. A variable in an atom of A that is kept value by value has a value that is stored there. Of any other view or
//! number, what matters is between which stored points and which other variables it lies: both ends of each such stretch
//! are tried. Of any other batch or digest, those that are stored, and one that is nowhere. Hence what holds of all that
//! are tried holds of all that there are.
//!
//! *Quorums* are all sets of q replicas. "All honest members of some quorum" is a count: enough honest replicas to make a
//! quorum with those that are not. "In every quorum an honest member" is its negation. A quorum that a NEW-VIEW names
//! is the set of those in V.

use super::quorum::{quorum_of, quorums_inward};
use super::table::Table;
use crate::formula::{Comparison, Formula, Sort, Term, ZERO};
use crate::theory::{Action, Theory};
use std::collections::BTreeSet;

/// A relation, by its place in the theory.
pub(super) type RelationId = usize;

/// Variables of a conjunct. Slot 0 is the first view.
pub(super) const SLOTS: usize = 16;

/// What can be asked.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Constant(bool),
    Honest(usize),
    Member(usize, usize),
    Atom(RelationId, Vec<usize>),
    Equal(usize, usize),
    AtMost(usize, usize),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
    /// The honest members of some quorum, in this slot, are all so.
    Quorum(usize, Box<Self>),
    /// A fact of this pattern is there, with which the rest holds.
    Exists(Pattern, Box<Self>),
}

/// What is asked of an argument of stored facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It is this.
    Known(usize),
    /// It gives this its value.
    Sought(usize),
    /// It may be anything.
    Any,
}

/// Facts to look through.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) relation: RelationId,
    pub(super) parts: Vec<Part>,
}

/// Where values of a variable come from.
#[derive(Clone, Debug)]
pub(super) enum Values {
    /// Each replica.
    Replicas,
    /// Those in facts, of which one must hold.
    Stored(Pattern),
    /// Both ends of each stretch between points of facts, other variables and the ends of what is new.
    Points(Vec<Pattern>, Vec<usize>),
    /// Those in facts, those of other variables, and one that is nowhere.
    Named(Vec<Pattern>, Vec<usize>),
}

/// A variable gets a value.
#[derive(Clone, Debug)]
pub(super) struct Pick {
    pub(super) slot: usize,
    pub(super) values: Values,
    /// The conditions that can be asked then.
    pub(super) conditions: Vec<usize>,
}

/// What a new fact of a relation makes necessary to ask.
#[derive(Clone, Debug)]
pub(super) struct Trigger {
    pub(super) relation: RelationId,
    /// The slots of its arguments; none of those that are bound inside.
    pub(super) slots: Vec<Option<usize>>,
    /// The variable that ranges over the new ones, where facts are ranges.
    pub(super) ranging: Option<usize>,
    pub(super) before: Vec<usize>,
    pub(super) picks: Vec<Pick>,
}

/// `forall X. A -> B`.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) conditions: Vec<Node>,
    pub(super) then: Node,
    pub(super) triggers: Vec<Trigger>,
    /// Variables by slot.
    pub(super) names: Vec<String>,
}

/// A certificate that is there as soon as the messages are of which it consists.
#[derive(Clone, Debug)]
pub(super) struct Derived {
    pub(super) from: RelationId,
    /// The slots of the arguments of what it is made from.
    pub(super) slots: Vec<Option<usize>>,
    pub(super) condition: Node,
    pub(super) relation: RelationId,
    pub(super) arguments: Vec<usize>,
}

/// Why a formula cannot be followed along a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{place}` cannot be evaluated along a run: {what}")]
pub struct Unsupported {
    /// Its name.
    pub place: String,
    /// What is not foreseen.
    pub what: String,
}

pub(super) struct Compiler<'a> {
    pub(super) theory: &'a Theory,
    pub(super) tables: &'a [Table],
    place: &'a str,
    /// Variables by slot, the innermost last.
    scope: Vec<String>,
    /// All that ever had a slot, by slot.
    names: Vec<String>,
    /// Each atom with the slots of its arguments and whether it stands in a negative place.
    atoms: Vec<(RelationId, Vec<usize>, bool)>,
}

type Result<T> = std::result::Result<T, Unsupported>;

impl<'a> Compiler<'a> {
    pub(super) fn new(theory: &'a Theory, tables: &'a [Table], place: &'a str) -> Self {
        let scope = vec![ZERO.to_owned()];
        Self { theory, tables, place, names: scope.clone(), scope, atoms: Vec::new() }
    }

    fn fail<T>(&self, what: impl Into<String>) -> Result<T> {
        Err(Unsupported { place: self.place.to_owned(), what: what.into() })
    }

    /// Gives variables slots of their own: none is used twice in one formula.
    fn bind(&mut self, variables: &[String]) -> Result<()> {
        for variable in variables {
            while self.scope.len() < self.names.len() {
                self.scope.push(String::new());
            }
            self.scope.push(variable.clone());
            self.names.push(variable.clone());
        }
        if self.names.len() > SLOTS { self.fail("too many variables") } else { Ok(()) }
    }

    fn slot(&self, term: &Term) -> Result<usize> {
        let slot = self.scope.iter().rposition(|known| *known == term.0);
        slot.map_or_else(|| self.fail(format!("{} is not bound", term.0)), Ok)
    }

    fn slots(&self, terms: &[Term]) -> Result<Vec<usize>> {
        terms.iter().map(|term| self.slot(term)).collect()
    }

    fn sort(&self, slot: usize) -> Option<Sort> {
        Term(self.names[slot].clone()).sort()
    }

    fn relation(&self, name: &str) -> Result<RelationId> {
        let at = self.theory.relations.iter().position(|relation| relation.name == name);
        at.map_or_else(|| self.fail(format!("no relation {name}")), Ok)
    }

    /// A conjunct with what makes it necessary to ask.
    pub(super) fn rule(mut self, formula: &Formula) -> Result<Rule> {
        let Formula::ForAll(variables, body) = formula else {
            return self.fail("it is not said of all");
        };
        let (given, then) = match &**body {
            Formula::Implies(given, then) => (given.conjunction(), (**then).clone()),
            other => (Vec::new(), other.clone()),
        };
        let (variables, then) = quorums_inward(variables, &given, then);
        self.bind(&variables)?;
        let outer = self.names.len();
        let mut conditions = Vec::new();
        for part in given {
            conditions.push(self.node(part, true)?);
        }
        let then = self.node(&then, false)?;
        let mut triggers = Vec::new();
        for (relation, slots, negative) in self.atoms.clone() {
            if negative {
                triggers.push(self.trigger(relation, &slots, outer, &conditions)?);
            }
        }
        if triggers.is_empty() {
            return self.fail("nothing can break it");
        }
        Ok(Rule { conditions, then, triggers, names: self.names })
    }

    /// What an action adds that no replica takes: who votes decides.
    pub(super) fn derived(mut self, action: &Action) -> Result<Derived> {
        let (quorums, given): (Vec<_>, Vec<_>) =
            action.parameters.iter().cloned().partition(|one| Sort::of(one) == Some(Sort::Quorum));
        self.bind(&given)?;
        let ([required], [added], [quorum]) = (&*action.requires, &*action.adds, &*quorums) else {
            return self.fail("it is no certificate");
        };
        let some = Formula::Exists(vec![quorum.clone()], Box::new(required.clone()));
        let condition = self.node(&some, true)?;
        let [(from, slots, _)] = &*self.atoms else { return self.fail("it has several parts") };
        let outer = |slot: &usize| Some(*slot).filter(|slot| *slot <= given.len());
        let slots: Vec<_> = slots.iter().map(outer).collect();
        let arguments = self.slots(&added.arguments)?;
        if !arguments.iter().all(|slot| slots.contains(&Some(*slot))) {
            return self.fail("it names what its parts do not");
        }
        let relation = self.relation(&added.relation)?;
        Ok(Derived { from: *from, slots, condition, relation, arguments })
    }

    /// `negative`: whether the formula stands where its truth can break the conjunct.
    fn node(&mut self, formula: &Formula, negative: bool) -> Result<Node> {
        let all = |this: &mut Self, parts: &[Formula]| -> Result<Vec<Node>> {
            parts.iter().map(|part| this.node(part, negative)).collect()
        };
        Ok(match formula {
            Formula::Constant(value) => Node::Constant(*value),
            Formula::Holds(name, terms) => self.atom(name, terms, negative)?,
            Formula::Compare(Comparison::Equal, a, b) => Node::Equal(self.slot(a)?, self.slot(b)?),
            Formula::Compare(Comparison::AtMost, a, b) => {
                Node::AtMost(self.slot(a)?, self.slot(b)?)
            }
            Formula::Not(inner) => Node::Not(Box::new(self.node(inner, !negative)?)),
            Formula::And(parts) => Node::And(all(self, parts)?),
            Formula::Or(parts) => Node::Or(all(self, parts)?),
            Formula::Implies(a, b) => {
                let given = Node::Not(Box::new(self.node(a, !negative)?));
                Node::Or(vec![given, self.node(b, negative)?])
            }
            Formula::Exists(variables, inner) => match quorum_of(variables, inner) {
                Some((member, each)) => self.within(&[member], |this| {
                    let slot = this.names.len() - 1;
                    Ok(Node::Quorum(slot, Box::new(this.node(&each, negative)?)))
                })?,
                None => self.exists(variables, inner, negative)?,
            },
            Formula::ForAll(..) | Formula::Iff(..) => {
                return self.fail(format!("`{formula}` is of no foreseen form"));
            }
        })
    }

    fn atom(&mut self, name: &str, terms: &[Term], negative: bool) -> Result<Node> {
        let slots = self.slots(terms)?;
        Ok(match (name, &*slots) {
            ("honest", [replica]) => Node::Honest(*replica),
            ("member", [replica, quorum]) => Node::Member(*replica, *quorum),
            _ => {
                let relation = self.relation(name)?;
                self.atoms.push((relation, slots.clone(), negative));
                Node::Atom(relation, slots)
            }
        })
    }

    fn within<T>(
        &mut self,
        variables: &[String],
        inner: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let outer = self.scope.len();
        self.bind(variables)?;
        let result = inner(self);
        self.scope.truncate(outer);
        result
    }

    /// Something in a fact, with the rest of what is said of it.
    fn exists(&mut self, variables: &[String], inner: &Formula, negative: bool) -> Result<Node> {
        let parts = inner.conjunction();
        let names_all = |part: &&Formula| match part {
            Formula::Holds(name, terms) => {
                !matches!(&**name, "honest" | "member")
                    && variables.iter().all(|one| terms.iter().any(|term| term.0 == *one))
            }
            _ => false,
        };
        let Some(at) = parts.iter().position(names_all) else {
            return self.fail("`exists` without a fact that names all of them");
        };
        self.within(variables, |this| {
            let bound = this.names.len() - variables.len()..this.names.len();
            let Node::Atom(relation, slots) = this.node(parts[at], negative)? else {
                return this.fail("a fact was expected");
            };
            let part = |slot: &usize| match bound.contains(slot) {
                true => Part::Sought(*slot),
                false => Part::Known(*slot),
            };
            let pattern = Pattern { relation, parts: slots.iter().map(part).collect() };
            let range = this.tables[relation].range;
            if range.is_some_and(|range| matches!(pattern.parts[range], Part::Sought(_))) {
                return this.fail("`exists` over ranges");
            }
            let mut rest = Vec::new();
            for part in parts.iter().enumerate().filter(|(other, _)| *other != at) {
                rest.push(this.node(part.1, negative)?);
            }
            Ok(Node::Exists(pattern, Box::new(Node::And(rest))))
        })
    }

    /// The way from a new fact to values for all variables.
    fn trigger(
        &self,
        relation: RelationId,
        slots: &[usize],
        outer: usize,
        conditions: &[Node],
    ) -> Result<Trigger> {
        let own = |slot: &usize| Some(*slot).filter(|slot| *slot < outer);
        let slots: Vec<Option<usize>> = slots.iter().map(own).collect();
        // Slot 0 is no variable.
        let ranging = self.tables[relation].range.and_then(|at| slots[at]).filter(|slot| *slot > 0);
        let given = |slot: &usize| *slot == 0 || slots.contains(&Some(*slot));
        let mut open: Vec<usize> = (0..outer).filter(|slot| !given(slot)).collect();
        let mut left: Vec<usize> = (0..conditions.len()).collect();
        let mut ready = |open: &[usize]| {
            let can = |at: &usize| !conditions[*at].mentions(&mut |slot| open.contains(&slot));
            let (now, later): (Vec<_>, Vec<_>) = left.iter().copied().partition(can);
            left = later;
            now
        };
        let mut before = Vec::new();
        let mut picks = Vec::new();
        match ranging {
            Some(slot) => {
                let values = self.values(slot, &open, outer, conditions)?;
                let unknown: Vec<usize> = open.iter().copied().chain([slot]).collect();
                before = ready(&unknown);
                picks.push(Pick { slot, values, conditions: ready(&open) });
            }
            None => before.extend(ready(&open)),
        }
        while !open.is_empty() {
            let cost = |slot: &usize| self.cost(*slot, &open, conditions);
            let Some(slot) = open.iter().copied().min_by_key(cost) else { break };
            open.retain(|other| *other != slot);
            let values = self.values(slot, &open, outer, conditions)?;
            picks.push(Pick { slot, values, conditions: ready(&open) });
        }
        Ok(Trigger { relation, slots, ranging, before, picks })
    }

    /// Which variable to give a value first: replicas, then what facts of A have, by the number under which they are kept.
    fn cost(&self, slot: usize, open: &[usize], conditions: &[Node]) -> usize {
        let rank = match self.sort(slot) {
            Some(Sort::Replica) => 0,
            Some(Sort::Seq) => 1,
            _ => 2,
        };
        let open: Vec<usize> = open.iter().copied().filter(|other| *other != slot).collect();
        match self.stored(slot, &open, conditions) {
            Some(_) => rank,
            None => rank + 3,
        }
    }

    fn pattern(
        &self,
        relation: RelationId,
        slots: &[usize],
        sought: usize,
        open: &[usize],
        outer: usize,
    ) -> Pattern {
        let part = |slot: &usize| match *slot {
            slot if slot == sought => Part::Sought(slot),
            slot if slot >= outer || open.contains(&slot) => Part::Any,
            slot => Part::Known(slot),
        };
        Pattern { relation, parts: slots.iter().map(part).collect() }
    }

    /// A fact of A that has the variable as it is stored.
    fn stored(&self, slot: usize, open: &[usize], conditions: &[Node]) -> Option<Pattern> {
        conditions.iter().find_map(|condition| {
            let Node::Atom(relation, slots) = condition else { return None };
            let at = slots.iter().position(|one| *one == slot)?;
            (self.tables[*relation].range != Some(at))
                .then(|| self.pattern(*relation, slots, slot, open, usize::MAX))
        })
    }

    /// Where a variable gets its values, with those in `open` still without.
    fn values(
        &self,
        slot: usize,
        open: &[usize],
        outer: usize,
        conditions: &[Node],
    ) -> Result<Values> {
        let sort = self.sort(slot);
        if sort == Some(Sort::Replica) {
            return Ok(Values::Replicas);
        }
        if let Some(pattern) = self.stored(slot, open, conditions) {
            return Ok(Values::Stored(pattern));
        }
        let patterns = |slot: usize| {
            let with = self.atoms.iter().filter(move |(_, slots, _)| slots.contains(&slot));
            with.map(move |(id, slots, _)| self.pattern(*id, slots, slot, open, outer))
        };
        let same: Vec<usize> =
            (0..outer).filter(|other| *other != slot && self.sort(*other) == sort).collect();
        let (unknown, known): (Vec<_>, Vec<_>) =
            same.into_iter().partition(|one| open.contains(one));
        let mut all: Vec<Pattern> = patterns(slot).collect();
        match sort {
            Some(Sort::View | Sort::Seq) => {
                // One that has no value yet lies at a point of its own.
                let ([] | [_]) = &*unknown else { return self.fail("too many to compare") };
                for other in unknown {
                    let lies = patterns(other).map(|mut pattern| {
                        pattern.parts.iter_mut().for_each(|part| {
                            if *part == Part::Sought(other) {
                                *part = Part::Sought(slot);
                            } else if *part == Part::Known(slot) {
                                *part = Part::Any;
                            }
                        });
                        pattern
                    });
                    all.extend(lies);
                }
                Ok(Values::Points(all, known))
            }
            Some(Sort::Value | Sort::Digest) if unknown.is_empty() => Ok(Values::Named(all, known)),
            _ => self.fail(format!("no values for {}", self.names[slot])),
        }
    }
}

impl Node {
    /// Whether a slot of which `is` says so is mentioned.
    fn mentions(&self, is: &mut impl FnMut(usize) -> bool) -> bool {
        let mut found = BTreeSet::new();
        self.collect(&mut found);
        found.into_iter().any(is)
    }

    fn collect(&self, found: &mut BTreeSet<usize>) {
        match self {
            Self::Constant(_) => {}
            Self::Honest(slot) => drop(found.insert(*slot)),
            Self::Member(a, b) | Self::Equal(a, b) | Self::AtMost(a, b) => found.extend([*a, *b]),
            Self::Atom(_, slots) => found.extend(slots),
            Self::Not(inner) | Self::Quorum(_, inner) => inner.collect(found),
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|one| one.collect(found)),
            Self::Exists(pattern, rest) => {
                let known = |part: &Part| match part {
                    Part::Known(slot) => Some(*slot),
                    Part::Sought(_) | Part::Any => None,
                };
                found.extend(pattern.parts.iter().filter_map(known));
                rest.collect(found);
            }
        }
    }
}
