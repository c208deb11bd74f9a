//! Evaluates what a new fact makes necessary to ask.

use super::Group;
use super::compile::{
    Derived, Node, Part, Pattern, Pick, RelationId, Rule, SLOTS, Trigger, Values,
};
use super::table::{ARGUMENTS, Arguments, Row, Table};
use crate::said::Individual;

/// Values of variables, by slot.
pub(super) type Env = [Individual; SLOTS];

/// A new fact, or a range of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fact {
    pub(super) relation: RelationId,
    pub(super) arguments: Arguments,
    /// Where a range ends that begins with its argument.
    pub(super) end: Individual,
}

/// What is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct World<'a> {
    pub(super) tables: &'a [Table],
    pub(super) group: &'a Group,
}

impl World<'_> {
    fn arguments(slots: &[usize], env: &Env) -> Arguments {
        let mut arguments = [0; ARGUMENTS];
        slots.iter().zip(&mut arguments).for_each(|(slot, argument)| *argument = env[*slot]);
        arguments
    }

    pub(super) fn holds(&self, node: &Node, env: &mut Env) -> bool {
        match node {
            Node::Constant(value) => *value,
            Node::Honest(replica) => self.group.is_honest(env[*replica]),
            Node::Member(replica, quorum) => {
                env[*replica] < Individual::BITS.into() && env[*quorum] >> env[*replica] & 1 == 1
            }
            Node::Atom(relation, slots) => {
                self.tables[*relation].contains(&Self::arguments(slots, env))
            }
            Node::Equal(a, b) => env[*a] == env[*b],
            Node::AtMost(a, b) => env[*a] <= env[*b],
            Node::Not(inner) => !self.holds(inner, env),
            Node::And(parts) => parts.iter().all(|part| self.holds(part, env)),
            Node::Or(parts) => parts.iter().any(|part| self.holds(part, env)),
            Node::Quorum(member, each) => {
                let so = self.group.honest.iter().filter(|replica| {
                    env[*member] = **replica;
                    self.holds(each, env)
                });
                so.count() + self.group.others() >= self.group.quorum
            }
            Node::Exists(pattern, rest) => self.rows(pattern, env).any(|row| {
                let mut env = *env;
                take(pattern, row, &mut env);
                self.holds(rest, &mut env)
            }),
        }
    }

    /// The facts of a pattern.
    fn rows<'b>(&'b self, pattern: &'b Pattern, env: &'b Env) -> impl Iterator<Item = &'b Row> {
        let table = &self.tables[pattern.relation];
        let known = |at: usize| match pattern.parts[at] {
            Part::Known(slot) => Some(env[slot]),
            Part::Sought(_) | Part::Any => None,
        };
        let fits = move |row: &&Row| {
            let mut parts = 0..pattern.parts.len();
            parts.all(|at| match known(at) {
                Some(value) if table.range == Some(at) => row.ranges.contains(value),
                Some(value) => row.key[at] == value,
                None => true,
            })
        };
        table.rows(table.number.and_then(known)).filter(fits)
    }

    /// Evaluates the instances of a conjunct that a new fact can break, up to the first that does not hold. Returns how many, and
    /// the values of that one.
    pub(super) fn ask(&self, rule: &Rule, trigger: &Trigger, fact: &Fact) -> (u64, Option<Env>) {
        let mut env = [0; SLOTS];
        for (slot, argument) in trigger.slots.iter().zip(fact.arguments) {
            match slot {
                Some(0) if argument != 0 => return (0, None),
                Some(slot) => env[*slot] = argument,
                None => {}
            }
        }
        let limits = trigger.ranging.map(|slot| (env[slot], fact.end));
        let mut search = Search { world: self, rule, evaluated: 0 };
        let asked = search.all(&trigger.before, &mut env);
        let broken = asked.then(|| search.descend(&trigger.picks, limits, &mut env)).flatten();
        (search.evaluated, broken)
    }

    /// What a certificate adds that a vote makes complete.
    pub(super) fn derives(&self, derived: &Derived, fact: &Fact) -> Option<Arguments> {
        let mut env = [0; SLOTS];
        let given = derived.slots.iter().zip(fact.arguments);
        given.for_each(|(slot, argument)| slot.iter().for_each(|slot| env[*slot] = argument));
        self.holds(&derived.condition, &mut env).then(|| Self::arguments(&derived.arguments, &env))
    }

    /// Values to try for a variable.
    fn candidates(
        &self,
        pick: &Pick,
        env: &Env,
        limits: Option<(Individual, Individual)>,
    ) -> Vec<Individual> {
        let mut all = Vec::new();
        match &pick.values {
            Values::Replicas => all.extend(0..self.group.replicas as Individual),
            Values::Stored(pattern) => {
                self.rows(pattern, env).for_each(|row| self.add(pattern, row, &mut all));
            }
            Values::Named(patterns, known) => {
                for pattern in patterns {
                    self.rows(pattern, env).for_each(|row| self.add(pattern, row, &mut all));
                }
                all.extend(known.iter().map(|slot| env[*slot]));
                // One that is none of these: there are no more of them than there are numbers up to their count.
                let fresh = (0..=all.len() as Individual).find(|one| !all.contains(one));
                all.extend(fresh);
            }
            Values::Points(patterns, known) => {
                for pattern in patterns {
                    self.rows(pattern, env).for_each(|row| self.add(pattern, row, &mut all));
                }
                all.extend(known.iter().map(|slot| env[*slot]));
                all.extend(limits.into_iter().flat_map(|(start, end)| [start, end]));
                let near = |one: &Individual| [one.saturating_sub(1), *one, one.saturating_add(1)];
                all = all.iter().flat_map(near).chain([0]).collect();
            }
        }
        all.sort_unstable();
        all.dedup();
        if let Some((start, end)) = limits {
            all.retain(|one| (start..end).contains(one));
        }
        all
    }

    fn add(&self, pattern: &Pattern, row: &Row, all: &mut Vec<Individual>) {
        let range = self.tables[pattern.relation].range;
        for (at, part) in pattern.parts.iter().enumerate() {
            match part {
                Part::Sought(_) if range == Some(at) => all.extend(row.ranges.points()),
                Part::Sought(_) => all.push(row.key[at]),
                Part::Known(_) | Part::Any => {}
            }
        }
    }
}

/// Gives what is sought the values of a fact.
fn take(pattern: &Pattern, row: &Row, env: &mut Env) {
    for (at, part) in pattern.parts.iter().enumerate() {
        if let Part::Sought(slot) = part {
            env[*slot] = row.key[at];
        }
    }
}

struct Search<'a> {
    world: &'a World<'a>,
    rule: &'a Rule,
    evaluated: u64,
}

impl Search<'_> {
    fn all(&self, conditions: &[usize], env: &mut Env) -> bool {
        conditions.iter().all(|at| self.world.holds(&self.rule.conditions[*at], env))
    }

    /// The first values with which A holds and B does not. Limits are those of the first variable.
    fn descend(
        &mut self,
        picks: &[Pick],
        limits: Option<(Individual, Individual)>,
        env: &mut Env,
    ) -> Option<Env> {
        let Some((pick, rest)) = picks.split_first() else {
            self.evaluated += 1;
            return (!self.world.holds(&self.rule.then, env)).then_some(*env);
        };
        let candidates = match limits {
            Some((start, end)) if end == start + 1 => vec![start],
            _ => self.world.candidates(pick, env, limits),
        };
        candidates.into_iter().find_map(|value| {
            env[pick.slot] = value;
            match self.all(&pick.conditions, env) {
                true => self.descend(rest, None, env),
                false => None,
            }
        })
    }
}
