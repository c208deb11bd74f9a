//! What breaks a conjunct, in facts.

use super::compile::{Node, Part, Pattern, RelationId, Rule};
use super::find::{Env, World};
use crate::formula::Sort;
use crate::said::Individual;
use crate::theory::{Named, Theory};
use serde::Serialize;
use std::fmt;

/// A conjunct that does not hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// The conjunct.
    pub conjunct: String,
    /// What it says.
    pub says: String,
    /// The same in words.
    pub why: String,
    /// The facts that break it.
    pub facts: Vec<String>,
    /// One of these would have to be there.
    pub missing: Vec<String>,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { conjunct, says, why, facts, missing } = self;
        writeln!(f, "the theorem's invariant does not hold: {conjunct}")?;
        writeln!(f, "  {why}")?;
        writeln!(f, "  {says}")?;
        facts.iter().try_for_each(|fact| writeln!(f, "    {fact}"))?;
        missing.iter().try_for_each(|fact| writeln!(f, "    but not {fact}"))
    }
}

/// An individual, as people write it: a view v2, a sequence number #7, of a digest the beginning.
fn label(sort: Sort, one: Individual) -> String {
    match sort {
        Sort::Replica => one.to_string(),
        Sort::View => format!("v{one}"),
        Sort::Seq => format!("#{}", one + 1),
        Sort::Value | Sort::Digest => format!("{:08x}", one >> 96),
        Sort::Quorum => {
            let bits = (0..Individual::BITS).filter(|bit| one >> bit & 1 == 1);
            let members: Vec<String> = bits.map(|bit| bit.to_string()).collect();
            format!("{{{}}}", members.join(","))
        }
    }
}

pub(super) struct Teller<'a> {
    pub(super) theory: &'a Theory,
    pub(super) world: World<'a>,
    pub(super) rule: &'a Rule,
}

impl Teller<'_> {
    pub(super) fn breach(&self, conjunct: &Named, mut env: Env) -> Breach {
        let mut breach = Breach {
            conjunct: conjunct.name.clone(),
            says: conjunct.text.clone(),
            why: conjunct.why.clone(),
            ..Breach::default()
        };
        // How its values compare is plain to see.
        let atoms = self.rule.conditions.iter().filter(|one| matches!(one, Node::Atom(..)));
        for atom in atoms {
            self.tell(atom, true, &mut env, &mut breach);
        }
        self.tell(&self.rule.then, false, &mut env, &mut breach);
        breach
    }

    /// The atoms for which a formula is as `truth` says.
    fn tell(&self, node: &Node, truth: bool, env: &mut Env, breach: &mut Breach) {
        match node {
            Node::Constant(_) | Node::Honest(_) | Node::Member(..) => {}
            Node::Equal(a, b) | Node::AtMost(a, b) => {
                let sign = if matches!(node, Node::Equal(..)) { "=" } else { "<=" };
                let list = if truth { &mut breach.facts } else { &mut breach.missing };
                let [a, b] = [self.label(*a, env), self.label(*b, env)];
                push(list, format!("{a} {sign} {b}"));
            }
            Node::Atom(relation, slots) => {
                let list = if truth { &mut breach.facts } else { &mut breach.missing };
                push(list, self.fact(*relation, slots.iter().map(|slot| Some(env[*slot]))));
            }
            Node::Not(inner) => self.tell(inner, !truth, env, breach),
            Node::And(parts) | Node::Or(parts) => {
                for part in parts {
                    if self.world.holds(part, env) == truth {
                        self.tell(part, truth, env, breach);
                    }
                }
            }
            Node::Quorum(member, each) => {
                for replica in &self.world.group.honest {
                    env[*member] = *replica;
                    if self.world.holds(each, env) == truth {
                        self.tell(each, truth, env, breach);
                    }
                }
            }
            Node::Exists(Pattern { relation, parts }, _) => {
                let value = |part: &Part| match part {
                    Part::Known(slot) => Some(env[*slot]),
                    Part::Sought(_) | Part::Any => None,
                };
                let list = if truth { &mut breach.facts } else { &mut breach.missing };
                push(list, self.fact(*relation, parts.iter().map(value)));
            }
        }
    }

    fn label(&self, slot: usize, env: &Env) -> String {
        let sort = Sort::of(&self.rule.names[slot]).unwrap_or(Sort::View);
        label(sort, env[slot])
    }

    fn fact(
        &self,
        relation: RelationId,
        arguments: impl Iterator<Item = Option<Individual>>,
    ) -> String {
        let relation = &self.theory.relations[relation];
        let typed = relation.sorts.iter().zip(arguments);
        let labels: Vec<String> = typed
            .map(|(sort, one)| one.map_or_else(|| "any".to_owned(), |one| label(*sort, one)))
            .collect();
        format!("{}({})", relation.name, labels.join(", "))
    }
}

fn push(list: &mut Vec<String>, text: String) {
    if !list.contains(&text) {
        list.push(text);
    }
}
