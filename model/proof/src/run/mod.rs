//! The invariant along a run of any length, with any number of replicas.
//!
//! The formulas are those that the solvers get. After each step only those instances of a conjunct are evaluated that
//! a new fact can break (`compile.rs` says which, and why that is enough). Certificates and stable checkpoints are there
//! as soon as the votes are of which they consist, by the theory's own actions; and besides when somebody says so, and then the
//! votes must be there.

mod compile;
mod find;
mod quorum;
mod table;
mod tell;

use crate::said::{Individual, Name, Statements};
use crate::theory::Theory;
pub use compile::Unsupported;
use compile::{Compiler, Derived, Rule};
use find::{Fact, World};
use std::collections::BTreeMap;
use table::{ARGUMENTS, Arguments, Table};
pub use tell::Breach;

/// Who takes part.
#[derive(Clone, Debug)]
pub struct Group {
    /// n.
    pub replicas: usize,
    /// q.
    pub quorum: usize,
    /// Those whose steps are known; the others may have said anything.
    pub honest: Vec<Individual>,
}

impl Group {
    fn is_honest(&self, replica: Individual) -> bool {
        self.honest.contains(&replica)
    }

    /// The number of those whose votes are there for the asking.
    const fn others(&self) -> usize {
        self.replicas - self.honest.len()
    }

    /// The axiom on which everything rests: two quorums share an honest replica.
    #[must_use]
    pub const fn quorums_meet(&self) -> bool {
        2 * self.quorum > self.replicas + self.others()
    }
}

/// What has been said in a run, and whether the invariant holds.
#[derive(Clone, Debug)]
pub struct Monitor {
    theory: Theory,
    group: Group,
    /// By relation, in the order of the theory.
    tables: Vec<Table>,
    /// The relation of each name.
    names: Vec<usize>,
    /// By conjunct, in the order of the theory.
    rules: Vec<Rule>,
    derived: Vec<Derived>,
    /// Since the last look.
    fresh: Vec<Fact>,
    /// Sequence numbers before this one are forgotten.
    first: Individual,
    instances: Vec<u64>,
}

impl Monitor {
    /// Before the first step.
    ///
    /// # Errors
    /// If a conjunct has a form that is not foreseen, or a relation is not there.
    pub fn new(theory: Theory, group: Group) -> Result<Self, Unsupported> {
        let tables: Vec<Table> = theory.relations.iter().map(Table::new).collect();
        let compiler = |name| Compiler::new(&theory, &tables, name);
        let rules = theory.conjuncts.iter().map(|one| compiler(&one.name).rule(&one.formula));
        let rules = rules.collect::<Result<Vec<Rule>, _>>()?;
        let of_nobody = theory.actions.iter().filter(|action| !action.has_actor());
        let derived = of_nobody.map(|action| compiler(&action.name).derived(action));
        let derived = derived.collect::<Result<Vec<Derived>, _>>()?;
        let find = |name: Name| {
            let at = theory.relations.iter().position(|one| one.name == name.text());
            at.ok_or_else(|| Unsupported {
                place: name.text().to_owned(),
                what: "there is no such relation".to_owned(),
            })
        };
        let names = Name::ALL.into_iter().map(find).collect::<Result<_, _>>()?;
        let instances = vec![0; rules.len()];
        let (fresh, first) = (Vec::new(), 0);
        Ok(Self { theory, group, tables, names, rules, derived, fresh, first, instances })
    }

    /// Who takes part.
    #[must_use]
    pub const fn group(&self) -> &Group {
        &self.group
    }

    /// Takes in what is new since the last look, and evaluates what it can break. Returns the conjuncts that do not hold, each
    /// with the first instance found.
    pub fn look(&mut self) -> Vec<Breach> {
        self.derive();
        let fresh = std::mem::take(&mut self.fresh);
        let world = World { tables: &self.tables, group: &self.group };
        let mut breaches = Vec::new();
        for (at, rule) in self.rules.iter().enumerate() {
            let triggered = rule.triggers.iter().flat_map(|trigger| {
                let of = fresh.iter().filter(|fact| fact.relation == trigger.relation);
                of.map(move |fact| (trigger, fact))
            });
            for (trigger, fact) in triggered {
                let (evaluated, broken) = world.ask(rule, trigger, fact);
                self.instances[at] += evaluated;
                if let Some(env) = broken {
                    let teller = tell::Teller { theory: &self.theory, world, rule };
                    breaches.push(teller.breach(&self.theory.conjuncts[at], env));
                    break;
                }
            }
        }
        breaches
    }

    /// The certificates that the new votes make complete, and those that these make.
    fn derive(&mut self) {
        let mut at = 0;
        while let Some(fact) = self.fresh.get(at).copied() {
            at += 1;
            for derived in &self.derived {
                if derived.from != fact.relation {
                    continue;
                }
                let world = World { tables: &self.tables, group: &self.group };
                let Some(arguments) = world.derives(derived, &fact) else { continue };
                Self::insert(&mut self.tables, &mut self.fresh, derived.relation, arguments, None);
            }
        }
    }

    fn insert(
        tables: &mut [Table],
        fresh: &mut Vec<Fact>,
        relation: usize,
        arguments: Arguments,
        end: Option<Individual>,
    ) {
        let table = &mut tables[relation];
        for (start, end) in table.insert(&arguments, end) {
            let mut arguments = arguments;
            if let Some(range) = table.range {
                arguments[range] = start;
            }
            fresh.push(Fact { relation, arguments, end });
        }
    }

    fn say(&mut self, name: Name, given: &[Individual], end: Option<Individual>) {
        let relation = self.names[name as usize];
        let mut arguments = [0; ARGUMENTS];
        arguments[..given.len()].copy_from_slice(given);
        // What is forgotten was looked at when it was said first.
        let forgotten = self.tables[relation].number.is_some_and(|at| arguments[at] < self.first);
        if !forgotten {
            Self::insert(&mut self.tables, &mut self.fresh, relation, arguments, end);
        }
    }

    /// What is said of sequence numbers before this one, from 1, is looked at no more. The caller answers for it that nothing
    /// new will be said of them.
    pub fn forget(&mut self, seq: u64) {
        let first = Individual::from(seq.saturating_sub(1));
        if first > self.first {
            self.first = first;
            self.tables.iter_mut().for_each(|table| table.forget(first));
        }
    }

    /// The batches that the state with a digest has executed, as far as they are remembered: sequence number and batch.
    #[must_use]
    pub fn content(&self, digest: Individual) -> Vec<(u64, Individual)> {
        self.batches(Name::Content, digest)
    }

    /// The batches that the state of a replica has executed, likewise.
    #[must_use]
    pub fn history(&self, replica: u32) -> Vec<(u64, Individual)> {
        self.batches(Name::History, replica.into())
    }

    fn batches(&self, name: Name, of: Individual) -> Vec<(u64, Individual)> {
        let table = &self.tables[self.names[name as usize]];
        let rows = table.rows(None).filter(|row| row.key[0] == of);
        rows.map(|row| (row.key[1] as u64 + 1, row.key[2])).collect()
    }

    /// Whether a digest is known to stand for a number.
    #[must_use]
    pub fn is_known(&self, digest: Individual) -> bool {
        let table = &self.tables[self.names[Name::Upto as usize]];
        table.rows(None).any(|row| row.key[0] == digest)
    }

    /// The instances that were evaluated, by conjunct.
    #[must_use]
    pub fn instances(&self) -> BTreeMap<String, u64> {
        let names = self.theory.conjuncts.iter().map(|conjunct| conjunct.name.clone());
        names.zip(self.instances.iter().copied()).collect()
    }

    /// How many facts are remembered, of which ranges count once.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.tables.iter().map(Table::len).sum()
    }
}

impl Statements for Monitor {
    fn add(&mut self, name: Name, arguments: &[Individual]) {
        self.say(name, arguments, None);
    }

    fn add_below(&mut self, name: Name, arguments: &[Individual], end: Individual) {
        if end > 0 {
            let all: Vec<Individual> = arguments.iter().copied().chain([0]).collect();
            self.say(name, &all, Some(end));
        }
    }
}
